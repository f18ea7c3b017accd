"""The guide's first experiment on real questions with real models' answers, over real HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from crucible_ray import RunResult, api
from crucible_ray.reduction import Analysis
from examples.mmlu_stem_recorded.run import (
    ALONE,
    VOTERS,
    Recorded,
    counted_directly,
    play,
    read_recorded,
    report,
)

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".." / "shared" / "data"
SCRIPT = ROOT / "examples" / "mmlu_stem_recorded" / "run.py"
needs_data = pytest.mark.skipif(
    not (DATA / "recorded" / "mmlu_helm10.jsonl").is_file() or not (DATA / "mmlu").is_dir(),
    reason="needs ../shared/data/mmlu and ../shared/data/recorded/mmlu_helm10.jsonl",
)
pytestmark = needs_data


@pytest.fixture(scope="module")
def recorded() -> list[Recorded]:
    return read_recorded(DATA)


@pytest.fixture(scope="module")
def whole_run(recorded: list[Recorded], tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return play(recorded, tmp_path_factory.mktemp("mmlu"), runtime="in-process", port=0)


def check_findings(results: Path) -> None:
    """What the recordings are known to say, read off `analysis.json`."""
    analysis = msgspec.json.decode((results / "analysis.json").read_bytes())
    accuracy = {name: condition["accuracy"]["value"] for name, condition in analysis["conditions"].items()}
    assert accuracy["single_model"] == pytest.approx(0.7803, abs=5e-5)
    assert accuracy["ensemble_3model"] == pytest.approx(0.7982, abs=5e-5)
    assert [hypothesis["verdict"] for hypothesis in analysis["hypotheses"]] == ["supported", "refuted"]
    difference = analysis["comparisons"][0]
    assert difference["test"] == "mcnemar_score"
    assert [difference[name] for name in ("estimate", "ci_low", "ci_high")] == pytest.approx(
        [0.0178, 0.0065, 0.0293], abs=5e-5
    )
    assert difference["p_value"] == pytest.approx(0.0021, abs=5e-5)
    needed = analysis["hypotheses"][1]["needed"]
    assert (needed["effect"], needed["power"]) == (0.08, 0.8)
    assert (needed["discordant"][:2], needed["items"][:2]) == ([0.1, 0.16], [817, 1340])
    assert analysis["conditions"]["ensemble_3model"]["best_member"] == "anthropic/claude-3-opus-20240229"


def test_every_stem_question_with_recorded_answers_is_asked_and_the_rest_is_left_out(
    recorded: list[Recorded],
) -> None:
    direct = counted_directly(recorded)
    assert len(recorded) == 3141
    assert direct[ALONE] == pytest.approx(0.7803, abs=5e-5)
    assert direct["majority"] == pytest.approx(0.7982, abs=5e-5)


def test_a_few_questions_over_http_come_to_what_plain_counting_says(
    recorded: list[Recorded], tmp_path: Path
) -> None:
    few = recorded[::20]
    analysis = play(few, tmp_path, runtime="in-process", port=0).analysis
    assert _accuracies(analysis) == pytest.approx(counted_directly(few), abs=1e-12)


@pytest.mark.slow
def test_all_questions_in_process_come_to_the_known_accuracies_interval_and_verdicts(
    recorded: list[Recorded], whole_run: RunResult
) -> None:
    assert (whole_run.status, whole_run.completed, whole_run.failed) == ("complete", 6282, 0)
    assert _accuracies(whole_run.analysis) == pytest.approx(counted_directly(recorded), abs=1e-12)
    check_findings(whole_run.results_dir)
    shown = "\n".join(report(whole_run, counted_directly(recorded)))
    assert "anthropic/claude-3-opus-20240229    0.8007    0.8007   the best single one" in shown


@pytest.mark.slow
@pytest.mark.parametrize("clients", [1, 4])
def test_the_whole_run_replays_to_the_same_bytes(whole_run: RunResult, clients: int) -> None:
    again = api.reproduce(whole_run.results_dir, clients=clients)
    assert (again.trials, again.identical) == (6282, {"results.csv": True, "analysis.json": True})


@pytest.mark.slow
@pytest.mark.ray
def test_the_command_on_ray_finds_the_same_answers_and_replays_to_the_same_bytes(
    whole_run: RunResult, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--data", str(DATA), "--work", str(tmp_path), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
    )
    assert done.returncode == 0, done.stderr
    assert "replayed from its own record: the same bytes" in done.stdout
    (folder,) = (tmp_path / "results").iterdir()
    check_findings(folder)
    columns = ["trial", "condition", "item_id", "prediction", "expected", "correct", "votes", "error"]
    on_ray, in_process = (
        pd.read_csv(each / "results.csv")[columns] for each in (folder, whole_run.results_dir)
    )
    pd.testing.assert_frame_equal(on_ray, in_process)


def _accuracies(analysis: Analysis) -> dict[str, float | None]:
    """By voter, each by its own votes, and of their majority."""
    ensemble = analysis.conditions["ensemble_3model"]
    single = analysis.conditions["single_model"].metrics["accuracy"].value
    assert ensemble.members[ALONE].accuracy.value == single
    found = {name: ensemble.members[name].accuracy.value for name in VOTERS}
    return {**found, "majority": ensemble.metrics["accuracy"].value}
