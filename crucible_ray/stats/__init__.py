"""Inference on plain arrays; nothing of a run is needed here."""

from crucible_ray.stats.paired import bonett_price, clustered_difference, mcnemar, tango
from crucible_ray.stats.planning import detectable_effect, power, sample_size
from crucible_ray.stats.result import Interval, TestResult
from crucible_ray.stats.single import welch_t, wilson

__all__ = [
    "Interval",
    "TestResult",
    "bonett_price",
    "clustered_difference",
    "detectable_effect",
    "mcnemar",
    "power",
    "sample_size",
    "tango",
    "welch_t",
    "wilson",
]
