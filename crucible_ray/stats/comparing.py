"""Two conditions compared: the test is chosen by design and kind of outcome, and says why.

| design | outcome | test |
| --- | --- | --- |
| the same items | binary, bounded, continuous | `decision.paired_difference` (strata too) |
| the same items, clusters above them | any | mean difference, CR2 with Satterthwaite's degrees of freedom |
| these items alone (`population="benchmark"`) | any | mean difference, noise of repeats alone |
| the same items | ordinal | sign flips of item means |
| independent | binary, one value an item | z of two shares with its score interval |
| independent | ordinal | Brunner and Munzel |
| independent | anything else | Welch's t, on item means where there are repeats |

No assumption test chooses: checks are reported beside the result. Whether outcomes are ordinal or bounded is declared
(`kind`); 0 and 1 alone are taken as binary.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.assumptions import anderson_darling, levene, shapiro_wilk
from crucible_ray.stats.clusters import benchmark_difference, cluster_robust_difference
from crucible_ray.stats.decision import paired_difference
from crucible_ray.stats.distributions import critical
from crucible_ray.stats.inputs import direction, is_binary
from crucible_ray.stats.layout import Labels, Layout, lay_out
from crucible_ray.stats.paired import clustered_difference, item_means, mcnemar, paired_t
from crucible_ray.stats.ranks import brunner_munzel, mann_whitney, sign_test, wilcoxon
from crucible_ray.stats.resampling import bootstrap_difference, paired_permutation, permutation_test
from crucible_ray.stats.result import Floats, TestResult, format_p
from crucible_ray.stats.twosample import student_t, two_proportion_z, welch_t

KINDS = ("binary", "bounded", "ordinal", "continuous")
TWO_SAMPLES: Mapping[str, Callable[..., TestResult]] = {
    "student_t": student_t,
    "welch_t": welch_t,
    "mann_whitney": mann_whitney,
    "brunner_munzel": brunner_munzel,
    "permutation_test": permutation_test,
    "bootstrap_difference": bootstrap_difference,
    "two_proportion_z": two_proportion_z,
}
PAIRED: Mapping[str, Callable[..., TestResult]] = {
    "paired_t": paired_t,
    "wilcoxon": wilcoxon,
    "sign_test": sign_test,
    "mcnemar": mcnemar,
    "paired_permutation": paired_permutation,
    "clustered_difference": paired_t,
}
_ALIASES = {
    "mann_whitney_u": "mann_whitney",
    "welch_t_test": "welch_t",
    "t_test": "student_t",
    "student_t_test": "student_t",
    "paired_t_test": "paired_t",
    "wilcoxon_signed_rank": "wilcoxon",
}
_T_TESTS = {"student_t", "welch_t", "paired_t", "clustered_t", "adjusted_t", "stratified_t", "cluster_t"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(TestResult):
    """A test's result with why it was this test, and what stands beside it."""

    reason: str
    """Which test was chosen and why, one sentence."""
    naive: TestResult | None
    """What the test would have said that ignores the design, for contrast; None where there is none."""
    checks: tuple[TestResult, ...] = ()
    """Diagnostics of assumptions; none of them chose the test."""

    @property
    def explanation(self) -> str:
        """The choice, the answer, and the naive one, in three sentences or fewer."""
        text = f"{self.reason}. {self.interpretation}"
        if self.naive is None or self.naive.p_value is None:
            return text
        return f"{text} The naive {self.naive.test} would have said {format_p(self.naive.p_value)}."


class _Chosen(NamedTuple):
    run: Callable[[float], TestResult]
    """The test at a level alpha."""
    reason: str
    naive: TestResult | None
    sided: Callable[[str, float], TestResult] | None = None
    """The test with an alternative, where it has its own way with one."""


def compare(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    items: Labels | None = None,
    clusters: Labels | None = None,
    strata: Labels | None = None,
    paired: bool = False,
    test: str = "auto",
    kind: str | None = None,
    alternative: str = "two-sided",
    margin: float = 0.0,
    alpha: float = 0.05,
    population: str = "items",
) -> Comparison:
    """Compare treatment with control: choose the test by design and outcome (see above), and say why.

    control, treatment: shape [values] or [items, repeats], NaN where missing. items: a label per value (or row), which
    pairs conditions and groups repeats; one array where both are laid out alike, else a pair. `paired=True` pairs by
    position. clusters, strata: labels laid out like items, of units above items and of fixed parts. test: `auto` or a
    name of `crucible_ray.stats`. kind: `binary`, `bounded` (0 to 1), `ordinal`, `continuous`; None: binary where all
    values are 0 or 1, else continuous. margin: p is against a difference of so much. population: `items` like these, or
    `benchmark`, these alone. Raises StatsError on a design that does not hold together.
    """
    side = direction(alternative)
    if population not in ("items", "benchmark"):
        raise StatsError(f"no population {population!r}: items (like these) or benchmark (these alone)")
    layout = lay_out(control, treatment, items=items, clusters=clusters, strata=strata, paired=paired)
    outcome = _outcome(kind, layout)
    if test != "auto":
        if clusters is not None or strata is not None or population != "items":
            raise StatsError('clusters, strata and population="benchmark" choose the test: leave test="auto"')
        chosen = _by_name(test, layout, alpha)
    elif layout.paired:
        chosen = _paired(layout, outcome, population, alpha)
    else:
        if population != "items":
            raise StatsError('population="benchmark" is of shared items: give items=, or paired=True')
        chosen = _independent(layout, outcome, alpha)
    result = chosen.run(alpha)
    if chosen.sided is not None and margin == 0.0:
        result = chosen.sided(side, alpha)
    elif margin or side != "two-sided":
        result = _towards(result, chosen.run, side, margin)
    checks = _checks(layout, result) if outcome == "continuous" else ()
    notes = (*layout.notes, *result.notes, *_doubts(result, checks))
    return _comparison(replace(result, notes=notes), chosen.reason, chosen.naive, checks)


