"""Calls out of a record: the same rows as the run that recorded them, without one request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crucible_ray.calls.budget import Purse
from crucible_ray.errors import CannotContinue
from crucible_ray.records import Call, Item
from crucible_ray.runtime.trial import CallResult, Gauges, Prompt, TrialClock, recorded_result


class ReplayCaller:
    """Answers each call with its recorded attempts. Decisions and latencies are read, never retaken."""

    def __init__(
        self,
        recorded: Callable[[int], Sequence[Call]],
        conditions: int,
        returned: Callable[[int], str | None] = lambda _: None,
        spares: Callable[[int, int], Sequence[int]] = lambda *_: (),
    ) -> None:
        """`recorded(trial)` gives the trial's calls, all attempts, in recorded order; `returned`, its row's field.

        spares: the calls that stand in for call `index` of a condition.
        """
        self._recorded, self._returned, self._spares = recorded, returned, spares
        self.purse = Purse(conditions)
        self.gauges = Gauges()

    def without_keys(self, text: str) -> str:
        """See Caller. It holds none."""
        return text

    def close(self) -> None:
        """See Caller."""

    def recorded(self, trial: int) -> tuple[str, list[Call]] | None:
        """See FunctionCaller. Raises CannotContinue where the record does not say what the function came to."""
        returned = self._returned(trial)
        if returned is None:
            raise CannotContinue(
                f"The record does not say what the function of trial {trial} returned: it cannot be replayed."
            )
        return returned, list(self._recorded(trial))

    async def call(
        self, clock: TrialClock, condition: int, index: int, item: Item, prompt: Prompt
    ) -> CallResult:
        """See Caller. Raises CannotContinue where the record lacks the call."""
        numbers = (index, *self._spares(condition, index))
        attempts = [c for c in self._recorded(clock.trial) if c.call in numbers]
        if not attempts:
            raise CannotContinue(
                f"The record holds no call {index} of trial {clock.trial}: it cannot be replayed."
            )
        last = attempts[-1]
        if last.prompt != prompt.key:
            raise CannotContinue(
                f"Trial {clock.trial} was asked another prompt than this experiment renders."
            )
        return recorded_result(attempts)
