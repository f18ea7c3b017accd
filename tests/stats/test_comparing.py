"""`compare` and `compare_groups`: the design chooses, says why, and sets the naive answer beside it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.linalg import sqrtm

from crucible_ray import stats
from crucible_ray.errors import StatsError
from crucible_ray.stats import compare, compare_groups
from crucible_ray.stats.clusters import benchmark_difference, cluster_robust_difference
from crucible_ray.stats.decision import paired_difference
from crucible_ray.stats.result import Floats
from tests.stats import data

RNG = np.random.default_rng(21)
ITEMS = np.arange(60)
CONTROL = (RNG.random((60, 3)) < 0.6).astype(float)
TREATMENT = np.maximum(CONTROL, RNG.random((60, 3)) < 0.5)


def test_the_guides_example_is_welchs_t_and_says_why() -> None:
    found = compare(data.GUIDE_CONTROL, data.GUIDE_TREATMENT)
    assert found.test == "welch_t"
    assert (found.statistic, found.df) == pytest.approx((7.0, 8.0))
    assert found.p_value == pytest.approx(1.13e-4, abs=5e-7)
    assert found.effect_sizes["cohens_d"] == pytest.approx(4.43, abs=0.005)
    assert (found.ci_low, found.ci_high) == pytest.approx((0.047, 0.093), abs=5e-4)
    assert "Welch's t, which takes neither variances nor sizes as equal" in found.reason
    assert [check.test for check in found.checks] == ["shapiro_wilk", "shapiro_wilk", "levene"]
    assert found.naive is not None
    assert "The naive student_t would have said p < .001." in found.explanation


def test_a_test_by_name_also_by_the_guides_names() -> None:
    found = compare(data.GUIDE_CONTROL, data.GUIDE_TREATMENT, test="mann_whitney_u")
    assert found.p_value == pytest.approx(0.0079, abs=5e-5)
    assert "by name" in found.reason
    with pytest.raises(StatsError, match="did you mean wilcoxon"):
        compare([1.0, 2.0], [2.0, 3.0], test="wilcoxn")
    with pytest.raises(StatsError, match="paired=True"):
        compare([1.0, 2.0], [2.0, 3.0], test="paired_t")


def test_values_that_are_not_normal_are_said_with_the_alternative_and_choose_nothing() -> None:
    rng = np.random.default_rng(1)
    found = compare(rng.exponential(1, 50), rng.exponential(1.5, 50))
    assert found.test == "welch_t"
    assert "not normally distributed" in found.notes[-1]
    assert "mann_whitney" in found.notes[-1]


def test_the_same_items_are_paired_only_when_that_is_declared() -> None:
    independent, paired = (
        compare(CONTROL[:, 0], TREATMENT[:, 0]),
        compare(CONTROL[:, 0], TREATMENT[:, 0], paired=True),
    )
    assert independent.test == "two_proportion_z"
    assert paired.test == "mcnemar_score"
    assert paired.p_value is not None
    assert independent.p_value is not None
    assert paired.p_value < independent.p_value


def test_repeats_are_grouped_by_item_as_the_default_rule_does() -> None:
    labels = np.repeat(ITEMS, 3)
    by_item = compare(CONTROL.ravel(), TREATMENT.ravel(), items=labels)
    default = paired_difference(CONTROL, TREATMENT)
    assert by_item.p_value == default.result.p_value
    assert by_item.reason == default.reason
    assert by_item.naive is not None
    assert by_item.naive.test == "welch_t_pooled"
    shuffled = np.random.default_rng(7).permutation(len(labels))
    pair = (labels, labels[shuffled])
    assert compare(CONTROL.ravel(), TREATMENT.ravel()[shuffled], items=pair).p_value == pytest.approx(
        by_item.p_value
    )


def test_items_in_one_condition_alone_are_counted_and_left_out() -> None:
    found = compare(CONTROL[:, 0], TREATMENT[:50, 0], items=(ITEMS, ITEMS[10:]))
    assert found.n == 50
    assert "10 items in one condition alone are left out" in found.notes
    apart = compare(CONTROL[:, 0], TREATMENT[:, 0], items=(ITEMS, ITEMS + 100))
    assert apart.test == "two_proportion_z"
    assert "independent groups of items" in apart.notes[0]


def _cr2(diff: Floats, codes: Floats) -> tuple[float, float]:
    """Variance and Satterthwaite's df of the mean by the general matrix formulas of Pustejovsky and Tipton 2018."""
    n = len(diff)
    x = np.ones((n, 1))
    hat = x @ x.T / n
    residual = np.eye(n) - hat
    meat, vectors = 0.0, []
    for code in np.unique(codes):
        inside = codes == code
        block = np.linalg.inv(np.real(sqrtm(residual[np.ix_(inside, inside)])))
        adjusted = block @ (diff - diff.mean())[inside]
        meat += float(adjusted.sum()) ** 2
        vectors.append(residual[inside].T @ block @ np.ones(int(inside.sum())) / n)
    gram = np.array(vectors) @ np.array(vectors).T
    return meat / n**2, float(np.trace(gram) ** 2 / (gram**2).sum())


