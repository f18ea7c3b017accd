"""Two conditions compared: the test is chosen by design and kind of outcome, and says why.

| design | outcome | test |
| --- | --- | --- |
| the same items | binary, bounded, continuous | `decision.paired_difference` (strata too) |
| the same items, clusters above them | any | mean difference, CR2 with Satterthwaite's degrees of freedom |
| these items alone (`population="benchmark"`) | any | mean difference, noise of repeats alone |
| the same items | ordinal | sign flips of item means, and the interval of shifts that they do not reject |
| independent | binary, one value an item | z of two shares with its score interval |
| independent | ordinal | Brunner and Munzel |
| independent | anything else | Welch's t, on item means where there are repeats |

No assumption test chooses: checks are reported beside the result, and so are other tests of the same difference (mid-p,
sign flips, Wilcoxon's). Whether outcomes are ordinal or bounded is declared (`kind`); 0 and 1 alone are taken as binary.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.alternatives import p_against, towards
from crucible_ray.stats.clusters import benchmark_difference, cluster_robust_difference
from crucible_ray.stats.decision import least_level, paired_difference
from crucible_ray.stats.diagnostics import beside, checks_of, doubts_of
from crucible_ray.stats.distributions import two_sided_p
from crucible_ray.stats.draws import sign_flips
from crucible_ray.stats.inputs import (
    direction,
    finite_margin,
    is_binary,
    item_differences,
    item_means,
    means_of,
    two_items,
)
from crucible_ray.stats.layout import Labels, Layout, lay_out
from crucible_ray.stats.paired import clustered_difference, mcnemar, paired_t, tango_score
from crucible_ray.stats.ranks import brunner_munzel, mann_whitney, sign_test, wilcoxon
from crucible_ray.stats.resampling import bootstrap_difference, paired_permutation, permutation_test
from crucible_ray.stats.result import Floats, TestResult, format_p, undefined
from crucible_ray.stats.strata import stratified_difference
from crucible_ray.stats.sums import exact_sum
from crucible_ray.stats.twosample import student_t, two_proportion_z, welch_t

KINDS = {
    "binary": "binary",
    "bounded": "bounded",
    "proportion": "bounded",
    "ordinal": "ordinal",
    "continuous": "continuous",
    "count": "continuous",
    "cost": "continuous",
}
"""Kinds of outcome, and what each is taken as."""
FLIPS = 9_999
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(TestResult):
    """A test's result with why it was this test, and what stands beside it."""

    reason: str
    """Which test was chosen and why, one sentence."""
    naive: TestResult | None
    """What the test would have said that ignores the design, for contrast; None where there is none."""
    checks: tuple[TestResult, ...] = ()
    """Diagnostics of assumptions; none of them chose the test."""
    beside: tuple[TestResult, ...] = ()
    """Other tests of the same difference; none of them decides."""
    differing: int | None = None
    """Items whose means differ; None where items are not paired."""
    least_level: float = 0.0
    """The level below which too few items differ (or there are too few items) for any verdict."""

    @property
    def decidable(self) -> bool:
        """Whether the data could have decided at `alpha`."""
        return self.least_level <= self.alpha

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
    naive: Callable[[], TestResult | None]
    sided: Callable[[str, float], TestResult] | None = None
    """The test with an alternative, where it has its own way with one."""
    differing: int | None = None
    least_level: float = 0.0
    against: Callable[[float], float] | None = None
    """p against a margin, where there is a formula; else it is the level at which the interval ends there."""


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
    checks: bool = True,
    naive: bool = True,
) -> Comparison:
    """Compare treatment with control: choose the test by design and outcome (see above), and say why.

    control, treatment: shape [values] or [items, repeats], NaN where missing. items: a label per value (or row), which
    pairs conditions and groups repeats; one array where both are laid out alike, else a pair. `paired=True` pairs by
    position. clusters, strata: labels laid out like items, of units above items and of fixed parts. test: `auto`, a name
    of `crucible_ray.stats`, or `macro_average`: strata of one weight instead of their shares of the items. kind: `binary`,
    `bounded` or `proportion` (0 to 1), `ordinal`, `continuous`, `count`, `cost`; None: binary where all values are 0 or 1,
    else continuous. margin: p is against a difference of so much. population: `items` like these, or `benchmark`, these
    alone. checks: with diagnostics and other tests beside it. naive: with what ignoring the design would say.
    Raises StatsError on a design that does not hold together.
    """
    side = direction(alternative)
    if population not in ("items", "benchmark"):
        raise StatsError(f"no population {population!r}: items (like these) or benchmark (these alone)")
    layout = lay_out(control, treatment, items=items, clusters=clusters, strata=strata, paired=paired)
    outcome = _outcome(kind, layout)
    margin = finite_margin(margin, binary=outcome == "binary")
    chosen = _choose(layout, outcome, test, population, alpha)
    result = chosen.run(alpha)
    if chosen.sided is not None and margin == 0.0:
        result = chosen.sided(side, alpha)
    elif margin or side != "two-sided":
        result = towards(result, chosen.against or partial(p_against, chosen.run, result), side, margin)
    if result.p_value is not None and side == "two-sided":
        result = replace(result, p_value=max(result.p_value, chosen.least_level))
    found = checks_of(layout, result) if checks and outcome == "continuous" else ()
    notes = (*layout.notes, *result.notes, *doubts_of(result, found))
    return _comparison(
        replace(result, notes=notes),
        reason=chosen.reason,
        naive=chosen.naive() if naive else None,
        checks=found,
        beside=beside(layout, result) if checks and test == "auto" and layout.paired else (),
        differing=chosen.differing,
        least_level=chosen.least_level,
    )


