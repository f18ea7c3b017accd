"""The journal: one numbered log, shared by all who ever write it, of which each entry is written once.

Writing is create-if-absent of the next number. Whoever loses a number is superseded and stops; so two drivers
never both go on, whatever they believe about each other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from msgspec.structs import replace
from numpy.typing import ArrayLike

from crucible_ray.errors import AlreadyRunning, StorageFailed, Superseded
from crucible_ray.experiment.registering import Registration
from crucible_ray.journal.alive import Note, decode_note, encode_note, is_dead, note_of_this_process
from crucible_ray.journal.entries import Head, decode_entry, encode_entry, trial_table
from crucible_ray.journal.store import Offload, inline
from crucible_ray.ports import AmbiguousWrite, LogStore

ALIVE_WITHIN_S = 10.0
"""A writer that says nothing for so long is taken for dead."""
_LOOK_S = 0.5
_LARGE_BYTES = 1 << 18
"""Rows beyond this are encoded away from the event loop."""
_TRIES = 6
_PAUSE_S = 0.25


class Journal:
    """The writer's end of a log. Made by `open`; appends are taken one at a time."""

    def __init__(
        self,
        store: LogStore,
        *,
        note: Note,
        last: Head | None,
        checkpoint_every: int,
        offload: Offload,
        wall_clock: Callable[[], float],
    ) -> None:
        self.store, self.writer = store, note.writer
        self._note = note
        self._last = last or Head(kind="", number=0, writer=note.writer, nonce="")
        self._checkpoint_every, self._offload = checkpoint_every, offload
        self._wall_clock = wall_clock
        self._lock = asyncio.Lock()
        self._appended = 0
        self._lost: Superseded | None = None

    @classmethod
    async def open(
        cls,
        store: LogStore,
        *,
        writer: str,
        checkpoint_every: int,
        take_over: bool = False,
        offload: Offload = asyncio.to_thread,
        wall_clock: Callable[[], float] = time.time,
    ) -> Journal:
        """Begin to write where the log ends. `writer` is this driver's alone: a random UUID, say.

        wall_clock: seconds since 1970; when each entry was written is noted in it.
        Raises AlreadyRunning where another lives and `take_over` is not set; DamagedEntry; StorageFailed.
        """
        note = note_of_this_process(writer)
        if not take_over:
            await _nobody_lives(store, note)
        numbers = await store.numbers()
        last = _inherited(await _head_at(store, numbers[-1])) if numbers else None
        journal = cls(
            store,
            note=note,
            last=last,
            checkpoint_every=checkpoint_every,
            offload=offload,
            wall_clock=wall_clock,
        )
        await journal.keep_alive()
        if take_over and last is not None:
            await journal._claim()
        return journal

    async def append_rows(
        self, tables: list[pa.Table], spent_usd: float, ceiling_usd: float | None = None
    ) -> int:
        """Make rows durable; `spent_usd` is all that is known to be spent by now. Returns the entry's number.

        ceiling_usd: how much may be spent in all from now on; None: as before.
        Raises, as every append: Superseded, and then on every later append; StorageFailed.
        """
        changes = {} if ceiling_usd is None else {"ceiling_usd": ceiling_usd}
        return await self._append("rows", tables, spent_usd=spent_usd, **changes)

    async def append_reopen(self, trials: ArrayLike) -> int:
        """Void the earlier rows of these trials: their next one wins."""
        return await self._append("reopen", [trial_table(np.asarray(trials, np.int64))])

    async def append_reset(self, number: int) -> int:
        """Go back to the log as it was after entry `number`; 0: to the very beginning. Money stays spent."""
        rows = (await _head_at(self.store, number)).rows if number else 0
        return await self._append("reset", [], rows=rows, reset=number)

    async def append_plan(self, registration: Registration) -> int:
        """Say, before it is looked at, how the run will be analysed. How the last driver stopped stays told."""
        return await self._append("plan", [], registration=registration, status=self._last.status)

    async def append_ceiling(self, usd: float) -> int:
        """Say, before it is spent, how much may be spent in all."""
        return await self._append("ceiling", [], ceiling_usd=usd)

    async def append_stop(self, status: str, spent_usd: float) -> int:
        """End in good order: `spent_usd` is all there is, no ceiling stands any more."""
        return await self._append("stop", [], status=status, spent_usd=spent_usd, ceiling_usd=None)

    async def keep_alive(self) -> None:
        """Tell others that this driver lives; every few seconds, well within ALIVE_WITHIN_S.

        Raises Superseded once an append has, so that the note stays the other driver's; StorageFailed.
        """
        if self._lost is not None:
            raise self._lost
        self._note = replace(self._note, beat=self._note.beat + 1)
        await self.store.say_alive(encode_note(self._note))

    async def close(self) -> None:
        """Tell others that this driver is done, so that the next need not wait. Raises StorageFailed."""
        if self._lost is None:
            self._note = replace(self._note, beat=self._note.beat + 1, ended=True)
            await self.store.say_alive(encode_note(self._note))

    async def _append(self, kind: str, tables: list[pa.Table], **changes: object) -> int:
        async with self._lock:
            if self._lost is not None:
                raise self._lost
            self._appended += 1
            large = sum(table.nbytes for table in tables) > _LARGE_BYTES
            while True:
                head = self._head(kind, sum(table.num_rows for table in tables), changes)
                encode = self._offload if large else inline
                there = await self._create(head, await encode(encode_entry, head, tables))
                self._last = there
                if there.nonce == head.nonce:
                    return head.number
                if there.writer != self.writer:
                    self._lost = Superseded(there.number, there.writer)
                    raise self._lost
                # Ours, of an append that was cancelled while the store went on: it stands, this one follows.

    def _head(self, kind: str, count: int, changes: dict[str, object]) -> Head:
        """The head of the next entry: totals as of the last one, and what changes."""
        last = self._last
        rows = last.rows + count if kind == "rows" else last.rows
        every = self._checkpoint_every
        fresh: dict[str, object] = {
            "kind": kind,
            "number": last.number + 1,
            "writer": self.writer,
            "nonce": f"{self.writer}.{self._appended}",
            "rows": rows,
            "marked": rows // every > last.rows // every,
            "written_s": self._wall_clock(),
            "reset": None,
            "status": None,
            "registration": None,
        }
        return replace(last, **(fresh | changes))

    async def _create(self, head: Head, data: bytes) -> Head:
        """Create the entry; returns the head of what has its number then."""
        for attempt in range(_TRIES):
            try:
                if await self.store.create(head.number, data):
                    return head
            except AmbiguousWrite:
                if head.number not in await self.store.numbers():
                    await asyncio.sleep(_PAUSE_S * 2**attempt)
                    continue
            # Taken is not yet lost: a store that repeats a request by itself may have met its own first try.
            return await _head_at(self.store, head.number)
        raise StorageFailed(self.store.where, f"no write was confirmed in {_TRIES} tries")

    async def _claim(self) -> None:
        """Take the next number from a driver that may still write: from then on that one is superseded.

        The claim is a ceiling that changes nothing: no more than what counts as spent already.
        """
        while True:
            try:
                await self.append_ceiling(self._last.charged_usd)
            except Superseded:
                self._last, self._lost = _inherited(self._last), None
            else:
                return


def _inherited(last: Head) -> Head:
    """The totals to go on from: what the driver before never settled counts as spent, by estimate."""
    unsettled = last.charged_usd - last.spent_usd
    return replace(last, spent_usd=last.charged_usd, lost_usd=last.lost_usd + unsettled, ceiling_usd=None)


async def _head_at(store: LogStore, number: int) -> Head:
    return decode_entry(await store.read(number), number, store.where).head


async def _nobody_lives(store: LogStore, here: Note) -> None:
    """Return once it is sure that no other driver writes; raise AlreadyRunning when one shows itself."""
    first = await store.read_alive()
    if first is None:
        return
    text, age_s = first
    note = decode_note(text)
    if note is not None and is_dead(note, here):
        return
    while age_s <= ALIVE_WITHIN_S:
        await asyncio.sleep(_LOOK_S)
        now = await store.read_alive()
        if now is None:
            return
        if now[0] != text:
            changed = decode_note(now[0])
            if changed is not None and changed.ended:
                return
            raise AlreadyRunning(store.where)
        age_s = now[1]
