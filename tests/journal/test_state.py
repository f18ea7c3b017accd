"""What a resume needs, read from the log: first row wins, reopened, reset, spent."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pyarrow as pa
import pytest

from crucible_ray.journal.entries import Head, encode_entry
from crucible_ray.journal.kept import kept_rows, kept_tables
from crucible_ray.journal.memory import MemoryLog
from crucible_ray.journal.rows import ROW_SCHEMA, rows_to_records
from crucible_ray.journal.state import Checkpoint, live_entries
from crucible_ray.journal.trials import TrialSet
from tests.journal.making import opened, row, state_of, table


def numbers(trials: TrialSet) -> list[int]:
    return [trial for chunk in trials.numbers() for trial in chunk.tolist()]


def test_an_empty_log_says_nothing() -> None:
    state = state_of(MemoryLog())
    assert (state.kept.count, state.last, state.spent_usd, state.status) == (0, 0, 0.0, None)


def test_the_first_row_of_a_trial_wins_and_later_ones_are_counted() -> None:
    log = MemoryLog()

    async def write() -> None:
        journal = await opened(log)
        await journal.append_rows([table(row(5, prediction="first"), row(5, prediction="same entry"))], 0.5)
        await journal.append_rows([table(row(5, prediction="later"), row(6))], 1.0)

    asyncio.run(write())
    state = state_of(log)
    assert (numbers(state.kept), state.duplicates) == ([5, 6], 2)
    assert [p for t in kept_tables(log, state) for p in t["prediction"].to_pylist()] == ["first", "B"]


def test_failures_are_kept_and_known_and_an_unreadable_reply_is_none() -> None:
    log = MemoryLog()

    async def write() -> None:
        journal = await opened(log)
        errors = [None, "parse_failed", "truncated", "no_quorum", "timeout", "client_died"]
        await journal.append_rows([table(*(row(k, error=e) for k, e in enumerate(errors)))], 1.0)

    asyncio.run(write())
    state = state_of(log)
    assert state.kept.count == 6
    assert numbers(state.failed) == [2, 3, 4, 5]


def test_reopened_trials_are_pending_until_their_next_row_which_wins() -> None:
    log = MemoryLog()

    async def write(*, again: bool) -> None:
        journal = await opened(log)
        if again:
            await journal.append_rows([table(row(1, prediction="new"))], 1.0)
            await journal.append_rows([table(row(1, prediction="newer"))], 1.0)
        else:
            await journal.append_rows([table(row(0), row(1, error="timeout", prediction=None))], 0.5)
            await journal.append_reopen([1])
        await journal.close()

    asyncio.run(write(again=False))
    state = state_of(log)
    assert (numbers(state.kept), numbers(state.failed)) == ([0], [])
    asyncio.run(write(again=True))
    state = state_of(log)
    assert (numbers(state.kept), state.duplicates) == ([0, 1], 1)
    assert [p for t in kept_tables(log, state) for p in t["prediction"].to_pylist()] == ["B", "new"]


def test_a_row_that_was_delivered_twice_was_paid_once() -> None:
    log = MemoryLog()

    async def write() -> None:
        journal = await opened(log)
        await journal.append_rows([table(row(0), row(1), row(2))], 0.75)
        await journal.append_rows([table(row(1), row(2))], 0.75)
        await journal.append_stop("interrupted", 0.75)

    asyncio.run(write())
    state = state_of(log)
    assert (state.kept.count, state.duplicates, sum(state.rows_usd)) == (3, 2, 1.25)
    assert sum(state.paid_usd) == pytest.approx(0.75)
    assert state.paid_usd[0] > state.paid_usd[1] > 0.0
    assert state.other_usd == pytest.approx(0.0)


def test_a_reset_voids_what_came_after_its_target_and_money_stays_spent() -> None:
    log = MemoryLog()

    async def write() -> None:
        journal = await opened(log)
        for trial in range(4):
            await journal.append_rows([table(row(trial))], 0.25 * (trial + 1))
        await journal.append_reset(2)
        await journal.append_rows([table(row(9))], 1.25)

    asyncio.run(write())
    state = state_of(log)
    assert numbers(state.kept) == [0, 1, 9]
    assert state.spent_usd == 1.25
    assert state.rows_usd == (0.5, 0.75)
    assert state.checkpoints == [Checkpoint(2, 2, 0.5)]


def test_a_reset_to_the_beginning_leaves_nothing() -> None:
    log = MemoryLog()

    async def write() -> None:
        journal = await opened(log)
        await journal.append_rows([table(row(0))], 0.25)
        await journal.append_reset(0)

    asyncio.run(write())
    state = state_of(log)
    assert (state.kept.count, state.live, state.spent_usd) == (0, [], 0.25)


@pytest.mark.parametrize(
    ("resets", "live"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({4: 1}, [1, 5, 6]),
        ({6: 0}, []),
        ({4: 1, 6: 3}, [1, 2, 3]),  # back to when the first reset had not been made
        ({3: 1, 6: 4}, [1, 4]),
    ],
)
def test_a_reset_that_a_later_one_voids_voids_nothing(resets: dict[int, int], live: list[int]) -> None:
    assert live_entries([1, 2, 3, 4, 5, 6], resets) == live


def test_the_unsettled_part_of_a_ceiling_counts_as_spent_by_estimate_for_every_driver_after() -> None:
    log = MemoryLog()

    async def write(before_usd: float, *, stop: bool) -> None:
        journal = await opened(log)
        await journal.append_ceiling(before_usd + 2.0)
        await journal.append_rows([table(row(0))], before_usd + 0.5)
        if stop:
            await journal.append_stop("budget", before_usd + 0.75)
        await journal.close()

    asyncio.run(write(0.0, stop=False))
    state = state_of(log)
    assert (state.spent_usd, state.estimated_lost_usd, state.status) == (2.0, 1.5, None)
    asyncio.run(write(2.0, stop=True))
    state = state_of(log)
    assert (state.spent_usd, state.estimated_lost_usd, state.status) == (2.75, 1.5, "budget")
    assert state.other_usd == pytest.approx(2.75 - 2 * 0.25)


def test_a_number_that_somebody_moved_away_is_named_and_the_rest_is_read() -> None:
    log = MemoryLog()

    async def write() -> None:
        journal = await opened(log)
        for trial in range(3):
            await journal.append_rows([table(row(trial))], 0.25)

    asyncio.run(write())
    del log.entries[2]
    state = state_of(log)
    assert (numbers(state.kept), state.missing) == ([0, 2], (2,))


@pytest.mark.parametrize("seed", range(40))
def test_any_history_leaves_what_a_plain_reading_of_the_rules_leaves(seed: int, tmp_path: Path) -> None:
    rng, log = random.Random(seed), MemoryLog()
    versions: list[dict[int, str]] = [{}]

    async def write() -> None:
        journal = await opened(log)
        for number in range(1, 15):
            now = dict(versions[-1])
            kind = rng.choices(["rows", "reopen", "reset", "ceiling"], [6, 2, 1, 1])[0]
            if kind == "rows":
                trials = [rng.randrange(12) for _ in range(rng.randrange(1, 8))]
                await journal.append_rows([table(*(row(t, prediction=f"{number}") for t in trials))], 0.0)
                for trial in trials:
                    now.setdefault(trial, f"{number}")
            elif kind == "reopen":
                trials = [rng.randrange(12) for _ in range(3)]
                await journal.append_reopen(trials)
                for trial in trials:
                    now.pop(trial, None)
            elif kind == "reset":
                target = rng.randrange(number)
                await journal.append_reset(target)
                now = dict(versions[target])
            else:
                await journal.append_ceiling(1.0)
            versions.append(now)

    asyncio.run(write())
    state = state_of(log)
    assert numbers(state.kept) == sorted(versions[-1])
    batches = kept_rows(log, state, scratch=tmp_path, columns=["trial", "prediction"])
    rows = [(r["trial"], r["prediction"]) for batch in batches for r in batch.to_pylist()]
    assert rows == sorted(versions[-1].items())


def test_an_entry_of_a_version_that_reused_nothing_is_read_with_todays_columns() -> None:
    made = table(row(0), row(1, cost_usd=None))
    old_calls = [
        [
            {k: v for k, v in call.items() if k not in ("reused_from", "reused_age_s", "shared_from")}
            for call in calls
        ]
        for calls in made["calls"].to_pylist()
    ]
    old = made.drop_columns(["unsent", "saved_usd"])
    old = old.set_column(old.column_names.index("calls"), "calls", pa.array(old_calls))
    log = MemoryLog()
    log.create_now(1, encode_entry(Head(kind="rows", number=1, writer="w", nonce="n"), [old]))
    state = state_of(log)
    assert state.rows_usd == (0.25, 0.0)
    (kept,) = kept_tables(log, state)
    assert kept.schema == ROW_SCHEMA
    assert list(rows_to_records(kept)) == list(rows_to_records(made))


def test_what_a_row_did_not_pay_for_is_not_spent() -> None:
    log = MemoryLog()
    reused = row(0, unsent=1, saved_usd=0.2)
    log.create_now(
        1, encode_entry(Head(kind="rows", number=1, writer="w", nonce="n"), [table(reused, row(1))])
    )
    assert list(state_of(log).rows_usd) == pytest.approx([0.05, 0.25])
