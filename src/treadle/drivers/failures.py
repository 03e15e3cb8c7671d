"""What may go wrong with a request, in our words: foreign errors are mapped here, once. Imported when one has come."""

import ssl

import aiohttp
from aiohttp import client_exceptions, http_exceptions
from yarl import URL

from treadle.drivers.pool import AddressRefused
from treadle.drivers.proxies import shown
from treadle.drivers.tls import first_line
from treadle.engine.effects import HttpFailed

_PROXY = "check --proxy, or the environment's proxy variables and NO_PROXY"
_SERVER_URL = "check the server's URL (--server)"
_CLOSED = "ask whoever runs the server, or what stands before it, why it closes connections"
_CLIENT_ALERTS = (
    "CERTIFICATE_REQUIRED", "ALERT_HANDSHAKE_FAILURE", "ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE", "ALERT_CERTIFICATE_REVOKED", "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_UNKNOWN", "ALERT_ACCESS_DENIED",
)  # fmt: skip
"""How OpenSSL's names end of what a server says of the client's certificate (RFC 8446 section 6.2)."""
_HINTS = {
    9: "has the server's certificate begun to hold, and is the clock of this machine right?",
    10: "the server's certificate has to be renewed; is the clock of this machine right?",
    62: "is the server's URL right (--server)? its certificate is for another host",
    64: "is the server's URL right (--server)? its certificate is for another host",
}
"""What to do where another CA would not help, by OpenSSL's codes (X509_V_ERR_...)."""


def unreached(error: BaseException | None, proxy: str | None) -> HttpFailed:  # noqa: C901, PLR0912 - a table
    """Say why there is no connection, over `proxy` where one was used; nothing was sent."""
    match error:
        case AddressRefused():
            return HttpFailed("policy", error.refusal.message, error.refusal.hint)
        case aiohttp.NonHttpUrlClientError():
            return HttpFailed("url", f"{error} is no URL to send a request to", _SERVER_URL)
        case aiohttp.InvalidURL():
            why = f": it {error.description}" if error.description else ""
            return HttpFailed("url", f"{error.url} is no URL to send a request to{why}", _SERVER_URL)
        case UnicodeError():
            message = "the host is no name that can be looked up: a part of it is empty or has more than 63 letters"
            return HttpFailed("dns", message, "check the URL; --server names another")
        case aiohttp.ClientConnectorCertificateError():
            return _untrusted(error, proxy)
        case aiohttp.ClientConnectorSSLError():
            return _no_tls(error.os_error, _at(error))
        case aiohttp.ClientProxyConnectionError():
            message = f"the proxy {error.host}:{error.port} cannot be reached: {first_line(error.os_error)}"
            return HttpFailed("connection", message, _PROXY)
        case aiohttp.ClientConnectorDNSError():
            what, hint = ("the proxy", _PROXY) if proxy else ("the host", "check the URL; --server names another")
            return HttpFailed("dns", f"{what} '{error.host}' has no address", hint)
        case client_exceptions.UnixClientConnectorError():
            message = f"no connection to the Unix socket {error.path}: {first_line(error.os_error)}"
            return HttpFailed(
                "connection", message, "is the server up, and is the path of its socket right (--server)?"
            )
        case aiohttp.ClientHttpProxyError():
            return refused_by_proxy(error.status, error.message)
        case aiohttp.ClientConnectorError():
            message = f"no connection to {_at(error)}: {first_line(error.os_error)}"
            return HttpFailed("connection", message, "is the server up, and is its URL right (--server)?")
        case aiohttp.ClientResponseError():
            message = f"the proxy {shown(proxy or '')} answered what is no HTTP: {_said(error.message)}"
            return HttpFailed("proxy", message, f"is it an HTTP proxy? {_PROXY}")
    if proxy is not None:
        message = f"the proxy {shown(proxy)} closed the connection"
        return HttpFailed("connection", message, f"is it an HTTP proxy? {_PROXY}")
    return HttpFailed("connection", f"no connection: {type(error).__name__}: {first_line(error or OSError())}")


