"""What a server may do on the wire: an answer, or an error that says so; never another request's answer."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from itertools import repeat
from typing import Any

import pytest
import uvloop

from crucible_ray.errors import OutcomeUnknown, StaleConnection
from crucible_ray.models.engine import Engine
from crucible_ray.models.transport import Response
from tests.models.servers import OK, Peer, Server, answering, serve, then_closing

Script = Callable[[Server, Peer], Awaitable[None]]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OTHER = OK.replace(b"ok", b"no")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=request.param)


def ask(
    runner: asyncio.Runner, script: Script, *, times: int = 1, method: str = "POST", **options: Any
) -> tuple[list[Response], Server]:
    """What so many requests, one after the other, come to."""

    async def main() -> tuple[list[Response], Server]:
        async with serve(script) as server, Engine(**options) as engine:
            responses = []
            for _ in range(times):
                responses.append(await engine.send(method, server.url, {}, b"{}"))
                await asyncio.sleep(0.01)  # what the server sends of itself arrives
            return responses, server

    with runner:
        return runner.run(main())


def endless(begin: bytes, part: bytes) -> Script:
    async def script(server: Server, peer: Peer) -> None:
        await peer.request()
        await peer.write(begin)
        try:
            for piece in repeat(part):
                await peer.write(piece)
        except ConnectionError:
            return

    return script


# One request, one answer


@pytest.mark.parametrize(
    "extra", [OTHER, OTHER[:20], b"nonsense", b"\x00"], ids=["whole", "begun", "no HTTP", "zero"]
)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "later"])
def test_bytes_that_nobody_asked_for_answer_no_other_request(
    runner: asyncio.Runner, extra: bytes, late: bool
) -> None:
    async def script(server: Server, peer: Peer) -> None:
        assert await peer.request() is not None
        if late:
            await peer.write(OK)
            await asyncio.sleep(0)
            await peer.write(extra)
        else:
            await peer.write(OK + extra)
        await peer.end()

    responses, server = ask(runner, script, times=2)
    assert [response.body for response in responses] == [b"ok", b"ok"]
    assert server.connections == 2


def test_bytes_behind_a_last_answer_change_nothing(runner: asyncio.Runner) -> None:
    last = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + OTHER
    (response,), _ = ask(runner, then_closing(last))
    assert response.body == b"ok"


def test_an_upgrade_is_an_answer_without_a_body_and_ends_the_connection(runner: asyncio.Runner) -> None:
    answer = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\nother bytes"
    responses, server = ask(runner, answering(answer), times=2)
    assert [(response.status, response.body) for response in responses] == [(101, b"")] * 2
    assert server.connections == 2


# What is bounded


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 4096),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 512),
        (b"HTTP/1.1 200 ", b"x" * 4096),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 64),
        (CHUNKED + b"2;", b"x" * 4096),
        (CHUNKED + b"2\r\nok\r\n0\r\n", b"X: y\r\n" * 512),
        (CHUNKED + b"2\r\nok\r\n0\r\nX: ", b"x" * 4096),
    ],
    ids=["header", "headers", "reason", "interim", "chunk extension", "trailers", "trailer"],
)
def test_what_never_ends_around_a_body_is_cut_off(runner: asyncio.Runner, begin: bytes, part: bytes) -> None:
    with pytest.raises(OutcomeUnknown, match="headers are longer"):
        ask(runner, endless(begin, part))


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n", b"x" * 4096),
        (CHUNKED, b"1\r\nx\r\n" * 512),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", b"x" * 4096),
    ],
    ids=["without a length", "in chunks of one byte", "with a length"],
)
def test_a_body_that_never_ends_is_cut_off_at_the_cap(
    runner: asyncio.Runner, begin: bytes, part: bytes
) -> None:
    with pytest.raises(OutcomeUnknown, match="longer than 100000 bytes"):
        ask(runner, endless(begin, part), max_body_bytes=100_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_small_body_that_unpacks_without_end_is_cut_off_at_the_cap(
    runner: asyncio.Runner, encoding: str
) -> None:
    packed = (gzip.compress if encoding == "gzip" else zlib.compress)(bytes(50 << 20))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
    with pytest.raises(OutcomeUnknown, match="longer than 1000000 bytes"):
        ask(runner, answering(head % (encoding.encode(), len(packed)) + packed), max_body_bytes=1_000_000)


# What is malformed


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + b"-2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n",
        CHUNKED + b"FFFFFFFFFFFFFFFFFF\r\nok",
        CHUNKED + b"2\r\nokok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        b"HTTP/1.1 99999 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/2 200\r\nContent-Length: 2\r\n\r\nok",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_an_answer_whose_end_cannot_be_told_is_an_unknown_outcome(
    runner: asyncio.Runner, answer: bytes
) -> None:
    with pytest.raises(OutcomeUnknown) as failed:
        ask(runner, then_closing(answer))
    assert not isinstance(failed.value, StaleConnection)


# What is unusual


def test_a_body_in_chunks_of_one_byte_is_put_together(runner: asyncio.Runner) -> None:
    answer = CHUNKED + b"".join(b"1\r\n%c\r\n" % (97 + k % 26) for k in range(200_000)) + b"0\r\n\r\n"
    (response,), _ = ask(runner, answering(answer))
    assert response.body == bytes(97 + k % 26 for k in range(200_000))


def test_trailers_are_no_headers_and_the_first_of_a_repeated_header_counts(runner: asyncio.Runner) -> None:
    head = CHUNKED.replace(b"\r\n\r\n", b"\r\nX-One: first \r\nX-One: second\r\nEmpty:\r\n\r\n")
    (response, _), server = ask(runner, answering(head + b"2\r\nok\r\n0\r\nRetry-After: 5\r\n\r\n"), times=2)
    assert response.headers["x-one"] == "first"
    assert response.headers["EMPTY"] == ""
    assert response.headers.get("retry-after") is None
    assert set(response.headers) == {"transfer-encoding", "x-one", "empty"}
    assert server.connections == 1


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_leaves_the_connection_open(runner: asyncio.Runner, status: int) -> None:
    responses, server = ask(runner, answering(b"HTTP/1.1 %d Nothing\r\nX: y\r\n\r\n" % status), times=2)
    assert [(response.status, response.body) for response in responses] == [(status, b"")] * 2
    assert server.connections == 1


def test_the_answer_to_head_has_no_body_whatever_it_says(runner: asyncio.Runner) -> None:
    responses, _ = ask(runner, answering(OK[:-2]), times=2, method="HEAD")
    assert [(response.status, response.body) for response in responses] == [(200, b"")] * 2


def test_http_1_0_keeps_a_connection_where_it_says_so(runner: asyncio.Runner) -> None:
    plain = OK.replace(b"HTTP/1.1", b"HTTP/1.0")
    kept = plain.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
    assert ask(runner, answering(kept), times=2)[1].connections == 1


def test_http_1_0_closes_it_otherwise() -> None:
    plain = OK.replace(b"HTTP/1.1", b"HTTP/1.0")
    assert ask(asyncio.Runner(), answering(plain), times=2)[1].connections == 2


def test_lines_that_end_in_a_line_feed_alone_are_read(runner: asyncio.Runner) -> None:
    (response,), _ = ask(runner, answering(OK.replace(b"\r\n", b"\n")))
    assert response.body == b"ok"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        (b"gzip", gzip.compress(b"pla") + gzip.compress(b"in")),
        (b"GZIP", gzip.compress(b"plain")),
        (b"deflate", zlib.compress(b"plain")),
        (b"deflate", zlib.compress(b"plain")[2:-4]),
        (b"identity", b"plain"),
    ],
    ids=["gzip of two members", "upper case", "deflate", "bare deflate", "identity"],
)
def test_a_packed_body_is_unpacked(runner: asyncio.Runner, encoding: bytes, packed: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
    (response,), _ = ask(runner, answering(head % (encoding, len(packed)) + packed))
    assert response.body == b"plain"


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip"])
def test_a_packed_body_that_cannot_be_unpacked_is_an_unknown_outcome(
    runner: asyncio.Runner, encoding: str
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: 5\r\n\r\nplain" % encoding.encode()
    with pytest.raises(OutcomeUnknown, match=f"its {encoding} is damaged"):
        ask(runner, answering(answer))
