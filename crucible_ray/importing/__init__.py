"""Tables, results folders and other tools' logs as rows: item, condition, repeat, stratum, cluster, and scores."""

from crucible_ray.importing.finding import read_logs
from crucible_ray.importing.log import Asked, Labels, Log

__all__ = ["Asked", "Labels", "Log", "read_logs"]
