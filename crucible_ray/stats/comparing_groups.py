"""Three conditions or more compared: one test over all, then pairs or all against a baseline, as one family.

| design | outcome | over all | then |
| --- | --- | --- | --- |
| the same items | binary, one value an item | Cochran's Q | largest t of item differences |
| the same items | ordinal | Friedman | Nemenyi; signed ranks with the baseline |
| the same items | anything else | repeated-measures analysis of variance | largest t of item differences |
| independent | binary, one value an item | chi-square | z of two shares |
| independent | ordinal | Kruskal and Wallis | Dunn; Mann-Whitney with the baseline |
| independent | anything else | Welch's analysis of variance | Games and Howell; Welch's t with the baseline |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.families import FamilyResult
from crucible_ray.stats.groups import (
    anova,
    cochran_q,
    friedman,
    kruskal_wallis,
    repeated_measures_anova,
    welch_anova,
)
from crucible_ray.stats.inputs import is_binary
from crucible_ray.stats.joint import dunnett, max_t
from crucible_ray.stats.layout import as_table, by_item, encode
from crucible_ray.stats.paired import item_means
from crucible_ray.stats.posthoc import dunn, games_howell, nemenyi, pairwise, tukey_hsd
from crucible_ray.stats.ranks import mann_whitney, wilcoxon
from crucible_ray.stats.result import Floats, TestResult, format_p, plain
from crucible_ray.stats.tables import chi_square
from crucible_ray.stats.twosample import two_proportion_z, welch_t

_KINDS = ("binary", "bounded", "ordinal", "continuous")


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
    position. baseline: compare all with this one, else all pairs. test: `auto` or the name of a test over all.
    correction: of the families that have no joint distribution. kind: as for `compare`. Raises StatsError on fewer than
    three groups, or a design that does not hold together.
    """
    if len(groups) < 3:
        raise StatsError(
            f"compare_groups is for three groups or more; of {len(groups)}, take compare(control, treatment)"
        )
    if baseline is not None and baseline not in groups:
        raise StatsError(f"no group {baseline!r} to be the baseline: {', '.join(groups)}")
    tables, shared, notes = _tables(groups, items, paired=paired)
    pooled = [table[~np.isnan(table)] for table in tables]
    repeats = max(table.shape[1] for table in tables)
    name, outcome = _name(test, kind, pooled, shared=shared, repeats=repeats)
    plan = _PLANS[name]
    means = [item_means(table) for table in tables]
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
    if name == "anova" or min(map(len, pooled)) < 2:
        naive = None
    else:
        naive = anova(*pooled, alpha=alpha)
    design = f"{'the same' if shared else 'independent groups of'} items, {len(tables)} conditions, {outcome} outcome"
    chosen = plan.words if test == "auto" else f"{plan.words}, asked for by name"
    return GroupComparison(
        overall=overall, family=family, reason=f"{design}: {chosen}", naive=naive, notes=notes
    )


def _name(
    test: str, kind: str | None, pooled: Sequence[Floats], *, shared: bool, repeats: int
) -> tuple[str, str]:
    """The test over all, and the kind of outcome."""
    binary = is_binary(*pooled)
    if kind is not None and kind not in _KINDS:
        raise StatsError(f"no kind {kind!r}: {', '.join(_KINDS)}")
    if kind == "binary" and not binary:
        raise StatsError('kind="binary" is of 0 and 1 alone; shares and scores between them are "bounded"')
    outcome = kind or ("binary" if binary else "continuous")
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
