"""The recorded answers of real models to MMLU's STEM questions, reduced as a run's rows would be."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from crucible_ray.reduction import reduce
from tests.reduction.rows import batches, condition, hypothesis, model, plan, row
from tests.stats.test_decision import RECORDED, STEM, VOTERS


def _answers(recorded: Path) -> list[tuple[str, list[str]]]:
    """(expected, answers in the voters' order) of every STEM item."""
    items = (json.loads(line) for line in recorded.read_text().splitlines())
    return [
        (item["answer"], [item["preds"][voter] for voter in VOTERS])
        for item in items
        if item["subject"] in STEM and all(voter in item["preds"] for voter in VOTERS)
    ]


def test_recorded_mmlu_runs_to_the_known_accuracies_verdicts_and_best_member() -> None:
    if not RECORDED.exists():
        pytest.skip(f"the recorded answers are not at {RECORDED}")
    answers = _answers(RECORDED)
    rows = []
    for item, (expected, votes) in enumerate(answers):
        counts = Counter(votes)
        winner = max(votes, key=counts.__getitem__)  # the first of the most frequent
        calls = [{"call": i, "outcome": "ok", "text": vote} for i, vote in enumerate(votes)]
        rows.append(row(2 * item, int(votes[1] == expected), calls=calls[1:2]))
        rows.append(row(2 * item + 1, int(winner == expected), calls=calls))
    asked = plan(
        len(answers),
        conditions=(
            condition("single", [model("gpt4o")]),
            condition("ensemble", [model("gemini"), model("gpt4o"), model("opus")]),
        ),
        hypotheses=(hypothesis("better"), hypothesis("at least 5 points better", margin=0.05)),
    )
    analysis = reduce(
        asked, batches(rows, 1000), member_score=lambda _c, _m, item, text, _r: int(text == answers[item][0])
    )
    single, ensemble = (analysis.conditions[name] for name in ("single", "ensemble"))
    assert len(answers) == 3141
    assert single.metrics["accuracy"].value == pytest.approx(0.7803, abs=5e-5)
    assert ensemble.metrics["accuracy"].value == pytest.approx(0.7982, abs=5e-5)
    assert [result.verdict for result in analysis.hypotheses] == ["supported", "refuted"]
    assert ensemble.members["gpt4o"].accuracy == single.metrics["accuracy"]
    assert ensemble.best_member == max(
        ensemble.members, key=lambda name: ensemble.members[name].accuracy.value or 0.0
    )
    comparison = analysis.comparisons[0]
    assert [comparison.estimate, comparison.ci_low, comparison.ci_high] == pytest.approx(
        [0.018, 0.0065, 0.0293], abs=5e-4
    )
    assert comparison.p_value == pytest.approx(0.0021, abs=5e-5)
