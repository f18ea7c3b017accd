"""Three conditions or more compared: one test over all, then pairs or all against a baseline, as one family.

| design | outcome | over all | then |
| --- | --- | --- | --- |
| the same items | binary, one value an item | Cochran's Q | `compare`, at the level of the largest t |
| the same items | ordinal | Friedman | `compare`, at the level of the largest t |
| the same items | anything else | repeated-measures analysis of variance | `compare`, at the level of the largest t |
| the same items, clusters above them | any | the largest t itself | `compare`, at the level of the largest t |
| independent | binary, one value an item | chi-square | z of two shares |
| independent | ordinal | Kruskal and Wallis | Dunn; Mann-Whitney with the baseline |
| independent | anything else | Welch's analysis of variance | Games and Howell; Welch's t with the baseline |

On the same items each pair is decided by the rule that `compare` would take for it alone; the joint distribution of their
t statistics (`joint.Joint`) only says at which level, so that a pair's interval, its p and its verdict are one decision.
A test that is asked for by name is followed by its classical comparisons.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crucible_ray.errors import StatsError
from crucible_ray.stats.comparing import Comparison, compare, outcome_of
from crucible_ray.stats.contrasts import against, all_pairs, place
from crucible_ray.stats.families import FamilyResult, Pair
from crucible_ray.stats.groups import (
    anova,
    cochran_q,
    friedman,
    kruskal_wallis,
    repeated_measures_anova,
    welch_anova,
)
from crucible_ray.stats.inputs import means_of
from crucible_ray.stats.joint import Joint, dunnett, max_t
from crucible_ray.stats.layout import as_table, by_item, encode
from crucible_ray.stats.posthoc import dunn, games_howell, nemenyi, pairwise, tukey_hsd
from crucible_ray.stats.ranks import mann_whitney, wilcoxon
from crucible_ray.stats.result import Floats, TestResult, format_p, plain
from crucible_ray.stats.tables import chi_square
from crucible_ray.stats.twosample import two_proportion_z, welch_t


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupComparison:
    """What several conditions say of one another, and why these tests."""

    overall: TestResult
    """Whether they differ at all. The family holds its level by itself: it does not wait for this."""
    family: FamilyResult
    reason: str
    naive: TestResult | None
    """Analysis of variance over all values as if they were of different items, for contrast."""
    notes: tuple[str, ...] = ()

    @property
    def interpretation(self) -> str:
        """What the overall test and the family say."""
        return f"{self.overall.interpretation} {self.family.interpretation}"

    @property
    def explanation(self) -> str:
        """The choice, the answer, and the naive one."""
        text = f"{self.reason}. {self.interpretation}"
        if self.naive is None or self.naive.p_value is None:
            return text
        return f"{text} The naive {self.naive.test} would have said {format_p(self.naive.p_value)}."

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold."""
        found: dict[str, Any] = plain(asdict(self))
        return found | {"interpretation": self.interpretation}

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)


class _Plan(NamedTuple):
    overall: Callable[..., TestResult]
    all_pairs: Callable[..., FamilyResult]
    against: Callable[..., FamilyResult]
    paired: bool
    words: str


def _every(test: Callable[..., TestResult]) -> Callable[..., FamilyResult]:
    """`pairwise` by one test, corrected as it is asked."""
    return lambda *groups, **options: pairwise(*groups, test=test, **options)


def _counted(*groups: ArrayLike, alpha: float) -> TestResult:
    """Chi-square of how many are right and wrong in each group."""
    tables = [np.asarray(group, np.float64) for group in groups]
    tables = [values[~np.isnan(values)] for values in tables]
    return chi_square([[int(v.sum()), int(len(v) - v.sum())] for v in tables], alpha=alpha)


_PLANS: Mapping[str, _Plan] = {
    "cochran_q": _Plan(cochran_q, max_t, max_t, True, "Cochran's Q, then the largest t of item differences"),
    "repeated_measures_anova": _Plan(
        repeated_measures_anova,
        max_t,
        max_t,
        True,
        "repeated-measures analysis of variance, then the largest t of item differences",
    ),
    "friedman": _Plan(friedman, nemenyi, _every(wilcoxon), True, "Friedman's test, then pairs by ranks"),
    "chi_square": _Plan(
        _counted,
        _every(two_proportion_z),
        _every(two_proportion_z),
        False,
        "chi-square, then z of two shares",
    ),
    "kruskal_wallis": _Plan(
        kruskal_wallis, dunn, _every(mann_whitney), False, "Kruskal and Wallis' test, then pairs by ranks"
    ),
    "welch_anova": _Plan(
        welch_anova,
        games_howell,
        _every(welch_t),
        False,
        "Welch's analysis of variance, then pairs with variances of their own",
    ),
    "anova": _Plan(anova, tukey_hsd, dunnett, False, "analysis of variance, then pairs over one variance"),
}
_CORRECTED = {"dunn"}


