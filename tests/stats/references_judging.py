"""Independent answers for scores that a judge gives, with people's scores on every third item."""

from __future__ import annotations

import math

import numpy as np

from crucible_ray import stats
from tests.stats.references import Reference

CONTROL = [5, 4, 4, 5, 3, 4, 5, 2, 1, 2, 2, 5, 5, 1, 3, 5, 1, 4, 1, 3, 5, 2, 2, 2, 4, 2, 5, 3, 3, 3]
CONTROL += [3, 3, 3, 5, 5, 4, 4, 4, 2, 5, 3, 2, 5, 1, 5, 4, 1, 1, 3, 1, 1, 3, 5, 3, 5, 5, 5, 4, 3, 3]
TREATMENT = [5, 4, 4, 4, 5, 3, 4, 1, 3, 3, 4, 4, 5, 1, 3, 4, 2, 5, 2, 2, 5, 2, 4, 4, 3, 3, 5, 5, 4, 4]
TREATMENT += [2, 4, 3, 4, 4, 5, 5, 5, 3, 5, 4, 2, 5, 2, 4, 3, 2, 1, 4, 1, 1, 2, 5, 5, 5, 5, 5, 5, 3, 4]
_PEOPLE = (
    [5, 5, 5, 2, 4, 4, 2, 3, 4, 3, 4, 5, 5, 4, 5, 4, 3, 3, 4, 4],
    [5, 5, 5, 2, 3, 3, 3, 3, 3, 5, 2, 4, 5, 5, 5, 1, 3, 3, 5, 4],
)
HUMAN = tuple(np.where(np.arange(60) % 3 == 0, np.repeat(scores, 3), np.nan) for scores in _PEOPLE)
_PPI = "Python: ppi-python 0.2.3, "


def _judged(tuning: float | None) -> list[float]:
    result = stats.judged_difference((CONTROL, TREATMENT), (HUMAN[0], HUMAN[1]), tuning=tuning)
    assert result.estimate is not None
    return [result.estimate]


def _logit() -> list[float]:
    result = stats.ordered_logit(CONTROL, TREATMENT)
    assert result.estimate is not None
    assert result.statistic is not None
    # R's sandwich corrects by G / (G - 1) alone, ours (statsmodels') by (N - 1) / (N - k) as well; N = 120, k = 5.
    return [result.estimate, result.estimate / result.statistic / math.sqrt(119 / 115)]


def _accuracy() -> list[float]:
    human = [1] * 20 + [0] * 30
    judged = [1] * 18 + [0] * 2 + [0] * 27 + [1] * 3
    found = stats.judge_accuracy(judged, human)
    assert found.sensitivity is not None
    assert found.sensitivity_ci is not None
    assert found.specificity is not None
    assert found.specificity_ci is not None
    return [found.sensitivity, *found.sensitivity_ci, found.specificity, *found.specificity_ci]


REFERENCES = (
    Reference(
        function="judged_difference",
        source=_PPI + "ppi_mean_pointestimate(H, J, others, lam=1)",
        call=lambda: _judged(1.0),
        expected=(0.32499999999999996,),
        tolerance=1e-9,
    ),
    Reference(
        function="judged_difference",
        source=_PPI + "ppi_mean_pointestimate(H, J, others), tuned",
        call=lambda: _judged(None),
        expected=(0.042051282051281974,),
        tolerance=1e-9,
        remark="the interval differs: theirs is z with population variances, ours t with Satterthwaite's df",
    ),
    Reference(
        function="ordered_logit",
        source="R: MASS::polr(y ~ x, control = list(reltol = 1e-15)), sandwich::vcovCL(cluster = item, HC0)",
        call=_logit,
        expected=(0.371547256318, 0.179578386005),
        tolerance=1e-6,
        remark="both maximise by steps; the errors agree after their different corrections for few clusters",
    ),
    Reference(
        function="judge_accuracy",
        source="R: prop.test(18, 20, correct = FALSE), prop.test(27, 30, correct = FALSE)",
        call=_accuracy,
        expected=(0.9, 0.698966354772, 0.972133518786, 0.9, 0.743789174208, 0.965400111253),
        tolerance=1e-9,
    ),
)
