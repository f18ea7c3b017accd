"""Function conditions: the author's own `f(item, call)` around our machinery.

| object | role | lifetime |
| --- | --- | --- |
| FunctionCondition | a condition ready to run | the client's |
| FunctionClock | stops the function's time while its calls wait for quota, money or a retry | one trial |
| Calling | makes the calls and keeps their record | one trial |
| Call | what the function gets as `call` | one trial |

What a function came to is recorded in its row (`records.Said`), and rows are made from that record and the calls'
alone: a replay runs no function.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from math import fsum
from typing import Any, Final, cast

import msgspec

from crucible_ray.ensemble import normalizer
from crucible_ray.errors import CallFailed
from crucible_ray.experiment.defaults import own_parser
from crucible_ray.experiment.modules import shown
from crucible_ray.experiment.plan import ConditionPlan, FunctionPlan
from crucible_ray.metrics import score_accuracy
from crucible_ray.prompts import answer_key, parser
from crucible_ray.prompts.own import ItemView
from crucible_ray.records import Answer, Call, EnsembleResult, Item, Reply, Row, Said
from crucible_ray.runtime.calling import CallHandle, Calling, FunctionCaller
from crucible_ray.runtime.function_clock import FunctionClock
from crucible_ray.runtime.reading import own_reader
from crucible_ray.runtime.trial import (
    ANSWERED,
    EXCEPTION,
    PARSE_FAILED,
    TIMEOUT,
    TRUNCATED,
    Caller,
    HandedBack,
    Prompt,
    TrialClock,
    count_tokens,
    total_usd,
)

_THREADS: Final = 256
"""Plain functions that run at once in one client."""
_FAREWELL_S: Final = 1.0
"""How long a function that is cut short may take to notice."""
_LONGEST_MS: Final = 1e12
_MOST_VOTES: Final = 1 << 31
_MAPPING: Final = frozenset({"prediction", "latency", "cost", "consensus", "confidence", "metadata", "votes"})

_encode = msgspec.json.Encoder(enc_hook=repr).encode


class Outcome(msgspec.Struct, frozen=True):
    """What a trial of a function came to."""

    said: Said
    returned: str
    """The same as JSON."""
    calls: list[Call]
    prompts: list[Prompt]


class FunctionCondition:
    """A function condition ready to run; without the function itself it replays."""

    def __init__(
        self,
        index: int,
        plan: ConditionPlan,
        functions: Mapping[str, Callable[..., Any]],
        conceal: Callable[[str], str] = str,
    ) -> None:
        """conceal: takes secrets out of what the author's code says when it fails."""
        assert plan.function is not None
        self.index, self.plan, self._conceal = index, plan, conceal
        self._function, self._defaults = functions.get(f"function {plan.name}"), plan.function
        self._reader = own_reader(plan.parse, functions, conceal)
        self._parse = None if own_parser(plan.parse) is not None else parser(plan.parse)
        self._normalize = normalizer(plan.normalize)
        self._threads = asyncio.Semaphore(_THREADS)

    def prompts(self, prompts: Sequence[Prompt], outcome: Outcome) -> Sequence[Prompt]:
        """Those that the function's calls asked."""
        return outcome.prompts

    async def ask(self, clock: TrialClock, item: Item, prompts: Sequence[Prompt], caller: Caller) -> Outcome:
        """Run the function. Raises HandedBack."""
        makes_calls = cast(FunctionCaller, caller)
        recorded = makes_calls.recorded(clock.trial)
        if recorded is not None:
            returned, calls = recorded
            return self._outcome(msgspec.json.decode(returned, type=Said), returned, calls, [], item)
        own = FunctionClock(clock.trial, clock.allowance_usd, clock.known, self._defaults.timeout_s)
        clock.allowance_usd = 0.0
        calling = Calling(makes_calls, own, self.index, item, self.plan, self._reader)
        try:
            said = await self._run(own, calling, item)
        finally:
            await calling.end()
            clock.allowance_usd = own.allowance_usd
        if calling.handed_back is not None:
            raise calling.handed_back
        if said.detail is not None:
            said = msgspec.structs.replace(said, detail=self._conceal(said.detail))
        said, returned = _recordable(said, self._defaults.name)
        return self._outcome(said, returned, calling.recorded(), calling.prompts, item)

    def _outcome(
        self, said: Said, returned: str, calls: list[Call], prompts: list[Prompt], item: Item
    ) -> Outcome:
        """With what the author's own parser reads in it, where one is here."""
        if self._reader is not None and said.text is not None and not _cut_short(said):
            reading = self._reader.read(said.text, item)
            error = None if reading.failure is None else EXCEPTION
            said = msgspec.structs.replace(said, read=reading.answer, error=error, detail=reading.failure)
            returned = _encode(said).decode()
        return Outcome(said, returned, calls, prompts)

    def row(self, trial: int, item: Item, outcome: Outcome) -> Row:
        """The row that this record comes to."""
        said, calls = outcome.said, outcome.calls
        unsent = [call for call in calls if not call.sent]
        prediction, error = self._read(said, item)
        answered = error in ANSWERED
        correct = None
        if answered:
            correct = score_accuracy(prediction, answer_key(self.plan.parse, item), self._normalize)
        return Row(
            trial=trial,
            error=error,
            prediction=prediction if answered else None,
            correct=correct,
            latency_us=_latency_us(said, calls) if answered else None,
            cost_usd=total_usd([call.cost_usd for call in calls]),
            input_tokens=count_tokens([call.input_tokens for call in calls]),
            output_tokens=count_tokens([call.output_tokens for call in calls]),
            reasoning_tokens=count_tokens([call.reasoning_tokens for call in calls]),
            finish_reason=said.finish_reason,
            retries=len(calls) - len({call.call for call in calls}),
            unsent=len(unsent),
            saved_usd=fsum(call.cost_usd or 0.0 for call in unsent),
            consensus=said.consensus,
            returned=outcome.returned,
            votes=said.votes,
            calls=tuple(calls),
        )

    def _read(self, said: Said, item: Item) -> tuple[str | None, str | None]:
        """(prediction, error)."""
        if said.error is not None and (said.text is None or self._parse is None):
            return None, said.error
        if said.text is None:
            return said.prediction, None if said.prediction is not None else PARSE_FAILED
        if _cut_short(said):
            return None, TRUNCATED
        answer = said.read if self._parse is None else self._parse(said.text, item)
        return answer, None if answer is not None else PARSE_FAILED

    async def _run(self, clock: FunctionClock, calling: Calling, item: Item) -> Said:
        """The function's end, whatever it is."""
        assert self._function is not None
        work = asyncio.ensure_future(self._value(CallHandle(calling), ItemView(item)))
        clock.start(work.cancel)
        try:
            await asyncio.wait({work, clock.over}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait({work}, timeout=_FAREWELL_S)
            raise
        finally:
            clock.stop()
        if not work.done():
            await asyncio.wait({work}, timeout=_FAREWELL_S)
        if not work.done() or work.cancelled():
            if clock.over.done():
                return Said(error=TIMEOUT, detail=f"{self._defaults.timeout_s:g} s were over")
            return Said(error=EXCEPTION, detail=f"{self._defaults.name} cancelled itself")
        return _told(work.exception(), work, self._defaults)

    async def _value(self, call: CallHandle, item: ItemView) -> Any:
        """What the function returns."""
        function = self._function
        assert function is not None
        inner = getattr(function, "func", function)
        method = getattr(type(inner), "__call__", None)  # noqa: B004 - what calling an object of a class runs
        try:
            if inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(method):
                value = await function(item, call)
            else:
                async with self._threads:
                    value = await _in_thread(function, item, call)
            # A plain function may hand on the coroutine of an async one.
            return await value if inspect.isawaitable(value) else value
        except SystemExit as left:  # it would end the event loop, and the whole run without a word
            raise RuntimeError(f"SystemExit: {left.code}") from left


def _cut_short(said: Said) -> bool:
    """Whether its tokens ran out before it said anything."""
    return not (said.text or "").strip() and said.finish_reason == "length"


def _told(error: BaseException | None, work: asyncio.Future[Any], function: FunctionPlan) -> Said:
    if isinstance(error, CallFailed):
        return Said(error=error.kind, detail=str(error))
    if error is None:
        try:
            return said_of(work.result(), function.name)
        except Exception as wrong:  # noqa: BLE001 - what an author returns may fail at being read in any way
            return Said(error=EXCEPTION, detail=_read_in_vain(wrong, function.name))
    if not isinstance(error, Exception) or isinstance(error, HandedBack):
        return Said(error=EXCEPTION, detail=f"{type(error).__name__}: {error}")
    return Said(error=EXCEPTION, detail=shown(error))


def _read_in_vain(wrong: Exception, name: str) -> str:
    """Why what an author returned is no answer."""
    return (
        str(wrong)
        if isinstance(wrong, TypeError)
        else f"{name} returned what cannot be read: {wrong!r:.200}."
    )


def _recordable(said: Said, name: str) -> tuple[Said, str]:
    """What a row can hold, read back as a replay will read it, and the same as JSON.

    Halves of surrogate pairs become U+FFFD; what JSON or a row cannot hold at all fails the trial, never the client.
    """
    try:
        return _read_back(said)
    except Exception as wrong:  # noqa: BLE001 - an author's metadata may fail at being written in any way
        if isinstance(wrong, UnicodeEncodeError):
            whole = {
                field: _whole(value)
                for field in said.__struct_fields__
                if isinstance(value := getattr(said, field), str)
            }
            with contextlib.suppress(UnicodeEncodeError):
                return _read_back(msgspec.structs.replace(said, **whole))
        return _read_back(Said(error=EXCEPTION, detail=_whole(_read_in_vain(wrong, name))))


def _read_back(said: Said) -> tuple[Said, str]:
    """What JSON changes on the way (a tuple, a key) is changed now. Raises what says that it cannot be recorded."""
    returned = _encode(said).decode()
    again = msgspec.json.decode(returned, type=Said)
    if not 0.0 <= (again.latency_ms or 0.0) <= _LONGEST_MS:
        raise TypeError(f"latency = {again.latency_ms:g} ms: no answer takes so long.")
    if not all(0 <= count <= _MOST_VOTES for count in (again.votes or {}).values()):
        raise TypeError("votes: a count of votes is 0 or more.")
    return again, returned


def _whole(text: str) -> str:
    """The text without halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def said_of(value: Any, name: str) -> Said:
    """What a function returned, as its row records it. Raises TypeError for what is no answer."""
    if isinstance(value, str):
        return Said(text=value)
    if isinstance(value, Reply):
        return Said(text=value.text, finish_reason=value.finish_reason, confidence=value.confidence)
    if isinstance(value, Answer):
        return Said(
            prediction=_text(value.prediction),
            confidence=value.confidence,
            metadata=dict(value.metadata) or None,
        )
    if isinstance(value, EnsembleResult):
        error = value.error if value.answer is None else None
        return Said(prediction=value.answer, error=error, consensus=value.consensus, votes=value.votes)
    if isinstance(value, Mapping):
        return _of_mapping(value, name)
    raise TypeError(
        f"{name} returned {value if value is None else type(value).__name__}: return a str, a Reply, an EnsembleResult, "
        "Answer(prediction) or a mapping with prediction."
    )


def _of_mapping(value: Mapping[str, Any], name: str) -> Said:
    if "prediction" not in value or (unknown := [str(key) for key in value if key not in _MAPPING]):
        what = "lacks prediction" if "prediction" not in value else f"has {', '.join(unknown)}"
        raise TypeError(
            f"{name} returned a mapping that {what}: its keys are prediction, latency (ms), cost (US dollars), consensus, "
            "votes, confidence and metadata."
        )
    prediction = value["prediction"]
    made = {
        "prediction": prediction.text if isinstance(prediction, Reply) else _text(prediction),
        "latency_ms": value.get("latency"),
        "cost_usd": value.get("cost"),
        "consensus": value.get("consensus"),
        "confidence": value.get("confidence"),
        "votes": value.get("votes"),
        "metadata": value.get("metadata"),
    }
    try:
        return msgspec.convert(made, Said)
    except msgspec.ValidationError as error:
        raise TypeError(f"{name} returned a mapping that cannot be read: {error}.") from error


def _text(prediction: object) -> str | None:
    return prediction if prediction is None or isinstance(prediction, str) else str(prediction)


def _latency_us(said: Said, calls: list[Call]) -> int | None:
    """Time during which at least one call was on its way; without calls, what the function says."""
    if any(call.shared_from is not None for call in calls):
        return None
    if not calls:
        return None if said.latency_ms is None else round(said.latency_ms * 1000.0)
    total, until = 0, 0
    for call in sorted(calls, key=lambda each: each.started_us):
        total += max(0, call.ended_us - max(until, call.started_us))
        until = max(until, call.ended_us)
    return total


async def _in_thread(function: Callable[..., Any], item: ItemView, call: CallHandle) -> Any:
    """Run a plain function on a thread of its own, which nobody waits for where it hangs."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result((value, error))

    def work() -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = function(item, call), None
        except BaseException as error:  # noqa: BLE001 - handed to the loop's side, not swallowed
            outcome = None, error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=work, name="crucible-function", daemon=True).start()
    value, error = await done
    if error is not None:
        raise error
    return value
