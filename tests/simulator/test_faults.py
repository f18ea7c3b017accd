"""Each fault, as it looks on the wire."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable

import pytest

from crucible_ray.simulator import SimulatorConfig, serve
from crucible_ray.simulator.draws import FAULT, body_key, draws
from crucible_ray.simulator.faults import KINDS, FaultMix
from tests.simulator.raw import Seen, ask, chat, connect, request


def _refused(status: int, code: str | None) -> Callable[[Seen], bool]:
    return lambda s: s.status == status and json.loads(s.body)["error"]["code"] == code


def _broken(s: Seen) -> bool:
    try:
        json.loads(s.body)
    except ValueError:
        return s.status == 200 and int(s.headers["content-length"]) == len(s.body)
    return False


def _short(s: Seen) -> bool:
    return s.status == 200 and 0 < len(s.body) < int(s.headers["content-length"])


def _whole(s: Seen) -> bool:
    return s.status == 200 and len(s.body) == int(s.headers["content-length"]) and bool(s.text)


def _empty(s: Seen) -> bool:
    choice = json.loads(s.body)["choices"][0]
    return (choice["message"]["content"], choice["finish_reason"]) == ("", "length")


_SIGHTS: dict[str, Callable[[Seen], bool]] = {
    "429": lambda s: _refused(429, "rate_limit_exceeded")(s) and s.headers["retry-after"] == "1",
    "429-bare": lambda s: _refused(429, "rate_limit_exceeded")(s) and "retry-after" not in s.headers,
    "500": _refused(500, None),
    "529": _refused(529, None),
    "error-200": _refused(200, "server_error"),
    "slow-body": _whole,
    "reset": lambda s: s.status is None and s.reset,
    "reset-body": lambda s: _short(s) and s.reset,
    "truncated": _broken,
    "truncate-length": lambda s: _short(s) and not s.reset,
    "empty": _empty,
    "refuse-key": _refused(401, "invalid_api_key"),
    "refuse-param": _refused(400, "unsupported_parameter"),
}


def _factories() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    if sys.platform == "win32":
        return [asyncio.new_event_loop]
    import uvloop

    return [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.mark.parametrize("loop", _factories(), ids=("asyncio", "uvloop"))
@pytest.mark.parametrize("kind", _SIGHTS)
def test_a_fault_is_seen_on_the_wire_and_counted(
    kind: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def run() -> None:
        async with serve(SimulatorConfig(faults={kind: 1.0}, slow_body_s=0.1)) as simulator:
            seen = await ask(simulator.url, "What is 1+1?", max_tokens=5)
            stats = simulator.stats()
        assert _SIGHTS[kind](seen), seen
        assert stats.faults == {kind: 1}
        assert (stats.in_flight, stats.cancelled) == (0, 0)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


def test_a_stall_answers_nothing_until_the_client_leaves() -> None:
    async def run() -> None:
        async with serve(SimulatorConfig(faults={"stall": 1.0})) as simulator:
            reader, writer = await connect(simulator.url)
            writer.write(request(chat("?")))
            while not simulator.stats().in_flight:
                await asyncio.sleep(0)
            silence = asyncio.ensure_future(reader.read(1))
            await asyncio.wait([silence], timeout=0.05)
            assert not silence.done()
            writer.close()
            while not simulator.stats().cancelled:
                await asyncio.sleep(0)
            silence.cancel()
            assert (simulator.stats().requests, simulator.stats().statuses) == (1, {})

    asyncio.run(run())


def test_a_client_that_leaves_inside_a_slow_body_is_counted_as_cut_short() -> None:
    async def run() -> None:
        async with serve(SimulatorConfig(faults={"slow-body": 1.0}, slow_body_s=3_600.0)) as simulator:
            reader, writer = await connect(simulator.url)
            writer.write(request(chat("?")))
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
            while not simulator.stats().cut_short:
                await asyncio.sleep(0)
            assert simulator.stats().cancelled == 0

    asyncio.run(run())


def test_every_kind_of_fault_is_looked_at_here() -> None:
    assert {*_SIGHTS, "stall"} == set(KINDS)


def test_faults_come_at_their_probabilities_and_a_retry_draws_anew() -> None:
    mix = {"500": 0.05, "stall": 0.02, "429": 0.1}
    faults, key = FaultMix(mix), body_key(3, b"one body")
    drawn = [faults.draw(draws(key, nth)[FAULT]) for nth in range(20_000)]
    for kind, share in mix.items():
        assert drawn.count(kind) / 20_000 == pytest.approx(share, abs=4 * (share / 20_000) ** 0.5)
    assert faults.draw(draws(key, 0)[FAULT]) == drawn[0]


def test_the_order_in_which_faults_are_named_changes_no_draw() -> None:
    one, other = FaultMix({"500": 0.3, "429": 0.2}), FaultMix({"429": 0.2, "500": 0.3})
    uniforms = [n / 100 for n in range(100)]
    assert [one.draw(u) for u in uniforms] == [other.draw(u) for u in uniforms]
