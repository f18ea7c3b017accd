"""`share_replies`: an identical request for the same item and repeat is made once, by whichever condition asks first.
A failure is shared by nobody.

Nth equal requests of a trial are told apart: three equal members are three draws, and another condition's three equal
members share them one by one. Conditions that can ask the same stand in one lane, and a block's conditions of a lane go
to one client; so what is shared is known here. What an earlier session asked comes along with the grant.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from msgspec.structs import replace

from crucible_ray.experiment.plan import CallPlan, Plan
from crucible_ray.records import Call
from crucible_ray.runtime.lanes import Lanes, lanes_of
from crucible_ray.runtime.trial import CallResult, TrialClock

_KEPT = 1 << 13
"""Finished requests that are remembered for conditions still to come: blocks are short, and go out together."""

Key = tuple[object, ...]


def run_lanes(plan: Plan) -> Lanes:
    """The lanes of a run: what functions ask is not known beforehand, so where replies are shared they join all others."""
    if plan.share_replies and any(condition.function is not None for condition in plan.conditions):
        return (tuple(range(len(plan.conditions))),)
    return lanes_of(plan.conditions)


def server(call: CallPlan) -> Key:
    """Who answers a call, and who pays for it."""
    model = call.model
    return (model.provider, model.base_url, model.model, model.limit_group)


class Shares:
    """The requests of one client by what is asked for which block. Whoever begins a key makes the call for all."""

    def __init__(self, conditions: int) -> None:
        self._conditions = conditions
        self._found: dict[Key, asyncio.Future[tuple[int, CallResult] | None]] = {}
        self._finished: deque[Key] = deque()

    def key(self, clock: TrialClock, call: CallPlan, request: str) -> Key:
        """What this request of a trial is; the trial's next equal one is another."""
        asked = (*server(call), request)
        if clock.asked is None:
            clock.asked = {}
        nth = clock.asked[asked] = clock.asked.get(asked, -1) + 1
        return (clock.trial // self._conditions, nth, *asked)

    async def wait(self, key: Key) -> tuple[int, CallResult] | None:
        """(trial that asked, its result), once it is there; None: nobody asks, so the caller does."""
        while (future := self._found.get(key)) is not None:
            if (found := await asyncio.shield(future)) is not None:
                return found
        return None

    def begin(self, key: Key) -> None:
        """The caller asks: others wait for `end`."""
        self._found[key] = asyncio.get_running_loop().create_future()

    def end(self, key: Key, trial: int, result: CallResult | None) -> None:
        """What it came to. None (the trial was cut short) or a failure: whoever waits asks for itself."""
        future = self._found[key]
        if result is None or result.reply is None:
            del self._found[key]
            future.set_result(None)
            return
        future.set_result((trial, result))
        self._finished.append(key)
        if len(self._finished) > _KEPT:
            self._found.pop(self._finished.popleft(), None)


def shared(result: CallResult, trial: int) -> list[Call]:
    """The attempts of a call that another trial made, as they are recorded for this one."""
    return [
        replace(
            call,
            shared_from=trial if call.shared_from is None else call.shared_from,
            quota_wait_us=0,
            backoff_wait_us=0,
        )
        for call in result.calls
    ]


def labelled(calls: Sequence[Call], index: int, model: str, prompt: str) -> list[Call]:
    """Attempts as those of call number `index`, by the names that its trial has for model and prompt."""
    return [replace(call, call=index, model=model, prompt=prompt) for call in calls]


def take_known(known: list[Call], index: int, model: str, request: str) -> list[Call]:
    """The attempts known of this call, taken out of `known`: of its place, or of another condition that asked the same."""
    own = [call for call in known if call.shared_from is None and call.call == index]
    if own and own[-1].request == request:
        return own
    chain: list[Call] = []
    for call in known:
        if call.shared_from is None or (call.model, call.request) != (model, request):
            continue
        if chain and (call.shared_from, call.call) != (chain[0].shared_from, chain[0].call):
            break
        chain.append(call)
    for call in chain:
        known.remove(call)
    return chain
