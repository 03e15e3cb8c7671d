"""Holds what a runner did against what a case expects; every difference becomes one sentence."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote
from xml.etree import ElementTree as ET

from .script import Seen
from .suite import Case, fill

EARLY = 0.02
"""Seconds that a pause may be shorter than asked for: clocks of two processes differ by so much."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a runner did.

    Attributes:
        requests: what the server saw, in order.
        code: the exit code, or None where the runner did not end by itself in time.
        outputs: the workflow's outputs, or None where they are not known.
    """

    requests: list[Seen]
    code: int | None
    outputs: Any = None


def judge(case: Case, observed: Observed, places: Mapping[str, str], *, strict_spec: bool = False) -> list[str]:
    """Say everything that is not as the case expects; an empty list means that it passed.

    Under `strict_spec` a refusal may come late: the specification does not say when an invalid document is found.
    """
    expect = case.expect
    problems = _result(expect.result, observed, strict_spec=strict_spec)
    if expect.requests is not None:
        wanted = [fill(request, places) for request in expect.requests]
        problems += (_unordered if expect.any_order else _requests)(wanted, observed.requests)
        problems += _gaps(expect.gaps, observed.requests)
    if expect.outputs is not None and observed.outputs is not None:
        problems += _outputs(fill(expect.outputs, places), observed.outputs)
    return problems


def _result(wanted: str, observed: Observed, *, strict_spec: bool) -> list[str]:
    code, count = observed.code, len(observed.requests)
    if code is None:
        return [f"result: expected {wanted}, found a runner that did not end in time"]
    if code < 0:
        return [f"result: expected {wanted}, found a runner that was ended by signal {-code}"]
    if wanted == "succeeded":
        return [] if code == 0 else [f"result: expected succeeded (exit code 0), found exit code {code}"]
    if code == 0:
        return [f"result: expected {wanted} (an exit code that is not 0), found exit code 0"]
    if wanted == "refused" and count and not strict_spec:
        return [f"result: expected refused (nothing is sent), found {count} request{'s' * (count != 1)}"]
    return []


def _requests(wanted: list[dict[str, Any]], seen: list[Seen]) -> list[str]:
    problems = []
    for number, request in enumerate(wanted, 1):
        if number > len(seen):
            problems.append(f"request {number}: expected {_line(request)}, found none")
        else:
            problems += [f"request {number}: {problem}" for problem in compare(request, seen[number - 1])]
    problems += [
        f"request {number}: expected none, found {extra.method} {extra.target}"
        for number, extra in enumerate(seen[len(wanted) :], len(wanted) + 1)
    ]
    return problems


def _unordered(wanted: list[dict[str, Any]], seen: list[Seen]) -> list[str]:
    left = list(seen)
    problems = []
    for request in wanted:
        match = next((one for one in left if not compare(request, one)), None)
        if match is None:
            problems.append(f"requests: expected {_line(request)} among them, found none like it")
        else:
            left.remove(match)
    return problems + [f"requests: expected no more, found {extra.method} {extra.target}" for extra in left]


def _line(request: Mapping[str, Any]) -> str:
    return f"{request['method']} {request.get('target', request.get('path'))}"


def compare(wanted: Mapping[str, Any], seen: Seen) -> list[str]:
    """Say every difference between a request that is expected and one that came."""
    problems = []
    if wanted["method"] != seen.method:
        problems.append(f"method: expected {wanted['method']}, found {seen.method}")
    path, _, query = seen.target.partition("?")
    if "target" in wanted and wanted["target"] != seen.target:
        problems.append(f"target: expected {wanted['target']}, found {seen.target}")
    if "path" in wanted:
        expected_path, _, expected_query = wanted["path"].partition("?")
        if _segments(expected_path) != _segments(path):
            problems.append(f"path: expected {expected_path}, found {path}")
        given = wanted.get("query", parse_qs(expected_query, keep_blank_values=True))
        problems += _fields("query parameter", given, parse_qs(query, keep_blank_values=True), closed=True)
    headers: dict[str, list[str]] = {}
    for name, value in seen.headers:
        headers.setdefault(name.lower(), []).append(value)
    problems += _headers(wanted.get("headers", {}), headers)
    if "cookies" in wanted:
        problems += _fields("cookie", wanted["cookies"], _cookies(headers.get("cookie", [])), closed=True)
    return problems + _body(wanted, seen.body)


def _segments(path: str) -> list[str]:
    """Give the segments of a path as they read; `%2F` in one of them is not a border."""
    return [unquote(segment) for segment in path.split("/")]


def _cookies(values: list[str]) -> dict[str, list[str]]:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load("; ".join(values))
    except CookieError:
        return {}
    return {name: [morsel.value] for name, morsel in jar.items()}


def _headers(wanted: Mapping[str, Any], found: Mapping[str, list[str]]) -> list[str]:
    plain = dict(wanted)
    problems = []
    for name in [name for name in wanted if name.lower() == "content-type"]:
        media_type = plain.pop(name)
        values = found.get("content-type", [])
        # `charset` and the like are compared only where the case names them.
        shown = [value if ";" in str(media_type) else value.partition(";")[0].strip() for value in values]
        problems += _fields("header", {name: media_type}, {name: shown} if values else {}, closed=False)
    lower = {name.lower(): value for name, value in plain.items()}
    return problems + _fields("header", lower, found, closed=False)


def _fields(kind: str, wanted: Mapping[str, Any], found: Mapping[str, list[str]], *, closed: bool) -> list[str]:
    problems = []
    for name, value in wanted.items():
        texts = [_text(one) for one in value] if isinstance(value, list) else [_text(value)]
        if value is None and name in found:
            problems.append(f"{kind} {name}: expected none, found {_shown(found[name])}")
        elif value is not None and name not in found:
            problems.append(f"{kind} {name}: expected {_shown(texts)}, found none")
        elif value is not None and found[name] != texts:
            problems.append(f"{kind} {name}: expected {_shown(texts)}, found {_shown(found[name])}")
    if closed:
        problems += [
            f"{kind} {name}: expected none, found {_shown(found[name])}" for name in found if name not in wanted
        ]
    return problems


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _shown(values: list[str]) -> str:
    return repr(values[0]) if len(values) == 1 else repr(values)


def _body(wanted: Mapping[str, Any], body: bytes) -> list[str]:
    text = body.decode("utf-8", "replace")
    if "text" in wanted and wanted["text"] != text:
        return [f"body: expected {wanted['text']!r}, found {text!r}"]
    if "json" in wanted:
        try:
            found = json.loads(text)
        except ValueError:
            return [f"body: expected the JSON {json.dumps(wanted['json'])}, found {text!r}"]
        if not same(wanted["json"], found):
            return [f"body: expected {json.dumps(wanted['json'])}, found {json.dumps(found)}"]
    if "form" in wanted:
        form: dict[str, list[str]] = {}
        for name, value in parse_qsl(text, keep_blank_values=True):
            form.setdefault(name, []).append(value)
        return _fields("form field", wanted["form"], form, closed=True)
    if "xml" in wanted:
        try:
            canonical = ET.canonicalize(text, strip_text=True)
        except ET.ParseError:
            return [f"body: expected the XML {wanted['xml']!r}, found {text!r}"]
        if ET.canonicalize(wanted["xml"], strip_text=True) != canonical:
            return [f"body: expected the XML {wanted['xml']!r}, found {text!r}"]
    return []


def same(one: Any, other: Any) -> bool:
    """Compare JSON values: 1 and 1.0 are one number, true is none."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


def _gaps(wanted: list[tuple[float | None, float | None]], seen: list[Seen]) -> list[str]:
    problems = []
    for number, (least, most) in enumerate(wanted, 2):
        if number > len(seen):
            break  # that a request is missing is said already
        before = seen[number - 2]
        gap = seen[number - 1].arrived - (before.answered if before.answered is not None else before.arrived)
        if least is not None and gap < least - EARLY:
            problems.append(f"request {number}: expected at least {least} s after the answer before, found {gap:.2f} s")
        if most is not None and gap > most:
            problems.append(f"request {number}: expected at most {most} s after the answer before, found {gap:.2f} s")
    return problems


def _outputs(wanted: dict[str, Any], found: Any) -> list[str]:
    if not isinstance(found, dict):
        return [f"outputs: expected an object, found {json.dumps(found)}"]
    problems = [
        f"output {name}: expected {json.dumps(value)}, found {json.dumps(found[name]) if name in found else 'none'}"
        for name, value in wanted.items()
        if not same(value, found.get(name))  # an output that has no value may be left out or be null
    ]
    return problems + [
        f"output {name}: expected none, found {json.dumps(found[name])}" for name in found.keys() - wanted.keys()
    ]
