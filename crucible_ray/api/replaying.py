"""A finished run again from its own record: no request, the same bytes or a clear difference."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec.structs import replace

from crucible_ray.api.finishing import write_and_analyse
from crucible_ray.api.own import Own, Recorded
from crucible_ray.api.places import REVISION
from crucible_ray.calls.budget import Ledger
from crucible_ray.experiment.defaults import own_parser
from crucible_ray.experiment.grid import order_of
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.kept import kept_rows
from crucible_ray.journal.log import Journal
from crucible_ray.journal.memory import MemoryLog
from crucible_ray.journal.rows import rows_to_records
from crucible_ray.journal.state import read_state
from crucible_ray.journal.store import BlockingLog, inline
from crucible_ray.journal.trials import TrialSet
from crucible_ray.records import Call, Item, Row
from crucible_ray.reduction import encode
from crucible_ray.runtime.client import ClientCore, Setup
from crucible_ray.runtime.code import Code, Functions
from crucible_ray.runtime.driver import Driver
from crucible_ray.runtime.frontier import Frontier
from crucible_ray.runtime.lanes import lanes_of
from crucible_ray.runtime.local import LocalSpawner
from crucible_ray.runtime.reading import unread
from crucible_ray.runtime.replay import ReplayCaller

Readings = dict[tuple[int, int, int], tuple[str | None, str | None]]
"""By trial, call and attempt: what an author's own parser read, and how it failed."""
COMPARED = ("results.csv", "analysis.json")
_WINDOW = 256


@dataclass(frozen=True)
class Reproduction:
    """Whether a replay gave the same bytes."""

    identical: dict[str, bool]
    """By file."""
    trials: int
    """Replayed: those that the record holds."""
    notes: tuple[str, ...] = ()
    """What could not be computed again, and was taken as it is recorded."""

    @property
    def same(self) -> bool:
        """Whether every compared file came out the same."""
        return all(self.identical.values())


class _Record:
    """The recorded calls of every trial, as columns; a trial's calls become objects when they are asked for."""

    def __init__(
        self, batches: Sequence[pa.RecordBatch], plan: Plan, parsers: Functions, readings: Readings | None
    ) -> None:
        """parsers: of the author's own, those that read replies anew. readings: what they made of them; None: as recorded."""
        self.code, self._readings = Code(parsers), readings
        self._is_own = [any(map(own_parser, condition.parses)) for condition in plan.conditions]
        self._table = pa.Table.from_batches(batches)
        self.trials = self._table["trial"].to_numpy()

    def calls(self, trial: int) -> Sequence[Call]:
        calls = self._row(trial).calls
        if not self._is_own[trial % len(self._is_own)]:
            return unread(calls)
        return calls if self._readings is None else [self._read(trial, call) for call in calls]

    def _read(self, trial: int, call: Call) -> Call:
        assert self._readings is not None
        read, detail = self._readings.get((trial, call.call, call.attempt), (None, None))
        return replace(call, read=read, detail=detail) if call.outcome == "ok" else call

    def returned(self, trial: int) -> str | None:
        """What the trial's function came to."""
        return self._row(trial).returned

    def _row(self, trial: int) -> Row:
        place = int(np.searchsorted(self.trials, trial))
        return next(iter(rows_to_records(self._table.slice(place, 1))))


async def replay(
    plan: Plan,
    items: tuple[Item, ...],
    source: BlockingLog,
    folder: Path,
    *,
    own: Own | Recorded | None = None,
    clients: int = 1,
) -> Reproduction:
    """Replay `source` through the same driver and clients; compare with the files in `folder`.

    own: the author's own functions, where the plan has any.
    """
    own_parsers = any(own_parser(parse) for condition in plan.conditions for parse in condition.parses)
    readings = _readings(folder) if own_parsers and (folder / REVISION).is_file() else None
    again = await replayed(plan, items, source, clients=clients, readings=readings)
    with tempfile.TemporaryDirectory() as scratch:
        return await _compare(plan, items, again, folder, Path(scratch), own or Own())


