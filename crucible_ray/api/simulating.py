"""The simulator that a run starts for its simulated models, and the truth that it planted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from crucible_ray.api.preparing import Prepared, simulator_config
from crucible_ray.experiment.plan import Plan
from crucible_ray.models.catalogue import rebase
from crucible_ray.simulator import SimulatorProcess


@asynccontextmanager
async def served(plan: Plan, items: Path | None) -> AsyncIterator[tuple[Plan, str | None]]:
    """The plan to run, its simulated models served by a child process while the block lasts, and that one's address.

    items: the `dataset.jsonl` that the simulator knows right answers from; None: it knows none.
    """
    if plan.simulated is None:
        yield plan, None
        return
    process = SimulatorProcess(simulator_config(plan), items=items)
    await asyncio.to_thread(process.start)
    try:
        calls = [call for condition in plan.conditions for call in condition.everybody]
        simulated = any(call.model.provider == "simulated" for call in calls)
        yield rebase(plan, process.url) if simulated else plan, process.url
    finally:
        await asyncio.to_thread(process.stop)


def planted(prepared: Prepared) -> float | None:
    """The true difference that the simulator planted, for an ensemble of three or more against one model."""
    plan = prepared.plan
    if plan.simulated is None or len(plan.conditions) != 2:
        return None
    kinds = {condition.kind: condition for condition in plan.conditions}
    if set(kinds) != {"model", "ensemble"}:
        return None
    from crucible_ray.simulator.answers import AnswerKey
    from crucible_ray.simulator.population import Population

    config = simulator_config(plan)
    by_name = {model.name: model for model in config.models}
    ids = [call.model.model for call in kinds["ensemble"].calls]
    single = kinds["model"].calls[0].model.model
    if not by_name.keys() >= {*ids, single} or single not in ids:
        return None
    population = Population(
        AnswerKey(prepared.items).questions.values(),
        seed=config.seed,
        difficulty_slope=config.difficulty_slope,
        concentration=config.concentration,
    )
    truth = population.truth([by_name[name] for name in ids], items=[item.id for item in prepared.items])
    return truth.majority - truth.accuracy[single]
