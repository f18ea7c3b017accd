"""One answer, one score; and the names under which scores are reported."""

from crucible_ray.metrics.registry import METRICS, Metric, metric
from crucible_ray.metrics.scoring import score_accuracy

__all__ = ["METRICS", "Metric", "metric", "score_accuracy"]
