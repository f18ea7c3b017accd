"""Scores that a judge gives: corrected by the items that people scored as well, and on their ordinal scale.

A judge's errors are not the same for every condition, so a difference between judge scores is no difference in quality
until it is held against people's scores on a random part of the items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.inputs import as_floats, is_binary, item_means
from crucible_ray.stats.layout import as_table
from crucible_ray.stats.paired import clustered_difference
from crucible_ray.stats.result import Floats, Interval, TestResult, format_p, over_error, undefined
from crucible_ray.stats.single import wilson

FEW_LABELLED = 30
"""Items with human scores below which the corrected interval is called rough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeAccuracy:
    """How a judge of right and wrong stands to people, on the answers that both scored."""

    sensitivity: float | None
    """The share of right answers that the judge calls right; None: people called none right."""
    sensitivity_ci: Interval | None
    specificity: float | None
    """The share of wrong answers that the judge calls wrong; None: people called none wrong."""
    specificity_ci: Interval | None
    n: int
    """Answers that both scored."""


def judge_accuracy(judged: ArrayLike, human: ArrayLike, *, alpha: float = 0.05) -> JudgeAccuracy:
    """Sensitivity and specificity of a judge against people, each with Wilson's interval.

    judged, human: 0 or 1, shape [answers], NaN in `human` where nobody looked. Take one condition at a time: a judge
    that is kinder to one condition than to another fakes a difference. Raises StatsError on other values, different
    lengths, or no answer that both scored.
    """
    given, true = as_floats(judged, "judged").ravel(), as_floats(human, "human").ravel()
    if len(given) != len(true):
        raise StatsError(f"judged and human are of the same answers; there are {len(given)} and {len(true)}")
    both = ~np.isnan(given) & ~np.isnan(true)
    given, true = given[both], true[both]
    if not len(given):
        raise StatsError("no answer was scored by the judge and by a person")
    if not is_binary(given, true):
        raise StatsError("sensitivity and specificity are of scores of 0 and 1: say which scores count as 1")
    hits, right = int(given[true == 1].sum()), int((true == 1).sum())
    passed, wrong = int((1 - given[true == 0]).sum()), int((true == 0).sum())
    return JudgeAccuracy(
        sensitivity=hits / right if right else None,
        sensitivity_ci=wilson(hits, right, alpha=alpha) if right else None,
        specificity=passed / wrong if wrong else None,
        specificity_ci=wilson(passed, wrong, alpha=alpha) if wrong else None,
        n=len(given),
    )


def judged_difference(
    judged: tuple[ArrayLike, ArrayLike],
    human: tuple[ArrayLike, ArrayLike],
    *,
    tuning: float | None = None,
    alpha: float = 0.05,
) -> TestResult:
    """The difference in human scores, treatment minus control, from many judge scores and few human ones.

    Prediction-powered inference on item differences (Angelopoulos et al. 2023, Science 382; with power tuning,
    Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453): the mean of human minus `tuning` times judge over labelled
    items, plus `tuning` times the judge's mean over the others. It is right on average however wrong the judge is, and the
    narrower the better the judge. The labelled items must be a random part of all. t has Satterthwaite's degrees of
    freedom for the two parts, where the paper takes z.

    judged, human: (control, treatment), each of shape [items] or [items, repeats]; NaN in `human` where nobody looked. An
    item is labelled when it has human scores under both conditions. tuning: 1 trusts the judge wholly, 0 not at all; None:
    what makes the interval narrowest, between these. Raises StatsError on different numbers of items, fewer than two
    labelled or two other items, or a labelled item that the judge did not score.
    """
    scores, truth, apart = _differences(judged, human)
    labelled = ~np.isnan(truth)
    h, j, others = truth[labelled], scores[labelled], scores[~labelled]
    others = others[~np.isnan(others)]
    if len(h) < 2 or len(others) < 2:
        raise StatsError(
            f"a corrected difference needs two items or more with human scores, and two without; here there are {len(h)} "
            f"and {len(others)}"
        )
    if np.isnan(j).any():
        raise StatsError(f"{int(np.isnan(j).sum())} items have human scores and no score of the judge")
    weight = _tuning(h, j, others) if tuning is None else tuning
    estimate = float(np.mean(h - weight * j) + weight * np.mean(others))
    parts = [
        float(np.var(h - weight * j, ddof=1)) / len(h),
        weight**2 * float(np.var(others, ddof=1)) / len(others),
    ]
    n = len(h) + len(others)
    notes = _notes(h, others, scores, weight) + apart
    if sum(parts) <= (1e-14 * max(1.0, float(np.abs(h).max()))) ** 2:
        note = "human and judge scores leave no spread: nothing to judge the difference by"
        return replace(
            undefined("judged_t", estimate=estimate, n=n, note=note, alpha=alpha), notes=(note, *notes)
        )
    df = sum(parts) ** 2 / (parts[0] ** 2 / (len(h) - 1) + parts[1] ** 2 / (len(others) - 1))
    return over_error(
        "judged_t",
        estimate,
        math.sqrt(sum(parts)),
        df,
        n=n,
        assumptions=(
            "the items with human scores are a random part of all",
            "items are independent of one another",
        ),
        notes=notes,
        alpha=alpha,
    )


