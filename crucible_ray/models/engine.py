"""The engine of the query grid: a transport over aiohttp's connections and its parser of HTTP.

What makes it fast: no limit on connections, no session's work on each request (redirects, cookies, netrc,
payload types, a task to write the body), one head for all requests that share their headers, no timer per call.
What makes it safe: every failure says whether anything was sent.

| object | role | lifetime |
| --- | --- | --- |
| `Engine` | the transport; one per event loop | `async with`, or until `aclose` |
| `_Target` | an address: how it is reached, what its requests begin with | the engine's |
| `_Carrier` | one connection; knows its uses and whether anything came back | pooled by aiohttp's connector |
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Mapping
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.connector import Connection
from aiohttp.hdrs import CONTENT_LENGTH, PROXY_AUTHORIZATION
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from yarl import URL

from crucible_ray.errors import NeverSent, OutcomeUnknown, StaleConnection, TransportError
from crucible_ray.models.transport import CONNECT_TIMEOUT_S, MAX_BODY_BYTES, LazyTls, Response, Routes, within

_SHOWN = 200
_KNOWN_URLS = 1024
_KNOWN_HEADS = 64
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
        connector = self._connector or self._open()
        carrier: _Carrier | None = None
        try:
            connection = await connector.connect(target.door, [], _TIMEOUT)
            try:
                carrier = _begin(connection, method, target.head(method, headers), body)
                response = await self._finish(carrier)
                connection.release()
                return response
            finally:
                connection.close()  # harmless once it is released
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError) as error:
            cause = error
        # Raised out here, and never from a ClientResponseError: those hold the request's headers, so a key.
        kind: type[TransportError] = NeverSent
        if carrier is not None:
            kind = StaleConnection if carrier.was_idle(cause) else OutcomeUnknown
        raise kind(f"{target.origin}: {_describe(cause)}") from (
            cause.__cause__ if isinstance(cause, aiohttp.ClientResponseError) else cause
        )

    async def _finish(self, carrier: _Carrier) -> Response:
        while True:
            message, content = await carrier.read()
            if not 100 <= message.code < 200 or message.code == HTTPStatus.SWITCHING_PROTOCOLS:
                return Response(message.code, message.headers, await self._read(content))

    async def _read(self, content: StreamReader) -> bytes:
        body = await content.readany()
        if content.at_eof() and len(body) <= self._max_body_bytes:
            return body
        chunks, size = [body], len(body)
        while not content.at_eof() and size <= self._max_body_bytes:
            chunk = await content.readany()
            chunks.append(chunk)
            size += len(chunk)
        if size > self._max_body_bytes:
            raise aiohttp.ClientPayloadError(f"it is longer than {self._max_body_bytes} bytes")
        return b"".join(chunks)

    def _aim(self, url: str) -> _Target:
        route = self._routes.route(url)
        try:
            parsed = URL(url)
        except ValueError:
            raise NeverSent(f"{route.origin}: not a usable address") from None
        proxy = URL(route.proxy) if route.proxy is not None else None
        tls = self._tls.get() if route.tls or (route.proxy or "").startswith("https") else True
        target = _Target(_Door("POST", parsed, proxy=proxy, ssl=tls), route.origin)
        if len(self._targets) >= _KNOWN_URLS:
            self._targets.clear()
        self._targets[url] = target
        return target

    def _open(self) -> _Connector:
        if self._closed:
            raise RuntimeError("this transport is closed")
        self._connector = _Connector()
        return self._connector


class _Carrier(ResponseHandler):
    """One connection."""

    uses = 0
    heard = False
    """Whether a byte came back since the last request left."""

    def data_received(self, data: bytes) -> None:
        self.heard = True
        super().data_received(data)

    def close(self) -> None:
        # A plain close first writes out what is buffered and, under TLS, waits for the peer's farewell: a
        # server that reads no more would hold a cancelled call's connection open.
        self.abort()

    def was_idle(self, error: Exception) -> bool:
        """Whether `error` is what a kept-alive connection meets that the server closes as we write."""
        closed = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
        return self.uses > 1 and not self.heard and closed


class _Connector(aiohttp.TCPConnector):
    def __init__(self) -> None:
        super().__init__(limit=0, ttl_dns_cache=60)
        # aiohttp has no public way to name the protocol; the contract suite fails if this one is not used.
        self._factory = cast(Any, partial(_Carrier, loop=asyncio.get_running_loop()))


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

    def __init__(self, door: _Door, origin: str) -> None:
        self.door, self.origin = door, origin
        self._heads: dict[tuple[object, ...], bytes] = {}

    def head(self, method: str, headers: Mapping[str, str]) -> bytes:
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


def _begin(connection: Connection, method: str, head: bytes, body: bytes) -> _Carrier:
    """Write the request; from here on its outcome is unknown until it is read."""
    carrier = cast(_Carrier, connection.protocol)
    if carrier.transport is None:
        raise aiohttp.ServerDisconnectedError
    carrier.uses += 1
    carrier.heard = False
    carrier.set_response_params(skip_payload=method == "HEAD", read_until_eof=True)
    sized = body or method not in ClientRequest.GET_METHODS
    length = b"Content-Length: %d\r\n" % len(body) if sized else b""
    carrier.transport.write(b"%b\r\n%b\r\n%b" % (head, length, body))
    return carrier


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
        case aiohttp.ClientPayloadError():
            return f"the answer broke off or cannot be used: {str(error)[:_SHOWN]}"
        case OSError():
            return f"the connection broke: {error.strerror or type(error).__name__}"
        case _:
            return type(error).__name__
