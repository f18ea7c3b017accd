"""Power of a paired binary comparison: the measured figures, their inverses, and exact enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
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


@pytest.mark.parametrize(("design", "known"), [("paired_binary", "discordant"), ("independent_binary", "p")])
def test_an_effect_in_points_is_refused_with_the_share_that_was_meant(design: str, known: str) -> None:
    with pytest.raises(StatsError, match=r"5 points are written 0\.05"):
        sample_size(design, effect=5, **{known: 0.3})  # type: ignore[arg-type]


def test_impossible_designs_are_refused() -> None:
    with pytest.raises(StatsError, match="impossible"):
        power("paired_binary", n=100, effect=0.2, discordant=0.1)
    with pytest.raises(StatsError, match="never clears"):
        sample_size("paired_binary", effect=0.05, discordant=0.1, margin=0.05)
    with pytest.raises(StatsError, match="paired_continuous"):
        power("paired_continuous", n=100, effect=0.2, discordant=0.1)


def test_two_independent_shares_match_statsmodels() -> None:
    from statsmodels.stats.proportion import power_proportions_2indep

    for effect in (0.05, 0.12, 0.2):
        # statsmodels takes the null's pooled spread for the critical value; the two agree where it is the same.
        reference = power_proportions_2indep(effect, 0.6, 200, alternative="larger", alpha=0.025).power
        found = power("independent_binary", n=200, effect=effect, p=0.6)
        assert found == pytest.approx(reference, abs=0.01)


@pytest.mark.parametrize(
    ("design", "how"),
    [
        ("paired_binary", {"discordant": 0.3}),
        ("paired_binary", {"p": 0.7}),
        ("paired_binary", {"p": 0.7, "icc": 0.6, "rho": 0.8, "repeats": 3}),
        ("independent_binary", {"p": 0.7}),
        ("independent_binary", {"p": 0.5, "icc": 0.4, "repeats": 4, "margin": -0.05}),
        ("paired_continuous", {"sd": 0.6}),
        ("paired_continuous", {"sd": 0.6, "icc": 0.5, "rho": 0.9, "repeats": 5, "margin": 0.03}),
        ("independent_continuous", {"sd": 0.6, "icc": 0.5, "repeats": 2, "alpha": 0.01}),
    ],
)
def test_in_every_design_size_and_effect_are_inverses_of_power(design: str, how: dict[str, float]) -> None:
    n = sample_size(design, effect=0.1, power=0.9, **how)  # type: ignore[arg-type]
    assert power(design, n=n, effect=0.1, **how) >= 0.9  # type: ignore[arg-type]
    assert power(design, n=n - 1, effect=0.1, **how) < 0.9  # type: ignore[arg-type]
    effect = detectable_effect(design, n=n, power=0.9, **how)  # type: ignore[arg-type]
    assert effect <= 0.1 + 1e-9
    assert power(design, n=n, effect=effect, **how) == pytest.approx(0.9)  # type: ignore[arg-type]


@pytest.mark.parametrize("repeats", [1, 4])
@pytest.mark.parametrize("design", ["paired_continuous", "independent_continuous"])
def test_power_of_means_over_repeats_is_what_a_simulation_finds(design: str, repeats: int) -> None:
    rng = np.random.default_rng(repeats)
    n, effect, icc, rho, sims = 25, 0.5, 0.4, 0.5, 4_000
    between = rng.multivariate_normal([0, 0], [[icc, icc * rho], [icc * rho, icc]], size=(sims, n))
    if design == "independent_continuous":
        between[..., 1] = rng.normal(0, np.sqrt(icc), size=(sims, n))
    means = between + rng.normal(0, np.sqrt((1 - icc) / repeats), size=(sims, n, 2))
    control, treatment = means[..., 0], means[..., 1] + effect
    if design == "paired_continuous":
        test = stats.ttest_rel(treatment, control, axis=1)
        sd = np.sqrt(2 * (1 - icc * rho))
    else:
        test = stats.ttest_ind(treatment, control, axis=1)
        sd = 1.0
    found = ((test.pvalue < 0.05) & (test.statistic > 0)).mean()
    planned = power(design, n=n, effect=effect, sd=sd, icc=icc, rho=rho, repeats=repeats)
    assert planned == pytest.approx(found, abs=0.025)


def test_the_discordant_share_follows_from_the_controls_share_and_the_likeness_of_pairs() -> None:
    alike, apart = (power("paired_binary", n=200, effect=0.05, p=0.7, icc=icc, rho=0.9) for icc in (0.8, 0.1))
    assert alike > apart > power("paired_binary", n=200, effect=0.05, p=0.7)
    independent = 0.7 * 0.25 + 0.3 * 0.75
    assert power("paired_binary", n=200, effect=0.05, p=0.7) == pytest.approx(
        power("paired_binary", n=200, effect=0.05, discordant=independent)
    )


@pytest.mark.parametrize(
    ("design", "how", "words"),
    [
        ("paired_binary", {}, "discordant"),
        ("independent_binary", {}, "needs p"),
        ("paired_continuous", {}, "paired differences"),
        ("independent_continuous", {"sd": 0}, "above 0"),
        ("independent_binary", {"p": 0.95}, "leaves 0 to 1"),
        ("independent_binary", {"p": 1.5}, "share lies"),
        ("independent_continuous", {"sd": 1, "icc": 2}, "icc lies|it lies"),
        ("crossed", {}, "independent_continuous"),
    ],
)
def test_a_design_that_lacks_a_number_names_it(design: str, how: dict[str, float], words: str) -> None:
    with pytest.raises(StatsError, match=words):
        power(design, n=50, effect=0.1, **how)  # type: ignore[arg-type]
