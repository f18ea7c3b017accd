"""Single questions, out of `results.parquet`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crucible_ray.journal.tables import RESULTS
from crucible_ray.records import Item
from crucible_ray.reduction import reduce
from crucible_ray.reports import Source, page, read_questions, write_html, write_markdown
from tests.reduction.rows import batches, plan, row


def stored(path: Path, outcomes: list[tuple[Any, ...]], repeats: int = 1) -> Path:
    """`outcomes`: by block, what each condition came to: 1, 0, an error, or None for no row."""
    rows = [
        {
            "trial": 2 * block + k,
            "position": 2 * block + k,
            "prediction": {1: "A", 0: "B"}.get(outcome),
            "correct": outcome if outcome in (0, 1) else None,
            "latency_ms": 100.0 + block if outcome in (0, 1) else None,
            "votes": '{"A":2,"B":1}' if k == 1 and outcome in (0, 1) else None,
            "error": outcome if isinstance(outcome, str) else None,
        }
        for block, pair in enumerate(outcomes)
        for k, outcome in enumerate(pair)
        if outcome is not None
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=RESULTS), path / "results.parquet", row_group_size=7)
    return path / "results.parquet"


def test_questions_that_tell_conditions_apart_come_first_and_the_rest_is_counted(tmp_path: Path) -> None:
    path = stored(tmp_path, [(1, 1), (0, 0), (0, 1), (1, 1), (1, 0), ("timeout", 1), (None, None)])
    found = read_questions(path, plan(7), 4)
    assert [question.item for question in found.shown] == [2, 4, 1, 0]
    assert found.total == 6
    assert [each[0].prediction for each in found.shown[0].answers] == ["B", "A"]
    assert found.shown[0].answers[1][0].votes == {"A": 2, "B": 1}


def test_latencies_and_accuracy_over_the_run_are_read_in_the_same_pass(tmp_path: Path) -> None:
    found = read_questions(stored(tmp_path, [(1, 0)] * 41), plan(41))
    assert found.latencies[0] == pytest.approx((102, 110, 120, 130, 138))
    assert set(found.over_time[0]) == {1.0}
    assert set(found.over_time[1]) == {0.0}


def test_the_table_counts_repeats_and_says_how_many_questions_it_leaves_out(tmp_path: Path) -> None:
    path = stored(tmp_path, [(1, 0), (0, 0), (1, "timeout")] + [(1, 1)] * 6, repeats=3)
    asked = plan(3, 3)
    analysis = reduce(asked, batches([row(t) for t in range(18)]))
    items = tuple(Item(id=f"q{k}", input=f"Question {k}?", expected="A", topic="physics") for k in range(3))
    questions = read_questions(path, asked, 1)
    text = write_markdown(page(Source(plan=asked, analysis=analysis, questions=questions, items=items)))
    assert "2 more questions are not shown here" in text
    assert (
        "| `q0` | `physics` | `Question 0?` | `A` | `A \u2713 x2; B \u2717` | `B \u2717 x2; timeout` |"
        in text
    )


def test_questions_stand_last_twenty_in_markdown_and_folded_in_html(tmp_path: Path) -> None:
    asked = plan(30)
    analysis = reduce(asked, batches([row(trial, trial % 2) for trial in range(60)]))
    items = tuple(Item(id=f"q{n}", input=f"Question {n}?", expected="A") for n in range(30))
    questions = read_questions(stored(tmp_path, [(1, 0)] * 30), asked)
    made = page(Source(plan=asked, analysis=analysis, questions=questions, items=items))
    assert made.sections[-1].title == "Question by question"
    text = write_markdown(made)
    assert sum(f"`Question {n}?`" in text for n in range(30)) == 20
    assert "10 more rows of this table stand in report.html." in text
    html = write_html(made)
    assert sum(f"Question {n}?" in html for n in range(30)) == 30
    assert "<details open><summary>Answers to single questions: 30 rows</summary>" in html


def test_a_run_without_rows_has_no_table(tmp_path: Path) -> None:
    found = read_questions(stored(tmp_path, []), plan(3))
    assert (found.shown, found.total, found.latencies) == ((), 0, ((), ()))
