"""One session of one run: open the journal, drive the clients, leave a record that can be gone on with."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import to_builtins
from msgspec.structs import replace

from crucible_ray.api.fleet import Fleet
from crucible_ray.api.logging import RunLog
from crucible_ray.api.narrowing import Part
from crucible_ray.api.observing import is_priced
from crucible_ray.api.options import Note, Options, Progress
from crucible_ray.api.own import experiment_folder
from crucible_ray.api.preparing import DEFAULT_CONCURRENCY, Prepared, unpriced
from crucible_ray.api.reusing import AUTO, reuse_replies, sources
from crucible_ray.api.sharing import shared_before
from crucible_ray.api.simulating import served
from crucible_ray.api.waiting import WAITING
from crucible_ray.api.warning import Warnings
from crucible_ray.calls.budget import Ledger
from crucible_ray.errors import CrucibleError, MissingKey, ParameterRefused, RefusedKey, SpecError, UsageError
from crucible_ray.experiment.grid import Order
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.artifacts import SCRATCH, write_inputs
from crucible_ray.journal.log import Journal
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.journal.store import BlockingLog
from crucible_ray.records import Fatal
from crucible_ray.runtime.client import Setup
from crucible_ray.runtime.driver import Driver
from crucible_ray.runtime.frontier import Frontier
from crucible_ray.runtime.known import Known
from crucible_ray.runtime.live import fitted, raise_file_limit
from crucible_ray.runtime.sharing import run_lanes

_UNPLANNED_USD = 1.0
"""What functions are taken to cost where nobody knows: it sizes the steps in which the log is told of money."""
KILL_GRACE_S = 10.0


@dataclass
class Session:
    """What a session leaves for reports: clocks, counts, and what happened."""

    status: str = "complete"
    started: str = ""
    duration_s: float = 0.0
    clients: int = 0
    calls: int = 0
    retries: int = 0
    throttled: int = 0
    quota_wait_s: float = 0.0
    lag_s: float = 0.0
    client_cpu_s: float = 0.0
    call_s: float = 0.0
    driven_s: float = 0.0
    """From the first exchange with a client to the end of the last trial."""
    peak: int = 0
    tail_s: float = 0.0
    deaths: int = 0
    killed_at: float | None = None
    handed_back: int = 0
    reused: int = 0
    """Calls that earlier runs had paid for."""
    fatal: Fatal | None = None
    exception: str | None = None
    """The first that an author's own code raised: their frames, and what it says."""
    cancelled: bool = False
    """The task was cancelled: it stopped in good order, and the cancellation goes on when the results are written."""


def _public(prepared: Prepared, folder: Path) -> dict[str, Any]:
    """The settings for `config.json`: no secret, and the journal's place as it is from anywhere."""
    public = prepared.settings.public()
    place = public["run"]["checkpoint_dir"]
    if place is not None and "://" not in place:
        public["run"] = {**public["run"], "checkpoint_dir": str(Path(place).resolve())}
    where = prepared.base or experiment_folder(folder)
    public["experiment_folder"] = None if where is None else str(where.resolve())
    return public


def order_of(plan: Plan) -> Order:
    """The seeded order of a plan's grid."""
    return Order(
        blocks=plan.items * plan.repeats,
        conditions=len(plan.conditions),
        seed=plan.seed,
        randomize=plan.randomize,
    )


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
        state = await _state(journal, prepared.plan, options, part)
        await asyncio.to_thread(
            write_inputs,
            folder,
            plan=prepared.plan,
            items=prepared.items,
            settings=_public(prepared, folder),
            experiment_folder=prepared.base,
        )
        with (
            RunLog(
                folder,
                settings=prepared.settings.logging,
                experiment_id=prepared.plan.experiment_id,
                secrets=keys.values(),
            ) as log,
            contextlib.ExitStack() as stack,
        ):
            log.info("start", **_start_facts(prepared, options, state))
            known = None
            if options.reuse is not None and state.kept.count < prepared.plan.trials:
                scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH)))
                known = await _reuse(
                    prepared, log.listening(options), folder, journal, state, part, scratch, session
                )
                state = await read_state(store, conditions=len(prepared.plan.conditions))
            if prepared.plan.share_replies and 0 < state.kept.count < prepared.plan.trials:
                scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH)))
                before = await asyncio.to_thread(shared_before, prepared.plan, store, state, scratch)
                known = before if known is None else known + before
            if part.without(state.kept).count < prepared.plan.trials:
                await _drive(
                    prepared, options, fleet, folder, journal, state, keys, bounds, session, log, known, part
                )
            elif state.kept.count < prepared.plan.trials:
                session.status = "stopped"
            log.info("end", status=session.status, **_end_facts(session))
    finally:
        session.duration_s = time.monotonic() - began_s
        await _close(journal)
    return session


