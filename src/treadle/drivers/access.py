"""The credentials of a Runner before and during its runs; nothing of them is imported or read before a program needs it."""

import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from treadle.diagnostics import Diagnostic, Severity
from treadle.drivers.http import Send
from treadle.drivers.run import Clock
from treadle.drivers.settings import Options
from treadle.engine.effects import SendHttp
from treadle.engine.program import Call, Program
from treadle.engine.requests import open_needs
from treadle.engine.secrets import Secrets
from treadle.sources.needs import Alternatives, SecurityNeed

if TYPE_CHECKING:
    from treadle.drivers.authorization import Authorizer, Choice


class Access:
    """Gives requests their credentials, and says beforehand which are missing.

    Args:
        options: where credentials are from.
        clock: tells the time.
        prompt: shows a line to whoever has to sign in by hand; None for stderr.
    """

    def __init__(self, options: Options, clock: Clock, prompt: Callable[[str], None] | None) -> None:
        self._options = options
        self._clock = clock
        self._prompt = prompt or _to_stderr
        self._authorizer: Authorizer | None = None

    def authorize(self, effect: SendHttp, send: Send, secrets: Secrets) -> Send:
        """Give what sends the requests of an effect with its credentials; each value is added to the run's secrets."""
        return self._ready().exchange(effect, send, secrets)

    def secrets(self) -> list[str]:
        """Give every secret that has been looked up so far."""
        return [] if self._authorizer is None else self._authorizer.credentials.secrets()

    def findings(self, program: Program) -> list[Diagnostic]:
        """Warn of what steps need and nobody gave, what was given and nobody needs, and a config file in the open.

        Raises:
            RunRefused: a credential is none, stands where it cannot be read, or tokens are to be kept and there is no keyring.
        """
        options = self._options
        asked = options.credentials or options.keep_tokens or options.profile is not None
        if asked or any(map(open_needs, program.calls())):
            return _findings(program, self._ready())
        return []

    def listed(self, program: Program) -> list[dict[str, Any]]:
        """Give what each step needs and from where it would come, without any value; raises like `findings`."""
        return _listed(program, self._ready()) if any(map(open_needs, program.calls())) else []

    def _ready(self) -> "Authorizer":
        if self._authorizer is None:
            from treadle.drivers.authorization import Authorizer  # noqa: PLC0415 - most runs need none
            from treadle.drivers.config import read_profile  # noqa: PLC0415
            from treadle.drivers.credentials import Credentials  # noqa: PLC0415
            from treadle.drivers.oauth import Provider  # noqa: PLC0415
            from treadle.drivers.tokens import Tokens  # noqa: PLC0415

            options = self._options
            if options.keep_tokens:
                from treadle.drivers.keyrings import library  # noqa: PLC0415 - behind an extra

                library()
            profile = None if options.profile is None else read_profile(options.profile, options.__struct_fields__)
            credentials = Credentials(options.credentials, profile)
            interactive = sys.stderr.isatty() and not os.environ.get("CI")
            provider = Provider(self._clock, self._prompt, interactive=interactive)
            tokens = Tokens(provider, keep=options.keep_tokens)
            client_cert = options.client_cert is not None
            self._authorizer = Authorizer(credentials, tokens, self._clock, client_cert=client_cert)
        return self._authorizer


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _needed(program: Program) -> Iterator[tuple[tuple[str, str], Call, Alternatives]]:
    """Give every call that needs something its step does not set, with the step's id; one of its rule, too."""
    for workflow in program.workflows:
        for step in workflow.steps:
            for call in step.calls():
                if alternatives := open_needs(call):
                    yield (workflow.workflow_id, step.step_id), call, alternatives


def _findings(program: Program, authorizer: "Authorizer") -> list[Diagnostic]:
    steps: dict[str, tuple[Choice, list[str]]] = {}
    for (_, step_id), call, alternatives in _needed(program):
        choice = authorizer.choose(alternatives, call.server)
        if choice.taken is None:
            ids = steps.setdefault(choice.ways(), (choice, []))[1]
            ids += [] if step_id in ids else [step_id]
    found = []
    for choice, ids in steps.values():
        more = f" (and {len(ids) - 1} more)" if len(ids) > 1 else ""
        message = f"step '{ids[0]}'{more} goes out without a credential: none was given for {choice.schemes()}"
        found.append(Diagnostic("missing-credential", Severity.WARNING, message, None, f"give {choice.ways()}"))
    schemes = [need for call in program.calls() for needs in call.operation.security for need in needs]
    known = ", ".join(dict.fromkeys(need.scheme for need in schemes)) or "none"
    for name in authorizer.credentials.unused(schemes):
        message = f"a credential was given for '{name}', which no operation of this workflow requires"
        found.append(Diagnostic("unused-credential", Severity.WARNING, message, None, f"their schemes: {known}"))
    exposed = authorizer.credentials.exposed()
    if exposed is not None:
        message = f"{exposed} holds secrets and can be read by other users of this machine"
        hint = f"chmod 600 {exposed}, or name where they stand: env:VARIABLE, @file, keyring:SERVICE/USER"
        found.append(Diagnostic("config-readable", Severity.WARNING, message, None, hint))
    return found


def _listed(program: Program, authorizer: "Authorizer") -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for place, call, alternatives in _needed(program):
        choice = authorizer.choose(alternatives, call.server)
        ways = {lack.scheme: lack.way for lacks in choice.lacks for lack in lacks}
        needs = (
            [need for need, _ in choice.taken]
            if choice.taken is not None
            else [n for all_of in alternatives for n in all_of]
        )
        for need in needs:
            entry = _entry(call, need)
            if need.scheme in ways:
                entry |= {"from": [], "give": ways[need.scheme]}
            elif need.kind == "mutualTLS":
                entry["from"] = ["--client-cert"]
            else:
                found = authorizer.credentials.find(need)
                entry["from"] = list(dict.fromkeys(found.origins.values())) if found is not None else []
            entry = {"workflowId": place[0], "stepId": place[1], **entry}
            entries += [] if entry in entries else [entry]
    return entries


def _entry(call: Call, need: SecurityNeed) -> dict[str, Any]:
    entry: dict[str, Any] = {"source": need.source, "scheme": need.scheme, "kind": need.kind}
    entry |= {"name": need.name, "in": need.location, "server": call.server}
    if need.scopes:
        entry["scopes"] = list(need.scopes)
    urls = [url for flow in need.flows if (url := flow.token_url) is not None]
    if urls or need.discovery_url:
        entry["tokensFrom"] = list(dict.fromkeys([*urls, *filter(None, [need.discovery_url])]))
    return entry
