"""Verdicts are read from intervals, and a family of them keeps its level."""

from __future__ import annotations

import numpy as np
import pytest

from crucible_ray.errors import StatsError
from crucible_ray.stats.verdicts import adjusted_p, family_levels, verdict


@pytest.mark.parametrize(
    ("interval", "relation", "margin", "expected"),
    [
        ((0.01, 0.09), "superiority", 0.0, "supported"),
        ((0.01, 0.09), "superiority", 0.05, "not_decided"),
        ((0.0065, 0.0293), "superiority", 0.05, "refuted"),
        ((-0.09, -0.01), "superiority", 0.05, "reversed"),
        ((-0.09, -0.01), "superiority", 0.0, "reversed"),
        ((-0.02, 0.04), "superiority", 0.0, "not_decided"),
        ((-0.02, 0.04), "non_inferiority", 0.03, "supported"),
        ((-0.04, 0.04), "non_inferiority", 0.03, "not_decided"),
        ((-0.09, -0.04), "non_inferiority", 0.03, "refuted"),
        ((-0.02, 0.02), "equivalence", 0.03, "supported"),
        ((-0.02, 0.03), "equivalence", 0.03, "not_decided"),
        ((0.04, 0.09), "equivalence", 0.03, "refuted"),
    ],
)
def test_verdict_is_read_from_the_interval(
    interval: tuple[float, float], relation: str, margin: float, expected: str
) -> None:
    assert verdict(*interval, relation, margin) == expected


def test_an_unknown_relation_is_refused_by_name() -> None:
    with pytest.raises(StatsError, match="bigger"):
        verdict(0.0, 1.0, "bigger")


def test_holm_raises_the_level_as_hypotheses_are_decided() -> None:
    p_values = [0.01, 0.04, 0.03]  # R: p.adjust(c(.01, .04, .03), "holm") = .03 .06 .06
    assert family_levels(p_values, 0.05, "holm") == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2])
    p_values = [0.01, 0.04, 0.02]  # all three fall, one after another
    assert family_levels(p_values, 0.05, "holm") == pytest.approx([0.05 / 3, 0.05, 0.05 / 2])


def test_bonferroni_and_none_keep_one_level() -> None:
    p_values = [0.01, 0.04]
    assert family_levels(p_values, 0.05, "bonferroni") == [0.025, 0.025]
    assert family_levels(p_values, 0.05, "none") == [0.05, 0.05]


def test_fdr_reads_all_at_the_level_of_the_last_step_that_holds() -> None:
    p_values = [0.01, 0.04, 0.03]  # R: p.adjust(c(.01, .04, .03), "BH") = .03 .04 .04
    assert family_levels(p_values, 0.05, "fdr") == pytest.approx([0.05] * 3)
    p_values = [0.01, 0.2, 0.03]  # R: .03 .20 .045
    assert family_levels(p_values, 0.05, "fdr") == pytest.approx([0.05 * 2 / 3] * 3)
    assert family_levels([], 0.05, "fdr") == []


def test_an_unknown_correction_is_refused_by_name() -> None:
    with pytest.raises(StatsError, match="sidak"):
        family_levels([0.1], 0.05, "sidak")


def test_a_p_value_is_below_alpha_exactly_where_its_level_decides() -> None:
    rng = np.random.default_rng(3)
    for correction in ("none", "bonferroni", "holm", "fdr"):
        for _ in range(200):
            p_values: list[float | None] = list(rng.beta(0.3, 3, 5))
            p_values[2] = None
            levels = family_levels(p_values, 0.05, correction)
            adjusted = adjusted_p(p_values, correction)
            assert adjusted[2] is None
            for p_value, level, p_adjusted in zip(p_values, levels, adjusted, strict=True):
                assert p_value is None or (p_value < level) == ((p_adjusted or 0) < 0.05)
    with pytest.raises(StatsError, match="sidak"):
        adjusted_p([0.1], "sidak")


@pytest.mark.parametrize("correction", ["holm", "bonferroni", "fdr", "none"])
def test_a_family_without_hypotheses_has_no_levels(correction: str) -> None:
    assert family_levels([], 0.05, correction) == []