def ordered_logit(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> TestResult:
    """Proportional odds of a higher score under treatment, over control: ordered logit, items as clusters.

    McCullagh 1980 (JRSS B 42); errors by the sandwich with items as clusters (times G / (G - 1) and
    (N - 1) / (N - k)), z. It is a check beside another test, not a decider: proportional odds are assumed. control,
    treatment: ordinal scores of the same items, shape [items] or [items, repeats]. The estimate is a log odds ratio.
    Raises StatsError on fewer than two items, one score alone, as many scores as answers, or scores that the conditions
    separate wholly.
    """
    before, after = (
        as_table(values, name) for values, name in ((control, "control"), (treatment, "treatment"))
    )
    if len(before) != len(after):
        raise StatsError(f"pairs need the same items; control has {len(before)}, treatment {len(after)}")
    values = np.concatenate([before.ravel(), after.ravel()])
    side = np.repeat([0.0, 1.0], [before.size, after.size])
    item = np.concatenate([np.repeat(np.arange(len(table)), table.shape[1]) for table in (before, after)])
    kept = ~np.isnan(values)
    values, side, item = values[kept], side[kept], item[kept]
    if len(np.unique(item)) < 2 or len(np.unique(values)) < 2 or len(np.unique(side)) < 2:
        raise StatsError("an ordered logit needs two items or more, two scores or more, and both conditions")
    if len(values) <= len(np.unique(values)):
        raise StatsError("an ordered logit needs more answers than different scores")
    return _fitted(values, side, item, alpha)


def _fitted(values: Floats, side: Floats, item: Floats, alpha: float) -> TestResult:
    import warnings

    from statsmodels.miscmodels.ordinal_model import OrderedModel

    levels, codes = np.unique(values, return_inverse=True)
    model = OrderedModel(codes, side[:, None], distr="logit")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they warn of, no convergence, is looked at below
        try:
            fit = model.fit(
                method="bfgs",
                gtol=1e-8,
                maxiter=500,
                disp=False,
                cov_type="cluster",
                cov_kwds={"groups": item},
            )
        except np.linalg.LinAlgError as flat:
            raise StatsError("the ordered logit has no finite answer: too few answers differ") from flat
    estimate, error = float(fit.params[0]), float(fit.bse[0])
    if not fit.mle_retvals["converged"] or not math.isfinite(error) or abs(estimate) > 15:
        raise StatsError("the ordered logit has no finite answer: the conditions separate the scores wholly")
    groups = len(np.unique(item))
    if error < 1e-4:  # gradients are numeric, so that an error of 0 comes out a little above
        note = "the conditions have the same scores item by item: nothing to judge the odds by"
        return undefined(
            "ordered_logit", estimate=estimate, n=groups, note=note, alpha=alpha, measure="log odds ratio"
        )
    return over_error(
        "ordered_logit",
        estimate,
        error,
        None,
        effect_sizes={"odds_ratio": math.exp(estimate)},
        n=groups,
        assumptions=("odds are proportional over the scores", "items are independent of one another"),
        notes=(f"{len(levels)} scores; log odds ratio of a higher one",),
        alpha=alpha,
        measure="log odds ratio",
    )


def _tuning(h: Floats, j: Floats, others: Floats) -> float:
    """The weight of the judge that makes the variance least (arXiv 2311.01453, eq. 6), between 0 and 1."""
    spread = float(np.var(np.concatenate([j, others]), ddof=1))
    if spread == 0.0:
        return 0.0
    shared = float(np.mean((h - h.mean()) * (j - j.mean())))
    return min(1.0, max(0.0, shared / ((1 + len(h) / len(others)) * spread)))


def _notes(h: Floats, others: Floats, scores: Floats, weight: float) -> tuple[str, ...]:
    alone = clustered_difference(scores[~np.isnan(scores)])
    said = f", {format_p(alone.p_value)}" if alone.p_value is not None else ""
    rough = (
        (f"fewer than {FEW_LABELLED} items with human scores: the interval is rough",)
        if len(h) < FEW_LABELLED
        else ()
    )
    return (
        f"{len(h)} of {len(h) + len(others)} items have human scores; the judge counts with weight {weight:.3g}",
        f"the judge alone would have said {alone.estimate:+.4g}{said}",
        *rough,
    )


def _differences(
    judged: tuple[ArrayLike, ArrayLike], human: tuple[ArrayLike, ArrayLike]
) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Judge's and people's differences by item, and a note on items that neither scored under both conditions."""
    scores = [
        item_means(as_table(values, name))
        for values, name in zip(judged, ("control", "treatment"), strict=True)
    ]
    truth = [
        item_means(as_table(values, f"human {name}"))
        for values, name in zip(human, ("control", "treatment"), strict=True)
    ]
    if len({len(values) for values in (*scores, *truth)}) != 1:
        lengths = ", ".join(str(len(values)) for values in (*scores, *truth))
        raise StatsError(f"judged and human scores are of the same items, in one order; there are {lengths}")
    by_judge, by_people = scores[1] - scores[0], truth[1] - truth[0]
    neither = int((np.isnan(by_judge) & np.isnan(by_people)).sum())
    return (
        by_judge,
        by_people,
        (f"{neither} items without scores under both conditions left out",) if neither else (),
    )
