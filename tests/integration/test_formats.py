"""Whole experiments in each provider's wire format, and in all three at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crucible_ray import Ensemble, Experiment, Model, api
from crucible_ray.api import RunResult
from crucible_ray.api.checking import show
from crucible_ray.errors import ParameterRefused, RefusedKey
from crucible_ray.settings import Environment, ModelTable, Settings
from tests.conftest import Simulate
from tests.integration.driver import SINGLE
from tests.integration.lab import AT_ONCE, prepared, rows_of

PROVIDERS = ("openai", "anthropic", "google")
WINDOW = 8
KEY = "LAB_API_KEY"


def run(folder: Path, url: str, provider: str, **changes: Any) -> RunResult:
    return api.run(
        prepared(folder, url, provider=provider, **SINGLE, **changes),
        runtime="in-process",
        output_dir=folder / "out",
        clients=1,
        max_concurrent_queries=WINDOW,
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_fault_of_a_provider_is_understood_in_its_own_words(
    tmp_path: Path, simulate: Simulate, provider: str
) -> None:
    kinds = ("429", "429-bare", "500", "529", "error-200", "truncated", "truncate-length", "reset")
    server = simulate(models=AT_ONCE, faults=dict.fromkeys(kinds, 0.06), fault_retry_after_s=0.05)
    result = run(tmp_path, server.url, provider, sample_size=60, max_retries=8)
    assert (result.status, result.completed, result.failed) == ("complete", 60, 0)
    assert {row["finish_reason"] for row in rows_of(result.results_dir)} == {"stop"}
    assert all(float(row["cost_usd"]) > 0.0 for row in rows_of(result.results_dir))
    calls = pq.read_table(result.results_dir / "calls.parquet").to_pylist()
    assert {call["model_version"] for call in calls if call["outcome"] == "ok"} == {"simulated/small"}
    outcomes = {call["outcome"] for call in calls}
    assert {"ok", "rate_limit", "server_error", "overloaded", "malformed", "connection_lost"} == outcomes
    assert api.reproduce(result.results_dir).same


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("fault", "error", "code", "says"),
    [
        ("refuse-param", ParameterRefused, 2, "this parameter is not supported"),
        ("refuse-key", RefusedKey, 4, f"refuses the key in {KEY}"),
    ],
)
def test_what_a_provider_refuses_ends_the_run_at_the_first_refusal(
    tmp_path: Path,
    simulate: Simulate,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    fault: str,
    error: type[ParameterRefused | RefusedKey],
    code: int,
    says: str,
) -> None:
    monkeypatch.setenv(KEY, "sk-not-yours")
    server = simulate(models=AT_ONCE, faults={fault: 1.0})
    with pytest.raises(error, match=says) as refused:
        run(tmp_path, server.url, provider, api_key_env=KEY)
    assert refused.value.exit_code == code
    assert server.stats().requests <= WINDOW
    left = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert left
    assert not any(b"sk-not-yours" in each for each in [*left, str(refused.value).encode()])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_cut_before_its_first_word_is_truncated_in_every_format(
    tmp_path: Path, simulate: Simulate, provider: str
) -> None:
    server = simulate(models=AT_ONCE, faults={"empty": 1.0})
    result = run(tmp_path, server.url, provider, sample_size=5, max_failed=1.0)
    assert {row["error"] for row in rows_of(result.results_dir)} == {"truncated"}


def test_an_ensemble_of_three_providers_votes(tmp_path: Path, simulate: Simulate) -> None:
    server = simulate()
    root = server.url.removesuffix("/v1")
    names = ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "google/gemini-2.5-flash"]
    env = {"OPENAI_BASE_URL": server.url, "ANTHROPIC_BASE_URL": root, "GEMINI_BASE_URL": root}
    experiment = Experiment(
        name="Three providers",
        dataset="demo",
        sample_size=10,
        conditions=[Model(names[1], name="alone"), Ensemble(names, name="trio")],
        system="Answer with a letter.",
    )
    ready = api.prepare(experiment, settings=Settings(env=Environment(env)))
    assert [call.model.provider for call in ready.plan.conditions[1].calls] == list(PROVIDERS)
    result = api.run(ready, runtime="in-process", output_dir=tmp_path / "out")
    assert (result.completed, result.failed) == (20, 0)
    assert server.stats().models == {
        "gpt-4o-mini": 10,
        "claude-haiku-4-5": 20,
        "gemini-2.5-flash": 10,
    }


def test_check_shows_the_request_of_each_format(tmp_path: Path) -> None:
    names = ["gpt4o_mini", "claude_haiku", "gemini_flash"]
    experiment = Experiment(
        name="Shown",
        dataset=[{"id": "1", "input": "2+2?", "expected": "4"}],
        conditions=[Ensemble(names, name="trio", max_tokens=5)],
    )
    env = Environment({"OPENAI_API_KEY": "k"})
    ready = api.prepare(experiment, settings=Settings(env=env, models={"gpt4o_mini": ModelTable()}))
    (shown,) = show(ready, 1)
    assert [call.url for call in shown.calls] == [
        "https://api.openai.com/v1/chat/completions",
        "https://api.anthropic.com/v1/messages",
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.5-flash-lite:generateContent",
    ]
    assert ['"max_tokens":5' in call.body for call in shown.calls] == [True, True, False]
    assert '"maxOutputTokens":5' in shown.calls[2].body