async def replayed(
    plan: Plan,
    items: tuple[Item, ...],
    source: BlockingLog,
    *,
    clients: int,
    parsers: Functions = MappingProxyType({}),
    readings: Readings | None = None,
) -> MemoryLog:
    """The rows that `plan` makes of the calls that `source` holds.

    parsers: of the author's own, those that read replies anew; what others read is taken from the record, or from
    `readings`, where a revision has its own.
    Raises JournalError, CannotContinue.
    """
    state = await read_state(source, conditions=len(plan.conditions))
    again = MemoryLog()
    if state.registrations:
        journal = await Journal.open(
            again, writer=uuid.uuid4().hex, checkpoint_every=plan.checkpoint_every, offload=inline
        )
        for each in state.registrations:
            await journal.append_plan(each)
        await journal.close()
    with tempfile.TemporaryDirectory() as scratch:
        batches = list(kept_rows(source, state, scratch=Path(scratch)))
    if batches:
        await _drive(plan, items, _Record(batches, plan, parsers, readings), again, clients)
    return again


def _readings(revision: Path) -> Readings:
    """What an author's own parsers made of each reply when a revision was written."""
    columns = ["trial", "call", "attempt", "read", "detail"]
    table = pq.read_table(revision / "calls.parquet", columns=columns, filters=pc.field("outcome") == "ok")
    *places, read, detail = (table[name].to_pylist() for name in columns)
    return dict(zip(zip(*places, strict=True), zip(read, detail, strict=True), strict=True))


async def _drive(plan: Plan, items: tuple[Item, ...], record: _Record, log: MemoryLog, clients: int) -> None:
    lanes, count = lanes_of(plan.conditions), len(plan.conditions)
    journal = await Journal.open(
        log, writer=uuid.uuid4().hex, checkpoint_every=plan.checkpoint_every, offload=inline
    )
    # Trials without a recorded row stay pending: they count as done for the frontier, and leave no row.
    absent = TrialSet()
    everything = np.arange(plan.trials, dtype=np.int64)
    absent.add(np.setdiff1d(everything, record.trials))
    spawner = LocalSpawner(_maker(plan, items, record))
    driver = Driver(
        frontier=Frontier(order=order_of(plan), lanes=lanes, done=absent),
        ledger=Ledger(limit_usd=inf, conditions=count, scale_usd=1.0),
        journal=journal,
        spawner=spawner,
        clients=clients,
        windows=(_WINDOW,) * len(lanes),
    )
    try:
        await driver.run()
    finally:
        await spawner.close()


def _maker(plan: Plan, items: tuple[Item, ...], record: _Record) -> Callable[[int, int], ClientCore]:
    lanes = lanes_of(plan.conditions)

    def make(index: int, generation: int) -> ClientCore:
        setup = Setup(
            plan=plan,
            items=items,
            lanes=lanes,
            windows=(_WINDOW,) * len(lanes),
            generation=generation,
            code=record.code,
        )

        def spares(condition: int, index: int) -> range:
            return plan.conditions[condition].spares(index)

        caller = ReplayCaller(record.calls, len(plan.conditions), record.returned, spares)
        return ClientCore(setup, caller, cpu_clock=lambda: 0.0)

    return make


async def _compare(
    plan: Plan, items: tuple[Item, ...], log: MemoryLog, folder: Path, again: Path, own: Own | Recorded
) -> Reproduction:
    state = await read_state(log, conditions=len(plan.conditions))
    analysis = write_and_analyse(again, plan=plan, items=items, log=log, state=state, own=own)
    (again / "analysis.json").write_bytes(encode(analysis))
    identical = {
        name: (folder / name).is_file() and (folder / name).read_bytes() == (again / name).read_bytes()
        for name in COMPARED
    }
    return Reproduction(identical, state.kept.count)
