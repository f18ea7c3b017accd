"""Going on with a run: retry, force, a marked checkpoint, another driver."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from crucible_ray import api
from crucible_ray.api import Prepared, Progress, RunResult
from crucible_ray.errors import AlreadyRunning, Superseded, UsageError
from tests.conftest import Simulate
from tests.integration.driver import SINGLE
from tests.integration.lab import AT_ONCE, POPULATION, prepared, rows_of


def run(folder: Path, url: str, *, changes: dict[str, Any] | None = None, **options: Any) -> RunResult:
    ready = prepared(folder, url, **(SINGLE | (changes or {})))
    return api.run(ready, runtime="in-process", output_dir=folder / "out", **options)


def by_trial(result: RunResult) -> dict[str, dict[str, str]]:
    return {row["trial"]: row for row in rows_of(result.results_dir)}


def failed(rows: dict[str, dict[str, str]]) -> set[str]:
    return {trial for trial, row in rows.items() if row["error"] not in ("", "parse_failed")}


def test_retry_runs_the_failed_trials_again_and_no_others(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE, faults={"500": 0.3})
    first = run(tmp_path, provider.url, changes={"max_retries": 0})
    before, asked = by_trial(first), provider.stats().requests
    assert 0 < first.failed < first.planned == asked
    assert len(failed(before)) == first.failed

    second = api.retry(first.results_dir, runtime="in-process")
    after = by_trial(second)
    assert provider.stats().requests - asked == first.failed
    assert after.keys() == before.keys()
    assert {trial for trial in after if after[trial] != before[trial]} <= failed(before)
    assert second.failed == len(failed(after)) < first.failed
    assert api.reproduce(second.results_dir, clients=2).same


def test_retry_without_failures_sends_nothing(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    first = run(tmp_path, provider.url)
    again = api.retry(first.results_dir, runtime="in-process")
    assert (again.status, again.completed) == ("complete", 100)
    assert provider.stats().requests == 100


def test_a_complete_run_that_is_resumed_leaves_the_same_results(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    first = run(tmp_path, provider.url)
    compared = ("results.csv", "analysis.json")
    before = [(first.results_dir / name).read_bytes() for name in compared]
    api.resume(first.results_dir, runtime="in-process")
    assert [(first.results_dir / name).read_bytes() for name in compared] == before
    assert provider.stats().requests == 100


def test_force_voids_every_row_and_keeps_the_money_spent(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    first = run(tmp_path, provider.url)
    again = run(tmp_path, provider.url, force=True)
    assert (again.status, again.completed, again.pending) == ("complete", 100, 0)
    assert len(by_trial(again)) == 100
    assert provider.stats().requests == 200
    assert first.cost_usd is not None
    assert again.cost_usd is not None
    kept = sum(float(row["cost_usd"]) for row in rows_of(again.results_dir))
    assert again.cost_usd == pytest.approx(first.cost_usd + kept)


def test_a_run_that_must_not_resume_refuses_where_rows_are(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    run(tmp_path, provider.url)
    with pytest.raises(UsageError, match="already holds 100 trials"):
        run(tmp_path, provider.url, resume=False)
    assert provider.stats().requests == 100


def test_a_resume_from_a_marked_checkpoint_keeps_its_rows_and_asks_the_rest_again(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=POPULATION)
    # Few at a time, so that there are several entries.
    first = run(tmp_path, provider.url, changes={"checkpoint_every": 10}, max_concurrent_queries=3)
    checkpoints = api.status(first.results_dir)[1].checkpoints
    assert len(checkpoints) >= 2
    chosen = checkpoints[0]
    assert 0 < chosen.rows < 100
    again = api.resume(first.results_dir, runtime="in-process", checkpoint=chosen.number)
    assert (again.status, again.completed) == ("complete", 100)
    assert len(by_trial(again)) == 100
    assert provider.stats().requests == 100 + (100 - chosen.rows)
    assert api.reproduce(again.results_dir, clients=2).same


def test_a_checkpoint_that_is_not_marked_is_refused_and_the_marked_are_named(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=AT_ONCE)
    first = run(tmp_path, provider.url)
    with pytest.raises(UsageError, match="There is no checkpoint 999; marked are:"):
        api.resume(first.results_dir, runtime="in-process", checkpoint=999)


async def begun(ready: Prepared, folder: Path) -> asyncio.Task[RunResult]:
    """A run on this loop that has its first rows."""
    has_rows = asyncio.Event()

    def tell(progress: Progress) -> None:
        if progress.done:
            has_rows.set()

    run = api.arun(ready, runtime="in-process", output_dir=folder, progress_every_s=0.05, on_progress=tell)
    task = asyncio.create_task(run)
    await has_rows.wait()
    return task


def test_a_second_driver_refuses_while_the_first_one_lives(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    ready = prepared(tmp_path, provider.url, requests_per_minute=1200, **SINGLE)

    async def both() -> tuple[RunResult, AlreadyRunning]:
        first = await begun(ready, tmp_path)
        with pytest.raises(AlreadyRunning) as refused:
            await api.arun(ready, runtime="in-process", output_dir=tmp_path)
        return await first, refused.value

    result, refusal = asyncio.run(both())
    assert (result.status, result.completed) == ("complete", 100)
    assert "--take-over" in str(refusal)
    assert provider.stats().requests == 100


def test_a_driver_that_is_taken_over_stops_and_every_trial_has_one_row(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=AT_ONCE)
    ready = prepared(tmp_path, provider.url, requests_per_minute=1200, **SINGLE)

    async def both() -> tuple[RunResult, Superseded]:
        first = await begun(ready, tmp_path)
        second = await api.arun(ready, runtime="in-process", output_dir=tmp_path, take_over=True)
        with pytest.raises(Superseded) as superseded:
            await first
        return second, superseded.value

    result, superseded = asyncio.run(both())
    assert "this one stops" in str(superseded)
    assert (result.status, result.completed, len(by_trial(result))) == ("complete", 100, 100)


def test_more_clients_and_another_window_make_no_other_experiment(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE, faults={"500": 0.5})
    first = run(tmp_path, provider.url, changes={"max_retries": 0}, clients=1)
    second = run(tmp_path, provider.url, clients=5, max_concurrent_queries=50, retry=True)
    assert second.experiment_id == first.experiment_id
    assert len(list((tmp_path / "out").iterdir())) == 1