async def _reuse(
    prepared: Prepared,
    options: Options,
    folder: Path,
    journal: Journal,
    state: JournalState,
    part: Part,
    scratch: Path,
    session: Session,
) -> Known:
    """Take what earlier runs have paid for."""
    assert options.reuse is not None
    found = sources(options.reuse, folder.parent, folder)
    strict = str(options.reuse) != AUTO
    wanted = dataclasses.replace(state, kept=part.without(state.kept))
    facts, known = await reuse_replies(prepared, found, journal, wanted, scratch, strict=strict)
    session.reused = facts.calls
    if options.on_note is not None:
        options.on_note(Note(name="reused", facts=to_builtins(facts)))
    return known


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


def raise_fatal(fatal: Fatal | None, plan: Plan) -> None:
    """Say why the provider's refusal ended the run. Raises RefusedKey, ParameterRefused."""
    if fatal is None:
        return
    if fatal.kind == "missing_key":
        raise MissingKey(fatal.model, fatal.variable or "its key")
    if fatal.kind == "unknown_model":
        raise SpecError((fatal.detail,))
    if fatal.kind == "unpriced":
        raise UsageError(unpriced(fatal.model))
    if fatal.kind == "authentication":
        calls = [call for condition in plan.conditions for call in condition.calls]
        named = next((c.model.api_key_env for c in calls if c.model.name == fatal.model), None)
        variable = fatal.variable or named
        raise RefusedKey(fatal.model, variable or "no key", fatal.detail)
    raise ParameterRefused(fatal.model, fatal.detail)


async def _state(journal: Journal, plan: Plan, options: Options, part: Part) -> JournalState:
    """The journal's state after what was asked to be done to it."""
    count = len(plan.conditions)
    state = await read_state(journal.store, conditions=count)
    if not options.resume and state.kept.count:
        raise UsageError(
            f"{journal.store.where} already holds {state.kept.count} trials of this experiment: "
            "leave out --no-resume to go on, or add --force to start anew."
        )
    if options.force and state.last:
        await journal.append_reset(0)
    elif options.checkpoint is not None:
        marked = [checkpoint.number for checkpoint in state.checkpoints]
        if options.checkpoint not in marked:
            raise UsageError(f"There is no checkpoint {options.checkpoint}; marked are: {marked or 'none'}.")
        await journal.append_reset(options.checkpoint)
    elif options.retry and state.failed.count:
        failed = [
            numbers[state.failed.contains(numbers) & part.contains(numbers)]
            for numbers in _all_trials(plan.trials)
        ]
        await journal.append_reopen(np.concatenate(failed))
    else:
        return state
    return await read_state(journal.store, conditions=count)


def _all_trials(total: int) -> Iterator[np.ndarray]:
    for start in range(0, total, 1 << 16):
        yield np.arange(start, min(total, start + (1 << 16)), dtype=np.int64)


