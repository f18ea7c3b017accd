"""A budget that ends a run, and a larger one that goes on with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from crucible_ray import api
from crucible_ray.errors import UsageError
from crucible_ray.experiment.spec import Budget
from tests.conftest import Simulate
from tests.integration.lab import CALLS_PER_BLOCK, MODELS, POPULATION, prepared, rows_of


@pytest.mark.parametrize("clients", [1, 3])
def test_half_the_estimate_is_spent_to_the_cent_and_more_money_goes_on_from_there(
    tmp_path: Path, simulate: Simulate, clients: int
) -> None:
    provider = simulate(models=POPULATION)
    ready = prepared(tmp_path, provider.url)
    estimate = ready.estimate().total_cost
    assert estimate is not None
    budget = estimate / 2
    poor = prepared(tmp_path, provider.url, budget=Budget(max_total=budget, abort_on_exceed=True))
    stopped = api.run(poor, runtime="in-process", output_dir=tmp_path, clients=clients)

    assert stopped.status == "budget"
    assert stopped.cost_usd is not None
    assert stopped.cost_usd <= budget
    assert stopped.session is not None
    assert stopped.session.trial_bound_usd in poor.bounds_usd()
    assert budget - stopped.cost_usd <= max(0.01 * budget, max(poor.bounds_usd()))
    assert len(rows_of(stopped.results_dir)) == stopped.completed == stopped.planned - stopped.pending
    assert 0 < stopped.pending < stopped.planned
    asked = provider.stats().requests
    assert asked == _calls(stopped.results_dir)

    rich = prepared(tmp_path, provider.url, budget=Budget(max_total=3 * budget, abort_on_exceed=True))
    done = api.run(rich, runtime="in-process", output_dir=tmp_path, clients=clients)
    assert (done.experiment_id, done.status, done.pending) == (stopped.experiment_id, "complete", 0)
    assert provider.stats().requests == _calls(done.results_dir) == 100 * CALLS_PER_BLOCK
    assert done.cost_usd == pytest.approx(sum(float(row["cost_usd"]) for row in rows_of(done.results_dir)))


@pytest.mark.parametrize("limit", ["max_total", "max_per_condition"])
def test_a_budget_for_less_than_one_trial_is_refused_with_the_numbers_and_the_mend(
    tmp_path: Path, simulate: Simulate, limit: str
) -> None:
    provider = simulate(models=POPULATION)
    bound = max(prepared(tmp_path, provider.url).bounds_usd())
    budget = Budget(abort_on_exceed=True, **{limit: 0.9 * bound})
    poor = prepared(tmp_path, provider.url, budget=budget)
    with pytest.raises(
        UsageError, match=f"One trial of 'trio' may cost up to .* the budget's {limit} of"
    ) as told:
        api.run(poor, runtime="in-process", output_dir=tmp_path)
    assert "set max_tokens" in str(told.value)
    assert provider.stats().requests == 0


def test_a_budget_that_only_warns_is_passed_and_said_once(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=POPULATION)
    estimate = prepared(tmp_path, provider.url).estimate().total_cost
    assert estimate is not None
    notes: list[str] = []
    result = api.run(
        prepared(tmp_path, provider.url, budget=Budget(max_total=estimate / 10)),
        runtime="in-process",
        output_dir=tmp_path,
        progress_every_s=0.02,
        on_note=lambda note: notes.append(note.name),
    )
    assert result.status == "complete"
    assert notes.count("budget_warning") == 1


def test_a_budget_holds_while_the_provider_fails_now_and_then(tmp_path: Path, simulate: Simulate) -> None:
    """Lost attempts may have been charged: they count at their upper bound, and the sum stays below the budget."""
    provider = simulate(models=POPULATION, faults={"500": 0.05, "reset-body": 0.05, "truncated": 0.05})
    estimate = prepared(tmp_path, provider.url).estimate().total_cost
    assert estimate is not None
    budget = Budget(max_total=estimate / 2, abort_on_exceed=True)
    result = api.run(
        prepared(tmp_path, provider.url, budget=budget), runtime="in-process", output_dir=tmp_path
    )
    assert result.status == "budget"
    assert result.cost_usd is not None
    assert budget.max_total is not None
    assert result.cost_usd <= budget.max_total
    assert set(provider.stats().models) == set(MODELS)


def _calls(results: Path) -> int:
    return sum(int(row["calls"]) for row in rows_of(results))
