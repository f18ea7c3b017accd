"""Live calls: slots, money, deadlines, attempts and retries around one transport."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn, cast

import msgspec
from msgspec import to_builtins

from crucible_ray.calls.budget import DUST_USD, Purse
from crucible_ray.calls.deadlines import Deadline, Deadlines
from crucible_ray.calls.retry import Patience, RetryPolicy
from crucible_ray.calls.slots import SlotQueue
from crucible_ray.errors import (
    AttemptTimeout,
    Authentication,
    ConnectionFailed,
    ConnectionLost,
    ConnectionStale,
    ModelError,
    NeverSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
    SpecError,
    StaleConnection,
)
from crucible_ray.experiment.plan import CallPlan, Plan
from crucible_ray.models.catalogue import Directory
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.models.transport import Response, Transport
from crucible_ray.ports import Limiter
from crucible_ray.records import Call, Fatal, Item, Limits, Reply, Throttled
from crucible_ray.runtime.calling import CallOptions, FunctionClock
from crucible_ray.runtime.sharing import Shares, labelled, shared, take_known
from crucible_ray.runtime.trial import CallResult, Gauges, HandedBack, Prompt, TrialClock, recorded_result
from crucible_ray.settings import is_loopback

_NOTHING = Limits()
_DETAIL = 300
_SHORTEST_S = 0.001
_SHARE_WEIGHT = 1.0 / 20.0
_MOST_LINES = 256
"""Of models and options that functions name; more are made anew."""


def group_key(call: CallPlan, key: str | None) -> str:
    """The name of a limit group: who pays, at whom, for which class of models. Does not reveal the key."""
    model = call.model
    payer = hashlib.blake2b(f"{model.provider}\0{model.base_url}\0{key or ''}".encode(), digest_size=8)
    return f"{payer.hexdigest()}-{model.limit_group}"


class Gate:
    """One limit group as this client sees it: open until a limit is declared or learned, then a queue for slots."""

    def __init__(
        self,
        group: str,
        limits: Limits,
        limiter: Callable[[], Awaitable[Limiter]],
        also: tuple[tuple[str, Limits], ...] = (),
    ) -> None:
        self.group, self.limits = group, limits
        self._limiter, self._also = limiter, also
        self._queue: SlotQueue | None = None
        self.sent = 0
        self._refused_share = 0.0
        self._since_s = asyncio.get_running_loop().time()
        self._notices: set[asyncio.Task[None]] = set()
        self.failure: BaseException | None = None
        """Why the limiter could not be told of a refusal."""

    @property
    def limited(self) -> bool:
        """Whether sends need a slot."""
        return self._queue is not None or self.limits != _NOTHING or bool(self._also)

    async def acquire(self, tokens: int) -> int:
        """Wait for a slot; returns the tokens reserved for it."""
        if self._queue is None:
            await self._start()
        assert self._queue is not None
        reserved = await self._queue.acquire(tokens)
        self.sent += 1
        return reserved

    async def _start(self) -> Limiter:
        limiter = await self._limiter()
        if self._queue is None:
            self._queue = SlotQueue(limiter, self.group, self.limits, also=self._also)
        return limiter

    def admitted(self) -> None:
        """An answer that is no 429."""
        self._refused_share -= _SHARE_WEIGHT * self._refused_share

    def refused(self, error: RateLimited, taught: Limits) -> None:
        """A 429: tell the limiter; slots in hand are void."""
        self._refused_share += _SHARE_WEIGHT * (1.0 - self._refused_share)
        now = asyncio.get_running_loop().time()
        elapsed = max(1.0, now - self._since_s)
        notice = Throttled(
            group=self.group,
            retry_after_s=error.retry_after_s,
            sent_per_minute=self.sent * 60.0 / elapsed,
            refused_share=self._refused_share,
            limits=taught,
        )
        if elapsed > 10.0:
            self.sent, self._since_s = 0, now
        task = asyncio.get_running_loop().create_task(self._notify(notice))
        self._notices.add(task)
        task.add_done_callback(self._told)

    async def _notify(self, notice: Throttled) -> None:
        limiter = await self._start()
        await limiter.throttled(notice)
        assert self._queue is not None
        self._queue.drop()

    def _told(self, task: asyncio.Task[None]) -> None:
        self._notices.discard(task)
        if not task.cancelled():
            self.failure = task.exception()

    def refund(self, tokens: int) -> None:
        """Tokens reserved at admission and not used."""
        if self._queue is not None:
            self._queue.refund(tokens)

    def close(self) -> None:
        """Stop asking."""
        for task in list(self._notices):
            task.cancel()
        if self._queue is not None:
            self._queue.close()


class Line:
    """One model call of a condition, prepared: where it goes, what it may cost, which gate it passes."""

    def __init__(self, plan: CallPlan, key: str | None, gate: Gate, places: asyncio.Semaphore | None) -> None:
        self.plan = plan
        self.endpoint = Endpoint(plan, key)
        self.gate, self.places = gate, places
        self.spared = bool(plan.fallback)
        self._prompt: Prompt | None = None
        self.body = b""
        self.request = ""
        self.bound_usd: float | None = None
        self.tokens = 0

    def prepare(self, prompt: Prompt) -> None:
        """Encode the request, unless the last one was the same."""
        if prompt is self._prompt:
            return
        self._prompt = prompt
        self.body = self.endpoint.body(prompt.messages)
        self.request = self.endpoint.request_hash(self.body)
        self.bound_usd = self.endpoint.cost_bound_usd(prompt.messages)
        self.tokens = self.endpoint.prompt_tokens_bound(prompt.messages) + (self.plan.max_tokens or 0)


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
        self._transport, self._rng, self._clients, self.clock = transport, rng, clients, clock
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines()
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
            return await self._call(line, clock, condition, index, prompt, record, _TimedAttempt)
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

    async def _call(
        self,
        line: Line,
        clock: TrialClock,
        condition: int,
        index: int,
        prompt: Prompt,
        calls: list[Call],
        kind: type[_Attempt] | None = None,
    ) -> CallResult:
        """One call with its retries; its attempts are added to `calls` as they end."""
        if clock.known is not None or self._shares is not None:
            line.prepare(prompt)
            request = line.request
            if clock.known is not None and (
                paid := take_known(clock.known, index, line.plan.model.name, request)
            ):
                calls.extend(labelled(paid, index, line.plan.model.name, prompt.key))
                return recorded_result(calls)
            if self._shares is not None:
                return await self._share(line, clock, condition, index, prompt, calls, kind)
        return await self._make(line, clock, condition, index, prompt, calls, kind)

    async def _share(
        self,
        line: Line,
        clock: TrialClock,
        condition: int,
        index: int,
        prompt: Prompt,
        calls: list[Call],
        kind: type[_Attempt] | None,
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
        kind: type[_Attempt] | None,
    ) -> CallResult:
        """The call itself, over the network."""
        patience = Patience(self._policy)
        kind = kind or _Attempt
        active_s = 0.0
        backoff_s = 0.0
        while True:
            line.prepare(prompt)
            attempt = kind(self, line, clock, condition, index, len(calls), prompt)
            allowance = min(line.plan.attempt_timeout_s, line.plan.timeout_s - active_s)
            record = await attempt.run(max(allowance, _SHORTEST_S), backoff_s)
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


class _Attempt:
    """One send of one request, from the wait for its slot to its settlement."""

    __slots__ = (
        "_body", "_bound_usd", "_caller", "_clock", "_condition", "_index", "_line", "_number", "_prompt", "_request",
        "_reserved", "_tokens", "error", "reply", "response",
    )  # fmt: skip

    def __init__(
        self,
        caller: LiveCaller,
        line: Line,
        clock: TrialClock,
        condition: int,
        index: int,
        number: int,
        prompt: Prompt,
    ) -> None:
        self._caller, self._line, self._clock = caller, line, clock
        self._condition, self._index, self._number, self._prompt = condition, index, number, prompt
        self._body, self._request = line.body, line.request
        # The line is prepared for the next prompt while this one waits: nothing of it may be read later.
        self._bound_usd, self._tokens = line.bound_usd, line.tokens
        self._reserved = line.bound_usd or 0.0
        self.reply: Reply | None = None
        self.error: ModelError | None = None
        self.response: Response | None = None

    async def run(self, allowance_s: float, backoff_s: float) -> Call:
        caller, line, now = self._caller, self._line, self._caller.clock
        asked_s = now()
        await caller.money(self._clock, self._condition, self._reserved)
        started_s: float | None = None
        spent_usd = 0.0
        try:
            if line.places is not None:
                await line.places.acquire()
            try:
                if line.gate.limited:
                    self._tokens = await line.gate.acquire(self._tokens)
                else:
                    line.gate.sent += 1
                started_s = now()
                if self._clock.first_s is None:
                    self._clock.first_s = started_s
                spent_usd = (
                    self._reserved
                )  # until the outcome is known: a cut-off attempt may have been charged
                await self._send(allowance_s)
                ended_s = now()
            finally:
                if line.places is not None:
                    line.places.release()
            cost_usd, estimated = self._cost()
            spent_usd = cost_usd or 0.0
        finally:
            caller.purse.settle(self._condition, self._reserved, spent_usd)
        quota_wait_s = started_s - asked_s
        caller.gauges.quota_wait_s += quota_wait_s
        self._settle_tokens()
        return self._record(started_s, ended_s, quota_wait_s, backoff_s, cost_usd, estimated)

    async def _send(self, allowance_s: float) -> None:
        task = cast("asyncio.Task[object]", asyncio.current_task())
        deadline: Deadline = self._caller._deadlines.arm(task, allowance_s)
        endpoint = self._line.endpoint
        try:
            self.response = await self._caller._transport.send(
                "POST", endpoint.url, endpoint.headers, self._body
            )
            self.reply = endpoint.read(self.response)
        except asyncio.CancelledError:
            if not deadline.swallow():
                raise
            self.error = AttemptTimeout(f"no complete answer within {allowance_s:.3g} s")
        except NeverSent as error:
            self.error = ConnectionFailed(error.detail)
        except StaleConnection as error:
            self.error = ConnectionStale(error.detail)
        except OutcomeUnknown as error:
            self.error = ConnectionLost(error.detail)
        except RateLimited as error:
            self.error = error
            taught = endpoint.limits_from(self.response) if self.response is not None else _NOTHING
            self._line.gate.refused(error, taught)
        except ModelError as error:
            self.error = error
        finally:
            deadline.disarm()
        if self.response is not None and not isinstance(self.error, RateLimited):
            self._line.gate.admitted()

    def _cost(self) -> tuple[float | None, bool]:
        """(US dollars, whether it is our estimate): what is not known is counted at its upper bound."""
        endpoint = self._line.endpoint
        if self.reply is not None:
            cost = endpoint.cost_usd(self.reply.usage)
            if cost is not None or self._bound_usd is None:
                return cost, False
            return self._reserved, True
        if self.error is not None and (self.error.charged or self.error.status == 200):
            return self._bound_usd, True
        return 0.0, False

    def _settle_tokens(self) -> None:
        """Give back what the prompt took less than its bound; `max_tokens` counts at admission, used or not."""
        usage = self.reply.usage if self.reply is not None else None
        if usage is not None and usage.input_tokens is not None and usage.output_tokens is not None:
            admitted = usage.input_tokens + max(usage.output_tokens, self._line.plan.max_tokens or 0)
            self._line.gate.refund(self._tokens - admitted)

    def _record(
        self,
        started_s: float,
        ended_s: float,
        quota_wait_s: float,
        backoff_s: float,
        cost_usd: float | None,
        estimated: bool,
    ) -> Call:
        first = self._clock.first_s
        assert first is not None
        reply, error = self.reply, self.error
        usage = reply.usage if reply is not None else None
        return Call(
            call=self._index,
            attempt=self._number,
            model=self._line.plan.model.name,
            request=self._request,
            prompt=self._prompt.key,
            started_us=round((started_s - first) * 1e6),
            ended_us=round((ended_s - first) * 1e6),
            outcome="ok" if error is None else error.kind,
            status=self.response.status if self.response is not None else error.status if error else None,
            detail=None if error is None else error.detail[:_DETAIL],
            text=None if reply is None else reply.text,
            finish_reason=None if reply is None else reply.finish_reason,
            model_version=None if reply is None else reply.model_version,
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            reasoning_tokens=usage.reasoning_tokens if usage else None,
            cached_tokens=usage.cached_tokens if usage else None,
            confidence=None if reply is None else reply.confidence,
            cost_usd=cost_usd,
            cost_estimated=estimated,
            quota_wait_us=round(quota_wait_s * 1e6),
            backoff_wait_us=round(backoff_s * 1e6),
        )


class _TimedAttempt(_Attempt):
    """An attempt of a function's call: no longer on the wire than the function has time left."""

    __slots__ = ()

    async def _send(self, allowance_s: float) -> None:
        clock = cast(FunctionClock, self._clock)
        with clock.sending():
            await super()._send(max(min(allowance_s, clock.left_s()), _SHORTEST_S))
