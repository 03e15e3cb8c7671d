"""HTTP against real servers: repeats, redirects, cookies, limits, and what is said when things go wrong."""

from __future__ import annotations

import asyncio
import gzip
import socket

import pytest
from aiohttp import web
from served import NOON, StillClock, client, request, serving, speaking

from treadle.drivers.connection import Connection
from treadle.drivers.http import Http
from treadle.drivers.redirects import origin, redirected
from treadle.drivers.tls import tls_context
from treadle.drivers.transport import Transport
from treadle.engine.effects import HttpFailed, HttpResponse
from treadle.engine.secrets import Secrets
from treadle.errors import RunRefused
from treadle.sources.request import HttpRequest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def scripted(*answers: web.Response):
    """Answer with each response in turn, the last one again and again; gives what came in, too."""
    seen: list[web.BaseRequest] = []

    async def handler(got: web.BaseRequest) -> web.Response:
        seen.append(got)
        answer = answers[min(len(seen), len(answers)) - 1]
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    return handler, seen


async def _send(effect_of, *answers, clock=None, **connection):
    """Send one request to a server that answers so; `effect_of` makes it from the base URL."""
    handler, seen = scripted(*answers)
    async with serving(handler) as url, client(clock, **connection) as http:
        return await http.send(effect_of(url)), seen


# Repeats


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_safe_request_is_repeated_after_a_transient_answer(method, status):
    clock = StillClock()
    answers = [web.Response(status=status), web.Response(status=status), web.Response()]
    result, seen = asyncio.run(_send(lambda url: request(method, f"{url}/x"), *answers, clock=clock))
    assert (result.status, len(seen)) == (200, 3)
    assert clock.sleeps == [pytest.approx(0.5, rel=0.11), pytest.approx(1.0, rel=0.11)]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_any_other_request_never_is(method, status):
    clock = StillClock()
    result, seen = asyncio.run(_send(lambda url: request(method, url), web.Response(status=status), clock=clock))
    assert (result.status, len(seen), clock.sleeps) == (status, 1, [])


def test_nor_is_a_request_after_an_answer_that_is_final():
    result, seen = asyncio.run(_send(lambda url: request("GET", url), web.Response(status=500)))
    assert (result.status, len(seen)) == (500, 1)


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_repeats_end(retries):
    clock = StillClock()
    result, seen = asyncio.run(
        _send(lambda url: request("GET", url), web.Response(status=503), clock=clock, transport_retries=retries)
    )
    assert (result.status, len(seen), len(clock.sleeps)) == (503, 1 + retries, retries)


@pytest.mark.parametrize(
    ("value", "pause"),
    [("7", 7), ("Tue, 14 Nov 2023 22:13:50 GMT", 30), ("86400", 300), ("Tue, 14 Nov 2023 22:00:00 GMT", 0)],
)
def test_a_repeat_waits_as_long_as_the_server_asks(value, pause):
    clock = StillClock()
    answers = [web.Response(status=503, headers={"Retry-After": value}), web.Response()]
    result, _ = asyncio.run(_send(lambda url: request("GET", url), *answers, clock=clock))
    assert result.status == 200
    assert clock.sleeps == [pause]


def test_a_repeat_keeps_to_the_steps_own_limit():
    clock = StillClock()
    answers = [web.Response(status=503, headers={"Retry-After": "5"}), web.Response()]
    result, seen = asyncio.run(_send(lambda url: request("GET", url, timeout=4), *answers, clock=clock))
    assert (result.status, len(seen), clock.sleeps) == (503, 1, [])


def test_a_connection_that_breaks_is_tried_again():
    async def run():
        clock = StillClock()
        async with speaking(b"", OK) as (url, seen), client(clock) as http:
            return await http.send(request("GET", url)), seen, clock.sleeps

    result, seen, sleeps = asyncio.run(run())
    assert (result.status, result.body, len(seen), len(sleeps)) == (200, b"ok", 2, 1)


