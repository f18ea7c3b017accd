"""One run from the estimate to its judged result: ask, find a place for clients, go through the session, write up."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from crucible_ray.api.earlier import look_up, room
from crucible_ray.api.finishing import finish
from crucible_ray.api.fleet import Fleet, LocalFleet, RayFleet, state_dir
from crucible_ray.api.gating import asked_gates
from crucible_ray.api.loading import read_result
from crucible_ray.api.narrowing import narrowed
from crucible_ray.api.observing import observe
from crucible_ray.api.options import Options
from crucible_ray.api.own import without_own
from crucible_ray.api.places import journal_store
from crucible_ray.api.preparing import Prepared
from crucible_ray.api.progress import showing
from crucible_ray.api.result import RunResult
from crucible_ray.api.running import run_session
from crucible_ray.api.session import Session, raise_fatal
from crucible_ray.errors import (
    AlreadyRunning,
    CannotContinue,
    CredentialError,
    CrucibleError,
    SpecError,
    UsageError,
)
from crucible_ray.estimating import Estimate, estimate_lines, recorded_lines
from crucible_ray.experiment.formats import check_formats
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.store import BlockingLog
from crucible_ray.stats.chunks import drawing_on


class Declined(UsageError):
    """The estimate was shown and the answer was no."""


async def conduct(prepared: Prepared, options: Options, folder: Path | None = None) -> RunResult:
    """Run what is prepared, or go on with it. folder: its results folder, where it has one. Raises as `run`."""
    plan, gates = await asked_gates(
        prepared.plan, prepared.items, options.fail_if, options.baseline, options.output_dir
    )
    prepared = dataclasses.replace(prepared, plan=plan)
    formats = check_formats(options.formats or prepared.settings.run.report_formats)
    prepared.keys()
    if options.runtime == "ray" and prepared.code:
        prepared.code.pack()
    folder = folder or Path(options.output_dir or prepared.settings.run.results_dir) / plan.experiment_id
    log = journal_store(folder, prepared.settings.run.checkpoint_dir, plan.experiment_id)
    async with AsyncExitStack() as place:  # Ray stays until its results are written
        with room(options) as scratch:
            earlier = await look_up(prepared, options, folder, scratch)
            options = dataclasses.replace(options, earlier=earlier)
            estimated_usd = await _agreed(prepared, options, folder, log)
            session = await _run(prepared, options, folder, log, place)
        try:
            result = await finish(
                prepared,
                folder,
                log,
                session,
                formats=formats,
                estimated_usd=estimated_usd,
                runtime=options.runtime,
                cores=None if options.address or prepared.settings.run.address else os.cpu_count(),
            )
        except SpecError as error:  # a function of the author's own failed
            error.add_note(
                "Every answer is recorded. Mend it and run the same again: nothing is asked twice."
            )
            bare = dataclasses.replace(prepared, plan=without_own(plan))
            await _leave(error, bare, folder, log, session.status, session.duration_s, session.calls)
            raise
    result = gates.judged(result, prepared.items)
    if session.cancelled:
        raise asyncio.CancelledError
    if session.status != "interrupted":
        try:
            raise_fatal(session.fatal, plan)
        except (UsageError, CredentialError) as error:
            error.result = result
            raise
    return result


async def _agreed(prepared: Prepared, options: Options, folder: Path, log: BlockingLog) -> float | None:
    """What the run is estimated to cost, once whoever is to be asked has said yes; None: unknown. Raises Declined."""
    part = narrowed(prepared, options.items, options.conditions)
    earlier = options.earlier
    found = part.estimate(None if earlier is None else earlier.left)
    ask = options.confirm
    if ask is True:
        there = await observe(prepared.plan, folder, log) if (folder / "config.json").is_file() else None
        recorded = recorded_lines(there.done, there.trials, force=options.force) if there is not None else []
        ask = partial(_ask, recorded=recorded)
    if ask and not ask(part.plan, found):
        raise Declined("Not confirmed: nothing was run and nothing was spent.")
    if earlier is None or found.total_cost is None:
        return found.total_cost
    return found.total_cost + earlier.recorded_usd


def _ask(plan: Plan, found: Estimate, *, recorded: Sequence[str]) -> bool:
    """Show the estimate on the terminal and wait for a yes."""
    sys.stderr.write("\n".join([*estimate_lines(plan, found), *recorded]) + "\nContinue? [y/N]: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _run(
    prepared: Prepared, options: Options, folder: Path, log: BlockingLog, place: AsyncExitStack
) -> Session:
    """The session itself; where it breaks, its error knows what is recorded. Raises CrucibleError.

    place: what clients live on stays for what comes after, resampling among it, and ends with it.
    """
    began_s = time.monotonic()
    try:
        fleet, placed = await place.enter_async_context(_placed(prepared, options))
        place.enter_context(drawing_on(fleet.resample))
        with showing(placed, prepared.settings.run) as shown:
            return await run_session(prepared, shown, fleet, folder, log)
    except CannotContinue as error:
        if not isinstance(error, AlreadyRunning):
            await _leave(error, prepared, folder, log, "broken", time.monotonic() - began_s)
        raise


async def _leave(
    error: CrucibleError,
    prepared: Prepared,
    folder: Path,
    log: BlockingLog,
    status: str,
    duration_s: float,
    calls_made: int = 0,
) -> None:
    """Give an error that ends a run what is recorded of it, as its `result`."""
    with suppress(CrucibleError, OSError):  # what broke the run may well break this too
        error.result = await read_result(
            prepared.plan,
            prepared.items,
            folder,
            log,
            own=prepared.own,
            status=status,
            calls_made=calls_made,
            duration_s=duration_s,
        )


@asynccontextmanager
async def _placed(prepared: Prepared, options: Options) -> AsyncIterator[tuple[Fleet, Options]]:
    """Where clients live, and the options with the Ray that it needs; a Ray that is started here is stopped here."""
    where = state_dir(prepared.settings.env)
    if options.runtime == "in-process":
        yield LocalFleet(where), options
        return
    if options.runtime != "ray":
        raise UsageError(f"runtime {options.runtime!r} does not exist: use 'ray' or 'in-process'.")
    if options.ray is not None:
        yield RayFleet(where, options.ray), options
        return
    from crucible_ray.actors.cluster import RayThread

    ray = RayThread(options.address or prepared.settings.run.address)
    ray.start()
    try:
        yield RayFleet(where, ray), dataclasses.replace(options, ray=ray)
    finally:
        await asyncio.to_thread(ray.stop)
