"""How values lie: by position, by item with repeats, by item in clusters or strata; laid out as tables of items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crucible_ray.errors import StatsError
from crucible_ray.stats.inputs import as_floats, computable
from crucible_ray.stats.result import Floats

Codes = NDArray[np.int64]
Labels = ArrayLike | tuple[ArrayLike, ArrayLike]
"""One label per value, for both conditions if they are laid out alike, else a pair of arrays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Two conditions as tables of items by repeats, NaN where there is no value."""

    control: Floats
    treatment: Floats
    paired: bool
    """Rows are the same items."""
    clusters: Codes | None
    strata: Codes | None
    """One code per row."""
    notes: tuple[str, ...]


def lay_out(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    items: Labels | None,
    clusters: Labels | None,
    strata: Labels | None,
    paired: bool,
) -> Layout:
    """Values as tables; pairing is declared by `items` or `paired`, never guessed.

    Values have shape [n], or [items, repeats] with one label per row. Raises StatsError on labels of another number,
    on an item in two clusters or strata, and on clusters or strata without pairs.
    """
    before, after = as_table(control, "control"), as_table(treatment, "treatment")
    if items is None and not paired:
        if clusters is not None or strata is not None:
            raise StatsError(
                "clusters and strata are of items: give items=, or paired=True where positions are items"
            )
        return Layout(control=before, treatment=after, paired=False, clusters=None, strata=None, notes=())
    if items is None:
        if len(before) != len(after):
            raise StatsError(
                f"paired=True needs as many items on both sides; there are {len(before)} and {len(after)}. "
                "Name them with items= to pair those that are in both"
            )
        labels = [_of_rows(clusters, before, after, "clusters"), _of_rows(strata, before, after, "strata")]
        return Layout(
            control=before, treatment=after, paired=True, clusters=labels[0], strata=labels[1], notes=()
        )
    codes_before, codes_after = _coded(items, before, after, "items")
    rows = int(max(codes_before.max(), codes_after.max())) + 1
    common = np.intersect1d(codes_before, codes_after)
    if not common.size:
        if clusters is not None or strata is not None:
            raise StatsError(
                "no item is in both conditions, so that clusters and strata have nothing to compare"
            )
        tables = [by_item(table, codes) for table, codes in ((before, codes_before), (after, codes_after))]
        note = ("no item is in both conditions: they are compared as independent groups of items",)
        return Layout(
            control=tables[0], treatment=tables[1], paired=False, clusters=None, strata=None, notes=note
        )
    alone = rows - len(common)
    return Layout(
        control=by_item(before, codes_before, rows)[common],
        treatment=by_item(after, codes_after, rows)[common],
        paired=True,
        clusters=_of_items(clusters, (before, after), (codes_before, codes_after), rows, common, "clusters"),
        strata=_of_items(strata, (before, after), (codes_before, codes_after), rows, common, "strata"),
        notes=(f"{alone} items in one condition alone are left out",) if alone else (),
    )


def as_table(values: ArrayLike, name: str) -> Floats:
    """Values as [rows, repeats]; raises StatsError on anything but numbers in one or two dimensions, or none."""
    array = as_floats(values, name)
    if array.ndim not in (1, 2) or array.size == 0:
        raise StatsError(
            f"{name} has shape {array.shape}; it must be [values] or [items, repeats], and hold some"
        )
    computable(array, name)
    return array if array.ndim == 2 else array[:, None]


def by_item(table: Floats, codes: Codes, rows: int | None = None) -> Floats:
    """All values of an item in one row of its own, in the order given, NaN beyond; code k is row k."""
    if rows is None:
        _, codes = np.unique(codes, return_inverse=True)
        rows = int(codes.max()) + 1
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=rows)
    starts = np.cumsum(counts) - counts
    place = np.arange(len(codes)) - starts[codes[order]]
    width = table.shape[1]
    found = np.full((rows, max(1, int(counts.max())), width), np.nan)
    found[codes[order], place] = table[order]
    return found.reshape(rows, -1)


def encode(*labels: ArrayLike, name: str = "items") -> list[Codes]:
    """Labels as whole numbers from 0, the same label the same number in each; in order of first appearance."""
    arrays = [np.asarray(label) for label in labels]
    if any(array.ndim != 1 for array in arrays):
        raise StatsError(f"{name} are one label per value, a list each")
    if len({array.dtype.kind in "US" for array in arrays}) > 1:
        raise StatsError(f"{name} are text in one condition and numbers in the other")
    together = np.concatenate(arrays)
    try:
        _, first, codes = np.unique(together, return_index=True, return_inverse=True)
    except TypeError as wrong:
        raise StatsError(f"{name} mix kinds of labels that cannot be told apart: {wrong}") from wrong
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.split(rank[codes], np.cumsum([len(array) for array in arrays])[:-1])


def _coded(labels: Labels, before: Floats, after: Floats, name: str) -> tuple[Codes, Codes]:
    pair: tuple[Any, Any] = labels if _is_pair(labels) else (labels, labels)  # type: ignore[assignment]
    for label, table, side in zip(pair, (before, after), ("control", "treatment"), strict=True):
        if np.shape(label) != (len(table),):
            raise StatsError(
                f"{name}: {side} has {len(table)} values or rows and labels of shape {np.shape(label)}; "
                "give one label for each, as (labels of control, labels of treatment) where they differ"
            )
    first, second = encode(*pair, name=name)
    return first, second


def _of_rows(labels: Labels | None, before: Floats, after: Floats, name: str) -> Codes | None:
    """The label of each row, as a code, where both conditions have the same rows."""
    if labels is None:
        return None
    found, other = _coded(labels, before, after, name)
    if (found != other).any():
        raise StatsError(f"an item is in two {name}: each has one")
    return found


def _is_pair(labels: Labels) -> bool:
    return isinstance(labels, tuple) and len(labels) == 2 and all(np.ndim(part) == 1 for part in labels)


def _of_items(
    labels: Labels | None,
    tables: tuple[Floats, Floats],
    items: tuple[Codes, Codes],
    rows: int,
    common: Codes,
    name: str,
) -> Codes | None:
    """The label of each common item, as a code."""
    if labels is None:
        return None
    coded = np.concatenate(_coded(labels, *tables, name))
    places = np.concatenate(items)
    found = np.full(rows, -1, np.int64)
    found[places] = coded
    if (found[places] != coded).any():
        raise StatsError(f"an item is in two {name}: each has one")
    return found[common]
