"""`stop_when` over real HTTP: the run ends when it is decided, says so, and goes on only when asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from crucible_ray import api, datasets
from crucible_ray.api import Note, Progress
from crucible_ray.errors import StorageFailed
from crucible_ray.experiment.own import metric
from crucible_ray.experiment.spec import Budget, Looks, Model
from crucible_ray.journal.log import Journal
from crucible_ray.simulator import SimulatedModel, SimulatorProcess
from tests.conftest import Simulate
from tests.integration.lab import prepared, rows_of

APART = (
    SimulatedModel(name="small", accuracy=0.1, latency_s=0.04),
    SimulatedModel(name="large", accuracy=0.95, latency_s=0.04),
)
TWO = {
    "conditions": [Model("small", name="single"), Model("large", name="trio")],
    "stop_when": "decided",
    "max_tokens": 16,
}


def started(folder: Path, simulate: Simulate) -> SimulatorProcess:
    """A provider whose models know the questions, and one of them the answers."""
    path = folder / "known.jsonl"
    path.write_bytes(msgspec.json.Encoder().encode_lines(datasets.load("demo").items))
    return simulate(models=APART, items=path)


@metric(kind="proportion")
def right(reply: Any, item: Any) -> float:
    return float(reply.prediction == item.expected)


def test_a_run_ends_when_its_hypothesis_is_decided_and_goes_on_only_when_asked(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = started(tmp_path, simulate)
    ready = prepared(tmp_path, provider.url, sample_size=80, repeat=2, **TWO)
    seen: list[Progress] = []
    notes: list[Note] = []
    run: dict[str, Any] = {"runtime": "in-process", "output_dir": tmp_path / "out"}
    first = api.run(ready, **run, max_concurrent_queries=4, on_progress=seen.append, on_note=notes.append)
    asked = provider.stats().requests
    assert (first.status, first.failed) == ("stopped", 0)
    assert 0 < first.pending < first.planned
    assert len(rows_of(first.results_dir)) == first.completed == asked
    (told,) = first.analysis.hypotheses
    assert told.verdict == "supported"
    assert isinstance(told.decided_at, int)
    assert told.decided_at < 40
    assert (seen[-1].hypotheses, seen[-1].decided) == (1, 1)
    assert [note.facts["decided_at"] for note in notes if note.name == "decided"] == [told.decided_at]
    report = (first.results_dir / "report.md").read_text()
    assert f"every hypothesis was decided after {told.decided_at} of 80 items" in report
    assert "fixed-sample test" in report
    again = api.resume(first.results_dir, runtime="in-process")
    assert (again.status, again.pending) == ("stopped", first.pending)
    assert provider.stats().requests == asked
    assert api.reproduce(first.results_dir).same
    whole = api.resume(first.results_dir, runtime="in-process", beyond_stop=True)
    assert (whole.status, whole.pending) == ("complete", 0)
    assert whole.analysis.hypotheses[0].decided_at == told.decided_at
    assert provider.stats().requests == first.planned
    assert api.reproduce(first.results_dir).same


def test_retry_of_a_stopped_run_asks_what_failed_and_nothing_that_was_left_out(
    tmp_path: Path, simulate: Simulate
) -> None:
    path = tmp_path / "known.jsonl"
    path.write_bytes(msgspec.json.Encoder().encode_lines(datasets.load("demo").items))
    provider = simulate(models=APART, items=path, faults={"500": 0.3})
    ready = prepared(tmp_path, provider.url, sample_size=80, repeat=2, **(TWO | {"max_retries": 0}))
    first = api.run(ready, runtime="in-process", output_dir=tmp_path / "out", max_concurrent_queries=4)
    assert first.status == "stopped"
    assert first.failed
    asked = provider.stats().requests
    again = api.retry(first.results_dir, runtime="in-process")
    assert provider.stats().requests - asked == first.failed
    assert (again.status, again.pending) == ("stopped", first.pending)
    whole = api.resume(first.results_dir, runtime="in-process", beyond_stop=True)
    assert (whole.status, whole.pending) == ("complete", 0)
    assert api.retry(first.results_dir, runtime="in-process").status == "complete"


def test_a_run_that_broke_between_its_decision_and_its_end_has_stopped_once_it_is_resumed(
    tmp_path: Path, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> int:
        raise StorageFailed("the log", "no space left")

    provider = started(tmp_path, simulate)
    ready = prepared(tmp_path, provider.url, sample_size=80, **TWO)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append_stop", broken)
        with pytest.raises(StorageFailed):
            api.run(ready, runtime="in-process", output_dir=tmp_path / "out", max_concurrent_queries=4)
    (folder,) = (tmp_path / "out").iterdir()
    asked = provider.stats().requests
    assert api.observe(folder).status == "broken"
    assert api.resume(folder, runtime="in-process").status == "stopped"
    assert api.observe(folder).status == "stopped"
    assert provider.stats().requests == asked


def test_without_its_rule_the_same_experiment_goes_on(tmp_path: Path, simulate: Simulate) -> None:
    provider = started(tmp_path, simulate)
    run: dict[str, Any] = {"runtime": "in-process", "output_dir": tmp_path / "out"}
    first = api.run(prepared(tmp_path, provider.url, sample_size=60, **TWO), **run)
    plain = prepared(tmp_path, provider.url, sample_size=60, **(TWO | {"stop_when": None}))
    whole = api.run(plain, **run)
    assert whole.experiment_id == first.experiment_id
    assert (whole.status, whole.pending) == ("complete", 0)
    assert provider.stats().requests == whole.planned
    assert whole.analysis.sequential is UNSET


@pytest.mark.parametrize("rule", ["decided", Looks(4)])
def test_a_proportion_of_ones_own_can_stop_a_run_too(
    tmp_path: Path, simulate: Simulate, rule: str | Looks
) -> None:
    provider = started(tmp_path, simulate)
    ready = prepared(
        tmp_path,
        provider.url,
        sample_size=80,
        **(TWO | {"stop_when": rule, "metrics": ["accuracy", right], "hypotheses": ["right: trio > single"]}),
    )
    result = api.run(ready, runtime="in-process", output_dir=tmp_path / "out", max_concurrent_queries=4)
    assert result.status == "stopped"
    assert result.analysis.hypotheses[0].verdict == "supported"
    assert result.analysis.sequential is not UNSET
    assert result.analysis.sequential.looks == ((20, 40, 60, 80) if isinstance(rule, Looks) else ())


def test_a_budget_and_a_rule_end_a_run_whichever_comes_first(tmp_path: Path, simulate: Simulate) -> None:
    provider = started(tmp_path, simulate)
    ready = prepared(tmp_path, provider.url, sample_size=80, **TWO)
    budget = Budget(max_total=2 * sum(ready.bounds_usd()), abort_on_exceed=True)
    little = prepared(tmp_path, provider.url, sample_size=80, budget=budget, **TWO)
    poor = api.run(little, runtime="in-process", output_dir=tmp_path / "out")
    assert poor.status == "budget"
    assert poor.analysis.hypotheses[0].verdict == "not_decided"
    rich = api.resume(poor.results_dir, runtime="in-process", max_cost=1e6, max_concurrent_queries=4)
    assert rich.status == "stopped"
    assert rich.analysis.hypotheses[0].verdict == "supported"


def test_a_blind_run_tells_names_when_it_is_decided(tmp_path: Path, simulate: Simulate) -> None:
    provider = started(tmp_path, simulate)
    ready = prepared(tmp_path, provider.url, sample_size=80, **TWO, blind=True)
    result = api.run(ready, runtime="in-process", output_dir=tmp_path / "out", max_concurrent_queries=4)
    assert result.status == "stopped"
    assert result.pending
    assert result.analysis.blind is not None
    assert not result.analysis.blind.hidden
    assert result.analysis.hypotheses[0].verdict == "supported"
    assert api.reproduce(result.results_dir).same
