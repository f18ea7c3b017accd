"""What is recorded of an author's own functions that failed."""

from __future__ import annotations

import msgspec
import pyarrow.compute as pc

from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.kept import kept_tables
from crucible_ray.journal.state import JournalState
from crucible_ray.journal.store import BlockingLog
from crucible_ray.records import Said
from crucible_ray.runtime.trial import EXCEPTION


def first_exception(plan: Plan, log: BlockingLog, state: JournalState) -> str | None:
    """Of the failed trial with the lowest number: its author's own frames and what the exception says.

    None: no function raised anything. Raises DamagedEntry, StorageFailed.
    """
    if not state.failed.count or all(each.function is None for each in plan.conditions):
        return None
    raised = (
        (row["trial"], row["returned"])
        for table in kept_tables(log, state, ["trial", "error", "returned"])
        for row in table.filter(pc.fill_null(pc.equal(table["error"], EXCEPTION), False)).to_pylist()
    )
    _, returned = min(raised, default=(0, None))
    return None if returned is None else _detail(returned)


def failure_of(trial: int, log: BlockingLog, state: JournalState) -> str | None:
    """Why a function gave no answer in a trial, where its row says. Raises DamagedEntry, StorageFailed."""
    for table in kept_tables(log, state, ["trial", "returned"]):
        for found in table.filter(pc.equal(table["trial"], trial)).to_pylist():
            return None if found["returned"] is None else _detail(found["returned"])
    return None


def _detail(returned: str) -> str | None:
    return msgspec.json.decode(returned, type=Said).detail
