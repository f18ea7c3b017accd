"""Independent answers for effect sizes, intervals, margins, planning and looks.

R is version 4.2.2, with effectsize 0.8.3, epiR 2.0.57, rpact 3.3.4 and boot 1.3-28.1; `a`, `b`, `c` and the tables
are the data below, in R as `c(...)` and `matrix(..., byrow = TRUE)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from crucible_ray import stats
from crucible_ray.stats import Effect, MarginResult
from tests.stats.references import Reference

A = [12.1, 15.3, 9.8, 11.2, 14.7, 13.3, 10.9]
B = [16.4, 14.9, 18.2, 13.7, 17.1, 15.5, 19.9]
C = [10.2, 11.8, 9.4, 12.6, 13.1, 12.2]
D = [12.0, 13.0, 11.0, 12.0, 15.0, 14.0, 13.0]
GUIDE = ([0.89, 0.87, 0.90, 0.88, 0.91], [0.96, 0.97, 0.94, 0.95, 0.98])
TABLE = [[12, 5, 9], [8, 14, 6]]
FOURFOLD = [[34, 16], [21, 29]]
COST = [0.021, 0.034, 0.018, 0.027, 0.030, 0.022, 0.041, 0.025]
CORRECT = [1, 1, 0, 1, 1, 0, 1, 1]
INVERTED = "a noncentral distribution is inverted, on their side to about 1e-8"


def effect(found: Effect) -> tuple[float, ...]:
    """Value and limits."""
    assert found.ci_low is not None
    assert found.ci_high is not None
    return found.value, found.ci_low, found.ci_high


def margin(found: MarginResult) -> tuple[float, ...]:
    """p and limits."""
    assert found.p_value is not None
    assert found.ci_low is not None
    assert found.ci_high is not None
    return found.p_value, found.ci_low, found.ci_high


def of_counts(both: int, control: int, treatment: int, neither: int) -> tuple[list[int], list[int]]:
    """Pairs of 0 and 1 with these counts; `control`: where it alone is 1."""
    before = [1] * (both + control) + [0] * (treatment + neither)
    after = [1] * both + [0] * control + [1] * treatment + [0] * neither
    return before, after


def shares(successes: int, n: int) -> list[int]:
    """n outcomes, so many of them 1."""
    return [1] * successes + [0] * (n - successes)


def _rounded(
    function: str,
    source: str,
    call: Callable[[], Sequence[float]],
    expected: tuple[float, ...],
    tolerance: float = 1e-9,
    remark: str = "",
) -> Reference:
    return Reference(
        function=function, source=source, call=call, expected=expected, tolerance=tolerance, remark=remark
    )


def _r(
    function: str, source: str, call: Callable[[], Sequence[float]], expected: tuple[float, ...]
) -> Reference:
    return _rounded(function, source, call, expected)


def _inverted(
    function: str, source: str, call: Callable[[], Sequence[float]], expected: tuple[float, ...]
) -> Reference:
    return _rounded(function, source, call, expected, 1e-6, INVERTED)


_SIZES = (
    _inverted(
        "cohens_d",
        "R: effectsize::cohens_d(b, a)",
        lambda: effect(stats.cohens_d(A, B)),
        (1.9636080345693299, 0.63334788912671924, 3.2417213488173893),
    ),
    _inverted(
        "cohens_d",
        "R: effectsize::cohens_d on the guide's example",
        lambda: effect(stats.cohens_d(*GUIDE)),
        (4.427188724235724, 1.9348114920701658, 6.8583100590116484),
    ),
    _inverted(
        "hedges_g",
        "R: effectsize::hedges_g(b, a)",
        lambda: effect(stats.hedges_g(A, B)),
        (1.8378228833486188, 0.59277677788322947, 3.0340625885669836),
    ),
    _inverted(
        "glass_delta",
        "R: effectsize::glass_delta(b, a)",
        lambda: effect(stats.glass_delta(A, B)),
        (1.9870183242738966, 0.42505685173364899, 3.4760969189018822),
    ),
    _inverted(
        "cohens_dz",
        "R: effectsize::cohens_d(b, a, paired = TRUE)",
        lambda: effect(stats.cohens_dz(A, B)),
        (1.1725230788328318, 0.16270346711841127, 2.1307441779283764),
    ),
    _r(
        "rank_biserial",
        "R: effectsize::rank_biserial(b, a, paired = TRUE), the value",
        lambda: (stats.rank_biserial(A, B, paired=True).value,),
        (0.9285714285714286,),
    ),
    _r(
        "rank_biserial",
        "R: effectsize::rank_biserial(b, a), the value",
        lambda: (stats.rank_biserial(A, B).value,),
        (0.87755102040816335,),
    ),
    _rounded(
        "cliffs_delta",
        "R: effsize::cliff.delta, the example of its manual",
        lambda: effect(
            stats.cliffs_delta([10, 20, 30, 40, 40, 50], [10, 10, 20, 20, 20, 30, 30, 30, 40, 50])
        ),
        (-0.25, -0.7265846, 0.3890062),
        1e-6,
        "printed with 7 digits",
    ),
    _r(
        "vargha_delaney_a",
        "(Cliff's delta + 1) / 2 of R: effectsize::rank_biserial(b, a)",
        lambda: (stats.vargha_delaney_a(A, B).value,),
        ((0.87755102040816335 + 1) / 2,),
    ),
    _inverted(
        "eta_squared",
        "R: effectsize::eta_squared(aov(y ~ f)); uniroot over pf(F, 2, 17, ncp)",
        lambda: effect(stats.eta_squared(A, B, C)),
        (0.60427804545102404, 0.20773407087168469, 0.74141307781621957),
    ),
    _inverted(
        "omega_squared",
        "R: effectsize::omega_squared(aov(y ~ f)); uniroot over pf(F, 2, 17, ncp)",
        lambda: effect(stats.omega_squared(A, B, C)),
        (0.54503531893311863, 0.20773407087168469, 0.74141307781621957),
    ),
    _inverted(
        "epsilon_squared",
        "R: effectsize::epsilon_squared(aov(y ~ f)); uniroot over pf(F, 2, 17, ncp)",
        lambda: effect(stats.epsilon_squared(A, B, C)),
        (0.55772252138643863, 0.20773407087168469, 0.74141307781621957),
    ),
    _r(
        "epsilon_squared",
        "R: effectsize::rank_epsilon_squared(y, f)",
        lambda: (stats.epsilon_squared(A, B, C, variant="kruskal_wallis").value,),
        (0.6159326888650194,),
    ),
    _r(
        "kendalls_w",
        "R: friedman.test(cbind(a, b, d))$statistic / (7 * 2)",
        lambda: (stats.kendalls_w(A, B, D).value,),
        (0.5714285714285714,),
    ),
    _rounded(
        "cramers_v",
        "R: effectsize::cramers_v(t, adjust = FALSE, alternative = 'two.sided')",
        lambda: effect(stats.cramers_v(TABLE)),
        (0.32193745463421353, 0.0, 0.56685958057430308),
        1e-5,
        "they minimise a distance, to about 1e-6",
    ),
    _r(
        "odds_ratio",
        "R: epiR::epi.2by2(t, method = 'cohort.count'), OR.strata.wald",
        lambda: effect(stats.odds_ratio(FOURFOLD)),
        (2.9345238095238093, 1.295565804259933, 6.6468487824755789),
    ),
    _r(
        "risk_ratio",
        "R: epiR::epi.2by2(t, method = 'cohort.count'), RR.strata.wald",
        lambda: effect(stats.risk_ratio(FOURFOLD)),
        (1.6190476190476193, 1.1103491779791723, 2.3608025697956929),
    ),
    _r(
        "cohens_h",
        "R: 2 * asin(sqrt(.68)) - 2 * asin(sqrt(.42)), qnorm(.975) * sqrt(1/50 + 1/50)",
        lambda: effect(stats.cohens_h(FOURFOLD)),
        (0.52895854638855089, 0.13696574948054013, 0.92095134329656170),
    ),
)

_INTERVALS = (
    _r(
        "mean_ci", "R: t.test(a)$conf.int", lambda: stats.mean_ci(A), (10.583055788999083, 14.359801353858060)
    ),
    _r(
        "clopper_pearson",
        "R: binom.test(81, 263)$conf.int",
        lambda: stats.clopper_pearson(81, 263),
        (0.25273674558527121, 0.3676219226013514),
    ),
    _rounded(
        "newcombe",
        "R: method 10 of Newcombe 1998 (Statistics in Medicine 17, 873-890) from prop.test's Wilson limits: 56/70 - 48/80",
        lambda: stats.newcombe(shares(48, 80), shares(56, 70)),
        (0.0524314724, 0.333872654),
        1e-8,
        "printed with 10 digits",
    ),
    _rounded(
        "newcombe",
        "R: the same, 9/10 - 3/10",
        lambda: stats.newcombe(shares(3, 10), shares(9, 10)),
        (0.1705227239, 0.8090179735),
        1e-8,
        "printed with 10 digits",
    ),
    _rounded(
        "newcombe_paired",
        "R: contingencytables::Newcombe_square_and_add_CI_paired_2x2(cavo_2012)",
        lambda: stats.newcombe_paired(*of_counts(59, 16, 6, 80)),
        (-0.1186, -0.0046),
        1e-2,
        "printed with 4 digits",
    ),
    _r(
        "newcombe_paired",
        "R: confIntPairedProportion of biostatUZH, its formula, (59, 6, 16, 80) and (2, 9, 8, 1)",
        lambda: (
            *stats.newcombe_paired(*of_counts(59, 16, 6, 80)),
            *stats.newcombe_paired(*of_counts(2, 8, 9, 1)),
        ),
        (-0.11862119563870993, -0.0046251139330500748, -0.32712669751100448, 0.41226227406064131),
    ),
    _r(
        "wilson",
        "R: prop.test(81, 263, correct = FALSE)$conf.int",
        lambda: stats.wilson(81, 263),
        (0.25528851987827428, 0.36620957698280016),
    ),
    _rounded(
        "tango",
        "R: contingencytables::Tango_asymptotic_score_CI_paired_2x2(cavo_2012)",
        lambda: stats.tango(*of_counts(59, 16, 6, 80)),
        (-0.1240, -0.0054),
        1e-2,
        "printed with 4 digits",
    ),
    _rounded(
        "bonett_price",
        "R: contingencytables::Wald_CI_BonettPrice_paired_2x2(cavo_2012)",
        lambda: stats.bonett_price(*of_counts(59, 16, 6, 80)),
        (-0.1195, -0.0032),
        1e-2,
        "printed with 4 digits",
    ),
    _r(
        "ratio_ci",
        "R: uniroot over the t statistic of cost - r * correct",
        lambda: effect(stats.ratio_ci(COST, CORRECT))[1:],
        (0.025652672191197178, 0.066367568334044613),
    ),
    *(
        _rounded(
            "bootstrap_ci",
            f"R: boot::boot.ci(boot(a, mean, R = 199999), type = '{method[:4]}')",
            lambda method=method: stats.bootstrap_ci(A, method=method, resamples=199_999),  # type: ignore[misc]
            expected,
            5e-3,
            "two simulations, printed with 4 digits",
        )
        for method, expected in (
            ("percentile", (11.11, 13.89)),
            ("basic", (11.06, 13.83)),
            ("bca", (11.14, 13.91)),
        )
    ),
)

_MARGINS = (
    _rounded(
        "superiority",
        "R: Miettinen and Nurminen's score by optimize, its limits by uniroot: 56/70 - 48/80, 5/56 - 0/29",
        lambda: (
            *margin(stats.superiority(shares(48, 80), shares(56, 70)))[1:],
            *margin(stats.superiority(shares(0, 29), shares(5, 56)))[1:],
        ),
        (0.05282971323, 0.33817294, -0.03259656332, 0.1933309767),
        1e-6,
        "roots found to 1e-10 on shares found to about 1e-8",
    ),
    _r(
        "tost",
        "R: t.test(b, a, mu = -6 and 6, one-sided) and t.test(b, a, conf.level = .9)$conf.int",
        lambda: margin(stats.tost(A, B, 6)),
        (0.052004103825379934, 2.0886714644301598, 6.0256142498555540),
    ),
    _r(
        "tost",
        "R: t.test(b, a, paired = TRUE), as above",
        lambda: margin(stats.tost(A, B, 6, paired=True)),
        (0.093969783263121109, 1.5158016710095872, 6.5984840432761276),
    ),
    _r(
        "non_inferiority",
        "R: t.test(b, a, mu = -1, alternative = 'greater')$p.value",
        lambda: margin(stats.non_inferiority(A, B, 1))[:1],
        (0.00031718961091739214,),
    ),
    _r(
        "superiority",
        "R: t.test(b, a, mu = 1, alternative = 'greater')$p.value",
        lambda: margin(stats.superiority(A, B, 1))[:1],
        (0.0085143931934109768,),
    ),
)

_PLANNING = (
    _inverted(
        "power",
        "R: power.t.test(n = 64, delta = .5, sd = 1)$power",
        lambda: (stats.power("independent_continuous", n=64, effect=0.5, sd=1),),
        (0.8014586233679728,),
    ),
    _inverted(
        "power",
        "R: power.t.test(n = 34, delta = .5, sd = 1, type = 'paired')$power",
        lambda: (stats.power("paired_continuous", n=34, effect=0.5, sd=1),),
        (0.80777668551507842,),
    ),
    _r(
        "sample_size",
        "R: ceiling(power.t.test(power = .8, delta = .5, sd = 1)$n)",
        lambda: (stats.sample_size("independent_continuous", effect=0.5, sd=1),),
        (64,),
    ),
    _rounded(
        "detectable_effect",
        "R: power.t.test(n = 64, power = .8)$delta",
        lambda: (stats.detectable_effect("independent_continuous", n=64, sd=1),),
        (0.49906955512979156,),
        1e-5,
        "their root is found to about 1e-6",
    ),
    _rounded(
        "sample_size",
        "Miettinen 1968, in Connett, Smith and McHugh 1987: (z + z)^2 (discordant - effect^2) / effect^2",
        lambda: (stats.sample_size("paired_binary", effect=0.1, discordant=0.3),),
        (np.ceil((1.959963984540054 + 0.8416212335729143) ** 2 * (0.3 - 0.01) / 0.01),),
        1e-9,
    ),
)

_LOOKS = (
    _rounded(
        "group_sequential",
        "R: rpact::getDesignGroupSequential(kMax = 5, alpha = .05, sided = 2, typeOfDesign = 'asOF')$criticalValues",
        lambda: stats.group_sequential(5).bounds,
        (4.8768849487907602, 3.3570119217038155, 2.6802800670266151, 2.2898167774278908, 2.0310320481657982),
        1e-7,
        "their integration is by Simpson's rule",
    ),
    _rounded(
        "group_sequential",
        "R: rpact, informationRates = c(.3, .6, 1), beta = .1: criticalValues, inflation, mean sample size",
        lambda: _three_looks(),
        (3.9285725426266085, 2.6699720099568367, 1.9810244962573051, 1.0079108361745126, 0.82533037284033062),
        1e-6,
        "their integration is by Simpson's rule",
    ),
)


def _three_looks() -> tuple[float, ...]:
    plan = stats.group_sequential([0.3, 0.6, 1.0], power=0.9)
    return *plan.bounds, plan.inflation, plan.expected


REFERENCES = (*_SIZES, *_INTERVALS, *_MARGINS, *_PLANNING, *_LOOKS)
