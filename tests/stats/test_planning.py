"""Power of a paired binary comparison: the measured figures, their inverses, and exact enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln

from crucible_ray.errors import StatsError
from crucible_ray.stats import detectable_effect, power, sample_size
from crucible_ray.stats.paired import tango_limits


def test_clearing_five_points_at_a_true_eight_takes_816_to_1340_items() -> None:
    few = sample_size("paired_binary", effect=0.08, discordant=0.10, margin=0.05)
    many = sample_size("paired_binary", effect=0.08, discordant=0.16, margin=0.05)
    assert (few, many) == pytest.approx((816, 1340), abs=1)


def test_sample_size_and_detectable_effect_are_inverses_of_power() -> None:
    for margin in (0.0, 0.02):
        n = sample_size("paired_binary", effect=0.06, discordant=0.15, margin=margin)
        assert power("paired_binary", n=n, effect=0.06, discordant=0.15, margin=margin) >= 0.8
        assert power("paired_binary", n=n - 1, effect=0.06, discordant=0.15, margin=margin) < 0.8
        effect = detectable_effect("paired_binary", n=n, discordant=0.15, margin=margin)
        assert power("paired_binary", n=n, effect=effect, discordant=0.15, margin=margin) == pytest.approx(
            0.8
        )


def test_power_agrees_with_exact_enumeration_of_tangos_rule() -> None:
    n, effect, discordant = 200, 0.08, 0.14
    up, down = (discordant + effect) / 2, (discordant - effect) / 2
    gains, losses = (grid.ravel() for grid in np.meshgrid(np.arange(n + 1), np.arange(n + 1)))
    inside = gains + losses <= n
    gains, losses = gains[inside], losses[inside]
    rest = n - gains - losses
    log = gammaln(n + 1) - gammaln(gains + 1) - gammaln(losses + 1) - gammaln(rest + 1)
    weight = np.exp(log + gains * np.log(up) + losses * np.log(down) + rest * np.log(1 - discordant))
    low, _ = tango_limits(gains, losses, np.full(gains.shape, n))
    exact = weight[low > 0].sum()
    assert power("paired_binary", n=n, effect=effect, discordant=discordant) == pytest.approx(exact, abs=0.02)


def test_repeats_count_only_as_far_as_answers_vary_within_an_item() -> None:
    def at(repeats: int, **how: float) -> float:
        return power("paired_binary", n=100, effect=0.05, discordant=0.15, repeats=repeats, **how)

    assert at(3) == at(1)
    assert at(3, icc=0.5, rho=0.8) > at(1, icc=0.5, rho=0.8)
    assert at(1, icc=0.5, rho=0.8) == at(1)
    assert at(3, icc=1.0, rho=0.8) == pytest.approx(at(1))


def test_impossible_designs_are_refused() -> None:
    with pytest.raises(StatsError, match="impossible"):
        power("paired_binary", n=100, effect=0.2, discordant=0.1)
    with pytest.raises(StatsError, match="never clears"):
        sample_size("paired_binary", effect=0.05, discordant=0.1, margin=0.05)
    with pytest.raises(StatsError, match="paired_continuous"):
        power("paired_continuous", n=100, effect=0.2, discordant=0.1)
