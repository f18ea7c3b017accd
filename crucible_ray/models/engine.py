"""The engine of the query grid: a transport over connections that aiohttp opens and httptools reads.

What makes it fast: no limit on connections, no session's work on each request (redirects, cookies, netrc,
payload types, streams, a task to write the body), one head for all requests that share their headers, no timer per
call. What makes it safe: every failure says whether anything was sent, and what a server may send is bounded.

| object | role | lifetime |
| --- | --- | --- |
| `Engine` | the transport; one per event loop | `async with`, or until `aclose` |
| `_Target` | an address: how it is reached, what its requests begin with | the engine's |
| `Carrier` | one connection, and the exchange that it is in | until it closes, or is idle for `_KEEP_S` |
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Coroutine, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, cast

import aiohttp
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.hdrs import CONTENT_LENGTH, PROXY_AUTHORIZATION
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from crucible_ray.errors import NeverSent
from crucible_ray.models.carrier import Carrier
from crucible_ray.models.transport import CONNECT_TIMEOUT_S, MAX_BODY_BYTES, LazyTls, Response, Routes, within

_SHOWN = 200
_KNOWN_URLS = 1024
_KNOWN_HEADS = 64
_KEEP_S: Final = 15.0
"""How long an idle connection is kept: many servers close theirs after so long, or a little later."""
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)


class Engine:
    """See Transport. May be made outside of an event loop; belongs to the loop of its first `send`.

    proxy: for every address, loopback too; None: HTTP_PROXY, HTTPS_PROXY and NO_PROXY decide, except for
    loopback. trust_env: whether those variables are read.
    ca_file: PEM file of a private authority, trusted in addition to the usual ones. tls: a context instead.
    """

    def __init__(
        self,
        *,
        proxy: str | None = None,
        trust_env: bool = True,
        ca_file: str | None = None,
        tls: ssl.SSLContext | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._routes = Routes(proxy=proxy, trust_env=trust_env)
        self._tls = LazyTls(tls, ca_file)
        self._max_body_bytes = max_body_bytes
        self._targets: dict[str, _Target] = {}
        self._idle: dict[ConnectionKey, _Idle] = {}
        self._connector: _Connector | None = None
        self._closed = False

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, deadline_s: float | None = None
    ) -> Coroutine[Any, Any, Response]:
        """See Transport."""
        exchange = self._exchange(method, url, headers, body)
        return exchange if deadline_s is None else within(deadline_s, exchange)

    async def aclose(self) -> None:
        """See Transport."""
        self._closed = True
        connector, self._connector = self._connector, None
        for idle in self._idle.values():
            idle.close()
        if connector is not None:
            await connector.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        target = self._targets.get(url) or self._aim(url)
        carrier = target.idle.take()
        if carrier is None:
            carrier = await self._connect(target)
        try:
            response = await carrier.ask(target.request(method, headers, body), bodyless=method == "HEAD")
        except BaseException:
            carrier.close()
            raise
        if carrier.reusable:
            target.idle.keep(carrier)
        else:
            carrier.close()
        return response

    async def _connect(self, target: _Target) -> Carrier:
        connector = self._connector or self._open()
        try:
            lease = await connector.connect(target.door, [], _TIMEOUT)
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError) as error:
            cause = error
        else:
            carrier = cast(Carrier, lease.protocol)
            carrier.origin, carrier.lease = target.origin, lease
            if carrier.is_connected():
                return carrier
            carrier.close()
            raise NeverSent(f"{target.origin}: the connection was closed, or spoke, before it was asked")
        # Raised out here, and never from a ClientResponseError: those hold the request's headers, so a key.
        raise NeverSent(f"{target.origin}: {_describe(cause)}") from (
            cause.__cause__ if isinstance(cause, aiohttp.ClientResponseError) else cause
        )

    def _aim(self, url: str) -> _Target:
        route = self._routes.route(url)
        try:
            parsed = URL(url)
        except ValueError:
            raise NeverSent(f"{route.origin}: not a usable address") from None
        proxy = URL(route.proxy) if route.proxy is not None else None
        tls = self._tls.get() if route.tls or (route.proxy or "").startswith("https") else True
        door = _Door("POST", parsed, proxy=proxy, ssl=tls)
        key = door.connection_key
        if key not in self._idle:
            self._idle[key] = _Idle()
        target = _Target(door, route.origin, self._idle[key])
        if len(self._targets) >= _KNOWN_URLS:
            self._targets.clear()
        self._targets[url] = target
        return target

    def _open(self) -> _Connector:
        if self._closed:
            raise RuntimeError("this transport is closed")
        self._connector = _Connector(self._max_body_bytes)
        return self._connector


class _Idle:
    """Connections to one address that wait for a request; the one that was used last goes first."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._kept: deque[Carrier] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def take(self) -> Carrier | None:
        """An open one; None: there is none."""
        while self._kept:
            carrier = self._kept.pop()
            if carrier.is_connected() and self._loop.time() - carrier.idle_since_s <= _KEEP_S:
                return carrier
            carrier.close()
        return None

    def keep(self, carrier: Carrier) -> None:
        """Until it is taken, or for `_KEEP_S`."""
        carrier.idle_since_s = self._loop.time()
        self._kept.append(carrier)
        if self._timer is None:
            self._timer = self._loop.call_later(_KEEP_S, self._sweep)

    def _sweep(self) -> None:
        while self._kept and self._loop.time() - self._kept[0].idle_since_s >= _KEEP_S:
            self._kept.popleft().close()
        self._timer = None
        if self._kept:
            self._timer = self._loop.call_at(self._kept[0].idle_since_s + _KEEP_S, self._sweep)

    def close(self) -> None:
        """Close them all."""
        if self._timer is not None:
            self._timer.cancel()
        while self._kept:
            self._kept.pop().close()


