"""`python -m bench [--write] [NAME...]`: measure, print the table of README.md, and with --write put it there."""

import datetime as dt
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from bench import durable
from bench.measures import HERE, Figure, at_most, paired, python, server, spent, table_of, told

MARK = "<!-- measured -->"


def whole_process() -> Figure:
    with server(0) as url:
        options = ["--server", url, "--source", "dss=dataiku"]
        inputs = ["-i", "apiKey=demo-key", "-i", "projectKey=DEMO", "-i", "scenarioId=NIGHTLY"]
        command = python("-m", "treadle", "run", str(HERE / "founding.arazzo.yaml"), *inputs, *options)
        bare = python(str(HERE / "bare.py"), "once", url)
        ratio, low, high, cpu = paired(lambda: spent(*command), lambda: spent(*bare), 15)
    return at_most(
        "whole `treadle run` process, founding workflow, no polls: CPU against a bare aiohttp script",
        ratio, 1.25, f"{low:.2f} to {high:.2f}; {cpu * 1000:.0f} ms",
    )  # fmt: skip


def series() -> Figure:
    with server(0) as url:
        ours = python(str(HERE / "ours.py"), "series", url, "200")
        bare = python(str(HERE / "bare.py"), "series", url, "200")
        ratio, low, high, cpu = paired(lambda: told(*ours)["cpu"], lambda: told(*bare)["cpu"], 51)
    return at_most(
        "200 runs one after the other, warm connection: CPU against bare aiohttp",
        ratio, 1.6, f"{low:.2f} to {high:.2f}; {cpu / 200 * 1000:.2f} ms a run",
    )  # fmt: skip


def crowd() -> Figure:
    with server(0.05) as url:
        ours = python(str(HERE / "ours.py"), "crowd", url, "200")
        bare = python(str(HERE / "bare.py"), "crowd", url, "200")
        # Throughput is the inverse of the time, so the ratio is turned round.
        ratio, low, high, wall = paired(lambda: told(*bare)["wall"], lambda: told(*ours)["wall"], 7)
    what = "200 runs at once, 50 ms server delay: throughput against bare aiohttp"
    return Figure(what, "at least 0.6", f"{ratio:.2f} ({low:.2f} to {high:.2f}; bare {wall:.2f} s)", ratio >= 0.6)


def polling() -> Figure:
    with server(0) as url:
        found = [told(*python(str(HERE / "ours.py"), "polling", url, "5000"))["kib"] for _ in range(3)]
    middle = statistics.median(found)
    what = "5,000 paced polling runs at once: peak memory a run over the idle process"
    return Figure(what, "at most 24 KiB", f"{middle:.1f} KiB ({min(found):.1f} to {max(found):.1f})", middle <= 24)


def ready() -> Figure:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.yaml"
        path.write_text(_large_description(5000))
        size = path.stat().st_size / 1e6
        found = [told(*python(str(HERE / "ours.py"), "ready", str(path)))["cpu"] for _ in range(6)][1:]
    middle = statistics.median(found)
    what = f"ready with a {size:.1f} MB YAML OpenAPI of 5,000 operations: CPU of the process"
    return Figure(what, "at most 1.0 s", f"{middle:.2f} s ({min(found):.2f} to {max(found):.2f})", middle <= 1.0)


def help_text() -> Figure:
    ratio, low, high, cpu = paired(
        lambda: spent(*python("-m", "treadle", "--help")), lambda: spent(*python("-c", "pass")), 15
    )
    return at_most("`--help` against `python -c pass`: CPU", ratio, 10, f"{low:.1f} to {high:.1f}; {cpu * 1000:.0f} ms")


def criterion(kind: str, bound: float) -> Figure:
    found = [told(*python(str(HERE / "criteria.py"), kind)) for _ in range(3)]
    ours, bare = min(each["ours"] for each in found), min(each["bare"] for each in found)
    what = f"one {kind} criterion on a small response, its body already read"
    text = f"{ours:.2f} µs (the same in bare Python {bare:.2f} µs)"
    return Figure(what, f"at most {bound:g} µs", text, ours <= bound)


