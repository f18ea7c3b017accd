"""Parts of a comparison and a verdict in `analysis.json`: what decides, what stands beside it, which family it is of."""

from __future__ import annotations

from msgspec import Struct

PRIMARY, SECONDARY, EXPLORATORY = "primary", "secondary", "exploratory"


class Size(Struct, frozen=True, kw_only=True):
    """One effect size; where there is a direction it is a over, or minus, b."""

    measure: str
    """By its name in `crucible_ray.stats`."""
    value: float | None
    """None: it cannot be said of these data, `notes` say why."""
    ci_low: float | None = None
    ci_high: float | None = None
    magnitude: str | None = None
    """negligible, small, medium or large, by convention; None where there is no convention."""
    method: str = ""
    notes: tuple[str, ...] = ()


class Check(Struct, frozen=True, kw_only=True):
    """A test of an assumption. It chose nothing."""

    test: str
    of: str
    """What was looked at."""
    statistic: float | None
    symbol: str | None
    df: float | None
    df_error: float | None
    p_value: float | None
    n: int
    apa: str


class Other(Struct, frozen=True, kw_only=True):
    """Another test of the same difference. It decides nothing."""

    test: str
    p_value: float
    method: str = ""


class Adjusted(Struct, frozen=True, kw_only=True):
    """The same decision held to its level together with others."""

    method: str
    """`holm`, `bonferroni`, `fdr`, `none`, or `max_t`: the joint distribution of all of them."""
    comparisons: int
    """How many there are."""
    p_value: float | None
    ci_low: float | None
    """At `confidence`: with those of the others it covers together."""
    ci_high: float | None
    confidence: float
    differs: bool | None
    """Whether the two differ, the others counted; None: nothing to decide by."""


class Needed(Struct, frozen=True, kw_only=True):
    """How many items would support a hypothesis, where the true difference lies a little past its margin."""

    effect: float
    """The true difference that is assumed."""
    power: float
    discordant: tuple[float, ...]
    """Shares of items on which the two differ: two usual ones, and the one that was found."""
    items: tuple[int | None, ...]
    """By share; None: no number of them."""


class GroupPair(Struct, frozen=True, kw_only=True):
    """Two of three conditions or more, a - b, as one of the family."""

    a: str
    b: str
    estimate: float
    test: str | None
    p_value: float | None
    p_adjusted: float | None
    ci_low: float | None
    """Covers together with those of all other pairs."""
    ci_high: float | None


class Group(Struct, frozen=True, kw_only=True):
    """One metric over three conditions or more: whether they differ at all, then which."""

    metric: str
    test: str | None
    """Over all conditions; None: nothing could be compared, `reason` says why."""
    statistic: float | None = None
    df: float | None = None
    df_error: float | None = None
    p_value: float | None = None
    apa: str = ""
    reason: str
    against: str | None = None
    """The baseline that all are compared with; None: all pairs."""
    method: str = ""
    """What holds the pairs to their level together."""
    pairs: tuple[GroupPair, ...] = ()
    sizes: tuple[Size, ...] = ()
    naive_p: float | None = None
    """Of an analysis of variance over all trials as if they were of different items, for contrast."""
    notes: tuple[str, ...] = ()


class Families(Struct, frozen=True, kw_only=True):
    """Which comparisons hang together, and whether the second family may be looked at."""

    correction: str
    primary: int
    """Declared hypotheses."""
    secondary: int
    """Other declared metrics on the pairs that hypotheses name."""
    exploratory: int
    open: bool
    """Whether every hypothesis is supported, so that the secondary comparisons are decided, too."""
    reason: str