class _Connector(aiohttp.TCPConnector):
    def __init__(self, max_body_bytes: int) -> None:
        super().__init__(limit=0, ttl_dns_cache=60)
        # aiohttp has no public way to name the protocol; the contract suite fails if this one is not used.
        self._factory = cast(Any, partial(Carrier, asyncio.get_running_loop(), max_body_bytes))


class _Door(ClientRequest):
    """Where connections to a target are opened, through its proxy if it has one; never sent itself."""

    _known_key: ConnectionKey | None = None

    @property
    def connection_key(self) -> ConnectionKey:
        if self._known_key is None:
            self._known_key = super().connection_key
        return self._known_key


class _Target:
    """An address, ready to be written to."""

    def __init__(self, door: _Door, origin: str, idle: _Idle) -> None:
        self.door, self.origin, self.idle = door, origin, idle
        self._heads: dict[tuple[object, ...], bytes] = {}

    def request(self, method: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """What is written."""
        sized = body or method not in ClientRequest.GET_METHODS
        length = b"Content-Length: %d\r\n" % len(body) if sized else b""
        return b"%b\r\n%b\r\n%b" % (self._known_head(method, headers), length, body)

    def _known_head(self, method: str, headers: Mapping[str, str]) -> bytes:
        """The request up to its length; the same bytes for the same headers."""
        key = (method, *headers.items())
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= _KNOWN_HEADS:
                self._heads.clear()
            head = self._heads[key] = self._head(method, headers)
        return head

    def _head(self, method: str, headers: Mapping[str, str]) -> bytes:
        door = self.door
        # What aiohttp sends by itself (Host, Accept-Encoding) comes with the headers of a request that has no body.
        fields = ClientRequest(method, door.url, headers=dict(headers)).headers
        fields.popall(CONTENT_LENGTH, None)
        if door.proxy is not None and not door.is_ssl():
            place = str(door.url)
            if PROXY_AUTHORIZATION in door.headers:
                fields[PROXY_AUTHORIZATION] = door.headers[PROXY_AUTHORIZATION]
        else:
            place = door.url.raw_path_qs
        lines = [f"{method} {place} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        if any(mark in line for line in lines for mark in "\r\n\0"):
            raise ValueError("a header holds a line break or a null byte")
        return "\r\n".join(lines).encode()


def _describe(error: Exception) -> str:
    """One line for people, out of parts that hold neither headers nor the address's query."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "the host's name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError(
            certificate_error=ssl.SSLCertVerificationError() as refused
        ):
            return f"its certificate is not accepted: {refused.verify_message}"
        case TimeoutError():
            return f"no connection within {CONNECT_TIMEOUT_S:.0f} s"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refuses the tunnel: {error.status} {error.message[:_SHOWN]}"
        case aiohttp.ClientConnectorError(os_error=reason):
            proxy = "the proxy" if isinstance(error, aiohttp.ClientProxyConnectionError) else "it"
            return f"{proxy} cannot be reached: {reason.strerror or type(reason).__name__}"
        case HttpProcessingError() | aiohttp.ClientResponseError():
            return f"the answer is not HTTP: {' '.join(error.message.split())[:_SHOWN]}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before the answer began or while its headers came"
        case OSError():
            return f"the connection broke: {error.strerror or type(error).__name__}"
        case _:
            return type(error).__name__
