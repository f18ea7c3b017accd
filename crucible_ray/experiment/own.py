"""An author's own metrics: functions that score a trial from its reply, with what the analysis has to know of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, overload

from crucible_ray.errors import SpecError
from crucible_ray.experiment.plan import OwnMetricPlan
from crucible_ray.settings import did_you_mean

Kind = Literal["binary", "proportion", "count", "continuous", "ordinal", "cost"]
KINDS: Final = get_args(Kind)

TAKEN: Final = frozenset(
    {"trial", "condition", "item_id", "repeat", "position", "prediction", "expected", "correct", "latency_ms"}
    | {
        "cost_usd",
        "input_tokens",
        "output_tokens",
        "reasoning_tokens",
        "finish_reason",
        "calls",
        "retries",
        "hedges",
    }
    | {"hedge_wins", "votes", "error", "completeness", "spend", "members", "best_member", "dataset", "text"}
)
"""Columns of `results.csv`, and what stands beside the metrics of a condition."""


@dataclass(frozen=True)
class OwnMetric:
    """`def f(reply, item) -> float | None`, as `@metric` makes it; it can still be called."""

    function: Callable[..., Any]
    name: str
    kind: str = "continuous"
    """What a value is; decides interval and test: binary (0 or 1), proportion (0 to 1), count, continuous, ordinal, cost."""
    better: str = "higher"
    missing: str = "drop"
    """What None stands for: `zero`, or `drop`: no value."""

    def __call__(self, reply: Any, item: Any) -> Any:
        """Score one reply."""
        return self.function(reply, item)

    def plan(self) -> OwnMetricPlan:
        """What is recorded of it."""
        from crucible_ray.experiment.sources import source_hash  # it knows `spec`, which knows this module

        return OwnMetricPlan(
            name=self.name,
            kind=self.kind,
            better=self.better,
            missing=self.missing,
            source=source_hash(self.function),
        )


def own_metrics(metrics: object) -> list[OwnMetric]:
    """Those that the author wrote, of an experiment's `metrics` (checked or not)."""
    return [each for each in metrics if isinstance(each, OwnMetric)] if isinstance(metrics, tuple) else []


@overload
def metric(function: Callable[..., Any], /) -> OwnMetric: ...
@overload
def metric(
    *, kind: str = "continuous", better: str = "higher", missing: str = "drop", name: str | None = None
) -> Callable[[Callable[..., Any]], OwnMetric]: ...
def metric(
    function: Callable[..., Any] | None = None,
    /,
    *,
    kind: str = "continuous",
    better: str = "higher",
    missing: str = "drop",
    name: str | None = None,
) -> OwnMetric | Callable[[Callable[..., Any]], OwnMetric]:
    """Make a metric of the decorated `def f(reply, item) -> float | None`, to be listed in `metrics`.

    `@metric` alone is `@metric()`. kind: binary, proportion, count, continuous, ordinal or cost. better: higher or
    lower. missing: what None stands for, `zero` or `drop`. Raises SpecError with every fault.
    """

    def make(function: Callable[..., Any]) -> OwnMetric:
        called = str(name or getattr(function, "__name__", ""))
        problems = _problems(function, called, kind, better, missing)
        if problems:
            raise SpecError(tuple(f"@metric {called}: {each}" for each in problems))
        return OwnMetric(function, called, kind, better, missing)

    if function is None:
        return make
    if not callable(function):
        raise SpecError((f"@metric({function!r}): its options go by name, as @metric(kind='binary').",))
    return make(function)


def _problems(function: object, name: str, kind: str, better: str, missing: str) -> list[str]:
    problems = []
    for place, given, known in (
        ("kind", kind, KINDS),
        ("better", better, ("higher", "lower")),
        ("missing", missing, ("zero", "drop")),
    ):
        if given not in known:
            problems.append(f"{place} = {given!r} does not exist: {did_you_mean(str(given), known)}")
    if not name.isidentifier():
        problems.append("it needs a name: @metric(name=...).")
    elif name in TAKEN:
        problems.append(f"{name!r} is a column of the results already: give it another name.")
    if inspect.iscoroutinefunction(function):
        problems.append("it is computed when everything is answered: write a plain def, not async def.")
    elif callable(function):
        try:
            inspect.signature(function).bind(None, None)
        except TypeError:
            problems.append("it is called as f(reply, item): it has to take these two.")
        except ValueError:  # some builtins have no signature to look at
            pass
    return problems
