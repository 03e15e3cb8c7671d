"""conformance/run as a stranger meets it: with the real command line, with other tools, and used wrongly."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from suite_under_test import COMMAND, ROOT, suite

RUN = ROOT / "conformance" / "run"
FAKE = Path(__file__).with_name("fake_runner.py")


def run(*arguments):
    ended = subprocess.run(
        [sys.executable, str(RUN), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in ended.stdout + ended.stderr, ended.stderr
    return ended


def fake(does, *more):
    return shlex.join([sys.executable, str(FAKE), json.dumps(does), "{server}", *more, "{document}"])


THROUGH_THE_COMMAND_LINE = (
    "the-smallest-document-runs", "no-info", "a-retry-limit", "parts-of-the-request", "defaults-of-inputs",
    "inputs-that-do-not-fit-their-schema", "a-json-text-with-expressions", "a-retry-after-header-that-is-longer",
)  # fmt: skip


def test_the_real_command_line(tmp_path):
    only = [word for name in THROUGH_THE_COMMAND_LINE for word in ("--only", name)]
    ended = run("--command", COMMAND, "--jobs", "2", "--outputs", "stdout", "--junit", str(tmp_path / "j.xml"), *only)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"total                   {len(THROUGH_THE_COMMAND_LINE)} passed    0 failed" in ended.stdout
    report = ET.parse(tmp_path / "j.xml").getroot()  # noqa: S314 - what we wrote ourselves
    assert (report.get("tests"), report.get("failures")) == (str(len(THROUGH_THE_COMMAND_LINE)), "0")


def test_a_failure_is_told_with_what_was_expected_and_found():
    ended = run("--command", fake({"send": [{"line": "GET /second"}]}), "--only", "the-smallest-document-runs")
    assert ended.returncode == 1
    assert "FAIL  document/required  the-smallest-document-runs" in ended.stdout
    assert "request 1: path: expected /first, found /second" in ended.stdout


def test_json_says_the_same(tmp_path):
    command = fake({"exit": 2})
    junit = tmp_path / "j.xml"
    ended = run("--command", command, "--section", "document", "--format", "json", "--junit", str(junit), "--jobs", "4")
    report = json.loads(ended.stdout)
    found = {case["id"]: case for case in report["cases"]}
    assert report["format"] == "arazzo-conformance/1"
    assert report["passed"] + report["failed"] == len(found) == sum(case.section == "document" for case in suite.load())
    assert found["no-info"]["passed"]
    assert (
        found["the-smallest-document-runs"]["problems"][0]
        == "result: expected succeeded (exit code 0), found exit code 2"
    )
    failures = ET.parse(junit).getroot().findall(".//failure")  # noqa: S314 - what we wrote ourselves
    assert len(failures) == report["failed"]


def test_placeholders(tmp_path):
    case = {
        "id": "a", "claims": ["a.b"], "polarity": "positive", "run": "main", "inputs": {"a": "x y", "b": [1]},
        "expect": {"result": "succeeded", "outputs": {"arguments": ["-i", "a=x y", "-i", "b=[1]", '{"a": "x y", "b": [1]}', "main"]}},
    }  # fmt: skip
    _write(tmp_path, [case])
    words = ["-i", "{inputs:pairs}", "{inputs:json}", "{workflow}"]
    command = shlex.join([sys.executable, str(FAKE), '{"arguments": true}', "{server}", *words])
    ended = run("--cases", str(tmp_path), "--command", command, "--outputs", "stdout")
    assert "{document}" in ended.stderr
    assert ended.returncode == 2
    case["expect"]["outputs"]["arguments"].append("{folder}/arazzo.json")
    _write(tmp_path, [case])
    ended = run("--cases", str(tmp_path), "--command", f"{command} {{document}}", "--outputs", "stdout")
    assert ended.returncode == 0, ended.stdout


def test_a_flag_of_pairs_goes_where_there_are_no_inputs(tmp_path):
    expect = {"result": "succeeded", "outputs": {"arguments": ["{folder}/arazzo.json"]}}
    _write(tmp_path, [{"id": "a", "claims": ["a.b"], "polarity": "positive", "expect": expect}])
    ended = run("--cases", str(tmp_path), "--command", fake({"arguments": True}, "-i", "{inputs:pairs}"))
    assert ended.returncode == 0, ended.stdout


def test_outputs_in_a_file_and_below_a_name(tmp_path):
    _write(
        tmp_path,
        [
            {
                "id": "a",
                "claims": ["a.b"],
                "polarity": "positive",
                "expect": {"result": "succeeded", "outputs": {"n": 1}},
            }
        ],
    )
    found = {"result": {"n": 1}}
    at = ("--cases", str(tmp_path), "--outputs", "stdout", "--outputs-at", "result")
    assert run(*at, "--command", fake({"write": found}, "{outputs}")).returncode == 0
    assert run(*at, "--command", fake({"print": found})).returncode == 0
    assert run(*at, "--command", fake({"print": {"n": 1}})).returncode == 1


def test_a_shell_reads_the_command_where_asked_to():
    command = fake({"send": [{"line": "GET /first"}], "exit": 7}) + " || true"
    one = ("--only", "the-smallest-document-runs")
    assert run(*one, "--shell", "--command", command).returncode == 0
    assert run(*one, "--command", command).returncode == 1


def test_strict_spec_leaves_out_what_the_specification_leaves_open():
    everything = run("--list").stdout.splitlines()
    strict = run("--list", "--strict-spec").stdout.splitlines()
    assert len(strict) < len(everything)
    assert not any("document.version-1-0" in line for line in strict)


def test_show_prints_the_documents():
    shown = run("--show", "--only", "the-smallest-document-runs").stdout
    assert '"arazzo": "1.1.0"' in shown
    assert "api.openapi.json" in shown


def test_outputs_that_nobody_printed_are_told():
    ended = run("--command", fake({}), "--only", "escapes-in-pointers")
    assert ended.returncode == 0
    assert "Outputs could not be compared in 1 case" in ended.stdout


WRONG = {
    "no command": [],
    "no document": ["--command", "true"],
    "no such program": ["--command", "/no/such/program {document}", "--only", "no-info"],
    "a quote that is open": ["--command", "run '{document}"],
    "no such case": ["--command", "true {document}", "--only", "nobody-*"],
    "no such section": ["--command", "true {document}", "--section", "nowhere"],
    "no such claim": ["--command", "true {document}", "--claim", "a.b"],
    "nothing is left": ["--list", "--section", "document", "--claim", "steps.*"],
    "no jobs": ["--command", "true {document}", "--jobs", "0"],
    "no seconds": ["--command", "true {document}", "--timeout", "soon"],
    "no folder for the report": ["--command", "true {document}", "--junit", "/no/such/folder/j.xml"],
    "no cases": ["--command", "true {document}", "--cases", "/no/such/folder"],
    "pairs in a shell": ["--shell", "--command", "true {document} {inputs:pairs}"],
    "pairs alone": ["--command", "{inputs:pairs} {document}"],
    "unknown option": ["--wrong"],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG)
def test_wrong_use(arguments):
    ended = run(*arguments)
    assert ended.returncode == 2
    assert "error:" in ended.stderr
    assert ended.stdout == ""


def test_the_suite_needs_nothing_of_treadle():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import conformance.commandline; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, timeout=60, check=True
    )
    foreign = {"treadle", "msgspec", "aiohttp", "fast_yaml", "click", "jsonschema_rs"}
    assert not foreign & {name.partition(".")[0] for name in ended.stdout.split()}


def _write(root, cases):
    path = root / "section" / "topic.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(cases), "utf-8")