def refused_by_proxy(status: int, reason: str) -> HttpFailed:
    """Say that a proxy does not let a request through; nothing of it came further.

    Where it only cannot reach the server just now, it is as if there were no connection.
    """
    hint = "give user and password: --proxy http://USER:PASSWORD@HOST:PORT" if status == 407 else _PROXY
    kind = "connection" if status in (502, 503, 504) else "proxy"
    return HttpFailed(kind, f"the proxy refused to connect: {status} {reason}".rstrip(), hint)


def _untrusted(error: aiohttp.ClientConnectorCertificateError, proxy: str | None) -> HttpFailed:
    found, whose = error.certificate_error, "the server's"
    if proxy is not None and (URL(proxy).host, URL(proxy).port) == (error.host, error.port):
        whose = "the proxy's"
    hint = "name the server's CA with --ca-cert, or use --insecure where nothing is at stake"
    if isinstance(found, ssl.SSLCertVerificationError):
        hint = _HINTS.get(found.verify_code, hint)
    return HttpFailed("tls", f"{whose} certificate is refused: {first_line(found)}", hint)


def _no_tls(error: OSError, where: str) -> HttpFailed:
    if _wants_another_certificate(error):
        return _unwelcome(error)
    hint = "does the server speak https on this port, or should its URL start with http:// (--server)?"
    return HttpFailed("tls", f"no TLS with {where}: {first_line(error)}", hint)


def _wants_another_certificate(error: BaseException | None) -> bool:
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return reason is not None and any(reason.endswith(word) for word in _CLIENT_ALERTS)


def _unwelcome(error: BaseException) -> HttpFailed:
    """Say that a server does not take the client's certificate, or wants one; it says so before it takes a request.

    In TLS 1.3 that comes after the client has begun to send, and it is still no doubt: what is sent on a connection
    that is not established reaches nobody (RFC 8446 section 4.4.2.4).
    """
    message = f"the server ended TLS: {first_line(error)}"
    return HttpFailed("tls", message, "it wants a client certificate that it trusts: --client-cert and --client-key")


def broken(error: Exception) -> HttpFailed:
    """Say why there is no answer to a request that was on its way."""
    cause = error.__cause__
    match error:
        case aiohttp.ClientOSError() if isinstance(cause, ssl.SSLError):
            if _wants_another_certificate(cause):
                return _unwelcome(cause)
            return HttpFailed("reset", f"TLS broke before the answer came: {first_line(cause)}", _CLOSED, sent=True)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return HttpFailed("reset", "the connection was closed before the answer came", _CLOSED, sent=True)
        case aiohttp.ClientPayloadError() if isinstance(cause, http_exceptions.ContentEncodingError):
            hint = "the server says that it packs its answers (Content-Encoding) and does not"
            return HttpFailed("protocol", "the answer is not in the coding it says", hint, sent=True)
        case aiohttp.ClientPayloadError():
            return HttpFailed("reset", "the answer broke off before its end", _CLOSED, sent=True)
        case aiohttp.ClientResponseError():
            message = f"the answer is no HTTP that can be read: {_said(error.message)}"
            return HttpFailed("protocol", message, "is this an HTTP server, and right about its lengths?", sent=True)
    sent = not isinstance(error, ValueError)  # a value that cannot be sent was not sent
    return HttpFailed("request", f"{type(error).__name__}: {first_line(error)}", sent=sent)


def _said(message: str) -> str:
    """Give what the reader of HTTP says, without the bytes it says it of: they may be anybody's."""
    return next(iter(message.splitlines()), "").partition(" when reading")[0].rstrip(":")


def _at(error: aiohttp.ClientConnectorError) -> str:
    return f"[{error.host}]:{error.port}" if ":" in error.host else f"{error.host}:{error.port}"
