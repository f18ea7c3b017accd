"""What `analysis.json` holds: every number of a report, and no clock, path or host."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from crucible_ray.experiment.blinding import Blind
from crucible_ray.experiment.registering import Preregistration
from crucible_ray.metrics.silence import Silence
from crucible_ray.records import Shown
from crucible_ray.reduction.decisions import (
    EXPLORATORY,
    Adjusted,
    Check,
    Families,
    Group,
    Needed,
    Other,
    Size,
)
from crucible_ray.reduction.parts import MetricVariance, Missing
from crucible_ray.stats.result import format_p

_DIGITS = 12
"""Significant digits written: enough for every use, few enough to be the same on every machine."""


class Metric(Struct, frozen=True, kw_only=True):
    """One metric of one condition: latency in ms, cost in US dollars, accuracy and consensus as shares."""

    value: float | None
    """None: nothing to take it from, or a quantile that lies among timed-out trials."""
    ci_low: float | None = None
    ci_high: float | None = None
    n: int
    """Trials that have a value."""
    items: int
    """Items that have a value."""
    method: str
    """How value and interval were computed."""
    censored: int = 0
    """Timed-out trials, counted as slower than any answer (latency quantiles only)."""

    @property
    def ci(self) -> tuple[float, float] | None:
        """The interval; None where there is none."""
        return None if self.ci_low is None or self.ci_high is None else (self.ci_low, self.ci_high)


class Completeness(Shown, Struct, frozen=True, kw_only=True):
    """How much of a condition there is. Failure is missing data, never a wrong answer."""

    planned: int
    answered: int
    """Trials with an answer, unreadable ones included."""
    failed: int
    pending: int
    parse_failed: int
    """Answers that could not be read: wrong, and counted."""
    errors: dict[str, int]
    """Failed trials by class."""
    accuracy_low: float | None
    """Accuracy if every failed trial had been wrong."""
    accuracy_high: float | None
    """Accuracy if every failed trial had been right."""
    unsent: int = 0
    """Trials with a reply that was not sent for them: taken from an earlier run, or shared with another condition."""
    by_fallback: int | UnsetType = UNSET
    """Answered trials with a reply of a model that stood in for another; unset where none may."""


class Spend(Struct, frozen=True, kw_only=True):
    """US dollars of the kept rows (money lost with attempts that left no row is not in here)."""

    answered_usd: float
    failed_usd: float
    unpriced: int
    """Rows without a known price, not in the sums."""
    unpaid_usd: float = 0.0
    """Of the sums: what this run did not pay, for replies of earlier runs or shared ones."""


class Spread(Struct, frozen=True, kw_only=True):
    """How the values of answered trials lie: latency in ms, cost in US dollars, accuracy as 0 or 1."""

    n: int
    mean: float
    sd: float | None
    """Over trials, with n - 1; None for one trial."""
    minimum: float
    maximum: float
    p50: float
    p95: float
    p99: float


class Share(Struct, frozen=True, kw_only=True):
    """Right ones among answered trials."""

    right: int
    answered: int


class Level(Struct, frozen=True, kw_only=True):
    """Trials in which an ensemble's members agreed to the same degree."""

    consensus: float
    """Winning votes over votes."""
    n: int
    accuracy: float | None


class Member(Struct, frozen=True, kw_only=True):
    """One member of an ensemble, scored by its own answers within the ensemble's trials."""

    model: str
    accuracy: Metric


class Condition(Struct, frozen=True, kw_only=True):
    """One condition's numbers."""

    metrics: dict[str, Metric]
    completeness: Completeness
    spend: Spend
    members: dict[str, Member] = {}
    spread: dict[str, Spread] = {}
    """`accuracy`, `latency_ms`, `cost_usd` of single trials."""
    topics: dict[str, Share] = {}
    """Where items have topics."""
    levels: tuple[Level, ...] = ()
    """Of an ensemble, full agreement first."""
    best_member: str | None = None
    """The member with the highest accuracy, chosen after seeing the results; the first among equals."""


_OF_CONDITION = frozenset(Condition.__struct_fields__) - {"metrics"}


class Naive(Struct, frozen=True, kw_only=True):
    """What a t-test that pools repeats as if they were items would have said."""

    test: str
    estimate: float
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    n: int