def compare_groups(
    groups: Mapping[str, ArrayLike],
    *,
    items: ArrayLike | Mapping[str, ArrayLike] | None = None,
    clusters: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    paired: bool = False,
    baseline: str | None = None,
    test: str = "auto",
    kind: str | None = None,
    correction: str = "holm",
    alpha: float = 0.05,
) -> GroupComparison:
    """Compare three conditions or more: choose the tests by design and outcome (see above), and say why.

    groups: values by name, shape [values] or [items, repeats], NaN where missing. items: a label per value, which pairs
    conditions and groups repeats; one array where all are laid out alike, else one by name. `paired=True` pairs by
    position. clusters, strata: a label per row, with `paired=True`. baseline: compare all with this one, else all pairs.
    test: `auto` or the name of a test over all.
    correction: of the families that have no joint distribution. kind: as for `compare`. Raises StatsError on fewer than
    three groups, or a design that does not hold together.
    """
    if len(groups) < 3:
        raise StatsError(
            f"compare_groups is for three groups or more; of {len(groups)}, take compare(control, treatment)"
        )
    if baseline is not None and baseline not in groups:
        raise StatsError(f"no group {baseline!r} to be the baseline: {', '.join(groups)}")
    if (clusters is not None or strata is not None) and (not paired or items is not None or test != "auto"):
        raise StatsError('clusters and strata are of rows: give paired=True, no items=, and test="auto"')
    tables, shared, notes = _tables(groups, items, paired=paired)
    pooled = [table[~np.isnan(table)] for table in tables]
    repeats = max(table.shape[1] for table in tables)
    name, outcome = _name(test, kind, pooled, shared=shared, repeats=repeats)
    if shared and test == "auto":
        rows = _Rows(dict(zip(groups, tables, strict=True)), outcome, clusters, strata)
        return _of_rows(rows, name, baseline, alpha, notes)
    plan = _PLANS[name]
    means = means_of(*tables, paired=shared)
    options: dict[str, Any] = {"names": list(groups), "alpha": alpha}
    follow = plan.all_pairs
    if baseline is not None:
        follow, options["baseline"] = plan.against, baseline
    if name in ("chi_square",) or follow is dunn or (baseline is not None and follow not in (max_t, dunnett)):
        options["correction"] = correction
    if shared and plan.paired:
        complete = ~np.isnan(np.column_stack(means)).any(axis=1)
        means = [column[complete] for column in means]
        if not complete.all():
            notes += (f"{int((~complete).sum())} items without a value under every condition left out",)
    overall, family = plan.overall(*means, alpha=alpha), follow(*means, **options)
    naive = None if name == "anova" else _naive(pooled, alpha)
    design = f"{'the same' if shared else 'independent groups of'} items, {len(tables)} conditions, {outcome} outcome"
    chosen = plan.words if test == "auto" else f"{plan.words}, asked for by name"
    return GroupComparison(
        overall=overall, family=family, reason=f"{design}: {chosen}", naive=naive, notes=notes
    )


class _Rows(NamedTuple):
    """Conditions whose rows are the same items."""

    tables: dict[str, Floats]
    kind: str
    clusters: ArrayLike | None
    strata: ArrayLike | None

    def compare(self, a: str, b: str, alpha: float) -> Comparison:
        return compare(
            self.tables[b],
            self.tables[a],
            clusters=self.clusters,
            strata=self.strata,
            paired=True,
            kind=self.kind,
            alpha=alpha,
            checks=False,
            naive=False,
        )


_OVERALL = {
    "cochran_q": "Cochran's Q",
    "friedman": "Friedman's test",
    "repeated_measures_anova": "repeated-measures analysis of variance",
}


def _of_rows(
    rows: _Rows, name: str, baseline: str | None, alpha: float, notes: tuple[str, ...]
) -> GroupComparison:
    """The same items under every condition: each pair by its own rule, at the level that the family leaves it."""
    means = np.column_stack(means_of(*rows.tables.values()))
    complete: NDArray[np.bool_] = np.asarray(~np.isnan(means).any(axis=1))
    if not complete.all():
        notes += (f"{int((~complete).sum())} items without a value under every condition left out",)
    family = _joint_pairs(rows, means[complete], complete, baseline, alpha)
    if rows.clusters is not None:
        overall, words = _largest_of(family), "the largest t (clusters are the unit)"
    else:
        overall = _PLANS[name].overall(*means[complete].T, alpha=alpha)
        words = _OVERALL[name]
    pairs = "all pairs" if baseline is None else f"all against {baseline}"
    return GroupComparison(
        overall=overall,
        family=family,
        reason=f"the same items, {len(rows.tables)} conditions, {rows.kind} outcome: {words} over all, then {pairs}, each "
        "by the rule for two conditions, at the level of the largest t of them all",
        naive=_naive([table[~np.isnan(table)] for table in rows.tables.values()], alpha),
        notes=notes,
    )


