"""Which proxy a request goes through: the one that was named, or that of the environment, and its exceptions."""

import os
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def environment_proxies() -> dict[str, str]:
    """Give the proxies that the environment names, by scheme; under `no` those that are spoken to without one.

    aiohttp would read them too, but then also takes credentials for any host from ~/.netrc, which no document's author
    should be able to send anywhere. HTTP_PROXY is left alone in a CGI program, where a client can set it.
    """
    if not any(os.environ.get(name) for name in VARIABLES):
        return {}
    import urllib.request  # noqa: PLC0415 - half the library comes with it, and few need it

    found = urllib.request.getproxies_environment()
    return {scheme: url if scheme == "no" or "://" in url else f"http://{url}" for scheme, url in found.items()}


def proxy_for(proxies: Mapping[str, str], scheme: str, host: str, port: int | None) -> str | None:
    """Give the proxy of the environment for a request, or None where it goes directly."""
    proxy = proxies.get(scheme) or proxies.get("all")
    return None if proxy is None or goes_directly(proxies.get("no", ""), host, port) else proxy


def goes_directly(exceptions: str, host: str, port: int | None) -> bool:
    """Say whether NO_PROXY excepts a host.

    It is a list with commas of names (which stand for all below them too, with or without a leading dot), addresses,
    networks (`10.0.0.0/8`) and `*`; each of the first two may have a port.
    """
    host = host.lower().rstrip(".")
    return any(_excepts(entry.strip().lower(), host, port) for entry in exceptions.split(",") if entry.strip())


def _excepts(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        import ipaddress  # noqa: PLC0415 - few lists have networks

        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, wanted = entry, None
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        wanted = rest.removeprefix(":") or None
    elif entry.count(":") == 1:
        name, _, wanted = entry.partition(":")
    name = name.removeprefix("*").strip(".")
    return (wanted is None or wanted == str(port)) and (host == name or host.endswith(f".{name}"))


def passwords(proxies: Iterable[str]) -> list[str]:
    """Give what must not be shown of proxies: their passwords, as they are written and as they are meant."""
    found: list[str] = []
    for proxy in proxies:
        try:
            written = urlsplit(proxy).password
        except ValueError:
            continue
        if written:
            found += [written, unquote(written)]
    return found


def shown(proxy: str) -> str:
    """Give a proxy's URL without its user and password."""
    before, joint, host = proxy.rpartition("@")
    scheme, slashes, _ = before.partition("://")
    return f"{scheme}{slashes}***@{host}" if joint and slashes else f"***@{host}" if joint else proxy
