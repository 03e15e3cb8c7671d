"""Where requests may go: hosts that are allowed, addresses that are not. Asked before each connection is made.

Reads no file and no name: policy_file.py brings the rules of those who run a machine, pool.py resolves names.
"""

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from treadle.errors import RunRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_SPECIAL = {
    "unspecified": ("0.0.0.0/8", "::/128"),
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fec0::/10"),
    "link-local": ("169.254.0.0/16", "fe80::/10"),
    "unique-local": ("fc00::/7",),
    "shared by a carrier's NAT": ("100.64.0.0/10",),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    "reserved": (
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "240.0.0.0/4", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
    ),
}  # fmt: skip
"""What an address is called, and the networks of such (IANA's registries of special-purpose addresses, RFC 6890).

A table of our own, because what Python's `is_private` means has changed between its releases.
"""
_NETWORKS = [(word, ipaddress.ip_network(text)) for word, texts in _SPECIAL.items() for text in texts]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


class Refusal(NamedTuple):
    """Why a request may not go where it should, by which rule, and what to do."""

    message: str
    hint: str


class HostRule(Struct, frozen=True):
    """A host that requests may go to: a name, all names below one (`*.example.com`), an address, or a Unix socket."""

    host: str
    port: int | None = None
    below: bool = False
    socket: str | None = None

    def allows(self, host: str, port: int | None) -> bool:
        """Say whether it stands for a host in the form of `plain_host`."""
        if self.port is not None and self.port != port:
            return False
        return host.endswith(f".{self.host}") if self.below else host == self.host


class Allowed(Struct, frozen=True):
    """A list of hosts, and who gave it."""

    rules: tuple[HostRule, ...]
    by: str
    hint: str


class Denied(Struct, frozen=True):
    """Something that is denied, by whom, and what to do about it."""

    by: str
    hint: str


class Policy(Struct, frozen=True):
    """All rules that hold for a request.

    Attributes:
        allowed: lists of hosts; a request may go only to a host that is in each.
        private: who denies addresses that are not on the public internet.
        sockets: who denies Unix sockets.
        files: who denies files of this machine to documents.
    """

    allowed: tuple[Allowed, ...] = ()
    private: Denied | None = None
    sockets: Denied | None = None
    files: Denied | None = None

    def refuses(self, host: str, port: int | None, *, proxied: bool = False) -> Refusal | None:
        """Say why no request may go to a host, as far as its name tells, or give None.

        Args:
            host: as it stands in the URL that is used.
            port: of the connection.
            proxied: it is a proxy that resolves the name, so nobody here sees the address.
        """
        name = plain_host(host)
        for allowed in self.allowed:
            if not any(rule.allows(name, port) for rule in allowed.rules):
                return Refusal(
                    f"requests may not go to {_written(host, port)}: {allowed.by} does not name it", allowed.hint
                )
        if self.private is None:
            return None
        if proxied:
            message = f"{host} would be resolved by the proxy, where {self.private.by} cannot see its address"
            return Refusal(message, "go without the proxy (NO_PROXY), or without this rule and let the proxy refuse")
        if literal(name) is None and (":" in name or name.replace(".", "").isdigit()):
            return Refusal(f"{host} hides which address it is, and {self.private.by} is set", self.private.hint)
        return None if literal(name) is None else self.refuses_address(host, name)

    def refuses_address(self, host: str, address: str) -> Refusal | None:
        """Say why there may be no connection to an address that a host has, or give None."""
        if self.private is None:
            return None
        found = literal(address)
        kind = "of an unknown kind" if found is None else special(found)
        if kind is None:
            return None
        what = f"{host} is" if literal(plain_host(host)) else f"{host} has the address {address}, which is"
        return Refusal(f"{what} {kind}: {self.private.by} refuses it", self.private.hint)

    def refuses_socket(self, path: str) -> Refusal | None:
        """Say why no request may go to a Unix socket, or give None."""
        for allowed in self.allowed:
            if not any(rule.socket == path for rule in allowed.rules):
                return Refusal(
                    f"requests may not go to the Unix socket {path}: {allowed.by} does not name it", allowed.hint
                )
        denied = self.sockets or self.private
        if denied is None:
            return None
        return Refusal(f"requests may not go to the Unix socket {path}: {denied.by} refuses it", denied.hint)


def plain_host(host: str) -> str:
    """Give a host as rules have it: in lower case, without a last dot, an address in its shortest form."""
    name = host.lower().rstrip(".")
    address = literal(name)
    return name if address is None else str(address)


def literal(host: str) -> Address | None:
    """Read an address as URLs have it; None for a name, and for the old forms that are no four decimal numbers."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def special(address: Address) -> str | None:
    """Say what an address is that is not on the public internet, or give None; in IPv6 also of the IPv4 one inside."""
    inner = _inside(address) if isinstance(address, ipaddress.IPv6Address) else None
    if inner is not None:
        return special(inner)
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        return "link-local"
    return next(
        (word for word, network in _NETWORKS if address.version == network.version and address in network), None
    )


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Give the IPv4 address that is reached by way of an IPv6 one: mapped, NAT64, 6to4, Teredo, compatible."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def read_rules(written: Iterable[str], option: str) -> tuple[HostRule, ...]:
    """Read a list of hosts; `option` is what it is called where it was given.

    Raises:
        RunRefused: an entry is none.
    """
    return tuple(_rule(text.strip(), option) for text in written)


def _rule(text: str, option: str) -> HostRule:
    if text.startswith("unix:/"):
        return HostRule("", socket=text.removeprefix("unix:"))
    bracketed, port = (text, "")
    if text.startswith("["):
        bracketed, closed, port = text[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            bracketed = ""
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        bracketed, _, port = text.partition(":")
    below = bracketed.startswith("*.")
    host = plain_host(bracketed[2:] if below else bracketed)
    fits = host and host.isascii() and not set(host) & set("*/@[]% ?#\\") and (":" not in host or literal(host))
    if not fits or (port and not (port.isdigit() and 0 < int(port) < 65536)) or (below and literal(host)):
        hint = "write HOST, *.DOMAIN, HOST:PORT, an address ([::1]) or unix:/PATH; names in their ASCII form (xn--...)"
        raise RunRefused(f"{option} '{text}' is no host", hint=hint)
    return HostRule(host, int(port) if port else None, below)


def _written(host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"
