"""Recording and replaying as users do it: two commands, and between them a server that is gone."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest
from cli_case import FILES, LIMIT, ROOT, TREADLE, environment, free_port
from cli_server import Answer, scripted

SCHEMA = jsonschema_rs.validator_for(json.loads((ROOT / "tests" / "har-1.2.schema.json").read_text("utf-8")))
KEY = "k3y-of-the-user/+"
RUNNING = Answer(json={"running": True})
JOB = {
    "GET /jobs/nightly": [Answer(json={"name": "nightly"})],
    "POST /jobs/nightly/start": [Answer(json={"run": "r-1", "you": "{authorization}"})],
    "GET /jobs/nightly/status": [RUNNING, RUNNING, Answer(json={"running": False, "result": [1, "ü"]})],
}


@pytest.fixture
def folder(tmp_path):
    for path in FILES.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def treadle(folder, *words, code=0, **env):
    ended = subprocess.run(
        [*TREADLE, *words], cwd=folder, env=environment(folder, {"KEY": KEY, **env}), capture_output=True, text=True,
        timeout=LIMIT, check=False,
    )  # fmt: skip
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert KEY not in ended.stdout + ended.stderr
    return ended


def recorded(folder, script=None, *more, code=0, name="nightly", file="job.yaml"):
    """Record a run against a server that then goes; give the URL it had, what the run said, and the recording."""
    with scripted(script or JOB) as server:
        url = f"http://127.0.0.1:{server.port}"
        words = ["-i", f"name={name}", "-i", "apiKey=env:KEY"] if file == "job.yaml" else []
        options = ["--server", url, "--poll-interval", "0.01", "--record", "r.har", *more]
        ended = treadle(folder, "run", file, *words, *options, code=code)
    archive = json.loads((folder / "r.har").read_text("utf-8"))
    assert [str(error) for error in SCHEMA.iter_errors(archive)] == []
    assert KEY not in json.dumps(archive)
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".r.har")) == []
    return url, ended, archive


def replayed(folder, url, *more, code=0, name="nightly", key="KEY"):
    words = ["run", "job.yaml", "-i", f"name={name}", "-i", f"apiKey=env:{key}", "--server", url, "--replay", "r.har"]
    return treadle(folder, *words, *more, code=code)


def said(ended):
    """What a command said, without the times: how long an answer takes is another each time by a little."""
    return re.sub(r"^ *\d+\.\d s ", "", ended.stderr, flags=re.MULTILINE)


def lines(archive):
    return [
        f"{e['request']['method']} /{e['request']['url'].split('/', 3)[3]} {e['response']['status']}"
        for e in archive["log"]["entries"]
    ]


def test_a_run_replays_without_its_server_and_without_waiting(folder):
    url, first, archive = recorded(folder)
    assert lines(archive) == [
        "GET /jobs/nightly 200",
        "POST /jobs/nightly/start 200",
        *["GET /jobs/nightly/status 200"] * 3,
    ]
    assert [page["title"] for page in archive["log"]["pages"]] == ["run-job"]
    sent = {one["name"]: one["value"] for one in archive["log"]["entries"][0]["request"]["headers"]}
    assert sent["Authorization"] == "Bearer ***"
    again = replayed(folder, url, "--poll-interval", "1000", "--poll-max-interval", "1000")
    assert again.stdout == first.stdout
    assert json.loads(again.stdout)["result"] == [1, "ü"]


def test_another_key_fits_what_is_masked(folder):
    url, first, _ = recorded(folder)
    again = subprocess.run(
        [*TREADLE, "run", "job.yaml", "-i", "name=nightly", "-i", "apiKey=another", "--server", url, "--replay", "r.har"],
        cwd=folder, env=environment(folder, {}), capture_output=True, text=True, timeout=LIMIT, check=True,
    )  # fmt: skip
    assert again.stdout == first.stdout


def test_a_run_that_asks_for_something_else_departs(folder):
    url, _, _ = recorded(folder)
    ended = replayed(folder, url, "--json", name="weekly", code=1)
    message, hint = ended.stderr.splitlines()[-2:]
    assert message == (
        f"treadle: step 'look': the run departs from the recording r.har at request 1: "
        f"expected GET {url}/jobs/nightly, found GET {url}/jobs/weekly"
    )
    assert hint == "  hint: replay it with the inputs and options that it was recorded with, or record it anew"
    report = json.loads(ended.stdout)
    assert (report["status"], report["error"]["kind"], report["error"]["stepId"]) == ("failed", "replay", "look")


BODY = """
arazzo: 1.0.1
info: {title: x, version: 1.0.0}
sourceDescriptions: [{name: jobs, url: jobs.openapi.yaml, type: openapi}]
workflows:
  - workflowId: w
    inputs: {type: object, properties: {n: {type: integer}, password: {type: string}}}
    steps:
      - stepId: start
        operationId: startJob
        parameters: [{name: name, in: path, value: nightly}]
        requestBody: {contentType: application/json, payload: {a: [1, {b: $inputs.n}], password: $inputs.password}}
        successCriteria: [condition: $statusCode == 200]
        onFailure: [{name: again, type: retry, retryLimit: 3}]
