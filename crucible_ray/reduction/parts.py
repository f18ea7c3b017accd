"""Parts of `analysis.json` beside conditions and comparisons: what is missing."""

from __future__ import annotations

from msgspec import Struct


class MissingPair(Struct, frozen=True, kw_only=True):
    """What lost trials do to one comparison, a - b, of a metric between 0 and 1."""

    metric: str
    a: str
    b: str
    estimate: float | None
    """On what was answered: an item counts with the repeats that it has."""
    complete_case: float | None
    """On items that lost nothing under either condition; None: there is none."""
    complete_items: int
    worst: float
    """If every lost trial had gone against a."""
    best: float
    """If every lost trial had gone for a."""
    p_value: float | None
    """Of the test that a and b fail equally often: sign flips of items, exact McNemar at one repeat."""
    withheld: bool = False
    """No direction is told: the lost trials could turn it."""


class MissingDifficulty(Struct, frozen=True, kw_only=True):
    """Whether one condition's failures go with the difficulty of items, 0 (easy) to 1 (hard)."""

    condition: str
    source: str
    """`difficulty`: the dataset's own; `other conditions` or `other repeats`: the share of their answers that are wrong."""
    items: int
    """Items with a difficulty, begun under this condition."""
    failing: int
    """Those of them with a failed trial."""
    difficulty_failed: float
    """Mean difficulty of failed trials."""
    difficulty_answered: float
    rho: float | None
    """Spearman's correlation of an item's difficulty and its share of failed trials; None: undefined."""
    p_value: float | None


class Missing(Struct, frozen=True, kw_only=True):
    """What is missing, and whether that is by chance."""

    lost: dict[str, int]
    """By condition: trials that failed, or are pending although another of the same item and repeat has a row."""
    p_value: float | None
    """Of the test that all conditions fail equally often; None: undefined."""
    test: str | None
    """`paired_permutation` for two conditions, else `mean_scores` (Cochran's Q at one repeat)."""
    pairs: tuple[MissingPair, ...] = ()
    difficulty: tuple[MissingDifficulty, ...] = ()