def one_request() -> Figure:
    found = [told(*python(str(HERE / "one_request.py"))) for _ in range(3)]
    ours, bare = min(each["ours"] for each in found), min(each["bare"] for each in found)
    text = f"{ours:.1f} µs (the same in bare Python {bare:.1f} µs)"
    return Figure("building one request with 6 parameters and a body of 1 kB", "at most 60 µs", text, ours <= 60)


def _large_description(operations: int) -> str:
    head = "openapi: 3.0.3\ninfo: {title: large, version: '1'}\nservers:\n  - url: http://127.0.0.1:1\npaths:\n"
    schemas = "".join(
        f"    S{number}:\n      type: object\n      properties:\n        id: {{type: string}}\n"
        for number in range(100)
    )
    paths = "".join(_OPERATION.replace("@N", str(n)).replace("@S", str(n % 100)) for n in range(operations))
    return f"{head}{paths}components:\n  schemas:\n{schemas}    Error: {{type: object}}\n"


_OPERATION = """\
  /resources@N/{id}:
    get:
      operationId: op@N
      summary: Read resource number @N of the description that this benchmark makes
      description: >-
        A longer text as generators write them for operation @N, with a colon: here, a 'quote' there and a "double"
        one, so that the parser has scalars of every style to read; it says nothing and goes on for three lines, as
        such texts do, until it ends.
      tags: [group@S, everything]
      parameters:
        - name: id
          in: path
          required: true
          description: The identifier of resource @N.
          schema: {type: string, minLength: 1, maxLength: 64}
        - name: limit
          in: query
          description: How many entries to give at the most.
          schema: {type: integer, minimum: 0, maximum: 1000, default: 10}
        - name: expand
          in: query
          schema:
            type: array
            items: {type: string, enum: [owner, tags, history]}
      responses:
        '200':
          description: The resource.
          content:
            application/json:
              schema:
                type: object
                required: [id, name]
                properties:
                  id: {type: string, description: The identifier.}
                  name: {type: string, example: Resource @N}
                  count: {type: integer, format: int64}
                  created: {type: string, format: date-time}
                  parent: {$ref: '#/components/schemas/S@S'}
                  tags:
                    type: array
                    items: {type: string}
        '404':
          description: There is no such resource.
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Error'}
        default:
          description: Anything else that the server may answer.
"""

FIGURES: dict[str, Callable[[], Figure | list[Figure]]] = {
    "process": whole_process, "series": series, "crowd": crowd, "polling": polling, "ready": ready, "help": help_text,
    "simple": lambda: criterion("simple", 3), "jsonpath": lambda: criterion("jsonpath", 40),
    "request": one_request,
    "journal": durable.throughput, "start": durable.start_up, "effect": durable.effect, "loop": durable.loop,
    "waiting": durable.many,
}  # fmt: skip


def table(found: list[Figure]) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "msgspec", "click", "fastyaml-rs"))
    machine = (
        f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores"
    )
    lines = [
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, treadle {version('treadle')}, {machine}; {packages}.",
        "",
        table_of(found),
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    names = [argument for argument in arguments if argument != "--write"] or list(FIGURES)
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        print(f"bench: there is no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in names:
        found = FIGURES[name]()
        for figure in found if isinstance(found, list) else [found]:
            figures.append(figure)
            print(f"{name}: {figure.found} (bound: {figure.bound})", file=sys.stderr, flush=True)
    text = table(figures)
    print(text)
    if "--write" in arguments:
        page = HERE / "README.md"
        before, _, rest = page.read_text("utf-8").partition(MARK)
        after = rest.partition(MARK)[2]
        page.write_text(f"{before}{MARK}\n{text}\n{MARK}{after}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
