"""Runs that could stop early: what counts, in which order, and what their analysis says."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from msgspec import UNSET

from crucible_ray.experiment.grid import order_of
from crucible_ray.experiment.plan import AnalysisPlan, Plan, StopPlan
from crucible_ray.journal.rows import ROW_SCHEMA
from crucible_ray.reduction import Analysis, decode, encode, reduce
from crucible_ray.reduction.peeking import Sequence
from crucible_ray.stats.claims import Claim
from crucible_ray.stats.sequential import betting_sequence
from tests.reduction.rows import batches, hypothesis, plan, row

DECIDED = StopPlan(rule="decided")
BETTER = (hypothesis("accuracy: ensemble > single"),)


def stopping(items: int, repeats: int = 1, rule: StopPlan = DECIDED, **how: Any) -> Plan:
    return plan(items, repeats, **({"stop_when": rule, "hypotheses": BETTER} | how))


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=ROW_SCHEMA)


def ranked(of: Plan) -> list[int]:
    """The items in the order of the run."""
    return [int(item) for item in order_of(of).items_at(np.arange(of.items))]


def rows_of(of: Plan, item: int, single: int | None, ensemble: int | None) -> list[dict[str, Any]]:
    """All rows of an item; None: failed."""
    return [
        row((item * of.repeats + repeat) * 2 + k, value, error="timeout" if value is None else None)
        for repeat in range(of.repeats)
        for k, value in enumerate((single, ensemble))
    ]


def test_an_item_counts_only_when_every_earlier_one_is_complete() -> None:
    of = stopping(40, repeats=2)
    order, sequence = ranked(of), Sequence(of)
    for item in order[1:30]:
        sequence.add(table(rows_of(of, item, 0, 1)))
    assert (sequence.items, sequence.over) == (0, False)
    first = rows_of(of, order[0], 0, 1)
    sequence.add(table(first[:3]))
    assert sequence.items == 0
    sequence.add(table(first[3:]))
    assert sequence.items == 30
    assert sequence.over


def test_quick_wins_and_late_losses_decide_nothing() -> None:
    """Completion order would see only wins; the planned order waits for the losses."""
    of = stopping(100)
    sequence = Sequence(of)
    slow = ranked(of)[::4]
    for item in range(100):
        if item not in slow:
            sequence.add(table(rows_of(of, item, 0, 1)))
    assert betting_sequence(np.ones(75)).decided_at == 11
    assert not sequence.over
    for item in slow:
        sequence.add(table(rows_of(of, item, 1, 0)))
    expected = [-1.0 if item in slow else 1.0 for item in ranked(of)]
    assert sequence.judgements[0].decided_at == betting_sequence(expected).decided_at


def test_an_items_repeats_stand_together_in_the_order_of_a_run_that_may_stop() -> None:
    of = stopping(50, repeats=3)
    blocks = order_of(of).blocks_at(np.arange(150))
    assert sorted(blocks) == list(range(150))
    assert (blocks // 3 == np.repeat(ranked(of), 3)).all()
    assert (order_of(of).ranks_of(blocks) == np.arange(150)).all()
    once, plain = stopping(50), plan(50)
    ranks = np.arange(50)
    assert (order_of(once).blocks_at(ranks) == order_of(plain).blocks_at(ranks)).all()


def analysed(of: Plan, wins: int, losses: int, ties: int) -> Analysis:
    """In the order of the run: wins first, then losses, then ties; what is left is pending."""
    outcomes = [(0, 1)] * wins + [(1, 0)] * losses + [(1, 1)] * ties
    rows = [r for item, pair in zip(ranked(of), outcomes, strict=False) for r in rows_of(of, item, *pair)]
    return reduce(of, batches(sorted(rows, key=lambda each: each["trial"])))


def test_verdict_interval_and_p_are_the_sequences_and_the_fixed_sample_test_stands_beside() -> None:
    of = stopping(400)
    analysis = analysed(of, 12, 0, 20)
    sequence = betting_sequence([1.0] * 12 + [0.0] * 20)
    (told,), (compared,) = analysis.hypotheses, [c for c in analysis.comparisons if c.metric == "accuracy"]
    assert (told.verdict, told.decided_at, told.p_value) == ("supported", 11, sequence.p_value)
    assert (told.ci_low, told.ci_high) == (sequence.ci_low, sequence.ci_high)
    assert (compared.test, compared.p_value) == ("betting_sequence", sequence.p_value)
    assert compared.fixed is not UNSET
    fixed = reduce(plan(400, hypotheses=BETTER), batches(_rows(of, 12, 20)))
    beside = next(c for c in fixed.comparisons if c.metric == "accuracy")
    assert (compared.fixed.test, compared.fixed.p_value) == (beside.test, beside.p_value)
    assert beside.p_value != compared.p_value
    assert analysis.sequential is not UNSET
    assert (analysis.sequential.items, analysis.sequential.decided_at) == (32, 11)
    assert decode(encode(analysis)).sequential == analysis.sequential


def _rows(of: Plan, wins: int, ties: int) -> list[dict[str, Any]]:
    outcomes = [(0, 1)] * wins + [(1, 1)] * ties
    rows = [r for item, pair in zip(ranked(of), outcomes, strict=False) for r in rows_of(of, item, *pair)]
    return sorted(rows, key=lambda each: each["trial"])


def test_failures_that_go_with_losing_support_nothing() -> None:
    """Every item that the ensemble would have lost timed out: what was answered is all wins."""
    of = stopping(60)
    rows = [
        r
        for place, item in enumerate(ranked(of))
        for r in rows_of(of, item, *((0, 1) if place % 2 else (1, None)))
    ]
    analysis = reduce(of, batches(sorted(rows, key=lambda each: each["trial"])))
    (told,) = analysis.hypotheses
    assert told.verdict == "not_decided"
    assert told.fixed is not UNSET
    assert analysis.sequential is not UNSET
    assert (analysis.sequential.lost, analysis.sequential.items) == (30, 60)


def test_several_hypotheses_share_alpha_and_it_stops_when_all_are_decided() -> None:
    both = (*BETTER, hypothesis("accuracy: ensemble >= single - 0.1", relation="non_inferiority", margin=0.1))
    of = stopping(400, hypotheses=both)
    sequence = Sequence(of)
    decided: list[int] = []
    for item in ranked(of):
        sequence.add(table(rows_of(of, item, 0, 1)))
        decided.append(sequence.decided)
        if sequence.over:
            break
    assert decided[-2:] == [1, 2]
    alone = betting_sequence(np.ones(60), alpha=0.025).decided_at
    assert sequence.decided_at == alone == len(decided)
    uncorrected = stopping(400, hypotheses=both, analysis=AnalysisPlan(correction="none"))
    analysis = analysed(uncorrected, 40, 0, 0)
    assert analysis.hypotheses[0].decided_at == betting_sequence(np.ones(60)).decided_at


def test_planned_looks_are_taken_when_their_items_are_there_and_at_no_other_time() -> None:
    of = stopping(200, rule=StopPlan(rule="looks", looks=(0.5, 1.0)))
    order, sequence = ranked(of), Sequence(of)
    for item in order[:99]:
        sequence.add(table(rows_of(of, item, 0, 1)))
    assert (sequence.looks, sequence.over) == (0, False)
    before = analysed(of, 99, 0, 0)
    assert (before.hypotheses[0].verdict, before.hypotheses[0].estimate) == ("not_decided", None)
    assert "the first is after 100 items" in before.hypotheses[0].reason
    sequence.add(table(rows_of(of, order[99], 0, 1)))
    assert (sequence.looks, sequence.decided_at) == (1, 100)
    after = analysed(of, 100, 0, 30)
    (told,) = after.hypotheses
    assert (told.verdict, told.decided_at, told.estimate) == ("supported", 100, 1.0)
    assert told.e_value is UNSET
    assert isinstance(told.p_value, float)
    assert told.p_value < 1e-6


@pytest.mark.parametrize("rule", [DECIDED, StopPlan(rule="looks", looks=(0.5, 1.0))])
def test_the_analysis_of_the_same_rows_has_the_same_bytes_in_any_order_of_arrival(rule: StopPlan) -> None:
    of = stopping(60, repeats=2, rule=rule)
    rows = [
        r for k, item in enumerate(ranked(of)) for r in rows_of(of, item, int(k % 3 == 0), int(k % 4 > 0))
    ]
    shuffled = [rows[k] for k in np.random.default_rng(3).permutation(len(rows))]
    assert encode(reduce(of, batches(rows))) == encode(reduce(of, batches(shuffled, 7)))


def test_a_run_without_a_rule_says_nothing_of_stopping() -> None:
    of = plan(20, hypotheses=BETTER)
    text = json.loads(encode(reduce(of, batches(_rows(stopping(20), 10, 10)))))
    assert "sequential" not in text
    assert not {"decided_at", "e_value", "fixed"} & set(text["hypotheses"][0])


def test_where_winning_goes_with_ending_early_only_the_planned_order_keeps_the_level() -> None:
    """No difference, twenty items in flight, and an item that the ensemble wins ends ten times as fast."""
    rng, items, runs = np.random.default_rng(11), 150, 60
    wrong = {"as they end": 0, "as planned": 0}
    for _ in range(runs):
        steps = rng.choice([-1.0, 0.0, 1.0], p=[0.3, 0.4, 0.3], size=items)
        running: list[tuple[float, int]] = []
        ended, left, now = [], list(range(items)), 0.0
        while left or running:
            while left and len(running) < 20:
                place = left.pop(0)
                running.append((now + rng.exponential(0.1 if steps[place] > 0 else 1.0), place))
            now, place = min(running)
            running.remove((now, place))
            ended.append(steps[place])
        for name, values in (("as they end", np.array(ended)), ("as planned", steps)):
            claim = Claim("superiority")
            claim.feed(values, values)
            wrong[name] += claim.decided_at is not None
    assert wrong["as planned"] / runs <= 0.05
    assert wrong["as they end"] / runs > 0.1