class FixedSample(Struct, frozen=True, kw_only=True):
    """What a test says that takes the number of items for fixed, where the run could stop early: it does not hold its level."""

    test: str | None
    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    confidence: float
    verdict: str | None = None
    """On a hypothesis."""


class Comparison(Shown, Struct, frozen=True, kw_only=True):
    """One metric, a - b."""

    metric: str
    a: str
    b: str
    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    test: str | None
    """None: nothing could be compared, `reason` says why."""
    reason: str
    naive: Naive | None
    statistic: float | None = None
    df: float | None = None
    items: int = 0
    """Items answered under both conditions."""
    differing: int = 0
    decidable: bool = False
    notes: tuple[str, ...] = ()
    worst: float | None = None
    """The estimate if every lost trial had gone against a (metrics between 0 and 1)."""
    best: float | None = None
    """The estimate if every lost trial had gone for a (metrics between 0 and 1)."""
    missing_p: float | None = None
    """p of a test that a and b fail equally often; None where nothing failed or it is undefined."""
    withheld: bool = False
    """The interval excludes zero, and what the lost trials could have said does not: no direction is told."""
    exploratory: bool = True
    """No declared hypothesis asks for it, and no family that may be looked at holds it."""
    family: str = EXPLORATORY
    """`primary`: a hypothesis asks for it; `secondary`: another declared metric on a pair that one names; `exploratory`."""
    adjusted: Adjusted | None = None
    """Held to its level together with its family; None: it is the only one, or its family may not be looked at."""
    unit: str = "items"
    """What is independent of one another: `items`, or the field whose values are clusters of them."""
    units: int = 0
    """How many of them were compared."""
    apa: str = ""
    """As the APA's manual writes it."""
    assumptions: tuple[str, ...] = ()
    """What the test asks of the data."""
    sizes: tuple[Size, ...] = ()
    checks: tuple[Check, ...] = ()
    others: tuple[Other, ...] = ()
    detectable: float | None = None
    """The smallest true difference that so many units, spread as these are, find with a power of `desired_power`."""
    achieved_power: float | None = None
    """Power if the difference that was found were the true one: a function of the p-value, so no evidence of anything."""
    desired_power: float = 0.8
    fixed: FixedSample | UnsetType = UNSET
    """Where the run could stop early and a hypothesis asks for it: what stands above is valid whenever it stops."""

    def __str__(self) -> str:
        """The difference, its interval and p, and why this test, in the metric's own unit."""
        if self.estimate is None:
            return f"{self.metric}: {self.a} - {self.b} not compared: {self.reason}"
        ends = (
            "" if self.ci_low is None or self.ci_high is None else f" [{self.ci_low:.4g}, {self.ci_high:.4g}]"
        )
        p = "p undefined" if self.p_value is None else format_p(self.p_value)
        return f"{self.metric}: {self.a} - {self.b} = {self.estimate:+.4g}{ends}, {p} ({self.reason})"


class Value(Struct, frozen=True, kw_only=True):
    """What the extra right answers of a condition cost against the baseline."""

    condition: str
    baseline: str
    extra_usd: float | None
    """US dollars a query more; None: a price is unknown."""
    extra_correct: float | None
    """Right answers a query more."""
    usd_per_extra_correct: float | None
    """None: it cannot be said, `reason` says why."""
    reason: str | None = None


class DatasetResult(Struct, frozen=True, kw_only=True):
    """One of several datasets by itself."""

    items: int
    conditions: dict[str, Condition]
    comparisons: tuple[Comparison, ...]
    """Exploratory all: a hypothesis is about all datasets together."""


class Sequential(Struct, frozen=True, kw_only=True):
    """How far a run came whose `stop_when` may end it before everything is asked."""

    rule: str
    """`decided` (a betting sequence) or `looks` (planned ones)."""
    looks: tuple[int, ...]
    """Items at each planned look."""
    looks_taken: int
    items: int
    """Items that count: complete, and all before them in the order fixed before the run as well."""
    planned: int
    lost: int
    """Of them: items with a failed trial, which counts at its worst for whatever is claimed."""
    waiting: int
    """Complete items that do not count, since an item before them is not complete."""
    decided_at: int | None
    """After how many items every hypothesis was decided; None: not all are."""
    level: float
    """Of each hypothesis."""


