"""The contract of a transport, held by every implementation and event loop, against servers of our own."""

from __future__ import annotations

import asyncio
import gzip
import resource
import socket
import ssl
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import httpx
import psutil
import pytest
import trustme
import uvloop

from crucible_ray.errors import DeadlinePassed, NeverSent, OutcomeUnknown, StaleConnection, TransportError
from crucible_ray.models.engine import Engine
from crucible_ray.models.httpx_transport import HttpxTransport
from crucible_ray.models.transport import Response, Routes, Transport, connect
from tests.models.servers import OK, Peer, Server, answering, proxy_to, serve, then_closing

T = TypeVar("T")
KEY = "sk-test-0123456789abcdefghijkl"
HEADERS = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
BODY = b'{"model":"m"}'


class Kind(NamedTuple):
    """One implementation on one event loop."""

    make: Callable[..., Engine | HttpxTransport]
    loop: Callable[[], asyncio.AbstractEventLoop]

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=self.loop) as runner:
            return runner.run(main)


ENGINE = Kind(Engine, asyncio.new_event_loop)
KINDS = {"engine": ENGINE, "engine-uvloop": Kind(Engine, uvloop.new_event_loop)}
ALL = {**KINDS, "httpx": Kind(HttpxTransport, asyncio.new_event_loop)}


@pytest.fixture(params=list(ALL.values()), ids=list(ALL))
def kind(request: pytest.FixtureRequest) -> Kind:
    found = request.param
    assert isinstance(found, Kind)
    return found


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
def engine(request: pytest.FixtureRequest) -> Kind:
    found = request.param
    assert isinstance(found, Kind)
    return found


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def post(transport: Transport, url: str, deadline_s: float | None = None) -> Coroutine[Any, Any, Response]:
    return transport.send("POST", url, HEADERS, BODY, deadline_s)


def exchange(kind: Kind, script: Callable[[Server, Peer], Any], **options: Any) -> tuple[Response, Server]:
    async def main() -> tuple[Response, Server]:
        async with serve(script) as server, kind.make(**options) as transport:
            return await post(transport, server.url), server

    return kind.run(main())


# What is sent, and what comes back


def test_method_target_headers_and_body_arrive_as_given(kind: Kind) -> None:
    response, server = exchange(kind, answering(OK))
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/v1/chat", BODY)
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == str(len(BODY))
    assert (response.status, response.body) == (200, b"ok")


def test_response_headers_are_looked_up_without_regard_to_case(kind: Kind) -> None:
    response, _ = exchange(kind, answering(OK.replace(b"\r\n\r\n", b"\r\nRetry-After: 7\r\n\r\n")))
    assert response.headers["retry-after"] == response.headers["RETRY-AFTER"] == "7"


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_a_failure_status_is_a_response_like_any_other(kind: Kind, status: int) -> None:
    response, _ = exchange(kind, answering(b"HTTP/1.1 %d Oh\r\nContent-Length: 2\r\n\r\nno" % status))
    assert (response.status, response.body) == (status, b"no")


def test_a_redirect_is_not_followed(kind: Kind) -> None:
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    response, server = exchange(kind, answering(moved, OK))
    assert response.status == 307
    assert len(server.requests) == 1


def test_chunks_are_put_together(kind: Kind) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def script(server: Server, peer: Peer) -> None:
        await peer.request()
        for piece in (head, b"3\r\nabc\r\n", b"2\r\nde\r\n", b"0\r\n\r\n"):
            await peer.write(piece)
            await asyncio.sleep(0)
        await peer.end()

    response, _ = exchange(kind, script)
    assert response.body == b"abcde"


@pytest.mark.parametrize("interim", [b"100 Continue", b"103 Early Hints\r\nLink: </a>"])
def test_interim_replies_are_passed_over(kind: Kind, interim: bytes) -> None:
    response, _ = exchange(kind, answering(b"HTTP/1.1 " + interim + b"\r\n\r\n" + OK))
    assert (response.status, response.body) == (200, b"ok")


def test_a_body_without_length_ends_with_the_connection(kind: Kind) -> None:
    response, _ = exchange(kind, then_closing(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000))
    assert response.body == b"x" * 100_000


def test_a_compressed_body_is_unpacked(kind: Kind) -> None:
    packed = gzip.compress(b"plain")
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    response, _ = exchange(kind, answering(head + packed))
    assert response.body == b"plain"


