"""One request to each model: whether it can be reached, what it answers, how fast, at what price."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.api.asking import calling
from crucible_ray.api.preparing import Prepared, prepare
from crucible_ray.api.waiting import waited
from crucible_ray.errors import ParameterRefused, RefusedKey
from crucible_ray.experiment.plan import CallPlan
from crucible_ray.experiment.spec import Experiment, Model
from crucible_ray.models.catalogue import addressed
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.prompts import Renderer
from crucible_ray.records import Item, Message
from crucible_ray.runtime.answers import mend, reply_of
from crucible_ray.runtime.caller import LiveCaller
from crucible_ray.runtime.trial import CallResult, HandedBack, Prompt, TrialClock
from crucible_ray.settings import Settings, is_loopback

QUESTION = "What is 2+2? Answer with the number only."
_TEST_TOKENS = 256
_GRACE_S = 5.0
"""Beyond the call's own time: what a provider that says 429 may have us wait."""


class LiveFact(Struct, frozen=True, kw_only=True):
    """How one model answered one request."""

    model: str
    """As the experiment names it."""
    id: str
    """As the provider is asked for it."""
    url: str
    cost_bound_usd: float | None
    ok: bool
    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    model_version: str | None = None
    finish_reason: str | None = None
    asked: str = ""
    """The last turn that was sent."""
    simulated: bool = False
    """Whether the built-in simulator played it, which errs on purpose."""
    reply: str | None = None
    error: str | None = None
    """`missing_key`, or the `kind` of a ModelError."""
    detail: str | None = None
    mend: str | None = None

    @property
    def exit_code(self) -> int:
        """0, or what a run would end with."""
        if self.ok:
            return 0
        if self.error in ("missing_key", "authentication"):
            return RefusedKey.exit_code
        return ParameterRefused.exit_code if self.error == "refused" else 1


class _Aim(Struct, frozen=True):
    """One model of a plan, and the first prompt that it would get."""

    condition: int
    index: int
    call: CallPlan
    messages: tuple[Message, ...]


async def aprobe(prepared: Prepared) -> list[LiveFact]:
    """One request to every model of a plan, in the order of the plan. Nothing of it raises but UsageError."""
    keys = prepared.keys_there()
    # A single attempt: what is wrong should show, not be waited out.
    once = dataclasses.replace(prepared, plan=replace(prepared.plan, max_retries=0))
    found = []
    async with calling(once, keys) as (plan, caller):
        served = [call for condition in plan.conditions for call in condition.calls]
        urls = {call.model.name: Endpoint(call, None).url for call in served}
        for aim in _aims(prepared):
            fact = _expected(aim, urls[aim.call.model.name])
            variable = aim.call.model.api_key_env
            needed = variable is not None and not is_loopback(aim.call.model.base_url)
            if needed and variable not in keys:
                found.append(_failed(fact, aim, "missing_key", "no key was found, so nothing was sent"))
            else:
                found.append(await _try(caller, aim, prepared.items[0], fact))
    return found


probe = waited(aprobe)


def cost_bound_usd(prepared: Prepared) -> float | None:
    """What `probe` costs at most, US dollars; None: a price or a largest output is unknown."""
    bounds = [Endpoint(aim.call, None).cost_bound_usd(aim.messages) for aim in _aims(prepared)]
    known = [bound for bound in bounds if bound is not None]
    return sum(known) if len(known) == len(bounds) else None


def prepare_models(names: Sequence[str], settings: Settings, *, simulate: bool = False) -> Prepared:
    """What `models test` asks these models. Raises SpecError, naming every unknown one."""
    experiment = Experiment(
        name="models test",
        dataset=[Item(id="0", input=QUESTION, expected="4")],
        conditions=[Model(name) for name in dict.fromkeys(names)],
        parse="number",
        max_tokens=_TEST_TOKENS,
    )
    return prepare(experiment, settings=settings, simulate=simulate)


def _aims(prepared: Prepared) -> Iterator[_Aim]:
    seen = set()
    for k, condition in enumerate(addressed(prepared.plan).conditions):
        for index, (call, prompt) in enumerate(zip(condition.calls, condition.prompts, strict=True)):
            if call.model.name not in seen:
                seen.add(call.model.name)
                messages = Renderer(prompt).render(prepared.items[0])
                yield _Aim(k, index, call, messages)


def _expected(aim: _Aim, url: str) -> LiveFact:
    return LiveFact(
        model=aim.call.model.name,
        id=aim.call.model.model,
        url=url,
        cost_bound_usd=Endpoint(aim.call, None).cost_bound_usd(aim.messages),
        ok=False,
        asked=aim.messages[-1].content if aim.messages else "",
        simulated=aim.call.model.provider == "simulated",
    )


async def _try(caller: LiveCaller, aim: _Aim, item: Item, fact: LiveFact) -> LiveFact:
    try:
        async with asyncio.timeout(aim.call.timeout_s + _GRACE_S):
            result = await caller.call(TrialClock(0), aim.condition, aim.index, item, Prompt(aim.messages))
    except HandedBack as error:
        fatal, caller.gauges.fatal = caller.gauges.fatal, None
        return _failed(fact, aim, fatal.kind if fatal is not None else "refused", str(error))
    except TimeoutError:
        throttled = caller.gauges.throttled > 0
        said = "the provider says 429 and has us wait" if throttled else "no answer in time"
        return _failed(fact, aim, "rate_limit" if throttled else "timeout", said)
    return _answered(fact, aim, result)


def _answered(fact: LiveFact, aim: _Aim, result: CallResult) -> LiveFact:
    last = result.calls[-1]
    reply = reply_of(result)
    if reply is None:
        return _failed(fact, aim, result.error or "server_error", last.detail or "")
    return replace(
        fact,
        ok=True,
        latency_ms=reply.latency_ms,
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens,
        cost_usd=reply.cost_usd,
        model_version=reply.model_version,
        finish_reason=reply.finish_reason,
        reply=reply.text,
    )


def _failed(fact: LiveFact, aim: _Aim, error: str, detail: str) -> LiveFact:
    return replace(fact, error=error, detail=detail, mend=mend(error, aim.call.model, fact.url))
