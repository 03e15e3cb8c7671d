"""A server as cheap as one can be in Python, in a process of its own, so that what is measured is the client.

Answers the three requests of the founding workflow after DELAY seconds. `PUT /running/true|false` sets what the light
status says.
"""

import asyncio
import sys

SETTINGS = b'{"id":"NIGHTLY","projectKey":"DEMO","type":"step_based","active":true,"params":{"steps":[]}}'
FIRE = b'{"id":"2026-11-23-10-00-00-000","runId":"2026-11-23-10-00-00-000","trigger":{"id":"manual"},"cancelled":false}'
LIGHT = (
    b'{"id":"NIGHTLY","projectKey":"DEMO","running":%s,"active":true,"lastRun":{"runId":"2026-11-23-10-00-03-000",'
    b'"start":1795428003000,"end":1795428010000,"result":{"type":"SCENARIO_DONE","outcome":"SUCCESS"}}}'
)


class Server(asyncio.Protocol):
    """Reads pipelined-free HTTP/1.1 and answers by the path."""

    delay = 0.0
    running = b"false"

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            self.answer(head.split(b" ", 2)[:2])

    def answer(self, request: list[bytes]) -> None:
        method, path = request
        if method == b"PUT":
            Server.running = path.rpartition(b"/")[2]
            body = b"{}"
        elif method == b"POST":
            body = FIRE
        else:
            body = LIGHT % Server.running if path.endswith(b"/light") else SETTINGS
        text = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        if Server.delay and method != b"PUT":
            asyncio.get_running_loop().call_later(Server.delay, self.send, text)
        else:
            self.send(text)

    def send(self, text: bytes) -> None:
        if isinstance(self.transport, asyncio.WriteTransport) and not self.transport.is_closing():
            self.transport.write(text)


async def main(delay: float) -> None:
    Server.delay = delay
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