def _joint_pairs(
    rows: _Rows, means: Floats, complete: NDArray[np.bool_], baseline: str | None, alpha: float
) -> FamilyResult:
    names = list(rows.tables)
    places = all_pairs(len(names)) if baseline is None else against(len(names), place(baseline, names))
    pairs = [(names[a], names[b]) for a, b in places]
    alone = [rows.compare(a, b, alpha) for a, b in pairs]
    scores = np.column_stack([means[:, a] - means[:, b] for a, b in places])
    scores = _by_unit(scores, rows.clusters, rows.strata, complete)
    if len(scores) < 2:
        raise StatsError(f"this needs two items with a value under every condition; there are {len(scores)}")
    known = [found.df for found in alone if found.df is not None]
    joint = Joint(scores, min(known) if known else len(scores) - 1)
    level = joint.level(alpha)
    together = [rows.compare(a, b, level) for a, b in pairs]
    found = tuple(
        Pair(
            a=a,
            b=b,
            estimate=one.estimate or 0.0,
            statistic=one.statistic,
            p_value=one.p_value,
            p_adjusted=None if one.p_value is None else joint.adjusted(one.p_value),
            ci_low=wide.ci_low,
            ci_high=wide.ci_high,
            test=one.test,
        )
        for (a, b), one, wide in zip(pairs, alone, together, strict=True)
    )
    return FamilyResult(
        test="max_t", pairs=found, correction="max_t", n=len(scores), alpha=alpha, level=level
    )


def _by_unit(
    scores: Floats, clusters: ArrayLike | None, strata: ArrayLike | None, complete: NDArray[np.bool_]
) -> Floats:
    """What each unit adds to each difference: an item's deviation (within its stratum), or a cluster's sum of them."""
    centred: Floats = scores - scores.mean(axis=0)
    if strata is not None:
        labels = np.asarray(strata)[complete]
        for label in np.unique(labels):
            inside = labels == label
            centred[inside] = scores[inside] - scores[inside].mean(axis=0)
    if clusters is None:
        return centred
    codes = np.unique(np.asarray(clusters)[complete], return_inverse=True)[1]
    return np.column_stack([np.bincount(codes, column) for column in centred.T])


def _largest_of(family: FamilyResult) -> TestResult:
    """The smallest adjusted p of a family, as the test over all of it."""
    found = [pair.p_adjusted for pair in family if pair.p_adjusted is not None]
    return TestResult(
        test="max_t",
        statistic=None,
        df=None,
        p_value=min(found, default=None),
        estimate=None,
        ci_low=None,
        ci_high=None,
        n=family.n,
        alpha=family.alpha,
        says=("The conditions are not all alike", "The data do not tell the conditions apart"),
    )


def _naive(pooled: Sequence[Floats], alpha: float) -> TestResult | None:
    return anova(*pooled, alpha=alpha) if min(map(len, pooled)) >= 2 else None


def _name(
    test: str, kind: str | None, pooled: Sequence[Floats], *, shared: bool, repeats: int
) -> tuple[str, str]:
    """The test over all, and the kind of outcome."""
    outcome = outcome_of(kind, pooled)
    if test != "auto":
        if test not in _PLANS:
            raise StatsError(f"no test {test!r} over several groups: auto, {', '.join(_PLANS)}")
        if _PLANS[test].paired and not shared:
            raise StatsError(
                f"{test} is for the same items: give items=, or paired=True where positions are items"
            )
        return test, outcome
    if outcome == "ordinal":
        return ("friedman" if shared else "kruskal_wallis"), outcome
    if outcome == "binary" and repeats == 1:
        return ("cochran_q" if shared else "chi_square"), outcome
    return ("repeated_measures_anova" if shared else "welch_anova"), outcome


def _tables(
    groups: Mapping[str, ArrayLike], items: ArrayLike | Mapping[str, ArrayLike] | None, *, paired: bool
) -> tuple[list[Floats], bool, tuple[str, ...]]:
    """Each condition as [items, repeats], whether rows are the same items, and what was left out."""
    tables = [as_table(values, name) for name, values in groups.items()]
    if items is None:
        sizes = {len(table) for table in tables}
        if paired and len(sizes) > 1:
            raise StatsError("paired=True needs as many items in every group; name them with items= instead")
        return tables, paired, ()
    labels = [items.get(name, ()) for name in groups] if isinstance(items, Mapping) else [items] * len(tables)
    for name, table, label in zip(groups, tables, labels, strict=True):
        if np.shape(label) != (len(table),):
            raise StatsError(
                f"items: {name} has {len(table)} values or rows and labels of shape {np.shape(label)}"
            )
    codes = encode(*labels)
    rows = max(int(code.max()) for code in codes) + 1
    common = codes[0]
    for code in codes[1:]:
        common = np.intersect1d(common, code)
    common = np.unique(common)
    if not common.size:
        note = ("no item is in every condition: they are compared as independent groups of items",)
        return [by_item(table, code) for table, code in zip(tables, codes, strict=True)], False, note
    alone = rows - len(common)
    notes = (f"{alone} items that are not in every condition are left out",) if alone else ()
    return (
        [by_item(table, code, rows)[common] for table, code in zip(tables, codes, strict=True)],
        True,
        notes,
    )
