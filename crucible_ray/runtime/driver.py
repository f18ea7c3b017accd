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
from collections.abc import AsyncIterator, Callable, Collection

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crucible_ray.calls.budget import Ledger
from crucible_ray.errors import CrucibleError, JournalError, RestartsExhausted, StorageFailed
from crucible_ray.experiment.grid import Ints
from crucible_ray.journal.log import Journal
from crucible_ray.journal.rows import RowBuffer, read_rows
from crucible_ray.ports import Client, ClientLost, Spawner
from crucible_ray.records import Exchange, Fatal, Grant, Report, Row, Said
from crucible_ray.runtime.frontier import Frontier
from crucible_ray.runtime.granting import Granting
from crucible_ray.runtime.known import Known
from crucible_ray.runtime.supervision import RestartBudget, Verdict
from crucible_ray.runtime.tally import Tally
from crucible_ray.runtime.trial import CLIENT_DIED, EXCEPTION

FLUSH_S = 0.7
FLUSH_BYTES = 4 << 20
MOST_PENDING_BYTES = 64 << 20
"""Rows that wait for the journal; beyond this nothing more is granted."""
GRACE_S = 10.0
SILENCE_S = 60.0
BEAT_S = 5.0
ALIVE_S = 2.0
DECIDED = "stopped"
"""The status of a run that ended because what it is for was decided."""


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
        open_ended: Collection[int] = (),
        restarts: RestartBudget | None = None,
        answer_within_s: float = 0.25,
        known: Known | None = None,
        when_done: str = "complete",
        on_event: Callable[[str, dict[str, object]], None] | None = None,
        on_rows: Callable[[pa.Table], None] | None = None,
        decides: Callable[[pa.Table], bool] | None = None,
    ) -> None:
        """`on_rows` sees every table of rows that arrives, late ones too.

        decides: told rows that are the first for their trial, it says whether they settle what the run is for.
        """
        self.frontier, self.ledger, self.tally = frontier, ledger, Tally()
        self._granting = Granting(
            frontier, ledger, clients=clients, windows=windows, bounds_usd=bounds_usd, open_ended=open_ended
        )
        self._told_exception = False
        self._journal, self._spawner = journal, spawner
        self._conditions = frontier.order.conditions
        self.metered, self._lanes = bool(bounds_usd), len(windows)
        self._clients: list[Client | None] = [None] * clients
        self._heard_s = [0.0] * clients
        self._restarts = restarts or RestartBudget(max_restarts=10 * clients, window_s=60.0)
        self._answer_within_s, self._known = answer_within_s, known
        self._when_done = when_done
        self._on_event = on_event or (lambda _name, _facts: None)
        self._on_rows, self._decides = on_rows, decides
        self._loop = asyncio.get_running_loop()
        self._pending: list[pa.Table] = []
        self._pending_bytes = 0
        self._pending_since_s = 0.0
        self._to_write = asyncio.Event()
        self._changed = asyncio.Event()
        self._log = asyncio.Lock()
        self._status: str | None = None
        self._stopped_s = 0.0
        self._leaving = False
        self.ended = False
        """Whether the run ended in good order: all that came in is durable, no ceiling stands."""
        self._ending = False
        self.fatal: Fatal | None = None

    # -- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> str:
        """Run to the end: `complete` (or what `when_done` says), `budget`, `interrupted`, `refused`, `stopped` (it is decided)
        or what `stop` was told.

        Raises CannotContinue where the record cannot be written or clients cannot be kept alive.
        """
        try:
            async with asyncio.TaskGroup() as group:
                heart = group.create_task(self._heart())
                writer = group.create_task(self._write())
                hands = [group.create_task(self._serve(k)) for k in range(len(self._clients))]
                await asyncio.wait(hands)
                self._ending = True
                self._to_write.set()
                await writer
                heart.cancel()
        except BaseExceptionGroup as errors:
            failure = _first(errors)
            await self._break(failure)
            raise failure from None
        status = self._when_done if self.frontier.complete else self._status or "budget"
        async with self._log:
            await self._journal.append_stop(status, self.ledger.spent_usd)
        self.ended = True
        return status

    async def _break(self, failure: BaseException) -> None:
        """The run ends here: what came in is still made durable, where the log is not what failed."""
        if isinstance(failure, StorageFailed | JournalError) or not isinstance(failure, CrucibleError):
            return
        await self._flush()
        async with self._log:
            await self._journal.append_stop("broken", self.ledger.spent_usd)

    def stop(self, status: str) -> None:
        """Grant nothing more; what is in flight has a grace time, the rest stays pending.

        Where everything is decided, what is in flight may end; a later stop for another reason cuts that short.
        """
        if self._status in (None, DECIDED) and self._status != status:
            self._status, self._stopped_s = status, self._loop.time()
            self._changed.set()

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._status is not None

    @property
    def interrupted(self) -> bool:
        """Whether it was asked for from outside, or for a failure: not because all is decided."""
        return self._status not in (None, DECIDED)

    def leave(self) -> None:
        """Stop now: what is in flight is cut short and counts as spent at its upper bound, what came in is made durable."""
        self.stop("interrupted")
        self._leaving = True
        self._changed.set()

    async def _serve(self, index: int) -> None:
        """One client's life after the other."""
        generation = 0
        while not self._over():
            self._granting.born(index)
            try:
                client = self._clients[index] = await self._born(index, generation)
                self._heard_s[index] = self._loop.time()
                await self._converse(index, generation, client)
            except ClientLost as lost:
                self._clients[index] = None
                await self._spawner.kill(index)
                self._bury(index, str(lost))
                generation += 1
            else:
                return

    async def _born(self, index: int, generation: int) -> Client:
        try:
            async with asyncio.timeout(SILENCE_S):
                return await self._spawner.spawn(index, generation)
        except TimeoutError:
            raise ClientLost(f"it did not start within {SILENCE_S:.0f} s") from None

    async def _converse(self, index: int, generation: int, client: Client) -> None:
        """Exchange after exchange, until nothing is left for this client. Raises ClientLost."""
        number = 0
        while True:
            grants, amounts = self._work(index)
            if not grants and not self.frontier.out_with(index):
                if self._over():
                    return
                await self._something_new()
                continue
            await self._raise_ceiling()
            number += 1
            message = self._message(number, generation, index, grants, amounts)
            report = await client.exchange(message)
            self._heard_s[index] = self._loop.time()
            self._take(index, report)

    def _work(self, index: int) -> tuple[list[Grant], list[float]]:
        if self.stopping or self._pending_bytes > MOST_PENDING_BYTES:
            return [], [0.0] * self._conditions
        return self._granting.work(index)

    def _message(
        self, number: int, generation: int, index: int, grants: list[Grant], amounts: list[float]
    ) -> Exchange:
        stop = self.stopping
        return Exchange(
            number=number,
            generation=generation,
            grants=tuple(grants),
            allowance_usd=tuple(amounts) if self.metered else (),
            refuse_money=self._granting.any_waiting() if stop else self._granting.must_refuse(),
            low_water=(-1,) * self._lanes if stop else self._granting.low_water(index),
            answer_within_s=self._answer_within_s,
            stop=stop,
            hand_back_unsent=self._status == "interrupted",
            abandon=self._leaving
            or (stop and self._status != DECIDED and self._loop.time() > self._stopped_s + GRACE_S),
            known=self._known.of(self.frontier.trials_of(grants))
            if self._known is not None and grants
            else b"",
        )

    async def _something_new(self) -> None:
        """Wait until trials or money may have come back, for a second at most."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._changed.wait()

    def _over(self) -> bool:
        """Whether nothing is left to grant to anybody, now or later."""
        if self.frontier.complete:
            return True
        return self.frontier.out == 0 and (self.stopping or not self._granting.affords_anything())

    def _bury(self, index: int, why: str) -> None:
        """Hand a dead client's work to others. Raises RestartsExhausted."""
        handed_back = self.frontier.out_with(index)
        for trial in self._granting.died(index):
            self._fail(index, trial)
        self.tally.deaths += 1
        self.tally.handed_back += handed_back
        self._changed.set()
        self._on_event("client_died", {"client": index, "why": why, "handed_back": handed_back})
        if self._restarts.on_crash(now_s=self._loop.time()) is Verdict.GIVE_UP:
            raise RestartsExhausted(self._restarts.max_restarts, self._restarts.window_s, why)

    def _fail(self, index: int, trial: int) -> None:
        """A trial that keeps killing its client becomes a failed row."""
        buffer = RowBuffer()
        row = Row(
            trial=trial,
            error=CLIENT_DIED,
            prediction=None,
            correct=None,
            latency_us=None,
            cost_usd=None,
            input_tokens=None,
            output_tokens=None,
            reasoning_tokens=None,
            finish_reason=None,
            retries=0,
        )
        buffer.append(row)
        self._keep(index, buffer.take())

    # -- money and rows --------------------------------------------------------------------------------------------

    async def _raise_ceiling(self) -> None:
        """No money leaves before the log knows of it."""
        if not self.metered:
            return
        ceiling = self.ledger.ceiling_needed()
        if ceiling is not None:
            async with self._log:
                ceiling = self.ledger.ceiling_needed()
                if ceiling is not None:
                    await self._journal.append_ceiling(ceiling)
                    self.ledger.ceiling_usd = ceiling

    def _take(self, index: int, report: Report) -> None:
        finished = [0] * self._lanes
        if report.rows:
            lanes = self.frontier.lane_of(self._keep(index, report.rows))
            finished = np.bincount(lanes, minlength=self._lanes).tolist()
        self._granting.heard(index, report, finished, now_s=self._loop.time())
        self.tally.hear(index, report, now_s=self._loop.time())
        if report.fatal is not None and self.fatal is None:
            self.fatal = report.fatal
            self.stop("refused")
        self._changed.set()

    def _keep(self, index: int, rows: bytes) -> Ints:
        """Rows on their way into the journal; returns their trials."""
        table = read_rows(rows)
        if self._on_rows is not None:
            self._on_rows(table)
        trials: Ints = table["trial"].to_numpy()
        first = self.frontier.finish(index, trials)
        # Late rows are written too: the log keeps all that was paid for, and reading it keeps the first.
        fresh = table if first.all() else table.filter(pa.array(first))
        self.tally.add(fresh)
        if self._decides is not None and self._decides(fresh):
            self.stop(DECIDED)
        if EXCEPTION in self.tally.errors and not self._told_exception:
            self._told_exception = True
            self._on_event("exception", _first_exception(table))
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
            while self._pending_bytes < FLUSH_BYTES and self._loop.time() < due_s:
                if self._ending or self._leaving:
                    break
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
                ceiling = self.ledger.lower_ceiling() if self.metered else None
                await self._journal.append_rows(tables, self.ledger.spent_usd, ceiling)
                self._changed.set()

    # -- signs of life ---------------------------------------------------------------------------------------------

    async def _heart(self) -> None:
        beats: dict[int, asyncio.Task[None]] = {}
        told_s = asked_s = self._loop.time()
        async with _cancelled_at_exit(beats):
            while True:
                slept_s = self._loop.time()
                await asyncio.sleep(min(ALIVE_S, BEAT_S))
                now = self._loop.time()
                if now > slept_s + SILENCE_S:
                    # Whoever did not listen heard nobody: a debugger, or a laptop's lid, stopped this very loop.
                    self._heard_s = [now] * len(self._heard_s)
                if now >= told_s + ALIVE_S:
                    await self._journal.keep_alive()
                    told_s = now
                if now < asked_s + BEAT_S:
                    continue
                asked_s = now
                for index, client in enumerate(self._clients):
                    if client is None:
                        continue
                    if now > self._heard_s[index] + SILENCE_S:
                        self._on_event("client_silent", {"client": index})
                        await self._spawner.kill(index)
                    elif index not in beats or beats[index].done():
                        beats[index] = self._loop.create_task(self._beat(index, client))

    async def _beat(self, index: int, client: Client) -> None:
        try:
            await client.beat()
        except ClientLost:
            return  # the exchange in progress says so too, and acts on it
        self._heard_s[index] = self._loop.time()


def _first_exception(table: pa.Table) -> dict[str, object]:
    """The first trial of a table that its author's own code failed, and what happened there."""
    failed = table.filter(pc.fill_null(pc.equal(table["error"], EXCEPTION), False)).slice(0, 1)
    (row,) = failed.select(["trial", "returned", "calls"]).to_pylist()
    if row["returned"] is not None:
        detail = msgspec.json.decode(row["returned"], type=Said).detail
    else:  # the author's own parser, on a call that was answered
        detail = next(
            (each["detail"] for each in row["calls"] if each["outcome"] == "ok" and each["detail"]), None
        )
    return {"trial": row["trial"], "detail": detail or ""}


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
