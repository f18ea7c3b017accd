"""Inference on plain arrays; nothing of a run is needed here."""

from crucible_ray.stats.paired import bonett_price, clustered_difference, mcnemar, paired_t, tango
from crucible_ray.stats.planning import detectable_effect, power, sample_size
from crucible_ray.stats.ranks import brunner_munzel, mann_whitney, sign_test, wilcoxon
from crucible_ray.stats.resampling import bootstrap_difference, paired_permutation, permutation_test
from crucible_ray.stats.result import Interval, TestResult
from crucible_ray.stats.single import wilson
from crucible_ray.stats.twosample import student_t, two_proportion_z, welch_t

__all__ = [
    "Interval",
    "TestResult",
    "bonett_price",
    "bootstrap_difference",
    "brunner_munzel",
    "clustered_difference",
    "detectable_effect",
    "mann_whitney",
    "mcnemar",
    "paired_permutation",
    "paired_t",
    "permutation_test",
    "power",
    "sample_size",
    "sign_test",
    "student_t",
    "tango",
    "two_proportion_z",
    "welch_t",
    "wilcoxon",
    "wilson",
]
