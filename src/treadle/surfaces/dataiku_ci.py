"""How scenarios ended, for the places where pipelines show it: JUnit, GitHub Actions, GitLab."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from treadle.surfaces.dataiku_view import ended_lines
from treadle.vendors.dataiku.scenario import Ended


def junit(ended: Sequence[Ended]) -> bytes:
    """Give a JUnit report: a suite for each project, a case for each scenario."""
    whole = Element("testsuites", name="treadle dataiku")
    for project in dict.fromkeys(entry.project for entry in ended):
        cases = [entry for entry in ended if entry.project == project]
        suite = SubElement(whole, "testsuite", name=project, tests=str(len(cases)))
        counts = dict.fromkeys(("failures", "errors", "skipped"), 0)
        for entry in cases:
            kind = _junit_case(suite, entry)
            if kind is not None:
                counts[kind] += 1
        for name, count in counts.items():
            suite.set(name, str(count))
        suite.set("time", f"{sum(entry.duration or 0.0 for entry in cases):.3f}")
    text: bytes = tostring(whole, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _junit_case(suite: Element, entry: Ended) -> str | None:
    case = SubElement(
        suite, "testcase", classname=entry.project, name=entry.scenario, time=f"{entry.duration or 0.0:.3f}"
    )
    message = _plain(_summary(entry))
    if entry.url:
        SubElement(SubElement(case, "properties"), "property", name="url", value=entry.url)
    if entry.status == "skipped":
        SubElement(case, "skipped", message=message)
        return "skipped"
    if entry.exit_code == 0:
        return None
    known = entry.outcome is not None
    found = SubElement(case, "failure" if known else "error", message=message, type=entry.outcome or entry.status)
    found.text = _plain("\n".join(ended_lines(entry)))
    return "failures" if known else "errors"


def _plain(text: str) -> str:
    """Leave out what XML 1.0 cannot hold."""
    return "".join(character for character in text if character in "\t\n" or character >= " ")


def _summary(entry: Ended) -> str:
    error = entry.error or {}
    if error.get("message"):
        return f"step '{error['step']}': {error['message']}"
    return entry.message or entry.outcome or entry.status


def github_annotations(ended: Sequence[Ended]) -> list[str]:
    """Give workflow commands of GitHub Actions: an error, a warning or a notice for each scenario."""
    lines = []
    for entry in ended:
        kind = "error" if entry.exit_code else "warning" if entry.outcome == "WARNING" else "notice"
        title = f"{entry.project}.{entry.scenario} {entry.outcome or entry.status}"
        said = f"{_summary(entry)} ({entry.url})" if entry.url else _summary(entry)
        lines.append(f"::{kind} title={_property(title)}::{_data(said)}")
    return lines


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def github_summary(ended: Sequence[Ended]) -> str:
    """Give a table in Markdown for the summary page of a job."""
    rows = ["| scenario | outcome | duration | |", "|---|---|---|---|"]
    for entry in ended:
        took = "" if entry.duration is None else f"{entry.duration:.1f} s"
        said = _summary(entry) if entry.exit_code else ""
        name = f"[{entry.project}.{entry.scenario}]({entry.url})"
        rows.append(f"| {name} | {entry.outcome or entry.status} | {took} | {_cell(said)} |")
    return "\n".join(rows) + "\n\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def gitlab_annotations(ended: Sequence[Ended]) -> str:
    """Give what `artifacts:reports:annotations` of GitLab takes: a link to each run on the page of the job."""
    links = [
        {
            "external_link": {
                "label": f"{entry.project}.{entry.scenario}: {entry.outcome or entry.status}",
                "url": entry.url,
            }
        }
        for entry in ended
        if entry.url
    ]
    return json.dumps({"DSS scenarios": links}, indent=2) + "\n"


def write(path: Path, content: bytes, *, mode: Literal["wb", "ab"] = "wb") -> str | None:
    """Write a file, or add to it; give what is wrong where that fails."""
    try:
        with path.open(mode) as stream:
            stream.write(content)
    except OSError as error:
        return f"{path} could not be written: {error.strerror}"
    return None
