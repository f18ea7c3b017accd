"""A part of an experiment runs into the record of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crucible_ray import api
from crucible_ray.api import Progress, RunResult
from crucible_ray.api.narrowing import narrowed
from crucible_ray.errors import UsageError
from tests.conftest import Simulate
from tests.integration.lab import AT_ONCE, EXPERIMENT, prepared, rows_of


def run(folder: Path, url: str, **options: Any) -> RunResult:
    ready = prepared(folder, url, sample_size=10, repeat=2)
    return api.run(ready, runtime="in-process", output_dir=folder / "out", **options)


def test_a_part_runs_alone_and_the_rest_later_without_asking_twice(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=AT_ONCE)
    ids = [item.id for item in prepared(tmp_path, provider.url, sample_size=10).items]
    seen: list[Progress] = []
    part = run(tmp_path, provider.url, items=(ids[2], ids[5]), conditions=("trio",), on_progress=seen.append)
    assert provider.stats().requests == 2 * 2 * 3
    assert (part.status, part.completed, part.pending) == ("stopped", 4, 36)
    assert {(row["item_id"], row["condition"]) for row in rows_of(part.results_dir)} == {
        (ids[2], "trio"),
        (ids[5], "trio"),
    }
    assert seen[-1].done == 4
    assert api.observe(part.results_dir).status == "stopped"
    assert api.reproduce(part.results_dir).same
    whole = run(tmp_path, provider.url)
    assert whole.results_dir == part.results_dir
    assert (whole.status, whole.completed, whole.pending) == ("complete", 40, 0)
    assert provider.stats().requests == 10 * 2 * 4


def test_a_part_that_has_run_is_not_run_again(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    run(tmp_path, provider.url, conditions=("single",))
    again = run(tmp_path, provider.url, conditions=("single",))
    assert provider.stats().requests == 20
    assert (again.status, again.pending) == ("stopped", 20)


def test_a_retry_of_a_part_leaves_other_failures_as_they_are(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE, faults={"500": 0.5})
    ready = prepared(tmp_path, provider.url, sample_size=10, max_retries=0, conditions=EXPERIMENT.conditions)
    first = api.run(ready, runtime="in-process", output_dir=tmp_path / "out")
    before = {row["trial"]: row for row in rows_of(first.results_dir)}
    again = api.retry(first.results_dir, runtime="in-process", conditions=("single",))
    after = {row["trial"]: row for row in rows_of(again.results_dir)}
    changed = {row["condition"] for trial, row in after.items() if row != before[trial]}
    assert changed <= {"single"}
    assert len(after) == 20


def test_names_that_do_not_exist_are_told_with_the_nearest(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    with pytest.raises(UsageError, match=r"no item 'nowhere'.*no condition 'triio': did you mean 'trio'"):
        run(tmp_path, provider.url, items=("nowhere",), conditions=("triio",))
    assert provider.stats().requests == 0
    assert not (tmp_path / "out").exists()


def test_an_estimate_of_a_part_is_of_the_part(tmp_path: Path) -> None:
    ready = prepared(tmp_path, "http://127.0.0.1:9/v1", sample_size=10)
    part = narrowed(ready, [ready.items[0].id], ["single"])
    assert part.estimate().calls == 1
    assert narrowed(ready) is ready
