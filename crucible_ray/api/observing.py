"""How a run stands, seen from another process."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from crucible_ray.api.places import revisions
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.alive import decode_note, is_dead, note_of_this_process
from crucible_ray.journal.log import ALIVE_WITHIN_S
from crucible_ray.journal.state import Checkpoint, JournalState, read_state
from crucible_ray.journal.store import BlockingLog


class Standing(Struct, frozen=True, kw_only=True):
    """A run as its record shows it."""

    experiment_id: str
    name: str
    results_dir: str
    status: str
    """`running`, how the last driver stopped (`complete`, `budget`, ...), `killed` if it said nothing, or `new`."""
    alive: bool
    """Whether a driver is at work."""
    trials: int
    done: int
    """Trials with a row."""
    failed: int
    pending: int
    spent_usd: float | None
    """What is known to be spent; None: a price is unknown."""
    reserved_usd: float = 0.0
    """What a driver at work has set aside beyond that."""
    held_usd: float = 0.0
    """What killed drivers had set aside: perhaps spent, and a budget counts it."""
    checkpoints: tuple[Checkpoint, ...]
    """Those that `resume --checkpoint` takes."""
    revisions: tuple[str, ...] = ()
    """Folders of rescores, ascending."""


async def observe(plan: Plan, folder: Path, log: BlockingLog) -> Standing:
    """Read the record. Raises DamagedEntry, StorageFailed."""
    state = await read_state(log, conditions=len(plan.conditions))
    alive, ended = await _last_writer(log)
    priced = is_priced(plan)
    reserved = state.unsettled_usd if alive else 0.0
    return Standing(
        experiment_id=plan.experiment_id,
        name=plan.name,
        results_dir=str(folder),
        status="running" if alive else _status(state, ended=ended),
        alive=alive,
        trials=plan.trials,
        done=state.kept.count,
        failed=state.failed.count,
        pending=plan.trials - state.kept.count,
        spent_usd=state.spent_usd - state.estimated_lost_usd if priced else None,
        reserved_usd=reserved if priced else 0.0,
        held_usd=state.estimated_lost_usd - reserved if priced else 0.0,
        checkpoints=tuple(state.checkpoints),
        revisions=tuple(str(path) for _, path in revisions(folder)),
    )


def _status(state: JournalState, *, ended: bool) -> str:
    """How it stopped; a driver that said goodbye without a stop broke, one that said nothing was killed."""
    if state.status is not None:
        return state.status
    if not ended:
        return "killed"
    return "broken" if state.last else "new"


async def _last_writer(log: BlockingLog) -> tuple[bool, bool]:
    """(whether a driver writes this log, whether the last one said goodbye).

    One is at work if its note is fresh, and its process is not known to be gone.
    """
    found = await log.read_alive()
    if found is None:
        return False, True
    text, age_s = found
    note = decode_note(text)
    if note is None:
        return age_s <= ALIVE_WITHIN_S, False
    return age_s <= ALIVE_WITHIN_S and not is_dead(note, note_of_this_process("")), note.ended


def is_priced(plan: Plan) -> bool:
    """Whether every call of a plan has a price."""
    models = [call.model for condition in plan.conditions for call in condition.everybody]
    return all(model.input_price is not None and model.output_price is not None for model in models)
