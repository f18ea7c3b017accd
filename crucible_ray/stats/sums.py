"""Sums of arrays that are the same to the last bit on every machine."""

from __future__ import annotations

import math

from crucible_ray.stats.result import Floats


def exact_sum(values: Floats) -> float:
    """The correctly rounded sum of all values, whatever their order: `math.fsum`, several times faster on an array."""
    return math.fsum(values.ravel().tolist())
