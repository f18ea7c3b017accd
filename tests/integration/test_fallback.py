"""`fallback`: who is asked where a call fails for good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from msgspec import UNSET

from crucible_ray import api
from crucible_ray.errors import RefusedKey, SpecError
from crucible_ray.experiment.spec import Ensemble, Experiment, Model
from crucible_ray.experiment.validation import problems_of
from tests.conftest import Simulate
from tests.integration.lab import AT_ONCE, prepared, rows_of


def run(folder: Path, simulate: Simulate, *conditions: Any, fault: str = "500") -> api.RunResult:
    """`small` always fails, the others answer."""
    down, up = simulate(models=AT_ONCE, faults={fault: 1.0}), simulate(models=AT_ONCE)
    urls = {"small": down.url, "medium": up.url, "large": up.url}
    ready = prepared(
        folder, urls, conditions=list(conditions), sample_size=5, max_retries=1, repeat=1, hypotheses=[]
    )
    return api.run(ready, runtime="in-process", output_dir=folder / "out")


def test_a_call_that_fails_for_good_is_asked_of_the_fallback(tmp_path: Path, simulate: Simulate) -> None:
    single = Model("small", name="single", fallback="large")
    trio = Ensemble(["medium", Model("small", fallback=["small", "large"]), "large"], name="trio", quorum=3)
    result = run(tmp_path, simulate, single, trio)
    assert (result.status, result.completed, result.failed) == ("complete", 10, 0)
    rows = {
        name: [row for row in rows_of(result.results_dir) if row["condition"] == name]
        for name in ("single", "trio")
    }
    assert {(row["calls"], row["retries"]) for row in rows["single"]} == {("3", "1")}
    assert {(row["calls"], row["retries"]) for row in rows["trio"]} == {("7", "2")}
    calls = pq.read_table(result.results_dir / "calls.parquet").to_pylist()
    asked = [
        (call["call"], call["model"], call["outcome"]) for call in calls if call["condition"] == "single"
    ]
    assert asked[:3] == [(0, "small", "server_error"), (0, "small", "server_error"), (1, "large", "ok")]
    assert api.reproduce(result.results_dir).same


def test_a_refused_model_is_asked_of_the_fallback_and_a_refused_key_stops_the_run(
    tmp_path: Path, simulate: Simulate
) -> None:
    result = run(tmp_path, simulate, Model("small", fallback="large"), fault="refuse-param")
    assert result.failed == 0
    (tmp_path / "other").mkdir()
    with pytest.raises(RefusedKey):
        run(tmp_path / "other", simulate, Model("small", fallback="large"), fault="refuse-key")


@pytest.mark.parametrize(("fault", "tries"), [("500", 2), ("refuse-param", 1)])
def test_a_function_may_name_a_fallback(tmp_path: Path, simulate: Simulate, fault: str, tries: int) -> None:
    async def asks(item: Any, call: Any) -> Any:
        return await call.model(Model("small", fallback="large"), "?")

    result = run(tmp_path, simulate, asks, fault=fault)
    assert result.failed == 0
    assert {(row["calls"], row["retries"]) for row in rows_of(result.results_dir)} == {
        (str(tries + 1), str(tries - 1))
    }
    assert api.reproduce(result.results_dir).same


def test_a_fallback_changes_the_experiment_and_is_checked_like_any_model(tmp_path: Path) -> None:
    plain = prepared(tmp_path, "http://127.0.0.1:9", conditions=[Model("small")], hypotheses=[])
    spared = prepared(
        tmp_path, "http://127.0.0.1:9", conditions=[Model("small", fallback="large")], hypotheses=[]
    )
    assert plain.plan.experiment_id != spared.plan.experiment_id
    with pytest.raises(SpecError, match="no model 'larg'"):
        prepared(tmp_path, "http://127.0.0.1:9", conditions=[Model("small", fallback="larg")], hypotheses=[])
    wrong = Experiment(name="x", conditions=[Model("a", fallback=Model("b", parse="text", temperature=-1.0))])
    found = "\n".join(problems_of(wrong))
    assert "fallback: parse: a fallback is asked and read as the model that it stands in for" in found
    assert "fallback: temperature = -1.0" in found


def test_the_report_counts_the_trials_that_a_fallback_answered(tmp_path: Path, simulate: Simulate) -> None:
    single = Model("small", name="single", fallback="large")
    trio = Ensemble(["medium", Model("small", fallback="large"), "large"], name="trio")
    unused = Model("large", name="unused", fallback="medium")
    result = run(tmp_path, simulate, single, trio, unused, Model("medium", name="plain"))
    counts = {name: each.completeness.by_fallback for name, each in result.analysis.conditions.items()}
    assert counts == {"single": 5, "trio": 5, "unused": 0, "plain": UNSET}
    report = (result.results_dir / "report.md").read_text()
    assert "single: 5 of 5 answered trials have a reply of a fallback" in report
    assert "unused: 0" not in report
    assert api.reproduce(result.results_dir).same


@pytest.mark.parametrize(
    ("member", "what"), [(Ensemble(["a", "b"]), "Ensemble"), (lambda item, call: "", "a function")]
)
def test_a_member_that_is_no_model_is_refused_by_name(member: Any, what: str) -> None:
    found = "\n".join(problems_of(Experiment(name="x", conditions=[Ensemble([member, "a"])])))
    assert f"members[0]: {what} is not supported by this version as a member: name a model" in found
