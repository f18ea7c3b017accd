"""The official clients of three providers against the simulator, each in its own format."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types

from crucible_ray.records import Item
from crucible_ray.simulator import (
    RecordedReply,
    SimulatedModel,
    SimulatorConfig,
    SimulatorProcess,
    main,
    serve,
)
from tests.simulator.raw import request, send

_ONE = SimulatedModel(name="a", accuracy=1.0, output_tokens=30)


@pytest.fixture(scope="module")
def process() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(SimulatorConfig(models=(_ONE,))) as child:
        yield child


def _root(url: str) -> str:
    """The address as Anthropic's and Google's clients want it."""
    return url.removesuffix("/v1")


def _google(url: str) -> genai.Client:
    options = types.HttpOptions(base_url=_root(url), retry_options=types.HttpRetryOptions(attempts=1))
    return genai.Client(api_key="k", http_options=options)


def test_anthropics_client_gets_a_message_its_usage_and_the_models(process: SimulatorProcess) -> None:
    with anthropic.Anthropic(base_url=_root(process.url), api_key="k", max_retries=0) as client:
        said = client.messages.create(
            model="a",
            max_tokens=100,
            system="Be brief.",
            messages=[{"role": "user", "content": "What is 17 + 25?"}],
        )
        (block,) = said.content
        assert isinstance(block, anthropic.types.TextBlock)
        assert "42" in block.text
        assert (said.model, said.stop_reason, said.role) == ("simulated/a", "end_turn", "assistant")
        assert said.usage.input_tokens == len("Be brief.") // 4 + len("What is 17 + 25?") // 4 + 8
        assert said.usage.output_tokens > 0
        assert [model.id for model in client.models.list()] == ["a"]
        with pytest.raises(anthropic.NotFoundError, match="does not exist"):
            client.messages.create(model="b", max_tokens=1, messages=[{"role": "user", "content": "?"}])


def test_googles_client_gets_an_answer_its_usage_and_the_models(process: SimulatorProcess) -> None:
    with _google(process.url) as client:
        said = client.models.generate_content(
            model="a",
            contents="What is 17 + 25?",
            config=types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=100),
        )
        assert said.text is not None
        assert "42" in said.text
        assert said.candidates is not None
        assert said.candidates[0].finish_reason == types.FinishReason.STOP
        assert said.usage_metadata is not None
        assert said.usage_metadata.total_token_count == (said.usage_metadata.prompt_token_count or 0) + (
            said.usage_metadata.candidates_token_count or 0
        )
        assert said.model_version == "simulated/a"
        assert [model.name for model in client.models.list()] == ["models/a"]
        with pytest.raises(errors.ClientError, match="does not exist") as caught:
            client.models.generate_content(model="b", contents="?")
        assert caught.value.code == 404


_ANTHROPIC: dict[str, type[Exception]] = {
    "429": anthropic.RateLimitError,
    "429-bare": anthropic.RateLimitError,
    "refuse-key": anthropic.AuthenticationError,
    "refuse-param": anthropic.BadRequestError,
    "500": anthropic.InternalServerError,
    "529": anthropic.InternalServerError,
    "reset": anthropic.APIConnectionError,
}
_GOOGLE = {
    "429": (429, "RESOURCE_EXHAUSTED"),
    "refuse-key": (400, "INVALID_ARGUMENT"),
    "refuse-param": (400, "INVALID_ARGUMENT"),
    "500": (500, "INTERNAL"),
    "529": (503, "UNAVAILABLE"),
}


@pytest.mark.parametrize("fault", _ANTHROPIC)
def test_anthropics_client_maps_each_refusal_to_its_error(fault: str) -> None:
    async def run() -> None:
        async with (
            serve(SimulatorConfig(faults={fault: 1.0})) as simulator,
            anthropic.AsyncAnthropic(base_url=_root(simulator.url), api_key="k", max_retries=0) as client,
        ):
            with pytest.raises(_ANTHROPIC[fault]):
                await client.messages.create(
                    model="a", max_tokens=5, messages=[{"role": "user", "content": "?"}]
                )

    asyncio.run(run())


@pytest.mark.parametrize("fault", _GOOGLE)
def test_googles_client_maps_each_refusal_to_its_status(fault: str) -> None:
    with SimulatorProcess(SimulatorConfig(faults={fault: 1.0})) as child, _google(child.url) as client:
        with pytest.raises(errors.APIError) as caught:
            client.models.generate_content(model="a", contents="?")
        assert (caught.value.code, caught.value.status) == _GOOGLE[fault]


def test_one_population_and_one_recording_answer_in_every_format() -> None:
    items = [Item(id="1", input="Which one?", expected="C", choices=("p", "q", "r", "s"))]
    replies = [RecordedReply(model="r", id="1", reply="I say (C).")]
    models = (SimulatedModel(name="sure", accuracy=1.0),)

    async def run() -> None:
        async with serve(SimulatorConfig(models=models), items=items, replies=replies) as simulator:
            root = _root(simulator.url)
            for model in ("r", "sure"):
                async with (
                    openai.AsyncOpenAI(base_url=simulator.url, api_key="k") as chat,
                    anthropic.AsyncAnthropic(base_url=root, api_key="k") as messages,
                ):
                    said = await chat.chat.completions.create(
                        model=model, messages=[{"role": "user", "content": "Which one?"}]
                    )
                    wrote = await messages.messages.create(
                        model=model, max_tokens=9, messages=[{"role": "user", "content": "Which one?"}]
                    )
                body = b'{"contents":[{"role":"user","parts":[{"text":"Which one?"}]}]}'
                path = f"/v1beta/models/{model}:generateContent"
                generated = await send(simulator.url, request(body, path=path))
                texts = [said.choices[0].message.content, wrote.content[0].model_dump()["text"]]
                if model == "r":
                    assert texts == ["I say (C)."] * 2
                assert all("C" in (text or "") for text in texts)
                assert b"C" in generated.body
            assert simulator.stats().models == {"r": 3, "sure": 3}

    asyncio.run(run())


def test_what_a_format_does_not_serve_is_refused_in_its_own_words() -> None:
    async def run() -> None:
        async with serve(SimulatorConfig()) as simulator:
            stream = await send(simulator.url, request(b"{}", path="/v1beta/models/a:streamGenerateContent"))
            assert (stream.status, b'"status":"NOT_FOUND"' in stream.body) == (404, True)
            bare = await send(simulator.url, request(b'{"model":"a","messages":[]}', path="/v1/messages"))
            assert (bare.status, b'"type":"error"' in bare.body, b"max_tokens" in bare.body) == (
                400,
                True,
                True,
            )

    asyncio.run(run())


def test_a_limit_is_told_in_each_providers_way() -> None:
    async def run() -> None:
        async with serve(SimulatorConfig(rpm=1.0)) as simulator:
            body = b'{"model":"a","max_tokens":5,"messages":[{"role":"user","content":"?"}]}'
            post = request(body, path="/v1/messages", extra="x-api-key: one\r\n")
            first, second = [await send(simulator.url, post) for _ in range(2)]
            assert (first.status, second.status) == (200, 429)
            assert first.headers["anthropic-ratelimit-requests-limit"] == "1"
            assert 0 < int(second.headers["retry-after"]) <= 60
            google = request(
                b'{"contents":[{"parts":[{"text":"?"}]}]}',
                path="/v1beta/models/a:generateContent",
                extra="x-goog-api-key: two\r\n",
            )
            first, second = [await send(simulator.url, google) for _ in range(2)]
            assert (first.status, second.status) == (200, 429)
            assert b"RetryInfo" in second.body
            assert b'"quotaValue":"1"' in second.body

    asyncio.run(run())


def test_the_programs_help_names_the_base_url_of_every_client(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert "OPENAI_BASE_URL=http://127.0.0.1:PORT/v1 " in shown
    assert "ANTHROPIC_BASE_URL=http://127.0.0.1:PORT " in shown
    assert "GEMINI_BASE_URL=http://127.0.0.1:PORT " in shown
    for key in ("accuracy", "correlation", "latency_s", "spread", "tail", "output_tokens"):
        assert key in shown