def _comparison(
    result: TestResult, reason: str, naive: TestResult | None, checks: tuple[TestResult, ...]
) -> Comparison:
    values = {field.name: getattr(result, field.name) for field in fields(result)}
    return Comparison(**values, reason=reason, naive=naive, checks=checks)


def _outcome(kind: str | None, layout: Layout) -> str:
    values = [table[~np.isnan(table)] for table in (layout.control, layout.treatment)]
    binary = is_binary(*values)
    if kind is None:
        return "binary" if binary else "continuous"
    if kind not in KINDS:
        raise StatsError(f"no kind {kind!r}: {', '.join(KINDS)}")
    if kind == "binary" and not binary:
        raise StatsError('kind="binary" is of 0 and 1 alone; shares and scores between them are "bounded"')
    if kind == "bounded" and any(bool(((part < 0) | (part > 1)).any()) for part in values):
        raise StatsError(
            'kind="bounded" lies between 0 and 1; for other scales take "continuous" or "ordinal"'
        )
    return kind


def _paired(layout: Layout, kind: str, population: str, alpha: float) -> _Chosen:
    control, treatment = layout.control, layout.treatment
    diff = item_means(treatment) - item_means(control)
    kept = ~np.isnan(diff)
    design = f"paired by item, {int(kept.sum())} items"
    naive = _pooled(layout, alpha)
    if population == "benchmark":
        if layout.clusters is not None or layout.strata is not None:
            raise StatsError(
                'population="benchmark" takes these items as they are: leave out clusters and strata'
            )
        why = f"{design}, these items alone: t over the noise of their repeats"
        return _Chosen(lambda level: benchmark_difference(control, treatment, alpha=level), why, naive)
    if layout.clusters is not None:
        if layout.strata is not None:
            raise StatsError("clusters and strata together are not supported by this version: leave one out")
        codes = layout.clusters[kept]
        why = f"{design} in {len(np.unique(codes))} clusters, which are the unit: CR2 with Satterthwaite's df"
        by_item = clustered_difference(diff[kept], alpha=alpha)
        return _Chosen(lambda level: cluster_robust_difference(diff[kept], codes, alpha=level), why, by_item)
    if kind == "ordinal":
        if layout.strata is not None:
            raise StatsError('strata are not supported for kind="ordinal" by this version: leave them out')
        why = f"{design}, ordinal scores: sign flips of item means, which ask for no distribution"

        def flips(side: str, level: float) -> TestResult:
            return paired_permutation(control, treatment, alternative=side, alpha=level)

        return _Chosen(lambda level: flips("two-sided", level), why, naive, flips)

    def run(level: float) -> TestResult:
        return paired_difference(
            control, treatment, bounded=kind != "continuous", alpha=level, strata=layout.strata
        ).result

    decision = paired_difference(
        control, treatment, bounded=kind != "continuous", alpha=alpha, strata=layout.strata
    )
    return _Chosen(run, decision.reason, decision.naive)


def _independent(layout: Layout, kind: str, alpha: float) -> _Chosen:
    before, after = item_means(layout.control), item_means(layout.treatment)
    repeats = max(layout.control.shape[1], layout.treatment.shape[1])
    unit = f"independent groups of {len(before)} and {len(after)}" + (" items" if repeats > 1 else "")
    if kind == "ordinal":
        why = f"{unit}, ordinal scores: Brunner and Munzel's test, which asks for order alone"
        return _Chosen(
            lambda level: brunner_munzel(before, after, alpha=level),
            why,
            _naive(welch_t, before, after, alpha),
        )
    if kind == "binary" and repeats == 1:
        why = f"{unit}, 0/1 outcome: z of two shares with its score interval"
        return _Chosen(
            lambda level: two_proportion_z(before, after, alpha=level),
            why,
            _naive(welch_t, before, after, alpha),
        )
    mean = " on item means" if repeats > 1 else ""
    why = f"{unit}, {kind} outcome: Welch's t{mean}, which takes neither variances nor sizes as equal"
    naive = _pooled(layout, alpha) if repeats > 1 else _naive(student_t, before, after, alpha)
    return _Chosen(lambda level: welch_t(before, after, alpha=level), why, naive)


