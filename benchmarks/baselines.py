"""The same calls without us: stock aiohttp, and the least that asyncio can do. Each runs in a process of its own.

`python -m benchmarks.baselines KIND URL IN_FLIGHT CALLS < BODIES` prints one JSON object, a `Cost`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import cycle, islice
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import msgspec
import uvloop
from msgspec import Struct

from benchmarks.measuring import cpu_here_s

HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "crucible-ray"}
"""What the runtime sends to a server that needs no key."""

Play = Callable[[str, int, Iterator[bytes]], Awaitable[None]]
"""Sends every body to a URL, so many at a time; returns when the last answer is read."""


class Cost(Struct, frozen=True):
    """What `calls` calls took, once the connections stood; seconds."""

    calls: int
    cpu_s: float
    wall_s: float


def measure(kind: str, url: str, in_flight: int, calls: int, bodies: Sequence[bytes]) -> Cost:
    """The cost of a baseline, `stock` or `raw`, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.baselines", kind, url, str(in_flight), str(calls)]
    done = subprocess.run(command, input=b"\n".join(bodies), stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Cost)


class Stock:
    """aiohttp as its users have it, without the environment read at each call."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
        )

    async def play(self, url: str, in_flight: int, bodies: Iterator[bytes]) -> None:
        """See Play."""

        async def send() -> None:
            for body in bodies:
                async with self._session.post(url, data=body, headers=HEADERS) as response:
                    await response.read()
                    assert response.status == 200

        await asyncio.gather(*(send() for _ in range(in_flight)))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._session.close()


class Raw:
    """A protocol for each connection, which knows the one shape of answer that it will meet."""

    def __init__(self) -> None:
        self._open: list[_RawConnection] = []

    async def play(self, url: str, in_flight: int, bodies: Iterator[bytes]) -> None:
        """See Play."""
        loop = asyncio.get_running_loop()
        parts = urlsplit(url)
        lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{lines}Content-Length: ".encode()
        while len(self._open) < in_flight:
            made = await loop.create_connection(_RawConnection, parts.hostname or "", parts.port or 80)
            self._open.append(made[1])
        await asyncio.gather(*(each.play(head, bodies) for each in self._open))

    async def close(self) -> None:
        """Let go of the connections."""
        for each in self._open:
            each.transport.close()


class _RawConnection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._got = b""

    def play(self, head: bytes, bodies: Iterator[bytes]) -> asyncio.Future[None]:
        self._head, self._bodies = head, bodies
        self._done = asyncio.get_running_loop().create_future()
        self._next()
        return self._done

    def _next(self) -> None:
        body = next(self._bodies, None)
        if body is None:
            self._done.set_result(None)
        else:
            self.transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))

    def data_received(self, data: bytes) -> None:
        got = self._got = self._got + data
        end = got.find(b"\r\n\r\n")
        if end < 0:
            return
        at = got.index(b"content-length: ") + 16
        if len(got) >= end + 4 + int(got[at : got.index(b"\r\n", at)]):
            assert got.startswith(b"HTTP/1.1 200")
            self._got = b""
            self._next()


async def _cost(player: Any, url: str, in_flight: int, calls: int, bodies: list[bytes]) -> Cost:
    endless = cycle(bodies)
    await player.play(url, in_flight, islice(endless, 2 * in_flight))
    began_s, before_s = time.perf_counter(), cpu_here_s()
    await player.play(url, in_flight, islice(endless, calls))
    cost = Cost(calls, cpu_here_s() - before_s, time.perf_counter() - began_s)
    await player.close()
    return cost


async def _main(kind: str, url: str, in_flight: str, calls: str) -> None:
    bodies = sys.stdin.buffer.read().split(b"\n")
    player = {"stock": Stock, "raw": Raw}[kind]()
    cost = await _cost(player, url, int(in_flight), int(calls), bodies)
    sys.stdout.buffer.write(msgspec.json.encode(cost))


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))
