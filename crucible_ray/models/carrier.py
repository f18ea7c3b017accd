"""One connection of the engine: a request out, a response back, parsed as its bytes arrive.

aiohttp opens it (names, proxies, tunnels, TLS); from its first request on nothing of aiohttp reads it. What a hostile
server can make of it is bounded: the body by the engine's cap, compressed or not; everything around the body by
`MOST_HEAD_BYTES` and a share of the body. Bytes that nobody asked for end the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp.client_proto import ResponseHandler
from aiohttp.compression_utils import BrotliDecompressor, ZLibDecompressor, ZSTDDecompressor
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from crucible_ray.errors import OutcomeUnknown, StaleConnection, TransportError
from crucible_ray.models.transport import Response

if TYPE_CHECKING:
    from aiohttp.connector import Connection

MOST_HEAD_BYTES: Final = 128 * 1024
"""Of status line and headers, interim replies included; of trailers and the like a body brings some more."""
_FRAMING: Final = 8
"""Bytes that a byte of the body may come wrapped in: chunks of one byte take six."""
_SIZED: Final = frozenset({b"content-length", b"transfer-encoding"})
"""Headers that say where a body ends."""
_SHOWN: Final = 200
_INFLATED_HEADER: Final = 8
"""The low half of the first byte of zlib's own format; `deflate` without it is a bare stream."""


class Fields(Mapping[str, str]):
    """Response headers, looked up without regard to case; of one that came several times the first."""

    __slots__ = ("_raw",)

    def __init__(self, raw: dict[bytes, bytes]) -> None:
        """raw: names in lower case."""
        self._raw = raw

    def __getitem__(self, name: str) -> str:
        return _text(self._raw[name.lower().encode("utf-8", "surrogateescape")])

    def __iter__(self) -> Iterator[str]:
        return map(_text, self._raw)

    def __len__(self) -> int:
        return len(self._raw)


