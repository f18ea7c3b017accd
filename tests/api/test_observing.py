"""A run seen from outside: money that is spent, money that is only set aside, money that nobody can account for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from crucible_ray.api.observing import Standing, observe
from crucible_ray.cli.standing import standing_lines
from crucible_ray.journal.log import Journal
from crucible_ray.journal.memory import MemoryLog
from tests.journal.making import opened, row, table
from tests.reduction.rows import plan


def _seen(log: MemoryLog, folder: Path) -> Standing:
    return asyncio.run(observe(plan(10), folder, log))


def test_money_that_a_run_has_set_aside_is_not_called_spent(tmp_path: Path) -> None:
    log = MemoryLog()

    async def begin() -> Journal:
        journal = await opened(log)
        await journal.append_ceiling(2.0)
        await journal.append_rows([table(row(0))], 0.5)
        return journal

    journal = asyncio.run(begin())
    running = _seen(log, tmp_path)
    assert (running.alive, running.spent_usd, running.reserved_usd, running.held_usd) == (True, 0.5, 1.5, 0.0)
    assert standing_lines(running)[1].endswith("19 pending, $0.5 spent, $1.5 more reserved")

    asyncio.run(journal.close())  # without a stop: as after a kill
    killed = _seen(log, tmp_path)
    assert (killed.alive, killed.spent_usd, killed.reserved_usd, killed.held_usd) == (False, 0.5, 0.0, 1.5)
    assert "$0.5 spent, $1.5 held by what was killed: perhaps spent" in standing_lines(killed)[1]


def test_a_run_that_settled_everything_has_spent_and_nothing_else(tmp_path: Path) -> None:
    log = MemoryLog()

    async def whole() -> None:
        journal = await opened(log)
        await journal.append_ceiling(2.0)
        await journal.append_rows([table(row(0))], 0.5)
        await journal.append_stop("budget", 0.75)
        await journal.close()

    asyncio.run(whole())
    found = _seen(log, tmp_path)
    assert (found.spent_usd, found.reserved_usd, found.held_usd) == (0.75, 0.0, 0.0)
    assert standing_lines(found)[1].endswith("$0.75 spent")
