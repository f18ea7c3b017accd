"""The simulator that a run starts for its simulated models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from crucible_ray.api.preparing import simulator_config
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
