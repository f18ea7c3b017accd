"""Tests, post-hoc comparisons and corrections beside R 4.2.2 and published examples."""

from __future__ import annotations

from collections.abc import Callable

from crucible_ray import stats
from crucible_ray.stats import TestResult
from tests.stats import data
from tests.stats.references import Reference

_ALL = ("statistic", "df", "p_value", "ci_low", "ci_high")


def _take(run: Callable[[], TestResult], *fields: str) -> Callable[[], list[float]]:
    return lambda: [getattr(run(), field) for field in fields]


def _reference(
    function: str,
    source: str,
    run: Callable[[], TestResult],
    fields: tuple[str, ...],
    *expected: float,
    tolerance: float = 1e-9,
    remark: str = "",
) -> Reference:
    return Reference(
        function=function,
        source=source,
        call=_take(run, *fields),
        expected=expected,
        tolerance=tolerance,
        remark=remark,
    )


TWO_SAMPLES = (
    _reference(
        "student_t",
        "R: t.test(treatment, control, var.equal = TRUE), the guide's example",
        lambda: stats.student_t(data.GUIDE_CONTROL, data.GUIDE_TREATMENT),
        _ALL,
        *(6.99999999999998934, 8, 0.00011263854912687, 0.04693995864795827, 0.09306004135204163),
    ),
    _reference(
        "student_t",
        "R: t.test(extra2, extra1, var.equal = TRUE), sleep",
        lambda: stats.student_t(data.SLEEP_1, data.SLEEP_2),
        _ALL,
        *(1.8608134674868528, 18, 0.0791867142159382, -0.2038740322875986, 3.3638740322875984),
    ),
    _reference(
        "welch_t",
        "R: t.test(extra2, extra1), sleep",
        lambda: stats.welch_t(data.SLEEP_1, data.SLEEP_2),
        _ALL,
        *(1.8608134674868531, 17.7764735161784984, 0.0793941401873582),
        *(-0.2054832307117102, 3.3654832307117104),
    ),
    _reference(
        "welch_t",
        'R: t.test(extra2, extra1, alternative = "greater"), sleep',
        lambda: stats.welch_t(data.SLEEP_1, data.SLEEP_2, alternative="greater"),
        ("p_value",),
        0.0396970700936791,
    ),
    _reference(
        "mann_whitney",
        "R: wilcox.test(treatment, control, conf.int = TRUE), the guide's example",
        lambda: stats.mann_whitney(data.GUIDE_CONTROL, data.GUIDE_TREATMENT),
        ("statistic", "p_value", "ci_low", "ci_high", "estimate"),
        *(25, 0.00793650793650794, 0.03999999999999992, 0.09999999999999998, 0.06999999999999995),
    ),
    _reference(
        "mann_whitney",
        "R: wilcox.test(x, y, conf.int = TRUE), permeability (Hollander and Wolfe 1999, p. 110)",
        lambda: stats.mann_whitney(data.PERMEABILITY_EARLY, data.PERMEABILITY_TERM),
        ("statistic", "p_value", "ci_low", "ci_high", "estimate"),
        *(35, 0.254412254412254, -0.15, 0.76, 0.305),
    ),
    _reference(
        "mann_whitney",
        'R: wilcox.test(x, y, alternative = "greater"), permeability',
        lambda: stats.mann_whitney(data.PERMEABILITY_EARLY, data.PERMEABILITY_TERM, alternative="greater"),
        ("p_value",),
        0.127206127206127,
    ),
    _reference(
        "mann_whitney",
        "R: wilcox.test(extra2, extra1, exact = FALSE), sleep, with ties",
        lambda: stats.mann_whitney(data.SLEEP_1, data.SLEEP_2, method="asymptotic"),
        ("statistic", "p_value"),
        *(74.5, 0.0693275754336266),
    ),
    _reference(
        "mann_whitney",
        'R: coin::wilcox_test(extra ~ group, distribution = "exact"), sleep, with ties',
        lambda: stats.mann_whitney(data.SLEEP_1, data.SLEEP_2),
        ("p_value",),
        0.0658165364047717,
    ),
    _reference(
        "brunner_munzel",
        "Brunner and Munzel 2000, pain scores, as R's lawstat::brunner.munzel.test prints them",
        lambda: stats.brunner_munzel(data.PAIN_Y, data.PAIN_N),
        ("statistic", "df", "p_value"),
        *(3.1374674823029505, 17.682841979481548, 0.0057862086661515377),
    ),
    Reference(
        function="brunner_munzel",
        source="the same: relative effect and its interval",
        call=lambda: [
            (1 + (value or 0.0)) / 2
            for result in (stats.brunner_munzel(data.PAIN_Y, data.PAIN_N),)
            for value in (result.estimate, result.ci_low, result.ci_high)
        ],
        expected=(0.788961, 0.5952169, 0.9827052),
        tolerance=1e-6,
        remark="printed to seven digits",
    ),
    _reference(
        "permutation_test",
        'R: coin::oneway_test(extra ~ group, distribution = "exact"), sleep',
        lambda: stats.permutation_test(data.SLEEP_1, data.SLEEP_2, resamples=199_999),
        ("p_value",),
        0.081447963800905,
        tolerance=0.03,
        remark="184,756 splits, of which 199,999 are drawn: simulation error",
    ),
    _reference(
        "two_proportion_z",
        "R: prop.test(c(56, 48), c(70, 80), correct = FALSE), root of the statistic",
        lambda: stats.two_proportion_z(data.outcomes(48, 80), data.outcomes(56, 70)),
        ("statistic", "p_value"),
        *(7.02341137123745973**0.5, 0.00804508136819656),
    ),
    _reference(
        "two_proportion_z",
        "Newcombe 1998, Statistics in Medicine 17, table II, method 5 (Mee), 56/70 and 48/80",
        lambda: stats.two_proportion_z(data.outcomes(48, 80), data.outcomes(56, 70)),
        ("ci_low", "ci_high"),
        *(0.0533, 0.3377),
        tolerance=1e-3,
        remark="printed to four places",
    ),
)

