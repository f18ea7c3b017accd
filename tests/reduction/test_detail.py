"""What stands beside the metrics: spread, topics, agreement, and what right answers cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crucible_ray.records import Item
from crucible_ray.reduction import Analysis, decode, encode, reduce
from tests.reduction.rows import batches, plan, row


def analysed(outcomes: list[tuple[int, int]], *, items: tuple[Item, ...] = (), **second: Any) -> Analysis:
    """A single model and an ensemble; `second` changes the ensemble's rows."""
    rows = [
        row(2 * item + k, correct, **(second if k else {}))
        for item, pair in enumerate(outcomes)
        for k, correct in enumerate(pair)
    ]
    return reduce(plan(len(outcomes)), batches(rows), items=items)


LEAD = [(0, 1)] * 24 + [(1, 0)] * 4 + [(1, 1)] * 60 + [(0, 0)] * 12


def test_values_spread_as_numpy_says() -> None:
    rng = np.random.default_rng(3)
    latencies = rng.integers(1_000, 9_000_000, 50).tolist()
    rows = [row(2 * k, int(k % 3 == 0), latency_us=latencies[k]) for k in range(50)]
    found = reduce(plan(50), batches(rows)).conditions["single"].spread["latency_ms"]
    ms = np.array(latencies) / 1000
    assert (found.n, found.minimum, found.maximum) == (50, ms.min(), ms.max())
    assert (found.mean, found.sd) == pytest.approx((ms.mean(), ms.std(ddof=1)))
    assert (found.p50, found.p95, found.p99) == pytest.approx(tuple(np.quantile(ms, [0.5, 0.95, 0.99])))


def test_failed_trials_are_in_no_spread_and_a_single_one_has_no_deviation() -> None:
    found = reduce(plan(2), batches([row(0), row(2, error="timeout")])).conditions["single"].spread
    assert {name: each.n for name, each in found.items()} == {"accuracy": 1, "latency_ms": 1, "cost_usd": 1}
    assert found["accuracy"].sd is None


def test_topics_count_right_answers_by_the_items_topic() -> None:
    items = tuple(Item(id=str(k), input="q", topic=("physics", "biology", None)[k % 3]) for k in range(100))
    topics = analysed(LEAD, items=items).conditions["single"].topics
    right = sum(LEAD[k][0] for k in range(0, 100, 3))
    assert list(topics) == ["biology", "physics"]
    assert (topics["physics"].right, topics["physics"].answered) == (right, 34)


def test_many_topics_are_put_together_behind_the_largest() -> None:
    items = tuple(Item(id=str(k), input="q", topic=f"t{k // 2}") for k in range(100))
    topics = analysed(LEAD, items=items).conditions["ensemble"].topics
    assert len(topics) == 41
    assert sum(share.answered for share in topics.values()) == 100


def test_agreement_is_counted_by_level_with_its_accuracy() -> None:
    rows = [row(2 * k + 1, int(k < 6), consensus=1.0 if k < 8 else 2 / 3) for k in range(10)]
    levels = reduce(plan(10), batches(rows)).conditions["ensemble"].levels
    assert [(level.consensus, level.n, level.accuracy) for level in levels] == [
        (1.0, 8, 0.75),
        (pytest.approx(2 / 3, abs=1e-4), 2, 0.0),
    ]


@pytest.mark.parametrize(
    ("outcomes", "cost", "price", "reason"),
    [
        (LEAD, 0.003, 0.01, None),
        (LEAD, 0.001, None, "it costs no more"),
        (LEAD, None, None, "a price is unknown"),
        ([(b, a) for a, b in LEAD], 0.003, None, "it is right less often"),
        (
            [(0, 1), (1, 0), (1, 1)] * 20,
            0.003,
            None,
            "the interval of the difference in accuracy holds zero",
        ),
    ],
)
def test_an_extra_right_answer_has_a_price_only_where_the_interval_allows_one(
    outcomes: list[tuple[int, int]], cost: float | None, price: float | None, reason: str | None
) -> None:
    (value,) = analysed(outcomes, cost_usd=cost).values
    assert (value.condition, value.baseline, value.reason) == ("ensemble", "single", reason)
    assert value.usd_per_extra_correct == (None if price is None else pytest.approx(price))


def test_details_survive_the_way_through_the_file() -> None:
    items = tuple(Item(id=str(k), input="q", topic="ab"[k % 2]) for k in range(100))
    written = encode(analysed(LEAD, items=items, consensus=0.75))
    assert decode(written).conditions == decode(encode(decode(written))).conditions
    assert decode(written).conditions["single"].topics["a"].answered == 50
    assert decode(written).values[0].condition == "ensemble"
