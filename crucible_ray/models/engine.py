"""The engine of the query grid: a transport over aiohttp.

What makes it fast: no limit on connections, no environment or netrc read per call, no cookies, no timers per
call, one parsed URL per address. What makes it safe: every failure says whether anything was sent.

| object | role | lifetime |
| --- | --- | --- |
| `Engine` | the transport; one per event loop | `async with`, or until `aclose` |
| `_Carrier` | one connection; knows its uses and whether anything came back | pooled by aiohttp |
| `_Request` | remembers which carrier took it; None: never sent | one call |
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest, ClientResponse
from aiohttp.connector import Connection
from msgspec import Struct
from yarl import URL

from crucible_ray.errors import NeverSent, OutcomeUnknown, TransportError
from crucible_ray.models.transport import CONNECT_TIMEOUT_S, MAX_BODY_BYTES, LazyTls, Response, Routes, within

_SHOWN = 200
_LARGE_BYTES = 1 << 20
"""From here on aiohttp warns about a body that is written at one go."""
_KNOWN_URLS = 1024


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
        self._session: aiohttp.ClientSession | None = None
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
        if self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        target = self._targets.get(url) or self._aim(url)
        session = self._session or self._open()
        failure: TransportError
        try:
            response = await session.request(
                method,
                target.url,
                data=body if len(body) < _LARGE_BYTES else io.BytesIO(body),
                headers=headers,
                allow_redirects=False,
                proxy=target.proxy,
                ssl=target.tls,
            )
            try:
                return Response(response.status, response.headers, await self._read(response))
            except BaseException:
                response.close()
                raise
        except _Unsent as error:
            cause = error.cause
            failure = NeverSent(f"{target.origin}: {_describe(cause)}")
        except aiohttp.ClientError as error:
            cause = error
            failure = OutcomeUnknown(f"{target.origin}: {_describe(cause)}")
        # Raised out here, and never from a ClientResponseError: those hold the request's headers, so the key.
        raise failure from (cause.__cause__ if isinstance(cause, aiohttp.ClientResponseError) else cause)

    async def _read(self, response: ClientResponse) -> bytes:
        content = response.content
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
        target = _Target(
            parsed,
            URL(route.proxy) if route.proxy is not None else None,
            self._tls.get() if route.tls or (route.proxy or "").startswith("https") else True,
            route.origin,
        )
        if len(self._targets) >= _KNOWN_URLS:
            self._targets.clear()
        self._targets[url] = target
        return target

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("this transport is closed")
        self._session = aiohttp.ClientSession(
            connector=_Connector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
            trust_env=False,
            request_class=_Request,
            middlewares=(_carry,),
        )
        return self._session


class _Target(Struct, frozen=True):
    """An address, ready for aiohttp."""

    url: URL
    proxy: URL | None
    tls: ssl.SSLContext | bool
    origin: str


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


class _Connector(aiohttp.TCPConnector):
    def __init__(self) -> None:
        super().__init__(limit=0, ttl_dns_cache=60)
        # aiohttp has no public way to name the protocol; the contract suite fails if this one is not used.
        self._factory = cast(Any, partial(_Carrier, loop=asyncio.get_running_loop()))


class _Request(ClientRequest):
    carrier: _Carrier | None = None

    def send(self, conn: Connection) -> Coroutine[Any, Any, ClientResponse]:
        carrier = self.carrier = cast(_Carrier, conn.protocol)
        carrier.uses += 1
        carrier.heard = False
        return super().send(conn)


class _Unsent(Exception):
    """aiohttp failed before any connection took the request."""

    def __init__(self, cause: aiohttp.ClientError) -> None:
        super().__init__(cause)
        self.cause = cause


async def _carry(
    request: ClientRequest, handler: Callable[[ClientRequest], Awaitable[ClientResponse]]
) -> ClientResponse:
    """Send; again if a used connection closed without a byte (see Transport.send); say what never left."""
    assert isinstance(request, _Request)
    try:
        return await handler(request)
    except aiohttp.ClientError as error:
        carrier, cause = request.carrier, error
        closed = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
        if carrier is not None and (carrier.uses == 1 or carrier.heard or not closed):
            raise
    if carrier is None:
        raise _Unsent(cause)
    # Whatever happens now, the first sending counts: no failure of the second is an `_Unsent`.
    return await handler(request)


def _describe(error: aiohttp.ClientError) -> str:
    """One line for people, out of parts that hold neither headers nor the address's query."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "the host's name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError(
            certificate_error=ssl.SSLCertVerificationError() as refused
        ):
            return f"its certificate is not accepted: {refused.verify_message}"
        case aiohttp.ConnectionTimeoutError():
            return f"no connection within {CONNECT_TIMEOUT_S:.0f} s"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refuses the tunnel: {error.status} {error.message[:_SHOWN]}"
        case aiohttp.ClientConnectorError(os_error=reason):
            proxy = "the proxy" if isinstance(error, aiohttp.ClientProxyConnectionError) else "it"
            return f"{proxy} cannot be reached: {reason.strerror or type(reason).__name__}"
        case aiohttp.ClientResponseError():
            return f"the answer is not HTTP: {' '.join(error.message.split())[:_SHOWN]}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed before the answer began or while its headers came"
        case aiohttp.ClientPayloadError():
            return f"the answer broke off or cannot be used: {str(error)[:_SHOWN]}"
        case OSError():
            return f"the connection broke: {error.strerror or type(error).__name__}"
        case _:
            return type(error).__name__
