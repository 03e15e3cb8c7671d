"""`python bench/criteria.py KIND`: microseconds of one criterion on a small response, and of the same in bare Python."""

import json
import sys
import timeit

import msgspec

from treadle.engine.effects import HttpResponse
from treadle.engine.messages import Response
from treadle.expressions.criteria import check, compile_criterion
from treadle.expressions.dialect import Names
from treadle.expressions.evaluate import Context
from treadle.expressions.syntax import parse

BODY = {"running": True, "items": [{"id": number, "state": state} for number, state in enumerate(("new", "DONE", "x"))]}
SIMPLE = "$response.body#/running == true && $statusCode == 200"
JSONPATH = "$.items[?@.state == 'DONE']"
ROUNDS = 20_000


def bare_simple(status: int, body: dict) -> bool:  # type: ignore[type-arg]
    return body["running"] is True and status == 200


def bare_jsonpath(body: dict) -> bool:  # type: ignore[type-arg]
    return any(item["state"] == "DONE" for item in body["items"])


def main(kind: str) -> None:
    context = Context()
    context.status = 200
    context.response = Response(HttpResponse(200, (("Content-Type", "application/json"),), msgspec.json.encode(BODY)))
    body = context.response.body()
    if kind == "simple":
        test = compile_criterion("simple", "", SIMPLE, None, Names(), [])
        bare = timeit.repeat(lambda: bare_simple(200, body), number=ROUNDS, repeat=7)
    else:
        test = compile_criterion("jsonpath", "", JSONPATH, parse("$response.body"), Names(), [])
        bare = timeit.repeat(lambda: bare_jsonpath(body), number=ROUNDS, repeat=7)
    assert check(test, context, explained=False).passed
    ours = timeit.repeat(lambda: check(test, context, explained=False), number=ROUNDS, repeat=7)
    print(json.dumps({"ours": min(ours) / ROUNDS * 1e6, "bare": min(bare) / ROUNDS * 1e6}))


if __name__ == "__main__":
    main(sys.argv[1])