class Carrier(ResponseHandler):
    """A connection, and the one exchange that it is in.

    Whoever asks owns it until it is idle again: `ask`, await, then keep it if it is `reusable`, else `close` it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_body_bytes: int) -> None:
        super().__init__(loop)
        self.origin = ""
        """`host:port`, for error texts."""
        self.lease: Connection | None = None
        """aiohttp's hold on this connection."""
        self.reusable = False
        """Whether another request may follow."""
        self.idle_since_s = 0.0
        self._uses = 0
        self._max_body_bytes = max_body_bytes
        self._http: HttpResponseParser | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._new_exchange(bodyless=False)
        # The parser calls the dict itself: no step of Python for each header.
        self._found: dict[bytes, bytes] = {}
        self.on_header = self._found.setdefault

    def ask(self, request: bytes, *, bodyless: bool) -> asyncio.Future[Response]:
        """Write the request; from here on its outcome is unknown until the response is here.

        bodyless: the response has none, whatever its headers say (HEAD).
        The future raises StaleConnection or OutcomeUnknown.
        """
        assert self.transport is not None
        if self._http is None:
            self._http = HttpResponseParser(self)
            # What real servers do, and aiohttp lets pass.
            self._http.set_dangerous_leniencies(
                lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
            )
        self._new_exchange(bodyless)
        self._uses += 1
        answer = self._answer = self._loop.create_future()
        self.transport.write(request)
        return answer

    def _new_exchange(self, bodyless: bool) -> None:
        self._bodyless = bodyless
        self.reusable = False
        self._fields: dict[bytes, bytes] | None = None
        """Of the final response, once all are here."""
        self._body: bytes | bytearray = b""
        self._got, self._most = 0, MOST_HEAD_BYTES

    # What the loop calls

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._answer is None or self._http is None:
            if self._parser is not None:
                super().data_received(data)  # a proxy answers aiohttp
            else:
                self.close()  # nobody asked
            return
        self._got += len(data)
        try:
            self._http.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            # Behind a complete response, it is what nobody asked for.
            self.reusable = False
            self._fail(f"the answer is not HTTP: {_one_line(error)}")
        if self._got > self._most:
            self._fail(f"the answer's headers are longer than {MOST_HEAD_BYTES} bytes")

    def eof_received(self) -> None:
        """See asyncio.Protocol."""
        super().eof_received()
        if self._answer is not None:
            self._end(None)
            self.close()  # without waiting for a peer that may read no more

    def connection_lost(self, error: BaseException | None) -> None:
        """See asyncio.Protocol."""
        super().connection_lost(error)
        self.reusable = False
        self._end(error)
        self._http = None
        self._let_go()

    def close(self) -> None:
        """Close at once: a plain close first writes out what is buffered and, under TLS, waits for the farewell."""
        self.reusable = False
        self._fail("this transport was closed")
        self.abort()
        self._let_go()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A response begins; one after the last is one that nobody asked for."""
        if self._answer is None:
            self.reusable = False

    def on_headers_complete(self) -> None:
        """All headers of a response are here, interim ones included."""
        if self._answer is None:
            return
        self._fields = {name.lower(): value for name, value in self._found.items()}
        self._found.clear()
        if self._bodyless and not self._is_interim():
            self._complete(reusable=False)

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        if not self._body:
            self._body = part
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += part
        self._most += _FRAMING * len(part)
        if len(self._body) > self._max_body_bytes:
            self._fail(self._too_long())

    def on_message_complete(self) -> None:
        """A response ends, interim ones included."""
        self._found.clear()  # trailers
        if self._is_interim():
            self._fields = None
        elif self._http is not None:
            self._complete(reusable=self._http.should_keep_alive())

    def _is_interim(self) -> bool:
        assert self._http is not None
        status = self._http.get_status_code()
        return 100 <= status < 200 and status != HTTPStatus.SWITCHING_PROTOCOLS

    # How an exchange ends

    def _complete(self, reusable: bool) -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():
            return
        assert self._http is not None
        assert self._fields is not None
        encoding = self._fields.get(b"content-encoding")
        body = bytes(self._body) if encoding is None else self._unpacked(_text(encoding).lower())
        if isinstance(body, str):
            answer.set_exception(OutcomeUnknown(f"{self.origin}: {body}"))
            return
        self.reusable = reusable
        answer.set_result(Response(self._http.get_status_code(), Fields(self._fields), body))

    def _unpacked(self, encoding: str) -> bytes | str:
        """The body, decompressed; a text says why it cannot be used."""
        packed, most = bytes(self._body), self._max_body_bytes + 1
        if not packed or encoding not in ("gzip", "deflate", "br", "zstd"):
            return packed
        try:
            if encoding == "br":
                body = BrotliDecompressor().decompress_sync(packed, most)
            elif encoding == "zstd":
                body = ZSTDDecompressor().decompress_sync(packed, most)
            else:
                bare = encoding == "deflate" and packed[0] & 0xF != _INFLATED_HEADER
                unpacker = ZLibDecompressor(encoding=encoding, suppress_deflate_header=bare)
                body = unpacker.decompress_sync(packed, most)
        except Exception as error:  # noqa: BLE001 - each library has errors of its own
            return f"the answer cannot be used: its {encoding} is damaged ({_one_line(error)})"
        return body if len(body) < most else self._too_long()

    def _end(self, error: BaseException | None) -> None:
        """The connection is over; a body without a length ends with it."""
        if self._answer is None:
            return
        fields = self._fields
        if error is None and fields is not None and not fields.keys() & _SIZED:
            self._complete(reusable=False)
            return
        if self._uses > 1 and not self._got:
            kind: type[TransportError] = StaleConnection
        else:
            kind = OutcomeUnknown
        self._fail(_describe(error, begun=fields is not None), kind, error)

    def _fail(
        self,
        text: str,
        kind: type[TransportError] = OutcomeUnknown,
        cause: BaseException | None = None,
    ) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            failure = kind(f"{self.origin}: {text}")
            failure.__cause__ = cause
            answer.set_exception(failure)

    def _too_long(self) -> str:
        return f"the answer cannot be used: it is longer than {self._max_body_bytes} bytes"

    def _let_go(self) -> None:
        lease, self.lease = self.lease, None
        if lease is not None:
            lease.close()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape").strip(" \t")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:_SHOWN]


def _describe(error: BaseException | None, *, begun: bool) -> str:
    """One line for people. begun: the headers had come."""
    if isinstance(error, OSError):
        return f"the connection broke: {error.strerror or type(error).__name__}"
    if error is not None:
        return f"the connection broke: {type(error).__name__}"
    if begun:
        return "the answer broke off"
    return "the connection was closed before the answer began or while its headers came"
