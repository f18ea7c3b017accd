"""`stop_when`: what the declared hypotheses say while items come in, in the order that was fixed before the run.

An item counts once every trial of it has its row, in all conditions and repeats, and every item before it counts:
never in the order in which trials end, which goes with latency, and so with who wins. A failed trial counts at its
worst for whatever is claimed. The run asks the same object that the analysis reads its verdicts from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crucible_ray.experiment.grid import order_of
from crucible_ray.metrics.registry import metric_of
from crucible_ray.reduction.asking import pair_of
from crucible_ray.reduction.table import Table
from crucible_ray.stats.claims import Claim
from crucible_ray.stats.looks import PairedBounds, judge_look
from crucible_ray.stats.result import Floats
from crucible_ray.stats.verdicts import Verdict

if TYPE_CHECKING:
    import pyarrow as pa

    from crucible_ray.experiment.plan import HypothesisPlan, Plan

Ints = NDArray[np.int64]
_CHUNK = 1 << 14


@dataclass(frozen=True, slots=True)
class Judgement:
    """Where one hypothesis stands."""

    verdict: Verdict = "not_decided"
    decided_at: int | None = None
    """After how many items."""


class Sequence:
    """The items that count so far, and the verdicts on the declared hypotheses. Pure; told rows in any order."""

    def __init__(self, plan: Plan, table: Table | None = None) -> None:
        """table: the rows that there are already; None: none. `plan` has a `stop_when` and hypotheses."""
        assert plan.stop_when is not None
        self.plan, self.rule = plan, plan.stop_when
        self.table = Table(plan) if table is None else table
        self.items = 0
        """How many count."""
        self._ranked = order_of(plan).items_at(np.arange(plan.items, dtype=np.int64))
        self._left = np.full(plan.items, plan.repeats * len(plan.conditions), np.int64)
        alpha = level_of(plan)
        self._claims = [Claim(h.relation, h.margin, alpha=alpha) for h in plan.hypotheses]
        self._looked = [Judgement() for _ in plan.hypotheses]
        self.looks = 0
        """Planned looks that were taken."""
        if table is not None:
            rows = sum((table.answered(k) | table.failed(k)).sum(axis=1) for k in range(len(plan.conditions)))
            self._left -= rows
            self._advance()

    def add(self, rows: pa.Table, own: pa.RecordBatch | None = None) -> None:
        """Take rows, each the first of its trial. own: `trial` and the values of the author's own metrics."""
        for batch in rows.to_batches():
            self.table.add(batch)
        if own is not None:
            self.table.add_own(own)
        trials = rows["trial"].to_numpy()
        np.subtract.at(self._left, trials // (self.plan.repeats * len(self.plan.conditions)), 1)
        self._advance()

    @property
    def judgements(self) -> list[Judgement]:
        """Of each declared hypothesis, in their order."""
        if self.rule.rule == "looks":
            return self._looked
        return [Judgement(each.verdict, each.decided_at) for each in self._claims]

    @property
    def decided(self) -> int:
        """How many hypotheses are decided."""
        return sum(each.verdict != "not_decided" for each in self.judgements)

    @property
    def over(self) -> bool:
        """Whether all of them are."""
        return self.decided == len(self.plan.hypotheses)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Which items have all their rows, in the order of the dataset; shape [items]."""
        return self._left <= 0

    @property
    def decided_at(self) -> int | None:
        """After how many items all were decided; None: not yet."""
        return max(each.decided_at or 0 for each in self.judgements) if self.over else None

    def counted(self, last: int | None = None) -> Ints:
        """The items that count, in their order, or the first `last` of them; shape [n]."""
        return self._ranked[: self.items if last is None else last]

    def _advance(self) -> None:
        """Count what is complete without a gap."""
        while self.items < self.plan.items:
            complete = self._left[self._ranked[self.items : self.items + _CHUNK]] <= 0
            new = len(complete) if complete.all() else int(np.argmin(complete))
            if new == 0:
                return
            first, self.items = self.items, self.items + new
            if self.rule.rule == "looks":
                self._look()
                continue
            items = self._ranked[first : self.items]
            for claim, hypothesis in zip(self._claims, self.plan.hypotheses, strict=True):
                claim.feed(*increments(self.plan, self.table, hypothesis, items))

    def _look(self) -> None:
        """Take the planned looks that are due."""
        for at in look_items(self.plan)[self.looks :]:
            if at > self.items or self.over:
                return
            items = self.counted(at)
            for k, hypothesis in enumerate(self.plan.hypotheses):
                if self._looked[k].verdict == "not_decided":
                    found = judge_look(
                        self.rule.looks,
                        self.looks,
                        bounds(self.plan, self.table, hypothesis, items),
                        hypothesis.relation,
                        hypothesis.margin,
                        alpha=level_of(self.plan),
                    )
                    self._looked[k] = Judgement(found.verdict, at if found.verdict != "not_decided" else None)
            self.looks += 1


def level_of(plan: Plan) -> float:
    """The level of each hypothesis: alpha over their number, whatever is decided first; uncorrected if so declared."""
    return plan.analysis.alpha / (1 if plan.analysis.correction == "none" else max(1, len(plan.hypotheses)))


def look_items(plan: Plan) -> list[int]:
    """After how many items each planned look is taken."""
    assert plan.stop_when is not None
    return [math.ceil(share * plan.items - 1e-9) for share in plan.stop_when.looks]


def outcomes(plan: Plan, table: Table, hypothesis: HypothesisPlan, items: Ints) -> tuple[Floats, Floats]:
    """Of a hypothesis' two conditions on these items, shape [n, repeats] both; NaN where there is none."""
    pair = pair_of(plan, hypothesis.metric, hypothesis.a, hypothesis.b)
    column = metric_of(plan, hypothesis.metric).column
    return table.values(column, pair.a)[items], table.values(column, pair.b)[items]


def bounds(plan: Plan, table: Table, hypothesis: HypothesisPlan, items: Ints) -> PairedBounds:
    """The outcomes of a hypothesis' two conditions on these items; what was lost lies between 0 and 1."""
    a, b = outcomes(plan, table, hypothesis, items)
    return PairedBounds(
        a_low=np.nan_to_num(a, nan=0.0),
        a_high=np.nan_to_num(a, nan=1.0),
        b_low=np.nan_to_num(b, nan=0.0),
        b_high=np.nan_to_num(b, nan=1.0),
        strata=None if table.strata is None else table.strata[items],
    )


def increments(plan: Plan, table: Table, hypothesis: HypothesisPlan, items: Ints) -> tuple[Floats, Floats]:
    """Each item's difference of means, a - b: the lowest and the highest that it can have been; shape [n] both."""
    found = bounds(plan, table, hypothesis, items)
    lows = found.a_low.mean(axis=1) - found.b_high.mean(axis=1)
    highs = found.a_high.mean(axis=1) - found.b_low.mean(axis=1)
    return lows, highs
