"""The transport for whoever brings an `httpx.AsyncClient`: a special gateway, a `MockTransport`, a hook.

Not for the query grid: httpx's pool scans itself for every call, 14 ms of CPU with 64 requests in flight and
far more with hundreds (`engine` takes 0.15).
"""

from __future__ import annotations

import ssl
from collections.abc import Coroutine, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self

import httpx

from crucible_ray.errors import NeverSent, OutcomeUnknown, StaleConnection, TransportError
from crucible_ray.models.transport import CONNECT_TIMEOUT_S, MAX_BODY_BYTES, LazyTls, Response, Routes, within

_SHOWN = 200
_TIMEOUT = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
_CLOSED = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, httpx.CloseError)


class HttpxTransport:
    """See Transport, and `engine.Engine` for the options of the client that it makes if none is given.

    client: used as it is (its transport, proxies, certificates, hooks and cookies), except that redirects are
    not followed and its timeouts do not apply: the caller's deadline does. Left open by `aclose`.
    """

    def __init__(
        self,
        client: httpx.AsyncClient | None = None,
        *,
        proxy: str | None = None,
        trust_env: bool = True,
        ca_file: str | None = None,
        tls: ssl.SSLContext | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._owned = client is None
        self._client = client or httpx.AsyncClient(
            transport=_Routed(Routes(proxy=proxy, trust_env=trust_env), LazyTls(tls, ca_file)),
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        self._max_body_bytes = max_body_bytes

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, deadline_s: float | None = None
    ) -> Coroutine[Any, Any, Response]:
        """See Transport."""
        exchange = self._exchange(method, url, headers, body)
        return exchange if deadline_s is None else within(deadline_s, exchange)

    async def aclose(self) -> None:
        """See Transport."""
        if self._owned:
            await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        progress = _Progress()
        try:
            request = self._client.build_request(
                method, url, headers=headers, content=body, timeout=_TIMEOUT, extensions={"trace": progress}
            )
        except httpx.InvalidURL as error:
            raise NeverSent(f"not a usable address: {error}") from None
        try:
            return await self._once(request)
        except httpx.HTTPError as error:
            cause = error
        kind: type[TransportError] = OutcomeUnknown
        if isinstance(cause, _NEVER_SENT):
            kind = NeverSent
        elif isinstance(cause, _CLOSED) and progress.silent_reuse:
            kind = StaleConnection
        # httpx's errors hold the request, hence the key; what they were made from does not.
        raise kind(f"{request.url.host}: {_describe(cause)}") from cause.__cause__

    async def _once(self, request: httpx.Request) -> Response:
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            chunks, size = [], 0
            async for chunk in response.aiter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > self._max_body_bytes:
                    raise httpx.DecodingError(f"it is longer than {self._max_body_bytes} bytes")
        finally:
            await response.aclose()
        return Response(response.status_code, response.headers, b"".join(chunks))


class _Progress:
    """Follows httpcore's trace of one call; where nothing is traced, no connection counts as reused."""

    def __init__(self) -> None:
        self._connected = self._wrote = self._heard = False

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        self._connected |= event.startswith("connection.connect_")
        self._wrote |= event == "http11.send_request_headers.started"
        self._heard |= event == "http11.receive_response_headers.complete"

    @property
    def silent_reuse(self) -> bool:
        """A kept-alive connection took the request and brought no response headers."""
        return self._wrote and not self._connected and not self._heard


class _Routed(httpx.AsyncBaseTransport):
    """One pool for direct connections and one for each proxy; which one is decided once per origin."""

    def __init__(self, routes: Routes, tls: LazyTls) -> None:
        self._routes, self._tls = routes, tls
        self._pools: dict[tuple[str | None, bool], httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        route = self._routes.route(str(request.url))
        key = route.proxy, route.tls
        if key not in self._pools:
            self._pools[key] = self._pool(route.proxy, route.tls)
        return await self._pools[key].handle_async_request(request)

    def _pool(self, proxy: str | None, tls: bool) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(
            verify=self._tls.get() if tls else False,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=15.0),
            proxy=_proxy(proxy, self._tls) if proxy is not None else None,
        )

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


def _proxy(url: str, tls: LazyTls) -> httpx.Proxy:
    return httpx.Proxy(url, ssl_context=tls.get() if url.startswith("https") else None)


def _describe(error: httpx.HTTPError) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_SHOWN]}"