@pytest.mark.parametrize("form", ["length", "chunks", "gzip"])
def test_a_body_beyond_the_cap_is_an_unknown_outcome(kind: Kind, form: str) -> None:
    body = b"x" * 200_000
    answer = {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + body,
        "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n" + body + b"\r\n0\r\n\r\n",
        "gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
        + gzip.compress(body),
    }[form]
    with pytest.raises(OutcomeUnknown, match="longer than 1000 bytes"):
        exchange(kind, then_closing(answer), max_body_bytes=1000)


def test_no_cookie_is_kept(kind: Kind) -> None:
    async def main() -> None:
        cookie = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n")
        async with serve(answering(cookie)) as server, kind.make() as transport:
            await post(transport, server.url)
            await post(transport, server.url)
            assert all("cookie" not in request.headers for request in server.requests)
            assert len(server.requests) == 2

    kind.run(main())


# Connections


def test_a_connection_is_used_again(kind: Kind) -> None:
    async def main() -> None:
        async with serve(answering(OK)) as server, kind.make() as transport:
            for _ in range(5):
                await post(transport, server.url)
            assert server.connections == 1

    kind.run(main())


def test_a_connection_that_said_it_closes_is_not_used_again(kind: Kind) -> None:
    async def main() -> None:
        last = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        async with serve(answering(last)) as server, kind.make() as transport:
            await post(transport, server.url)
            await post(transport, server.url)
            assert server.connections == 2

    kind.run(main())


@pytest.mark.parametrize("how", ["closes", "resets"])
def test_a_request_that_meets_the_close_of_an_idle_connection_says_so_and_is_not_sent_again(
    kind: Kind, how: str
) -> None:
    async def script(server: Server, peer: Peer) -> None:
        assert await peer.request() is not None
        await peer.write(OK)
        if peer.number > 1:
            await peer.end()
        elif how == "closes":
            assert await peer.request() is not None
        else:
            await peer.reader.readexactly(1)
            peer.reset()

    async def main() -> None:
        async with serve(script) as server, kind.make() as transport:
            await post(transport, server.url)
            with pytest.raises(StaleConnection):
                await post(transport, server.url)
            assert server.connections == 1
            assert (await post(transport, server.url)).body == b"ok"
            assert server.connections == 2

    kind.run(main())


