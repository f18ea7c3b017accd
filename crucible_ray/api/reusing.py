"""`--reuse`: replies that earlier runs paid for take the place of calls, wherever request and repeat are the same.

| a trial of which | becomes |
| --- | --- |
| every call is found | a row at once, before any client starts: no slot, no money |
| some calls are found (a new member of an ensemble) | a grant that brings those calls along |

A reply of the same item comes first, then one of an item that this run does not have; the latter is used once for each
call of a condition, so that two items never stand on one reply. Function conditions make their calls anew: what they
ask is not known beforehand. What earlier runs paid for is read once: for the estimate, and from there for the run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pyarrow as pa
from msgspec import Struct

from crucible_ray.api.earlier import Earlier
from crucible_ray.api.matching import Match, Matcher
from crucible_ray.api.preparing import Prepared
from crucible_ray.journal.log import Journal
from crucible_ray.journal.rows import RowBuffer, read_rows
from crucible_ray.journal.state import JournalState
from crucible_ray.prompts import prompt_text
from crucible_ray.records import Call
from crucible_ray.runtime.driver import ALIVE_S
from crucible_ray.runtime.known import KNOWN_SCHEMA, Known, known_table
from crucible_ray.runtime.trial import Condition, recorded_result

_BATCH = 2048
"""Trials whose rows are made and written together."""


class ReuseFacts(Struct, frozen=True, kw_only=True):
    """What was looked for and found."""

    folders: int
    """Results folders looked at."""
    matching: int
    """Those of them that asked one of this run's models."""
    unreadable: tuple[str, ...]
    """Folders that could not be read, each with the reason."""
    replies: int
    """Replies that they hold, of these models or others."""
    trials: int
    """Trials of this run that needed no call."""
    partly: int
    """Trials that need fewer calls."""
    calls: int
    """Calls that are not made again."""


class _Trial(Struct):
    """A trial with what was found for its calls."""

    match: Match
    chains: list[tuple[Call, ...] | None]


async def reuse_replies(
    prepared: Prepared, earlier: Earlier, journal: Journal, state: JournalState, scratch: Path
) -> tuple[ReuseFacts, Known]:
    """Write the rows of trials that need no call; return what was found, and the calls known of other trials.

    state: its `kept` are left alone.
    """
    async with _alive(journal):
        found = _trials(Matcher(prepared.plan, prepared.items, earlier.paid), state)
        rows = _Rows(prepared)
        partly = _Partly(scratch)
        trials = calls = 0
        while batch := await asyncio.to_thread(_take, found, _BATCH):
            calls += sum(chain is not None for trial in batch for chain in trial.chains)
            whole = [trial for trial in batch if None not in trial.chains]
            partly.add([trial for trial in batch if None in trial.chains])
            if whole:
                trials += len(whole)
                await journal.append_rows([await asyncio.to_thread(rows.of, whole)], state.spent_usd)
    facts = ReuseFacts(
        folders=earlier.folders,
        matching=earlier.matching,
        unreadable=earlier.unreadable,
        replies=len(earlier.paid),
        trials=trials,
        partly=partly.count,
        calls=calls,
    )
    return facts, partly.sealed()


@contextlib.asynccontextmanager
async def _alive(journal: Journal) -> AsyncIterator[None]:
    """Tell others that this driver lives while it is busy. Raises Superseded at the end of the block."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(ALIVE_S)
            await journal.keep_alive()

    task = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _trials(matcher: Matcher, state: JournalState) -> Iterator[_Trial]:
    for match in matcher.matches(state.kept):
        chains = matcher.chains(match)
        if any(chains):
            yield _Trial(match, chains)


def _take(found: Iterator[_Trial], most: int) -> list[_Trial]:
    return [trial for trial, _ in zip(found, range(most), strict=False)]


class _Rows:
    """Makes the rows of trials whose every call is found; the author's own parsers read replies here too."""

    def __init__(self, prepared: Prepared) -> None:
        functions = prepared.code.load()
        self._items = prepared.items
        self._conditions = [Condition(k, each, functions) for k, each in enumerate(prepared.plan.conditions)]
        self._told: set[str] = set()

    def of(self, trials: list[_Trial]) -> pa.Table:
        """The rows of some trials."""
        buffer = RowBuffer()
        for trial in trials:
            match = trial.match
            results = [recorded_result(list(chain)) for chain in trial.chains if chain is not None]
            row = self._conditions[match.condition].row(match.trial, self._items[match.item], results)
            new = {
                each.key: prompt_text(each.messages) for each in match.prompts if each.key not in self._told
            }
            self._told.update(new)
            buffer.append(row, list(new.items()))
        return read_rows(buffer.take())


class _Partly:
    """The calls known of trials that still have some to make, gathered on disk."""

    def __init__(self, scratch: Path) -> None:
        self._path = scratch / "known.arrow"
        self._writer = pa.ipc.new_file(str(self._path), KNOWN_SCHEMA)
        self.count = 0

    def add(self, trials: list[_Trial]) -> None:
        """Take some more, in ascending order."""
        self.count += len(trials)
        chains = [[call for chain in trial.chains if chain for call in chain] for trial in trials]
        self._writer.write_table(known_table([trial.match.trial for trial in trials], chains))

    def sealed(self) -> Known:
        """What was gathered."""
        self._writer.close()
        return Known(pa.ipc.open_file(pa.memory_map(str(self._path))).read_all())
