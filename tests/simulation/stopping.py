"""Runs that may stop early, under the same weather: who answers right answers late, or early, and so ends early.

The decision is computed again from the rows that count, by other code than the runtime's: item by item in the seeded
order, each prefix by itself.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from functools import cache
from math import ceil, inf
from typing import Any

import msgspec
import numpy as np

from crucible_ray.experiment.grid import order_of
from crucible_ray.experiment.plan import AnalysisPlan, HypothesisPlan, Plan, StopPlan
from crucible_ray.journal.entries import decode_entry
from crucible_ray.journal.kept import kept_tables
from crucible_ray.journal.rows import rows_to_records
from crucible_ray.journal.state import JournalState
from crucible_ray.records import Row
from crucible_ray.reduction.peeking import Sequence
from crucible_ray.runtime.lanes import lanes_of
from crucible_ray.stats import group_sequential
from crucible_ray.stats.decision import paired_difference
from crucible_ray.stats.sequential import BETS, GroupSequential
from crucible_ray.stats.verdicts import verdict
from crucible_ray.testing import run_virtual
from tests.simulation import scenario
from tests.simulation.scenario import Violation, check_limit, check_money, kept
from tests.simulation.world import LETTERS, Provider, Weather, World

ALPHA = 0.4
_HYPOTHESES = (
    ("superiority", 0.0),
    ("superiority", 0.1),
    ("non_inferiority", 0.3),
    ("equivalence", 0.6),
)


class BiasedProvider(Provider):
    """Its models differ in how often they are right, and whether one is right goes with how long it takes."""

    right: dict[str, float]
    slow_if_right: float

    def answer(self, request: dict[str, Any], draw: random.Random) -> str:
        right = _expected(request)
        if draw.random() < self.right[request["model"]]:
            return right
        return draw.choice([letter for letter in LETTERS if letter != right])

    def slowness(self, request: dict[str, Any], answer: str) -> float:
        return self.slow_if_right if answer == _expected(request) else 1.0


def _expected(request: dict[str, Any]) -> str:
    words = request["messages"][-1]["content"].split("Question ")[1]
    return LETTERS[int(words.split("?")[0]) % 4]


class StoppingWorld(World):
    """A world whose run may stop."""

    def __init__(self, seed: int, weather: Weather | None = None) -> None:
        self.draws = random.Random(f"stopping {seed}")
        drawn = weather or Weather.drawn(random.Random(seed))
        drawn.items = self.draws.randrange(12, 32)
        self.apart = self.draws.random() < 0.5
        """Whether conditions have different limit groups: then one lane may outrun the other."""
        if self.apart:  # the provider keeps one limit for all, and each group would take all of it
            drawn.rpm = drawn.tpm = None
        super().__init__(seed, drawn)
        self.limit = self.plan.budget.max_total
        self._read: set[int] = set()
        self._rows: dict[int, Row] = {}
        self._decided = False

    def _provider(self) -> Provider:
        provider = BiasedProvider(self.rng, self.weather)
        provider.right = {name: self.draws.choice([0.1, 0.5, 0.95]) for name in "mno"}
        provider.slow_if_right = self.draws.choice([0.1, 1.0, 10.0])
        return provider

    def _plan(self, seed: int) -> Plan:
        plan = super()._plan(seed)
        looks = self.draws.choice([0, 0, 2, 5])
        shares = tuple((k + 1) / looks for k in range(looks))
        chosen = self.draws.sample(_HYPOTHESES, self.draws.choice([1, 1, 2]))
        hypotheses = tuple(
            HypothesisPlan(
                text=relation, metric="accuracy", a="three", b="one", relation=relation, margin=margin
            )
            for relation, margin in chosen
        )
        if self.apart:
            plan = _in_lanes(plan)
        return msgspec.structs.replace(
            plan,
            hypotheses=hypotheses,
            stop_when=StopPlan(rule="looks" if looks else "decided", looks=shares),
            analysis=AnalysisPlan(alpha=ALPHA),
        )

    def sequence(self, state: JournalState) -> Sequence | None:
        if self.over:
            return None
        sequence = Sequence(self.plan)
        for table in kept_tables(self.storage, state):
            sequence.add(table)
        return sequence

    def granted(self) -> None:
        """No grant leaves once the rows that decide are in the log."""
        if self.over:
            return
        new = sorted(self.storage.entries.keys() - self._read)
        self._read |= set(new)
        entries = [decode_entry(self.storage.entries[number], number, "simulated") for number in new]
        fresh = [
            row for entry in entries if entry.head.kind == "rows" for row in rows_to_records(entry.table())
        ]
        for row in fresh:
            self._rows.setdefault(row.trial, row)
        if fresh and not self._decided:
            self._decided = recomputed(self.plan, list(self._rows.values()))[1]
        if self._decided:
            raise Violation("trials were granted after the decision was recorded")

    ended = ""
    over = False
    """Whether a user asked to go on beyond the stop."""


def _in_lanes(plan: Plan) -> Plan:
    one, three = plan.conditions
    call = one.calls[0]
    other = msgspec.structs.replace(call.model, base_url="http://elsewhere/v1", limit_group="h")
    moved = msgspec.structs.replace(one, calls=(msgspec.structs.replace(call, model=other),))
    assert len(lanes_of((moved, three))) == 2
    return msgspec.structs.replace(plan, conditions=(moved, three))


def recomputed(plan: Plan, rows: list[Row]) -> tuple[list[tuple[str, int | None]], bool]:
    """(verdict and items of each hypothesis, whether all are decided), from rows alone, in the seeded order."""
    lows, highs = _tables(plan, rows)
    alpha = ALPHA / len(plan.hypotheses)
    assert plan.stop_when is not None
    judge = _by_looks if plan.stop_when.rule == "looks" else _by_betting
    found = [judge(plan, each, lows, highs, alpha) for each in plan.hypotheses]
    return found, all(verdict != "not_decided" for verdict, _ in found)


def _tables(plan: Plan, rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the complete prefix, lost ones at 0 and at 1; shape [items, repeats, conditions] both."""
    known = {row.trial: row.correct if row.error in (None, "parse_failed") else None for row in rows}
    width = plan.repeats * len(plan.conditions)
    lows, highs = [], []
    for item in order_of(plan).items_at(np.arange(plan.items)).tolist():
        trials = range(item * width, (item + 1) * width)
        if not all(trial in known for trial in trials):
            break
        lows.append([0 if known[trial] is None else known[trial] for trial in trials])
        highs.append([1 if known[trial] is None else known[trial] for trial in trials])
    shape = (len(lows), plan.repeats, len(plan.conditions))
    return np.array(lows, float).reshape(shape), np.array(highs, float).reshape(shape)


