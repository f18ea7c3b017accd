"""Rows to inference: what a design's kept rows say, as one `Analysis`, a pure function of plan and rows."""

from crucible_ray.reduction.analysis import Analysis, decode, encode
from crucible_ray.reduction.reducing import reduce

__all__ = ["Analysis", "decode", "encode", "reduce"]
