"""A question asked here and now, without Ray and without a record: `predict` and `call_model`.

The same machinery as in a run makes the calls: limits are kept, failures retried, deadlines held, replies priced.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from crucible_ray.api.fleet import state_dir
from crucible_ray.api.preparing import Prepared, prepare
from crucible_ray.api.session import raise_fatal
from crucible_ray.api.simulating import served
from crucible_ray.api.waiting import waited
from crucible_ray.calls.limit_state import FileStates
from crucible_ray.datasets.storing import to_jsonl
from crucible_ray.errors import UsageError
from crucible_ray.experiment.defaults import SHORT_ANSWER
from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.spec import Ensemble, Experiment, Model
from crucible_ray.models.engine import Engine
from crucible_ray.ports import Limiter
from crucible_ray.prompts import Renderer
from crucible_ray.records import EnsembleResult, Item, Message, Reply
from crucible_ray.runtime.answers import ensemble_result, error_of, mend, reply_of
from crucible_ray.runtime.caller import LiveCaller
from crucible_ray.runtime.limiter import LimiterService
from crucible_ray.runtime.trial import CallResult, Condition, HandedBack, Prompt, TrialClock
from crucible_ray.settings import load_settings

Conversation = str | Sequence[Message | Mapping[str, str]]
"""A question, or the turns of a conversation: `{"role": ..., "content": ...}` each."""


async def apredict(
    question: str,
    models: str | Sequence[str] | None = None,
    *,
    vote: str | None = None,
    execution: str | None = None,
    timeout_s: float | None = None,
    simulate: bool = False,
    **options: Any,
) -> EnsembleResult:
    """Ask several models one question; their votes make the answer.

    models, vote, execution, timeout_s: where unset, those of `[ensemble]`. simulate: the built-in simulator plays
    every model. options: of `Ensemble` (temperature, max_tokens, system, parse, normalize, quorum). Where `parse` is
    unset, "Answer: 4", "The answer is 4." and "4" are one answer; `parse="text"` leaves replies as they are.
    A model that fails is counted in `failures`. Raises UsageError and CredentialError.
    """
    settings = load_settings(Path.cwd(), os.environ)
    asked = settings.ensemble.default_models if models is None else models
    members = [asked] if isinstance(asked, str) else list(asked)
    longest = settings.ensemble.default_timeout_s if timeout_s is None else timeout_s
    options = {"timeout_s": longest, "attempt_timeout_s": longest, "parse": SHORT_ANSWER, **options}
    condition = Ensemble(members, name="predict", vote=vote, execution=execution, **options)
    prepared = _prepared(condition, question, simulate=simulate)
    plan = prepared.plan.conditions[0]
    item = prepared.items[0]
    results = await _ask(prepared, [Renderer(prompt).render(item) for prompt in plan.prompts])
    read = Condition(0, plan, prepared.code.load())
    return ensemble_result(plan, read.row(0, item, results), results)


predict = waited(apredict)


async def acall_model(
    model: str,
    prompt: Conversation,
    *,
    timeout_s: float | None = None,
    simulate: bool = False,
    **options: Any,
) -> Reply:
    """Ask one model.

    timeout_s: where unset, `[ensemble] default_timeout_s`. options: of `Model` (temperature, max_tokens, system,
    extra). Raises UsageError, CredentialError, and the ModelError that the last attempt ended with.
    """
    longest = (
        load_settings(Path.cwd(), os.environ).ensemble.default_timeout_s if timeout_s is None else timeout_s
    )
    options = {"timeout_s": longest, "attempt_timeout_s": longest, **options}
    question = prompt if isinstance(prompt, str) else ""
    prepared = _prepared(Model(model, name="call", **options), question, simulate=simulate)
    messages = Renderer(prepared.plan.conditions[0].prompt).render(prepared.items[0])
    if not isinstance(prompt, str):
        messages = (*messages[:-1], *_turns(prompt))
    result = (await _ask(prepared, [messages]))[0]
    reply = reply_of(result)
    if reply is None:
        error = error_of(result)
        ref = prepared.plan.conditions[0].calls[0].model
        error.add_note(mend(error.kind, ref, ref.base_url))
        raise error
    return reply


call_model = waited(acall_model)


def _turns(conversation: Sequence[Message | Mapping[str, str]]) -> list[Message]:
    turns = []
    for each in conversation:
        turn = each if isinstance(each, Message) else None
        if turn is None and isinstance(each, Mapping) and set(each) == {"role", "content"}:
            turn = Message(each["role"], each["content"])
        if turn is None:
            raise UsageError(f"{each!r} is no turn: write {{'role': 'user', 'content': '...'}}.")
        turns.append(turn)
    if not turns:
        raise UsageError("The conversation is empty: it needs at least one turn.")
    return turns


def _prepared(condition: Model | Ensemble, question: str, *, simulate: bool) -> Prepared:
    item = Item(id="0", input=question)
    return prepare(Experiment(name="asked", dataset=[item], conditions=[condition]), simulate=simulate)


async def _ask(prepared: Prepared, conversations: Sequence[tuple[Message, ...]]) -> list[CallResult]:
    """The calls of the plan's only condition, each with its conversation. Raises MissingKey, RefusedKey, ParameterRefused."""
    prompts = [Prompt(messages) for messages in conversations]
    async with calling(prepared, prepared.keys()) as (plan, caller):
        condition = Condition(0, plan.conditions[0])
        try:
            return await condition.ask(TrialClock(0), prepared.items[0], prompts, caller)
        except HandedBack:
            raise_fatal(caller.gauges.fatal, plan)
            raise


@asynccontextmanager
async def calling(prepared: Prepared, keys: Mapping[str, str]) -> AsyncIterator[tuple[Plan, LiveCaller]]:
    """The plan to run, and what makes its calls in this process while the block lasts."""
    with tempfile.TemporaryDirectory(prefix="crucible-") as scratch:
        items = Path(scratch) / "dataset.jsonl"
        items.write_bytes(to_jsonl(prepared.items))
        async with served(prepared.plan, items) as (plan, _):
            states = FileStates(state_dir(prepared.settings.env))
            service = LimiterService(states)

            async def limiter() -> Limiter:
                return service

            engine = Engine()
            caller = LiveCaller(
                plan,
                keys=keys,
                transport=engine,
                limiter=limiter,
                rng=random.Random(),
                clients=1,
                clock=time.perf_counter,
            )
            try:
                yield plan, caller
            finally:
                caller.close()
                await asyncio.shield(engine.aclose())
                states.close()
