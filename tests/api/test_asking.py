"""`predict` and `call_model`: a question asked here and now, through the machinery of a run."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import crucible_ray
from crucible_ray import call_model, predict
from crucible_ray.errors import MissingKey, RefusedKey, ServerError, SpecError, UsageError
from crucible_ray.experiment.defaults import SHORT_ANSWER
from crucible_ray.prompts import parser
from crucible_ray.records import EnsembleResult, Item, Reply
from crucible_ray.simulator import SimulatedModel, SimulatorProcess
from tests.conftest import Simulate

KEY = "ASKED_API_KEY"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configure(folder: Path, served: dict[str, SimulatorProcess], more: str = "") -> None:
    """`crucible.toml` with these models."""
    tables = [
        f'[models.{name}]\nprovider = "openai"\nmodel = "{name}"\nbase_url = "{process.url}"\n'
        f'api_key_env = "{KEY}"\ninput_price = 1.0\noutput_price = 2.0\n'
        for name, process in served.items()
    ]
    (folder / "crucible.toml").write_text("".join(tables) + more)


def sure(simulate: Simulate, *names: str, **config: object) -> SimulatorProcess:
    return simulate(models=tuple(SimulatedModel(name=name, accuracy=1.0) for name in names), **config)


def test_predict_gives_the_vote_of_its_models_with_what_it_cost(here: Path, simulate: Simulate) -> None:
    provider = sure(simulate, "a", "b", "c")
    configure(here, dict.fromkeys("abc", provider))
    found = predict("What is 2 + 3?", models=["a", "b", "c"], vote="majority", parse="number", timeout_s=30)
    assert (found.answer, found.votes, found.consensus) == ("5", {"5": 3}, 1.0)
    assert found.models_used == ("a", "b", "c")
    assert (found.successes, found.failures, found.error) == (3, 0, None)
    replies = [reply for reply in found.replies if reply is not None]
    prices = [(r.usage.input_tokens or 0) * 1e-6 + (r.usage.output_tokens or 0) * 2e-6 for r in replies]
    assert found.cost_usd == pytest.approx(sum(prices))
    assert [reply.cost_usd for reply in replies] == pytest.approx(prices)
    assert found.latency_ms == max(reply.latency_ms or 0 for reply in replies)


def test_one_model_may_be_named_without_a_list() -> None:
    found = predict("What is 2+2?", models="gemini_flash", simulate=True, timeout_s=30)
    assert list(found.models_used) == ["gemini_flash"]


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ("4", "4"),
        ("Answer: 4", "4"),
        ("**Answer:** 4.", "4"),
        ("The answer is 4.", "4"),
        ("The correct answer is **4**.", "4"),
        ("<think>Answer: 5</think>Final answer: 4.0", "4.0"),
        ("Answers vary", "Answers vary"),
        ("Two and two are four. Answer: 4", "Two and two are four. Answer: 4"),
        ("First line.\nSecond line.", "First line.\nSecond line."),
        ("  ", None),
    ],
)
def test_a_label_before_a_short_answer_is_no_part_of_it(reply: str, read: str | None) -> None:
    assert parser(SHORT_ANSWER)(reply, Item(id="0", input="What is 2 + 2?")) == read


@pytest.mark.parametrize("reply", ["Answer: " + "*" * 50_000 + "x. y", "a. " * 30_000, " " * 50_000 + "."])
def test_a_hostile_reply_is_read_at_once(reply: str) -> None:
    assert parser(SHORT_ANSWER)(reply, Item(id="0", input="?")) is not None


def test_predict_counts_short_answers_that_say_the_same_as_one_vote(
    here: Path, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"m{number}" for number in range(8)]
    configure(here, dict.fromkeys(names, sure(simulate, *names)))
    found = predict("What is 2 + 3?", models=names, timeout_s=30)
    assert len({reply.text for reply in found.replies if reply is not None}) > 1
    assert (found.answer, found.votes, found.consensus) == ("5", {"5": 8}, 1.0)
    plain = predict("What is 2 + 3?", models=names, timeout_s=30, parse="text")
    assert len(plain.votes) > 1


def test_a_result_shows_its_dollars_as_people_write_them() -> None:
    reply = Reply(text="4", cost_usd=1.7100000000000002e-05)
    found = EnsembleResult(
        answer="4", votes={"4": 1}, consensus=1.0, cost_usd=0.1 + 0.2, models_used=("a",), successes=1, failures=0,
        latency_ms=1.5, replies=(reply,),
    )  # fmt: skip
    assert "cost_usd=0.3, models_used=('a',)" in repr(found)
    assert "Reply(text='4', " in repr(found)
    assert "cost_usd=0.0000171, latency_ms=None" in repr(found)
    assert "cost_usd=None" in repr(Reply(text="4"))


def test_a_member_that_fails_is_counted_and_the_others_decide(here: Path, simulate: Simulate) -> None:
    good, bad = sure(simulate, "a", "b"), sure(simulate, "c", faults={"500": 1.0})
    configure(here, {"a": good, "b": good, "c": bad}, "[ensemble]\nmax_retries = 0\n")
    found = predict("What is 2 + 3?", models=["a", "b", "c"], parse="number", timeout_s=30)
    assert (found.answer, found.successes, found.failures) == ("5", 2, 1)
    assert found.replies[2] is None
    alone = predict("What is 2 + 3?", models=["c"], timeout_s=30)
    assert (alone.answer, alone.error, alone.votes) == (None, "no_quorum", {})


def test_one_model_answers_as_an_ensemble_of_one(here: Path, simulate: Simulate) -> None:
    configure(here, {"a": sure(simulate, "a")})
    found = predict("What is 2 + 3?", models=["a"], parse="number", timeout_s=30)
    assert (found.answer, found.votes, found.consensus) == ("5", {"5": 1}, 1.0)


def test_without_models_the_configured_ones_are_asked(here: Path, simulate: Simulate) -> None:
    configure(
        here, {"a": sure(simulate, "a")}, '[ensemble]\ndefault_models = ["a", "a"]\ndefault_timeout_s = 30\n'
    )
    assert predict("What is 2 + 3?", parse="number").models_used == ("a", "a")


@contextmanager
def listener() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server's base URL and the bodies that it was sent; it answers 5."""
    bodies: list[dict[str, Any]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "5"}}
            usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
            body = json.dumps({"model": "a-2026", "choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1", bodies
        server.shutdown()
        thread.join()


def test_call_model_sends_what_it_was_told_and_gives_one_reply(here: Path) -> None:
    turns = [
        {"role": "user", "content": "What is 1 + 1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "And one more?"},
    ]
    with listener() as (url, bodies):
        table = '[models.a]\nmodel = "a"\ninput_price = 1.0\noutput_price = 2.0\n'
        (here / "crucible.toml").write_text(f'{table}base_url = "{url}"\n')
        reply = call_model("a", "{{ no }} {% template", temperature=0.5, max_tokens=7, system="Be brief.")
        call_model("a", turns, system="Be brief.")
    assert (reply.text, reply.model_version, reply.finish_reason) == ("5", "a-2026", "stop")
    assert reply.cost_usd == pytest.approx(12e-6)
    assert (reply.latency_ms or 0) > 0
    system = {"role": "system", "content": "Be brief."}
    assert (bodies[0]["temperature"], bodies[0]["max_tokens"]) == (0.5, 7)
    assert bodies[0]["messages"] == [system, {"role": "user", "content": "{{ no }} {% template"}]
    assert bodies[1]["messages"] == [system, *turns]
    assert "temperature" not in bodies[1]


def test_call_model_raises_what_the_last_attempt_ended_with(here: Path, simulate: Simulate) -> None:
    configure(here, {"a": sure(simulate, "a", faults={"500": 1.0})}, "[ensemble]\nmax_retries = 0\n")
    with pytest.raises(ServerError) as failed:
        call_model("a", "x", timeout_s=30)
    assert failed.value.__notes__ == ["Try again later."]


def test_a_refused_key_and_a_missing_one_are_said_and_not_shown(
    here: Path, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingKey, match="set OPENAI_API_KEY"):
        predict("x", models=["gpt4o_mini"])
    configure(here, {"a": sure(simulate, "a", faults={"refuse-key": 1.0})})
    monkeypatch.setenv(KEY, "sk-canary")
    with pytest.raises(RefusedKey, match=f"refuses the key in {KEY}") as refused:
        predict("x", models=["a"])
    assert "sk-canary" not in str(refused.value)


def test_what_is_wrong_with_a_question_is_said_before_anything_is_sent() -> None:
    with pytest.raises(SpecError, match="did you mean 'temperature'"):
        predict("x", models=["gpt4o_mini"], temprature=1.0)
    with pytest.raises(SpecError, match="did you mean 'gemini_flash'"):
        predict("x", models=["gemini_flsh"], simulate=True)
    with pytest.raises(UsageError, match="is no turn"):
        call_model("gpt4o_mini", [{"rolle": "user"}], simulate=True)


def test_the_simulator_plays_any_model_without_a_key() -> None:
    assert call_model("gpt4o_mini", "What is 2 + 3?", simulate=True, timeout_s=30).text


def test_both_have_twins_to_await(here: Path, simulate: Simulate) -> None:
    configure(here, {"a": sure(simulate, "a")})

    async def both() -> tuple[str | None, str]:
        voted = await crucible_ray.apredict("What is 2 + 3?", models=["a"], parse="number", timeout_s=30)
        return voted.answer, (await crucible_ray.acall_model("a", "What is 2 + 3?", timeout_s=30)).text

    answer, text = asyncio.run(both())
    assert answer == "5"
    assert "5" in text
