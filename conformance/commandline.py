"""The command line of the suite: which cases, which runner, and what became of them."""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree as ET

from .command import Command, CommandInvalid, Verdict, run_case
from .matrix import judged_by_semantics, load_claims
from .reading import SuiteInvalid
from .suite import CASES, Case, load

_ABOUT = "Run the conformance suite for Arazzo runners against a command."
_EXAMPLE = """\
example:
  conformance/run --jobs 4 --command 'treadle run {document} {workflow} --inputs {inputs}'

{document} is the Arazzo document of a case, {workflow} the workflow to run, {inputs} a JSON file of its inputs.
{inputs:json} is that JSON itself; `-i {inputs:pairs}` becomes -i NAME=VALUE for each input. {outputs} is a file that
the runner writes its outputs to, where it does not print them. {server} and {folder} are the URL of the case's server
and the folder of its files. No shell reads the command unless --shell is given.

exit code: 0 every case passed, 1 a case failed, 2 nothing was run
"""
_LAST_LINES = 6


def main(arguments: list[str] | None = None) -> int:
    """Run the suite; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (SuiteInvalid, CommandInvalid) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="conformance/run",
        description=_ABOUT,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--command", metavar="TEXT", help="how to run a workflow, with placeholders (see below)")
    parser.add_argument("--shell", action="store_true", help="let /bin/sh read the command")
    parser.add_argument("--only", metavar="ID", action="append", default=[], help="cases of this id (* and ? match)")
    parser.add_argument("--section", metavar="NAME", action="append", default=[], help="cases of this section")
    parser.add_argument(
        "--claim", metavar="ID", action="append", default=[], help="cases of this claim (* and ? match)"
    )
    parser.add_argument("--strict-spec", action="store_true", help="judge by the specification alone (see README.md)")
    parser.add_argument("--jobs", metavar="N", type=_positive, default=1, help="cases at a time [1]")
    parser.add_argument("--timeout", metavar="S", type=_seconds, default=30.0, help="seconds a case may take [30]")
    parser.add_argument(
        "--outputs", choices=("auto", "stdout", "none"), default="auto",
        help="auto: compare where stdout is a JSON object; stdout: it must be one; none: do not compare [auto]",
    )  # fmt: skip
    parser.add_argument("--outputs-at", metavar="NAME", action="append", default=[], help="outputs are below this name")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="what is printed [text]")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="also write a JUnit report")
    parser.add_argument("--failures", action="store_true", help="print no line for a case that passed")
    parser.add_argument("--keep", action="store_true", help="keep the folders of cases that fail")
    parser.add_argument("--cases", metavar="FOLDER", type=Path, default=CASES, help="where the cases are")
    parser.add_argument("--list", action="store_true", help="print the chosen cases and their claims, run nothing")
    parser.add_argument("--show", action="store_true", help="print the files of the chosen cases, run nothing")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return number


def _run(options: argparse.Namespace) -> int:
    chosen = choose(load(options.cases), options)
    if options.list or options.show:
        for case in chosen:
            print(_listed(case) if options.list else _shown(case))
        return 0
    command = _command(options)
    verdicts = []
    for verdict in _verdicts(chosen, command, options.jobs):
        verdicts.append(verdict)
        if options.format == "text":
            _print(verdict, failures_only=options.failures)
    if options.format == "json":
        print(json.dumps(report(verdicts, command.text), indent=2))
    else:
        _print_summary(verdicts)
    if options.junit is not None:
        options.junit.write_text(junit(verdicts), "utf-8")
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _command(options: argparse.Namespace) -> Command:
    if options.command is None:
        raise CommandInvalid("--command is needed; for example 'treadle run {document} {workflow} --inputs {inputs}'")
    if options.junit is not None and not options.junit.resolve().parent.is_dir():
        raise CommandInvalid(f"--junit: there is no folder {options.junit.resolve().parent}")
    command = Command(
        options.command, options.shell, options.timeout, options.outputs, tuple(options.outputs_at),
        options.strict_spec, options.keep,
    )  # fmt: skip
    command.check()
    return command


def choose(cases: list[Case], options: argparse.Namespace) -> list[Case]:
    """Give the cases that the options ask for.

    Raises:
        SuiteInvalid: an option matches no case.
    """
    open_points = judged_by_semantics(load_claims()) if options.strict_spec else frozenset()
    tests = (
        ("--only", options.only, lambda case, text: fnmatchcase(case.id, text)),
        ("--section", options.section, lambda case, text: case.section == text),
        ("--claim", options.claim, lambda case, text: any(fnmatchcase(claim, text) for claim in case.claims)),
    )
    for name, texts, fits in tests:
        for text in texts:
            if not any(fits(case, text) for case in cases):
                raise SuiteInvalid(f"{name} {text} matches no case; --list shows them")
        cases = [case for case in cases if not texts or any(fits(case, text) for text in texts)]
    chosen = [case for case in cases if not open_points.intersection(case.claims)]
    if not chosen:
        raise SuiteInvalid("no case is left by these options; --list shows all")
    return chosen


def _verdicts(cases: list[Case], command: Command, jobs: int) -> Iterator[Verdict]:
    """Give the verdicts in the order of the cases, each as soon as it and all before it are there."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield from pool.map(lambda case: run_case(case, command), cases)
    finally:
        pool.shutdown(cancel_futures=True)


