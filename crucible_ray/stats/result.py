"""What a test and an interval look like from outside: frozen, plain, the same for every test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """The outcome of one test; the estimate is always treatment minus control."""

    __test__: ClassVar[bool] = False  # not a test case, whatever pytest reads into the name

    test: str
    """`mcnemar_score`, `clustered_t`, `welch_t`, ..."""
    statistic: float | None
    """t where `df` is given, else z; None where the test has no statistic or it is undefined."""
    df: float | None
    p_value: float | None
    """Two-sided; None where the data leave the test undefined (`notes` says why)."""
    estimate: float
    ci_low: float | None
    ci_high: float | None
    effect_sizes: Mapping[str, float] = field(default_factory=dict)
    n: int
    """Independent units: items, pairs, or values where nothing is paired."""
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    alpha: float = 0.05
    """The interval covers at 1 - alpha."""

    @property
    def interpretation(self) -> str:
        """One sentence in words."""
        if self.p_value is None or self.ci_low is None or self.ci_high is None:
            return f"The difference is {self.estimate:+.4g}; the test is undefined on these data."
        interval = f"{_percent(self.alpha)} % interval {self.ci_low:+.4g} to {self.ci_high:+.4g}"
        if self.p_value >= self.alpha:
            return (
                f"The data do not tell the two apart: difference {self.estimate:+.4g}, {interval}, "
                f"{format_p(self.p_value)}."
            )
        side = "higher" if self.estimate > 0 else "lower"
        return f"Treatment is {side} by {abs(self.estimate):.4g} ({interval}), {format_p(self.p_value)}."

    def apa(self) -> str:
        """The result as the APA's manual writes it: `t(99) = 2.10, p = .038, 95% CI [0.01, 0.08]`."""
        parts = []
        if self.statistic is not None:
            name = "z" if self.df is None else f"t({self.df:.6g})"
            parts.append(f"{name} = {self.statistic:.2f}")
        if self.p_value is not None:
            parts.append(format_p(self.p_value))
        parts.append(f"difference = {self.estimate:.3f}")
        if self.ci_low is not None and self.ci_high is not None:
            parts.append(f"{_percent(self.alpha)}% CI [{self.ci_low:.3f}, {self.ci_high:.3f}]")
        return ", ".join(parts)


def format_p(p_value: float) -> str:
    """`p = .038`, `p < .001`: three digits, no leading zero, never rounded up to 1 or down to 0."""
    if p_value < 0.001:
        return "p < .001"
    if p_value > 0.999:
        return "p > .999"
    return f"p = {p_value:.3f}".replace("0.", ".", 1)


def _percent(alpha: float) -> str:
    return f"{100 * (1 - alpha):.4g}"
