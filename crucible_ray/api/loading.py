"""A results folder as a RunResult again, whether its run has ended or not. Nothing in the folder is changed."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

import msgspec
from msgspec import UNSET

from crucible_ray.api.blinding import hides, shown_plan
from crucible_ray.api.failures import first_exception
from crucible_ray.api.finishing import write_and_analyse
from crucible_ray.api.observing import is_priced, observe
from crucible_ray.api.own import Own, reload_own
from crucible_ray.api.reporting import reports_in
from crucible_ray.api.result import RunResult
from crucible_ray.errors import UsageError
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.journal.store import BlockingLog
from crucible_ray.records import Item
from crucible_ray.reduction import Analysis, decode


async def read_result(
    plan: Plan,
    items: tuple[Item, ...],
    folder: Path,
    log: BlockingLog,
    *,
    own: Own | None = None,
    status: str | None = None,
    calls_made: int = 0,
    duration_s: float | None = None,
) -> RunResult:
    """What a folder's record holds; figures and rows are its own files', or made anew where those are behind.

    own: the author's own functions; None: as the experiment's file has them. status: None: as the record shows it.
    Raises UsageError, JournalError, StorageFailed; SpecError where one of those functions fails.
    """
    state = await read_state(log, conditions=len(plan.conditions))
    standing = await observe(plan, folder, log)
    if not state.kept.count and _stored_rows(folder):
        raise UsageError(
            f"{folder} has results, but the record that they were made of (checkpoints/) is gone."
        )
    analysis, tables = _stored_analysis(plan, folder, state), None
    if analysis is None:
        own = own if own is not None else reload_own(plan, folder)[1]
        analysis, tables = _anew(plan, items, log, state, own)
    return RunResult(
        results_dir=folder,
        status=status or standing.status,
        completed=state.kept.count - state.failed.count,
        failed=state.failed.count,
        calls_made=calls_made,
        cost_usd=state.spent_usd if is_priced(plan) else None,
        duration_s=duration_s,
        reports=reports_in(folder),
        analysis=analysis,
        plan=shown_plan(plan, analysis),
        tables=tables,
        exception=None if hides(analysis) else first_exception(plan, log, state),
    )


class _Tables(type(Path())):  # type: ignore[misc]
    """A temporary folder, there as long as a result has this very path: copies of a result (with gates) share it."""


def _anew(
    plan: Plan, items: tuple[Item, ...], log: BlockingLog, state: JournalState, own: Own
) -> tuple[Analysis, Path]:
    """The analysis of the rows that count, and the temporary folder with the tables that it was made of."""
    tables = _Tables(tempfile.mkdtemp(prefix="crucible-"))
    try:
        found = write_and_analyse(tables, plan=plan, items=items, log=log, state=state, own=own)
    except BaseException:
        shutil.rmtree(tables, ignore_errors=True)
        raise
    weakref.finalize(tables, shutil.rmtree, str(tables), ignore_errors=True)
    return found, tables


def _stored_rows(folder: Path) -> int:
    import pyarrow.parquet as pq

    path = folder / "results.parquet"
    return int(pq.read_metadata(path).num_rows) if path.is_file() else 0


def _stored_analysis(plan: Plan, folder: Path, state: JournalState) -> Analysis | None:
    """`analysis.json`, if it is about the rows that count now and answers what is asked now."""
    path = folder / "analysis.json"
    if not path.is_file() or _stored_rows(folder) != state.kept.count:
        return None
    try:
        found = decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} cannot be read: {error}. Delete it, and resume writes it again.") from error
    failed = sum(condition.completeness.failed for condition in found.conditions.values())
    asked = {name: set(condition.metrics) for name, condition in found.conditions.items()}
    same = (
        failed == state.failed.count
        and asked == {condition.name: set(plan.metrics) for condition in plan.conditions}
        and [each.text for each in found.hypotheses] == [each.text for each in plan.hypotheses]
        and _same_rule(found, plan)
    )
    return found if same else None


def _same_rule(found: Analysis, plan: Plan) -> bool:
    """Whether it was analysed under the plan's `stop_when`."""
    told, rule = found.sequential, plan.stop_when if plan.hypotheses else None
    if told is UNSET or rule is None:
        return told is UNSET and rule is None
    return (told.rule, len(told.looks)) == (rule.rule, len(rule.looks))