def _by_name(name: str, layout: Layout, alpha: float) -> _Chosen:
    name = _ALIASES.get(name, name)
    before, after = item_means(layout.control), item_means(layout.treatment)
    reason = f"{name}, asked for by name"
    if name in PAIRED:
        if not layout.paired:
            raise StatsError(f"{name} is for pairs: give items=, or paired=True where positions are pairs")
        run = PAIRED[name]
        arrays = (layout.control, layout.treatment) if name == "paired_permutation" else (before, after)
        if name == "mcnemar":
            kept = ~np.isnan(before) & ~np.isnan(after)
            arrays = (before[kept], after[kept])
        sided = None if name == "mcnemar" else _sided(run, *arrays)
        return _Chosen(lambda level: run(*arrays, alpha=level), reason, _pooled(layout, alpha), sided)
    if name in TWO_SAMPLES:
        run = TWO_SAMPLES[name]
        if layout.paired:
            reason += "; it ignores that the items are the same"
        return _Chosen(
            lambda level: run(before, after, alpha=level), reason, None, _sided(run, before, after)
        )
    known = [*TWO_SAMPLES, *PAIRED]
    near = difflib.get_close_matches(name, [*known, *_ALIASES], 1)
    raise StatsError(
        f"no test {name!r}{f', did you mean {near[0]}' if near else ''}: auto, {', '.join(known)}"
    )


def _sided(run: Callable[..., TestResult], *arrays: Floats) -> Callable[[str, float], TestResult]:
    return lambda side, level: run(*arrays, alternative=side, alpha=level)


def _naive(test: Callable[..., TestResult], before: Floats, after: Floats, alpha: float) -> TestResult | None:
    if min(np.count_nonzero(~np.isnan(before)), np.count_nonzero(~np.isnan(after))) < 2:
        return None
    return test(before, after, alpha=alpha)


def _pooled(layout: Layout, alpha: float) -> TestResult | None:
    found = _naive(welch_t, layout.control.ravel(), layout.treatment.ravel(), alpha)
    return None if found is None else replace(found, test="welch_t_pooled", notes=())


def _towards(result: TestResult, run: Callable[[float], TestResult], side: str, margin: float) -> TestResult:
    """The same result with p against the margin, on the side of the alternative."""
    if result.p_value is None or result.estimate is None:
        return result
    if result.ci_low is None or result.ci_high is None:
        raise StatsError(f"{result.test} has no interval to read a margin or a side off: leave out margin=")
    p_value = result.p_value if margin == 0.0 else _p_against(run, margin, result.estimate)
    above = result.estimate > margin
    statistic = result.statistic
    if margin != 0.0 and result.symbol is None and 0 < p_value < 1:
        statistic = math.copysign(critical(p_value, result.df), 1.0 if above else -1.0)
    elif margin != 0.0:
        statistic = None
    if side != "two-sided":
        agrees = above == (side == "greater")
        p_value = p_value / 2 if agrees else 1 - p_value / 2
    size = f"{margin:+.4g}" if margin else "0"
    says = {
        "two-sided": (f"The difference is not {size}", f"A difference of {size} is not excluded"),
        "greater": (f"The difference is above {size}", f"The data do not show a difference above {size}"),
        "less": (f"The difference is below {size}", f"The data do not show a difference below {size}"),
    }[side]
    return replace(result, p_value=p_value, statistic=statistic, alternative=direction(side), says=says)


def _p_against(run: Callable[[float], TestResult], margin: float, estimate: float) -> float:
    """The level at which the interval's end lies at the margin."""
    from scipy.optimize import brentq

    if estimate == margin:
        return 1.0

    def gap(log_level: float) -> float:
        found = run(math.exp(log_level))
        assert found.ci_low is not None
        assert found.ci_high is not None
        return found.ci_low - margin if estimate > margin else margin - found.ci_high

    least, most = math.log(1e-12), math.log(1 - 1e-9)
    if gap(least) >= 0:
        return 1e-12
    if gap(most) <= 0:
        return 1.0
    return math.exp(float(brentq(gap, least, most, xtol=1e-12)))


def _checks(layout: Layout, result: TestResult) -> tuple[TestResult, ...]:
    """Normality of what a mean is taken of, and equal variances of independent groups."""
    before, after = item_means(layout.control), item_means(layout.treatment)
    samples = [after - before] if layout.paired else [before, after]
    samples = [values[~np.isnan(values)] for values in samples]
    checks = [
        shapiro_wilk(values, alpha=result.alpha) if len(values) <= 5_000 else anderson_darling(values)
        for values in samples
        if len(values) >= 3
    ]
    if not layout.paired and min(map(len, samples)) >= 2:
        checks.append(levene(*samples, alpha=result.alpha))
    return tuple(checks)


def _doubts(result: TestResult, checks: tuple[TestResult, ...]) -> tuple[str, ...]:
    if result.test not in _T_TESTS:
        return ()
    found = [
        check
        for check in checks
        if check.test in ("shapiro_wilk", "anderson_darling")
        and check.p_value is not None
        and check.p_value < 0.05
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
