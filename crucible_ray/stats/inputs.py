"""What the tests are given, made into arrays; nonsense is refused with what to do about it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.result import Alternative, Floats

_MOST_EXACT = 2**53
"""From here on not every integer is a float."""
_ROUNDING = 1e-13
BINARY = "the values are 0 and 1: {} is made for them"


def sample(values: ArrayLike, name: str = "the sample", *, least: int = 2) -> tuple[Floats, tuple[str, ...]]:
    """The values that are there, shape [n], and a note on how many are missing.

    Raises StatsError on text, an infinity, or fewer than `least` values.
    """
    array = as_floats(values, name).ravel()
    computable(array, name)
    present = array[~np.isnan(array)]
    if len(present) < least:
        what = "value" if least == 1 else "values"
        raise StatsError(f"{name} needs {least} {what} or more; here there are {len(present)}")
    missing = len(array) - len(present)
    return present, (f"{name}: {missing} missing values left out",) if missing else ()


def complete(values: ArrayLike, name: str = "the sample", *, least: int = 2) -> Floats:
    """`sample` for a result that has no place for notes: a missing value is refused."""
    present, notes = sample(values, name, least=least)
    if notes:
        raise StatsError(f"{name} holds {np.size(values) - len(present)} NaN; leave missing values out first")
    return present


def complete_pairs(control: ArrayLike, treatment: ArrayLike, *, least: int = 2) -> tuple[Floats, Floats]:
    """`pairs` for a result that has no place for notes: an incomplete pair is refused."""
    before, after, notes = pairs(control, treatment, least=least)
    if notes:
        raise StatsError(f"{notes[0].removesuffix(' left out')}: leave them out first")
    return before, after


def binary(values: Floats, what: str) -> Floats:
    """The same values, or StatsError unless each is 0 or 1."""
    if not is_binary(values):
        raise StatsError(f"{what} is for outcomes of 0 and 1: code them so, or use a method for numbers")
    return values


def two_samples(
    control: ArrayLike, treatment: ArrayLike, *, least: int = 2
) -> tuple[Floats, Floats, tuple[str, ...]]:
    """`sample` of both."""
    before, before_notes = sample(control, "control", least=least)
    after, after_notes = sample(treatment, "treatment", least=least)
    return before, after, before_notes + after_notes


def pairs(
    control: ArrayLike, treatment: ArrayLike, *, least: int = 2
) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Both values of every complete pair, shape [items]; of repeats, shape [items, repeats], each item's mean.

    Raises StatsError on different numbers of items, an infinity, or fewer than `least` complete pairs.
    """
    tables = as_floats(control, "control"), as_floats(treatment, "treatment")
    before, after = (
        _item_values(table, name) for table, name in zip(tables, ("control", "treatment"), strict=True)
    )
    if len(before) != len(after):
        raise StatsError(
            f"pairs need as many values on both sides; control has {len(before)}, treatment {len(after)}. "
            "Pair them by item with compare(..., items=)"
        )
    settle((before, after), tables)
    complete = ~(np.isnan(before) | np.isnan(after))
    if int(complete.sum()) < least:
        raise StatsError(
            f"a paired test needs {least} complete pairs or more; here there are {int(complete.sum())}"
        )
    missing = len(before) - int(complete.sum())
    notes = (f"{missing} incomplete pairs left out",) if missing else ()
    return before[complete], after[complete], notes


def several(
    groups: Sequence[ArrayLike], *, fewest: int = 2, least: int = 2
) -> tuple[list[Floats], tuple[str, ...]]:
    """`sample` of each of `fewest` groups or more."""
    if len(groups) < fewest:
        raise StatsError(
            f"this needs {fewest} groups or more, one argument each; here there are {len(groups)}"
        )
    found = [sample(group, f"group {number}", least=least) for number, group in enumerate(groups, 1)]
    return [values for values, _ in found], tuple(note for _, notes in found for note in notes)


def blocks(groups: Sequence[ArrayLike], *, fewest: int = 2, least: int = 2) -> tuple[Floats, tuple[str, ...]]:
    """Items by conditions, shape [items, conditions]: items with a value under every condition.

    Groups are paired by position; of repeats, shape [items, repeats], each item's mean is taken. Raises
    StatsError on different lengths, an infinity, or fewer than `least` complete items.
    """
    if len(groups) < fewest:
        raise StatsError(
            f"this needs {fewest} conditions or more, one argument each; here there are {len(groups)}"
        )
    names = _numbered(len(groups))
    tables = [as_floats(group, name) for group, name in zip(groups, names, strict=True)]
    columns = [_item_values(table, name) for table, name in zip(tables, names, strict=True)]
    if len({len(column) for column in columns}) != 1:
        lengths = ", ".join(str(len(column)) for column in columns)
        raise StatsError(
            f"conditions are paired by position and need as many items each; here there are {lengths}"
        )
    settle(columns, tables)
    table = np.column_stack(columns)
    complete = ~np.isnan(table).any(axis=1)
    if int(complete.sum()) < least:
        raise StatsError(
            f"this needs {least} items with a value under every condition; there are {int(complete.sum())}"
        )
    missing = len(table) - int(complete.sum())
    return table[complete], (f"{missing} incomplete items left out",) if missing else ()


def counts(table: ArrayLike) -> Floats:
    """A 2-D table of counts without empty rows and columns; raises StatsError on anything else."""
    array = as_floats(table, "the table")
    if array.ndim != 2 or min(array.shape) < 2:
        raise StatsError(
            f"a table of counts has two rows and two columns or more; this has shape {array.shape}"
        )
    if not np.isfinite(array).all() or (array < 0).any() or (array != np.round(array)).any():
        raise StatsError("a table of counts holds whole numbers from 0; give counts, not shares")
    if not (array.sum(axis=0) > 0).all() or not (array.sum(axis=1) > 0).all():
        raise StatsError("a row or a column of the table is all zeros; leave it out")
    return array


