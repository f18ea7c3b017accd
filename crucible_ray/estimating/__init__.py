"""Before money: what a plan will cost, how long it will take, and what it can find."""

from crucible_ray.estimating.forecast import (
    Assumptions,
    Estimate,
    Left,
    Measured,
    PowerForecast,
    Tokens,
    estimate,
)
from crucible_ray.estimating.text import estimate_lines, recorded_lines

__all__ = [
    "Assumptions",
    "Estimate",
    "Left",
    "Measured",
    "PowerForecast",
    "Tokens",
    "estimate",
    "estimate_lines",
    "recorded_lines",
]