def _by_betting(
    plan: Plan, asked: HypothesisPlan, lows: np.ndarray, highs: np.ndarray, alpha: float
) -> tuple[str, int | None]:
    if not len(lows):
        return "not_decided", None
    low = (lows[:, :, 1].mean(axis=1)) - highs[:, :, 0].mean(axis=1)
    high = (highs[:, :, 1].mean(axis=1)) - lows[:, :, 0].mean(axis=1)
    level = 2 * alpha if asked.relation == "equivalence" else alpha
    edges = {"superiority": (asked.margin,) * 2, "non_inferiority": (-asked.margin,) * 2}
    lower, upper = edges.get(asked.relation, (-asked.margin, asked.margin))
    above = [_first_out(low, edge, level, sign=1) for edge in (lower, upper)]
    below = [_first_out(high, edge, level, sign=-1) for edge in (lower, upper)]
    supported = max(above[0], below[1]) if asked.relation == "equivalence" else above[0]
    refuted = min(above[1], below[0]) if asked.relation == "equivalence" else below[1]
    if min(supported, refuted) == inf:
        return "not_decided", None
    return ("supported" if supported <= refuted else "refuted"), int(min(supported, refuted))


def _first_out(increments: np.ndarray, edge: float, alpha: float, *, sign: int) -> float:
    """After how many increments every mean on one side of the edge is out; infinite: it never is."""
    capital = [1.0] * len(BETS)
    for n, increment in enumerate(increments.tolist(), 1):
        gain = (1 + sign * increment) / (1 + sign * edge) - 1
        capital = [each * (1 + bet * gain) for each, bet in zip(capital, BETS, strict=True)]
        if sum(capital) / len(capital) >= 2 / alpha:
            return n
    return inf


