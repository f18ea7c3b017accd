"""Before money: what a plan will cost, how long it will take, and what it can find."""

from crucible_ray.estimating.assumptions import Assumptions, Measured
from crucible_ray.estimating.forecast import Estimate, Left, Tokens, estimate
from crucible_ray.estimating.power import PowerForecast
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
