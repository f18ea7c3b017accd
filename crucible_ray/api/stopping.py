"""`stop_when` while a run goes on: rows as they come in, and whether they settle what it is for."""

from __future__ import annotations

from collections.abc import Sequence as Ordered
from typing import TYPE_CHECKING

from msgspec.structs import replace

from crucible_ray.errors import SpecError
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.kept import kept_tables
from crucible_ray.journal.state import JournalState
from crucible_ray.journal.store import BlockingLog
from crucible_ray.metrics.own import COLUMNS
from crucible_ray.records import Item
from crucible_ray.reduction.peeking import Sequence

if TYPE_CHECKING:
    import pyarrow as pa

    from crucible_ray.api.own import Own

_READ = ("trial", "error", "correct", "consensus", "latency_us", "cost_usd")


class Stopping:
    """Told rows, says whether every declared hypothesis is decided."""

    def __init__(self, plan: Plan, items: Ordered[Item], own: Own) -> None:
        """`plan` has a `stop_when` and hypotheses; own: the author's metrics, of which some may be about."""
        asked = {hypothesis.metric for hypothesis in plan.hypotheses}
        needed = tuple(each for each in plan.own_metrics if each.name in asked)
        self.sequence = Sequence(replace(plan, own_metrics=needed))
        self._scores = own.columns(self.sequence.plan, items) if needed else None

    def read(self, log: BlockingLog, state: JournalState) -> None:
        """Take the rows that count already."""
        columns = _READ if self._scores is None else (*_READ, *COLUMNS)
        for table in kept_tables(log, state, list(dict.fromkeys(columns))):
            self.heard(table)

    def heard(self, rows: pa.Table) -> bool:
        """Take rows, each the first of its trial. Raises SpecError where a metric of the author's fails."""
        self.sequence.add(rows, None if self._scores is None else self._scored(rows))
        return self.sequence.over

    def _scored(self, rows: pa.Table) -> pa.RecordBatch:
        import pyarrow as pa

        assert self._scores is not None
        try:
            found = self._scores.columns(rows.select(list(dict.fromkeys(("trial", *COLUMNS)))).to_pylist())
        except SpecError as error:
            error.add_note("Every answer that came in is recorded. Mend it and run the same again.")
            raise
        columns = {name: pa.array(values, pa.float64()) for name, values in found.items()}
        return pa.RecordBatch.from_pydict({"trial": rows["trial"].combine_chunks(), **columns})


def stopping_of(plan: Plan, items: Ordered[Item], own: Own, *, beyond: bool) -> Stopping | None:
    """What may stop a run; None: nothing but its end. beyond: it was asked to go on although all is decided."""
    if plan.stop_when is None or not plan.hypotheses or beyond:
        return None
    return Stopping(plan, items, own)
