"""What the log says: which trials have a row that counts, what failed, what was spent.

Read in one pass, entry by entry, of each only the columns needed. The first row of a trial wins; a `reopen`
voids earlier rows of its trials; a `reset` makes the log what it was after an earlier entry, whatever lies
between.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc
from msgspec import Struct
from numpy.typing import NDArray

from crucible_ray.experiment.registering import Registration
from crucible_ray.journal.entries import Entry, decode_entry
from crucible_ray.journal.trials import TrialSet
from crucible_ray.ports import LogStore

Ints = NDArray[np.int64]

_UNREADABLE = "parse_failed"
"""The one error with which a trial did not fail: there is an answer, and nobody can read it."""


class Checkpoint(Struct, frozen=True):
    """A marked entry, to which `resume --checkpoint` can go back."""

    number: int
    rows: int
    """Rows in the log by then."""
    spent_usd: float


@dataclass(kw_only=True)
class JournalState:
    """The log as of its last entry. Money is US dollars."""

    kept: TrialSet = field(default_factory=TrialSet)
    """Trials with a row that counts."""
    failed: TrialSet = field(default_factory=TrialSet)
    """Those of them that failed: what `retry` reopens."""
    duplicates: int = 0
    """Rows of trials that had one already; kept out."""
    entries: int = 0
    """How many entries the log holds."""
    last: int = 0
    """The number of the last one; 0: the log is empty."""
    missing: tuple[int, ...] = ()
    """Numbers that are gone: damaged entries that somebody moved away."""
    live: list[int] = field(default_factory=list)
    """Entries that no reset voids, ascending."""
    reopened: dict[int, int] = field(default_factory=dict)
    """By trial: the last live entry that reopened it."""
    checkpoints: list[Checkpoint] = field(default_factory=list)
    """Marked entries that no reset voids."""
    registrations: list[Registration] = field(default_factory=list)
    """Plans of analysis in the order in which they were registered; no reset voids one."""
    seen: int = 0
    """The most rows that the log ever had, those included that are void now."""
    status: str | None = None
    """How the last driver stopped; None: it did not stop in good order, or is at work."""
    spent_usd: float = 0.0
    """What counts as spent: all that is recorded, and the part of the last ceiling that nobody settled."""
    estimated_lost_usd: float = 0.0
    """How much of `spent_usd` is such an estimate."""
    unsettled_usd: float = 0.0
    """How much of that the last driver may still have to settle: while it is at work, what it has reserved."""
    rows_usd: tuple[float, ...] = ()
    """By condition: what all rows ever written cost, those included that do not count."""

    @property
    def paid_usd(self) -> tuple[float, ...]:
        """By condition: what was paid for rows.

        One that was delivered twice is written twice and was paid once, so their sum is at most what counts as spent.
        """
        total = sum(self.rows_usd)
        share = min(1.0, self.spent_usd / total) if total > 0 else 1.0
        return tuple(share * usd for usd in self.rows_usd)

    @property
    def other_usd(self) -> float:
        """Spent, but by no row: lost attempts, by estimate or for certain."""
        return max(0.0, self.spent_usd - sum(self.paid_usd))


async def read_state(store: LogStore, *, conditions: int) -> JournalState:
    """Read the whole log. Raises DamagedEntry, StorageFailed."""
    reader = _Reader(store, conditions)
    for number in await store.numbers():
        await reader.add(number)
    return reader.state


class _Reader:
    """Adds up entries in order of their numbers."""

    def __init__(self, store: LogStore, conditions: int) -> None:
        self.state = JournalState(rows_usd=(0.0,) * conditions)
        self._store, self._conditions = store, conditions
        self._resets: dict[int, int] = {}
        self._numbers: list[int] = []

    async def add(self, number: int) -> None:
        """The next entry of the log."""
        entry = await self._read(number)
        head, state = entry.head, self.state
        state.missing += tuple(range(state.last + 1, number))
        state.entries += 1
        state.last = number
        state.seen = max(state.seen, head.rows)
        state.status = head.status
        state.spent_usd = head.charged_usd
        state.estimated_lost_usd = head.lost_usd + head.charged_usd - head.spent_usd
        state.unsettled_usd = head.charged_usd - head.spent_usd
        self._numbers.append(number)
        if head.registration is not None:
            state.registrations.append(head.registration)
        if head.kind == "rows":
            self._charge(entry)
        if head.kind == "reset":
            self._resets[number] = head.reset or 0
            await self._go_back()
        else:
            self._apply(entry)

    async def _go_back(self) -> None:
        """What a reset leaves is read again: resets are rare."""
        state = self.state
        state.kept, state.failed, state.duplicates = TrialSet(), TrialSet(), 0
        state.live, state.reopened, state.checkpoints = [], {}, []
        for number in live_entries(self._numbers, self._resets):
            self._apply(await self._read(number))

    def _apply(self, entry: Entry) -> None:
        head, state = entry.head, self.state
        state.live.append(head.number)
        if head.kind == "rows":
            self._keep(entry)
            if head.marked:
                state.checkpoints.append(Checkpoint(head.number, head.rows, head.spent_usd))
        elif head.kind == "reopen":
            trials = entry.trials()
            state.kept.discard(trials)
            state.failed.discard(trials)
            state.reopened.update(dict.fromkeys(trials.tolist(), head.number))

    def _keep(self, entry: Entry) -> None:
        table = entry.table(["trial", "error"])
        trials = table["trial"].to_numpy()
        first = self.state.kept.add(trials)
        self.state.duplicates += len(trials) - int(first.sum())
        failed = pc.fill_null(pc.not_equal(table["error"], _UNREADABLE), False).to_numpy()
        if failed.any():
            self.state.failed.add(trials[first & failed])

    def _charge(self, entry: Entry) -> None:
        table = entry.table(["trial", "cost_usd", "saved_usd"])
        costs = pc.fill_null(pc.subtract(table["cost_usd"], table["saved_usd"]), 0.0).to_numpy()
        condition = table["trial"].to_numpy() % self._conditions
        sums = np.bincount(condition, weights=costs, minlength=self._conditions).tolist()
        self.state.rows_usd = tuple(a + b for a, b in zip(self.state.rows_usd, sums, strict=True))

    async def _read(self, number: int) -> Entry:
        return decode_entry(await self._store.read(number), number, self._store.where)


def live_entries(numbers: list[int], resets: dict[int, int]) -> list[int]:
    """The entries that count, ascending: going back from the last, a reset leads on to its target.

    numbers: all entries, ascending. resets: target by number. A reset that a later one voids voids nothing.
    """
    live: list[int] = []
    before = numbers[-1] + 1 if numbers else 0
    for number in reversed(numbers):
        if number >= before:
            continue
        if number in resets:
            before = resets[number] + 1
        else:
            live.append(number)
    live.reverse()
    return live
