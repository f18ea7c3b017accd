"""The rule over many experiments at once says, field by field, what the shipped decision says of each."""

from __future__ import annotations

import numpy as np
import pytest

from crucible_ray.stats.decision import FEW_DIFFERING, paired_difference
from crucible_ray.stats.tally import decisions

Tables = list[tuple[np.ndarray[tuple[int, ...], np.dtype[np.float64]], ...]]


def _experiments(repeats: int, rng: np.random.Generator) -> Tables:
    """Tables of one number of items: difficulties, baselines and differences of many kinds."""
    items = int(rng.choice([2, 5, 10, 20, 30, 60, 150]))
    found: Tables = []
    for _ in range(25):
        p, size = rng.uniform(0.3, 0.98), rng.choice([1.0, 8.0, 30.0])
        chance = rng.beta(size * p, size * (1 - p), (items, 1))
        frozen = rng.random() < 0.5
        control = rng.random((items, 1 if frozen else repeats)) < chance
        better = np.clip(chance + rng.choice([0.0, 0.05, 0.3]), 0, 1)
        treatment = rng.random((items, repeats)) < better
        found.append((np.broadcast_to(control, treatment.shape).astype(float), treatment.astype(float)))
    return found


@pytest.mark.parametrize("repeats", [1, 2, 3, 10])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_every_field_is_that_of_the_shipped_decision(repeats: int, alpha: float) -> None:
    rng = np.random.default_rng([repeats, int(100 * alpha)])
    rules = set()
    for _ in range(20):
        tables = _experiments(repeats, rng)
        gained = np.array([treatment.sum(axis=1) - control.sum(axis=1) for control, treatment in tables])
        steps = np.arange(-repeats, repeats + 1)
        said = decisions((gained[:, :, None] == steps).sum(axis=1), alpha=alpha)
        for row, table in enumerate(tables):
            one = paired_difference(*table, alpha=alpha)
            rules.add(one.result.test)
            assert one.result.p_value is not None
            assert said.p_value[row] == pytest.approx(one.result.p_value, rel=1e-9, abs=1e-300)
            assert (said.low[row], said.high[row]) == pytest.approx(
                (one.result.ci_low, one.result.ci_high), abs=1e-12
            )
            assert said.decidable[row] == one.decidable
            assert said.rejects[row] == (one.decidable and one.result.p_value < alpha)
            assert one.differing < FEW_DIFFERING or one.decidable
    assert rules == {"mcnemar_score"} if repeats == 1 else len(rules) == 3


@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.01, 0.001])
@pytest.mark.parametrize("repeats", [1, 3])
def test_p_interval_and_verdict_never_disagree(repeats: int, alpha: float) -> None:
    rng = np.random.default_rng(7)
    chances = rng.dirichlet(np.full(2 * repeats + 1, 0.5), 4_000)
    tallies = np.array([rng.multinomial(40, chance) for chance in chances])
    said = decisions(tallies, alpha=alpha)
    beside_zero = (said.low > 0) | (said.high < 0)
    assert 0.2 < beside_zero.mean() < 0.9
    assert (said.rejects == beside_zero).all()
    assert (said.rejects == (said.p_value < alpha)).all()
