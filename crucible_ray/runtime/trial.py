"""One trial: an item becomes calls, their replies become one answer, one score, one row.

Everything here is a function of the plan and of what the caller brings back, so a replay of recorded calls gives the
same row as the run that recorded them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from math import fsum
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from crucible_ray.calls.budget import Purse
from crucible_ray.ensemble import Ballot, majority, normalizer
from crucible_ray.experiment.defaults import own_parser
from crucible_ray.experiment.plan import ConditionPlan
from crucible_ray.metrics import score_accuracy
from crucible_ray.prompts import answer_key, parser, prompt_key
from crucible_ray.records import Call, Fatal, Item, Message, Reply, Row, Usage
from crucible_ray.runtime.reading import noted, own_reader, reading_of

PARSE_FAILED = "parse_failed"
TRUNCATED = "truncated"
CLIENT_DIED = "client_died"
EXCEPTION = "exception"
TIMEOUT = "timeout"
ANSWERED = frozenset({None, PARSE_FAILED})
"""`error` values of trials that did not fail: an unreadable reply is an answer, and a wrong one."""


class CallResult(Struct, frozen=True):
    """How one call of a trial ended, after all its attempts."""

    reply: Reply | None
    error: str | None
    """The last attempt's failure, where there is no reply."""
    calls: list[Call]


def recorded_result(attempts: list[Call]) -> CallResult:
    """What a call came to, read from the record of its attempts, of which there is at least one."""
    last = attempts[-1]
    if last.outcome != "ok":
        return CallResult(None, last.outcome, attempts)
    usage = Usage(
        input_tokens=last.input_tokens,
        output_tokens=last.output_tokens,
        reasoning_tokens=last.reasoning_tokens,
        cached_tokens=last.cached_tokens,
    )
    reply = Reply(
        text=last.text or "",
        finish_reason=last.finish_reason,
        usage=usage,
        model_version=last.model_version,
        confidence=last.confidence,
    )
    return CallResult(reply, None, attempts)


class Prompt:
    """A rendered prompt: rendered once per item and shared by the calls that ask the same."""

    __slots__ = ("key", "messages")

    def __init__(self, messages: tuple[Message, ...]) -> None:
        self.messages = messages
        self.key = prompt_key(messages)


class HandedBack(Exception):
    """The trial cannot be finished here and now (money, a refused key): it stays pending, without a row."""


class Gauges(Struct):
    """What a caller counts between two reports to the driver."""

    retries: int = 0
    throttled: int = 0
    waiting: int = 0
    """Trials of which every open call waits for money now."""
    quota_wait_s: float = 0.0
    fatal: Fatal | None = None


class Caller(Protocol):
    """Makes the calls of trials: over the network, or out of a record."""

    purse: Purse
    gauges: Gauges

    async def call(
        self, clock: TrialClock, condition: int, index: int, item: Item, prompt: Prompt
    ) -> CallResult:
        """Call number `index` of the condition, with its retries. Raises HandedBack."""
        ...

    def without_keys(self, text: str) -> str:
        """A text of an author's own without the keys that this caller holds."""
        ...

    def close(self) -> None:
        """Nothing will be called any more."""
        ...


class TrialClock:
    """When the trial first sent something, and the money that was set aside when it started; shared by its calls."""

    __slots__ = ("allowance_usd", "asked", "first_s", "known", "open", "trial", "waiting")

    def __init__(self, trial: int, allowance_usd: float = 0.0, known: list[Call] | None = None) -> None:
        self.trial = trial
        self.known = known
        """Calls of it that are paid for already."""
        self.asked: dict[tuple[object, ...], int] | None = None
        """How often it asked what, where replies are shared."""
        self.allowance_usd = allowance_usd
        self.first_s: float | None = None
        self.open = 0
        """Calls in progress."""
        self.waiting = 0
        """Those of them that wait for money."""

    @property
    def spent(self) -> bool:
        """Whether the trial's time is over, whatever one call still has; only a function has such a time."""
        return False

    @property
    def finishes_first(self) -> bool:
        """Whether its calls get money before those of trials that have not begun; only a function's later ones."""
        return False

    @property
    def stuck(self) -> bool:
        """Whether nothing of the trial goes on unless money comes."""
        return 0 < self.open == self.waiting


