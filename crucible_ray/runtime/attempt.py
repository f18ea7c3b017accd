"""One attempt at a model call: what it waits for, what it sends, what it cost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from crucible_ray.calls.deadlines import Deadline
from crucible_ray.errors import (
    AttemptTimeout,
    ConnectionFailed,
    ConnectionLost,
    ConnectionStale,
    ModelError,
    NeverSent,
    OutcomeUnknown,
    RateLimited,
    StaleConnection,
)
from crucible_ray.models.transport import Response
from crucible_ray.records import Call, Limits, Reply
from crucible_ray.runtime.function_clock import FunctionClock
from crucible_ray.runtime.line import Line
from crucible_ray.runtime.trial import Prompt, TrialClock

if TYPE_CHECKING:
    from crucible_ray.runtime.caller import LiveCaller

SHORTEST_S: Final = 0.001
"""What an attempt is given at the least, where nearly no time is left."""
_DETAIL = 300


class Attempt:
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
        """Wait for money, a place and a slot, send, settle; returns the record, `error` or `reply` say how it went."""
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
                # Until the outcome is known: a cut-off attempt may have been charged.
                spent_usd = self._reserved
                await self._send(allowance_s)
                ended_s = now()
            finally:
                if line.places is not None:
                    line.places.release()
            cost_usd, estimated = self._cost()
            spent_usd = cost_usd or 0.0
        finally:
            caller.purse.settle(self._condition, self._reserved, spent_usd)
            # A wait that is cut short held the run up no less.
            quota_wait_s = (now() if started_s is None else started_s) - asked_s
            caller.gauges.quota_wait_s += quota_wait_s
        self._settle_tokens()
        return self._record(started_s, ended_s, quota_wait_s, backoff_s, cost_usd, estimated)

    async def _send(self, allowance_s: float) -> None:
        task = cast("asyncio.Task[object]", asyncio.current_task())
        deadline: Deadline = self._caller.deadlines.arm(task, allowance_s)
        endpoint = self._line.endpoint
        try:
            self.response = await self._caller.transport.send(
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
            taught = endpoint.limits_from(self.response) if self.response is not None else Limits()
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


class TimedAttempt(Attempt):
    """An attempt of a function's call: no longer on the wire than the function has time left."""

    __slots__ = ()

    async def _send(self, allowance_s: float) -> None:
        clock = cast(FunctionClock, self._clock)
        with clock.sending():
            await super()._send(max(min(allowance_s, clock.left_s()), SHORTEST_S))
