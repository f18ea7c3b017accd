"""The ten experiments of the guide: those that this version runs, offline and to the end; the others, refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crucible_ray import api
from crucible_ray.errors import UsageError
from crucible_ray.experiment.adjusting import override
from crucible_ray.experiment.loading import load_experiment

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

RUN = {
    "prompt_ab_test.py": 2,
    "model_comparison.py": 3,
    "ensemble_size.py": 4,
    "cost_accuracy.py": 4,
    "temperature.py": 4,
    "ask_twice.py": 2,
}
"""By file: its conditions."""

WAIT = {
    "hedging_latency.py": "Hedge",
    "voting_strategies.py": "weighted",
    "execution_strategies.py": "sequential",
    "support_tickets.py": "LatencyBudget",
}
"""By file: what it waits for."""


@pytest.mark.parametrize("name", RUN)
def test_an_example_of_the_guide_runs_offline_and_replays_to_the_same_bytes(
    name: str, tmp_path: Path
) -> None:
    few = load_experiment(str(EXAMPLES / name), {"sample_size": "6", "repeat": "2"})
    result = api.run(few, simulate=True, runtime="in-process", output_dir=tmp_path)
    assert (result.status, result.completed, result.failed) == ("complete", 12 * RUN[name], 0)
    assert api.reproduce(result.results_dir).same


def test_one_model_on_two_datasets_is_reported_apart(tmp_path: Path) -> None:
    loaded = load_experiment(str(EXAMPLES / "dataset_comparison.py"))
    few = replace(loaded, experiment=override(loaded.experiment, sample_size=6, repeat=2))
    result = api.run(few, simulate=True, runtime="in-process", output_dir=tmp_path)
    assert (result.status, result.completed, result.failed) == ("complete", 24, 0)
    report = (result.results_dir / "report.md").read_text()
    assert "science" in report
    assert "word_problems" in report


def test_our_own_analysis_stands_in_the_results(tmp_path: Path) -> None:
    few = load_experiment(str(EXAMPLES / "cost_accuracy.py"), {"sample_size": "20", "repeat": "1"})
    result = api.run(few, simulate=True, runtime="in-process", output_dir=tmp_path)
    accuracy, cost = result["cheap_single"].accuracy.value, result["cheap_single"].cost_per_query.value
    assert accuracy is not None
    assert cost is not None
    custom = result.analysis.custom
    assert custom["cheap_single"]["right_per_dollar"] == pytest.approx(accuracy / cost)


@pytest.mark.parametrize(("name", "what"), WAIT.items())
def test_an_example_that_waits_for_a_later_version_says_for_what(name: str, what: str) -> None:
    with pytest.raises(UsageError, match=f"{what}.* not supported by this version"):
        api.prepare(load_experiment(str(EXAMPLES / name)), simulate=True)