def computable(array: Floats, name: str) -> None:
    """Raises StatsError on an infinity, and on sizes whose fourth powers no double holds."""
    if np.isinf(array).any():
        raise StatsError(f"{name} holds an infinity; leave it out, or use a test of ranks on capped values")
    largest = float(np.nanmax(np.abs(array))) if not np.isnan(array).all() else 0.0
    if largest > 1e70 or 0 < largest < 1e-70:
        raise StatsError(
            f"{name} has values of the order of {largest:.0e}, too far from 1 to compute with: rescale them"
        )


def direction(alternative: str) -> Alternative:
    """The alternative as it is named; raises StatsError on another."""
    if alternative == "two-sided":
        return "two-sided"
    if alternative == "less":
        return "less"
    if alternative == "greater":
        return "greater"
    raise StatsError(f"no alternative {alternative!r}: two-sided, less (treatment below control) or greater")


def finite_margin(margin: float, *, binary: bool) -> float:
    """The margin; raises StatsError where it is no number, or where a difference of shares cannot reach it."""
    if (
        isinstance(margin, bool)
        or not isinstance(margin, (int, float, np.number))
        or not math.isfinite(margin)
    ):
        raise StatsError(f"the margin is {margin!r}; it must be a finite number, in the units of the values")
    if binary and abs(margin) >= 1:
        raise StatsError(
            f"the margin is {margin:g}, and outcomes of 0 and 1 differ by less than 1: 5 points are written 0.05"
        )
    return float(margin)


def without_dust(differences: Floats, *values: Floats) -> Floats:
    """Differences rounded to 1e-12 of the largest value, so that .97 - .90 and .96 - .89 tie, and 0 is 0."""
    unit = 1e-12 * max((float(np.abs(array).max()) for array in values if array.size), default=0.0)
    return np.asarray(np.rint(differences / unit) * unit, np.float64) if unit > 0 else differences


def settle(means: Sequence[Floats], tables: Sequence[Floats]) -> None:
    """Make item means equal, in place, that differ by no more than the rounding of their sums.

    The same values in another order, or a repeat fewer of them, have means a few units of the last place apart; so
    small a difference of every item would be told as significant. means: shape [items] each, of the tables, shape
    [items, repeats]. One value per item is no sum.
    """
    if all(table.ndim == 1 or table.shape[1] == 1 for table in tables):
        return
    rows = [table if table.ndim == 2 else table[:, None] for table in tables]
    largest = np.maximum.reduce([np.where(np.isnan(row), 0.0, np.abs(row)).max(axis=1) for row in rows])
    for number, mean in enumerate(means):
        for earlier in means[:number]:
            with np.errstate(invalid="ignore"):
                alike = np.abs(mean - earlier) <= _ROUNDING * largest
            np.copyto(mean, earlier, where=alike)


def is_binary(*samples: Floats) -> bool:
    """Whether every value is 0 or 1."""
    return all(bool(np.isin(values, (0.0, 1.0)).all()) for values in samples)


def _numbered(count: int) -> list[str]:
    return [f"group {number}" for number in range(1, count + 1)]


def as_floats(values: ArrayLike, name: str) -> Floats:
    """Numbers as they are; raises StatsError on anything else, and on integers that are none of the floats."""
    try:
        given = np.asarray(values)
        array = np.asarray(given, np.float64)
    except (TypeError, ValueError) as wrong:
        raise StatsError(f"{name} is not an array of numbers: {wrong}") from wrong
    if given.dtype.kind in "iu" and given.size and (given.max() > _MOST_EXACT or given.min() < -_MOST_EXACT):
        raise StatsError(
            f"{name} holds integers above 2^53, whose last digits get lost: subtract a constant, or take a larger unit"
        )
    return array


def as_rows(values: ArrayLike) -> Floats:
    """Values as [items, repeats], whatever they are; raises StatsError on other shapes than that or [items]."""
    table = np.asarray(values, np.float64)
    if table.ndim not in (1, 2):
        raise StatsError(f"values have shape [items] or [items, repeats], not {table.shape}")
    return table if table.ndim == 2 else table[:, None]


def item_means(values_IR: Floats) -> Floats:
    """The mean over each item's repeats that are there, shape [items]; NaN where there is none."""
    present = ~np.isnan(values_IR)
    counts = present.sum(axis=1)
    sums = np.where(present, values_IR, 0.0).sum(axis=1)
    means = np.full(len(sums), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def means_of(*tables_IR: Floats, paired: bool = True) -> list[Floats]:
    """`item_means` of each table; those over the same items are equal where only rounding tells them apart (`settle`)."""
    means = [item_means(table) for table in tables_IR]
    if paired:
        settle(means, tables_IR)
    return means


def item_differences(control_IR: Floats, treatment_IR: Floats) -> Floats:
    """Treatment minus control of `means_of`, shape [items]; NaN where either has no value."""
    before, after = means_of(control_IR, treatment_IR)
    return np.asarray(after - before, np.float64)


def two_items(count: int) -> None:
    """Raises StatsError where there are fewer items to compare."""
    if count < 2:
        raise StatsError(
            f"a paired comparison needs two items answered under both conditions; there are {count}"
        )


def _item_values(array: Floats, name: str) -> Floats:
    if array.ndim not in (1, 2):
        raise StatsError(f"{name} has shape {array.shape}; it must be [items] or [items, repeats]")
    computable(array, name)
    return array if array.ndim == 1 else item_means(array)
