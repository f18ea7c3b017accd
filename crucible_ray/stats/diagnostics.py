"""What stands beside a decision and decides nothing: checks of assumptions, and other tests on the same data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crucible_ray.errors import StatsError
from crucible_ray.stats.assumptions import anderson_darling, levene, shapiro_wilk
from crucible_ray.stats.inputs import means_of
from crucible_ray.stats.judging import ordered_logit
from crucible_ray.stats.layout import Layout
from crucible_ray.stats.paired import mcnemar, paired_t
from crucible_ray.stats.ranks import wilcoxon
from crucible_ray.stats.resampling import paired_permutation
from crucible_ray.stats.result import TestResult, format_p

_T_TESTS = {"student_t", "welch_t", "paired_t", "clustered_t", "adjusted_t", "stratified_t", "cluster_t"}
_PAIRED = ("mcnemar_score", "adjusted_wald", "adjusted_t", "clustered_t", "stratified_t")
_NORMALITY = ("shapiro_wilk", "anderson_darling")
_MOST_RANKED = 20_000
"""Items above which nothing is ranked and no signs are flipped beside a t-test: all say the same, and one is quick."""
_MOST_SHAPIRO = 5_000
_MOST_SCORES = 20
"""Different scores above which an ordered logit has too many thresholds to be a check."""


def checks_of(layout: Layout, result: TestResult) -> tuple[TestResult, ...]:
    """Normality of what a mean is taken of, and whether both conditions spread alike.

    Equal variances are no assumption of a paired test, nor of Welch's: there the second says how the conditions differ.
    """
    before, after = means_of(layout.control, layout.treatment, paired=layout.paired)
    both = [values[~np.isnan(values)] for values in (before, after)]
    difference = after - before if layout.paired else None
    samples = both if difference is None else [difference[~np.isnan(difference)]]
    found = [
        shapiro_wilk(values, alpha=result.alpha)
        if len(values) <= _MOST_SHAPIRO
        else anderson_darling(values, alpha=result.alpha)
        for values in samples
        if len(values) >= 3
    ]
    if min(map(len, both)) >= 2:
        found.append(levene(*both, alpha=result.alpha))
    return tuple(found)


def doubts_of(result: TestResult, checks: tuple[TestResult, ...]) -> tuple[str, ...]:
    """The warning that a t-test was used on data that are not normal, and what to look at."""
    if result.test not in _T_TESTS:
        return ()
    found = [
        check
        for check in checks
        if check.test in _NORMALITY and check.p_value is not None and check.p_value < 0.05
    ]
    if not found:
        return ()
    other = (
        "mann_whitney or permutation_test"
        if result.test in ("student_t", "welch_t")
        else "wilcoxon or paired_permutation"
    )
    worst = min(check.p_value for check in found if check.p_value is not None)
    return (
        f"data are not normally distributed ({found[0].test} {format_p(worst)}), but a t-test was used: "
        f"with many values that is fine; with few look at {other} too",
    )


def beside(layout: Layout, result: TestResult) -> tuple[TestResult, ...]:
    """Other tests of the same paired difference; none where clusters or repeats alone are the unit."""
    control, treatment, alpha = layout.control, layout.treatment, result.alpha
    before, after = means_of(control, treatment)
    kept = ~np.isnan(before) & ~np.isnan(after)
    tests: list[Callable[[], TestResult]] = []
    if result.test == "mcnemar_score":
        tests.append(lambda: mcnemar(before[kept], after[kept], variant="mid_p", alpha=alpha))
    if result.test == "sign_flip":
        tests.append(lambda: paired_t(before, after, alpha=alpha))
        if len(np.unique(np.concatenate([control[kept].ravel(), treatment[kept].ravel()]))) <= _MOST_SCORES:
            tests.append(lambda: ordered_logit(control[kept], treatment[kept], alpha=alpha))
    elif int(kept.sum()) <= _MOST_RANKED:
        if result.test in ("adjusted_t", "clustered_t", "stratified_t"):
            tests.append(lambda: wilcoxon(before[kept], after[kept], alpha=alpha))
        if result.test in _PAIRED:
            tests.append(lambda: paired_permutation(control, treatment, alpha=alpha))
    found = []
    for test in tests:
        try:
            found.append(test())
        except StatsError:  # what cannot be computed on these data stands not beside them
            continue
    return tuple(each for each in found if each.p_value is not None)
