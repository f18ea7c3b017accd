"""The core of a client: expands grants, keeps thousands of trials in flight, answers exchanges.

| object | role | lifetime |
| --- | --- | --- |
| queue | a lane's granted trials, not yet started | until started, or handed back |
| task | one place of a lane's window: a started trial, then the next | until nothing is queued |
| answered trial | what its calls brought back | until it is read and scored, some dozens at a time |
| row buffer | finished rows | until the next report |
| last report | what the driver was told | until the next exchange shows that it arrived |

Driver and clients share their fate (a driver that dies takes its clients with it), so a row that reached the driver is
the driver's to make durable.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
from msgspec import Struct

from crucible_ray.experiment.grid import order_of
from crucible_ray.experiment.plan import ConditionPlan, Plan
from crucible_ray.journal.rows import RowBuffer
from crucible_ray.models.catalogue import Directory
from crucible_ray.prompts import prompt_text
from crucible_ray.records import Call, Exchange, Grant, Item, Report
from crucible_ray.runtime.code import Code, Functions
from crucible_ray.runtime.frontier import expand
from crucible_ray.runtime.functions import FunctionCondition
from crucible_ray.runtime.known import read_known
from crucible_ray.runtime.lanes import Lanes
from crucible_ray.runtime.lateness import LoopClock
from crucible_ray.runtime.prompting import PromptKey, Prompts
from crucible_ray.runtime.trial import Caller, Condition, HandedBack, Prompt, TrialClock

_IDLE_S = 1.0
"""An exchange is answered after this long whatever happens, so that a stop is heard."""
_KNOWN_PROMPTS = 1 << 16
_TOGETHER = 64
"""So many prompts are rendered, and so many replies read and scored, in one go: code that stays in the processor's
caches takes half the time. Few enough for no call to wait for it."""


class Setup(Struct, frozen=True, kw_only=True):
    """What a client is made from; holds no secret."""

    plan: Plan
    items: tuple[Item, ...]
    lanes: Lanes
    windows: tuple[int, ...]
    """By lane: trials in flight at most."""
    bounds_usd: tuple[float, ...] = ()
    """By condition: what one trial's first attempts may cost at most; empty: unknown."""
    clients: int = 1
    """How many there are: they share a model's `max_concurrency`."""
    generation: int = 0
    code: Code | None = None
    """The author's functions; None: the plan has none, or this is a replay."""
    directory: Directory | None = None
    """Where the models are that functions name."""


def _condition(
    index: int, plan: ConditionPlan, functions: Functions, caller: Caller
) -> Condition | FunctionCondition:
    """The condition ready to run. Its author's functions are there unless this is a replay."""
    if plan.function is None:
        return Condition(index, plan, functions, caller.without_keys)
    return FunctionCondition(index, plan, functions, caller.without_keys)


class _Place:
    """One place of a lane's window, and the trial that is in it now."""

    __slots__ = ("clock",)

    def __init__(self, clock: TrialClock) -> None:
        self.clock = clock