"""


def test_a_body_that_differs_is_told_by_its_place_and_no_action_hides_it(folder):
    (folder / "body.yaml").write_text(BODY, "utf-8")
    words = ["run", "body.yaml", "-i", "n=1", "-i", "password=env:KEY"]
    with scripted({"*": [Answer()]}) as server:
        url = f"http://127.0.0.1:{server.port}"
        treadle(folder, *words, "--server", url, "--record", "r.har")
    assert KEY not in (folder / "r.har").read_text("utf-8")
    treadle(folder, *words, "--server", url, "--replay", "r.har", "-i", "password=something-else")
    ended = treadle(folder, *words, "--server", url, "--replay", "r.har", "-i", "n=2", code=1)
    assert ended.stderr.splitlines()[-2] == (
        f"treadle: step 'start': the run departs from the recording r.har at request 1, "
        f"POST {url}/jobs/nightly/start: its body differs at `#/a/1/b`: expected 1, found 2"
    )


def test_a_recording_that_ends_before_the_run(folder):
    url, _, archive = recorded(folder)
    del archive["log"]["entries"][-1]
    (folder / "r.har").write_text(json.dumps(archive), "utf-8")
    ended = replayed(folder, url, code=1)
    assert f"at request 5: expected no more, found GET {url}/jobs/nightly/status" in ended.stderr


def test_what_is_not_asked_for_is_a_warning(folder):
    url, first, archive = recorded(folder)
    archive["log"]["entries"] += archive["log"]["entries"][-2:]
    (folder / "r.har").write_text(json.dumps(archive), "utf-8")
    ended = replayed(folder, url)
    assert ended.stdout == first.stdout
    assert (
        "warning[replay-unused]: 2 requests of the recording r.har were not sent again; "
        f"the first is GET {url}/jobs/nightly/status" in ended.stderr.splitlines()
    )


def test_the_masked_text_of_a_recording_may_be_anywhere(folder):
    """What was a secret then is matched as anything, whatever it is now."""
    script = {"*": [Answer(json={"running": False})]}
    with scripted(script) as server:
        url = f"http://127.0.0.1:{server.port}"
        words = ["run", "job.yaml", "-i", "apiKey=abcdef", "--server", url]
        treadle(folder, *words, "-i", "name=env:KEY", "--record", "r.har")
    treadle(folder, *words, "-i", "name=plain", "--replay", "r.har")


def test_a_run_that_is_replayed_is_in_no_journal(folder):
    url, _, _ = recorded(folder, None, "--no-journal")
    replayed(folder, url, "--state", "journal.sqlite")
    assert list(folder.rglob("journal.sqlite*")) == []


def test_a_failed_run_is_recorded_and_fails_again(folder):
    refusal = Answer(status=403, json={"message": "not for {authorization}"})
    url, first, archive = recorded(folder, {"*": [refusal]}, code=1)
    assert lines(archive) == ["GET /jobs/nightly 403"]
    assert said(replayed(folder, url, code=1)) == said(first)


def test_a_request_whose_answer_never_came_is_in_doubt_again(folder):
    url, first, archive = recorded(
        folder, {**JOB, "POST /jobs/nightly/start": [Answer(special="reset")]}, "--no-journal", code=4
    )
    assert archive["log"]["entries"][-1]["response"]["_error"] == "the connection was closed before the answer came"
    assert said(replayed(folder, url, code=4)) == said(first)


def test_repeats_and_redirects_have_entries_of_their_own(folder):
    moved = Answer(status=302, headers={"Location": "/elsewhere?token=t0ken-of-theirs"})
    script = {**JOB, "GET /jobs/nightly": [Answer(status=503, headers={"Retry-After": "0"}), moved]}
    script["GET /elsewhere"] = [Answer(text="ok")]
    url, first, archive = recorded(folder, script)
    assert lines(archive)[:3] == ["GET /jobs/nightly 503", "GET /jobs/nightly 302", "GET /elsewhere?token=*** 200"]
    assert archive["log"]["entries"][1]["response"]["redirectURL"] == "/elsewhere?token=***"
    assert replayed(folder, url).stdout == first.stdout


def test_an_interrupted_run_is_recorded(folder):
    script = {**JOB, "GET /jobs/nightly/status": [RUNNING, Answer(special="hang")]}
    with scripted(script) as server:
        words = ["run", "job.yaml", "-i", "name=nightly", "-i", "apiKey=env:KEY", "--poll-interval", "0.01"]
        url = f"http://127.0.0.1:{server.port}"
        process = subprocess.Popen(
            [*TREADLE, *words, "--server", url, "--record", "r.har"], cwd=folder,
            env=environment(folder, {"KEY": KEY}), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert server.wait_for("GET /jobs/nightly/status", 2, LIMIT)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    archive = json.loads((folder / "r.har").read_text("utf-8"))
    assert lines(archive)[-2:] == ["GET /jobs/nightly/status 200", "GET /jobs/nightly/status 0"]
    ended = replayed(folder, url, code=1)
    assert "the recording r.har ends here: the run was interrupted while this request was under way" in ended.stderr


def test_what_was_loaded_from_the_network_is_in_it(folder):
    documents = {
        f"GET /{name}": [Answer(text=(folder / name).read_text())] for name in ("job.yaml", "jobs.openapi.yaml")
    }
    with scripted({**JOB, **documents}) as server:
        url = f"http://127.0.0.1:{server.port}"
        words = ["run", f"{url}/job.yaml", "-i", "name=nightly", "-i", "apiKey=env:KEY", "--server", url]
        first = treadle(folder, *words, "--poll-interval", "0.01", "--record", "r.har")
    again = treadle(folder, *words, "--replay", "r.har")
    assert again.stdout == first.stdout
    pages = json.loads((folder / "r.har").read_text("utf-8"))["log"]["pages"]
    assert [page["title"] for page in pages] == ["shared", "run-job"]
    ended = treadle(folder, "run", f"{url}/other.yaml", "--replay", "r.har", code=2)
    assert f"found GET {url}/other.yaml" in ended.stderr


# Files


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("missing/r.har", "No such file or directory"),
        (".", "it is no regular file"),
        ("/dev/full", "it is no regular file"),
        ("job.yaml/r.har", "Not a directory"),
        ("/proc/r.har", "No such file or directory"),
    ],
)
def test_where_no_recording_can_be(folder, path, why):
    with scripted(JOB) as server:
        url = f"http://127.0.0.1:{server.port}"
        ended = treadle(folder, "run", "job.yaml", "-i", "name=x", "--server", url, "--record", path, code=2)
        assert server.seen == []
    assert ended.stderr.splitlines()[0] == f"treadle: --record {path} cannot be written: {why}"


def test_a_disk_that_is_full_in_the_end_loses_no_outcome(folder):
    (folder / "r.har").write_text("what was there before", "utf-8")
    with scripted(JOB) as server:
        words = ["run", "job.yaml", "-i", "name=nightly", "--server", f"http://127.0.0.1:{server.port}"]
        command = [*TREADLE, *words, "--poll-interval", "0.01", "--record", "r.har", "--no-journal"]
        limited = "import resource, os, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); os.execv(sys.argv[1], sys.argv[1:])"
        ended = subprocess.run(
            [sys.executable, "-c", limited, *command], cwd=folder, env=environment(folder, {}), capture_output=True,
            text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["run"] == "r-1"
    assert f"treadle: the recording could not be written to {folder}/r.har: File too large" in ended.stderr
    assert (folder / "r.har").read_text("utf-8") == "what was there before"
    assert [path.name for path in folder.iterdir() if path.name.endswith(".part")] == []


def test_a_run_that_is_refused_leaves_no_recording(folder):
    treadle(folder, "run", "job.yaml", "--server", "http://127.0.0.1:1", "--record", "r.har", code=2)
    assert not (folder / "r.har").exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "is no HTTP Archive (HAR 1.2): Input data was truncated"),
        ("{}", "is no HTTP Archive (HAR 1.2): Object missing required field `log`"),
        ('{"log": {"entries": [{"request": {"url": 1}}]}}', "is no HTTP Archive (HAR 1.2): Expected `str`, got `int` - at `$.log.entries[0].request.url`"),
    ],
    ids=["missing", "empty", "other JSON", "other entries"],
)  # fmt: skip
def test_what_is_no_recording(folder, text, why):
    if text is not None:
        (folder / "x.har").write_text(text, "utf-8")
    ended = treadle(folder, "run", "job.yaml", "-i", "name=x", "--replay", "x.har", code=2)
    assert ended.stderr.splitlines()[0].startswith(f"treadle: --replay x.har {why}")


def test_one_or_the_other(folder):
    ended = treadle(folder, "run", "job.yaml", "--record", "a.har", "--replay", "b.har", code=2)
    assert ended.stderr.startswith("treadle: --record and --replay exclude each other\n")


# Recordings of other tools


def test_the_recording_of_a_browser(folder):
    """As Chromium writes them: other requests in between, HTTP/2, bodies in base64, fields of its own."""
    browser = Path(__file__).with_name("browser.har").read_text("utf-8")
    (folder / "r.har").write_text(browser, "utf-8")
    ended = replayed(folder, f"http://127.0.0.1:{free_port()}", code=1)
    assert "expected OPTIONS https://jobs.test/v1/jobs/nightly" in ended.stderr
    ended = replayed(folder, "https://jobs.test/v1")
    assert json.loads(ended.stdout) == {"run": "r-7", "result": "grün"}
    assert "3 requests of the recording r.har were not sent again" in ended.stderr
