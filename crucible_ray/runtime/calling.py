"""What a function condition is given: its item, and `call`, by which it asks models."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.ensemble import Ballot, majority, normalizer
from crucible_ray.errors import CallFailed, SpecError
from crucible_ray.experiment.defaults import VOTE_KINDS
from crucible_ray.experiment.plan import ConditionPlan
from crucible_ray.experiment.prompting import ROLES
from crucible_ray.experiment.spec import Model
from crucible_ray.prompts import Parser, parser
from crucible_ray.prompts.own import OwnReader
from crucible_ray.records import Call, EnsembleResult, Item, Message, Reply
from crucible_ray.runtime.function_clock import FunctionClock
from crucible_ray.runtime.trial import CallResult, HandedBack, Prompt, active_us, total_usd
from crucible_ray.settings import did_you_mean

_OPTIONS: Final = ("temperature", "max_tokens", "attempt_timeout_s", "extra")


class CallOptions(Struct, frozen=True, kw_only=True):
    """How one call is made; what is None is not sent."""

    temperature: float | None = None
    max_tokens: int | None = None
    timeout_s: float = 60.0
    attempt_timeout_s: float = 30.0
    extra: dict[str, Any] = {}
    spared: bool = False
    """Another stands in where it fails for good, so a refusal does not end the run."""


class FunctionCaller(Protocol):
    """Makes the calls of functions, or brings back what was recorded."""

    def recorded(self, trial: int) -> tuple[str, list[Call]] | None:
        """What the trial's function returned, and its calls, where this is a replay."""
        ...

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
        """A call to the model of that name; its attempts are added to `record`. Raises HandedBack, SpecError."""
        ...


class Calling:
    """The calls of one trial of a function, and their record."""

    def __init__(
        self,
        caller: FunctionCaller,
        clock: FunctionClock,
        condition: int,
        item: Item,
        plan: ConditionPlan,
        reader: OwnReader | None = None,
    ) -> None:
        """reader: the author's own parser of the condition, if it has one."""
        assert plan.function is not None
        self._reader = reader
        self._caller, self._clock, self._condition = caller, clock, condition
        self._item, self._plan, self._defaults = item, plan, plan.function
        self._records: list[list[Call]] = []
        self._open: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.prompts: list[Prompt] = []
        self.handed_back: HandedBack | None = None

    def recorded(self) -> list[Call]:
        """Every attempt, in the order in which the calls were made."""
        return [call for record in self._records for call in record]

    async def end(self) -> None:
        """Nothing is called any more; what is still on its way is cut off."""
        self._closed = True
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(set(self._open))

    async def model(
        self,
        model: str | Model,
        prompt: object,
        system: str | None,
        timeout_s: float | None,
        options: dict[str, Any],
    ) -> Reply:
        """See CallHandle."""
        name = model.model if isinstance(model, Model) else model
        result = await self._ask_in_turn(model, timeout_s, options, Prompt(messages_of(prompt, system)))
        if result.reply is None:
            raise CallFailed(name, result.error or "error", result.calls[-1].detail or "no reply")
        return reply_of(result)

    async def ensemble(
        self,
        members: Sequence[str | Model],
        prompt: object,
        *,
        vote: str = "majority",
        quorum: int | None = None,
        system: str | None = None,
        timeout_s: float | None = None,
        parse: str | Callable[..., Any] | None = None,
        **options: Any,
    ) -> EnsembleResult:
        """See CallHandle."""
        problems = _vote_problems(members, vote, quorum)
        if problems:
            raise SpecError(tuple(problems))
        one, read = Prompt(messages_of(prompt, system)), self._parser(parse)
        results = await asyncio.gather(
            *(self._ask_in_turn(each, timeout_s, options, one) for each in members)
        )
        ballots = [
            Ballot(
                answer=None if each.reply is None else read(each.reply.text, self._item),
                failed=each.reply is None,
            )
            for each in results
        ]
        counted = majority(
            ballots,
            quorum=quorum if quorum is not None else len(members) // 2 + 1,
            normalize=normalizer(self._plan.normalize),
        )
        failures = sum(ballot.failed for ballot in ballots)
        return EnsembleResult(
            answer=counted.winner,
            votes=counted.votes,
            consensus=counted.consensus,
            cost_usd=total_usd([call.cost_usd for each in results for call in each.calls]),
            models_used=tuple(each.model if isinstance(each, Model) else each for each in members),
            successes=len(members) - failures,
            failures=failures,
            latency_ms=max(active_us(each.calls) for each in results) / 1000.0
            if failures < len(members)
            else None,
            replies=tuple(None if each.reply is None else reply_of(each) for each in results),
            error=counted.reason,
        )

    def _parser(self, parse: str | Callable[..., Any] | None) -> Parser:
        """The parser that a vote's replies are read by; what an author's own raises goes to the function."""
        if callable(parse):
            return OwnReader(parse, "parse").answer
        if parse is None and self._reader is not None:
            return self._reader.answer
        return parser(parse or self._plan.parse)

    async def _ask_in_turn(
        self, model: str | Model, timeout_s: float | None, options: Mapping[str, Any], prompt: Prompt
    ) -> CallResult:
        """Ask a model, and where it fails for good, its fallbacks; each is a call of its own."""
        spares = model.spares if isinstance(model, Model) else ()
        asked = [self._options(each, timeout_s, options) for each in (model, *spares)]
        calls: list[Call] = []
        for left, (name, chosen) in zip(range(len(spares), -1, -1), asked, strict=True):
            result = await self._ask(name, replace(chosen, spared=left > 0), prompt)
            calls += result.calls
            if result.reply is not None:
                break
        return CallResult(result.reply, result.error, calls)

    async def _ask(self, model: str, options: CallOptions, prompt: Prompt) -> CallResult:
        if self.handed_back is not None:
            raise self.handed_back
        if self._closed:
            raise CallFailed(model, "closed", "the function's trial is over")
        index, record = len(self._records), list[Call]()
        self._records.append(record)
        self.prompts.append(prompt)
        task = asyncio.ensure_future(
            self._caller.ask(self._clock, self._condition, index, model, options, prompt, record)
        )
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        try:
            with self._clock.called():
                return await task
        except HandedBack as reason:
            self.handed_back = self.handed_back or reason
            raise

    def _options(
        self, model: str | Model, timeout_s: float | None, options: Mapping[str, Any]
    ) -> tuple[str, CallOptions]:
        """The model's name, and how it is called: the call's own options, the member's, the condition's."""
        unknown = [name for name in options if name not in _OPTIONS]
        if unknown:
            hint = did_you_mean(unknown[0], (*_OPTIONS, "timeout_s"))
            raise SpecError((f"call: there is no option {unknown[0]!r}: {hint}",))
        member = model if isinstance(model, Model) else Model(model)
        levels = (options, _set_fields(member), _set_fields(self._defaults))
        whole_s = float(timeout_s or member.timeout_s or self._defaults.timeout_s)
        attempt_s = float(_nearest("attempt_timeout_s", levels) or whole_s / 2)
        made = {
            "temperature": _nearest("temperature", levels),
            "max_tokens": _nearest("max_tokens", levels),
            "timeout_s": whole_s,
            "attempt_timeout_s": min(attempt_s, whole_s),
            "extra": dict(_nearest("extra", levels) or {}),
        }
        try:
            return member.model, msgspec.convert(made, CallOptions)
        except msgspec.ValidationError as error:
            raise SpecError((f"call: {error}.",)) from error


