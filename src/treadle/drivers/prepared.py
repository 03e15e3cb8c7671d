"""What a run is made of before anything is sent: a program and inputs that fit it, anew or from a journal."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import structs

from treadle.diagnostics import Diagnostic, Severity
from treadle.drivers.files import LocalFiles, named_again
from treadle.drivers.journals.protocol import GIVEN, Kept, Start
from treadle.drivers.kept import to_keep
from treadle.drivers.origins import given_again, keeps_secret
from treadle.drivers.outcome import choices
from treadle.drivers.policy_file import tightened
from treadle.drivers.settings import Options
from treadle.drivers.typed import from_fields
from treadle.engine.entry import entry_inputs
from treadle.engine.file_inputs import with_files
from treadle.engine.interpreter import NotPending, Run
from treadle.engine.journal import Failure, Record, write_value
from treadle.engine.program import Program
from treadle.engine.report import timestamp
from treadle.engine.secret_inputs import secret_values
from treadle.engine.secrets import Secrets
from treadle.engine.state import Limits
from treadle.engine.withheld import storable
from treadle.errors import RunRefused

NO_ORIGINS: Mapping[str, str] = {}


class Prepared:
    """A program with inputs that fit it: everything of a run that can be refused has been accepted.

    Args:
        program: the compiled workflow.
        inputs: the inputs as they are given.
        diagnostics: warnings about the document.
        origins: where inputs came from (`env:NAME`, `keyring:SERVICE/USER`, `@FILE`, `inputs:FILE`, `prompt`); those
            that people keep elsewhere are secret besides those that the program calls so.
    """

    __slots__ = ("_given", "_origins", "diagnostics", "inputs", "program", "secret_names", "secrets")

    def __init__(
        self,
        program: Program,
        inputs: Mapping[str, Any],
        diagnostics: list[Diagnostic],
        origins: Mapping[str, str] = NO_ORIGINS,
    ) -> None:
        self.program = program
        given = with_files(program.entry.inputs, inputs, LocalFiles())
        self.inputs, unused = entry_inputs(program, given)
        self.diagnostics = [
            *diagnostics,
            *(Diagnostic("unknown-input", Severity.WARNING, message) for message in unused),
        ]
        self.secret_names = _declared_secret(program.entry.secrets)
        if origins:
            self.secret_names |= {name for name, origin in origins.items() if keeps_secret(origin)}
        self.secrets = Secrets(secret_values(self.inputs, self.secret_names, program.entry.inputs))
        self._given = inputs
        self._origins = origins

    def start(self, run_id: str, options: Mapping[str, Any], now: float) -> Start:
        """Give what a journal keeps of it; of secret inputs only where they came from. `options` as `to_keep` gives them."""
        kept, withheld = storable(self.inputs, self.secret_names, self.program.entry.inputs)
        kept = {name: named_again(value) for name, value in kept.items()}
        origins = {name: self._origins.get(name, GIVEN) for name in withheld if name in self._given}
        return Start(run_id, self.program, kept, origins, dict(options), now)


@lru_cache(256)
def _declared_secret(names: tuple[str, ...]) -> frozenset[str]:
    """Give what a workflow calls secret; the runs of one share it."""
    return frozenset(names)


def brought_back(start: Start, given: Mapping[str, Any]) -> Prepared:
    """Prepare a run anew from what a journal keeps of it, with its secret inputs as they are given now or found.

    Raises:
        InputsInvalid: a secret input does not fit.
        RunRefused: a secret input or a file is not there.
    """
    origins = {name: origin for name, origin in start.secrets.items() if origin != GIVEN}
    inputs = {**start.inputs, **given_again(start.secrets, given)}
    return Prepared(start.program, inputs, [], origins)


def given_anew(start: Start, given: Mapping[str, Any], origins: Mapping[str, str], options: Options) -> Start:
    """Give what a new run starts from that goes on where another one was, with secret inputs and options given anew."""
    anew = {name: origins.get(name, GIVEN) for name in start.secrets if name in given}
    now = {name: value for name, value in to_keep(options).items() if name not in Limits.__struct_fields__}
    return structs.replace(start, secrets={**start.secrets, **anew}, options={**start.options, **now})


def replayed(kept: Kept, prepared: Prepared) -> Run:
    """Bring a run to where its records end.

    Raises:
        RunRefused: the records do not fit the program, or the policy of this machine is against an option of it.
    """
    start = kept.start
    limits = tightened(from_fields(start.options, Options))[0].limits()
    try:
        return Run(
            prepared.program, prepared.inputs, limits, kept.records,
            secrets=prepared.secrets, secret_names=prepared.secret_names, run_id=start.run_id,
        )  # fmt: skip
    except NotPending as error:
        message = f"the records of run '{start.run_id}' do not fit its program: {error}"
        raise RunRefused(message, hint="another secret may have led the run another way; start it anew") from error


Choice = str | Mapping[str, Any] | None
"""What to do about a request in doubt: `retry`, `fail`, the outputs with which its step is skipped, or None."""


def check_choice(choice: Choice, run: Run) -> None:
    """Refuse what is no way to resolve the doubt of a run.

    Raises:
        RunRefused: it is none, or its step has no such outputs.
    """
    if choice is None or choice in ("retry", "fail"):
        return
    if not isinstance(choice, Mapping):
        message = f"{choice!r} is no way to go on with a request in doubt"
        raise RunRefused(message, hint="there are retry, fail, and skip with an object of outputs")
    if run.in_doubt is None or run.withdrawn:
        return
    known = [name for name, _ in run.step.outputs]
    other = next((name for name in choice if name not in known), None)
    if other is not None:
        hint = f"it has: {', '.join(known)}" if known else "it has none: skip={}"
        raise RunRefused(f"step '{run.step.step_id}' has no output '{other}' that it could be skipped with", hint=hint)
    try:
        is_json = msgspec.json.decode(write_value(dict(choice))) == dict(choice)
    except (TypeError, ValueError, RecursionError):
        is_json = False
    if not is_json:
        raise RunRefused(f"step '{run.step.step_id}' can be skipped only with outputs that are JSON values")


def undoubted(run: Run, choice: Choice, now: float) -> list[Record]:
    """Do what is chosen about a request in doubt; without a choice, ask the rule of its step, else stop in doubt.

    What was withdrawn is in no doubt and is announced anew. Gives the records of it.
    """
    if run.withdrawn:
        return run.announce(now)
    doubt = run.in_doubt
    if doubt is None:
        return []
    if isinstance(choice, Mapping):
        return run.resolve("skip", now, dict(choice))
    if choice is not None:
        return run.resolve(choice, now)
    if run.pending() and doubt.looks:  # it is being looked for already
        return []
    if run.step.reconcile is not None:
        return run.resolve("reconcile", now)
    request = doubt.effect.request
    since = timestamp(doubt.announced)
    message = f"step '{doubt.effect.step_id}': {request.method} {request.url} was to be sent at {since}, and no answer is known"
    return run.stop("in-doubt", Failure("in-doubt", message, doubt.effect.step_id, choices(run.run_id)), now)
