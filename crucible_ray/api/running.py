"""One session of one run: open the journal, drive the clients, leave a record that can be gone on with."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import tempfile
import time
import uuid
from datetime import UTC, datetime
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import to_builtins
from msgspec.structs import replace

from crucible_ray.api.blinding import is_hidden, shown_note, tell_names
from crucible_ray.api.earlier import Earlier, place, wanted
from crucible_ray.api.fleet import Fleet
from crucible_ray.api.logging import RunLog
from crucible_ray.api.narrowing import Part
from crucible_ray.api.opening import open_state, register
from crucible_ray.api.options import Note, Options
from crucible_ray.api.places import experiment_folder
from crucible_ray.api.preparing import DEFAULT_CONCURRENCY, Prepared
from crucible_ray.api.reusing import reuse_replies
from crucible_ray.api.session import Session
from crucible_ray.api.sharing import shared_before
from crucible_ray.api.simulating import served
from crucible_ray.api.stopping import Stopping, stopping_of
from crucible_ray.api.warning import Warnings
from crucible_ray.api.watching import LEAVES_WITHIN_S, Watch, stopped_by_signals
from crucible_ray.calls.budget import Ledger
from crucible_ray.errors import CrucibleError
from crucible_ray.experiment.grid import order_of
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.artifacts import SCRATCH, write_inputs
from crucible_ray.journal.log import Journal
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.journal.store import BlockingLog
from crucible_ray.journal.trials import TrialSet
from crucible_ray.runtime.client import Setup
from crucible_ray.runtime.driver import Driver
from crucible_ray.runtime.frontier import Frontier
from crucible_ray.runtime.known import Known
from crucible_ray.runtime.live import fitted, raise_file_limit
from crucible_ray.runtime.sharing import run_lanes

_UNPLANNED_USD = 1.0
"""What functions are taken to cost where nobody knows: it sizes the steps in which the log is told of money."""

_LEAST_LEAD = 16
"""Blocks that one lane may be ahead of another where a run may stop early."""
_LEAST_PAID_LEAD = 2
_LEAD_SHARE = 0.05
"""The same where a budget may stop it: what their calls cost at most is such a share of it."""


def _public(prepared: Prepared, options: Options, folder: Path) -> dict[str, Any]:
    """The settings for `config.json`: no secret, and places as they are from anywhere."""
    public = prepared.settings.public()
    checkpoints = public["run"]["checkpoint_dir"]
    if checkpoints is not None and "://" not in checkpoints:
        public["run"] = {**public["run"], "checkpoint_dir": str(Path(checkpoints).resolve())}
    where = prepared.base or experiment_folder(folder)
    public["experiment_folder"] = None if where is None else str(where.resolve())
    reuse = wanted(options)
    public["reuse"] = None if reuse is None else place(reuse, folder.parent)
    return public


async def run_session(
    prepared: Prepared, options: Options, fleet: Fleet, folder: Path, store: BlockingLog
) -> Session:
    """Run what is left to run. Raises CrucibleError; whatever was recorded stays."""
    session = Session(started=datetime.now(UTC).isoformat(timespec="seconds"))
    began_s = time.monotonic()
    keys = prepared.keys()
    bounds = prepared.bounds_usd()
    part = Part(prepared.plan, prepared.items, options.items, options.conditions)
    journal = await Journal.open(
        store,
        writer=uuid.uuid4().hex,
        checkpoint_every=prepared.plan.checkpoint_every,
        take_over=options.take_over,
    )
    try:
        state = await open_state(journal, prepared.plan, options, part)
        registered = await register(journal, prepared.plan, state, at=session.started)
        await asyncio.to_thread(
            write_inputs,
            folder,
            plan=prepared.plan,
            items=prepared.items,
            registered=registered,
            settings=_public(prepared, options, folder),
            experiment_folder=prepared.base,
        )
        logging = prepared.settings.logging
        experiment_id = prepared.plan.experiment_id
        with RunLog(folder, settings=logging, experiment_id=experiment_id, secrets=keys.values()) as log:
            log.info("start", **_start_facts(prepared, options, state))
            run = _Run(prepared, log.listening(options), folder, store, journal, session, part, log)
            await run.go(state, fleet, keys, bounds)
            log.info("end", status=session.status, **_end_facts(session))
    finally:
        session.duration_s = time.monotonic() - began_s
        await _close(journal)
    return session


@dataclasses.dataclass(frozen=True)
class _Run:
    """What one session works with while its journal is open."""

    prepared: Prepared
    options: Options
    folder: Path
    store: BlockingLog
    journal: Journal
    session: Session
    part: Part
    log: RunLog

    async def go(
        self, state: JournalState, fleet: Fleet, keys: dict[str, str], bounds: tuple[float, ...]
    ) -> None:
        """Take what is paid for already, then ask for the rest."""
        if self.options.on_note is not None:
            for told in self.prepared.notes:
                facts = shown_note({"told": told}, self.prepared.plan)
                self.options.on_note(Note(name="prepared", facts=facts))
        plan = self.prepared.plan
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=SCRATCH) as scratch:
            state, known = await self._paid_for(state, Path(scratch))
            stopping = await asyncio.to_thread(self._stopping, state)
            decided = stopping is not None and stopping.sequence.over
            if self._skipped(state).count < plan.trials and not decided:
                await self._drive(state, known, fleet, keys, bounds, stopping)
            elif state.kept.count < plan.trials:
                self.session.status = "stopped"
                if decided and state.status != "stopped":  # it broke between the decision and its end
                    await self.journal.append_stop("stopped", state.spent_usd)
            elif (
                state.status is None
            ):  # all was paid for already, or it broke between its last row and its end
                await self.journal.append_stop(self.session.status, state.spent_usd)
        if (
            plan.blind
            and self.session.status == "stopped"
            and stopping is not None
            and stopping.sequence.over
        ):
            await self._unblind()

    def _skipped(self, state: JournalState) -> TrialSet:
        """What is not to be run now: what is done or outside the part; on retry, also what a rule may have ended before."""
        skipped = self.part.without(state.kept)
        if not self.options.retry or self.prepared.plan.stop_when is None or self.options.beyond_stop:
            return skipped
        again = np.fromiter(state.reopened, np.int64, len(state.reopened))
        again = again[~skipped.contains(again)]
        skipped = TrialSet()
        skipped.add(np.arange(self.prepared.plan.trials, dtype=np.int64))
        skipped.discard(again)
        return skipped

    async def _unblind(self) -> None:
        """A blind run that its rule has ended is not gone on with: names are told, on record."""
        plan = self.prepared.plan
        state = await read_state(self.store, conditions=len(plan.conditions))
        if is_hidden(plan, state):
            await tell_names(self.journal, plan, trials=state.kept.count)

    def _stopping(self, state: JournalState) -> Stopping | None:
        """What may stop the run, told the rows that there are."""
        beyond = self.options.beyond_stop or self.options.retry  # that asks no trial that was never asked
        stopping = stopping_of(self.prepared.plan, self.prepared.items, self.prepared.own, beyond=beyond)
        if stopping is not None:
            stopping.read(self.store, state)
        return stopping

    async def _paid_for(self, state: JournalState, scratch: Path) -> tuple[JournalState, Known | None]:
        """What earlier runs and earlier sessions have paid for."""
        plan, known = self.prepared.plan, None
        if self.options.earlier is not None and state.kept.count < plan.trials:
            known = await self._reuse(self.options.earlier, state, scratch)
            state = await read_state(self.store, conditions=len(plan.conditions))
        if plan.share_replies and 0 < state.kept.count < plan.trials:
            before = await asyncio.to_thread(shared_before, plan, self.store, state, scratch)
            known = before if known is None else known + before
        return state, known

    async def _reuse(self, earlier: Earlier, state: JournalState, scratch: Path) -> Known:
        wanted = dataclasses.replace(state, kept=self._skipped(state))
        facts, known = await reuse_replies(self.prepared, earlier, self.journal, wanted, scratch)
        self.session.reused = facts.calls
        if self.options.on_note is not None:
            self.options.on_note(Note(name="reused", facts=to_builtins(facts)))
        return known

    async def _drive(
        self,
        state: JournalState,
        known: Known | None,
        fleet: Fleet,
        keys: dict[str, str],
        bounds: tuple[float, ...],
        stopping: Stopping | None,
    ) -> None:
        """Clients, a driver, and the watch over them, until everything is asked or something stops it."""
        prepared, plan = self.prepared, self.prepared.plan
        skipped = self._skipped(state)
        prepared.afford(self._pending(skipped))
        async with served(plan, self.folder / "dataset.jsonl") as (live_plan, url):
            warnings = Warnings(plan, prepared.items)
            watch = Watch(plan, self.options, fleet, self.session, state, warnings)
            watch.folder, watch.stopping = self.folder, stopping
            watch.skipped = skipped.count - state.kept.count
            watch.tell("starting", None)
            setup = await self._setup(live_plan, url, fleet, bounds, watch)
            directory = replace(prepared.directory(), simulator_url=url)
            ledger = _ledger(prepared, state, bounds)
            driver = Driver(
                frontier=Frontier(
                    order=order_of(plan),
                    lanes=setup.lanes,
                    done=skipped,
                    together=plan.share_replies,
                    lead=_lead(setup, ledger, stopping),
                ),
                ledger=ledger,
                journal=self.journal,
                # The seed is of back-off jitter alone: no result depends on it.
                spawner=fleet.spawner(setup, keys, uuid.uuid4().int & 0xFFFF_FFFF),
                clients=setup.clients,
                windows=setup.windows,
                bounds_usd=bounds,
                known=known,
                open_ended=[k for k, each in enumerate(plan.conditions) if each.function is not None],
                when_done="complete" if skipped.count == state.kept.count else "stopped",
                on_event=watch.note,
                decides=None if stopping is None else watch.heard,
                on_rows=warnings.listening(self.log.rows(live_plan, prepared.items, directory.find)),
            )
            await _watched(driver, watch, fleet, self.session, handle_signals=self.options.handle_signals)
            if self.session.status == "budget":
                pending = self._pending(driver.frontier.done)
                self.session.trial_bound_usd = max((bounds[k] for k in pending), default=0.0)

    def _pending(self, done: TrialSet) -> set[int]:
        """The conditions with a trial that is not done."""
        conditions = len(self.prepared.plan.conditions)
        missing = done.missing(self.prepared.plan.trials)
        return {k for trials in missing for k in np.unique(trials % conditions).tolist()}

    async def _setup(
        self, live_plan: Plan, url: str | None, fleet: Fleet, bounds: tuple[float, ...], watch: Watch
    ) -> Setup:
        """What clients are made from, once the fleet knows its nodes."""
        prepared = self.prepared
        nodes = await fleet.ready()
        clients = self.session.clients = self.options.clients or prepared.settings.run.clients or nodes
        directory = replace(prepared.directory(), simulator_url=url)
        return Setup(
            plan=live_plan,
            items=prepared.items,
            lanes=run_lanes(prepared.plan),
            windows=_fitted(prepared, self.options, clients, watch),
            bounds_usd=bounds,
            clients=clients,
            code=prepared.code or None,
            directory=directory if prepared.code else None,
        )


def _start_facts(prepared: Prepared, options: Options, state: JournalState) -> dict[str, Any]:
    return {
        "trials": prepared.plan.trials,
        "done": state.kept.count,
        "runtime": options.runtime,
        "pid": os.getpid(),
        "version": version("crucible-ray"),
    }


def _end_facts(session: Session) -> dict[str, Any]:
    names = ("clients", "calls", "retries", "throttled", "quota_wait_s", "lag_s", "client_cpu_s", "deaths")
    return {name: getattr(session, name) for name in names}


async def _close(journal: Journal) -> None:
    """Say goodbye, where the store still listens: the failure that ended the run is the one to be told."""
    with contextlib.suppress(CrucibleError):
        await journal.close()


async def _watched(
    driver: Driver, watch: Watch, fleet: Fleet, session: Session, *, handle_signals: bool
) -> None:
    """Run the driver while it is told how it goes; the fleet is closed whatever happens."""
    watching = asyncio.ensure_future(watch.run(driver))
    try:
        with stopped_by_signals(driver, watch, enabled=handle_signals):
            session.status = await _to_the_end(driver, watch, session)
        if watching.done():
            watching.result()  # the caller's own `on_progress` failed: that is theirs to see
    finally:
        watching.cancel()
        try:
            watch.finish(driver)
        finally:
            await fleet.close()


async def _to_the_end(driver: Driver, watch: Watch, session: Session) -> str:
    """Run the driver; a first cancellation stops it in good order, a second one at once."""
    running = asyncio.ensure_future(driver.run())
    try:
        while True:
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                if running.done():
                    raise
                if driver.interrupted:
                    await _leave(driver, running, watch)
                    raise
            session.cancelled = True
            watch.note("stopping", {"signal": "cancelled"})
            driver.stop("interrupted")
    finally:
        if not running.done():
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def _leave(driver: Driver, running: asyncio.Task[str], watch: Watch) -> None:
    """Give the driver a moment to make durable what came in. Raises what it raises."""
    driver.leave()
    await asyncio.wait([running], timeout=LEAVES_WITHIN_S)
    if running.done():
        running.result()
    watch.leaving(driver)


def _fitted(prepared: Prepared, options: Options, clients: int, watch: Watch) -> tuple[int, ...]:
    """By lane: trials in flight of one client, fewer where this machine allows too few open files."""
    plan = prepared.plan
    lanes = run_lanes(plan)
    wanted = _windows(options, plan, clients, len(lanes))
    if options.address or prepared.settings.run.address:
        return wanted  # other machines have limits of their own, which clients look at when they start
    files = raise_file_limit() // (clients if options.runtime == "in-process" else 1)
    windows = fitted(plan, lanes, wanted, files)
    if windows != wanted:
        facts = {"from": clients * sum(wanted), "to": clients * sum(windows), "open_files": files}
        watch.note("window_lowered", dict(facts))
    return windows


def _windows(options: Options, plan: Plan, clients: int, lanes: int) -> tuple[int, ...]:
    total = options.max_concurrent_queries or plan.max_concurrent_queries or DEFAULT_CONCURRENCY
    return (max(1, -(-total // (clients * lanes))),) * lanes


def _lead(setup: Setup, ledger: Ledger, stopping: Stopping | None) -> int | None:
    """By how many blocks a lane may be ahead of another: what it asks ahead is without its pair where a run stops early."""
    leads = []
    if stopping is not None:
        leads.append(max(_LEAST_LEAD, max(setup.windows) * setup.clients))
    block_usd, left_usd = sum(setup.bounds_usd), ledger.limit_usd - ledger.spent_usd
    if block_usd > 0 and left_usd < inf:
        leads.append(max(_LEAST_PAID_LEAD, int(_LEAD_SHARE * left_usd / block_usd)))
    return min(leads, default=None)


def _ledger(prepared: Prepared, state: JournalState, bounds: tuple[float, ...]) -> Ledger:
    budget = prepared.plan.budget
    enforced = budget.abort_on_exceed
    limit = budget.max_total if enforced and budget.max_total is not None else inf
    each = budget.max_per_condition if enforced and budget.max_per_condition is not None else inf
    planned = sum(bounds) * prepared.plan.items * prepared.plan.repeats
    if any(each.function is not None for each in prepared.plan.conditions):
        planned = max(planned, _UNPLANNED_USD)
    return Ledger(
        limit_usd=limit,
        condition_limit_usd=each,
        conditions=len(prepared.plan.conditions),
        scale_usd=min(limit, planned),
        spent_usd=state.paid_usd,
        other_usd=state.other_usd,
    )
