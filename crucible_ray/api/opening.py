"""What the journal holds when a session begins, after what was asked to be done to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from crucible_ray.api.narrowing import Part
from crucible_ray.api.options import Options
from crucible_ray.errors import UsageError
from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.registering import Registration, is_due, registration
from crucible_ray.journal.log import Journal
from crucible_ray.journal.state import Checkpoint, JournalState, read_state


async def open_state(journal: Journal, plan: Plan, options: Options, part: Part) -> JournalState:
    """The journal's state after what was asked to be done to it."""
    count = len(plan.conditions)
    state = await read_state(journal.store, conditions=count)
    if not options.resume and state.kept.count:
        raise UsageError(
            f"{journal.store.where} already holds {state.kept.count} trials of this experiment: "
            "leave out --no-resume to go on, or add --force to start anew."
        )
    if options.force and state.last:
        await journal.append_reset(0)
    elif options.checkpoint is not None:
        check_checkpoint(options.checkpoint, state.checkpoints)
        await journal.append_reset(options.checkpoint)
    elif options.retry and state.failed.count:
        failed = [
            numbers[state.failed.contains(numbers) & part.contains(numbers)]
            for numbers in _all_trials(plan.trials)
        ]
        await journal.append_reopen(np.concatenate(failed))
    else:
        return state
    return await read_state(journal.store, conditions=count)


async def register(journal: Journal, plan: Plan, state: JournalState, *, at: str) -> tuple[Registration, ...]:
    """Write the plan of analysis into the log where it is new, before a trial is asked; returns all that there are.

    at: the time, ISO 8601. Trials that were voided were seen all the same: they count.
    """
    seen = min(max(state.kept.count, state.seen), plan.trials)
    if is_due(plan, state.registrations, trials=seen):
        made = registration(plan, after_trials=seen, at=at)
        await journal.append_plan(made)
        state.registrations.append(made)
    return tuple(state.registrations)


def check_checkpoint(number: int, marked: Iterable[Checkpoint]) -> None:
    """Refuse to go back to what is no checkpoint. Raises UsageError with those that there are."""
    numbers = [each.number for each in marked]
    if number not in numbers:
        raise UsageError(f"There is no checkpoint {number}; marked are: {numbers or 'none'}.")


def _all_trials(total: int) -> Iterator[np.ndarray]:
    for start in range(0, total, 1 << 16):
        yield np.arange(start, min(total, start + (1 << 16)), dtype=np.int64)
