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

from crucible_ray.api.finishing import write_and_analyse
from crucible_ray.api.own import Own, Recorded
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

    def __init__(self, batches: Sequence[pa.RecordBatch], plan: Plan, parsers: Functions) -> None:
        """parsers: of the author's own, those that read replies anew."""
        self.code = Code(parsers)
        self._is_own = [any(map(own_parser, condition.parses)) for condition in plan.conditions]
        self._table = pa.Table.from_batches(batches)
        self.trials = self._table["trial"].to_numpy()

    def calls(self, trial: int) -> Sequence[Call]:
        calls = self._row(trial).calls
        return calls if self._is_own[trial % len(self._is_own)] else unread(calls)

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
    again = await replayed(plan, items, source, clients=clients)
    with tempfile.TemporaryDirectory() as scratch:
        return await _compare(plan, items, again, folder, Path(scratch), own or Own())


async def replayed(
    plan: Plan,
    items: tuple[Item, ...],
    source: BlockingLog,
    *,
    clients: int,
    parsers: Functions = MappingProxyType({}),
) -> MemoryLog:
    """The rows that `plan` makes of the calls that `source` holds.

    parsers: of the author's own, those that read replies anew; what others read is taken from the record.
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
        await _drive(plan, items, _Record(batches, plan, parsers), again, clients)
    return again


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
