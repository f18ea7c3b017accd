"""The first experiment over the shipped questions, as a file of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from crucible_ray import api
from crucible_ray.experiment.loading import load_experiment

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_both_files_say_the_same() -> None:
    plans = [
        api.prepare(load_experiment(str(EXAMPLES / name)), simulate=True).plan
        for name in ("first_experiment.py", "first_experiment.toml")
    ]
    assert plans[0].trials == 600
    assert plans[0].experiment_id == plans[1].experiment_id
    assert plans[0].hypotheses == plans[1].hypotheses
    assert plans[0].budget == plans[1].budget


@pytest.mark.parametrize("name", ["first_experiment.py", "first_experiment.toml"])
def test_it_runs_offline_and_replays_to_the_same_bytes(name: str, tmp_path: Path) -> None:
    few = load_experiment(str(EXAMPLES / name), {"sample_size": "10", "repeat": "2", "rate_limit": "500"})
    result = api.run(few, simulate=True, runtime="in-process", output_dir=tmp_path)
    assert (result.status, result.completed, result.failed) == ("complete", 40, 0)
    assert [each.text for each in result.analysis.hypotheses] == list(map(str, few.experiment.hypotheses))
    assert api.reproduce(result.results_dir).same
