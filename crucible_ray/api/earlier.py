"""What earlier runs paid for (`--reuse`): where it is looked for, how much of it serves, and what is left to send."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from crucible_ray.api.matching import Matcher
from crucible_ray.api.narrowing import Part, narrowed
from crucible_ray.api.options import Options
from crucible_ray.api.places import journal_store, read_config, recorded_reuse
from crucible_ray.api.preparing import Prepared
from crucible_ray.api.waiting import wait
from crucible_ray.errors import CannotContinue, UsageError
from crucible_ray.estimating import Estimate, Left
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.paid import Paid, server
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.journal.trials import TrialSet

AUTO = "auto"
NONE = "none"
"""Take no reply, although the run is gone on with that took some."""
MOST_FOLDERS = 1000
"""Results folders that `auto` looks at, the newest first."""


@dataclass
class Earlier:
    """The replies of earlier runs, for as long as their `room` is there."""

    paid: Paid
    folders: int = 0
    """Results folders looked at."""
    matching: int = 0
    """Those of them that asked one of this run's models."""
    unreadable: tuple[str, ...] = ()
    """Folders that could not be read, each with the reason."""
    recorded_usd: float = 0.0
    """What this run itself has spent already."""
    left: Left = field(default_factory=Left)
    """What is left to send."""


def wanted(options: Options) -> str | Path | None:
    """From where replies of earlier runs are asked for; None: they are not."""
    return None if options.reuse is None or str(options.reuse) == NONE else options.reuse


def sources(reuse: str | Path, parent: Path, own: Path) -> list[Path]:
    """The results folders to take replies from, the newest first. Raises UsageError.

    reuse: `auto` (every results folder in `parent`), a results folder, or a folder of them. own: never taken.
    """
    where = parent if str(reuse) == AUTO else Path(place(reuse, parent))
    if (where / "config.json").is_file():
        found = [where]
    else:
        found = [path.parent for path in where.glob("*/config.json")] if where.is_dir() else []
        if not found and str(reuse) != AUTO:
            raise UsageError(f"--reuse {reuse}: that is neither a results folder nor a folder of them.")
    mine = own.resolve()
    others = [path for path in found if path.resolve() != mine]
    return sorted(others, key=lambda path: (path / "config.json").stat().st_mtime, reverse=True)[
        :MOST_FOLDERS
    ]


def place(reuse: str | Path, parent: Path) -> str:
    """`auto`, or the folder that is meant, as it is from anywhere."""
    if str(reuse) == AUTO:
        return AUTO
    beside = parent / str(reuse)
    return str((beside if not Path(reuse).is_dir() and beside.is_dir() else Path(reuse)).resolve())


def remembered(folder: Path) -> str | None:
    """From where the run in `folder` took replies; None: from nowhere. Raises UsageError where that is gone."""
    found = recorded_reuse(folder)
    if found is None or found == AUTO or Path(found).is_dir():
        return found
    raise UsageError(
        f"{found}, of which this run took replies (--reuse), is gone: say where it is now (--reuse DIR), "
        "or --reuse none, and what is left is asked and paid anew."
    )


@contextmanager
def room(options: Options) -> Iterator[Path | None]:
    """A folder for what `look_up` finds, while the block lasts; None where it has nothing to look for."""
    if options.earlier is not None or wanted(options) is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="crucible-") as scratch:
        yield Path(scratch)


async def look_up(prepared: Prepared, options: Options, folder: Path, scratch: Path | None) -> Earlier | None:
    """What `options.reuse` finds for a run in `folder`; None where nothing is to be reused.

    scratch: of `room`, which holds the calls. Raises CannotContinue, UsageError.
    """
    reuse = wanted(options)
    if scratch is None or reuse is None:
        return options.earlier
    found = sources(reuse, folder.parent, folder)
    earlier = Earlier(Paid(scratch), len(found))
    await _gather(earlier, found, prepared.plan, strict=str(reuse) != AUTO)
    state = await _state(prepared, options, folder)
    earlier.recorded_usd = state.spent_usd
    part = Part(prepared.plan, prepared.items, options.items, options.conditions)
    earlier.left = await asyncio.to_thread(_left, prepared, earlier, part, state)
    return earlier