async def _drive(
    prepared: Prepared,
    options: Options,
    fleet: Fleet,
    folder: Path,
    journal: Journal,
    state: JournalState,
    keys: dict[str, str],
    bounds: tuple[float, ...],
    session: Session,
    log: RunLog,
    known: Known | None,
    part: Part,
) -> None:
    plan = prepared.plan
    options = log.listening(options)
    lanes = run_lanes(plan)
    async with served(plan, folder / "dataset.jsonl") as (live_plan, url):
        seed = uuid.uuid4().int & 0xFFFF_FFFF  # of back-off jitter alone: no result depends on it
        warnings = Warnings(plan, prepared.items)
        skipped = part.without(state.kept)
        watch = _Watch(plan, options, fleet, session, state, warnings)
        watch.skipped = skipped.count - state.kept.count
        watch.tell("starting", None)
        nodes = await fleet.ready()
        clients = session.clients = options.clients or prepared.settings.run.clients or nodes
        windows = _fitted(prepared, options, clients, watch)
        directory = replace(prepared.directory(), simulator_url=url)
        setup = Setup(
            plan=live_plan,
            items=prepared.items,
            lanes=lanes,
            windows=windows,
            bounds_usd=bounds,
            clients=clients,
            code=prepared.code or None,
            directory=directory if prepared.code else None,
        )
        driver = Driver(
            frontier=Frontier(order=order_of(plan), lanes=lanes, done=skipped, together=plan.share_replies),
            ledger=_ledger(prepared, state, bounds),
            journal=journal,
            spawner=fleet.spawner(setup, keys, seed),
            clients=clients,
            windows=windows,
            bounds_usd=bounds,
            known=known,
            open_ended=[k for k, each in enumerate(plan.conditions) if each.function is not None],
            when_done="complete" if part.whole else "stopped",
            on_event=watch.note,
            on_rows=warnings.listening(log.rows(live_plan, prepared.items, directory.find)),
        )
        watching = asyncio.ensure_future(watch.run(driver))
        try:
            with _signals(driver, watch, enabled=options.handle_signals):
                session.status = await _to_the_end(driver, watch, session)
            if watching.done():
                watching.result()  # the caller's own `on_progress` failed: that is theirs to see
        finally:
            watching.cancel()
            try:
                watch.finish(driver)
            finally:
                await fleet.close()


async def _to_the_end(driver: Driver, watch: _Watch, session: Session) -> str:
    """Run the driver; a first cancellation stops it in good order, a second one at once."""
    running = asyncio.ensure_future(driver.run())
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if running.done():
            raise
        if driver.stopping:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            raise
        session.cancelled = True
        watch.note("stopping", {"signal": "cancelled"})
        driver.stop("interrupted")
        return await running


def _fitted(prepared: Prepared, options: Options, clients: int, watch: _Watch) -> tuple[int, ...]:
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


def _ledger(prepared: Prepared, state: JournalState, bounds: tuple[float, ...]) -> Ledger:
    budget = prepared.plan.budget
    enforced = budget.abort_on_exceed
    limit = budget.max_total if enforced and budget.max_total is not None else inf
    each = budget.max_per_condition if enforced and budget.max_per_condition is not None else inf
    planned = sum(bounds) * prepared.plan.items * prepared.plan.repeats
    if prepared.code:
        planned = max(planned, _UNPLANNED_USD)
    return Ledger(
        limit_usd=limit,
        condition_limit_usd=each,
        conditions=len(prepared.plan.conditions),
        scale_usd=min(limit, planned),
        spent_usd=state.rows_usd,
        other_usd=state.other_usd,
    )


@contextlib.contextmanager
def _signals(driver: Driver, watch: _Watch, *, enabled: bool) -> Iterator[None]:
    """Ctrl-C, SIGTERM, SIGHUP and a notebook's interrupt stop in good order; a second one leaves at once."""
    waiting = WAITING.get()

    def stop(name: str) -> None:
        watch.note("stopping", {"signal": name})
        driver.stop("interrupted")

    if enabled and waiting is not None and waiting.apart:
        with waiting.stopped_by(lambda: stop("interrupt")):
            yield
        return
    if not enabled or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    heard: list[int] = []

    def on_signal(number: int) -> None:
        heard.append(number)
        name = signal.Signals(number).name
        if len(heard) == 1:
            stop(name)
            return
        watch.note("leaving", {"signal": name})
        if waiting is not None:
            os._exit(130)
        if task is not None:  # the loop is somebody else's, and so is the process
            task.cancel()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # What is ignored stays so: `nohup` means it.
    before = {number: found for number in numbers if (found := signal.getsignal(number)) != signal.SIG_IGN}
    for number in before:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