@cache
def _plan_of_looks(shares: tuple[float, ...], alpha: float) -> GroupSequential:
    return group_sequential(shares, alpha=alpha)


def _by_looks(
    plan: Plan, asked: HypothesisPlan, lows: np.ndarray, highs: np.ndarray, alpha: float
) -> tuple[str, int | None]:
    assert plan.stop_when is not None
    group = _plan_of_looks(plan.stop_when.looks, 2 * alpha if asked.relation == "equivalence" else alpha)
    for look, share in enumerate(plan.stop_when.looks):
        n = ceil(share * plan.items - 1e-9)
        if n > len(lows):
            break
        least = paired_difference(highs[:n, :, 0], lows[:n, :, 1], alpha=group.levels[look])
        most = paired_difference(lows[:n, :, 0], highs[:n, :, 1], alpha=group.levels[look])
        low, high = least.result.ci_low, most.result.ci_high
        if low is None or high is None or not (least.decidable and most.decidable):
            continue
        found = verdict(low, high, asked.relation, asked.margin)
        if found != "not_decided":
            return found, n
    return "not_decided", None


def play_stopping(seed: int) -> StoppingWorld:
    """Run one seed until it stops or is complete, check everything, and go on beyond the stop. Raises Violation."""
    return run_virtual(_bounded(seed))


async def _bounded(seed: int) -> StoppingWorld:
    try:
        async with asyncio.timeout(scenario.LONGEST_S):
            return await _play(seed)
    except TimeoutError:
        raise Violation(f"seed {seed}: not finished after {scenario.LONGEST_S:.0f} virtual seconds") from None


async def _play(seed: int) -> StoppingWorld:
    world = StoppingWorld(seed)
    outages = asyncio.ensure_future(world.weather_of_provider())
    world.ended = await _until(world, {"stopped", "complete"})
    stopped = await check_stop(world)
    if stopped:
        world.over = True
        await _until(world, {"complete"})
        after = recomputed(world.plan, await kept(world))[0]
        if after != stopped:
            raise Violation(f"beyond the stop {stopped} became {after}")
        await scenario.check_rows(world)
    outages.cancel()
    check_limit(world)
    return world


async def _until(world: StoppingWorld, ends: set[str]) -> str:
    kills = world.weather.driver_kills
    for _ in range(scenario._MOST_STARTS):
        status = await scenario._life(world, kill=kills > 0, budget=world.limit)
        kills -= 1
        await check_money(world)
        if status in ends:
            return status
        if status == "budget":
            await scenario.check_budget(world, world.limit)
            world.limit = inf
        if status == "StorageFailed":
            world.weather.storage_faults = 0.0
    raise Violation(f"not {ends} after many starts: {world.notes[-3:]}")


async def check_stop(world: StoppingWorld) -> list[tuple[str, int | None]]:
    """What it stopped on is what the kept rows say in the seeded order; empty: it ran to its end."""
    rows = await kept(world)
    counts = Counter(row.trial for row in rows)
    if doubled := [trial for trial, n in counts.items() if n > 1]:
        raise Violation(f"trials with more than one row: {doubled[:5]}")
    found, decided = recomputed(world.plan, rows)
    if world.ended == "complete":
        await scenario.check_rows(world)
        return []
    if not decided:
        raise Violation(f"it stopped although the rows say {found}")
    sequence = world.sequence(await scenario._state(world))
    assert sequence is not None
    told = [(each.verdict, each.decided_at) for each in sequence.judgements]
    plain = [("refuted" if verdict == "reversed" else verdict, n) for verdict, n in found]
    if [("refuted" if verdict == "reversed" else verdict, n) for verdict, n in told] != plain:
        raise Violation(f"it stopped on {told}; the rows say {found}")
    return found
