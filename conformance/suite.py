"""Cases as they are written, and the documents they make: every default of the format is filled in here."""

import json
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .reading import SuiteInvalid, read
from .script import Script

HERE = Path(__file__).resolve().parent
CASES = HERE / "cases"
SHARED = HERE / "shared"
RESULTS = ("succeeded", "failed", "refused")
POLARITIES = ("positive", "negative")
_FIELDS = {
    "id", "why", "claims", "polarity", "arazzo", "steps", "workflow", "workflows", "components", "document", "without", "text",
    "sources", "files", "file", "run", "inputs", "server", "expect",
}  # fmt: skip
_EXPECT_FIELDS = {"result", "requests", "anyOrder", "gaps", "outputs"}
_REQUEST_FIELDS = {"method", "path", "target", "query", "headers", "cookies", "json", "text", "form", "xml"}
_ARAZZO_FIELDS = {"arazzo", "steps", "workflow", "workflows", "components", "document", "without"}
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")


@dataclass(frozen=True, slots=True)
class Expect:
    """What must be seen.

    Attributes:
        result: succeeded, failed, or refused (failed, and no request was sent).
        requests: what the server must have seen, or None where that is not looked at.
        any_order: the requests may come in any order.
        gaps: for each request after the first, the least and the most seconds since the answer before it; either
            may be None.
        outputs: the workflow's outputs, or None where they are not looked at.
    """

    result: str
    requests: list[dict[str, Any]] | None
    any_order: bool
    gaps: list[tuple[float | None, float | None]]
    outputs: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Case:
    """One case; `section` and `topic` are its folder and file."""

    id: str
    section: str
    topic: str
    claims: tuple[str, ...]
    polarity: str
    why: str
    document: str
    workflow_id: str
    inputs: dict[str, Any]
    script: Script
    expect: Expect
    _files: Mapping[str, Any]

    def files(self, places: Mapping[str, str]) -> dict[str, str]:
        """Give the text of each file by its name; `{server}` and `{folder}` in texts are replaced by `places`."""
        filled = {name: fill(content, places) for name, content in self._files.items()}
        return {
            name: content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2)
            for name, content in filled.items()
        }


def fill(value: Any, places: Mapping[str, str]) -> Any:
    """Replace `{name}` by what `places` has for it, in every text of a value."""
    if isinstance(value, str):
        for name, text in places.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, dict):
        return {fill(name, places): fill(entry, places) for name, entry in value.items()}
    if isinstance(value, list):
        return [fill(entry, places) for entry in value]
    return value


def load(root: Path = CASES) -> list[Case]:
    """Give every case below a folder, in the order of sections, files and lines.

    Raises:
        SuiteInvalid: a file is not as the format says, or two cases have one id.
    """
    found: list[Case] = []
    homes: dict[str, Path] = {}
    for path in sorted(root.glob("*/*.yaml")):
        entries = read(path)
        if not isinstance(entries, list):
            raise SuiteInvalid(f"{path}: a list of cases is expected")
        for entry in entries:
            case = _case(entry, path)
            if case.id in homes:
                raise SuiteInvalid(f"{path}: the id '{case.id}' is also in {homes[case.id]}; ids are unique")
            homes[case.id] = path
            found.append(case)
    return found


def _case(entry: Any, path: Path) -> Case:
    name = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise SuiteInvalid(f"{path}: a case has the id {name!r}; lower-case words joined by '-' are expected")
    where = f"{path}: case '{name}'"
    _known(entry, _FIELDS, where)
    for field in ("claims", "polarity", "expect"):
        if field not in entry:
            raise SuiteInvalid(f"{where} has no '{field}'")
    if entry["polarity"] not in POLARITIES:
        raise SuiteInvalid(f"{where}: polarity is {entry['polarity']!r}; it is one of {', '.join(POLARITIES)}")
    try:
        document, files = _documents(entry)
        script = Script.read(entry.get("server", [{"json": {}}] if "server" not in entry else None))
        expect = _expect(entry["expect"], where)
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise SuiteInvalid(f"{where}: {error}") from error
    return Case(
        id=name,
        section=path.parent.name,
        topic=path.stem,
        claims=tuple(entry["claims"]),
        polarity=entry["polarity"],
        why=entry.get("why", ""),
        document=document,
        workflow_id=entry.get("run", _first_workflow(entry)),
        inputs=entry.get("inputs", {}),
        script=script,
        expect=expect,
        _files=files,
    )


def _known(entry: Mapping[str, Any], fields: Iterable[str], where: str) -> None:
    unknown = sorted(set(entry) - set(fields))
    if unknown:
        raise SuiteInvalid(f"{where} has the field '{unknown[0]}'; there are {', '.join(sorted(fields))}")


