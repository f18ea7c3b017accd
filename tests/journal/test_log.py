"""The writer: number after number, superseded for good, unclear writes made clear, no money forgotten."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from crucible_ray.errors import AlreadyRunning, StorageFailed, Superseded
from crucible_ray.journal.alive import Note, decode_note, encode_note, is_dead, note_of_this_process
from crucible_ray.journal.disk import DiskLog
from crucible_ray.journal.entries import Head, decode_entry, encode_entry
from crucible_ray.journal.memory import MemoryLog
from crucible_ray.ports import AmbiguousWrite
from crucible_ray.testing import run_virtual
from tests.journal.making import opened, row, state_of, table


def head(log: MemoryLog, number: int) -> Head:
    return decode_entry(log.entries[number], number, "memory").head


def test_entries_are_numbered_from_one_whatever_their_kind() -> None:
    log = MemoryLog()

    async def write() -> list[int]:
        journal = await opened(log)
        return [
            await journal.append_ceiling(1.0),
            await journal.append_rows([table(row(0)), table(row(1))], 0.5),
            await journal.append_reopen([0]),
            await journal.append_reset(2),
            await journal.append_stop("complete", 0.5),
        ]

    assert asyncio.run(write()) == [1, 2, 3, 4, 5]
    assert [head(log, n).kind for n in log.numbers_now()] == ["ceiling", "rows", "reopen", "reset", "stop"]


def test_the_entry_that_crosses_a_checkpoint_is_marked_and_a_reset_turns_the_count_back() -> None:
    log = MemoryLog()

    async def write() -> None:
        journal = await opened(log, checkpoint_every=3)
        await journal.append_rows([table(row(0), row(1))], 0.1)
        await journal.append_rows([table(row(2), row(3))], 0.2)
        await journal.append_reset(1)
        await journal.append_rows([table(row(4))], 0.3)
        await journal.append_ceiling(1.0)

    asyncio.run(write())
    assert [(head(log, n).rows, head(log, n).marked) for n in range(1, 6)] == [
        (2, False),
        (4, True),
        (2, False),
        (3, True),
        (3, False),
    ]


def test_a_driver_that_lost_a_number_is_superseded_for_good() -> None:
    log = MemoryLog()

    async def race() -> None:
        old = await opened(log, "old")
        new = await opened(log, "new", take_over=True)
        assert await new.append_rows([table(row(0))], 0.1) == 1
        with pytest.raises(Superseded, match=r"new.* entry 1"):
            await old.append_rows([table(row(1))], 0.1)
        with pytest.raises(Superseded):
            await old.append_stop("interrupted", 0.1)
        with pytest.raises(Superseded):
            await old.keep_alive()
        assert await new.append_stop("complete", 0.1) == 2

    asyncio.run(race())
    assert state_of(log).kept.count == 1


def test_taking_over_a_log_supersedes_its_driver_before_the_state_is_read() -> None:
    log = MemoryLog()

    async def race() -> None:
        old = await opened(log, "old")
        await old.append_rows([table(row(0))], 0.25)
        await opened(log, "new", take_over=True)
        with pytest.raises(Superseded):
            await old.append_rows([table(row(1))], 0.5)

    asyncio.run(race())
    state = state_of(log)
    assert (state.kept.count, state.spent_usd, state.estimated_lost_usd) == (1, 0.25, 0.0)


class Unclear(MemoryLog):
    """A log that answers its first creates with a shrug, having written or not."""

    def __init__(self, *written: bool) -> None:
        super().__init__()
        self._written = list(written)

    def create_now(self, number: int, data: bytes) -> bool:
        if self._written:
            if self._written.pop(0):
                super().create_now(number, data)
            raise AmbiguousWrite("connection reset")
        return super().create_now(number, data)


@pytest.mark.parametrize("written", [(True,), (False,), (False, False, True)])
def test_an_unclear_write_is_read_back_and_made_once(written: tuple[bool, ...]) -> None:
    log = Unclear(*written)

    async def write() -> list[int]:
        journal = await opened(log)
        return [await journal.append_rows([table(row(k))], 0.1) for k in range(2)]

    assert run_virtual(write()) == [1, 2]
    state = state_of(log)
    assert (state.kept.count, state.duplicates, state.entries) == (2, 0, 2)


def test_a_write_that_stays_unclear_ends_in_one_line() -> None:
    async def write() -> None:
        journal = await opened(Unclear(*[False] * 20))
        with pytest.raises(StorageFailed, match="no write was confirmed"):
            await journal.append_ceiling(1.0)

    run_virtual(write())


def test_an_unclear_write_whose_number_another_took_means_superseded() -> None:
    log = Unclear(True)

    async def race() -> None:
        journal = await opened(log, "old")
        with pytest.raises(AmbiguousWrite):
            log.create_now(1, b"")
        del log.entries[1]
        await (await opened(log, "new", take_over=True)).append_ceiling(1.0)
        log._written = [False]
        with pytest.raises(Superseded, match="new"):
            await journal.append_ceiling(2.0)

    asyncio.run(race())


class Repeating(MemoryLog):
    """A store whose client repeats a request by itself and then meets its own first try."""

    def create_now(self, number: int, data: bytes) -> bool:
        super().create_now(number, data)
        return False


def test_a_number_taken_by_the_same_entry_is_not_lost() -> None:
    async def write() -> list[int]:
        journal = await opened(Repeating())
        return [await journal.append_ceiling(usd) for usd in (1.0, 2.0)]

    assert asyncio.run(write()) == [1, 2]


class Slow(DiskLog):
    """A disk whose first write waits to be let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.began, self.go_on, self.ended = threading.Event(), threading.Event(), threading.Event()

    def create_now(self, number: int, data: bytes) -> bool:
        if not self.began.is_set():
            self.began.set()
            self.go_on.wait()
        done = super().create_now(number, data)
        self.ended.set()
        return done