@contextmanager
def looked_up(prepared: Prepared, options: Options, folder: Path) -> Iterator[Earlier | None]:
    """`look_up` and its room, for whoever does not await."""
    with room(options) as scratch:
        yield wait(look_up(prepared, options, folder, scratch))


def estimated(prepared: Prepared, options: Options) -> Estimate:
    """The estimate of what a run with these options would send. Raises CannotContinue, UsageError."""
    parent = Path(options.output_dir or prepared.settings.run.results_dir)
    part = narrowed(prepared, options.items, options.conditions)
    with looked_up(prepared, options, parent / prepared.plan.experiment_id) as earlier:
        return part.estimate(None if earlier is None else earlier.left)


async def _gather(earlier: Earlier, folders: Sequence[Path], plan: Plan, *, strict: bool) -> None:
    """strict: a folder that cannot be read is an error, else it is named."""
    asked = {server(plan, call) for condition in plan.conditions for call in condition.calls}
    for folder in folders:
        try:
            earlier.matching += await _add(earlier.paid, folder, asked)
        except (CannotContinue, UsageError) as error:
            if strict:
                raise
            earlier.unreadable += (f"{folder.name}: {error}",)
    await asyncio.to_thread(earlier.paid.seal)


async def _add(paid: Paid, folder: Path, asked: set[np.uint64]) -> bool:
    plan, items = await asyncio.to_thread(read_config, folder)
    if not asked & {server(plan, call) for condition in plan.conditions for call in condition.calls}:
        return False
    log = journal_store(folder, None, plan.experiment_id)
    state = await read_state(log, conditions=len(plan.conditions))
    add = partial(paid.add, source=folder.name, now_s=time.time())
    await asyncio.to_thread(add, plan, items, log, state)
    return True


async def _state(prepared: Prepared, options: Options, folder: Path) -> JournalState:
    """What this run has recorded, of its trials only what will be kept, as far as that is known before its journal is opened.

    Going back to a checkpoint is taken for starting anew: the most that is left to send.
    """
    plan = prepared.plan
    if not (folder / "config.json").is_file():
        return JournalState()
    log = journal_store(folder, prepared.settings.run.checkpoint_dir, plan.experiment_id)
    state = await read_state(log, conditions=len(plan.conditions))
    if options.force or options.checkpoint is not None:
        state.kept = TrialSet()
    elif options.retry:
        for numbers in state.failed.numbers():
            state.kept.discard(numbers)
    return state


def _left(prepared: Prepared, earlier: Earlier, part: Part, state: JournalState) -> Left:
    plan = prepared.plan
    skipped = part.without(state.kept)
    conditions = len(plan.conditions)
    trials = np.zeros(conditions, np.int64)
    for numbers in skipped.missing(plan.trials):
        trials += np.bincount(numbers % conditions, minlength=conditions)
    calls = [np.full(len(each.calls), trials[k]) for k, each in enumerate(plan.conditions)]
    taken: Counter[str] = Counter()
    for match in Matcher(plan, prepared.items, earlier.paid).matches(skipped):
        found = np.array([rank is not None for rank in match.ranks])
        calls[match.condition] -= found
        trials[match.condition] -= bool(found.all())
        taken.update(earlier.paid.source(rank) for rank in match.ranks if rank is not None)
    inside = np.flatnonzero(part.conditions).tolist()
    return Left(
        trials=tuple(int(trials[k]) for k in inside),
        calls=tuple(tuple(calls[k].tolist()) for k in inside),
        reused=dict(sorted(taken.items())),
    )