def _listed(case: Case) -> str:
    return f"{case.section:16} {case.id:60} {case.polarity:8} {', '.join(case.claims)}"


def _shown(case: Case) -> str:
    places = {"server": "http://127.0.0.1:PORT", "folder": "FOLDER"}
    parts = [f"# {case.id}: {name}\n{text}\n" for name, text in case.files(places).items()]
    return "\n".join([*parts, f"# {case.id}: workflow {case.workflow_id}, inputs {json.dumps(case.inputs)}\n"])


def _print(verdict: Verdict, *, failures_only: bool) -> None:
    case = verdict.case
    if verdict.passed:
        if not failures_only:
            print(f"pass  {case.section}/{case.topic}  {case.id}  ({verdict.seconds:.2f} s)", flush=True)
        return
    print(f"FAIL  {case.section}/{case.topic}  {case.id}  ({verdict.seconds:.2f} s)")
    for problem in verdict.problems:
        print(f"      {problem}")
    print(f"      command: {shlex.join(verdict.words)}")
    for line in verdict.stderr.strip().splitlines()[-_LAST_LINES:]:
        print(f"      stderr: {line}")
    if verdict.folder is not None:
        print(f"      files: {verdict.folder}")
    sys.stdout.flush()


def _print_summary(verdicts: list[Verdict]) -> None:
    print()
    for section, counts in _sections(verdicts).items():
        print(f"{section:20} {counts['passed']:4} passed {counts['failed']:4} failed")
    failed = sum(not verdict.passed for verdict in verdicts)
    print(f"{'total':20} {len(verdicts) - failed:4} passed {failed:4} failed")
    unseen = _unseen(verdicts)
    if unseen:
        print(f"Outputs could not be compared in {unseen} cases: the command printed no JSON object (see --outputs).")


def _unseen(verdicts: list[Verdict]) -> int:
    return sum(
        verdict.case.expect.outputs is not None and not verdict.outputs_seen and verdict.code == 0
        for verdict in verdicts
    )


def _sections(verdicts: list[Verdict]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for verdict in verdicts:
        counts = found.setdefault(verdict.case.section, {"passed": 0, "failed": 0})
        counts["passed" if verdict.passed else "failed"] += 1
    return found


def report(verdicts: list[Verdict], command: str) -> dict[str, object]:
    """Give the report `arazzo-conformance/1` as a JSON value."""
    return {
        "format": "arazzo-conformance/1",
        "command": command,
        "passed": sum(verdict.passed for verdict in verdicts),
        "failed": sum(not verdict.passed for verdict in verdicts),
        "outputsNotCompared": _unseen(verdicts),
        "sections": _sections(verdicts),
        "cases": [
            {
                "id": verdict.case.id,
                "section": verdict.case.section,
                "claims": list(verdict.case.claims),
                "polarity": verdict.case.polarity,
                "passed": verdict.passed,
                "seconds": round(verdict.seconds, 3),
                "exitCode": verdict.code,
                "problems": verdict.problems,
            }
            for verdict in verdicts
        ],
    }


def junit(verdicts: list[Verdict]) -> str:
    """Give the verdicts as a JUnit report."""
    failed = sum(not verdict.passed for verdict in verdicts)
    suite = ET.Element("testsuite", name="arazzo-conformance", tests=str(len(verdicts)), failures=str(failed))
    for verdict in verdicts:
        case = verdict.case
        entry = ET.SubElement(
            suite, "testcase", classname=f"{case.section}.{case.topic}", name=case.id, time=f"{verdict.seconds:.3f}"
        )
        if verdict.problems:
            ET.SubElement(entry, "failure", message=verdict.problems[0]).text = "\n".join(verdict.problems)
    return ET.tostring(suite, "unicode", xml_declaration=True)