def _first_workflow(entry: Mapping[str, Any]) -> str:
    whole = entry.get("document")
    workflows = entry.get("workflows") or (whole.get("workflows") if isinstance(whole, dict) else None)
    first = workflows[0] if isinstance(workflows, list) and workflows else {}
    return str(first.get("workflowId", "main")) if isinstance(first, dict) else "main"


def _documents(entry: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Give the name of the entry document and every file by its name."""
    files: dict[str, Any] = {}
    described = []
    for name, source in entry.get("sources", {"api": "shared"}).items():
        kind, content = _source(source)
        files[f"{name}.{kind}.json"] = content
        described.append({"name": name, "url": f"./{name}.{kind}.json", "type": kind})
    if "text" in entry:
        document, content = entry.get("file", "arazzo.yaml"), entry["text"]
    else:
        document, content = entry.get("file", "arazzo.json"), arazzo(entry, described)
    for name, other in entry.get("files", {}).items():
        files[name] = _source(other)[1] if isinstance(other, dict) or other == "shared" else other
    return document, {document: content, **files}


def _source(source: Any) -> tuple[str, Any]:
    """Give the kind of a description and the whole of it."""
    if source == "shared":
        return "openapi", shared()
    if isinstance(source, str):
        return "openapi", source
    if "asyncapi" in source:
        return "asyncapi", source
    if set(source) <= _ARAZZO_FIELDS:
        return "arazzo", arazzo(source, [{"name": "api", "url": "./api.openapi.json", "type": "openapi"}])
    if {"paths", "openapi", "servers"} & set(source):
        return "openapi", openapi(source)
    return "other", source


def arazzo(entry: Mapping[str, Any], described: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the whole Arazzo document that a case, or an `arazzo` source of it, makes."""
    whole: dict[str, Any] = {
        "arazzo": entry.get("arazzo", "1.1.0"),
        "info": {"title": "A conformance case", "version": "1.0.0"},
        "sourceDescriptions": described,
        "workflows": entry.get("workflows")
        or [{"workflowId": "main", **entry.get("workflow", {}), "steps": entry.get("steps", _STEPS)}],
    }
    if "components" in entry:
        whole["components"] = entry["components"]
    whole = deepcopy({**whole, **entry.get("document", {})})
    for pointer in entry.get("without", []):
        _remove(whole, pointer)
    return whole


_STEPS = [{"stepId": "one", "operationId": "first"}]


def _remove(whole: Any, pointer: str) -> None:
    *way, last = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
    for token in way:
        whole = whole[int(token) if isinstance(whole, list) else token]
    del whole[int(last) if isinstance(whole, list) else last]


def openapi(given: Mapping[str, Any]) -> dict[str, Any]:
    """Give an OpenAPI description with what every one needs: version, info, servers, an answer of each operation."""
    whole: dict[str, Any] = deepcopy({
        "openapi": "3.1.0",
        "info": {"title": "An API of the conformance suite", "version": "1.0.0"},
        "servers": [{"url": "{server}"}],
        **given,
    })  # fmt: skip
    for item in whole.get("paths", {}).values():
        for method in _METHODS:
            if isinstance(item, dict) and isinstance(item.get(method), dict):
                item[method].setdefault("responses", {"200": {"description": "An answer"}})
    return whole


@lru_cache(1)
def shared() -> dict[str, Any]:
    """Give the OpenAPI description that a case has when it brings none."""
    return openapi(read(SHARED / "api.openapi.yaml"))


def _expect(entry: Mapping[str, Any], where: str) -> Expect:
    _known(entry, _EXPECT_FIELDS, f"{where}: 'expect'")
    if entry.get("result") not in RESULTS:
        raise ValueError(f"result is {entry.get('result')!r}; it is one of {', '.join(RESULTS)}")
    requests = entry.get("requests")
    if requests is not None:
        requests = [_request(one, where) for one in requests]
    gaps = [(None, None) if gap is None else (gap[0], gap[1]) for gap in entry.get("gaps", [])]
    if gaps and requests is not None and len(gaps) != len(requests) - 1:
        raise ValueError(f"there are {len(gaps)} gaps between {len(requests)} requests; {len(requests) - 1} expected")
    outputs = entry.get("outputs")
    return Expect(entry["result"], requests, bool(entry.get("anyOrder", False)), gaps, outputs)


def _request(entry: Any, where: str) -> dict[str, Any]:
    """Give a request as a mapping; a text is its method and path, and its query where it has a `?`."""
    if isinstance(entry, str):
        method, _, target = entry.partition(" ")
        entry = {"method": method, "path": target}
    _known(entry, _REQUEST_FIELDS, f"{where}: a request")
    if "method" not in entry or not {"path", "target"} & set(entry):
        raise ValueError("a request needs 'method' and 'path' (or 'target')")
    return dict(entry)
