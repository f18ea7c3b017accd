"""Parts of `analysis.json` beside conditions and comparisons: what is missing, where variance comes from."""

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


class Trend(Struct, frozen=True, kw_only=True):
    """A change with position, in the metric's unit."""

    estimate: float | None
    """From the first to the last position."""
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    share: float
    """Of the total variance, freed of noise; it lies within the shares of items and resamples."""


class Alike(Struct, frozen=True, kw_only=True):
    """How alike the repeats of one condition's items are: ICC(1), one-way random, single repeats."""

    icc: float | None
    """None: nothing varies."""
    ci_low: float | None
    ci_high: float | None
    icc_mean: float | None
    """ICC(k): of the mean of all repeats."""
    identical: bool
    """No item has two different values: the repeats carry the information of 1."""


class SplitOption(Struct, frozen=True, kw_only=True):
    """The same number of calls in another way."""

    repeats: int
    items: float
    se: float
    """The difference's standard error then."""


class DifferenceSplit(Struct, frozen=True, kw_only=True):
    """What the variance of one difference, a - b, is made of, and which split of the same calls was best."""

    a: str
    b: str
    between: float
    """Variance of items' true differences."""
    within: float
    """Variance of one repeat's difference around its item's."""
    worth: float
    """How many single answers an item's repeats are worth; 1: they carry the information of one."""
    options: tuple[SplitOption, ...]
    """By repeats; the best has the smallest `se`."""


class MetricVariance(Struct, frozen=True, kw_only=True):
    """Where the variance of one metric comes from."""

    items: int
    """Items with a value in every repeat of every condition: what is said is about them."""
    of: int
    """Items in all."""
    repeats: int
    conditions: tuple[str, ...]
    total: float
    """The sum of the variances by source, in the metric's unit squared."""
    variance: dict[str, float]
    """By source: `items`, `conditions`, `items_x_conditions`, `resamples`."""
    share: dict[str, float]
    """Of `total`, by source."""
    order: Trend | None = None
    """From the condition that is asked first of an item's block to the last one; None: one condition."""
    drift: Trend | None = None
    """From the first block of the run to the last."""
    alike: dict[str, Alike] = {}
    """By condition, where there are repeats."""
    splits: tuple[DifferenceSplit, ...] = ()
