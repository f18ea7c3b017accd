"""What every kind of log promises, on disk, in memory and on S3's protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from crucible_ray.errors import DamagedEntry
from crucible_ray.journal.entries import decode_entry
from crucible_ray.journal.store import BlockingLog
from tests.journal.making import opened, row, state_of, table

Handles = Callable[[], BlockingLog]


def test_of_twenty_racers_for_a_number_one_wins_and_its_bytes_stay(handles: Handles) -> None:
    for number in (1, 2, 3):
        with ThreadPoolExecutor(20) as racers:
            texts = [b"%d" % k * 5000 for k in range(20)]
            won = list(racers.map(lambda text, n=number: handles().create_now(n, text), texts))
        assert won.count(True) == 1
        assert handles().read_now(number) == texts[won.index(True)]


def test_a_number_taken_is_refused_and_kept(handles: Handles) -> None:
    log = handles()
    assert log.create_now(1, b"first")
    assert not log.create_now(1, b"second")
    assert log.read_now(1) == b"first"


def test_numbers_ascend_whatever_the_order_of_writing(handles: Handles) -> None:
    log = handles()
    assert log.numbers_now() == []
    for number in (10, 2, 1_000_000, 1):
        log.create_now(number, b"x")
    assert handles().numbers_now() == [1, 2, 10, 1_000_000]


def test_an_entry_that_is_gone_is_named(handles: Handles) -> None:
    log = handles()
    log.create_now(1, b"x")
    with pytest.raises(DamagedEntry, match="checkpoint_000002"):
        log.read_now(2)


def test_a_damaged_entry_is_named_with_its_mend(handles: Handles) -> None:
    log = handles()
    asyncio.run(_write(log))
    whole = log.read_now(1)
    log.create_now(2, whole[: len(whole) // 2])
    with pytest.raises(DamagedEntry, match=r"checkpoint_000002\.parquet .*Move it out .* resume"):
        state_of(log)


def test_the_alive_note_is_read_back_with_its_age(handles: Handles) -> None:
    log = handles()
    assert log.read_alive_now() is None
    log.say_alive_now("one")
    log.say_alive_now("two")
    note = handles().read_alive_now()
    assert note is not None
    text, age_s = note
    assert text == "two"
    assert 0.0 <= age_s < 10.0
    assert log.numbers_now() == []


def test_a_journal_written_by_one_handle_is_read_by_another(handles: Handles) -> None:
    asyncio.run(_write(handles()))
    state = state_of(handles())
    assert state.kept.count == 2
    assert decode_entry(handles().read_now(1), 1, "here").head.writer == "first"


async def _write(log: BlockingLog) -> None:
    journal = await opened(log)
    await journal.append_rows([table(row(0), row(1))], 0.5)
    await journal.close()
