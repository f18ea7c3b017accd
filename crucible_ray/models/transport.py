"""What every transport is: bytes out, a status and bytes back, and errors that say whether anything was sent.

Two implementations are held by one contract suite: `engine.Engine` (the query grid) and
`httpx_transport.HttpxTransport` (for whoever brings an `httpx.AsyncClient`). Neither follows redirects, keeps
cookies or reads a netrc, and both close the connection at once when the awaiting task is cancelled.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
from msgspec import Struct

from crucible_ray.errors import DeadlinePassed, NeverSent
from crucible_ray.settings import is_loopback_host

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT_S = 10.0
"""For the TCP connection and the TLS handshake; everything later is the caller's deadline."""
MAX_BODY_BYTES = 16 * 1024 * 1024


class Response(Struct, frozen=True):
    """A complete response."""

    status: int
    headers: Mapping[str, str]
    """Looked up without regard to case."""
    body: bytes
    """Decompressed."""

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"


class Transport(Protocol):
    """Sends requests over kept-alive connections, as many at a time as it is asked to."""

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, deadline_s: float | None = None
    ) -> Coroutine[Any, Any, Response]:
        """One request, one complete response, whatever its status.

        Raises NeverSent where nothing left, OutcomeUnknown where something did and no complete response came
        back, DeadlinePassed after `deadline_s` seconds. Cancelling closes the connection, so that the server
        can stop. A request that meets a kept-alive connection at the moment the server closes it (not one
        byte came back) raises StaleConnection: one in four that is sent at that moment does.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


def connect(client: httpx.AsyncClient | None = None, *, ca_file: str | None = None) -> Transport:
    """The engine, or httpx for whoever brings a client of their own; `ca_file` is the engine's."""
    if client is None:
        from crucible_ray.models.engine import Engine

        return Engine(ca_file=ca_file)
    from crucible_ray.models.httpx_transport import HttpxTransport

    return HttpxTransport(client)


async def within(deadline_s: float, exchange: Coroutine[Any, Any, Response]) -> Response:
    """The exchange, cut short after `deadline_s` seconds by DeadlinePassed."""
    try:
        async with asyncio.timeout(deadline_s):
            return await exchange
    except TimeoutError:
        raise DeadlinePassed(f"no complete response within {deadline_s:.3g} s") from None


class Route(Struct, frozen=True):
    """How one origin is reached."""

    origin: str
    """`host:port`, for error texts."""
    proxy: str | None
    tls: bool


class Routes:
    """Decides how origins are reached, once per origin: the environment is not read again."""

    def __init__(self, *, proxy: str | None = None, trust_env: bool = True) -> None:
        self._proxy, self._trust_env = proxy, trust_env
        self._known: dict[tuple[str, str], Route] = {}

    def route(self, url: str) -> Route:
        """Raises NeverSent where the address or its proxy cannot be used at all."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise NeverSent(f"not a usable address: {error}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise NeverSent("not a usable address: it has to begin with http:// or https:// and name a host")
        if parts.username is not None:
            raise NeverSent(f"the address of {host} holds a user name: credentials belong in headers")
        key = parts.scheme, parts.netloc
        if key not in self._known:
            origin = f"{host}:{port or (443 if parts.scheme == 'https' else 80)}"
            proxy = self._proxy_for(parts.scheme, host, origin)
            self._known[key] = Route(origin, proxy, parts.scheme == "https")
        return self._known[key]

    def _proxy_for(self, scheme: str, host: str, origin: str) -> str | None:
        proxy = self._proxy
        if proxy is None:
            if not self._trust_env or is_loopback_host(host) or proxy_bypass(origin):
                return None
            found = getproxies()
            proxy = found.get(scheme) or found.get("all")
        if not proxy:
            return None
        if "://" not in proxy:
            proxy = f"http://{proxy}"
        if not proxy.startswith(("http://", "https://")):
            raise NeverSent(f"{origin}: only HTTP proxies can be used, not {proxy.partition('://')[0]}://")
        return proxy


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """A verifying context: the system's authorities and certifi's, or SSL_CERT_FILE's and SSL_CERT_DIR's.

    ca_file: PEM file of a private authority, trusted in addition.
    """
    context = ssl.create_default_context()
    if not any(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")):
        context.load_verify_locations(certifi.where())
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


class LazyTls:
    """A context made when the first https address is met: reading the authorities takes 20 ms."""

    def __init__(self, context: ssl.SSLContext | None, ca_file: str | None) -> None:
        self._make = partial(tls_context, ca_file)
        self._context = context

    def get(self) -> ssl.SSLContext:
        """The one context of this transport."""
        if self._context is None:
            self._context = self._make()
        return self._context
