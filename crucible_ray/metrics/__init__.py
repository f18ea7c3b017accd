"""One answer, one score; and the names under which scores are reported."""

from crucible_ray.metrics.evaluating import Evaluation, Scored, evaluate
from crucible_ray.metrics.registry import METRICS, Metric, metric, metric_of
from crucible_ray.metrics.scoring import score_accuracy

__all__ = ["METRICS", "Evaluation", "Metric", "Scored", "evaluate", "metric", "metric_of", "score_accuracy"]
