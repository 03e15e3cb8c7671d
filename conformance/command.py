"""Runs one case through a command line and gathers what it did."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .judge import Observed, judge
from .script import scripted
from .suite import Case

PAIRS = "{inputs:pairs}"
"""Stands for all inputs as NAME=VALUE, each after the word that stands before it."""


class CommandInvalid(Exception):
    """The command cannot be used; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Command:
    """How a runner is called.

    Attributes:
        text: the command with its placeholders.
        shell: a shell reads it, instead of this program.
        timeout: seconds that a case may take.
        outputs: stdout (must be JSON), auto (where it is a JSON object) or none.
        outputs_at: the names that lead from the JSON to the outputs.
        strict_spec: judge by the specification alone.
        keep: leave the folders of cases that fail.
    """

    text: str
    shell: bool = False
    timeout: float = 30.0
    outputs: str = "auto"
    outputs_at: tuple[str, ...] = ()
    strict_spec: bool = False
    keep: bool = False

    def check(self) -> None:
        """Make sure that the command can be used.

        Raises:
            CommandInvalid: it cannot.
        """
        if "{document}" not in self.text:
            raise CommandInvalid("the command has no {document}: write it where your tool expects the Arazzo document")
        try:
            words = shlex.split(self.text)
        except ValueError as error:
            raise CommandInvalid(f"the command cannot be read: {error}") from error
        if self.shell and PAIRS in self.text:
            raise CommandInvalid(f"{PAIRS} is for commands without --shell")
        if words and words[0] == PAIRS:
            raise CommandInvalid(f"{PAIRS} needs a word before it, such as -i")

    def words(self, places: Mapping[str, str], inputs: Mapping[str, Any]) -> list[str]:
        """Give the command of one case, word by word."""
        if self.shell:
            return ["/bin/sh", "-c", _filled(self.text, {name: shlex.quote(text) for name, text in places.items()})]
        found: list[str] = []
        for word in shlex.split(self.text):
            if word == PAIRS:
                flag = found.pop()
                for name, value in inputs.items():
                    found += [flag, f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
            else:
                found.append(_filled(word, places))
        return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a case."""

    case: Case
    problems: list[str]
    seconds: float
    code: int | None
    outputs_seen: bool
    words: list[str]
    stderr: str
    folder: str | None

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.problems


def _filled(text: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def run_case(case: Case, command: Command) -> Verdict:
    """Set a case up, run the command on it, and judge.

    Raises:
        CommandInvalid: there is no such program.
    """
    folder = Path(tempfile.mkdtemp(prefix="arazzo-conformance-"))
    kept = False
    try:
        with scripted(case.script) as server:
            places = {"server": server.url, "folder": str(folder)}
            server.documents = write(case, folder, places)
            inputs = folder / "inputs.json"
            inputs.write_text(json.dumps(case.inputs), "utf-8")
            words = command.words(
                {
                    **places,
                    "document": str(folder / case.document),
                    "workflow": case.workflow_id,
                    "inputs": str(inputs),
                    "inputs:json": json.dumps(case.inputs),
                    "outputs": str(folder / "outputs.json"),
                },
                case.inputs,
            )
            began = time.monotonic()
            code, stdout, stderr = _call(words, command.timeout)
            seconds = time.monotonic() - began
            text = _text_of(folder / "outputs.json") if "{outputs}" in command.text else stdout
            outputs, wrong = _outputs(text, command, wanted=case.expect.outputs is not None)
            observed = Observed(list(server.seen), code, outputs)
        problems = judge(case, observed, places, strict_spec=command.strict_spec) + wrong
        kept = bool(problems) and command.keep
        shown = str(folder) if kept else None
        return Verdict(case, problems, seconds, code, outputs is not None, words, stderr, shown)
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def write(case: Case, folder: Path, places: Mapping[str, str]) -> dict[str, str]:
    """Write the documents of a case into a folder, and give them."""
    files = case.files(places)
    for name, text in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
    return files


def _call(words: list[str], timeout: float) -> tuple[int | None, str, str]:
    env = {**os.environ, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", "NO_COLOR": "1"}
    try:
        process = subprocess.Popen(  # noqa: S603 - to run what it is given is what this program is for
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandInvalid(f"'{words[0]}' cannot be started: {error.strerror}") from error
    try:
        out, err = process.communicate(timeout=timeout)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        code = None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    return code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""


def _outputs(text: str, command: Command, *, wanted: bool) -> tuple[Any, list[str]]:
    """Give the outputs that the runner printed, or None, and what is wrong with them."""
    if not wanted or command.outputs == "none":
        return None, []
    try:
        found = json.loads(text)
        for name in command.outputs_at:
            found = found[name]
    except (ValueError, KeyError, TypeError):
        found = None
    if isinstance(found, dict):
        return found, []
    if command.outputs == "auto":
        return None, []
    return None, ["outputs: expected one JSON object, found none"]