def test_so_does_one_too_large_to_be_written_at_once(kind: Kind) -> None:
    async def script(server: Server, peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            if request.body != BODY and peer.number == 1:
                return
            await peer.write(OK)

    async def main() -> None:
        large = bytes(range(256)) * 8192  # 2 MiB
        async with serve(script) as server, kind.make() as transport:
            await post(transport, server.url)
            with pytest.raises(StaleConnection):
                await transport.send("POST", server.url, HEADERS, large)

    kind.run(main())


def test_a_first_request_that_is_closed_without_a_byte_met_no_idle_connection(kind: Kind) -> None:
    async def script(server: Server, peer: Peer) -> None:
        await peer.request()

    async def main() -> None:
        async with serve(script) as server, kind.make() as transport:
            with pytest.raises(OutcomeUnknown) as failed:
                await post(transport, server.url)
            assert not isinstance(failed.value, StaleConnection)

    kind.run(main())


@pytest.mark.parametrize("partial", [b"HTTP/1.1 20", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_an_answer_that_began_on_a_used_connection_met_no_idle_one(engine: Kind, partial: bytes) -> None:
    async def script(server: Server, peer: Peer) -> None:
        await peer.request()
        await peer.write(OK)
        await peer.request()
        await peer.write(partial)

    async def main() -> None:
        async with serve(script) as server, engine.make() as transport:
            await post(transport, server.url)
            with pytest.raises(OutcomeUnknown) as failed:
                await post(transport, server.url)
            assert not isinstance(failed.value, StaleConnection)

    engine.run(main())


def test_two_thousand_requests_are_in_flight_at_once(engine: Kind) -> None:
    count = 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * count + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"needs {wanted} open files, at most {hard} are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))

    async def main() -> None:
        everybody = asyncio.Event()

        async def script(server: Server, peer: Peer) -> None:
            server.requests += filter(None, [await peer.request()])
            if len(server.requests) == count:
                everybody.set()
            await everybody.wait()
            await peer.write(OK)
            await peer.end()

        async with serve(script) as server, engine.make() as transport:
            responses = await asyncio.gather(*(post(transport, server.url) for _ in range(count)))
            assert {response.body for response in responses} == {b"ok"}
            assert server.connections == count

    try:
        engine.run(main())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Cancelling and deadlines


@pytest.mark.parametrize("moment", ["before the answer", "inside the body"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_cancelling_closes_the_connection_within_50_ms(
    kind: Kind, moment: str, secure: bool, authority: trustme.CA, ca_file: str
) -> None:
    async def one_round() -> float:
        asked, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

        async def script(server: Server, peer: Peer) -> None:
            await peer.request()
            if moment == "inside the body":
                await peer.write(OK[:-1])
            asked.set()
            await peer.end()
            ended.set_result(asyncio.get_running_loop().time())

        tls = server_context(authority) if secure else None
        async with serve(script, tls=tls) as server, kind.make(ca_file=ca_file) as transport:
            task = asyncio.create_task(post(transport, server.url))
            await asyncio.wait_for(asked.wait(), 30)
            for _ in range(20):
                await asyncio.sleep(0)
            cancelled_s = asyncio.get_running_loop().time()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return float(await asyncio.wait_for(ended, 30)) - cancelled_s

    assert min(kind.run(one_round()) for _ in range(3)) < 0.05


def test_cancelling_does_not_wait_for_a_server_that_reads_no_more(engine: Kind) -> None:
    def clients_of(server: Server) -> int:
        open_now = psutil.Process().net_connections("tcp")
        return sum(1 for each in open_now if each.raddr and each.raddr.port == server.port)

    async def main() -> None:
        asked = asyncio.Event()

        async def script(server: Server, peer: Peer) -> None:
            await peer.reader.readuntil(b"\r\n\r\n")
            cast(asyncio.Transport, peer.writer.transport).pause_reading()
            asked.set()
            await asyncio.Event().wait()

        async with serve(script) as server, engine.make() as transport:
            upload = b"x" * (64 << 20)
            task = asyncio.create_task(transport.send("POST", server.url, HEADERS, upload))
            await asyncio.wait_for(asked.wait(), 30)
            assert clients_of(server) == 1
            for _ in range(2000):  # until no buffer takes any more
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for _ in range(10):
                await asyncio.sleep(0)
            assert clients_of(server) == 0

    engine.run(main())


def test_a_cancelled_call_leaves_the_transport_usable(kind: Kind) -> None:
    async def main() -> None:
        asked = asyncio.Event()

        async def script(server: Server, peer: Peer) -> None:
            if peer.number == 1:
                await peer.request()
                asked.set()
                await peer.end()
            else:
                await answering(OK)(server, peer)

        async with serve(script) as server, kind.make() as transport:
            task = asyncio.create_task(post(transport, server.url))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await post(transport, server.url)).body == b"ok"

    kind.run(main())


@pytest.mark.parametrize("sent", [b"", OK[:-1]], ids=["before the answer", "inside the body"])
def test_a_deadline_ends_the_call_and_the_connection(kind: Kind, sent: bytes) -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def script(server: Server, peer: Peer) -> None:
            await peer.request()
            await peer.write(sent)
            await peer.end()
            ended.set()

        async with serve(script) as server, kind.make() as transport:
            with pytest.raises(DeadlinePassed, match=r"0\.05 s"):
                await post(transport, server.url, deadline_s=0.05)
            await asyncio.wait_for(ended.wait(), 30)

    kind.run(main())


def test_a_deadline_that_does_not_pass_changes_nothing(kind: Kind) -> None:
    async def main() -> None:
        async with serve(answering(OK)) as server, kind.make() as transport:
            assert (await post(transport, server.url, deadline_s=60.0)).status == 200

    kind.run(main())


# What went wrong


def test_a_refused_connection_was_never_sent(kind: Kind) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening

        async def main() -> None:
            async with kind.make() as transport:
                with pytest.raises(NeverSent):
                    await post(transport, f"http://127.0.0.1:{taken.getsockname()[1]}/")

        kind.run(main())


def test_a_name_that_does_not_resolve_was_never_sent(kind: Kind) -> None:
    async def main() -> None:
        async with kind.make() as transport:
            with pytest.raises(NeverSent):
                await post(transport, "http://models.invalid/v1")

    kind.run(main())


@pytest.mark.parametrize(
    "url", ["ftp://x/", "/v1", "http://", "http://h:port/", "http://user:pw@127.0.0.1:9/"]
)
def test_an_address_that_cannot_be_used_was_never_sent(kind: Kind, url: str) -> None:
    async def main() -> None:
        async with kind.make() as transport:
            with pytest.raises(NeverSent) as caught:
                await post(transport, url)
            assert "pw" not in str(caught.value)

    kind.run(main())


def test_a_close_before_any_answer_on_a_fresh_connection_is_an_unknown_outcome(kind: Kind) -> None:
    async def main() -> None:
        async with serve(then_closing(b"")) as server, kind.make() as transport:
            with pytest.raises(OutcomeUnknown):
                await post(transport, server.url)
            assert server.connections == 1

    kind.run(main())


@pytest.mark.parametrize("sent", [b"", OK[:-1]], ids=["before the answer", "inside the body"])
def test_a_reset_is_an_unknown_outcome(kind: Kind, sent: bytes) -> None:
    async def script(server: Server, peer: Peer) -> None:
        await peer.reader.readexactly(1)
        await peer.write(sent)
        peer.reset()  # with the rest of the request unread: a true RST

    with pytest.raises(OutcomeUnknown):
        exchange(kind, script)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
    ids=["length", "chunks", "headers"],
)
def test_a_truncated_answer_is_an_unknown_outcome(kind: Kind, answer: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        exchange(kind, then_closing(answer))


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
    ],
    ids=["not HTTP", "status", "length", "chunks"],
)
def test_malformed_http_is_an_unknown_outcome(kind: Kind, answer: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        exchange(kind, then_closing(answer))


def test_a_damaged_compressed_body_is_an_unknown_outcome(kind: Kind) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\n"
    with pytest.raises(OutcomeUnknown):
        exchange(kind, then_closing(head + b"not gzip"))


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", OK[:-1]])
def test_no_failure_shows_the_key(kind: Kind, answer: bytes) -> None:
    with pytest.raises(TransportError) as caught:
        exchange(kind, then_closing(answer))
    assert KEY not in "".join(traceback.format_exception(caught.value))
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in repr(error)
        error = error.__cause__ or error.__context__


def test_a_response_does_not_show_its_body() -> None:
    assert repr(Response(401, {}, b"Incorrect API key: sk-1")) == "Response(401, 23 bytes)"


def test_a_closed_engine_says_so(engine: Kind) -> None:
    async def main() -> None:
        transport = engine.make()
        await transport.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await post(transport, "http://127.0.0.1:9/")

    engine.run(main())


# TLS


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_context(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def secure_exchange(kind: Kind, server_tls: ssl.SSLContext, **options: Any) -> Response:
    async def main() -> Response:
        async with serve(answering(OK), tls=server_tls) as server, kind.make(**options) as transport:
            await post(transport, server.url)
            response = await post(transport, server.url)
            assert server.connections == 1
            return response

    return kind.run(main())


def test_a_private_authority_is_trusted_by_file(kind: Kind, authority: trustme.CA, ca_file: str) -> None:
    assert secure_exchange(kind, server_context(authority), ca_file=ca_file).body == b"ok"


def test_a_private_authority_is_trusted_by_context(kind: Kind, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    assert secure_exchange(kind, server_context(authority), tls=context).body == b"ok"


def test_a_private_authority_is_trusted_by_environment(
    kind: Kind, authority: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    assert secure_exchange(kind, server_context(authority)).body == b"ok"


def test_a_certificate_of_nobody_was_never_sent(kind: Kind, authority: trustme.CA) -> None:
    with pytest.raises(NeverSent, match="certificate"):
        secure_exchange(kind, server_context(authority))


def test_a_certificate_of_somebody_else_was_never_sent(
    kind: Kind, authority: trustme.CA, ca_file: str
) -> None:
    with pytest.raises(NeverSent, match="certificate"):
        secure_exchange(kind, server_context(authority, "other.example"), ca_file=ca_file)


def test_a_server_that_speaks_no_tls_was_never_sent(kind: Kind) -> None:
    async def hello(server: Server, peer: Peer) -> None:
        await peer.reader.read(10)
        await peer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def plain() -> None:
        async with serve(hello) as server, kind.make() as transport:
            server.tls = True
            with pytest.raises(NeverSent):
                await post(transport, server.url)

    kind.run(plain())


# Proxies


@pytest.mark.parametrize("given", ["argument", "environment"])
def test_a_proxy_carries_plain_http(kind: Kind, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serve(answering(OK)) as server, serve(proxy_to(server.port)) as proxy:
            address = f"http://user:secret@127.0.0.1:{proxy.port}"
            monkeypatch.setenv("HTTP_PROXY", address)
            async with kind.make(**({"proxy": address} if given == "argument" else {})) as transport:
                assert (await post(transport, "http://models.example/v1/chat")).body == b"ok"
                assert (await post(transport, "http://models.example/v1/chat")).body == b"ok"
            first, _ = proxy.requests
            assert (first.method, first.target) == ("POST", "http://models.example/v1/chat")
            assert first.headers["proxy-authorization"] == "Basic dXNlcjpzZWNyZXQ="
            assert [request.target for request in server.requests] == ["/v1/chat"] * 2

    kind.run(main())


def test_a_proxy_carries_https_by_connect_and_never_sees_the_key(
    kind: Kind, authority: trustme.CA, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        tls = server_context(authority, "models.example")
        async with serve(answering(OK), tls=tls) as server, serve(proxy_to(server.port)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            async with kind.make(ca_file=ca_file) as transport:
                assert (await post(transport, "https://models.example/v1/chat")).body == b"ok"
                assert (await post(transport, "https://models.example/v1/chat")).body == b"ok"
            (tunnel,) = proxy.requests
            assert (tunnel.method, tunnel.target) == ("CONNECT", "models.example:443")
            assert KEY not in str(tunnel.headers)

    kind.run(main())


def test_a_tunnel_that_the_proxy_refuses_was_never_sent(kind: Kind) -> None:
    async def main() -> None:
        refusal = b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"
        async with serve(then_closing(refusal)) as proxy:
            async with kind.make(proxy=f"http://127.0.0.1:{proxy.port}") as transport:
                with pytest.raises(NeverSent, match="407"):
                    await post(transport, "https://models.example/")
            (tunnel,) = proxy.requests
            assert KEY not in str(tunnel.headers)

    kind.run(main())


def test_a_proxy_that_cannot_be_reached_was_never_sent_and_its_password_is_not_shown(kind: Kind) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))

        async def main() -> None:
            proxy = f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}"
            async with kind.make(proxy=proxy) as transport:
                with pytest.raises(NeverSent) as caught:
                    await post(transport, "http://models.example/")
                assert "secret" not in "".join(traceback.format_exception(caught.value))

        kind.run(main())


ENVIRONMENT = {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "p:2", "NO_PROXY": "near.example,10.0.0.1:8000"}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://far.example/v1", "http://p:1"),
        ("https://far.example/v1", "http://p:2"),
        ("http://near.example/v1", None),
        ("https://api.near.example/v1", None),
        ("http://10.0.0.1:8000/v1", None),
        ("http://10.0.0.1:9000/v1", "http://p:1"),
        ("http://127.0.0.1:9000/v1", None),
        ("http://127.8.8.8/v1", None),
        ("http://[::1]:9000/v1", None),
        ("http://localhost:9000/v1", None),
    ],
)
def test_the_environment_says_which_proxy(
    url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert Routes().route(url).proxy == proxy
    assert Routes(trust_env=False).route(url).proxy is None
    assert Routes(proxy="http://told:3").route(url).proxy == "http://told:3"


def test_the_environment_is_read_once_per_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://p:1")
    routes = Routes()
    assert routes.route("http://far.example/a").proxy == "http://p:1"
    monkeypatch.setenv("HTTP_PROXY", "http://p:2")
    assert routes.route("http://far.example/b").proxy == "http://p:1"
    assert routes.route("http://other.example/").proxy == "http://p:2"


def test_a_socks_proxy_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secret@p:1080")
    with pytest.raises(NeverSent, match=r"not socks5://$"):
        Routes().route("https://far.example/")


# A client of the user's own


def test_a_clients_own_transport_is_used_and_left_open() -> None:
    async def main() -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={"seen": request.url.path})

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            async with HttpxTransport(client) as transport:
                response = await post(transport, "http://gateway.example/v1")
            assert response.body == b'{"seen":"/v1"}'
            assert not client.is_closed

    asyncio.run(main())


def test_the_engine_serves_whoever_brings_no_client() -> None:
    async def main() -> None:
        assert isinstance(connect(), Engine)
        async with httpx.AsyncClient() as client:
            assert isinstance(connect(client), HttpxTransport)

    asyncio.run(main())


def test_a_failing_mock_is_not_taken_for_an_idle_connection() -> None:
    seen: list[httpx.Request] = []

    def fail(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        raise httpx.ReadError("broken")

    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(fail)) as client:
            with pytest.raises(OutcomeUnknown) as failed:
                await post(HttpxTransport(client), "http://gateway.example/v1")
            assert not isinstance(failed.value, StaleConnection)

    asyncio.run(main())
    assert len(seen) == 1


def test_a_clients_timeouts_do_not_apply() -> None:
    async def main() -> None:
        async with (
            serve(answering(OK)) as server,
            httpx.AsyncClient(timeout=1e-9, trust_env=False) as client,
        ):
            assert (await post(HttpxTransport(client), server.url)).status == 200

    asyncio.run(main())


def test_paths_of_certificates_may_be_missing_only_loudly(tmp_path: Path) -> None:
    async def main() -> None:
        async with Engine(ca_file=str(tmp_path / "none.pem")) as transport:
            with pytest.raises(FileNotFoundError):
                await post(transport, "https://127.0.0.1:9/")

    asyncio.run(main())