class ClientCore:
    """One client, without Ray: satisfies `ports.Client`."""

    def __init__(
        self, setup: Setup, caller: Caller, *, cpu_clock: Callable[[], float], buffer: RowBuffer | None = None
    ) -> None:
        plan = setup.plan
        self._setup, self._caller, self._cpu_clock = setup, caller, cpu_clock
        self._loop = asyncio.get_running_loop()
        self._order = order_of(plan)
        functions = setup.code.load() if setup.code is not None else {}
        self._conditions = [_condition(k, c, functions, caller) for k, c in enumerate(plan.conditions)]
        self._prompts = Prompts(plan, setup.items)
        self._rendered: list[dict[PromptKey, Prompt]] = [{} for _ in setup.lanes]
        self._known_prompts: set[str] = set()
        count = len(plan.conditions)
        self._lane_of = [next(k for k, lane in enumerate(setup.lanes) if c in lane) for c in range(count)]
        self._in_lane = [np.isin(np.arange(count), lane) for lane in setup.lanes]
        self._known: dict[int, list[Call]] = {}
        self._queues: list[deque[int]] = [deque() for _ in setup.lanes]
        self._in_flight = [0] * len(setup.lanes)
        self._tasks: dict[asyncio.Task[None], _Place] = {}
        self._returned: list[int] = []
        self._answered: list[tuple[int, Item, Sequence[Prompt], Any]] = []
        self._rows = buffer or RowBuffer()
        self._message: Exchange | None = None
        self._last: Report | None = None
        self._wake: asyncio.Future[None] | None = None
        self._answer_rows_s = 0.0
        self._stopping = False
        self._wanting = False
        self._crash: BaseException | None = None
        self._clock = LoopClock()

    async def exchange(self, message: Exchange) -> Report:
        """See ports.Client. Raises what a trial raised unexpectedly: that is this client's end."""
        if message.generation != self._setup.generation:
            raise RuntimeError(
                f"an exchange of generation {message.generation} came to {self._setup.generation}"
            )
        if self._last is not None and message.number == self._last.number:
            return self._last
        self._accept(message)
        self._answer_rows_s = self._loop.time() + message.answer_within_s
        # In a stop the driver may have more to say at any moment: that all is to be cut short.
        idle_s = self._loop.time() + (message.answer_within_s if message.stop else _IDLE_S)
        if message.abandon:
            await self._cut_short(self._tasks)
        elif message.hand_back_unsent:
            await self._cut_short([task for task, place in self._tasks.items() if self._unsent(place.clock)])
        while not self._due(idle_s):
            self._wake = self._loop.create_future()
            timer = self._loop.call_at(self._answer_rows_s if self._finished else idle_s, self._poke)
            try:
                await self._wake
            finally:
                timer.cancel()
                self._wake = None
        if self._crash is not None:
            raise self._crash
        self._last = self._report(message.number)
        return self._last

    async def beat(self) -> float:
        """See ports.Client."""
        return self.late_s()

    def late_s(self) -> float:
        """How late the event loop is now, seconds; may be asked from another thread."""
        return self._clock.now_s()

    async def close(self) -> None:
        """Cut everything short; nothing is reported any more."""
        self._clock.close()
        self._stopping = True
        await self._cut_short(self._tasks)
        self._caller.close()

    def _accept(self, message: Exchange) -> None:
        self._message = message
        if message.known:
            self._known.update(read_known(message.known))
        for grant in message.grants:
            self._queues[grant.lane].extend(self._expand(grant))
        self._caller.purse.credit(message.allowance_usd)
        if message.refuse_money:
            self._caller.purse.refuse()
        if message.stop:
            self._stop()
        for lane in range(len(self._queues)):
            self._fill(lane)

    def _expand(self, grant: Grant) -> list[int]:
        trials = list(grant.trials)
        width = len(self._setup.lanes[grant.lane])
        for start, stop in grant.spans:
            trials += expand(self._order, start, stop, self._in_lane[grant.lane], width).ravel().tolist()
        return trials

    def _stop(self) -> None:
        self._stopping = True
        for queue in self._queues:
            self._returned.extend(queue)
            queue.clear()

    async def _cut_short(self, chosen: Iterable[asyncio.Task[None]]) -> None:
        """End these tasks now; their trials are handed back."""
        tasks = list(chosen)
        # A task that is cancelled before its first step could not hand its trial back.
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _unsent(self, clock: TrialClock) -> bool:
        """Whether a trial has asked nobody yet; what a function does beside its calls is not known."""
        condition = self._conditions[clock.trial % len(self._conditions)]
        return clock.first_s is None and condition.plan.function is None

    def _fill(self, lane: int) -> None:
        queue, window = self._queues[lane], self._setup.windows[lane]
        while queue and self._in_flight[lane] < window and not self._stopping:
            self._in_flight[lane] += 1
            clock, prompts = self._take(lane)
            place = _Place(clock)
            task = self._loop.create_task(self._work(place, prompts, lane))
            self._tasks[task] = place
            task.add_done_callback(self._ended)

    def _take(self, lane: int) -> tuple[TrialClock, list[Prompt]]:
        trial = self._queues[lane].popleft()
        prompts = self._prompts_of(trial, lane)
        return self._clock_of(trial), prompts

    def _clock_of(self, trial: int) -> TrialClock:
        """The trial's clock; what its first attempts may cost is set aside now, not when they come to ask."""
        known = self._known.pop(trial, None) if self._known else None
        if not self._setup.bounds_usd:
            return TrialClock(trial, known=known)
        condition = trial % len(self._conditions)
        bound = self._setup.bounds_usd[condition]
        return TrialClock(
            trial, bound if self._caller.purse.try_reserve(condition, bound) else 0.0, known=known
        )

    async def _work(self, place: _Place, prompts: list[Prompt], lane: int) -> None:
        """One place of a lane's window: a trial, and the next as soon as it is over, without a turn of the loop between.

        Calls that were sent together end together. If all that ended were read before anything is sent, the sends would
        move ever closer together, round after round, until most of the window waits for the loop instead of the provider.
        """
        try:
            while await self._run(place.clock, prompts) and self._queues[lane] and not self._stopping:
                place.clock, prompts = self._take(lane)
                self._poke_if_due()
        finally:
            self._in_flight[lane] -= 1
            self._poke_if_due()

    async def _run(self, clock: TrialClock, prompts: list[Prompt]) -> bool:
        """One trial; False where it was cut short."""
        trial, index = clock.trial, clock.trial % len(self._conditions)
        item = self._item(trial)
        try:
            results = await self._conditions[index].ask(clock, item, prompts, self._caller)
        except (HandedBack, asyncio.CancelledError) as reason:
            # Cancelled by `_cut_short` alone: a trial cut short is handed back, and its task ends with it.
            self._returned.append(trial)
            if self._caller.gauges.fatal is not None:
                self._stop()
            return isinstance(reason, HandedBack)
        finally:
            self._caller.purse.settle(index, clock.allowance_usd, 0.0)
        self._answered.append((trial, item, prompts, results))
        if len(self._answered) >= _TOGETHER:
            self._score()
        return True

    def _poke_if_due(self) -> None:
        # The first row sets the time of the answer; after that only what makes an answer due wakes the exchange.
        if self._wake is not None and (self._finished == 1 or self._urgent()):
            self._poke()

    @property
    def _finished(self) -> int:
        """Trials that are the driver's to hear of."""
        return len(self._answered) + self._rows.count

    def _score(self) -> None:
        answered, self._answered = self._answered, []
        for trial, item, prompts, results in answered:
            condition = self._conditions[trial % len(self._conditions)]
            row = condition.row(trial, item, results)
            self._rows.append(row, self._new_prompts(condition.prompts(prompts, results)))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crash = error
            self._poke()
        elif not self._tasks:
            self._poke()

    def _item(self, trial: int) -> Item:
        return self._setup.items[trial // (len(self._conditions) * self._setup.plan.repeats)]

    def _prompts_of(self, trial: int, lane: int) -> list[Prompt]:
        """The prompt of each call. Calls of a block that ask the same share one, and the next trials' are made with it."""
        rendered, keys = self._rendered[lane], self._prompts.keys(trial)
        try:
            return [rendered[key] for key in keys]
        except KeyError:
            near = (trial, *islice(self._queues[lane], _TOGETHER))
            rendered = self._rendered[lane] = self._prompts.render(near)
            return [rendered[key] for key in keys]

    def _new_prompts(self, prompts: Sequence[Prompt]) -> list[tuple[str, str]]:
        """A prompt's text travels with the first row that uses it."""
        new = []
        for prompt in prompts:
            if prompt.key not in self._known_prompts:
                if len(self._known_prompts) >= _KNOWN_PROMPTS:
                    self._known_prompts.clear()
                self._known_prompts.add(prompt.key)
                new.append((prompt.key, prompt_text(prompt.messages)))
        return new

    def wanting(self) -> None:
        """A call began to wait for money."""
        self._wanting = True
        self._poke()

    def _poke(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _due(self, idle_s: float) -> bool:
        """Whether the exchange is to be answered now."""
        now = self._loop.time()
        return self._urgent() or now >= idle_s or (self._finished > 0 and now >= self._answer_rows_s)

    def _urgent(self) -> bool:
        """Whether the driver is to hear at once: work runs out, or something is wrong."""
        if self._crash is not None or self._returned or self._wanting:
            return True
        assert self._message is not None
        for queue, low in zip(self._queues, self._message.low_water, strict=False):
            if len(queue) <= low:
                return True
        return not self._tasks and not any(self._queues)

    def _report(self, number: int) -> Report:
        self._score()
        purse, gauges = self._caller.purse, self._caller.gauges
        spent, released = purse.report(self._earmarked())
        self._wanting = False
        returned, self._returned = tuple(self._returned), []
        report = Report(
            number=number,
            generation=self._setup.generation,
            rows=self._rows.take() if self._rows.count else b"",
            unstarted=tuple(map(len, self._queues)),
            in_flight=tuple(self._in_flight),
            spent_usd=spent,
            released_usd=released,
            wanted_usd=purse.wanted,
            waiting=gauges.waiting,
            returned=returned,
            retries=gauges.retries,
            throttled=gauges.throttled,
            quota_wait_s=gauges.quota_wait_s,
            lag_s=self._clock.take(),
            cpu_s=self._cpu_clock(),
            fatal=gauges.fatal,
        )
        gauges.retries = gauges.throttled = 0
        gauges.quota_wait_s = 0.0
        return report

    def _earmarked(self) -> list[float]:
        """By condition: what queued trials will reserve when they start."""
        count, bounds = len(self._conditions), self._setup.bounds_usd
        if not bounds:
            return [0.0] * count
        queued = np.fromiter(chain.from_iterable(self._queues), np.int64)
        kept: list[float] = (np.bincount(queued % count, minlength=count) * bounds).tolist()
        return kept
