"""Inference on plain arrays; nothing of a run is needed here."""

from crucible_ray.stats.assumptions import (
    anderson_darling,
    bartlett,
    brown_forsythe,
    dagostino_k2,
    f_test,
    fligner,
    jarque_bera,
    levene,
    lilliefors,
    shapiro_wilk,
    test_normality,
)
from crucible_ray.stats.assurances import assurance, items_for_assurance, normal_prior
from crucible_ray.stats.bootstrap import bootstrap_ci, cluster_bootstrap_ci
from crucible_ray.stats.comparing import Comparison, compare
from crucible_ray.stats.comparing_groups import GroupComparison, compare_groups
from crucible_ray.stats.dominance import cliffs_delta, rank_biserial, vargha_delaney_a
from crucible_ray.stats.effect import Effect
from crucible_ray.stats.explained import cramers_v, epsilon_squared, eta_squared, kendalls_w, omega_squared
from crucible_ray.stats.families import FamilyResult, Pair, correct
from crucible_ray.stats.groups import (
    anova,
    cochran_q,
    friedman,
    kruskal_wallis,
    repeated_measures_anova,
    welch_anova,
)
from crucible_ray.stats.intervals import clopper_pearson, mean_ci, newcombe, newcombe_paired
from crucible_ray.stats.joint import dunnett, max_t
from crucible_ray.stats.judging import JudgeAccuracy, judge_accuracy, judged_difference, ordered_logit
from crucible_ray.stats.margins import MarginResult, non_inferiority, superiority, tost
from crucible_ray.stats.paired import bonett_price, clustered_difference, mcnemar, paired_t, tango
from crucible_ray.stats.planning import detectable_effect, power, sample_size
from crucible_ray.stats.posthoc import dunn, games_howell, nemenyi, pairwise, tukey_hsd
from crucible_ray.stats.prospects import exact_support, items_for_support, support_power
from crucible_ray.stats.quantiles import quantile_difference
from crucible_ray.stats.ranks import brunner_munzel, mann_whitney, sign_test, wilcoxon
from crucible_ray.stats.ratios import cohens_h, odds_ratio, ratio_ci, risk_ratio
from crucible_ray.stats.resampling import bootstrap_difference, paired_permutation, permutation_test
from crucible_ray.stats.result import Interval, TestResult
from crucible_ray.stats.sequential import BettingSequence, GroupSequential, betting_sequence, group_sequential
from crucible_ray.stats.simulated import Simulated, simulated_quantile_power, simulated_support
from crucible_ray.stats.single import wilson
from crucible_ray.stats.splits import Split, best_split, least_cost
from crucible_ray.stats.standardised import cohens_d, cohens_dz, glass_delta, hedges_g
from crucible_ray.stats.tables import chi_square, fisher_exact
from crucible_ray.stats.twosample import student_t, two_proportion_z, welch_t

__all__ = [
    "BettingSequence",
    "Comparison",
    "Effect",
    "FamilyResult",
    "GroupComparison",
    "GroupSequential",
    "Interval",
    "JudgeAccuracy",
    "MarginResult",
    "Pair",
    "Simulated",
    "Split",
    "TestResult",
    "anderson_darling",
    "anova",
    "assurance",
    "bartlett",
    "best_split",
    "betting_sequence",
    "bonett_price",
    "bootstrap_ci",
    "bootstrap_difference",
    "brown_forsythe",
    "brunner_munzel",
    "chi_square",
    "cliffs_delta",
    "clopper_pearson",
    "cluster_bootstrap_ci",
    "clustered_difference",
    "cochran_q",
    "cohens_d",
    "cohens_dz",
    "cohens_h",
    "compare",
    "compare_groups",
    "correct",
    "cramers_v",
    "dagostino_k2",
    "detectable_effect",
    "dunn",
    "dunnett",
    "epsilon_squared",
    "eta_squared",
    "exact_support",
    "f_test",
    "fisher_exact",
    "fligner",
    "friedman",
    "games_howell",
    "glass_delta",
    "group_sequential",
    "hedges_g",
    "items_for_assurance",
    "items_for_support",
    "jarque_bera",
    "judge_accuracy",
    "judged_difference",
    "kendalls_w",
    "kruskal_wallis",
    "least_cost",
    "levene",
    "lilliefors",
    "mann_whitney",
    "max_t",
    "mcnemar",
    "mean_ci",
    "nemenyi",
    "newcombe",
    "newcombe_paired",
    "non_inferiority",
    "normal_prior",
    "odds_ratio",
    "omega_squared",
    "ordered_logit",
    "paired_permutation",
    "paired_t",
    "pairwise",
    "permutation_test",
    "power",
    "quantile_difference",
    "rank_biserial",
    "ratio_ci",
    "repeated_measures_anova",
    "risk_ratio",
    "sample_size",
    "shapiro_wilk",
    "sign_test",
    "simulated_quantile_power",
    "simulated_support",
    "student_t",
    "superiority",
    "support_power",
    "tango",
    "test_normality",
    "tost",
    "tukey_hsd",
    "two_proportion_z",
    "vargha_delaney_a",
    "welch_anova",
    "welch_t",
    "wilcoxon",
    "wilson",
]
