"""What comes in: arrays of numbers, checked once, each fault in a sentence that says the mend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.result import Floats

_DROP = "leave missing values out first, or count failures as the design says"


def sample(values: ArrayLike, name: str = "values", *, least: int = 2) -> Floats:
    """One sample as an array of shape [n]; raises StatsError on fewer than `least`, NaN or infinity."""
    found = _numbers(values, name)
    if not np.isfinite(found).all():
        raise StatsError(f"{name} holds NaN or infinity: {_DROP}")
    _enough(found, name, least)
    return found


def two_samples(control: ArrayLike, treatment: ArrayLike, *, least: int = 2) -> tuple[Floats, Floats]:
    """Two independent samples; raises StatsError as `sample` does."""
    return sample(control, "control", least=least), sample(treatment, "treatment", least=least)


def pairs(control: ArrayLike, treatment: ArrayLike, *, least: int = 2) -> tuple[Floats, Floats]:
    """Two samples paired by position; raises StatsError on unequal lengths too."""
    before, after = two_samples(control, treatment, least=least)
    if len(before) != len(after):
        raise StatsError(
            f"pairs need as many controls as treatments; here there are {len(before)} and {len(after)}: "
            "align them by item, or use a test for independent samples"
        )
    return before, after


def several(groups: Sequence[ArrayLike], *, least: int = 2) -> list[Floats]:
    """Two or more independent groups of `least` values each."""
    if len(groups) < 2:
        raise StatsError("several groups are wanted, each as its own argument: f(a, b, c)")
    return [sample(group, f"group {number}", least=least) for number, group in enumerate(groups, 1)]


def matched(groups: Sequence[ArrayLike]) -> Floats:
    """Two or more conditions over the same items, shape [items, conditions]."""
    found = several(groups)
    lengths = sorted({len(group) for group in found})
    if len(lengths) > 1:
        raise StatsError(f"the conditions must answer the same items; here there are {lengths} values")
    return np.column_stack(found)


def binary(values: Floats, what: str) -> Floats:
    """The same values, or StatsError unless each is 0 or 1."""
    if not np.isin(values, (0, 1)).all():
        raise StatsError(f"{what} is for outcomes of 0 and 1: code them so, or use a method for numbers")
    return values


def is_binary(*samples: Floats) -> bool:
    """Whether every value is 0 or 1."""
    return all(bool(np.isin(values, (0, 1)).all()) for values in samples)


def table(counts: ArrayLike, *, shape: tuple[int, int] | None = None) -> Floats:
    """A table of counts with two rows and columns or more, none empty; raises StatsError otherwise."""
    found = np.asarray(counts, np.float64)
    if found.ndim != 2 or min(found.shape) < 2 or (shape is not None and found.shape != shape):
        wanted = "two rows and columns or more" if shape is None else f"{shape[0]} rows, {shape[1]} columns"
        raise StatsError(f"a table of counts has {wanted}; this has shape {found.shape}")
    if not np.isfinite(found).all() or (found < 0).any() or (found != np.floor(found)).any():
        raise StatsError("a table holds counts: whole numbers from 0 on, not shares")
    if not found.sum(axis=1).all() or not found.sum(axis=0).all():
        raise StatsError("a row or a column of the table is empty: leave it out")
    return found


def _numbers(values: ArrayLike, name: str) -> Floats:
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise StatsError(f"{name} must be numbers, in one flat sequence") from None
    if found.ndim != 1:
        raise StatsError(f"{name} must be one flat sequence of numbers; it has shape {found.shape}")
    return found


def _enough(found: Floats, name: str, least: int) -> None:
    if len(found) < least:
        raise StatsError(f"{name} has {len(found)} values; {least} or more are needed")