def test_clusters_above_items_have_the_general_cr2_variance_and_df() -> None:
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(9), [1, 2, 2, 3, 4, 5, 6, 8, 9])
    diff = rng.normal(0.2, 1, len(codes)) + rng.normal(0, 1, 9)[codes]
    found, (variance, df) = cluster_robust_difference(diff, codes), _cr2(diff, codes.astype(float))
    assert found.estimate is not None
    assert found.statistic == pytest.approx(found.estimate / np.sqrt(variance), rel=1e-9)
    assert found.df == pytest.approx(df, rel=1e-9)
    assert "fewer than 10" in found.notes[-1]


def test_balanced_clusters_are_t_on_cluster_means() -> None:
    diff = np.random.default_rng(4).normal(0.1, 1, (12, 5))
    found = cluster_robust_difference(diff.ravel(), np.repeat(np.arange(12), 5))
    plain = stats.clustered_difference(diff.mean(axis=1))
    assert (found.statistic, found.df, found.ci_low) == pytest.approx(
        (plain.statistic, plain.df, plain.ci_low)
    )


def test_clusters_are_the_unit_when_they_are_given() -> None:
    passages = np.repeat(ITEMS // 5, 3)
    found = compare(CONTROL.ravel(), TREATMENT.ravel(), items=np.repeat(ITEMS, 3), clusters=passages)
    assert found.test == "cluster_t"
    assert found.n == 12
    assert "12 clusters, which are the unit" in found.reason
    assert found.naive is not None
    assert found.naive.test == "clustered_t"
    with pytest.raises(StatsError, match="an item is in two clusters"):
        compare(CONTROL.ravel(), TREATMENT.ravel(), items=np.repeat(ITEMS, 3), clusters=np.arange(180) // 10)
    with pytest.raises(StatsError, match="give items="):
        compare(CONTROL[:, 0], TREATMENT[:, 0], clusters=ITEMS // 5)


def test_strata_go_to_the_default_rule() -> None:
    strata = np.repeat(["a", "b"], 30)
    found = compare(CONTROL, TREATMENT, items=ITEMS, strata=strata)
    expected = paired_difference(CONTROL, TREATMENT, strata=np.repeat([0, 1], 30)).result
    assert found.test == "stratified_t"
    assert found.p_value == expected.p_value


def test_this_benchmark_alone_counts_the_noise_of_repeats_alone() -> None:
    found = compare(CONTROL, TREATMENT, items=ITEMS, population="benchmark")
    variances = CONTROL.var(axis=1, ddof=1) / 3 + TREATMENT.var(axis=1, ddof=1) / 3
    assert found.estimate is not None
    assert found.statistic == pytest.approx(found.estimate / np.sqrt(variances.sum() / 60**2))
    assert "these items alone" in found.notes[0]
    with pytest.raises(StatsError, match="two repeats"):
        benchmark_difference(CONTROL[:, :1], TREATMENT[:, :1])


def test_ordinal_scores_ask_for_order_alone() -> None:
    scores = np.random.default_rng(5).integers(1, 6, (2, 40)).astype(float)
    assert compare(*scores, kind="ordinal").test == "brunner_munzel"
    assert compare(*scores, kind="ordinal", paired=True).test == "sign_flip"
    with pytest.raises(StatsError, match="between 0 and 1"):
        compare(*scores, kind="bounded")
    with pytest.raises(StatsError, match="0 and 1 alone"):
        compare(*scores, kind="binary")
    with pytest.raises(StatsError, match="no kind"):
        compare(*scores, kind="likert")


@pytest.mark.parametrize("paired", [True, False])
def test_p_against_a_margin_is_the_level_at_which_the_interval_ends_there(paired: bool) -> None:
    normal = np.random.default_rng(6).normal((0, 1), 1, (30, 2)).T
    for control, treatment in ((CONTROL, TREATMENT), (CONTROL[:, 0], TREATMENT[:, 0]), normal):
        found = compare(control, treatment, paired=paired, margin=0.05)
        assert found.p_value is not None
        edge = compare(control, treatment, paired=paired, alpha=found.p_value)
        assert min(abs((edge.ci_low or 0) - 0.05), abs((edge.ci_high or 0) - 0.05)) == pytest.approx(
            0, abs=1e-7
        )
        assert found.ci_low == compare(control, treatment, paired=paired).ci_low


def test_a_margin_is_read_as_t_where_the_test_is_t() -> None:
    found = compare(data.SLEEP_1, data.SLEEP_2, paired=True, margin=0.5, alternative="greater")
    # R: t.test(extra2, extra1, paired = TRUE, mu = .5, alternative = "greater"): t = 2.776644, p = .01075924
    assert (found.statistic, found.p_value) == pytest.approx((2.77664423927, 0.01075924338), rel=1e-9)
    assert found.interpretation.startswith("The difference is above +0.5")


def test_one_side_halves_p_or_leaves_its_complement_and_keeps_the_interval() -> None:
    both = compare(data.SLEEP_1, data.SLEEP_2, paired=True)
    assert both.p_value is not None
    greater, less = (
        compare(data.SLEEP_1, data.SLEEP_2, paired=True, alternative=side) for side in ("greater", "less")
    )
    assert greater.p_value == pytest.approx(both.p_value / 2)
    assert less.p_value == pytest.approx(1 - both.p_value / 2)
    assert (less.ci_low, less.ci_high) == (both.ci_low, both.ci_high)


def test_one_side_of_a_test_without_interval_is_asked_of_the_test_itself() -> None:
    scores = np.random.default_rng(9).integers(1, 6, (2, 40)).astype(float)
    found = compare(*scores, test="paired_permutation", paired=True, alternative="less")
    assert found.p_value == stats.paired_permutation(*scores, alternative="less").p_value
    named = compare(*scores, test="mann_whitney", alternative="greater")
    assert named.p_value == stats.mann_whitney(*scores, alternative="greater").p_value
    with pytest.raises(StatsError, match="has no interval"):
        compare(*scores, test="paired_permutation", paired=True, margin=0.5)


def test_sign_flips_have_an_interval_of_all_the_shifts_that_they_do_not_reject() -> None:
    rng = np.random.default_rng(11)
    control, treatment = (rng.integers(1, 6, 30).astype(float) for _ in range(2))
    found = compare(control, treatment, paired=True, kind="ordinal")
    assert found.ci_low is not None
    assert found.ci_high is not None
    assert found.p_value == pytest.approx(stats.paired_permutation(control, treatment).p_value, abs=0.015)
    for edge, inside in ((found.ci_low, 0.1), (found.ci_high, -0.1)):
        # An independent count: the exact test of the shifted differences, on either side of the interval's end.
        kept, rejected = (
            stats.paired_permutation(control + edge + step, treatment).p_value for step in (inside, -inside)
        )
        assert kept is not None
        assert rejected is not None
        assert rejected < 0.06
        assert kept > 0.04
        assert rejected < kept
    assert found.p_value is not None
    assert (found.p_value < 0.05) == (not found.ci_low <= 0 <= found.ci_high)


def test_other_tests_and_the_naive_one_stand_beside_and_can_be_left_out() -> None:
    one = compare(CONTROL[:, 0], TREATMENT[:, 0], paired=True)
    assert [each.test for each in one.beside] == ["mcnemar_mid_p", "paired_permutation"]
    exact = stats.mcnemar(CONTROL[:, 0], TREATMENT[:, 0], variant="exact")
    assert one.beside[1].p_value == pytest.approx(exact.p_value, rel=1e-9)
    latency = compare(CONTROL + 0.5, TREATMENT * 1.25, items=ITEMS)
    assert [each.test for each in latency.beside] == ["wilcoxon", "paired_permutation"]
    assert latency.naive is not None
    assert (latency.naive.test, latency.naive.n) == ("welch_t_pooled", 360)
    bare = compare(CONTROL + 0.5, TREATMENT * 1.25, items=ITEMS, checks=False, naive=False)
    assert (bare.checks, bare.beside, bare.naive) == ((), (), None)
    assert (bare.ci_low, bare.p_value) == (latency.ci_low, latency.p_value)


def test_t_on_item_means_can_be_asked_for_whatever_the_outcome_and_design() -> None:
    found = compare(
        CONTROL[:, 0], TREATMENT[:, 0], paired=True, strata=np.repeat([0, 1], 30), test="clustered_difference"
    )
    assert found.test == "stratified_t"
    assert found.reason.endswith("t on item differences, asked for by name")


def test_a_comparison_goes_to_json_whole() -> None:
    plain = json.loads(compare(CONTROL, TREATMENT, items=ITEMS).to_json())
    assert plain["reason"].startswith("paired, 60 items x 3 repeats")
    assert plain["naive"]["test"] == "welch_t_pooled"


def test_designs_that_do_not_hold_together_are_refused() -> None:
    for options, word in (
        ({"items": ITEMS[:5]}, "one label for each"),
        ({"items": (ITEMS, ITEMS.astype(str))}, "text in one condition"),
        ({"population": "world"}, "no population"),
        ({"population": "benchmark"}, "give items="),
        ({"alternative": "up"}, "no alternative"),
        ({"test": "welch_t", "paired": True, "clusters": ITEMS}, 'leave test="auto"'),
    ):
        with pytest.raises(StatsError, match=word):
            compare(CONTROL[:, 0], TREATMENT[:, 0], **options)
    with pytest.raises(StatsError, match="as many items"):
        compare([1.0, 2.0, 3.0], [1.0, 2.0], paired=True)
    with pytest.raises(StatsError, match="hold some"):
        compare([], [])


GROUPS = {"base": CONTROL, "first": TREATMENT, "second": np.maximum(TREATMENT, CONTROL[::-1])}


def test_several_conditions_on_the_same_items() -> None:
    one = {name: table[:, 0] for name, table in GROUPS.items()}
    binary = compare_groups(one, paired=True)
    assert (binary.overall.test, binary.family.test) == ("cochran_q", "max_t")
    repeats = compare_groups(GROUPS, items=ITEMS, baseline="base")
    assert (repeats.overall.test, repeats.family.test) == ("repeated_measures_anova", "max_t")
    assert [(pair.a, pair.b) for pair in repeats.family] == [("first", "base"), ("second", "base")]
    assert repeats.reason.startswith("the same items, 3 conditions, binary outcome")
    assert repeats.naive is not None
    assert repeats.naive.n == 540
    ordinal = compare_groups(one, paired=True, kind="ordinal")
    assert (ordinal.overall.test, ordinal.family.test) == ("friedman", "max_t")


def test_each_of_several_pairs_is_one_decision_by_its_own_rule_at_the_level_of_the_largest_t() -> None:
    rng = np.random.default_rng(12)
    level = rng.beta(3, 2, (150, 1))
    groups = {
        name: (rng.random((150, 1)) < level + lift) * 1.0
        for name, lift in zip("abcd", (0, 0.04, 0.08, 0.12), strict=True)
    }
    for baseline in ("a", None):
        found = compare_groups(groups, paired=True, baseline=baseline)
        assert found.family.level is not None
        for pair in found.family:
            alone = compare(groups[pair.b], groups[pair.a], paired=True)
            wide = compare(groups[pair.b], groups[pair.a], paired=True, alpha=found.family.level)
            assert (pair.test, pair.p_value) == ("mcnemar_score", alone.p_value)
            assert (pair.ci_low, pair.ci_high) == (wide.ci_low, wide.ci_high)
            assert pair.p_adjusted is not None
            assert pair.p_value is not None
            assert pair.p_value < pair.p_adjusted <= min(1.0, len(found.family.pairs) * pair.p_value)
            assert (pair.p_adjusted < 0.05) == (not (wide.ci_low or 0) <= 0 <= (wide.ci_high or 0))


def test_where_pairs_are_decided_by_t_the_family_is_that_of_the_largest_t() -> None:
    noise = np.random.default_rng(13).normal(0, 1, (40, 3)) + np.arange(3) / 2
    found = compare_groups(dict(zip("abc", noise.T, strict=True)), paired=True, baseline="a").family
    classical = stats.max_t(*noise.T, names=list("abc"), baseline="a")
    for ours, theirs in zip(found, classical, strict=True):
        assert (ours.estimate, ours.p_value, ours.p_adjusted, ours.ci_low) == pytest.approx(
            (theirs.estimate, theirs.p_value, theirs.p_adjusted, theirs.ci_low), rel=1e-6
        )


def test_clusters_of_several_conditions_are_their_unit() -> None:
    rng = np.random.default_rng(14)
    shared = np.repeat(rng.normal(0, 1, (12, 3)), 10, axis=0)
    values = shared + rng.normal(0, 0.1, (120, 3)) + np.array([0, 0.2, 0.4])
    groups = dict(zip("abc", values.T, strict=True))
    clusters = np.repeat(np.arange(12), 10)
    alone, together = (compare_groups(groups, paired=True, clusters=each) for each in (None, clusters))
    assert (alone.overall.p_value or 1) < 1e-4 < 0.05 < (together.overall.p_value or 0)
    assert together.overall.test == "max_t"
    means = values.reshape(12, 10, 3).mean(axis=1)
    for pair, theirs in zip(together.family, stats.max_t(*means.T, names=list("abc")), strict=True):
        assert pair.p_adjusted == pytest.approx(theirs.p_adjusted, abs=1e-6)
    with pytest.raises(StatsError, match="clusters and strata are of rows"):
        compare_groups(groups, clusters=clusters)


def test_several_independent_groups() -> None:
    plants = dict(zip("abc", data.PLANTS, strict=True))
    found = compare_groups(plants)
    assert (found.overall.test, found.family.test) == ("welch_anova", "games_howell")
    assert compare_groups(plants, baseline="a").family.test == "pairwise_welch_t"
    assert compare_groups(plants, test="anova").family.test == "tukey_hsd"
    assert compare_groups(plants, test="anova", baseline="b").family.test == "dunnett"
    ranks = compare_groups(plants, kind="ordinal", correction="fdr_bh")
    assert (ranks.overall.test, ranks.family.test, ranks.family.correction) == (
        "kruskal_wallis",
        "dunn",
        "fdr_bh",
    )
    shares = compare_groups({name: table[:, 0] for name, table in GROUPS.items()})
    assert (shares.overall.test, shares.family.test) == ("chi_square", "pairwise_two_proportion_z")
    assert "p = .017" in found.interpretation
    assert json.loads(found.to_json())["family"]["pairs"][2]["a"] == "c"


def test_several_conditions_by_item_labels_in_any_order() -> None:
    shuffled = np.random.default_rng(8).permutation(60)
    items = {"base": ITEMS, "first": ITEMS[shuffled], "second": ITEMS}
    groups = GROUPS | {"first": TREATMENT[shuffled]}
    assert compare_groups(groups, items=items).family == compare_groups(GROUPS, items=ITEMS).family


def test_groups_that_do_not_hold_together_are_refused() -> None:
    for groups, options, word in (
        ({"a": [1.0, 2.0], "b": [1.0, 3.0]}, {}, "take compare"),
        (GROUPS, {"baseline": "nobody"}, "no group 'nobody'"),
        (GROUPS, {"test": "friedman"}, "for the same items"),
        (GROUPS, {"test": "manova"}, "no test 'manova'"),
        (GROUPS, {"items": {"base": ITEMS}}, "labels of shape"),
        (GROUPS | {"first": TREATMENT[:5]}, {"paired": True}, "as many items"),
    ):
        with pytest.raises(StatsError, match=word):
            compare_groups(groups, **options)


@pytest.mark.parametrize("margin", [0.05, -0.4, 5.0])
def test_ordinal_scores_against_a_margin_have_the_p_whose_dual_their_interval_is(margin: float) -> None:
    rng = np.random.default_rng(3)
    control, treatment = rng.integers(1, 5, (2, 30)).astype(float)
    against = compare(control, treatment, paired=True, kind="ordinal", margin=margin)
    p_value = against.p_value
    assert p_value is not None
    assert against.statistic is None
    for alpha in (p_value * 0.99, p_value * 1.01):
        if not 1e-3 < alpha < 1:
            continue
        found = compare(control, treatment, paired=True, kind="ordinal", alpha=alpha)
        assert found.ci_low is not None
        assert found.ci_high is not None
        assert (p_value < alpha) == (not found.ci_low <= margin <= found.ci_high)