PAIRED = (
    _reference(
        "paired_t",
        "R: t.test(extra2, extra1, paired = TRUE), sleep (Student 1908)",
        lambda: stats.paired_t(data.SLEEP_1, data.SLEEP_2),
        _ALL,
        *(4.06212768338203656, 9, 0.00283289019738427, 0.70011423672301754, 2.45988576327698238),
    ),
    _reference(
        "wilcoxon",
        "R: wilcox.test(x, y, paired = TRUE, conf.int = TRUE), depression (Hollander and Wolfe 1999, p. 39)",
        lambda: stats.wilcoxon(data.DEPRESSION_SECOND, data.DEPRESSION_FIRST),
        ("statistic", "p_value", "ci_low", "ci_high", "estimate"),
        *(40, 0.0390625, 0.010, 0.786, 0.460),
    ),
    _reference(
        "wilcoxon",
        "R: wilcox.test(extra2, extra1, paired = TRUE, exact = FALSE), sleep, with ties and a zero",
        lambda: stats.wilcoxon(data.SLEEP_1, data.SLEEP_2, method="asymptotic"),
        ("statistic", "p_value"),
        *(45, 0.00909069801592506),
    ),
    _reference(
        "wilcoxon",
        'R: coin::wilcoxsign_test(..., zero.method = "Wilcoxon", distribution = "exact"), sleep',
        lambda: stats.wilcoxon(data.SLEEP_1, data.SLEEP_2),
        ("p_value",),
        0.00390625,
    ),
    _reference(
        "sign_test",
        "R: binom.test(9, 9), sleep",
        lambda: stats.sign_test(data.SLEEP_1, data.SLEEP_2),
        ("statistic", "p_value"),
        *(9, 0.00390625),
    ),
    _reference(
        "mcnemar",
        "R: mcnemar.test(approval), Agresti 1990, p. 350",
        lambda: stats.mcnemar(*_approval(), variant="corrected"),
        ("p_value",),
        4.11456228134594e-05,
    ),
    _reference(
        "mcnemar",
        "R: mcnemar.test(approval, correct = FALSE), root of the statistic",
        lambda: stats.mcnemar(*_approval()),
        ("statistic", "p_value"),
        *(-(17.3559322033898**0.5), 3.09929344104522e-05),
    ),
    _reference(
        "paired_permutation",
        'R: coin::symmetry_test(extra ~ group | ID, distribution = "exact"), sleep',
        lambda: stats.paired_permutation(data.SLEEP_1, data.SLEEP_2),
        ("p_value",),
        0.00390625,
    ),
)


def _approval() -> tuple[list[int], list[int]]:
    """794 approve twice, 150 the first time alone, 86 the second time alone, 570 never."""
    return [1] * 944 + [0] * 656, [1] * 794 + [0] * 150 + [1] * 86 + [0] * 570


REFERENCES: tuple[Reference, ...] = (*TWO_SAMPLES, *PAIRED)
