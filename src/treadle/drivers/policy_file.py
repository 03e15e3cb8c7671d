"""The policy file that TREADLE_POLICY names: rules of those who run a machine for documents of other people.

Options can make them tighter, never looser. Enforcing them is policy.py's, and of those who are asked here.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from treadle.drivers.settings import Options, listed
from treadle.drivers.typed import from_fields
from treadle.errors import RunRefused

if TYPE_CHECKING:
    from treadle.drivers.policy import Policy

VARIABLE = "TREADLE_POLICY"
HINT = "whoever runs this machine decides that"


class PolicyFile(Struct, frozen=True, forbid_unknown_fields=True):
    """What a policy file can say; what it leaves out is not limited by it.

    Numbers are upper limits of the options of the same names.

    Attributes:
        allow_hosts: where requests may go, as for --allow-host.
        deny_private: refuse addresses that are not on the public internet.
        files: whether documents and inputs may name files of this machine.
        unix_sockets: whether requests may go to Unix sockets.
        insecure: whether TLS certificates may go unverified.
    """

    allow_hosts: tuple[str, ...] | None = None
    deny_private: bool = False
    files: bool = True
    unix_sockets: bool = True
    insecure: bool = True
    max_body: int | None = None
    max_steps: int | None = None
    timeout: float | None = None
    request_timeout: float | None = None
    connect_timeout: float | None = None
    read_timeout: float | None = None
    max_retry_after: float | None = None
    transport_retries: int | None = None
    max_connections: int | None = None
    max_connections_per_host: int | None = None


LIMITS = (
    "max_body", "max_steps", "timeout", "request_timeout", "connect_timeout", "read_timeout", "max_retry_after",
    "transport_retries", "max_connections", "max_connections_per_host",
)  # fmt: skip
"""The rules that are upper limits of options."""
_MAY_BE_ZERO = frozenset({"max_body", "max_retry_after", "transport_retries"})


def refuse_file(what: str) -> None:
    """Make sure that the policy of this machine lets inputs and documents be read from files.

    Raises:
        RunRefused: it does not, or there is no valid one where one is named; `what` begins the message.
    """
    path = os.environ.get(VARIABLE)
    if path is not None and not read_policy(path).files:
        raise RunRefused(f"{what}: the policy file {path} allows no files", hint=HINT)


def tightened(options: Options) -> "tuple[Options, Policy | None]":
    """Give the options as the policy of this machine has them, and all rules for requests; None where there are none.

    Raises:
        RunRefused: the policy file is not there or not valid, an option is against it, or a rule is none.
    """
    path = os.environ.get(VARIABLE)
    if path is None and not options.allow_host and not options.deny_private:
        return options, None
    from treadle.drivers import policy as rules  # noqa: PLC0415 - not without a rule

    file = PolicyFile() if path is None else read_policy(path)
    by = f"the policy file {path}"
    if options.insecure and not file.insecure:
        raise RunRefused(f"{by} does not allow --insecure", hint="name the server's CA with --ca-cert")
    lists = []
    if options.allow_host:
        hosts = rules.read_rules(listed(options.allow_host), "--allow-host")
        lists.append(rules.Allowed(hosts, "--allow-host", "add it with --allow-host, if it may be sent to"))
    if file.allow_hosts is not None:
        lists.append(rules.Allowed(rules.read_rules(file.allow_hosts, f"allow_hosts of {by}"), by, HINT))
    private = None
    if file.deny_private:
        private = rules.Denied(f"deny_private of {by}", HINT)
    elif options.deny_private:
        private = rules.Denied("--deny-private", "leave it out, if you trust the document with your own network")
    if private is not None and options.proxy:
        raise RunRefused(
            f"{private.by} cannot be kept through --proxy, which resolves names by itself", hint=private.hint
        )
    whole = rules.Policy(
        tuple(lists),
        private,
        None if file.unix_sockets else rules.Denied(f"unix_sockets of {by}", HINT),
        None if file.files else rules.Denied(by, HINT),
    )
    lowest = {name: _lower(getattr(file, name), getattr(options, name)) for name in LIMITS}
    return msgspec.structs.replace(options, **lowest), whole


def check_kept(kept: Mapping[str, Any], options: Options, policy: "Policy | None") -> None:
    """Make sure that a run that is resumed may not be sent where whoever started it did not want it to go.

    Raises:
        RunRefused: it was started with a rule of which there is none now.
    """
    if kept.get("allow_host") and not options.allow_host:
        hosts = ", ".join(listed(kept["allow_host"]))
        message = f"the run was started with --allow-host {hosts}, and no rule says now where its requests may go"
        raise RunRefused(message, hint="give --allow-host again, the same or another one")
    if kept.get("deny_private") and (policy is None or policy.private is None):
        message = "the run was started with --deny-private, which is not given now"
        raise RunRefused(message, hint="give it again")


def _lower(limit: float | None, wanted: float | None) -> float | None:
    return wanted if limit is None else limit if wanted is None else min(limit, wanted)


def read_policy(path: str) -> PolicyFile:
    """Read a policy file.

    Raises:
        RunRefused: it cannot be read, or says something that no policy says.
    """
    import tomllib  # noqa: PLC0415 - not without a policy

    try:
        found = from_fields(tomllib.loads(Path(path).read_text("utf-8")), PolicyFile)
        wrong = [name for name in LIMITS if not _sensible(name, getattr(found, name))]
        if wrong:
            raise ValueError(f"{wrong[0]} is {getattr(found, wrong[0])}, which is no limit")
    except OSError as error:
        message = f"the policy file '{path}' ({VARIABLE}) cannot be read: {error.strerror or error}"
        raise RunRefused(message, hint="nothing is done without it") from error
    except ValueError as error:  # also what msgspec and tomllib raise
        message = f"the policy file {path} ({VARIABLE}) is not valid: {error}"
        raise RunRefused(message, hint=f"it may have {', '.join(PolicyFile.__struct_fields__)}") from error
    return found


def _sensible(name: str, limit: float | None) -> bool:
    return limit is None or 0 < limit < float("inf") or (limit == 0 and name in _MAY_BE_ZERO)
