"""Inference on plain arrays; nothing of a run is needed here."""

from crucible_ray.stats.bootstrap import bootstrap_ci, cluster_bootstrap_ci
from crucible_ray.stats.dominance import cliffs_delta, rank_biserial, vargha_delaney_a
from crucible_ray.stats.effect import Effect
from crucible_ray.stats.effects import cohens_d, cohens_dz, glass_delta, hedges_g
from crucible_ray.stats.explained import cramers_v, epsilon_squared, eta_squared, kendalls_w, omega_squared
from crucible_ray.stats.intervals import clopper_pearson, mean_ci, newcombe, newcombe_paired
from crucible_ray.stats.margins import MarginResult, non_inferiority, superiority, tost
from crucible_ray.stats.paired import bonett_price, clustered_difference, mcnemar, paired_t, tango
from crucible_ray.stats.planning import detectable_effect, power, sample_size
from crucible_ray.stats.quantiles import quantile_difference
from crucible_ray.stats.ranks import brunner_munzel, mann_whitney, sign_test, wilcoxon
from crucible_ray.stats.ratios import cohens_h, odds_ratio, ratio_ci, risk_ratio
from crucible_ray.stats.resampling import bootstrap_difference, paired_permutation, permutation_test
from crucible_ray.stats.result import Interval, TestResult
from crucible_ray.stats.sequential import BettingSequence, GroupSequential, betting_sequence, group_sequential
from crucible_ray.stats.single import wilson
from crucible_ray.stats.twosample import student_t, two_proportion_z, welch_t

__all__ = [
    "BettingSequence",
    "Effect",
    "GroupSequential",
    "Interval",
    "MarginResult",
    "TestResult",
    "betting_sequence",
    "bonett_price",
    "bootstrap_ci",
    "bootstrap_difference",
    "brunner_munzel",
    "cliffs_delta",
    "clopper_pearson",
    "cluster_bootstrap_ci",
    "clustered_difference",
    "cohens_d",
    "cohens_dz",
    "cohens_h",
    "cramers_v",
    "detectable_effect",
    "epsilon_squared",
    "eta_squared",
    "glass_delta",
    "group_sequential",
    "hedges_g",
    "kendalls_w",
    "mann_whitney",
    "mcnemar",
    "mean_ci",
    "newcombe",
    "newcombe_paired",
    "non_inferiority",
    "odds_ratio",
    "omega_squared",
    "paired_permutation",
    "paired_t",
    "permutation_test",
    "power",
    "quantile_difference",
    "rank_biserial",
    "ratio_ci",
    "risk_ratio",
    "sample_size",
    "sign_test",
    "student_t",
    "superiority",
    "tango",
    "tost",
    "two_proportion_z",
    "vargha_delaney_a",
    "welch_t",
    "wilcoxon",
    "wilson",
]
