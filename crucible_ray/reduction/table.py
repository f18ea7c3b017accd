"""Rows into arrays: one number per trial and metric, laid out as [items, repeats, conditions]."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crucible_ray.experiment.fitting import field_of
from crucible_ray.stats.result import Floats

if TYPE_CHECKING:
    import pyarrow as pa

    from crucible_ray.experiment.plan import Plan
    from crucible_ray.records import Item

Bools = NDArray[np.bool_]

_PENDING, _ANSWERED, _FAILED = np.int8(0), np.int8(1), np.int8(2)
_PARSE_FAILED = "parse_failed"
_TIMEOUT = "timeout"


class Table:
    """The kept rows of a run as arrays. A trial without a row is pending; a failed one has no values."""

    def __init__(self, plan: Plan, items: Sequence[Item] = ()) -> None:
        """items: the plan's; without them nothing is known of clusters."""
        self._conditions = len(plan.conditions)
        self._shape = (plan.items, plan.repeats, self._conditions)
        self._own = tuple(each.name for each in plan.own_metrics)
        self._state = np.zeros(plan.trials, np.int8)
        self._kind = np.zeros(plan.trials, np.int16)
        self._kinds: list[str | None] = [None]
        self.strata = _strata(plan)
        """By item the number of its dataset, shape [items]; None where there is one dataset."""
        self.clusters = _clusters(plan, items)
        """By item the number of its cluster, shape [items]; None where items are the unit."""
        self._columns = {
            name: np.full(plan.trials, np.nan)
            for name in ("correct", "latency_ms", "cost_usd", "consensus", *self._own)
        }
        self._columns |= {name: np.zeros(plan.trials) for name in ("saved_usd", "unsent", "by_fallback")}
        self._calls = np.array([len(condition.calls) for condition in plan.conditions])
        self._may_fall_back = any(call.fallback for each in plan.conditions for call in each.calls)

    def part(self, first: int, count: int) -> Table:
        """The same of `count` items from the number `first` on; what is added to one does not reach the other."""
        per_item = self._shape[1] * self._conditions
        inside = slice(first * per_item, (first + count) * per_item)
        found = copy(self)
        found._shape, found.strata = (count, *self._shape[1:]), None
        found.clusters = None if self.clusters is None else self.clusters[first : first + count]
        found._state, found._kind = self._state[inside], self._kind[inside]
        found._columns = {name: values[inside] for name, values in self._columns.items()}
        return found

    def add(self, batch: pa.RecordBatch) -> None:
        """Take one batch of kept rows, in any order."""
        trials = batch.column("trial").to_numpy(zero_copy_only=False)
        errors = batch.column("error")
        state = np.full(len(trials), _ANSWERED, np.int8)
        with_error = np.flatnonzero(errors.is_valid().to_numpy(zero_copy_only=False))
        kinds = errors.take(_indices(with_error)).to_pylist()
        for row, kind in zip(with_error, kinds, strict=True):
            if kind not in self._kinds:
                self._kinds.append(kind)
            self._kind[trials[row]] = self._kinds.index(kind)
            if kind != _PARSE_FAILED:
                state[row] = _FAILED
        self._state[trials] = state
        failed = state == _FAILED
        for name, source in (
            ("correct", "correct"),
            ("consensus", "consensus"),
            ("latency_ms", "latency_us"),
        ):
            values = _floats(batch, source)
            values[failed] = np.nan
            self._columns[name][trials] = values / 1000 if source == "latency_us" else values
        self._columns["cost_usd"][trials] = _floats(batch, "cost_usd")
        # `results.parquet` is read here as well, which leaves these to the calls.
        for name in {"saved_usd", "unsent"} & set(batch.schema.names):
            self._columns[name][trials] = np.nan_to_num(_floats(batch, name))
        if self._may_fall_back and "calls" in batch.schema.names:
            self._columns["by_fallback"][trials] = self._fell_back(trials, batch.column("calls"))

    def add_own(self, batch: pa.RecordBatch) -> None:
        """Take the values of the author's own metrics; a column that is not there stays empty."""
        trials = batch.column("trial").to_numpy(zero_copy_only=False)
        for name in self._own:
            if name in batch.schema.names:
                self._columns[name][trials] = _floats(batch, name)

    def _fell_back(self, trials: NDArray[np.int64], calls: pa.ListArray) -> Bools:
        """Which rows have a reply of a model that stood in: its calls are numbered behind the condition's own."""
        import pyarrow.compute as pc

        flat, owners = calls.flatten(), pc.list_parent_indices(calls).to_numpy(zero_copy_only=False)
        own = self._calls[trials % self._conditions]
        place = pc.struct_field(flat, "call").to_numpy(zero_copy_only=False)
        answered = pc.equal(pc.struct_field(flat, "outcome"), "ok").to_numpy(zero_copy_only=False)
        found = np.zeros(len(trials), np.bool_)
        found[owners[answered & (own[owners] > 0) & (place >= own[owners])]] = True
        return found

    def values(self, column: str, condition: int) -> Floats:
        """One column of one condition's answered trials, shape [items, repeats]; NaN where there is none."""
        table = self._columns[column].reshape(self._shape)[:, :, condition]
        return np.where(self.answered(condition), table, np.nan) if column == "cost_usd" else table

    def latencies(self, condition: int) -> Floats:
        """Milliseconds, shape [items, repeats]; +inf where the trial timed out: slower than any answer."""
        timed_out = self._of_kind(_TIMEOUT, condition)
        return np.where(timed_out, np.inf, self.values("latency_ms", condition))

    def costs(self, condition: int) -> Floats:
        """US dollars of answered and failed trials, shape [items, repeats]."""
        return self._columns["cost_usd"].reshape(self._shape)[:, :, condition]

    def unpaid(self, condition: int) -> Floats:
        """US dollars of `costs` that this run did not pay, shape [items, repeats]."""
        return self._columns["saved_usd"].reshape(self._shape)[:, :, condition]

    def unsent(self, condition: int) -> Bools:
        """Trials with a reply that was not sent for them, shape [items, repeats]."""
        taken: Bools = self._columns["unsent"].reshape(self._shape)[:, :, condition] > 0
        return taken

    def by_fallback(self, condition: int) -> Bools:
        """Answered trials with a reply of a model that stood in for another, shape [items, repeats]."""
        fell_back: Bools = self._columns["by_fallback"].reshape(self._shape)[:, :, condition] > 0
        return fell_back & self.answered(condition)

    def answered(self, condition: int) -> Bools:
        """Shape [items, repeats]."""
        return self._in_state(_ANSWERED, condition)

    def failed(self, condition: int) -> Bools:
        """Shape [items, repeats]."""
        return self._in_state(_FAILED, condition)

    def lost(self, condition: int) -> Bools:
        """Failed, or pending in a block that was begun: missing for a reason other than the seeded order."""
        begun: Bools = (self._state.reshape(self._shape) != _PENDING).any(axis=2)
        return begun & ~self.answered(condition)

    def errors(self, condition: int) -> dict[str, int]:
        """Rows with an error, by class in alphabetical order, `parse_failed` among them."""
        known = sorted(kind for kind in self._kinds if kind is not None)
        counts = {kind: int(self._of_kind(kind, condition).sum()) for kind in known}
        return {kind: count for kind, count in counts.items() if count}

    def _of_kind(self, kind: str, condition: int) -> Bools:
        code = self._kinds.index(kind) if kind in self._kinds else -1
        inside: Bools = self._kind.reshape(self._shape)[:, :, condition] == code
        return inside

    def _in_state(self, state: np.int8, condition: int) -> Bools:
        inside: Bools = self._state.reshape(self._shape)[:, :, condition] == state
        return inside


def _strata(plan: Plan) -> NDArray[np.int64] | None:
    if len(plan.datasets) < 2:
        return None
    return np.repeat(np.arange(len(plan.datasets)), [each.items for each in plan.datasets])


def _clusters(plan: Plan, items: Sequence[Item]) -> NDArray[np.int64] | None:
    name = plan.analysis.cluster
    if name is None or not items:
        return None
    labels = [(repr(item.dataset), repr(field_of(item, name))) for item in items]
    known = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([known[label] for label in labels], np.int64)


def _floats(batch: pa.RecordBatch, column: str) -> Floats:
    """A column as floats of our own, NaN where it is null."""
    import pyarrow as pa

    values = batch.column(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.array(values, np.float64)


def _indices(rows: NDArray[np.intp]) -> pa.Array:
    import pyarrow as pa

    return pa.array(rows, pa.int64())
