"""Every case of the suite with marked secrets put through it, and a search of all that was written for the marks.

Each input that is a text becomes a mark given by `env:`; each workflow gets an input by a secret name that it sends as
a key and in Authorization; each answer names a token, sets a cookie and throws back whatever came in, in every form.
"""

import base64
import json
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

import pytest
from click.testing import CliRunner
from suite_under_test import suite

from conformance.script import Answer, Script, ScriptedServer
from treadle.surfaces.cli import main

CORES = {"input": "Zq7InpuTx", "key": "Zq7KeYoFx", "token": "Zq7ToKeNx", "cookie": "Zq7CooKiEx"}
"""What is searched for: letters and digits, which stay what they are in every form but base64."""
MARKS = {**{name: f'{core}/"+=<&%41>' for name, core in CORES.items()}, "cookie": f"{CORES['cookie']}-c-d-e"}
VARIABLE = "TREADLE_TEST_MARK"


class Written(NamedTuple):
    """How many requests a run sent, and what it wrote: the streams, and each file by its name."""

    requests: int
    texts: dict[str, bytes]


class EchoingServer(ScriptedServer):
    """Gives the answers of a script, with tokens, and with what came in; `marks` are those that the run was given."""

    marks: list[str]

    def answer(self, seen):
        answer = super().answer(seen)
        came = "\n".join(
            [seen.target, *(f"{name}: {value}" for name, value in seen.headers), seen.body.decode("latin-1")]
        )
        if "refused" in came:
            # What was thrown back is not thrown back again: forms of forms of forms have no end.
            came = seen.target.partition("?")[0]
        forms = [came, quote(came), quote_plus(came), json.dumps(came), base64.b64encode(came.encode()).decode()]
        forms += [
            *self.marks,
            *map(quote, self.marks),
            base64.b64encode("..".join(self.marks).encode()).decode(),
        ]
        headers = {
            **answer.headers,
            "Set-Cookie": f"sid={MARKS['cookie']}; Path=/",
            "X-Echo": quote(came) + base64.b64encode(came.encode()).decode() + self.marks[-1],
        }
        body = answer.body
        try:
            value = json.loads(body)
        except ValueError:
            return Answer(answer.status, headers, body, answer.delay, answer.drop)
        if isinstance(value, dict):
            echo = {"message": f"refused: {forms}", **value, "access_token": MARKS["token"], "echo": forms, came: forms}
            body = json.dumps(echo).encode()
        return Answer(answer.status, headers, body, answer.delay, answer.drop)


@contextmanager
def _echoing(script: Script):
    with EchoingServer(script) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()


def with_marks(value: Any, inputs: dict[str, Any]) -> Any:
    """Put the mark where an answer says what an input was, so that criteria find what they look for."""
    given = {text for text in inputs.values() if isinstance(text, str) and text}
    if isinstance(value, str):
        return MARKS["input"] if value in given else value
    if isinstance(value, dict):
        return {name: with_marks(entry, inputs) for name, entry in value.items()}
    return [with_marks(entry, inputs) for entry in value] if isinstance(value, list) else value


def _with_key(whole: Any) -> Any:
    """Give every workflow of a document an input by a secret name that goes out with each of its requests."""
    if not isinstance(whole, dict) or not isinstance(whole.get("workflows"), list):
        return whole
    for workflow in whole["workflows"]:
        if not isinstance(workflow, dict) or "$ref" in (workflow.get("inputs") or {}):
            continue
        declared = workflow.setdefault("inputs", {"type": "object"})
        if not isinstance(declared, dict) or not isinstance(workflow.setdefault("parameters", []), list):
            continue
        declared.setdefault("properties", {})["zq7Password"] = {"type": "string"}
        workflow["parameters"].append({"name": "X-Zq7-Key", "in": "header", "value": "$inputs.zq7Password"})
        if '"querystring"' not in json.dumps(workflow):  # with which no other parameter of the query can be
            workflow["parameters"].append({"name": "zq7_token", "in": "query", "value": "$inputs.zq7Password"})
    return whole


def run_tainted(case: suite.Case, folder: Path, *options: str) -> Written:
    """Run a case through the command line with everything marked, and give all that was written."""
    script = Script({
        key: [_marked(one, case.inputs) for one in answers] if isinstance(answers, list) else _marked(answers, case.inputs)
        for key, answers in case.script.answers.items()
    })  # fmt: skip
    folder = folder / "documents"
    out = folder.parent / "written"
    out.mkdir()
    with _echoing(script) as server:
        files = case.files({"server": server.url, "folder": str(folder)})
        for name, text in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_keyed(text), "utf-8")
        server.documents = files
        plain = {name: value for name, value in case.inputs.items() if not isinstance(value, str)}
        (folder / "inputs.json").write_text(json.dumps(plain), "utf-8")
        marked = [name for name, value in case.inputs.items() if isinstance(value, str) and "=" not in name]
        given = [word for name in marked for word in ("-i", f"{name}=env:{VARIABLE}")]
        server.marks = [mark for name, mark in MARKS.items() if marked or name != "input"]
        document = str(folder / case.document)
        words = ["run", document, case.workflow_id, "--inputs", str(folder / "inputs.json"), *given]
        words += ["-i", f"zq7Password=env:{VARIABLE}_KEY", "--transport-retries", "0", "--poll-interval", "0"]
        words += ["--report", str(out / "report.json"), "--record", str(out / "recording.har"), *options]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(out)
            patch.setenv("HOME", str(out))
            patch.setenv("XDG_CACHE_HOME", str(out / "cache"))
            patch.setenv("TREADLE_STATE", str(out / "journal.sqlite"))
            env = {VARIABLE: MARKS["input"], f"{VARIABLE}_KEY": MARKS["key"]}
            ended = CliRunner().invoke(main, words, env=env)
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    assert "this is a bug" not in ended.stderr, ended.stderr
    files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    return Written(len(server.seen), {"stdout": ended.stdout_bytes, "stderr": ended.stderr_bytes, **files})


def _keyed(text: str) -> str:
    try:
        return json.dumps(_with_key(json.loads(text)))
    except ValueError:  # documents in YAML go as they are
        return text


def _marked(answer: Answer, inputs: dict[str, Any]) -> Answer:
    try:
        body = json.dumps(with_marks(json.loads(answer.body), inputs)).encode()
    except ValueError:
        body = answer.body
    return Answer(answer.status, answer.headers, body, answer.delay, answer.drop)


def found_in(written: Written) -> list[str]:
    """Give where a mark was found: plain, with letters of the other case, in base64 at any offset, in base64 of files."""
    found = []
    for name, content in written.texts.items():
        for what, core in CORES.items():
            found += [f"{what} in {name}: …{around}…" for around in _found(content, core)]
    return found


def _found(content: bytes, core: str) -> list[str]:
    wanted = [core.encode().lower()]
    at = content.lower().find(wanted[0])
    places = [at] if at >= 0 else []
    for padding in range(3):
        code = base64.b64encode(b"\0" * padding + core.encode()).rstrip(b"=")
        part = code[(0, 2, 3)[padding] : len(code) - (1 if (padding + len(core)) % 3 else 0)]
        places += [
            content.find(form) for form in (part, part.replace(b"/", b"_").replace(b"+", b"-")) if form in content
        ]
    return [content[max(0, at - 60) : at + 60].decode("utf-8", "replace") for at in places]