class CallHandle:
    """`call`: asks models under the run's limits, prices, deadlines and retries; every attempt is recorded.

    In an `async def` its methods are awaited; in a plain function, which has a thread of its own, they return when
    the answer is there.
    """

    def __init__(self, calling: Calling) -> None:
        self._calling = calling

    def model(
        self,
        model: str | Model,
        prompt: object,
        *,
        system: str | None = None,
        timeout_s: float | None = None,
        **options: Any,
    ) -> Any:
        """Ask one model; gives its Reply.

        prompt: the user's turn, or messages: `Message`s or mappings of `role` and `content`. options: temperature,
        max_tokens, attempt_timeout_s, extra; default: the condition's. Raises CallFailed where no attempt was answered.
        """
        return self._made(self._calling.model(model, prompt, system, timeout_s, options))

    def ensemble(self, members: Sequence[str | Model], prompt: object, **options: Any) -> Any:
        """Ask several models at once and count their votes; gives an EnsembleResult, also where there is no answer.

        options: vote, quorum, parse, and those of `model`, which hold for every member.
        """
        return self._made(self._calling.ensemble(members, prompt, **options))

    def hedge(self, *_: Any, **__: Any) -> Any:
        """Refused: a later version brings it."""
        raise SpecError(("call.hedge is not supported by this version.",))

    def _made(self, work: Coroutine[Any, Any, Any]) -> Any:
        if threading.get_ident() == self._calling.thread:
            return work
        return asyncio.run_coroutine_threadsafe(work, self._calling.loop).result()


def messages_of(prompt: object, system: str | None) -> tuple[Message, ...]:
    """A conversation out of what a function wrote. Raises SpecError."""
    head = (Message("system", system),) if system is not None else ()
    if isinstance(prompt, str):
        return (*head, Message("user", prompt))
    if not isinstance(prompt, Sequence) or not prompt:
        raise SpecError((f"call: a prompt is a text or a list of messages, not {type(prompt).__name__}.",))
    return (*head, *(_message(each) for each in prompt))


def _message(given: object) -> Message:
    if isinstance(given, Message):
        return given
    if isinstance(given, Mapping) and set(given) == {"role", "content"}:
        role, content = given["role"], given["content"]
        if role in ROLES and isinstance(content, str):
            return Message(role, content)
    raise SpecError(
        (
            f'call: a message is {{"role": "system, user or assistant", "content": "text"}}, not {given!r:.100}.',
        )
    )


def reply_of(result: CallResult) -> Reply:
    """The reply with what it cost and how long it took."""
    assert result.reply is not None
    return msgspec.structs.replace(
        result.reply,
        cost_usd=total_usd([call.cost_usd for call in result.calls]),
        latency_ms=active_us(result.calls) / 1000.0,
    )


def _vote_problems(members: object, vote: str, quorum: int | None) -> list[str]:
    problems = []
    if isinstance(members, str) or not isinstance(members, Sequence) or not members:
        return ["call.ensemble: give a list of at least one model."]
    if vote not in VOTE_KINDS:
        problems.append(
            f"call.ensemble: vote = {vote!r} is not supported by this version; known: {', '.join(VOTE_KINDS)}."
        )
    if quorum is not None and not 1 <= quorum <= len(members):
        problems.append(f"call.ensemble: quorum = {quorum}: there are {len(members)} members.")
    return problems


def _set_fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name, None) for name in _OPTIONS}


def _nearest(name: str, levels: Sequence[Mapping[str, Any]]) -> Any:
    return next((level[name] for level in levels if level.get(name) is not None), None)
