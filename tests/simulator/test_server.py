"""The simulator over real HTTP, as clients meet it."""

from __future__ import annotations

import asyncio
import json
import random
import resource
from collections.abc import Awaitable, Callable

import openai
import pytest

from crucible_ray.errors import SpecError
from crucible_ray.records import Item
from crucible_ray.simulator import (
    RecordedReply,
    SimulatedModel,
    Simulator,
    SimulatorConfig,
    SimulatorProcess,
    serve,
    sliding_max,
)
from tests.simulator.raw import Seen, ask, chat, connect, request, send

_ITEMS = [
    Item(
        id=str(n), input=f"Which letter has number {n}?", expected="ABCD"[n % 4], choices=("p", "q", "r", "s")
    )
    for n in range(40)
]


async def _until(condition: Callable[[], bool]) -> None:
    """Turn the loop until something holds; the test's own timeout bounds it."""
    while not condition():
        await asyncio.sleep(0)


def test_the_official_client_gets_a_completion_its_usage_and_the_models() -> None:
    config = SimulatorConfig(models=(SimulatedModel(name="a", accuracy=1.0, output_tokens=30),))
    with (
        SimulatorProcess(config) as process,
        openai.OpenAI(base_url=process.url, api_key="k", max_retries=0) as client,
    ):
        said = client.chat.completions.create(
            model="a", messages=[{"role": "user", "content": "What is 17 + 25?"}], max_tokens=100
        )
        assert "42" in (said.choices[0].message.content or "")
        assert said.choices[0].finish_reason == "stop"
        assert said.usage is not None
        assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens
        assert (said.model, said.system_fingerprint) == ("simulated/a", "simulated")
        assert [model.id for model in client.models.list()] == ["a"]
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            client.chat.completions.create(model="b", messages=[])


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", openai.RateLimitError),
        ("429-bare", openai.RateLimitError),
        ("refuse-key", openai.AuthenticationError),
        ("refuse-param", openai.BadRequestError),
        ("500", openai.InternalServerError),
        ("529", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
    ],
)
def test_the_official_client_maps_each_refusal_to_its_error(fault: str, error: type[Exception]) -> None:
    async def run() -> None:
        async with (
            serve(SimulatorConfig(faults={fault: 1.0})) as simulator,
            openai.AsyncOpenAI(base_url=simulator.url, api_key="k", max_retries=0) as client,
        ):
            with pytest.raises(error):
                await client.chat.completions.create(model="a", messages=[{"role": "user", "content": "?"}])

    asyncio.run(run())


def test_replies_do_not_depend_on_the_order_of_requests() -> None:
    config = SimulatorConfig(faults={"500": 0.2}, seed=5)
    bodies = [chat(item.input, model) for item in _ITEMS for model in ("a", "b") for _ in range(3)]

    async def replies(seed: int) -> list[tuple[str, list[tuple[int | None, bytes]]]]:
        shuffled = random.Random(seed).sample(bodies, len(bodies))
        async with serve(config, items=_ITEMS) as simulator:
            seen = [(body, await send(simulator.url, request(body))) for body in shuffled]
        return sorted(
            (body.decode(), [(s.status, s.body) for b, s in seen if b == body]) for body in set(bodies)
        )

    first = asyncio.run(replies(1))
    assert first == asyncio.run(replies(2))
    assert len({str(answers) for _, answers in first}) > 40


def test_another_seed_gives_other_replies() -> None:
    async def replies(seed: int) -> list[str]:
        async with serve(SimulatorConfig(seed=seed), items=_ITEMS) as simulator:
            return [(await ask(simulator.url, item.input)).text for item in _ITEMS]

    assert asyncio.run(replies(1)) != asyncio.run(replies(2))


