"""A size with its interval: what every effect size, ratio and difference of quantiles returns."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from crucible_ray.stats.distributions import check_level

COHEN = (0.2, 0.5, 0.8)
"""Where |d|, |h| become small, medium and large (Cohen 1988)."""
ROMANO = (0.147, 0.33, 0.474)
"""Where |delta| becomes small, medium and large (Romano et al. 2006)."""
_WORDS = ("negligible", "small", "medium", "large")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """An estimate of a size; where there is a direction it is treatment over, or minus, control."""

    measure: str
    """`cohens_d`, `odds_ratio`, `quantile_difference`, ..."""
    value: float
    ci_low: float | None
    """None where the data bound it on no side; `notes` says why."""
    ci_high: float | None
    method: str
    """How value and interval come about, variant and source named."""
    n: int
    """Independent units: values, pairs, items, or the total of a table."""
    magnitude: str | None = None
    """negligible, small, medium or large, by convention; None where there is no convention."""
    alpha: float = 0.05
    """The interval covers at 1 - alpha."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_level(self.alpha)

    def __str__(self) -> str:
        """One line: `cohens_d = 0.42 [0.10, 0.74], small`."""
        words = f", {self.magnitude}" if self.magnitude else ""
        if self.ci_low is None or self.ci_high is None:
            return f"{self.measure} = {self.value:.3g}, no interval{words}"
        return f"{self.measure} = {self.value:.3g} [{self.ci_low:.3g}, {self.ci_high:.3g}]{words}"

    def to_json(self) -> str:
        """Every field, as JSON."""
        return json.dumps(asdict(self), allow_nan=False)


def magnitude(value: float, steps: tuple[float, float, float]) -> str:
    """The conventional word for |value|; `steps` are where small, medium and large begin."""
    return _WORDS[sum(abs(value) >= step for step in steps)]