def _choose(layout: Layout, outcome: str, test: str, population: str, alpha: float) -> _Chosen:
    if test == "macro_average":
        return _macro(layout, population, alpha)
    by_item = _ALIASES.get(test, test) == "clustered_difference" and layout.paired
    if test != "auto" and not by_item:
        if layout.clusters is not None or layout.strata is not None or population != "items":
            raise StatsError('clusters, strata and population="benchmark" choose the test: leave test="auto"')
        return _by_name(test, layout, alpha)
    if not layout.paired:
        if population != "items":
            raise StatsError('population="benchmark" is of shared items: give items=, or paired=True')
        return _independent(layout, outcome, alpha)
    if not by_item:
        return _paired(layout, outcome, population, alpha)
    found = _paired(layout, "continuous", population, alpha)
    return found._replace(reason=f"{found.reason.split(':')[0]}: t on item differences, asked for by name")


def _macro(layout: Layout, population: str, alpha: float) -> _Chosen:
    """Every stratum with the same weight."""
    if layout.strata is None or layout.clusters is not None or population != "items":
        raise StatsError(
            "macro_average is over strata of paired items: give items= (or paired=True) and strata="
        )
    diff = item_differences(layout.control, layout.treatment)
    kept = ~np.isnan(diff)
    diff, codes = diff[kept], layout.strata[kept]
    why = (
        f"paired by item, {len(diff)} items in {len(np.unique(codes))} strata, each with the same weight: t on differences "
        "within strata, asked for by name"
    )
    return _Chosen(
        lambda level: stratified_difference(diff, codes, macro=True, alpha=level),
        why,
        partial(_pooled, layout, alpha),
    )


def _comparison(result: TestResult, **more: Any) -> Comparison:
    values = {field.name: getattr(result, field.name) for field in fields(TestResult)}
    return Comparison(**values, **more)


def outcome_of(kind: str | None, values: Sequence[Floats]) -> str:
    """What an outcome is taken as, as declared or by its values; raises StatsError where the two do not agree."""
    binary = is_binary(*values)
    if kind is None:
        return "binary" if binary else "continuous"
    if kind not in KINDS:
        raise StatsError(f"no kind {kind!r}: {', '.join(KINDS)}")
    if KINDS[kind] == "binary" and not binary:
        raise StatsError('kind="binary" is of 0 and 1 alone; shares and scores between them are "bounded"')
    return KINDS[kind]


def _outcome(kind: str | None, layout: Layout) -> str:
    values = [table[~np.isnan(table)] for table in (layout.control, layout.treatment)]
    kind = outcome_of(kind, values)
    if kind == "bounded" and any(bool(((part < 0) | (part > 1)).any()) for part in values):
        raise StatsError(
            'kind="bounded" lies between 0 and 1; for other scales take "continuous" or "ordinal"'
        )
    return kind