def test_a_post_whose_connection_breaks_is_not():
    async def run():
        async with speaking(b"", OK) as (url, seen), client() as http:
            return await http.send(request("POST", url, body=b"x")), seen

    result, seen = asyncio.run(run())
    assert (result.kind, result.sent, len(seen)) == ("reset", True, 1)


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_a_post_is_an_answer(status):
    answers = [web.Response(status=status, headers={"Location": "/y"}), web.Response()]
    result, seen = asyncio.run(_send(lambda url: request("POST", url), *answers))
    assert (result.status, len(seen)) == (status, 1)


@pytest.mark.parametrize(("status", "headers"), [(302, {}), (300, {"Location": "/y"}), (304, {"Location": "/y"})])
def test_what_is_no_redirect_is_an_answer(status, headers):
    result, seen = asyncio.run(_send(lambda url: request("GET", url), web.Response(status=status, headers=headers)))
    assert (result.status, len(seen)) == (status, 1)


def test_ten_redirects_are_followed_and_a_circle_is_not():
    redirect = web.Response(status=302, headers={"Location": "/again"})
    result, seen = asyncio.run(_send(lambda url: request("GET", url), *[redirect] * 10, web.Response()))
    assert (result.status, len(seen)) == (200, 11)
    result, seen = asyncio.run(_send(lambda url: request("GET", url), redirect))
    assert (result.kind, result.message, len(seen)) == ("redirect", "more than 10 redirects", 11)


def test_a_redirect_is_encoded_where_the_server_did_not():
    async def run():
        head = "HTTP/1.1 302 Found\r\nConnection: close\r\nContent-Length: 0\r\nLocation: /a b/ü%20c?d=e f\r\n\r\n".encode()
        async with speaking(head, OK) as (url, seen), client() as http:
            return await http.send(request("GET", url)), seen

    result, seen = asyncio.run(run())
    assert result.status == 200
    assert seen[1].startswith(b"GET /a%20b/%C3%BC%20c?d=e%20f HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("url", "other", "same"),
    [
        ("https://a.test/x", "https://a.test:443/y", True),
        ("http://a.test/x", "http://A.test:80/y", True),
        ("http://a.test/x", "https://a.test/x", False),
        ("http://a.test/x", "http://a.test:8080/x", False),
        ("http://a.test/x", "http://b.a.test/x", False),
        ("http://a.test/x", "//b.test/x", False),
    ],
)
def test_what_an_origin_is(url, other, same):
    headers = (("Authorization", "x"),)
    assert (redirected(HttpRequest("GET", url, headers), other, Secrets()).headers == headers) is same
    assert origin(url) == origin(url.upper().replace("HTTP", "http").replace("S:", "s:"))


# Cookies


def test_cookies_are_kept_for_a_run_and_its_origin_only():
    async def run():
        handler, seen = scripted(
            web.Response(headers={"Set-Cookie": "session=one; Path=/; HttpOnly"}),
            web.Response(headers={"Set-Cookie": "session=; Max-Age=0; Path=/"}),
            web.Response(),
        )
        elsewhere, seen_elsewhere = scripted(web.Response())
        async with serving(handler) as url, serving(elsewhere) as other:
            transport = Transport(Connection(), "treadle-tests")
            http, stranger = Http(transport, StillClock()), Http(transport, StillClock())
            await http.send(request("GET", f"{url}/a"))
            await http.send(request("POST", f"{url}/b", ("cookie", "own=1")))
            await http.send(request("GET", f"{other}/c"))
            await stranger.send(request("GET", f"{url}/d"))
            await http.send(request("GET", f"{url}/e"))
            await transport.close()
        return [got.headers.get("Cookie") for got in (*seen, *seen_elsewhere)]

    first, second, strangers, after, elsewhere = asyncio.run(run())
    assert first is None
    assert second == "own=1; session=one"
    assert strangers is None
    assert after is None
    assert elsewhere is None