class HypothesisResult(Shown, Struct, frozen=True, kw_only=True):
    """The verdict on one declared hypothesis."""

    text: str
    verdict: str
    """`supported`, `refuted`, `reversed` or `not_decided`."""
    estimate: float | None
    ci_low: float | None
    """The interval that the verdict is read from, at `confidence`."""
    ci_high: float | None
    reason: str
    metric: str
    a: str
    b: str
    relation: str
    margin: float
    confidence: float
    """After the correction for several hypotheses; an equivalence reads that of two one-sided tests."""
    bonferroni: str
    """The verdict that Bonferroni's correction alone would give."""
    p_value: float | None = None
    """By itself: the smallest level at which it is decided. Against the margin where there is one; None: undefined."""
    p_adjusted: float | None = None
    """Held to alpha together with the other hypotheses."""
    plain_low: float | None = None
    """The interval at `plain_confidence`, as if it were the only hypothesis."""
    plain_high: float | None = None
    plain_confidence: float = 0.95
    bonferroni_low: float | None = None
    """The simultaneous interval by Bonferroni: those of all hypotheses cover together."""
    bonferroni_high: float | None = None
    needed: Needed | None = None
    """How many items would clear the margin; where there is one that was not cleared."""
    e_value: float | UnsetType = UNSET
    """Of a betting sequence: what was won by betting one on the hypothesis. Unset, as what follows, elsewhere."""
    decided_at: int | UnsetType | None = UNSET
    """Where the run could stop early: after how many items it was decided."""
    fixed: FixedSample | UnsetType = UNSET


class Analysis(Shown, Struct, frozen=True, kw_only=True):
    """All numbers of a report, a pure function of the plan and the kept rows."""

    experiment_id: str
    name: str
    simulated: bool
    items: int
    repeats: int
    confidence: float
    correction: str
    baseline: str
    conditions: dict[str, Condition]
    comparisons: tuple[Comparison, ...]
    hypotheses: tuple[HypothesisResult, ...]
    families: Families | None = None
    groups: tuple[Group, ...] = ()
    """By metric, where there are three conditions or more."""
    datasets: dict[str, DatasetResult] = {}
    """By name, where an experiment asks several."""
    values: tuple[Value, ...] = ()
    """What each condition's extra right answers cost."""
    warnings: tuple[Silence, ...] = ()
    """What makes scores say less than they seem to."""
    blind: Blind | None = None
    """None: the run is not blind."""
    preregistration: Preregistration | None = None
    """None: the run began without a registered plan, as earlier versions' did."""
    missing: Missing | None = None
    """None: every trial that began has an answer."""
    variance: dict[str, MetricVariance] = {}
    """By metric: where its variance comes from."""
    custom: dict[str, Any] = {}
    sequential: Sequential | UnsetType = UNSET
    """Of a run that could stop early; unset elsewhere."""


def is_decided(analysis: Analysis) -> bool:
    """Whether its `stop_when` has ended the run, or would have."""
    return analysis.sequential is not UNSET and analysis.sequential.decided_at is not None


def encode(analysis: Analysis) -> bytes:
    """`analysis.json`: a condition's metrics beside its completeness, twelve significant digits."""
    tree = msgspec.to_builtins(analysis)
    for condition in _conditions(tree):
        metrics = condition.pop("metrics")
        rest = dict(condition)
        condition.clear()
        condition.update(metrics, **rest)
    return msgspec.json.format(msgspec.json.encode(_rounded(tree)), indent=2) + b"\n"


def decode(text: bytes) -> Analysis:
    """What `encode` wrote. Raises msgspec.DecodeError."""
    tree = msgspec.json.decode(text)
    for condition in _conditions(tree):
        metrics = {name: condition.pop(name) for name in list(condition) if name not in _OF_CONDITION}
        condition["metrics"] = metrics
    return msgspec.convert(tree, Analysis)


def _conditions(tree: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the whole and of every dataset."""
    places = [tree, *tree.get("datasets", {}).values()]
    return [condition for place in places for condition in place["conditions"].values()]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") + 0.0 if math.isfinite(value) else None  # + 0.0: no "-0.0"
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(part) for part in value]
    return value