def test_a_refusal_by_the_limit_takes_no_turn_from_an_equal_request() -> None:
    async def replies(rpm: float | None) -> list[str]:
        config = SimulatorConfig(rpm=rpm, limit_per="key")
        async with serve(config, items=_ITEMS) as simulator:
            seen = [await ask(simulator.url, _ITEMS[n % 3].input, key=str(n // 2)) for n in range(30)]
        return [s.text for s in seen if s.status == 200]

    # Two requests a key where one is admitted: each second request is refused.
    free, limited = asyncio.run(replies(None)), asyncio.run(replies(1.0))
    assert len(free) == 30
    assert len(limited) == 15
    by_item = {n: free[n::3] for n in range(3)}
    taken = dict.fromkeys(range(3), 0)
    for position in range(0, 30, 2):
        item = position % 3
        assert limited[position // 2] == by_item[item][taken[item]]
        taken[item] += 1


def test_recorded_replies_come_back_word_for_word_and_take_turns() -> None:
    replies = [
        RecordedReply(model="a", id="0", reply="I say (C)."),
        RecordedReply(model="a", id="0", reply="now D"),
        RecordedReply(model="b", input=_ITEMS[1].input, reply="B, I am sure"),
        RecordedReply(model="b", input="Unknown to the items?", reply="yes"),
    ]

    async def run() -> None:
        async with serve(SimulatorConfig(), items=_ITEMS, replies=replies) as simulator:
            said = [(await ask(simulator.url, _ITEMS[0].input)).text for _ in range(3)]
            assert said == ["I say (C).", "now D", "I say (C)."]
            assert (await ask(simulator.url, f"Q: {_ITEMS[1].input}\nA:", "b")).text == "B, I am sure"
            assert (await ask(simulator.url, "Unknown to the items?", "b")).text == "yes"
            missing = await ask(simulator.url, _ITEMS[2].input, "b")
            assert (missing.status, json.loads(missing.body)["error"]["code"]) == (404, "reply_not_recorded")
            stranger = await ask(simulator.url, _ITEMS[0].input, "c")
            assert json.loads(stranger.body)["error"]["code"] == "model_not_found"

    asyncio.run(run())


def test_everything_says_that_it_is_simulated() -> None:
    async def run() -> None:
        async with serve(SimulatorConfig(faults={"500": 0.5})) as simulator:
            seen = [await ask(simulator.url, str(n)) for n in range(20)]
            pages = [
                await send(simulator.url, request(b"", method="GET", path=path))
                for path in ("/stats", "/v1/stats", "/v1/models", "/nothing")
            ]
        assert {s.status for s in seen} == {200, 500}
        assert [p.status for p in pages] == [200, 200, 200, 404]
        assert all(s.headers["x-simulated"] == "true" for s in [*seen, *pages])
        assert all(b"simulated" in s.body or b"Simulated" in s.body for s in [*seen, *pages[:2]])

    asyncio.run(run())


def test_the_limit_holds_to_the_request_and_its_headers_tell() -> None:
    async def seen(config: SimulatorConfig, keys: str) -> list[Seen]:
        async with serve(config) as simulator:
            return [await ask(simulator.url, str(n), key=key) for n, key in enumerate(keys)]

    for kind, size in (("window", None), ("bucket", 5.0)):
        config = SimulatorConfig(rpm=5.0, limit_kind=kind, bucket_size=size)  # type: ignore[arg-type]
        answers = asyncio.run(seen(config, "xxxxxxxy"))
        assert [s.status for s in answers] == [200] * 5 + [429] * 2 + [200]
        assert answers[0].headers["x-ratelimit-limit-requests"] == "5"
        assert [s.headers["x-ratelimit-remaining-requests"] for s in answers] == list("43210004")
        assert 0 < int(answers[5].headers["retry-after"]) <= 60
        assert 0 < int(answers[5].headers["retry-after-ms"]) <= 60_000
    silent = asyncio.run(seen(SimulatorConfig(rpm=1.0, limit_retry_after=False), "xx"))
    assert "retry-after" not in silent[1].headers
    together = asyncio.run(seen(SimulatorConfig(rpm=1.0, limit_per="global"), "xy"))
    assert [s.status for s in together] == [200, 429]


def test_a_limit_per_model_counts_each_model_of_a_key() -> None:
    async def run() -> None:
        async with serve(SimulatorConfig(rpm=1.0, limit_per="model")) as simulator:
            seen = [await ask(simulator.url, "?", model, key="k") for model in ("a", "b", "a")]
            assert [s.status for s in seen] == [200, 200, 429]

    asyncio.run(run())


def test_stats_agree_with_what_clients_saw() -> None:
    faults = {
        "429": 0.1,
        "500": 0.1,
        "529": 0.1,
        "error-200": 0.1,
        "reset": 0.1,
        "truncated": 0.1,
        "empty": 0.1,
    }

    async def run() -> None:
        async with serve(SimulatorConfig(faults=faults, rpm=250.0)) as simulator:
            seen = await asyncio.gather(*(ask(simulator.url, str(n)) for n in range(300)))
            page = await send(simulator.url, request(b"", method="GET", path="/stats?arrivals=1"))
        stats = json.loads(page.body)
        statuses = [str(s.status) for s in seen if s.status is not None]
        assert stats["requests"] == 300 == sum(stats["statuses"].values()) + stats["resets"]
        assert stats["statuses"] == {status: statuses.count(status) for status in sorted(set(statuses))}
        assert stats["limited"] == 50 == stats["statuses"]["429"] - stats["faults"]["429"]
        assert stats["resets"] == stats["faults"]["reset"] == sum(s.reset for s in seen)
        assert set(stats["faults"]) == set(faults)
        assert stats["models"] == {"a": 300}
        assert (stats["in_flight"], stats["cancelled"]) == (0, 0)
        assert (len(stats["total_times"]), len(stats["admitted_times"])) == (300, 250)
        assert stats["densest_admitted"] == 250 == sliding_max(stats["admitted_times"], 60.0)
        assert stats["densest_total"] == 300

    asyncio.run(run())


def test_a_client_that_leaves_before_its_answer_is_counted() -> None:
    slow = SimulatorConfig(default=SimulatedModel(name="default", latency_s=3_600.0))

    async def run(simulator: Simulator) -> None:
        writers = [(await connect(simulator.url))[1] for _ in range(5)]
        for n, writer in enumerate(writers):
            writer.write(request(chat(str(n))))
        await _until(lambda: simulator.stats().in_flight == 5)
        for writer in writers[:3]:
            writer.close()
        await _until(lambda: simulator.stats().cancelled == 3)
        stats = simulator.stats()
        assert (stats.in_flight, stats.peak_in_flight, stats.connections) == (2, 5, 2)
        for writer in writers[3:]:
            writer.transport.abort()
        await _until(lambda: simulator.stats().connections == 0)

    _on(slow, run)


def test_two_thousand_connections_are_answered_at_once() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5_000:
        pytest.skip("needs 5,000 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    config = SimulatorConfig(default=SimulatedModel(name="default", latency_s=0.5, spread=0.0))

    async def run(url: str) -> list[Seen]:
        return await asyncio.gather(*(ask(url, str(n)) for n in range(2_000)))

    with SimulatorProcess(config) as process:
        assert {s.status for s in asyncio.run(run(process.url))} == {200}
        stats = process.stats()
        assert (stats.requests, stats.statuses, stats.cancelled) == (2_000, {"200": 2_000}, 0)


def test_one_connection_serves_many_requests_even_when_they_come_in_pieces_or_together() -> None:
    async def run(simulator: Simulator) -> None:
        reader, writer = await connect(simulator.url)
        one = request(chat("What is 1+1?")).replace(b"Connection: close\r\n", b"")
        for size in (7, len(one), len(one) * 3):
            data = one * 3
            for at in range(0, len(data), size):
                writer.write(data[at : at + size])
                await writer.drain()
                await asyncio.sleep(0)
            for _ in range(3):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                assert json.loads(await reader.readexactly(length))["object"] == "chat.completion"
        writer.close()
        await writer.wait_closed()
        assert simulator.stats().peak_connections == 1
        assert simulator.stats().requests == 9

    _on(SimulatorConfig(), run)


def test_expect_100_continue_is_answered_before_the_body() -> None:
    async def run(simulator: Simulator) -> None:
        reader, writer = await connect(simulator.url)
        data = request(chat("?"), extra="Expect: 100-continue\r\n")
        at = data.index(b"\r\n\r\n") + 4
        writer.write(data[:at])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(data[at:])
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        await writer.wait_closed()

    _on(SimulatorConfig(), run)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"GET /" + b"x" * 70_000, 431),
        (b"nonsense\r\n\r\n", 400),
        (request(b"{"), 400),
        (request(b"", path="/v1/models"), 405),
        (request(chat("?", stream=True)), 400),
        (request(chat("?", n=2)), 400),
    ],
)
def test_what_is_not_served_is_refused_in_words(data: bytes, status: int) -> None:
    async def run(simulator: Simulator) -> None:
        seen = await send(simulator.url, data)
        assert seen.status == status
        assert json.loads(seen.body)["error"]["message"].startswith("Simulated: ")

    _on(SimulatorConfig(), run)


def test_a_configuration_that_makes_no_sense_names_every_problem() -> None:
    with pytest.raises(SpecError) as caught:
        SimulatorConfig(faults={"flood": 0.1}, window_s=-1.0, concentration=2.0)
    assert len(caught.value.problems) == 3
    with pytest.raises(SpecError, match="sum to at most 1"):
        SimulatorConfig(faults={"500": 0.6, "529": 0.6})
    with pytest.raises(SpecError, match="accuracy"):
        SimulatedModel(name="a", accuracy=1.5)


def _on(config: SimulatorConfig, use: Callable[[Simulator], Awaitable[None]]) -> None:
    """Serve, use, stop, and check that nothing is left."""

    async def run() -> None:
        async with serve(config) as simulator:
            await use(simulator)
        assert simulator.stats().connections == 0
        assert simulator.stats().in_flight == 0

    asyncio.run(run())
