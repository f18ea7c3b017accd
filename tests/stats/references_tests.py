"""Tests, post-hoc comparisons and corrections beside R 4.2.2 and published examples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crucible_ray import stats
from crucible_ray.stats import FamilyResult, TestResult
from tests.stats import data
from tests.stats.references import Reference

_ALL = ("statistic", "df", "p_value", "ci_low", "ci_high")

_A = [12.1, 15.3, 9.8, 11.2, 14.7, 13.3, 10.9]
_B = [16.4, 14.9, 18.2, 13.7, 17.1, 15.5, 19.9]
"""`a` and `b` of the effect sizes."""


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
        "R: wilcox.test(x, y, conf.int = TRUE), permeability (Hollander and Wolfe 1973, p. 69)",
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
        "R: the formulas of Brunner and Munzel 2000 on rank(); the pain scores of scipy's tests",
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
        "bootstrap_difference",
        'R: boot::boot.ci(boot(c(a, b), difference, R = 200000, strata = rep(1:2, each = 7)), type = "bca", L = influences)',
        lambda: stats.bootstrap_difference(_A, _B, resamples=100_000),
        ("ci_low", "ci_high"),
        *(2.071429, 6.057143),
        tolerance=0.02,
        remark="simulation error of both sides",
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
        "R: Mee's score by optimize, its limits by uniroot: 56/70 - 48/80",
        lambda: stats.two_proportion_z(data.outcomes(48, 80), data.outcomes(56, 70)),
        ("ci_low", "ci_high"),
        *(0.05333384928, 0.3377294638),
        tolerance=1e-6,
        remark="roots found to 1e-10 on shares found to about 1e-8",
    ),
)

PAIRED = (
    _reference(
        "clustered_difference",
        "R: t.test(extra2, extra1, paired = TRUE), each value an item's mean, sleep",
        lambda: stats.clustered_difference(
            np.column_stack([data.SLEEP_2 + 1, data.SLEEP_2 - 1]) - data.SLEEP_1[:, None]
        ),
        _ALL,
        *(4.06212768338203656, 9, 0.00283289019738427, 0.70011423672301754, 2.45988576327698238),
    ),
    Reference(
        function="tango",
        source="Tango 1998, Statistics in Medicine 17, Karacan's data: 9 and 3 of 32 pairs",
        call=lambda: stats.tango(*_thirty_two()),
        expected=(-0.0271, 0.3897),
        tolerance=2e-3,
        remark="printed to four places",
    ),
    Reference(
        function="bonett_price",
        source="R, base functions: the adjusted Wald interval of Bonett and Price 2012, 9 and 3 of 32 pairs",
        call=lambda: stats.bonett_price(*_thirty_two()),
        expected=(-0.0309042468689584, 0.3838454233395466),
        tolerance=1e-9,
    ),
    Reference(
        function="wilson",
        source="R: prop.test(81, 263, correct = FALSE)$conf.int",
        call=lambda: stats.wilson(81, 263),
        expected=(0.255288519878274, 0.366209576982800),
        tolerance=1e-9,
    ),
    _reference(
        "paired_t",
        "R: t.test(extra2, extra1, paired = TRUE), sleep (Student 1908)",
        lambda: stats.paired_t(data.SLEEP_1, data.SLEEP_2),
        _ALL,
        *(4.06212768338203656, 9, 0.00283289019738427, 0.70011423672301754, 2.45988576327698238),
    ),
    _reference(
        "wilcoxon",
        "R: wilcox.test(x, y, paired = TRUE, conf.int = TRUE), depression (Hollander and Wolfe 1973, p. 29)",
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


def _thirty_two() -> tuple[list[int], list[int]]:
    """Of 32 pairs 9 are gained and 3 lost."""
    return [0] * 9 + [1] * 3 + [1] * 20, [1] * 9 + [0] * 3 + [1] * 20


def _approval() -> tuple[list[int], list[int]]:
    """794 approve twice, 150 the first time alone, 86 the second time alone, 570 never."""
    return [1] * 944 + [0] * 656, [1] * 794 + [0] * 150 + [1] * 86 + [0] * 570


_F = ("statistic", "df", "df_error", "p_value")
_CHI2 = ("statistic", "df", "p_value")
_PLANTS_ALL = np.concatenate(data.PLANTS)
_SPRAYS_ALL = np.concatenate(data.SPRAYS)

SEVERAL = (
    _reference(
        "anova",
        "R: aov(weight ~ group), PlantGrowth",
        lambda: stats.anova(*data.PLANTS),
        _F,
        *(4.8460878623801351, 2, 27, 0.0159099583256229),
    ),
    Reference(
        function="anova",
        source="NIST StRD, AtmWtAg (Certified F, between and within degrees of freedom)",
        call=lambda: [getattr(stats.anova(*data.SILVER), field) or 0.0 for field in _F[:3]],
        expected=(1.59467335677930e01, 1, 46),
        tolerance=1e-8,
        remark="seven digits of the data are constant: doubles hold no more of the rest",
    ),
    _reference(
        "welch_anova",
        "R: oneway.test(weight ~ group), PlantGrowth",
        lambda: stats.welch_anova(*data.PLANTS),
        _F,
        *(5.18097240811319, 2, 17.12841861664413, 0.01739282149017),
    ),
    _reference(
        "welch_anova",
        "R: oneway.test(count ~ spray), InsectSprays",
        lambda: stats.welch_anova(*data.SPRAYS),
        _F,
        *(36.0654438935773, 5, 30.0425605087674, 7.99937945567335e-12),
    ),
    _reference(
        "kruskal_wallis",
        "R: kruskal.test(count ~ spray), InsectSprays, with ties",
        lambda: stats.kruskal_wallis(*data.SPRAYS),
        _CHI2,
        *(54.6913446222374, 5, 1.51084443941851e-10),
    ),
    _reference(
        "repeated_measures_anova",
        "R: car::Anova(lm(times ~ 1), idesign = ~method, type = 3), Greenhouse-Geisser, RoundingTimes",
        lambda: stats.repeated_measures_anova(*data.ROUNDING_TIMES),
        ("statistic", "df", "p_value"),
        *(6.28830791575904868, 2 * 0.773501463270563, 0.00843979904540422),
    ),
    _reference(
        "friedman",
        "R: friedman.test(RoundingTimes), Hollander and Wolfe 1973, p. 140",
        lambda: stats.friedman(*data.ROUNDING_TIMES),
        _CHI2,
        *(11.14285714285714235, 2, 0.00380504077551136),
    ),
    _reference(
        "cochran_q",
        "R: mantelhaen.test by subject, whose generalised statistic is Cochran's Q; p: pchisq(Q, 3, lower.tail = FALSE)",
        lambda: stats.cochran_q(*data.MEDIA),
        _CHI2,
        *(8.05263157894737, 3, 0.044936401167813),
    ),
)

TABLES = (
    _reference(
        "chi_square",
        "R: chisq.test(M), Agresti 2007, p. 39",
        lambda: stats.chi_square([[762, 327, 468], [484, 239, 477]]),
        _CHI2,
        *(30.0701490957547, 2, 2.95358918321176e-07),
    ),
    _reference(
        "chi_square",
        "R: chisq.test(matrix(c(12, 5, 7, 7), 2)), Yates' correction",
        lambda: stats.chi_square([[12, 7], [5, 7]], correction=True),
        ("statistic", "p_value"),
        *(0.641120263895032, 0.423305424322418),
    ),
    _reference(
        "fisher_exact",
        "R: fisher.test(TeaTasting), Fisher 1935",
        lambda: stats.fisher_exact([[3, 1], [1, 3]]),
        ("p_value", "estimate", "ci_low", "ci_high"),
        *(0.485714285714286, 6.408308867005788, 0.211732915305503, 621.933750545417297),
        tolerance=1e-2,
        remark="R finds the upper limit as a root in 1 / odds ratio to an absolute 1e-4",
    ),
    _reference(
        "fisher_exact",
        "R: fisher.test(Convictions), two-sided and less",
        lambda: stats.fisher_exact([[2, 15], [10, 3]]),
        ("p_value",),
        0.000536724119143436,
    ),
    _reference(
        "fisher_exact",
        'R: fisher.test(Convictions, alternative = "less")',
        lambda: stats.fisher_exact([[2, 15], [10, 3]], alternative="less"),
        ("p_value",),
        0.000465180943362905,
    ),
)

_APPROXIMATE = "R computes in single steps of its own; p is an approximation on both sides"

ASSUMPTIONS = (
    _reference(
        "shapiro_wilk",
        "R: shapiro.test(InsectSprays$count)",
        lambda: stats.shapiro_wilk(_SPRAYS_ALL),
        ("statistic", "p_value"),
        *(0.921601280486248120, 0.000252525920392737),
        tolerance=1e-5,
        remark=_APPROXIMATE,
    ),
    _reference(
        "test_normality",
        "R: shapiro.test(PlantGrowth$weight)",
        lambda: stats.test_normality(_PLANTS_ALL),
        ("statistic", "p_value"),
        *(0.982683016098587, 0.891507368227399),
        tolerance=1e-5,
        remark=_APPROXIMATE,
    ),
    _reference(
        "anderson_darling",
        "R: nortest::ad.test(InsectSprays$count)",
        lambda: stats.anderson_darling(_SPRAYS_ALL),
        ("statistic", "p_value"),
        *(1.86493549761843, 8.25058633741577e-05),
    ),
    _reference(
        "anderson_darling",
        "R: nortest::ad.test(PlantGrowth$weight)",
        lambda: stats.anderson_darling(_PLANTS_ALL),
        ("statistic", "p_value"),
        *(0.150660485662105, 0.956745873352191),
    ),
    _reference(
        "lilliefors",
        "R: nortest::lillie.test(InsectSprays$count)",
        lambda: stats.lilliefors(_SPRAYS_ALL),
        ("statistic", "p_value"),
        *(0.164476465616480, 4.97153960113669e-05),
    ),
    _reference(
        "lilliefors",
        "R: nortest::lillie.test(PlantGrowth$weight)",
        lambda: stats.lilliefors(_PLANTS_ALL),
        ("statistic", "p_value"),
        *(0.0933872517135392, 0.7241955110233107),
    ),
    _reference(
        "dagostino_k2",
        "R, base functions: D'Agostino, Belanger and D'Agostino 1990, PlantGrowth",
        lambda: stats.dagostino_k2(_PLANTS_ALL),
        ("statistic", "p_value"),
        *(0.568335349283199, 0.752640435410182),
    ),
    _reference(
        "jarque_bera",
        "R, base functions: n / 6 (b1 + (b2 - 3)^2 / 4), pchisq, PlantGrowth",
        lambda: stats.jarque_bera(_PLANTS_ALL),
        ("statistic", "p_value"),
        *(0.660416820306386, 0.718773918038574),
    ),
    _reference(
        "levene",
        "R: car::leveneTest(count ~ spray, center = mean), InsectSprays",
        lambda: stats.levene(*data.SPRAYS),
        _F,
        *(6.45535271008670, 5, 66, 6.10363383448211e-05),
    ),
    _reference(
        "brown_forsythe",
        "R: car::leveneTest(count ~ spray, center = median), InsectSprays",
        lambda: stats.brown_forsythe(*data.SPRAYS),
        _F,
        *(3.82135631322592406, 5, 66, 0.00422279113899214),
    ),
    _reference(
        "bartlett",
        "R: bartlett.test(count ~ spray), InsectSprays",
        lambda: stats.bartlett(*data.SPRAYS),
        _CHI2,
        *(25.9598253203687, 5, 9.08512233294531e-05),
    ),
    _reference(
        "fligner",
        "R: fligner.test(count ~ spray), InsectSprays",
        lambda: stats.fligner(*data.SPRAYS),
        _CHI2,
        *(14.4827810384586080, 5, 0.0128167791897092),
    ),
    _reference(
        "f_test",
        "R: var.test(extra2, extra1), sleep",
        lambda: stats.f_test(data.SLEEP_1, data.SLEEP_2),
        ("statistic", "df", "df_error", "p_value", "ci_low", "ci_high"),
        *(1.252595035584100, 9, 9, 0.742719931726045, 0.311126888499588, 5.042940295955842),
    ),
)

_INVERTED = "the studentised range is integrated numerically"


def _family(
    function: str,
    source: str,
    run: Callable[[], FamilyResult],
    fields: tuple[str, ...],
    expected: tuple[tuple[float, ...], ...],
    *,
    tolerance: float = 1e-6,
    remark: str = "",
) -> Reference:
    return Reference(
        function=function,
        source=source,
        call=lambda: [[getattr(pair, field) for field in fields] for pair in run().pairs],
        expected=tuple(value for pair in expected for value in pair),
        tolerance=tolerance,
        remark=remark,
    )


_SIMULTANEOUS = ("estimate", "p_adjusted", "ci_low", "ci_high")

FAMILIES = (
    _family(
        "tukey_hsd",
        "R: TukeyHSD(aov(weight ~ group)), PlantGrowth",
        lambda: stats.tukey_hsd(*data.PLANTS),
        _SIMULTANEOUS,
        (
            (-0.371, 0.3908711442021247, -1.062216051410459, 0.320216051410458),
            (0.494, 0.1979959912997082, -0.197216051410459, 1.185216051410458),
            (0.865, 0.0120064239794527, 0.173783948589542, 1.556216051410459),
        ),
        remark=_INVERTED,
    ),
    _family(
        "games_howell",
        "R, base functions: ptukey and qtukey with t.test's df (Games and Howell 1976), PlantGrowth",
        lambda: stats.games_howell(*data.PLANTS),
        _SIMULTANEOUS,
        (
            (-0.371, 0.474554922193980, -1.172087501501756, 0.430087501501755),
            (0.494, 0.112889176854219, -0.100554433333160, 1.088554433333160),
            (0.865, 0.0237034547392034, 0.1135129933171944, 1.6164870066828061),
        ),
        remark=_INVERTED,
    ),
    _family(
        "dunn",
        "R, base functions: rank, pnorm, p.adjust (Dunn 1964), PlantGrowth, Holm",
        lambda: stats.dunn(*data.PLANTS),
        ("statistic", "p_adjusted"),
        (
            (-1.11772545437879, 0.2636842678913860),
            (1.68928960718612, 0.1823278880969997),
            (2.80701506156491, 0.0150008711107731),
        ),
        tolerance=1e-9,
    ),
    _family(
        "dunnett",
        'R: multcomp::glht(fit, mcp(group = "Dunnett")), PlantGrowth',
        lambda: stats.dunnett(*data.PLANTS),
        ("statistic", "p_adjusted"),
        ((-1.33079080116468, 0.322695685769), (1.77199637675297, 0.153485861515)),
    ),
    _family(
        "dunnett",
        "R: confint of the same",
        lambda: stats.dunnett(*data.PLANTS),
        ("ci_low", "ci_high"),
        ((-1.021547602034, 0.279547602034), (-0.156547602034, 1.144547602034)),
        tolerance=5e-4,
        remark="R's critical value is a root found on a simulated integral",
    ),
    _family(
        "nemenyi",
        "R, base functions: ptukey and qtukey of mean ranks (Demsar 2006, section 3.2.2), RoundingTimes",
        lambda: stats.nemenyi(*data.ROUNDING_TIMES),
        ("p_adjusted", "ci_low"),
        (
            (0.63742716701866531, -0.979379588273343),
            (0.00440982044545224, -1.661197770091524),
            (0.06137075925518454, -1.388470497364251),
        ),
        remark=_INVERTED,
    ),
    _family(
        "pairwise",
        'R: pairwise.t.test(weight, group, pool.sd = FALSE, p.adjust.method = "holm"), PlantGrowth',
        lambda: stats.pairwise(*data.PLANTS),
        ("p_adjusted",),
        ((0.2503825085875476,), (0.0957985112039386,), (0.0278952141518095,)),
        tolerance=1e-9,
    ),
    _family(
        "max_t",
        "R: mvtnorm::pmvt with the correlations of the differences, df = 21, RoundingTimes, all pairs",
        lambda: stats.max_t(*data.ROUNDING_TIMES),
        ("p_adjusted",),
        ((0.93330854963460375,), (0.03416559304574573,), (0.00175799919940189,)),
        tolerance=0.08,
        remark="100,000 draws: simulation error",
    ),
    _family(
        "max_t",
        "R: the same against the first; interval by mvtnorm::qmvt",
        lambda: stats.max_t(*data.ROUNDING_TIMES, baseline=0),
        ("p_adjusted", "ci_low"),
        (
            (0.885988990567794, -0.0694894),
            (0.022795839654326, -0.1564648),
        ),
        tolerance=0.03,
        remark="100,000 draws: simulation error",
    ),
)

_P_VALUES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.001, 0.7, 0.04)
_ADJUSTED = {
    "none": _P_VALUES,
    "bonferroni": (0.08, 0.16, 0.24, 0.32, 0.40, 0.008, 1.0, 0.32),
    "holm": (0.07, 0.12, 0.15, 0.16, 0.16, 0.008, 0.7, 0.16),
    "hochberg": (0.07, 0.1, 0.1, 0.1, 0.1, 0.008, 0.7, 0.1),
    "hommel": (0.06, 0.0666666666666667, 0.075, 0.08, 0.1, 0.008, 0.7, 0.08),
    "fdr_bh": (
        *(0.04, 0.0533333333333333, 0.0533333333333333, 0.0533333333333333),
        *(0.0571428571428571, 0.008, 0.7, 0.0533333333333333),
    ),
    "fdr_by": (
        *(0.1087142857142857, 0.1449523809523809, 0.1449523809523809, 0.1449523809523809),
        *(0.1553061224489796, 0.0217428571428571, 1.0, 0.1449523809523809),
    ),
}

CORRECTIONS = tuple(
    Reference(
        function="correct",
        source=f'R: p.adjust(p, "{method.removeprefix("fdr_").upper() if "fdr" in method else method}")',
        call=lambda method=method: stats.correct(_P_VALUES, method),  # type: ignore[misc]
        expected=expected,
        tolerance=1e-9,
    )
    for method, expected in _ADJUSTED.items()
)


REFERENCES: tuple[Reference, ...] = (
    *TWO_SAMPLES,
    *PAIRED,
    *SEVERAL,
    *TABLES,
    *ASSUMPTIONS,
    *FAMILIES,
    *CORRECTIONS,
)
