"""`python bench/one_request.py`: microseconds to build one request, and to build the same in bare Python.

Six parameters (two in the path, three in the query, one of them an array, one in a header) and a JSON body of 1 kB, all
of them from expressions over inputs. Compiling, which happens once for a document, is not counted.
"""

import json
import time
import timeit
from urllib.parse import quote, urlencode

import msgspec

from treadle.engine.program import Argument, Body, Call
from treadle.engine.requests import request_of
from treadle.expressions.dialect import Names
from treadle.expressions.evaluate import Context
from treadle.expressions.payload import Payload, prepare
from treadle.sources.operation import BodySpec, Operation, ParameterSpec
from treadle.sources.request import HttpRequest

SERVER = "https://api.example.net/v1"
INPUTS = {
    "project": "A B/1", "name": "nightly", "page": 3, "tags": ["a", "b c"], "token": "0123456789", "note": "n" * 100,
}  # fmt: skip
ROUNDS = 5_000


def prepared(value: object) -> Payload:
    return prepare(value, Names(inputs=frozenset(INPUTS)), [])


def call() -> Call:
    parameters = (
        (ParameterSpec("project", "path", required=True, style="simple", types=("string",)), "$inputs.project"),
        (ParameterSpec("name", "path", required=True, style="simple", types=("string",)), "$inputs.name"),
        (ParameterSpec("page", "query", explode=True, types=("integer",)), "$inputs.page"),
        (ParameterSpec("tags", "query", explode=True, types=("array",), items=("string",)), "$inputs.tags"),
        (ParameterSpec("limit", "query", explode=True, types=("integer",)), 100),
        (ParameterSpec("Authorization", "header", style="simple"), "Bearer {$inputs.token}"),
    )
    body = {
        "name": "$inputs.name",
        "page": "$inputs.page",
        "note": "$inputs.note",
        "items": [{"id": number, "state": "$inputs.name", "text": "x" * 40} for number in range(11)],
    }
    operation = Operation(
        "api", "POST", "/projects/{project}/jobs/{name}", SERVER, body=BodySpec(("application/json",))
    )
    arguments = tuple(Argument(spec, prepared(value)) for spec, value in parameters)
    return Call(operation, SERVER, arguments, Body("application/json", prepared(body)))


def bare(given: dict[str, object]) -> HttpRequest:
    path = f"/projects/{quote(str(given['project']), safe='')}/jobs/{quote(str(given['name']), safe='')}"
    query = urlencode({"page": given["page"], "tags": given["tags"], "limit": 100}, doseq=True, quote_via=quote)
    body = {
        "name": given["name"],
        "page": given["page"],
        "note": given["note"],
        "items": [{"id": number, "state": given["name"], "text": "x" * 40} for number in range(11)],
    }
    headers = (("Authorization", f"Bearer {given['token']}"), ("Content-Type", "application/json"))
    return HttpRequest("POST", f"{SERVER}{path}?{query}", headers, msgspec.json.encode(body))


def main() -> None:
    compiled, context = call(), Context(inputs=INPUTS)

    def ours() -> HttpRequest:
        return request_of(compiled, context, lambda _rule, _message: None)

    assert ours() == bare(INPUTS)
    figures = [
        min(timeit.repeat(work, timer=time.process_time, number=ROUNDS, repeat=7))
        for work in (ours, lambda: bare(INPUTS))
    ]
    print(json.dumps({name: spent / ROUNDS * 1e6 for name, spent in zip(("ours", "bare"), figures, strict=True)}))


if __name__ == "__main__":
    main()