# Bodies


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_the_limit_of_a_body(packed, chunked):
    async def handler(got: web.BaseRequest) -> web.StreamResponse:
        body = b"x" * int(got.raw_path[1:])
        headers = {"Content-Encoding": "gzip"} if packed else {}
        answer = web.StreamResponse(headers=headers)
        content = gzip.compress(body) if packed else body
        if chunked:
            answer.enable_chunked_encoding()
        else:
            answer.content_length = len(content)
        await answer.prepare(got)
        await answer.write(content)
        return answer

    async def run():
        async with serving(handler) as url, client(max_body=10_000) as http:
            return [await http.send(request("GET", f"{url}/{size}")) for size in (10_000, 10_001, 5_000_000, 0)]

    fits, above, far, empty = asyncio.run(run())
    assert fits.body == b"x" * 10_000
    for failed in (above, far):
        assert (failed.kind, failed.sent) == ("body-too-large", True)
        assert failed.message == "the answer (status 200) has a body of more than 10,000 bytes"
    assert empty.body == b""


def test_the_length_of_a_body_that_is_not_sent_is_no_matter():
    async def run():
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"
        async with speaking(head) as (url, _), client(max_body=10) as http:
            return await http.send(request("HEAD", url))

    assert asyncio.run(run()).status == 200


def test_a_body_that_breaks_off():
    async def run():
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nbegin"
        async with speaking(head) as (url, seen), client(transport_retries=1) as http:
            return await http.send(request("GET", url)), len(seen)

    result, requests = asyncio.run(run())
    assert (result.kind, result.sent, requests) == ("reset", True, 2)
    assert result.message == "the answer broke off before its end"


def test_what_was_received_is_given_as_it_is():
    async def run():
        head = b"HTTP/1.1 201 Created\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\n\xff\x00a"
        async with speaking(head) as (url, _), client() as http:
            return await http.send(request("POST", url, body=b"x"))

    result = asyncio.run(run())
    assert result == HttpResponse(201, (("X-A", "1"), ("x-a", "2"), ("Content-Length", "3")), b"\xff\x00a")


# Requests


@pytest.mark.parametrize(
    "target",
    ["/a%2Fb", "/a%20b/?q=%2F&r=a+b", "/a;b=c/%C3%BC", "//a//b/", "/a/../b", "/?", "/%7Ea~'()*!", "/x?q=[a]&b"],
)
def test_urls_are_sent_as_they_were_encoded(target):
    _, seen = asyncio.run(_send(lambda url: request("GET", url + target), web.Response()))
    assert seen[0].raw_path == target.removesuffix("?") or seen[0].raw_path == target


def test_the_request_goes_out_as_it_was_made():
    async def run():
        got = {}

        async def handler(came: web.BaseRequest) -> web.Response:
            got.update(method=came.method, headers=dict(came.headers), body=await came.read())
            return web.Response()

        async with serving(handler) as url, client() as http:
            await http.send(request("PATCH", url, ("Content-Type", "x/y"), ("X-A", "grün"), body=b"\x00\xff"))
        return got

    got = asyncio.run(run())
    assert (got["method"], got["body"], got["headers"]["Content-Type"]) == ("PATCH", b"\x00\xff", "x/y")
    assert got["headers"]["User-Agent"] == "treadle-tests"


def test_a_request_without_a_body_says_no_type():
    async def run():
        handler, seen = scripted(web.Response())
        async with serving(handler) as url, client() as http:
            await http.send(request("POST", url))
        return dict(seen[0].headers)

    headers = asyncio.run(run())
    assert "Content-Type" not in headers
    assert headers["Content-Length"] == "0"


# What goes wrong


def _failure(effect, **connection) -> HttpFailed:
    async def run():
        async with client(transport_retries=0, **connection) as http:
            return await http.send(effect)

    result = asyncio.run(run())
    assert isinstance(result, HttpFailed)
    return result


def test_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        failed = _failure(request("POST", f"http://127.0.0.1:{port}/x", body=b"x"))
    assert (failed.kind, failed.sent) == ("connection", False)
    assert failed.message == f"no connection to 127.0.0.1:{port}: Connection refused"