class Condition:
    """A condition ready to run: its parsers chosen."""

    def __init__(
        self,
        index: int,
        plan: ConditionPlan,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        conceal: Callable[[str], str] = str,
    ) -> None:
        """functions: the author's own parsers; without one its readings come out of the record.

        conceal: takes secrets out of what a failing parser says.
        """
        self.index, self.plan = index, plan
        self._parse = [None if own_parser(parse) else parser(parse) for parse in plan.parses]
        self._readers = [own_reader(parse, functions or {}, conceal) for parse in plan.parses]
        self._is_read = any(self._readers)
        self._normalize = normalizer(plan.normalize)
        self._spared = any(call.fallback for call in plan.calls)

    async def ask(
        self, clock: TrialClock, item: Item, prompts: Sequence[Prompt], caller: Caller
    ) -> list[CallResult]:
        """The trial's calls, in member order; `prompts` has one for each. Raises HandedBack."""
        if self.plan.vote is None:
            return [await caller.call(clock, self.index, 0, item, prompts[0])]
        tasks = [
            asyncio.ensure_future(caller.call(clock, self.index, k, item, prompt))
            for k, prompt in enumerate(prompts)
        ]
        try:
            return await asyncio.gather(*tasks)
        except HandedBack:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def prompts(self, prompts: Sequence[Prompt], results: list[CallResult]) -> Sequence[Prompt]:
        """Those that the trial's calls asked."""
        return prompts

    def row(self, trial: int, item: Item, results: list[CallResult]) -> Row:
        """What the calls of a trial come to: one answer, one score."""
        if self._is_read:
            results = [self._noted(k, each, item) for k, each in enumerate(results)]
        if self.plan.vote is not None:
            return self._voted(trial, item, results)
        prediction, error = self._read(0, results[0], item)
        return self._row(trial, item, results, prediction, error)

    def _voted(self, trial: int, item: Item, results: list[CallResult]) -> Row:
        read = [self._read(k, result, item) for k, result in enumerate(results)]
        if any(error == EXCEPTION for _, error in read):
            return self._row(trial, item, results, None, EXCEPTION)
        ballots = [Ballot(answer=answer, failed=error not in ANSWERED) for answer, error in read]
        vote = majority(ballots, quorum=self.plan.quorum, normalize=self._normalize)
        row = self._row(trial, item, results, vote.winner, vote.reason)
        return msgspec.structs.replace(row, consensus=vote.consensus, votes=vote.votes)

    def _read(self, call: int, result: CallResult, item: Item) -> tuple[str | None, str | None]:
        """(answer, error) of one call."""
        if result.reply is None:
            return None, result.error
        if _cut_short(result.reply):
            return None, TRUNCATED
        read = self._parse[call]
        if read is not None:
            answer = read(result.reply.text, item)
        elif (reading := reading_of(result.calls)).failure is None:
            answer = reading.answer
        else:
            return None, EXCEPTION
        return answer, None if answer is not None else PARSE_FAILED

    def _noted(self, call: int, result: CallResult, item: Item) -> CallResult:
        """The call with what the author's own parser reads in its reply, where one is here."""
        reader = self._readers[call]
        if reader is None or result.reply is None or _cut_short(result.reply):
            return result
        reading = reader.read(result.reply.text, item)
        return CallResult(result.reply, result.error, noted(result.calls, reading))

    def _row(
        self, trial: int, item: Item, results: list[CallResult], prediction: str | None, error: str | None
    ) -> Row:
        answered = error in ANSWERED
        calls = results[0].calls if len(results) == 1 else [call for each in results for call in each.calls]
        unsent = [call for call in calls if not call.sent]
        last = results[0].reply if len(results) == 1 else None
        correct = latency_us = None
        if answered:
            correct = score_accuracy(prediction, answer_key(self.plan.parse, item), self._normalize)
            # What another condition waited for is no measurement of this one.
            if not any(call.shared_from is not None for call in unsent):
                latency_us = max(active_us(each.calls) for each in results)
        return Row(
            trial=trial,
            error=error,
            prediction=prediction if answered else None,
            correct=correct,
            latency_us=latency_us,
            cost_usd=total_usd([c.cost_usd for c in calls]),
            input_tokens=count_tokens([c.input_tokens for c in calls]),
            output_tokens=count_tokens([c.output_tokens for c in calls]),
            reasoning_tokens=count_tokens([c.reasoning_tokens for c in calls]),
            finish_reason=None if last is None else last.finish_reason,
            retries=len(calls) - (len({c.call for c in calls}) if self._spared else len(results)),
            unsent=len(unsent),
            saved_usd=fsum(call.cost_usd or 0.0 for call in unsent) if unsent else 0.0,
            calls=tuple(calls),
        )


def _cut_short(reply: Reply) -> bool:
    """Whether its tokens ran out before it said anything."""
    return not reply.text.strip() and reply.finish_reason == "length"


def active_us(calls: list[Call]) -> int:
    """Time on the trial's clock: our own waiting between attempts does not count."""
    return sum([c.ended_us - c.started_us for c in calls])


def total_usd(costs: list[float | None]) -> float | None:
    """The sum of what is known; None where a charged call's price is not."""
    if len(costs) == 1:
        return costs[0]
    return None if None in costs else fsum(c for c in costs if c is not None)


def count_tokens(tokens: list[int | None]) -> int | None:
    """The sum of what is known; None where nothing is."""
    if len(tokens) == 1:
        return tokens[0]
    known = [t for t in tokens if t is not None]
    return sum(known) if known else None