def test_an_append_that_was_cancelled_half_way_does_not_supersede_its_own_driver(tmp_path: Path) -> None:
    log = Slow(tmp_path / "log")

    async def write() -> int:
        journal = await opened(log)
        append = asyncio.create_task(journal.append_ceiling(5.0))
        await asyncio.to_thread(log.began.wait)
        append.cancel()
        with pytest.raises(asyncio.CancelledError):
            await append
        log.go_on.set()
        await asyncio.to_thread(log.ended.wait)
        return await journal.append_rows([table(row(0))], 1.0)

    assert asyncio.run(write()) == 2
    assert state_of(log).spent_usd == 5.0


# -- who is alive ----------------------------------------------------------------


def test_a_second_start_is_refused_while_the_first_gives_signs_of_life() -> None:
    async def race() -> None:
        log = MemoryLog(clock=asyncio.get_running_loop().time)
        first = await opened(log)

        async def beat() -> None:
            while True:
                await asyncio.sleep(2.0)
                await first.keep_alive()

        beating = asyncio.create_task(beat())
        with pytest.raises(AlreadyRunning, match="--take-over"):
            await opened(log, "second")
        beating.cancel()

    run_virtual(race())


def test_a_driver_that_fell_silent_is_waited_for_ten_seconds() -> None:
    async def race() -> float:
        loop = asyncio.get_running_loop()
        log = MemoryLog(clock=loop.time)
        await opened(log)
        before_s = loop.time()
        await opened(log, "second")
        return loop.time() - before_s

    assert 10.0 <= run_virtual(race()) <= 11.0


def test_nobody_waits_for_a_driver_that_closed_its_journal_nor_for_an_old_note() -> None:
    async def race() -> float:
        loop = asyncio.get_running_loop()
        log = MemoryLog(clock=loop.time)
        before_s = loop.time()
        await (await opened(log)).close()
        await opened(log, "second")
        waited_s = loop.time() - before_s
        await asyncio.sleep(60.0)
        before_s = loop.time()
        await opened(log, "third")
        return waited_s + loop.time() - before_s

    assert run_virtual(race()) == 0.0


def test_nobody_waits_for_a_process_of_this_host_that_is_no_more() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    here = note_of_this_process("w")
    gone = Note(host=here.host, pid=ended.pid, boot=here.boot, started="1", writer="x", beat=1)
    assert is_dead(gone, here)
    assert not is_dead(here, here)


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({}, False),
        ({"ended": True}, True),
        ({"started": "5"}, True),
        ({"pid": 2}, True),
        ({"host": "another", "pid": 2}, False),
        ({"boot": "earlier/pid:[1]"}, True),
        ({"boot": "now/pid:[2]", "pid": 2}, False),
    ],
)
def test_only_what_is_surely_gone_counts_as_dead(change: dict[str, object], dead: bool) -> None:
    here = Note(host="h", pid=1, boot="now/pid:[1]", started="4", writer="w", beat=0)
    fields = {name: getattr(here, name) for name in here.__struct_fields__}
    other = Note(**(fields | change))
    assert is_dead(other, here, started={1: "4"}.get) is dead


def test_a_note_that_is_none_of_ours_is_watched_all_the_same() -> None:
    assert decode_note("hello") is None
    note = note_of_this_process("w")
    assert decode_note(encode_note(note)) == note

    async def race() -> None:
        log = MemoryLog(clock=asyncio.get_running_loop().time)
        texts = count()

        async def scribble() -> None:
            while True:
                await log.say_alive(str(next(texts)))
                await asyncio.sleep(1.0)

        scribbling = asyncio.create_task(scribble())
        await asyncio.sleep(0.5)
        with pytest.raises(AlreadyRunning):
            await opened(log)
        scribbling.cancel()

    run_virtual(race())


def test_large_entries_are_encoded_away_from_the_loop() -> None:
    away: list[Callable[..., Any]] = []

    async def noted(work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        away.append(work)
        return work(*args, **kwargs)

    async def write() -> None:
        journal = await opened(MemoryLog(), offload=noted)
        await journal.append_rows([table(row(0))], 0.1)
        await journal.append_rows([table(row(1, prediction="x" * 300_000))], 0.2)

    asyncio.run(write())
    assert away == [encode_entry]
