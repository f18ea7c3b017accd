"""Every statistic beside an independent answer: what `docs/validation.md` is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One function on one set of data, and what somebody else's program or paper says of them."""

    function: str
    """Its public name in `crucible_ray.stats`."""
    source: str
    """Who says so: the call in R, the paper and page, the package."""
    call: Callable[[], ArrayLike]
    """Our numbers, in the order of `expected`."""
    expected: tuple[float, ...]
    tolerance: float
    """Relative; absolute where the expected number is 0."""
    remark: str = ""
    """What explains a tolerance wider than 1e-9."""


class Agreement(NamedTuple):
    """A line of the validation table."""

    function: str
    source: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    tolerance: float
    remark: str

    @property
    def error(self) -> float:
        """The largest relative difference (absolute where theirs is 0)."""
        gaps = (abs(a - b) / (abs(b) or 1.0) for a, b in zip(self.ours, self.theirs, strict=True))
        return max(gaps)


def agreement(reference: Reference) -> Agreement:
    """Our numbers beside theirs."""
    ours = tuple(float(value) for value in np.ravel(np.asarray(reference.call(), np.float64)))
    return Agreement(
        reference.function, reference.source, ours, reference.expected, reference.tolerance, reference.remark
    )