class _Watch:
    """Tells the caller how it goes, and kills a client on purpose where that was asked for."""

    def __init__(
        self,
        plan: Plan,
        options: Options,
        fleet: Fleet,
        session: Session,
        state: JournalState,
        warnings: Warnings,
    ) -> None:
        self._plan, self._options, self._fleet, self._session = plan, options, fleet, session
        self.skipped = 0
        """Trials that are not to be run now: for the frontier they are done."""
        self._earlier_failed = state.failed.count
        self._priced = is_priced(plan)
        self._began_s = time.monotonic()
        self._last: tuple[float, int] = (self._began_s, 0)
        self._rate = 0.0
        self._warned = False
        self._warnings = warnings
        self._drives_s = time.monotonic()

    def note(self, name: str, facts: dict[str, object]) -> None:
        """Pass a happening on."""
        if name == "client_died" and self._session.killed_at is not None and not self._session.handed_back:
            self._session.handed_back = int(str(facts["handed_back"]))
        if name == "exception":
            self._session.exception = str(facts["detail"])
        if self._options.on_note is not None:
            self._options.on_note(Note(name=name, facts=dict(facts)))

    async def run(self, driver: Driver) -> None:
        """Until cancelled."""
        self._drives_s = time.monotonic()
        pause = min(0.1, self._options.progress_every_s) if self._options.kill_client_at else None
        while True:
            self._kill_if_due(driver)
            self._warn_if_due(driver)
            if time.monotonic() - self._last[0] >= self._options.progress_every_s:
                self.tell("stopping" if driver.stopping else "running", driver)
            await asyncio.sleep(pause or self._options.progress_every_s)

    def tell(self, phase: str, driver: Driver | None) -> None:
        """Report once."""
        if self._options.on_progress is None:
            return
        now = time.monotonic()
        done = driver.frontier.done.count - self.skipped if driver is not None else 0
        rows = driver.tally.rows if driver is not None else 0
        then, before = self._last
        if now > then and driver is not None:
            recent = (rows - before) / (now - then)
            self._rate = recent if not self._rate else 0.7 * self._rate + 0.3 * recent
            self._last = (now, rows)
        left = self._plan.trials - self.skipped - done
        tally = driver.tally if driver is not None else None
        self._options.on_progress(
            Progress(
                phase=phase,
                trials=self._plan.trials,
                done=done,
                failed=self._earlier_failed + (tally.failed if tally else 0),
                rate=self._rate,
                eta_s=left / self._rate if self._rate > 0 else None,
                spent_usd=self._spent_usd(driver),
                retries=tally.retries if tally else 0,
                throttled=tally.throttled if tally else 0,
                clients=self._session.clients,
                elapsed_s=now - self._began_s,
            )
        )

    def _spent_usd(self, driver: Driver | None) -> float | None:
        if not self._priced:
            return None
        return driver.ledger.spent_usd if driver is not None else 0.0

    def finish(self, driver: Driver) -> None:
        """Put the counts where reports find them."""
        session, tally = self._session, driver.tally
        session.calls, session.retries, session.throttled = tally.calls, tally.retries, tally.throttled
        session.quota_wait_s, session.lag_s, session.deaths = tally.quota_wait_s, tally.lag_s, tally.deaths
        session.client_cpu_s = sum(tally.client_cpu_s.values())
        session.call_s, session.peak = tally.call_s, tally.peak
        now_s = asyncio.get_running_loop().time()
        session.driven_s = time.monotonic() - self._drives_s
        session.tail_s = now_s - tally.half_s if tally.half_s else 0.0
        session.fatal = driver.fatal
        self._warn_of_silence()
        self.tell("finishing", driver)

    def _kill_if_due(self, driver: Driver) -> None:
        at = self._options.kill_client_at
        if at is None or self._session.killed_at is not None:
            return
        share = (driver.frontier.done.count - self.skipped) / max(1, self._plan.trials)
        if share >= at and self._fleet.kill_one():
            self._session.killed_at = share
            self.note("client_killed", {"client": 0, "at": round(share, 3)})

    def _warn_of_silence(self) -> None:
        """Say what makes scores say less than they seem to, once each."""
        for found in self._warnings.due():
            facts = {name: value for name, value in to_builtins(found).items() if value is not None}
            self.note("silent_zeros", {"told": found.told, **facts})

    def _warn_if_due(self, driver: Driver) -> None:
        self._warn_of_silence()
        budget = self._plan.budget
        if budget.max_total is None or self._warned:
            return
        if driver.ledger.spent_usd >= budget.warn_threshold * budget.max_total:
            self._warned = True
            self.note("budget_warning", {"spent_usd": driver.ledger.spent_usd, "max_total": budget.max_total})
