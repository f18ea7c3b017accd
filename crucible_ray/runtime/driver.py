"""The driver: grants trials and money to clients, takes their rows, makes them durable, and decides when it is over.

| task | does | ends |
| --- | --- | --- |
| one for each client | spawn, exchange, on death hand its work to others and spawn again | nothing is left for it |
| writer | one journal entry a second, or every 4 MB | all rows are durable |
| heart | tells the journal that this driver lives; asks silent clients for a sign | with the run |
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from math import fsum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crucible_ray.calls.budget import Ledger
from crucible_ray.errors import CrucibleError, RestartsExhausted
from crucible_ray.journal.log import Journal
from crucible_ray.journal.rows import RowBuffer, read_rows
from crucible_ray.ports import Client, ClientLost, Spawner
from crucible_ray.records import Exchange, Fatal, Grant, Report, Row
from crucible_ray.runtime.frontier import Frontier
from crucible_ray.runtime.pacing import Pace
from crucible_ray.runtime.supervision import RestartBudget, Verdict
from crucible_ray.runtime.trial import ANSWERED, CLIENT_DIED

FLUSH_S = 0.7
FLUSH_BYTES = 4 << 20
MOST_PENDING_BYTES = 64 << 20
"""Rows that wait for the journal; beyond this nothing more is granted."""
GRACE_S = 10.0
SILENCE_S = 60.0
BEAT_S = 5.0
ALIVE_S = 2.0


class Tally:
    """What came in so far, for people to watch."""

    def __init__(self) -> None:
        self.rows = 0
        self.failed = 0
        self.errors: Counter[str] = Counter()
        self.calls = 0
        self.retries = 0
        self.throttled = 0
        self.quota_wait_s = 0.0
        self.lag_s = 0.0
        self.deaths = 0
        self.handed_back = 0
        self.client_cpu_s: dict[tuple[int, int], float] = {}

    def add(self, table: pa.Table) -> None:
        """Count rows that are the first for their trial."""
        self.rows += table.num_rows
        self.calls += int(pc.sum(pc.list_value_length(table["calls"])).as_py() or 0)
        if table["error"].null_count < table.num_rows:
            for entry in pc.value_counts(table["error"].drop_null()).to_pylist():
                self.errors[entry["values"]] += entry["counts"]
        self.failed = sum(n for error, n in self.errors.items() if error not in ANSWERED)


class _Hand:
    """What the driver knows of one client."""

    def __init__(self, windows: tuple[int, ...], conditions: int) -> None:
        self.paces = [Pace(window) for window in windows]
        self.unstarted = (0,) * len(windows)
        self.in_flight = (0,) * len(windows)
        self.waiting = 0
        self.wanted = (0.0,) * conditions
        self.held = [0.0] * conditions
        self.heard_s = 0.0
        self.client: Client | None = None


class Driver:
    """Runs one plan to its end over ports; no Ray, no files, no clock but the event loop's."""

    def __init__(
        self,
        *,
        frontier: Frontier,
        ledger: Ledger,
        journal: Journal,
        spawner: Spawner,
        clients: int,
        windows: tuple[int, ...],
        bounds_usd: tuple[float, ...] = (),
        restarts: RestartBudget | None = None,
        answer_within_s: float = 0.25,
        on_event: Callable[[str, dict[str, object]], None] | None = None,
    ) -> None:
        self.frontier, self.ledger, self.tally = frontier, ledger, Tally()
        self._journal, self._spawner = journal, spawner
        self._conditions = frontier.order.conditions
        self._windows, self._bounds = windows, bounds_usd
        self._hands = [_Hand(windows, self._conditions) for _ in range(clients)]
        self._restarts = restarts or RestartBudget(max_restarts=10 * clients, window_s=60.0)
        self._answer_within_s = answer_within_s
        self._on_event = on_event or (lambda _name, _facts: None)
        self._loop = asyncio.get_running_loop()
        self._pending: list[pa.Table] = []
        self._pending_bytes = 0
        self._pending_since_s = 0.0
        self._to_write = asyncio.Event()
        self._changed = asyncio.Event()
        self._log = asyncio.Lock()
        self._status: str | None = None
        self._stopped_s = 0.0
        self._ending = False
        self._quarantine: int | None = None
        self.fatal: Fatal | None = None

    # -- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> str:
        """Run to the end: `complete`, `budget`, `interrupted`, `refused` or what `stop` was told.

        Raises CannotContinue where the record cannot be written or clients cannot be kept alive.
        """
        try:
            async with asyncio.TaskGroup() as group:
                heart = group.create_task(self._heart())
                writer = group.create_task(self._write())
                hands = [group.create_task(self._serve(k)) for k in range(len(self._hands))]
                await asyncio.wait(hands)
                self._ending = True
                self._to_write.set()
                await writer
                heart.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        status = "complete" if self.frontier.complete else self._status or "budget"
        async with self._log:
            await self._journal.append_stop(status, self.ledger.spent_usd)
        return status

    def stop(self, status: str) -> None:
        """Grant nothing more; what is in flight has a grace time, the rest stays pending."""
        if self._status is None:
            self._status, self._stopped_s = status, self._loop.time()
            self._changed.set()

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._status is not None

    async def _serve(self, index: int) -> None:
        generation = 0
        while not self._over():
            hand = self._hands[index] = _Hand(self._windows, self._conditions)
            try:
                client = await self._spawner.spawn(index, generation)
                hand.client, hand.heard_s = client, self._loop.time()
                await self._converse(index, generation, client)
            except ClientLost as lost:
                await self._spawner.kill(index)
                self._bury(index, str(lost))
                generation += 1
            else:
                return

    async def _converse(self, index: int, generation: int, client: Client) -> None:
        number = 0
        hand = self._hands[index]
        while True:
            grants, amounts = self._work(index)
            idle = not grants and not self.frontier.out_with(index)
            if idle:
                if self._over():
                    return
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._changed.wait()
                continue
            await self._raise_ceiling()
            number += 1
            stop = self.stopping
            message = Exchange(
                number=number,
                generation=generation,
                grants=tuple(grants),
                allowance_usd=tuple(amounts) if self._bounds else (),
                refuse_money=self._must_refuse(),
                low_water=self._low_water(index),
                answer_within_s=self._answer_within_s,
                stop=stop,
                abandon=stop and self._loop.time() > self._stopped_s + GRACE_S,
            )
            report = await client.exchange(message)
            hand.heard_s = self._loop.time()
            self._take(index, report)

    def _over(self) -> bool:
        """Whether nothing is left to grant to anybody, now or later."""
        if self.frontier.complete or (self.stopping and self.frontier.out == 0):
            return True
        return self.frontier.out == 0 and not self._affords_anything()

    def _bury(self, index: int, why: str) -> None:
        hand = self._hands[index]
        handed_back = self.frontier.out_with(index)
        self.ledger.lost(hand.held)
        hand.held = [0.0] * self._conditions
        for trial in self.frontier.died(index):
            self._fail(index, trial)
        if self._quarantine == index:
            self._quarantine = None
        self.tally.deaths += 1
        self.tally.handed_back += handed_back
        self._changed.set()
        self._on_event("client_died", {"client": index, "why": why, "handed_back": handed_back})
        if self._restarts.on_crash(now_s=self._loop.time()) is Verdict.GIVE_UP:
            raise RestartsExhausted(self._restarts.max_restarts, self._restarts.window_s, why)

    def _fail(self, index: int, trial: int) -> None:
        """A trial that keeps killing its client becomes a failed row."""
        buffer = RowBuffer()
        nothing: dict[str, None] = dict.fromkeys(
            ("prediction", "correct", "latency_us", "cost_usd", "input_tokens", "output_tokens", "reasoning_tokens")
        )
        buffer.append(Row(trial=trial, error=CLIENT_DIED, finish_reason=None, retries=0, **nothing), None)
        self._keep(index, buffer.take())

    # -- work and money --------------------------------------------------------------------------------------------

    def _work(self, index: int) -> tuple[list[Grant], list[float]]:
        """What this client gets now; its money is committed here, before anybody else can."""
        amounts = [0.0] * self._conditions
        grants: list[Grant] = []
        hand = self._hands[index]
        if self.stopping or self._pending_bytes > MOST_PENDING_BYTES:
            return grants, amounts
        if self._bounds and any(hand.wanted) and self.ledger.affords(hand.wanted):
            amounts = list(hand.wanted)
            hand.wanted = (0.0,) * self._conditions
            self._commit(hand, amounts)
        if self._quarantined(index):
            if not self.frontier.out_with(index) and self._affords_suspects():
                grant = self.frontier.take_suspects(index)
                assert grant is not None
                grants.append(grant)
                self._pay(hand, grant, amounts)
            return grants, amounts
        for lane, pace in enumerate(hand.paces):
            wanted = pace.wanted(hand.unstarted[lane], hand.in_flight[lane])
            while wanted > 0 and self.frontier.has_work(lane):
                most = self._affordable(lane, wanted)
                grant = self.frontier.take(index, lane, most) if most else None
                if grant is None:
                    break
                grants.append(grant)
                wanted -= self._pay(hand, grant, amounts)
        return grants, amounts

    def _quarantined(self, index: int) -> bool:
        """Whether this client runs suspects, with nothing else, until none is left that the budget covers."""
        waiting = self._affords_suspects()
        if self._quarantine is None and waiting:
            self._quarantine = index
        if self._quarantine != index:
            return False
        if not waiting and not self.frontier.out_with(index):
            self._quarantine = None
            return False
        return True

    def _pay(self, hand: _Hand, grant: Grant, amounts: list[float]) -> int:
        """Commit the money that a grant needs; returns its trials."""
        blocks = sum(stop - start for start, stop in grant.spans)
        counts = Counter(trial % self._conditions for trial in grant.trials)
        for condition in self.frontier.lanes[grant.lane]:
            counts[condition] += blocks
        if self._bounds:
            cost = [counts[k] * self._bounds[k] for k in range(self._conditions)]
            self._commit(hand, cost)
            for k, amount in enumerate(cost):
                amounts[k] += amount
        return counts.total()

    def _commit(self, hand: _Hand, amounts: list[float]) -> None:
        self.ledger.grant(amounts)
        for k, amount in enumerate(amounts):
            hand.held[k] += amount

    def _affordable(self, lane: int, most: int) -> int:
        """How many of the next trials of a lane the budget covers; a block that it does not cover whole is split."""
        if not self._bounds:
            return most
        block = [self._bounds[k] if k in self.frontier.lanes[lane] else 0.0 for k in range(self._conditions)]
        if self.frontier.next_single(lane) is None:
            width = len(self.frontier.lanes[lane])
            blocks = max(1, most // width)
            while blocks and not self.ledger.affords([blocks * b for b in block]):
                blocks //= 2
            if blocks:
                return blocks * width
            self.frontier.split_next_block(lane)
        single = self.frontier.next_single(lane)
        if single is None:
            return 0
        condition = single % self._conditions
        if self.ledger.affords([float(most) * b for b in block]):
            return most
        return int(self.ledger.affords([b if k == condition else 0.0 for k, b in enumerate(block)]))

    def _affords_anything(self) -> bool:
        if self.stopping:
            return False
        if self._affords_suspects():
            return True
        return any(self._affordable(lane, 1) for lane in range(len(self._windows)) if self.frontier.has_work(lane))

    def _affords_suspects(self) -> bool:
        while group := self.frontier.next_suspects():
            if not self._bounds:
                return True
            counts = Counter(trial % self._conditions for trial in group)
            if self.ledger.affords([counts[k] * self._bounds[k] for k in range(self._conditions)]):
                return True
            if len(group) == 1:
                return False
            self.frontier.halve_suspects()
        return False

    def _must_refuse(self) -> bool:
        """Whether everything that is in flight waits for money, and there is none."""
        waiting = sum(hand.waiting for hand in self._hands)
        if not waiting or self.stopping:
            return bool(waiting)
        if waiting < sum(sum(hand.in_flight) for hand in self._hands):
            return False
        return not any(self.ledger.affords(hand.wanted) for hand in self._hands if any(hand.wanted))

    async def _raise_ceiling(self) -> None:
        """No money leaves before the log knows of it."""
        if not self._bounds:
            return
        ceiling = self.ledger.ceiling_for([0.0] * self._conditions)
        if ceiling is not None:
            async with self._log:
                ceiling = self.ledger.ceiling_for([0.0] * self._conditions)
                if ceiling is not None:
                    await self._journal.append_ceiling(ceiling)
                    self.ledger.ceiling_usd = ceiling

    def _low_water(self, index: int) -> tuple[int, ...]:
        hand = self._hands[index]
        if self.stopping or self._quarantine == index:
            return (-1,) * len(hand.paces)
        return tuple(
            pace.low_water if self.frontier.has_work(lane) and self._affordable(lane, 1) else -1
            for lane, pace in enumerate(hand.paces)
        )

    # -- rows ------------------------------------------------------------------------------------------------------

    def _take(self, index: int, report: Report) -> None:
        hand = self._hands[index]
        finished = [0] * len(hand.paces)
        if report.rows:
            trials = self._keep(index, report.rows)
            lanes = self.frontier.lane_of(trials)
            finished = np.bincount(lanes, minlength=len(hand.paces)).tolist()
        now = self._loop.time()
        for lane, pace in enumerate(hand.paces):
            pace.on_report(finished[lane], now_s=now)
        self.frontier.give_back(index, report.returned)
        self.ledger.settle(report.spent_usd, report.released_usd)
        for k, (spent, released) in enumerate(zip(report.spent_usd, report.released_usd, strict=True)):
            hand.held[k] = max(0.0, hand.held[k] - spent - released)
        hand.unstarted, hand.in_flight = report.unstarted, report.in_flight
        hand.waiting, hand.wanted = report.waiting, report.wanted_usd
        tally = self.tally
        tally.retries += report.retries
        tally.throttled += report.throttled
        tally.quota_wait_s += report.quota_wait_s
        tally.lag_s = max(tally.lag_s, report.lag_s)
        tally.client_cpu_s[index, report.generation] = report.cpu_s
        if report.fatal is not None and self.fatal is None:
            self.fatal = report.fatal
            self.stop("refused")
        self._changed.set()

    def _keep(self, index: int, rows: bytes) -> np.ndarray:
        table = read_rows(rows)
        trials = table["trial"].to_numpy()
        first = self.frontier.finish(index, trials)
        # Late rows are written too: the log keeps all that was paid for, and reading it keeps the first.
        self.tally.add(table if first.all() else table.filter(pa.array(first)))
        if not self._pending:
            self._pending_since_s = self._loop.time()
        self._pending.append(table)
        self._pending_bytes += table.nbytes
        self._to_write.set()
        return trials

    async def _write(self) -> None:
        while True:
            await self._to_write.wait()
            due_s = self._pending_since_s + FLUSH_S
            while not self._ending and self._pending_bytes < FLUSH_BYTES and self._loop.time() < due_s:
                await asyncio.sleep(min(0.05, due_s - self._loop.time()))
            await self._flush()
            if self._ending and not self._pending:
                return

    async def _flush(self) -> None:
        async with self._log:
            tables, self._pending = self._pending, []
            self._pending_bytes = 0
            self._to_write.clear()
            if tables:
                await self._journal.append_rows(tables, self.ledger.spent_usd)
                self._changed.set()

    # -- signs of life ---------------------------------------------------------------------------------------------

    async def _heart(self) -> None:
        beats: dict[int, asyncio.Task[None]] = {}
        told_s = asked_s = self._loop.time()
        async with _cancelled_at_exit(beats):
            while True:
                await asyncio.sleep(min(ALIVE_S, BEAT_S))
                now = self._loop.time()
                if now >= told_s + ALIVE_S:
                    await self._journal.keep_alive()
                    told_s = now
                if now < asked_s + BEAT_S:
                    continue
                asked_s = now
                for index, hand in enumerate(self._hands):
                    if hand.client is None or (index in beats and not beats[index].done()):
                        continue
                    if now > hand.heard_s + SILENCE_S:
                        self._on_event("client_silent", {"client": index})
                        await self._spawner.kill(index)
                    beats[index] = self._loop.create_task(self._beat(hand))

    async def _beat(self, hand: _Hand) -> None:
        assert hand.client is not None
        try:
            await hand.client.beat()
        except ClientLost:
            return  # the exchange in progress says so too, and acts on it
        hand.heard_s = self._loop.time()


@contextlib.asynccontextmanager
async def _cancelled_at_exit(tasks: dict[int, asyncio.Task[None]]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for task in tasks.values():
            task.cancel()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that ended the run; what it dragged along is of no interest to anybody."""
    for error in errors.exceptions:
        found = _first(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, CrucibleError):
            return found
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
