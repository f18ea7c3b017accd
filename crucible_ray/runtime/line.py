"""Where calls go out: the gate of a limit group, and the line of one model call that leads to it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

from crucible_ray.calls.slots import SlotQueue
from crucible_ray.errors import RateLimited
from crucible_ray.experiment.plan import CallPlan
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.ports import Limiter
from crucible_ray.records import Limits, Throttled
from crucible_ray.runtime.trial import Prompt

_UNLIMITED = Limits()
_SHARE_WEIGHT = 1.0 / 20.0


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
        return self._queue is not None or self.limits != _UNLIMITED or bool(self._also)

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
        """Whether somebody else is asked where this model refuses."""
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
        bound = self.endpoint.prompt_tokens_bound(prompt.messages)
        self.bound_usd = self.endpoint.bound_usd(bound)
        self.tokens = self.endpoint.reserved_tokens(bound)
