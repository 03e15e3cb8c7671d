"""The scripted server: answers in order, or by method and path, and a record of what came in and when."""

import json
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

DOCUMENTS = "/_documents/"
"""Below this path the server gives the documents of the case; such requests are not among those that are judged."""
_ANSWER_FIELDS = {"status", "headers", "json", "text", "xml", "delay", "drop"}
_LINE = 65536


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; `delay` is in seconds, `drop` closes the connection without one."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    drop: bool = False

    @classmethod
    def read(cls, given: Any) -> Self:
        """Make an answer of what a case says: a status, or a mapping."""
        if isinstance(given, int):
            return cls(given)
        unknown = sorted(set(given) - _ANSWER_FIELDS)
        if unknown:
            raise ValueError(f"an answer has the field '{unknown[0]}'; there are {', '.join(sorted(_ANSWER_FIELDS))}")
        headers = {str(name): str(value) for name, value in given.get("headers", {}).items()}
        named = {name.lower() for name in headers}
        body = b""
        for kind, media_type in (("json", "application/json"), ("text", "text/plain"), ("xml", "application/xml")):
            if kind in given:
                body = (json.dumps(given[kind]) if kind == "json" else str(given[kind])).encode()
                if "content-type" not in named:
                    headers["Content-Type"] = media_type
        return cls(given.get("status", 200), headers, body, given.get("delay", 0.0), given.get("drop", False))


_USED_UP = Answer.read({"status": 500, "json": {"error": "this case has no more answers"}})


@dataclass(frozen=True, slots=True)
class Script:
    """Answers by `METHOD /path` (`*` for any other). A list is used up in order, a single answer is for every request."""

    answers: Mapping[str, list[Answer] | Answer]

    @classmethod
    def read(cls, given: Any) -> Self:
        """Make a script of what a case says.

        Raises:
            TypeError: it is neither a list of answers nor a mapping of them.
        """
        if isinstance(given, list):
            given = {"*": given}
        if not isinstance(given, dict):
            raise TypeError("'server' is a list of answers, or answers by 'METHOD /path' and '*'")
        return cls({
            str(key): [Answer.read(one) for one in value] if isinstance(value, list) else Answer.read(value)
            for key, value in given.items()
        })  # fmt: skip


@dataclass(slots=True)
class Seen:
    """A request as it came in; `arrived` and `answered` are seconds of one steady clock."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    arrived: float
    answered: float | None = None


class ScriptedServer(socketserver.ThreadingTCPServer):
    """Serves a script on a free port of this machine; answers and documents may hold `{server}`."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.seen: list[Seen] = []
        self.documents: Mapping[str, str] = {}
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.ended = threading.Event()
        self._left = {key: list(value) if isinstance(value, list) else value for key, value in script.answers.items()}
        self._lock = threading.Lock()

    def answer(self, seen: Seen) -> Answer:
        """Note a request and give its answer."""
        line = f"{seen.method} {seen.target.partition('?')[0]}"
        with self._lock:
            self.seen.append(seen)
            left = self._left.get(line, self._left.get("*"))
            if isinstance(left, list):
                return left.pop(0) if left else _USED_UP
            return left or _USED_UP

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: what a client sends is judged, not reported by the server."""


class _Connection(socketserver.StreamRequestHandler):
    server: ScriptedServer

    def handle(self) -> None:
        with suppress(ConnectionError, TimeoutError):  # the client had enough
            seen = self._read()
            if seen is None:
                return
            document = self.server.documents.get(seen.target.partition("?")[0].removeprefix(DOCUMENTS))
            if seen.method == "GET" and seen.target.startswith(DOCUMENTS):
                kind = "application/json" if document and document.startswith("{") else "application/yaml"
                found = Answer(200, {"Content-Type": kind}, document.encode()) if document else Answer(404)
                self._send(found, seen)
                return
            answer = self.server.answer(seen)
            if answer.delay:
                self.server.ended.wait(answer.delay)
            self._send(answer, seen)

    def _read(self) -> Seen | None:
        words = self.rfile.readline(_LINE).decode("latin-1").split()
        if len(words) != 3:
            return None
        headers: list[tuple[str, str]] = []
        while line := self.rfile.readline(_LINE).decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        by_name = {name.lower(): value for name, value in headers}
        if by_name.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if by_name.get("transfer-encoding", "").lower() == "chunked":
            body = self._read_chunks()
        else:
            body = self.rfile.read(int(by_name.get("content-length") or 0))
        target = words[1]
        if target.startswith(self.server.url):  # the absolute form is for proxies, but every server must take it
            target = target.removeprefix(self.server.url) or "/"
        return Seen(words[0], target, headers, body, time.monotonic())

    def _read_chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(_LINE).split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline(_LINE)
        while self.rfile.readline(_LINE).strip():
            pass
        return b"".join(parts)

    def _send(self, answer: Answer, seen: Seen) -> None:
        if answer.drop:
            seen.answered = time.monotonic()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        body = answer.body.replace(b"{server}", self.server.url.encode())
        headers = {"Connection": "close", **answer.headers}
        if answer.status >= 200 and answer.status not in (204, 304):
            headers["Content-Length"] = str(len(body))
        reason = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus._value2member_map_ else "Said"
        lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join(lines).replace("{server}", self.server.url)
        # Before the answer is out, so that what the client waits is never more than what is measured.
        seen.answered = time.monotonic()
        with_body = seen.method != "HEAD" and answer.status not in (204, 304)
        self.wfile.write(head.encode("latin-1") + b"\r\n\r\n" + (body if with_body else b""))


@contextmanager
def scripted(script: Script) -> Iterator[ScriptedServer]:
    """Serve a script from a thread for the length of the block."""
    with ScriptedServer(script) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()
