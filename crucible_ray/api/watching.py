"""What a running session tells its caller, and what stops it from outside."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import to_builtins

from crucible_ray.api.blinding import shown_note
from crucible_ray.api.fleet import Fleet
from crucible_ray.api.observing import is_priced
from crucible_ray.api.options import Note, Options, Progress
from crucible_ray.api.session import Session
from crucible_ray.api.stopping import Stopping
from crucible_ray.api.waiting import WAITING
from crucible_ray.api.warning import Warnings
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.state import JournalState
from crucible_ray.runtime.driver import Driver

if TYPE_CHECKING:
    import pyarrow as pa

LEAVES_WITHIN_S = 2.0
"""After a second signal. Clients answer within a second, and less once they heard of the first."""


class Watch:
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
        self.folder = Path()
        """Where the record is."""
        self.stopping: Stopping | None = None
        """What may end it before everything is asked."""
        self.skipped = 0
        """Trials that are not to be run now: for the frontier they are done."""
        self._earlier_failed = state.failed.count
        self._priced = is_priced(plan)
        self._began_s = time.monotonic()
        self._told_s = self._began_s
        self._measured: tuple[float, int] | None = None
        """Since when the rate is measured, and the rows by then; None: nothing has come in yet."""
        self._rate = 0.0
        self._warned = False
        self._warnings = warnings
        self._drives_s = time.monotonic()

    def note(self, name: str, facts: dict[str, object]) -> None:
        """Pass a happening on."""
        if name == "client_died" and self._session.killed_at is not None and not self._session.handed_back:
            self._session.handed_back = int(str(facts["handed_back"]))
        if name == "exception":
            self._session.exception = str(facts["detail"])  # told where names are: see shown_facts
        if self._options.on_note is not None:
            # Of a blind run a warning is about a label already: see Warnings.
            shown = dict(facts) if name == "silent_zeros" else shown_note(dict(facts), self._plan)
            self._options.on_note(Note(name=name, facts=shown))

    async def run(self, driver: Driver) -> None:
        """Until cancelled."""
        self._drives_s = time.monotonic()
        pause = min(0.1, self._options.progress_every_s) if self._options.kill_client_at else None
        while True:
            self._kill_if_due(driver)
            self._warn_if_due(driver)
            if time.monotonic() - self._told_s >= self._options.progress_every_s:
                self.tell("stopping" if driver.stopping else "running", driver)
            await asyncio.sleep(pause or self._options.progress_every_s)

    def tell(self, phase: str, driver: Driver | None) -> None:
        """Report once."""
        if self._options.on_progress is None:
            return
        now = time.monotonic()
        done = driver.frontier.done.count - self.skipped if driver is not None else 0
        rows = driver.tally.rows if driver is not None else 0
        if driver is not None:
            self._told_s = now
            self._measure(now, rows)
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
                **self._decisions(),
            )
        )

    def _decisions(self) -> dict[str, int]:
        """How far `stop_when` has come."""
        if self.stopping is None:
            return {}
        sequence = self.stopping.sequence
        return {
            "hypotheses": len(sequence.plan.hypotheses),
            "decided": sequence.decided,
            "counted": sequence.items,
        }

    def heard(self, rows: pa.Table) -> bool:
        """Whether these rows, the first of their trials, settle what the run is for; told once."""
        assert self.stopping is not None
        before = self.stopping.sequence.over
        over = self.stopping.heard(rows)
        if over and not before:
            at = self.stopping.sequence.decided_at
            self.note("decided", {**self._decisions(), "decided_at": at, "items": self._plan.items})
        return over

    def _measure(self, now: float, rows: int) -> None:
        """Rows a second, from the first rows on: what goes before them is start-up."""
        if self._measured is None:
            self._measured = (now, rows) if rows else None
            return
        then, before = self._measured
        if now > then:
            recent = (rows - before) / (now - then)
            self._rate = recent if not self._rate else 0.7 * self._rate + 0.3 * recent
            self._measured = (now, rows)

    def _spent_usd(self, driver: Driver | None) -> float | None:
        if not self._priced:
            return None
        return driver.ledger.spent_usd if driver is not None else 0.0

    def leaving(self, driver: Driver) -> None:
        """Say that the run is left, and what counts as spent, with what was in flight."""
        ledger = driver.ledger
        spent = ledger.spent_usd if driver.ended else max(ledger.ceiling_usd, ledger.spent_usd)
        self.note("leaving", {"folder": str(self.folder), "spent_usd": spent if driver.metered else 0.0})

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


@contextlib.contextmanager
def stopped_by_signals(driver: Driver, watch: Watch, *, enabled: bool) -> Iterator[None]:
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
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    heard: list[int] = []
    timers: list[asyncio.TimerHandle] = []

    def out() -> None:
        watch.leaving(driver)
        os._exit(130)

    def on_signal(number: int) -> None:
        heard.append(number)
        if len(heard) == 1:
            stop(signal.Signals(number).name)
        elif waiting is None:  # the loop is somebody else's, and so is the process
            if task is not None:
                task.cancel()
        elif not timers:
            driver.leave()
            timers.append(loop.call_later(LEAVES_WITHIN_S, out))
        else:
            out()

    with _signals(on_signal):
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()
    if timers:
        out()


@contextlib.contextmanager
def _signals(heard: Callable[[int], None]) -> Iterator[None]:
    """Signals that end a process go to `heard` instead, while the block lasts."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    # What is ignored stays so: `nohup` means it.
    before = {number: found for number in numbers if (found := signal.getsignal(number)) != signal.SIG_IGN}
    for number in before:
        loop.add_signal_handler(number, heard, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
