"""The provider's sockets: HTTP/1.1 by hand, since a benchmark's server must cost less than what it measures.

| object | role | lifetime |
| --- | --- | --- |
| Provider | decides every answer; counts | the server's |
| Simulator | the provider at an address: its clock and its connections | `async with serve(...)` |
| _Connection | parses requests, carries decisions out | one connection |

Heeded: Content-Length bodies, keep-alive, `Expect: 100-continue`, requests that come before the last was
answered (queued). Refused: chunked request bodies (411), bodies above 16 MB (413), heads above 64 KB (431).
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import IO, cast
from urllib.parse import unquote

import msgspec

from crucible_ray.records import Item
from crucible_ray.simulator import anthropic, google, openai
from crucible_ray.simulator.config import SimulatorConfig
from crucible_ray.simulator.population import Population
from crucible_ray.simulator.provider import Planned, Provider, Stats
from crucible_ray.simulator.recorded import RecordedReply
from crucible_ray.simulator.wire import Trouble, Wire

_MAX_HEAD = 64 * 1024
_MAX_BODY = 16 * 1024 * 1024
_BACKLOG = 8_192
_DROPS = 20
_RESET_AFTER_S = 0.02
"""Long enough for half a body to be read before its connection is reset."""
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r\n")
_KEY = re.compile(rb"\r\n(?:authorization|x-api-key|x-goog-api-key):[ \t]*([^\r]*)\r\n", re.IGNORECASE)
_CHAT = frozenset((b"/v1/chat/completions", b"/chat/completions"))
_MESSAGES = frozenset((b"/v1/messages",))
_GENERATE = re.compile(rb"/v1(?:beta)?/models/([^/:]+):(\w+)")
_ANTHROPIC = re.compile(rb"\r\nanthropic-version:", re.IGNORECASE)
_GOOGLE = re.compile(rb"\r\nx-goog-api-(?:key|client):", re.IGNORECASE)
_MODELS = frozenset((b"/v1/models", b"/models", b"/v1beta/models"))
_STATS = frozenset((b"/v1/stats", b"/stats"))
_REASONS = {status.value: status.phrase for status in HTTPStatus} | {529: "Overloaded"}


class Simulator:
    """A simulated provider at an address."""

    def __init__(
        self,
        config: SimulatorConfig,
        *,
        items: Sequence[Item] = (),
        replies: Sequence[RecordedReply] = (),
        log: IO[bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider = Provider(config, items=items, replies=replies, log=log)
        self._clock, self._started_s = clock, clock()
        self._server: asyncio.Server | None = None
        self.connections: set[_Connection] = set()
        self.url = ""
        """Ends in `/v1`, as `OPENAI_BASE_URL` does; Anthropic's and Google's clients want it without. Empty until started."""

    @property
    def population(self) -> Population:
        """The simulated models, for their planted truth."""
        return self.provider.population

    def now_s(self) -> float:
        """Seconds since the simulator was made."""
        return self._clock() - self._started_s

    def stats(self, *, arrivals: bool = False) -> Stats:
        """What `GET /stats` says."""
        return self.provider.stats(arrivals=arrivals)

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises OSError where the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, loop), host, port, backlog=_BACKLOG)
        bound, number = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{f'[{bound}]' if ':' in bound else bound}:{number}/v1"

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
            for connection in list(self.connections):
                connection.drop()
            await self._server.wait_closed()
            # Dropped connections are told so by the loop's next turn.
            while self.connections:
                await asyncio.sleep(0)


@asynccontextmanager
async def serve(
    config: SimulatorConfig,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    items: Sequence[Item] = (),
    replies: Sequence[RecordedReply] = (),
    log: IO[bytes] | None = None,
) -> AsyncIterator[Simulator]:
    """A simulator on the running loop, for tests; a run wants a `SimulatorProcess`."""
    simulator = Simulator(config, items=items, replies=replies, log=log)
    await simulator.start(host, port)
    try:
        yield simulator
    finally:
        await simulator.stop()


class _Connection(asyncio.Protocol):
    """One connection: at most one request is being answered, the next waits in the buffer."""

    __slots__ = (
        "_answering",
        "_begun",
        "_buffer",
        "_close",
        "_continued",
        "_loop",
        "_owner",
        "_timer",
        "_transport",
    )

    def __init__(self, owner: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self._owner, self._loop = owner, loop
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self._answering = False
        """From a whole request to the end of its answer."""
        self._begun = False
        """Whether the answer's head is out."""
        self._continued = self._close = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._owner.connections.add(self)
        provider = self._owner.provider
        provider.connections += 1
        provider.peak_connections = max(provider.peak_connections, provider.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        provider = self._owner.provider
        provider.connections -= 1
        if self._answering:
            if self._begun:
                provider.cut_short += 1
            else:
                provider.cancelled += 1
                provider.in_flight -= 1
        self._answering = False
        self._transport = None
        self._owner.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._answering:
            self._read()

    def drop(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _read(self) -> None:
        """Take one request out of the buffer, if it is whole, and answer it."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD:
                self._refuse(431)
            return
        head = self._buffer[: end + 2]
        lowered = head.lower()
        if b"\r\ntransfer-encoding:" in lowered:
            self._refuse(411)
            return
        found = _LENGTH.search(lowered)
        whole = end + 4 + (int(found[1]) if found else 0)
        if whole > _MAX_BODY:
            self._refuse(413)
            return
        if len(self._buffer) < whole:
            if b"\r\nexpect: 100-continue\r\n" in lowered and not self._continued:
                self._continued = True
                self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        words = head[: head.index(b"\r\n")].split(b" ")
        if len(words) != 3:
            self._refuse(400)
            return
        body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
        self._continued = False
        self._close = b"\r\nconnection: close\r\n" in lowered or words[2] == b"HTTP/1.0"
        self._route(words[0], words[1], head, body)

    def _route(self, method: bytes, target: bytes, head: bytes, body: bytes) -> None:
        path, _, query = target.partition(b"?")
        provider = self._owner.provider
        asked = _asked(path)
        if asked is not None and method == b"POST":
            found = _KEY.search(head)
            payer = found[1].decode("latin-1") if found else ""
            wire, model = asked
            self._answer(provider.answer(wire, body, payer, now_s=self._owner.now_s(), model=model))
            return
        wire = _wire_of(path, head)
        if method == b"GET" and path in _MODELS:
            self._finish(self._packed(Planned(200, wire.models(provider.names()))))
        elif method == b"GET" and path in _STATS:
            said = msgspec.json.encode(provider.stats(arrivals=b"arrivals=1" in query))
            self._finish(self._packed(Planned(200, said)))
        else:
            known = asked is not None or path in _MODELS or path in _STATS
            self._finish(self._packed(_troubled(wire, "no_such_call", "no such call", 405 if known else 404)))

    def _answer(self, planned: Planned) -> None:
        provider = self._owner.provider
        self._answering, self._begun = True, False
        provider.in_flight += 1
        provider.peak_in_flight = max(provider.peak_in_flight, provider.in_flight)
        if planned.fault == "stall":
            return
        if planned.delay_s > 0.0:
            self._timer = self._loop.call_later(planned.delay_s, self._send, planned)
        else:
            self._send(planned)

    def _send(self, planned: Planned) -> None:
        """The answer's time has come."""
        self._timer = None
        provider, fault = self._owner.provider, planned.fault
        provider.in_flight -= 1
        if fault == "reset":
            provider.resets += 1
            self._reset()
            return
        provider.statuses[planned.status] += 1
        self._begun = True
        packed = self._packed(planned)
        if fault == "slow-body":
            self._write(packed[: len(packed) - len(planned.body)])
            self._drip(planned.body, max(1, -(-len(planned.body) // _DROPS)))
        elif fault in ("reset-body", "truncate-length"):
            self._close = True
            half = packed[: len(packed) - len(planned.body) // 2]
            if fault == "reset-body":
                self._write(half)
                self._timer = self._loop.call_later(_RESET_AFTER_S, self._reset)
            else:
                self._finish(half)
        else:
            self._finish(packed)

    def _drip(self, body: bytes, size: int) -> None:
        self._timer = None
        if len(body) <= size:
            self._finish(body)
            return
        self._write(body[:size])
        pause_s = self._owner.provider.slow_body_s / _DROPS
        self._timer = self._loop.call_later(pause_s, self._drip, body[size:], size)

    def _packed(self, planned: Planned) -> bytes:
        """Head and body in one piece."""
        status, body = planned.status, planned.body
        close = "connection: close\r\n" if self._close else ""
        head = (
            f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\ncontent-type: application/json\r\n"
            f"x-simulated: true\r\n{planned.headers}{close}content-length: {len(body)}\r\n\r\n"
        )
        return head.encode("latin-1") + body

    def _finish(self, last: bytes) -> None:
        """Write the end of an answer and go on to the next request."""
        self._write(last)
        self._answering = False
        if self._transport is None:
            return
        if self._close:
            self._transport.close()
        elif self._buffer:
            # By way of the loop, so that a long queue of requests is no deep recursion.
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        if not self._answering and self._transport is not None and not self._transport.is_closing():
            self._read()

    def _refuse(self, status: int) -> None:
        """Answer what is no request we read, and close."""
        self._buffer, self._close = b"", True
        self._finish(
            self._packed(_troubled(openai, "bad_request", "not a request that is read here", status))
        )

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _reset(self) -> None:
        """End the connection with a reset rather than a farewell."""
        self._answering = False
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _asked(path: bytes) -> tuple[Wire, str] | None:
    """The format in which a path asks for a completion, with the model that it names, if any."""
    if path in _CHAT:
        return openai, ""
    if path in _MESSAGES:
        return anthropic, ""
    found = _GENERATE.fullmatch(path)
    if found and found[2] == b"generateContent":
        return google, unquote(found[1].decode("latin-1"))
    return None


def _wire_of(path: bytes, head: bytes) -> Wire:
    """Whose words a page is written in: three providers list their models at one path."""
    if path.startswith(b"/v1beta/") or _GENERATE.fullmatch(path) or _GOOGLE.search(head):
        return google
    return anthropic if path in _MESSAGES or _ANTHROPIC.search(head) else openai


def _troubled(wire: Wire, trouble: Trouble, message: str, status: int) -> Planned:
    return Planned(status, wire.error(trouble, message)[1])
