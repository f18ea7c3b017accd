"""Hand-written servers on loopback: a script per connection, so that every byte and every close is chosen."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"


class Request(NamedTuple):
    """What came in."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case; what is said more than once has commas between."""
    body: bytes


class Peer:
    """The server's end of one connection."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        """From 1."""
        self.reader, self.writer = reader, writer

    async def request(self) -> Request | None:
        """The next request; None: the client closed."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.decode().strip().split("\r\n")
        headers: dict[str, str] = {}
        for name, _, value in (line.partition(":") for line in lines):
            said = headers.get(name.lower())
            headers[name.lower()] = value.strip() if said is None else f"{said}, {value.strip()}"
        method, target, _ = first.split(" ")
        body = await self.reader.readexactly(int(headers.get("content-length", "0").partition(",")[0]))
        return Request(method, target, headers, body)

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def end(self) -> None:
        """Wait until the client's side has closed."""
        with suppress(ConnectionError, ssl.SSLError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """Close at once; with unread data in the kernel the client gets a reset."""
        self.writer.transport.abort()


class Server:
    """A listening script. `requests` holds what `answering` read."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[Request] = []
        self.port = 0
        self.tls = False

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1/chat"


@asynccontextmanager
async def serve(
    script: Callable[[Server, Peer], Awaitable[None]], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """A server that runs `script` on each connection and closes it afterwards."""
    server, tasks = Server(), set[asyncio.Task[None]]()
    server.tls = tls is not None

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        try:
            await script(server, Peer(server.connections, reader, writer))
        except asyncio.CancelledError:
            writer.transport.abort()  # the test is over
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            tasks.discard(task)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls, backlog=4096)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answering(*responses: bytes) -> Callable[[Server, Peer], Awaitable[None]]:
    """Answers with each response in turn, the last one from then on, over as many connections as come."""
    left = list(responses)

    async def script(server: Server, peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            server.requests.append(request)
            await peer.write(left.pop(0) if len(left) > 1 else left[0])

    return script


def then_closing(response: bytes) -> Callable[[Server, Peer], Awaitable[None]]:
    """Reads one request, writes these bytes, closes."""

    async def script(server: Server, peer: Peer) -> None:
        request = await peer.request()
        assert request is not None
        server.requests.append(request)
        await peer.write(response)

    return script


def proxy_to(port: int) -> Callable[[Server, Peer], Awaitable[None]]:
    """A forward proxy that takes every host to be 127.0.0.1:`port`: absolute targets, and CONNECT."""

    async def script(server: Server, peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            server.requests.append(request)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                if request.method == "CONNECT":
                    await peer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await asyncio.gather(_pump(peer.reader, writer), _pump(reader, peer.writer))
                    return
                path = "/" + request.target.split("/", 3)[3]
                head = f"{request.method} {path} HTTP/1.1\r\nContent-Length: {len(request.body)}\r\n\r\n"
                writer.write(head.encode() + request.body)
                header = await reader.readuntil(b"\r\n\r\n")
                length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await peer.write(header + await reader.readexactly(length))
            finally:
                writer.close()

    return script


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
