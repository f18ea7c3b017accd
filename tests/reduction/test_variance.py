"""Where variance comes from: planted sources, drift and order are found; identical repeats are said."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from crucible_ray.experiment.grid import order_of
from crucible_ray.experiment.plan import Plan
from crucible_ray.reduction import Analysis, decode, encode, reduce
from crucible_ray.reduction.parts import Trend
from crucible_ray.reports import Source, page, write_html, write_markdown
from tests.reduction.rows import batches, plan, row


def _latencies(asked: Plan, ms: np.ndarray, lost: tuple[int, ...] = ()) -> Analysis:
    """ms: by trial."""
    rows = [
        row(t, 1, "timeout" if t in lost else None, latency_us=round(1000 * float(value)))
        for t, value in enumerate(ms.ravel())
    ]
    return reduce(asked, batches(rows))


def _plan(repeats: int, **how: Any) -> Plan:
    return plan(80, repeats, metrics=("accuracy", "latency_mean"), **how)


def _positions(asked: Plan) -> tuple[np.ndarray, np.ndarray]:
    """The rank of each trial's block and its place in it, as shares of the run and of the block."""
    positions = order_of(asked).positions_of(np.arange(asked.trials))
    return positions // 2 / (asked.trials / 2 - 1), positions % 2


def _found(trend: Trend | None) -> tuple[float, float]:
    assert trend is not None
    assert trend.estimate is not None
    assert trend.p_value is not None
    return trend.estimate, trend.p_value


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_planted_drift_is_found_and_an_order_that_does_nothing_is_not(repeats: int) -> None:
    asked, rng = _plan(repeats), np.random.default_rng(1)
    rank, _ = _positions(asked)
    items = np.repeat(rng.normal(0, 20, 80), 2 * repeats)
    found = _latencies(asked, 900 + items + 100 * rank + rng.normal(0, 10, asked.trials)).variance[
        "latency_mean"
    ]
    change, p_value = _found(found.drift)
    assert change == pytest.approx(100, abs=25)
    assert p_value < 0.001
    assert found.drift is not None
    assert found.drift.share > 0.3
    assert _found(found.order)[1] > 0.05


def test_a_planted_order_within_blocks_is_found() -> None:
    asked, rng = _plan(2), np.random.default_rng(2)
    _, place = _positions(asked)
    found = _latencies(asked, 900 + 50 * place + rng.normal(0, 20, asked.trials)).variance["latency_mean"]
    change, p_value = _found(found.order)
    assert change == pytest.approx(50, abs=8)
    assert p_value < 0.001
    assert _found(found.drift)[1] > 0.01


def test_an_order_that_was_not_drawn_cannot_be_told_from_the_condition() -> None:
    asked, rng = _plan(2, randomize=False), np.random.default_rng(3)
    analysis = _latencies(asked, rng.normal(900, 20, asked.trials))
    assert analysis.variance["latency_mean"].order == Trend(
        estimate=None, ci_low=None, ci_high=None, p_value=None, share=0.0
    )
    report = write_markdown(page(Source(plan=asked, analysis=analysis)))
    assert "The order was not randomised" in report


def test_only_complete_items_are_split_and_counted() -> None:
    asked, rng = _plan(2), np.random.default_rng(4)
    found = _latencies(asked, rng.normal(900, 20, asked.trials), lost=(0, 5, 9)).variance["latency_mean"]
    assert (found.items, found.of) == (77, 80)
    assert sum(found.share.values()) == pytest.approx(1.0)
    assert found.share["resamples"] > 0.8


def test_identical_repeats_carry_the_information_of_one_and_the_best_split_is_more_items() -> None:
    rng = np.random.default_rng(5)
    correct = np.repeat((rng.random((80, 1, 2)) < 0.7).astype(int), 3, axis=1)
    correct[:, :, 1] = rng.random((80, 3)) < 0.8
    asked = plan(80, 3, metrics=("accuracy",))
    analysis = reduce(asked, batches([row(t, int(v)) for t, v in enumerate(correct.ravel())]))
    found = analysis.variance["accuracy"]
    assert found.alike["single"].identical
    assert not found.alike["ensemble"].identical
    best = min(found.splits[0].options, key=lambda each: each.se)
    assert (best.repeats, best.items) == (1, 240)
    made = page(Source(plan=asked, analysis=analysis))
    for report in (write_markdown(made), write_html(made)):
        assert "accuracy of single: 3 repeats carry the information of 1" in report
        assert "Best: 1 repeat of 240 items" in report
        assert "Order and drift" in report


def test_one_repeat_says_that_resamples_cannot_be_told_apart() -> None:
    rng = np.random.default_rng(6)
    asked = _plan(1)
    analysis = _latencies(asked, rng.normal(900, 20, asked.trials))
    found = analysis.variance["latency_mean"]
    assert "resamples" not in found.share
    assert (found.alike, found.splits) == ({}, ())
    assert "Two repeats would show it" in write_markdown(page(Source(plan=asked, analysis=analysis)))


def test_variance_is_in_analysis_json_and_comes_back() -> None:
    rng = np.random.default_rng(7)
    asked = _plan(2)
    analysis = _latencies(asked, rng.normal(900, 20, asked.trials))
    tree = json.loads(encode(analysis))
    assert set(tree["variance"]["latency_mean"]["share"]) == {
        "items", "conditions", "items_x_conditions", "resamples",
    }  # fmt: skip
    assert decode(encode(analysis)).variance.keys() == {"accuracy", "latency_mean"}
