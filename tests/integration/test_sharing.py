"""`share_replies`: conditions that ask the same of the same item and repeat ask once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crucible_ray import api
from crucible_ray.api import RunResult
from crucible_ray.experiment.spec import Budget, Ensemble, Model
from tests.conftest import Simulate
from tests.integration.lab import AT_ONCE, POPULATION, prepared, rows_of

SINGLE = Model("small", name="single")
TRIO = Ensemble(["small", "medium", "large"], name="trio")
THRICE = Ensemble(["small", "small", "small"], name="thrice")


def run(folder: Path, url: str, *, options: dict[str, Any] | None = None, **changes: Any) -> RunResult:
    defaults: dict[str, Any] = {
        "sample_size": 15,
        "repeat": 2,
        "conditions": [SINGLE, TRIO],
        "share_replies": True,
    }
    ready = prepared(folder, url, **(defaults | changes))
    return api.run(ready, runtime="in-process", output_dir=folder / "out", **(options or {}))


def by_block(result: RunResult) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """The calls to the model that two conditions ask."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for call in result.calls():
        if call["model"] == "small":
            found.setdefault((call["item_id"], call["repeat"]), []).append(call)
    return found


@pytest.mark.parametrize("clients", [1, 3])
def test_an_identical_request_is_made_once_and_its_reply_is_no_latency(
    tmp_path: Path, simulate: Simulate, clients: int
) -> None:
    provider = simulate(models=POPULATION)
    metrics = ["accuracy", "latency_mean", "cost_per_query"]
    result = run(tmp_path, provider.url, metrics=metrics, options={"clients": clients})
    assert provider.stats().requests == 30 * 3 == result.calls_made
    for calls in by_block(result).values():
        sent, taken = sorted(calls, key=lambda call: call["shared_from"] is not None)
        assert (sent["shared_from"], taken["shared_from"]) == (None, sent["trial"])
        assert taken["text"] == sent["text"]
    rows = rows_of(result.results_dir)
    taken_by = {str(call["trial"]) for call in result.calls() if call["shared_from"] is not None}
    assert len(taken_by) == 30
    assert {row["trial"] for row in rows if not row["latency_ms"]} == taken_by
    assert all(float(row["cost_usd"]) > 0 for row in rows)
    spends = [condition.spend for condition in result.analysis.conditions.values()]
    paid = sum(spend.answered_usd - spend.unpaid_usd for spend in spends)
    assert result.cost_usd == pytest.approx(paid)
    (compared,) = [each for each in result.analysis.comparisons if each.metric == "accuracy"]
    assert any("share replies" in note for note in compared.notes)
    assert api.reproduce(result.results_dir, clients=2).same


def test_equal_members_stay_draws_of_their_own(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=POPULATION)
    result = run(tmp_path, provider.url, conditions=[SINGLE, THRICE], hypotheses=[])
    assert provider.stats().requests == 30 * 3
    for calls in by_block(result).values():
        assert sum(call["shared_from"] is not None for call in calls) == 1


def test_a_resumed_block_shares_what_an_earlier_session_asked(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=POPULATION)
    run(tmp_path, provider.url, options={"conditions": ("single",)})
    assert provider.stats().requests == 30
    result = run(tmp_path, provider.url)
    assert (result.status, result.completed) == ("complete", 60)
    assert provider.stats().requests == 30 * 3
    assert all(
        call["shared_from"] is not None
        for calls in by_block(result).values()
        for call in calls
        if call["condition"] == "trio"
    )
    assert api.reproduce(result.results_dir).same


def test_a_failure_is_shared_by_nobody(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE, faults={"500": 0.4})
    result = run(
        tmp_path, provider.url, conditions=[SINGLE, Model("small", name="twin")], hypotheses=[], max_retries=0
    )
    shared = [call for call in result.calls() if call["shared_from"] is not None]
    assert shared
    assert {call["outcome"] for call in shared} == {"ok"}
    assert provider.stats().requests == 60 - len(shared)


def test_a_spent_budget_does_not_leave_those_waiting_who_share(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE, faults={"500": 0.3})
    budget = Budget(max_total=0.2, abort_on_exceed=True)
    result = run(tmp_path, provider.url, budget=budget)
    assert result.status == "budget"
    assert result.cost_usd is not None
    assert result.cost_usd <= 0.2


def test_it_is_another_experiment_than_without(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/v1"
    ids = {prepared(tmp_path, url, share_replies=on).plan.experiment_id for on in (True, False)}
    assert len(ids) == 2
    assert prepared(tmp_path, url).plan.experiment_id in ids
