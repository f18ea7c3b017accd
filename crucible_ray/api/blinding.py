"""What is shown of a blind run while names are hidden, and how they are told before all trials are in."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from crucible_ray.api.own import reload_own
from crucible_ray.api.places import read_config, store_of
from crucible_ray.errors import UsageError
from crucible_ray.experiment.blinding import WITHHELD, hidden, in_order, standing, without_names
from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.registering import registration
from crucible_ray.journal.log import Journal
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.reduction import Analysis
from crucible_ray.reports import RunFacts


def is_hidden(plan: Plan, state: JournalState) -> bool:
    """Whether names are hidden as of the log."""
    found = standing(plan, state.registrations, trials=state.kept.count)
    return found is not None and found.hidden


def shown_plan(plan: Plan, analysis: Analysis) -> Plan:
    """The plan for people: with labels by their order where the analysis hides names."""
    return in_order(hidden(plan)) if hides(analysis) else plan


def shown_facts(facts: RunFacts, analysis: Analysis) -> RunFacts:
    """How a run went, without what would tell a label."""
    if not hides(analysis):
        return facts
    exception = None if facts.exception is None else WITHHELD
    return replace(facts, failures={}, exception=exception, planted=None, model_versions={})


def hides(analysis: Analysis) -> bool:
    """Whether an analysis is one of labels."""
    return analysis.blind is not None and analysis.blind.hidden


def shown_note(facts: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """What happened, without names: an author's own frames would tell them as well."""
    if not plan.blind:
        return facts
    return {
        name: WITHHELD
        if name == "detail"
        else without_names(value, plan)
        if isinstance(value, str)
        else value
        for name, value in facts.items()
    }


def refuse_hidden(plan: Plan, state: JournalState, folder: Path, what: str) -> None:
    """Raises UsageError where a look would tell names that are hidden."""
    if is_hidden(plan, state):
        raise UsageError(
            f"{what} would tell names: {folder} is blind until all its trials are in. Go on with crucible-ray resume "
            f"{folder}, or, if it is to stay as it is, tell them with crucible-ray report {folder} --unblind, which "
            "is recorded."
        )


async def tell_names(journal: Journal, plan: Plan, *, trials: int) -> None:
    """Write into the log that names are told from here on."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    await journal.append_plan(registration(plan, after_trials=trials, at=at, unblinded=True))


async def unblind(folder: Path) -> None:
    """Tell the names of a blind run that will not be gone on with, and write its analysis anew. Raises UsageError,
    JournalError, StorageFailed.
    """
    from crucible_ray.api.finishing import plans_of, write_and_analyse
    from crucible_ray.api.reporting import read_facts, write_outcome
    from crucible_ray.reduction import encode

    plan, items = read_config(folder)
    log = store_of(plan, folder)
    state = await read_state(log, conditions=len(plan.conditions))
    if not is_hidden(plan, state):
        raise UsageError(f"{folder} hides no names: there is nothing to unblind.")
    _, own = reload_own(plan, folder)
    journal = await Journal.open(log, writer=uuid.uuid4().hex, checkpoint_every=plan.checkpoint_every)
    try:
        await tell_names(journal, plan, trials=state.kept.count)
    finally:
        await journal.close()
    state = await read_state(log, conditions=len(plan.conditions))
    analysis = await asyncio.to_thread(
        write_and_analyse, folder, plan=plan, items=items, log=log, state=state, own=own
    )
    facts = read_facts(folder)
    write_outcome(folder, encode(analysis), facts and replace(facts, plans=plans_of(state)))