def test_a_host_without_an_address():
    failed = _failure(request("POST", "http://host.invalid/x", body=b"x"))
    assert (failed.kind, failed.sent, failed.message) == ("dns", False, "the host 'host.invalid' has no address")


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.test"])
def test_a_host_that_no_name_can_be(host):
    failed = _failure(request("POST", f"http://{host}/x", body=b"x"))
    assert (failed.kind, failed.sent, failed.hint) == ("dns", False, "check the URL; --server names another")
    assert failed.message.startswith("the host is no name that can be looked up")


def test_an_address_that_is_not_written_out():
    failed = _failure(request("GET", "http://127.1/x"))
    message = "127.1 is no URL to send a request to: it is not a canonical IPv4 address"
    assert (failed.kind, failed.sent, failed.message) == ("url", False, message)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/x", "http://[::1/x", "http://h:port/x", "http:///x", "http://"]
)
def test_a_url_that_is_none(url):
    failed = _failure(request("POST", url, body=b"x"))
    assert (failed.kind, failed.sent) == ("url", False)
    assert failed.hint == "check the server's URL (--server)"


def test_a_header_that_would_break_out_is_never_sent():
    async def run():
        handler, seen = scripted(web.Response())
        async with serving(handler) as url, client() as http:
            return await http.send(request("POST", url, ("X-A", "b\r\nEvil: c"))), seen

    result, seen = asyncio.run(run())
    assert (result.kind, result.sent, seen) == ("request", False, [])


def test_what_is_no_http():
    async def run():
        async with speaking(b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as (url, _), client() as http:
            return await http.send(request("POST", url))

    result = asyncio.run(run())
    assert (result.kind, result.sent, result.hint) == (
        "protocol",
        True,
        "is this an HTTP server, and right about its lengths?",
    )


def test_a_server_without_tls():
    async def run():
        async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with server, client(request_timeout=5) as http:
            return await http.send(request("POST", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"))

    result = asyncio.run(run())
    assert (result.kind, result.sent) == ("tls", False)


@pytest.mark.parametrize(("method", "timeout"), [("POST", None), ("GET", 0.5)])
def test_no_answer_in_time(method, timeout):
    async def run():
        async def handler(_: web.BaseRequest) -> web.Response:
            await asyncio.Event().wait()
            raise AssertionError

        connection = {"request_timeout": 0.5 if timeout is None else 30, "transport_retries": 0}
        async with serving(handler) as url, client(**connection) as http:
            return await http.send(request(method, url, timeout=timeout))

    result = asyncio.run(run())
    assert (result.kind, result.message, result.sent) == ("timeout", "no answer within 0.5 s", True)


def test_no_connection_in_time():
    async def run():
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = []
            for _ in range(3):  # nobody accepts: further connections are not answered at all
                one = socket.socket()
                one.setblocking(False)  # noqa: FBT003
                one.connect_ex(full.getsockname())
                waiting.append(one)
            url = "http://{}:{}".format(*full.getsockname())
            async with client(request_timeout=1) as http:
                result = await http.send(request("POST", url))
            for one in waiting:
                one.close()
            return result

    result = asyncio.run(run())
    assert (result.kind, result.sent) == ("timeout", False)


def test_certificates_that_cannot_be_used(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    for connection in (
        Connection(ca_cert=str(tmp_path / "none.pem")),
        Connection(ca_cert=str(file)),
        Connection(client_cert=str(file), client_key=str(file)),
    ):
        with pytest.raises(RunRefused, match=r"^--(ca|client)-cert .*\.pem cannot be used: ") as refused:
            tls_context(connection)
        assert "PEM" in (refused.value.hint or "")
    assert tls_context(Connection(insecure=True)).check_hostname is False


def test_more_requests_than_connections():
    async def run():
        handler, seen = scripted(web.Response(body=b"x"))
        async with serving(handler) as url, client(max_connections=2) as http:
            results = await asyncio.gather(*(http.send(request("GET", f"{url}/{n}")) for n in range(20)))
        return results, seen

    results, seen = asyncio.run(run())
    assert [result.status for result in results] == [200] * 20
    assert len({got.transport for got in seen}) <= 2
    assert NOON
