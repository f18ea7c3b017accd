"""Missing data: what was lost, whether by chance, and what it could have said."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from crucible_ray.records import Item
from crucible_ray.reduction import Analysis, decode, encode, reduce
from crucible_ray.reports import Source, page, write_html, write_markdown
from tests.reduction.rows import batches, condition, model, plan, row


def _items(difficulty: np.ndarray | None = None, count: int = 100) -> tuple[Item, ...]:
    return tuple(
        Item(id=str(i), input="q", difficulty=None if difficulty is None else float(difficulty[i]))
        for i in range(count)
    )


def _run(lost: set[int], *, items: tuple[Item, ...] = (), third: bool = False, **how: Any) -> Analysis:
    """100 items, single right on the first 60, ensemble on the first 70; `lost`: trials that timed out."""
    names = ("single", "ensemble", "other")[: 3 if third else 2]
    made = tuple(condition(name, [model(f"m{k}")]) for k, name in enumerate(names))
    rows = [
        row(len(made) * i + k, int(i < 60 + 10 * k), "timeout" if len(made) * i + k in lost else None)
        for i in range(100)
        for k in range(len(made))
    ]
    return reduce(plan(100, metrics=("accuracy",), conditions=made, **how), batches(rows), items=items)


def test_a_complete_run_has_no_missing_data_and_says_so() -> None:
    analysis = _run(set())
    assert analysis.missing is None
    report = write_markdown(page(Source(plan=plan(100, metrics=("accuracy",)), analysis=analysis)))
    assert "## Missing data\n\nEvery trial that began has an answer" in report


def test_equal_failing_is_tested_exactly_by_item() -> None:
    missing = _run({2 * i + 1 for i in range(9)} | {2 * 50}).missing
    assert missing is not None
    assert missing.lost == {"single": 1, "ensemble": 9}
    assert missing.test == "paired_permutation"
    assert missing.p_value == pytest.approx(stats.binomtest(1, 10).pvalue, rel=1e-12)


def test_three_conditions_are_tested_together_and_pair_by_pair() -> None:
    missing = _run({3 * i + 2 for i in range(12)}, third=True).missing
    assert missing is not None
    assert missing.test == "mean_scores"
    assert missing.p_value == pytest.approx(stats.chi2.sf(24.0, 2), rel=1e-9)
    assert {(each.a, each.b): each.p_value for each in missing.pairs} == {
        ("ensemble", "single"): None,
        ("other", "single"): pytest.approx(2 / 2**12),
    }


def test_the_complete_case_stands_beside_the_bounds() -> None:
    missing = _run({2 * i + 1 for i in range(60, 65)}).missing
    assert missing is not None
    pair = missing.pairs[0]
    assert pair.complete_items == 95
    assert pair.complete_case == pytest.approx(5 / 95)
    assert (pair.worst, pair.best) == pytest.approx((0.05, 0.10))


def test_loss_that_goes_with_the_datasets_difficulty_is_found() -> None:
    difficulty = np.linspace(0, 1, 100)
    hard = _run({2 * i for i in range(88, 100)}, items=_items(difficulty)).missing
    spread = _run({2 * i for i in range(0, 100, 9)}, items=_items(difficulty)).missing
    assert hard is not None
    assert spread is not None
    found, none = hard.difficulty[0], spread.difficulty[0]
    assert (found.condition, found.source, found.items, found.failing) == ("single", "difficulty", 100, 12)
    assert found.difficulty_failed > 0.88
    assert found.p_value == pytest.approx(1e-4)
    assert found.rho is not None
    assert found.rho > 0.5
    assert none.p_value is not None
    assert none.p_value > 0.5


def test_without_a_difficulty_the_other_conditions_answers_tell_it() -> None:
    missing = _run({2 * i for i in range(75, 95)}, items=_items()).missing
    assert missing is not None
    found = missing.difficulty[0]
    assert found.source == "other conditions"
    assert (found.difficulty_failed, found.difficulty_answered) == pytest.approx((1.0, 10 / 80))
    assert found.p_value is not None
    assert found.p_value < 0.001


def test_missing_data_is_in_analysis_json_and_in_both_reports() -> None:
    analysis = _run({2 * i + 1 for i in range(25)})
    tree = json.loads(encode(analysis))
    assert tree["missing"]["lost"] == {"single": 0, "ensemble": 25}
    assert decode(encode(analysis)).missing is not None
    made = page(Source(plan=plan(100, metrics=("accuracy",)), analysis=analysis))
    for report in (write_markdown(made), write_html(made)):
        assert "on complete items" in report
        assert "withheld" in report
        assert "fail equally often" in report


def test_an_analysis_that_was_written_before_is_still_read() -> None:
    tree = json.loads(encode(_run(set())))
    del tree["missing"]
    assert decode(json.dumps(tree).encode()).missing is None
