"""Live calls: slots, money, deadlines, attempts and retries around one transport."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn

import msgspec
from msgspec import to_builtins

from crucible_ray.calls.budget import DUST_USD, Purse
from crucible_ray.calls.deadlines import Deadlines
from crucible_ray.calls.retry import Patience, RetryPolicy
from crucible_ray.errors import Authentication, ModelError, RateLimited, Refused, SpecError
from crucible_ray.experiment.plan import CallPlan, Plan
from crucible_ray.models.catalogue import Directory
from crucible_ray.models.transport import Transport
from crucible_ray.ports import Limiter
from crucible_ray.records import Call, Fatal, Item, Limits
from crucible_ray.runtime.attempt import SHORTEST_S, Attempt, TimedAttempt
from crucible_ray.runtime.calling import CallOptions
from crucible_ray.runtime.function_clock import FunctionClock
from crucible_ray.runtime.line import Gate, Line, group_key
from crucible_ray.runtime.sharing import Shares, labelled, shared, take_known
from crucible_ray.runtime.trial import CallResult, Gauges, HandedBack, Prompt, TrialClock, recorded_result
from crucible_ray.settings import is_loopback

_SHORTEST_KEY = 8
_MOST_LINES = 256
"""Of models and options that functions name; more are made anew."""


class LiveCaller:
    """Makes calls over the network. Counts what the report to the driver needs."""

    def __init__(
        self,
        plan: Plan,
        *,
        keys: Mapping[str, str],
        transport: Transport,
        limiter: Callable[[], Awaitable[Limiter]],
        rng: random.Random,
        clients: int,
        clock: Callable[[], float],
        directory: Directory | None = None,
    ) -> None:
        """`directory`: the models that functions may name.

        `clients` share what a model's `max_concurrency` allows. `clock`: seconds, for latencies."""
        self.transport, self._rng, self._clients, self.clock = transport, rng, clients, clock
        self._loop = asyncio.get_running_loop()
        self.deadlines = Deadlines()
        self._policy = RetryPolicy(max_retries=plan.max_retries, delay_s=plan.retry_delay_s)
        self.purse = Purse(len(plan.conditions))
        self._gates: dict[str, Gate] = {}
        self._places: dict[str, asyncio.Semaphore] = {}
        whole = Limits(requests_per_minute=plan.rate_limit * 60.0) if plan.rate_limit is not None else None
        self._also = ((f"run-{plan.experiment_id}", whole),) if whole is not None else ()
        self._keys, self._limiter = keys, limiter
        self._directory = directory or Directory()
        self._budgeted = plan.budget.abort_on_exceed
        self._made: dict[tuple[str, bytes], Line] = {}
        self.lines = [[self._line(call) for call in condition.calls] for condition in plan.conditions]
        self._spares = {
            (k, index): [
                (number, self._line(spare))
                for number, spare in zip(condition.spares(index), call.fallback, strict=True)
            ]
            for k, condition in enumerate(plan.conditions)
            for index, call in enumerate(condition.calls)
            if call.fallback
        }
        self._shares = Shares(len(plan.conditions)) if plan.share_replies else None
        self.gauges = Gauges()
        self.on_wanting: Callable[[], None] = lambda: None

    def _line(self, call: CallPlan) -> Line:
        model = call.model
        key = self._keys.get(model.api_key_env) if model.api_key_env else None
        group = group_key(call, key)
        if group not in self._gates:
            self._gates[group] = Gate(group, model.limits, self._limiter, self._also)
        places = None
        if model.max_concurrency is not None:
            share = max(1, model.max_concurrency // self._clients)
            places = self._places.setdefault(f"{model.base_url} {model.model}", asyncio.Semaphore(share))
        return Line(call, key, self._gates[group], places)

    async def _stand_in(
        self, failed: CallResult, clock: TrialClock, condition: int, index: int, prompt: Prompt
    ) -> CallResult:
        """What the fallbacks of a call that failed for good make of it, asked in turn."""
        result, calls = failed, list(failed.calls)
        for number, line in self._spares[condition, index]:
            result = await self._call(line, clock, condition, number, prompt, [])
            calls += result.calls
            if result.reply is not None:
                break
        return CallResult(result.reply, result.error, calls)

    def recorded(self, trial: int) -> tuple[str, list[Call]] | None:
        """See FunctionCaller: nothing is."""
        return None

    def without_keys(self, text: str) -> str:
        """See Caller. What is too short to be a secret is left: `x` stands in many words."""
        for key in self._keys.values():
            if len(key) >= _SHORTEST_KEY:
                text = text.replace(key, "[key]")
        return text

    async def ask(
        self,
        clock: FunctionClock,
        condition: int,
        index: int,
        model: str,
        options: CallOptions,
        prompt: Prompt,
        record: list[Call],
    ) -> CallResult:
        """See FunctionCaller."""
        line = self._named(model, options)
        line.prepare(prompt)
        if self._budgeted and line.bound_usd is None:
            self._stop(Fatal(kind="unpriced", model=model, detail=""))
        self._count(clock, opened=1)
        try:
            return await self._call(line, clock, condition, index, prompt, record, TimedAttempt)
        finally:
            self._count(clock, opened=-1)

    def _named(self, model: str, options: CallOptions) -> Line:
        """The line of a model that a function names, made the first time. Raises HandedBack where there is none."""
        asked = (model, msgspec.json.encode(options, order="sorted"))
        if (line := self._made.get(asked)) is not None:
            return line
        try:
            ref = self._directory.find(model)
        except SpecError as error:
            self._stop(Fatal(kind="unknown_model", model=model, detail=str(error)))
        if (
            ref.api_key_env is not None
            and ref.api_key_env not in self._keys
            and not is_loopback(ref.base_url)
        ):
            self._stop(Fatal(kind="missing_key", model=model, detail="", variable=ref.api_key_env))
        if len(self._made) >= _MOST_LINES:
            self._made.clear()
        made = to_builtins(options)
        spared = made.pop("spared")
        line = self._made[asked] = self._line(CallPlan(model=ref, **made))
        line.spared = spared
        return line

    def _stop(self, fatal: Fatal) -> NoReturn:
        if self.gauges.fatal is None:
            self.gauges.fatal = fatal
        raise HandedBack(fatal.detail)

    def close(self) -> None:
        """Let go of gates and their questions."""
        for gate in self._gates.values():
            gate.close()

    async def call(
        self, clock: TrialClock, condition: int, index: int, item: Item, prompt: Prompt
    ) -> CallResult:
        """See Caller."""
        self._count(clock, opened=1)
        try:
            result = await self._call(self.lines[condition][index], clock, condition, index, prompt, [])
            if result.reply is None and (condition, index) in self._spares:
                return await self._stand_in(result, clock, condition, index, prompt)
            return result
        finally:
            self._count(clock, opened=-1)

    def _call(
        self,
        line: Line,
        clock: TrialClock,
        condition: int,
        index: int,
        prompt: Prompt,
        calls: list[Call],
        kind: type[Attempt] = Attempt,
    ) -> Awaitable[CallResult]:
        """One call with its retries; its attempts are added to `calls` as they end. Most have nothing to look up."""
        way = self._make if clock.known is None and self._shares is None else self._look_up
        return way(line, clock, condition, index, prompt, calls, kind)

    async def _look_up(
        self,
        line: Line,
        clock: TrialClock,
        condition: int,
        index: int,
        prompt: Prompt,
        calls: list[Call],
        kind: type[Attempt],
    ) -> CallResult:
        """The call out of what is paid for already, or shared, or else made."""
        line.prepare(prompt)
        model, request = line.plan.model.name, line.request
        if clock.known is not None and (paid := take_known(clock.known, index, model, request)):
            calls.extend(labelled(paid, index, model, prompt.key))
            return recorded_result(calls)
        way = self._make if self._shares is None else self._share
        return await way(line, clock, condition, index, prompt, calls, kind)

    async def _share(
        self,
        line: Line,
        clock: TrialClock,
        condition: int,
        index: int,
        prompt: Prompt,
        calls: list[Call],
        kind: type[Attempt],
    ) -> CallResult:
        """The call, unless another condition of the block makes it: then what that one comes to."""
        assert self._shares is not None
        key = self._shares.key(clock, line.plan, line.request)
        # Whoever waits for a call that waits for money waits for money too.
        self._count(clock, waiting=1)
        try:
            found = await self._shares.wait(key)
        finally:
            self._count(clock, waiting=-1)
        if found is not None:
            trial, result = found
            calls.extend(labelled(shared(result, trial), index, line.plan.model.name, prompt.key))
            return CallResult(result.reply, None, calls)
        self._shares.begin(key)
        made: CallResult | None = None
        try:
            made = await self._make(line, clock, condition, index, prompt, calls, kind)
        finally:
            self._shares.end(key, clock.trial, made)
        return made

    async def _make(
        self,
        line: Line,
        clock: TrialClock,
        condition: int,
        index: int,
        prompt: Prompt,
        calls: list[Call],
        kind: type[Attempt],
    ) -> CallResult:
        """The call itself, over the network."""
        patience = Patience(self._policy)
        active_s = 0.0
        backoff_s = 0.0
        while True:
            line.prepare(prompt)
            attempt = kind(self, line, clock, condition, index, len(calls), prompt)
            allowance = min(line.plan.attempt_timeout_s, line.plan.timeout_s - active_s)
            record = await attempt.run(max(allowance, SHORTEST_S), backoff_s)
            calls.append(record)
            if attempt.error is None:
                return CallResult(attempt.reply, None, calls)
            error = attempt.error
            self._notice(error, line)
            active_s += (record.ended_us - record.started_us) * 1e-6
            in_time = active_s < line.plan.timeout_s and not clock.spent
            wait = patience.on_failure(error, self._rng) if in_time else None
            if wait is None:
                return CallResult(None, error.kind, calls)
            self.gauges.retries += 1
            backoff_s = wait
            await asyncio.sleep(wait)

    def _count(self, clock: TrialClock, *, opened: int = 0, waiting: int = 0) -> None:
        """Keep count of the trials of which every open call waits for money."""
        if not (waiting or clock.waiting):
            clock.open += opened
            return
        before = clock.stuck
        clock.open += opened
        clock.waiting += waiting
        self.gauges.waiting += clock.stuck - before

    def _notice(self, error: ModelError, line: Line) -> None:
        if line.gate.failure is not None:
            raise line.gate.failure
        if isinstance(error, Authentication) or (isinstance(error, Refused) and not line.spared):
            if self.gauges.fatal is None:
                model = line.plan.model
                self.gauges.fatal = Fatal(
                    kind=error.kind, model=model.name, detail=error.detail, variable=model.api_key_env
                )
            raise HandedBack(error.detail)
        if isinstance(error, RateLimited):
            self.gauges.throttled += 1

    async def money(self, clock: TrialClock, condition: int, amount: float) -> None:
        """Set money aside for one attempt, the trial's own first. Raises HandedBack where none will come."""
        if amount > 0.0 and clock.allowance_usd + DUST_USD >= amount:
            clock.allowance_usd = max(0.0, clock.allowance_usd - amount)
            return
        if self.purse.try_reserve(condition, amount):
            return
        answer: asyncio.Future[bool] = self._loop.create_future()

        def reply(granted: bool) -> None:
            if not answer.done():
                answer.set_result(granted)
            elif granted:
                self.purse.settle(condition, amount, 0.0)

        self.purse.wait(condition, amount, reply, begun=clock.finishes_first)
        self._count(clock, waiting=1)
        self.on_wanting()
        try:
            granted = await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled() and answer.result():
                self.purse.settle(condition, amount, 0.0)
            raise
        finally:
            self._count(clock, waiting=-1)
        if not granted:
            raise HandedBack("no money left")