def _paired(layout: Layout, kind: str, population: str, alpha: float) -> _Chosen:
    control, treatment = layout.control, layout.treatment
    diff = item_differences(control, treatment)
    kept = ~np.isnan(diff)
    design = f"paired by item, {int(kept.sum())} items"
    naive = partial(_pooled, layout, alpha)
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
        by_item = partial(clustered_difference, diff[kept], alpha=alpha)
        return _Chosen(lambda level: cluster_robust_difference(diff[kept], codes, alpha=level), why, by_item)
    if kind == "ordinal":
        flip = _Flips(diff[kept])
        differing = int(np.count_nonzero(diff[kept]))
        why = f"{design}, {differing} differ: ordinal scores, so sign flips of item means, which ask for no distribution"
        return _Chosen(flip, why, naive, differing=differing, against=flip.p_against)

    def run(level: float) -> TestResult:
        return decide(alpha=level).result

    decide = partial(
        paired_difference, control, treatment, bounded=kind != "continuous", strata=layout.strata
    )
    decision = decide(alpha=alpha)
    least = 0.0 if kind == "continuous" else least_level(decision.differing)
    score = partial(_score_p, diff[kept]) if decision.result.test == "mcnemar_score" else None
    return _Chosen(run, decision.reason, naive, None, decision.differing, least, score)


def _score_p(diff_I: Floats, margin: float) -> float:
    """p of the score test of a difference of `margin`, whose dual Tango's interval is."""
    counts = [float(np.count_nonzero(side)) for side in (diff_I > 0, diff_I < 0)]
    z = tango_score(*(np.array([each]) for each in (*counts, float(len(diff_I)), margin)))
    return two_sided_p(float(z[0]))


class _Flips:
    """The sign-flip test of one difference at any level; its flips are drawn once."""

    def __init__(self, diff_I: Floats) -> None:
        two_items(len(diff_I))
        self._n, self._estimate = len(diff_I), exact_sum(diff_I) / len(diff_I)
        self._draws = sign_flips(diff_I, flips=FLIPS, seed=0)
        self._alike = np.ptp(diff_I) == 0

    def p_against(self, margin: float) -> float:
        """The smallest level at which the interval leaves the margin out."""
        return self._draws.p_against(margin)

    def __call__(self, level: float) -> TestResult:
        if self._alike:
            note = "every item has the same difference: there is no spread to judge it by"
            return undefined("sign_flip", estimate=self._estimate, n=self._n, note=note, alpha=level)
        low, high = self._draws.interval(level)
        return TestResult(
            test="sign_flip",
            statistic=None,
            df=None,
            p_value=self._draws.p_against(0.0),
            estimate=self._estimate,
            ci_low=None if math.isinf(low) else low,
            ci_high=None if math.isinf(high) else high,
            n=self._n,
            assumptions=(
                "items are independent of one another",
                "differences are symmetric about their mean",
            ),
            notes=(f"{FLIPS:,} random flips, seed 0",),
            alpha=level,
        )


def _independent(layout: Layout, kind: str, alpha: float) -> _Chosen:
    before, after = item_means(layout.control), item_means(layout.treatment)
    repeats = max(layout.control.shape[1], layout.treatment.shape[1])
    unit = f"independent groups of {len(before)} and {len(after)}" + (" items" if repeats > 1 else "")
    if kind == "ordinal":
        why = f"{unit}, ordinal scores: Brunner and Munzel's test, which asks for order alone"
        return _Chosen(
            lambda level: brunner_munzel(before, after, alpha=level),
            why,
            partial(_naive, welch_t, before, after, alpha),
        )
    if kind == "binary" and repeats == 1:
        why = f"{unit}, 0/1 outcome: z of two shares with its score interval"
        return _Chosen(
            lambda level: two_proportion_z(before, after, alpha=level),
            why,
            partial(_naive, welch_t, before, after, alpha),
        )
    mean = " on item means" if repeats > 1 else ""
    why = f"{unit}, {kind} outcome: Welch's t{mean}, which takes neither variances nor sizes as equal"
    naive = (
        partial(_pooled, layout, alpha) if repeats > 1 else partial(_naive, student_t, before, after, alpha)
    )
    return _Chosen(lambda level: welch_t(before, after, alpha=level), why, naive)


def _by_name(name: str, layout: Layout, alpha: float) -> _Chosen:
    name = _ALIASES.get(name, name)
    before, after = means_of(layout.control, layout.treatment, paired=layout.paired)
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
        return _Chosen(
            lambda level: run(*arrays, alpha=level), reason, partial(_pooled, layout, alpha), sided
        )
    if name in TWO_SAMPLES:
        run = TWO_SAMPLES[name]
        if layout.paired:
            reason += "; it ignores that the items are the same"
        return _Chosen(
            lambda level: run(before, after, alpha=level), reason, lambda: None, _sided(run, before, after)
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
