"""A server that answers from a script, byte by byte: also what no well-behaved server would send."""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import threading
from contextlib import contextmanager, suppress
from typing import Any, Literal, NamedTuple

from msgspec import UNSET, Struct

CHUNK = b"x" * 65536


class Answer(Struct, forbid_unknown_fields=True, frozen=True):
    """One answer of the script.

        `special`: reset the connection (RST), close it without an answer, hang until the end, hold the answer until the test
    lets it go, send what is no HTTP, or break off in the middle of the body. `huge`: a body of that many bytes, sent
    piece by piece. `hex`: a body of bytes.
        `{authorization}` is the header as it came in.
    """

    status: int = 200
    headers: dict[str, str] = {}
    json: Any = UNSET
    text: str | None = None
    hex: str | None = None
    huge: int | None = None
    special: Literal["reset", "close", "hang", "hold", "garbage", "break-off"] | None = None


class Seen(NamedTuple):
    """A request as it came in."""

    line: str
    headers: dict[str, str]
    body: str


class ScriptedServer(socketserver.ThreadingTCPServer):
    """Serves a script of answers by `METHOD /path` (`*` for any other); the last answer of a list is repeated."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, script: dict[str, list[Answer]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = {name: list(answers) for name, answers in script.items()}
        self.seen: list[Seen] = []
        self.arrived = threading.Condition()
        self.ended = threading.Event()
        self.let_go = threading.Event()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def answer(self, seen: Seen) -> Answer:
        """Note a request and give its answer."""
        with self.arrived:
            self.seen.append(seen)
            answers = self.script.get(seen.line.partition("?")[0]) or self.script.get("*") or [Answer(status=404)]
            self.arrived.notify_all()
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def wait_for(self, line: str, count: int, seconds: float) -> bool:
        """Wait until so many requests of that line have come in."""
        with self.arrived:
            return self.arrived.wait_for(
                lambda: sum(seen.line.partition("?")[0] == line for seen in self.seen) >= count, seconds
            )


class _Handler(socketserver.StreamRequestHandler):
    server: ScriptedServer

    def handle(self) -> None:
        if self.rfile.peek(1)[:1] == b"\x16":  # TLS begins so; this is what nginx does with it
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return
        method, path, _ = self.rfile.readline().decode("latin-1").split(" ", 2)
        headers: dict[str, str] = {}
        while (line := self.rfile.readline().decode("latin-1").strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", "0"))).decode("utf-8", "replace")
        answer = self.server.answer(Seen(f"{method} {path}", headers, body))
        with suppress(BrokenPipeError, ConnectionResetError):  # the client had enough
            self._send(answer, headers)

    def _send(self, answer: Answer, asked: dict[str, str]) -> None:
        match answer.special:
            case "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            case "close":
                return
            case "hang":
                self.server.ended.wait()
                return
            case "hold":
                self.server.let_go.wait()
            case "garbage":
                self.wfile.write(b"\x00\x01\x02 this is no HTTP\r\n\r\n")
                return
        authorization = asked.get("authorization", "")
        headers = {name: value.replace("{authorization}", authorization) for name, value in answer.headers.items()}
        if answer.json is not UNSET:
            headers.setdefault("Content-Type", "application/json; charset=utf-8")
            body = json.dumps(answer.json).replace("{authorization}", json.dumps(authorization)[1:-1])
        else:
            body = (answer.text or "").replace("{authorization}", authorization)
        content = body.encode() if answer.hex is None else bytes.fromhex(answer.hex)
        length = answer.huge if answer.huge is not None else len(content)
        headers = {"Connection": "close", "Content-Length": str(length), **headers}
        if headers["Content-Length"] == "none":
            del headers["Content-Length"]
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.wfile.write(f"HTTP/1.1 {answer.status} Said\r\n{head}\r\n".encode())
        if answer.special == "break-off":
            self.wfile.write(content[: len(content) // 2])
            return
        self.wfile.write(content)
        left = answer.huge or 0
        while left > 0:
            self.wfile.write(CHUNK[:left])
            left -= len(CHUNK)


@contextmanager
def scripted(script: dict[str, list[Answer]]):
    """Serve a script from a thread for the length of the block."""
    with ScriptedServer(script) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.let_go.set()
            server.shutdown()
            thread.join()
