"""The doors themselves: each waits, or has an `a`-prefixed twin to await."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from crucible_ray.api.finishing import finish
from crucible_ray.api.fleet import Fleet, LocalFleet, RayFleet, state_dir
from crucible_ray.api.gating import Gates, gates_of
from crucible_ray.api.loading import read_result
from crucible_ray.api.narrowing import narrowed
from crucible_ray.api.observing import Standing, is_priced
from crucible_ray.api.observing import observe as observe_log
from crucible_ray.api.options import Options, Progress
from crucible_ray.api.own import Own, Recorded, experiment_folder, reload_own, without_own
from crucible_ray.api.places import journal_store, read_config, revisions, run_of
from crucible_ray.api.preparing import Prepared, prepare, prepared_again, simulator_config
from crucible_ray.api.progress import showing
from crucible_ray.api.reloading import reload_code
from crucible_ray.api.replaying import Reproduction, replay
from crucible_ray.api.reporting import rebuild
from crucible_ray.api.rescoring import read_revised, revise, revised_plan
from crucible_ray.api.result import RunResult
from crucible_ray.api.running import run_session
from crucible_ray.api.session import Session, raise_fatal
from crucible_ray.api.showing import ShownTrial, shown_trial, trial_number
from crucible_ray.api.waiting import wait
from crucible_ray.errors import (
    AlreadyRunning,
    CannotContinue,
    CredentialError,
    CrucibleError,
    SpecError,
    UsageError,
)
from crucible_ray.estimate import Estimate, estimate_lines
from crucible_ray.experiment.formats import check_formats
from crucible_ray.experiment.loading import Loaded, load_experiment
from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.spec import Experiment
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.journal.store import BlockingLog
from crucible_ray.settings import Settings, did_you_mean, load_settings


class Declined(UsageError):
    """The estimate was shown and the answer was no."""


def estimate(
    experiment: Experiment | Loaded, *, simulate: bool = False, settings: Settings | None = None
) -> Estimate:
    """Cost, duration, calls, tokens and power, before anything is spent. Raises UsageError."""
    return prepare(experiment, simulate=simulate, settings=settings).estimate()


def run(
    experiment: Experiment | Loaded | Prepared,
    *,
    confirm: Callable[[Plan, Estimate], bool] | bool = False,
    progress: Callable[[Progress], None] | bool | str = "auto",
    output_dir: str | Path | None = None,
    runtime: str = "ray",
    simulate: bool = False,
    simulated: Mapping[str, Any] | None = None,
    options: Options | None = None,
    **choices: Any,
) -> RunResult:
    """Run an experiment to its end, or go on where it stopped; further `choices` are fields of Options.

    progress: "auto": a bar on a terminal, a block in a notebook, lines elsewhere; True, False, or whom to tell.
    options: instead of `confirm` to `runtime` and the choices.
    Raises UsageError, CredentialError, CannotContinue (their `result` is what ran, where anything did); failed
    trials, a spent budget and an interrupt are a `status`.
    """
    return wait(
        arun(
            experiment,
            confirm=confirm,
            progress=progress,
            output_dir=output_dir,
            runtime=runtime,
            simulate=simulate,
            simulated=simulated,
            options=options,
            **choices,
        )
    )


async def arun(
    experiment: Experiment | Loaded | Prepared,
    *,
    confirm: Callable[[Plan, Estimate], bool] | bool = False,
    progress: Callable[[Progress], None] | bool | str = "auto",
    output_dir: str | Path | None = None,
    runtime: str = "ray",
    simulate: bool = False,
    simulated: Mapping[str, Any] | None = None,
    options: Options | None = None,
    **choices: Any,
) -> RunResult:
    """See `run`. Cancelled once, it stops in good order first."""
    if options is None:
        named = {"confirm": confirm, "progress": progress, "output_dir": output_dir, "runtime": runtime}
        options = _options(named | choices)
    prepared = (
        experiment
        if isinstance(experiment, Prepared)
        else prepare(experiment, simulate=simulate, simulated=simulated)
    )
    return await _session(prepared, options)


def resume(
    where: str | Path, *, max_cost: float | None = None, options: Options | None = None, **choices: Any
) -> RunResult:
    """Go on with an interrupted run, by its folder or its id. Raises as `run`.

    max_cost: US dollars over the whole run, what it has spent included; None: the budget that it had.
    """
    return wait(aresume(where, max_cost=max_cost, options=options, **choices))


async def aresume(
    where: str | Path, *, max_cost: float | None = None, options: Options | None = None, **choices: Any
) -> RunResult:
    """See `resume`."""
    options = options or _options(choices)
    folder = find_results(where, options.output_dir)
    if (whole := run_of(folder)) is not None:
        raise UsageError(f"{where} is a revision: what runs is {whole}.")
    plan, items = read_config(folder)
    if max_cost is not None:
        plan = replace(plan, budget=replace(plan.budget, max_total=max_cost, abort_on_exceed=True))
    plan, own = reload_own(plan, folder)
    settings = load_settings(Path.cwd(), os.environ)
    code = reload_code(plan, folder)
    prepared = prepared_again(plan, items, settings, experiment_folder(folder), own, code)
    return await _session(prepared, options, folder)


def retry(where: str | Path, **choices: Any) -> RunResult:
    """Run again only the trials that failed. Raises as `run`."""
    return resume(where, options=_options({"retry": True, **choices}))


def reproduce(where: str | Path, *, clients: int = 1) -> Reproduction:
    """Replay a run from its own record and compare the bytes. Raises UsageError, JournalError."""
    return wait(areproduce(where, clients=clients))


async def areproduce(where: str | Path, *, clients: int = 1) -> Reproduction:
    """See `reproduce`."""
    folder = find_results(where)
    plan, items = read_config(folder)
    own, notes = _replayed_own(plan, folder)
    found = await replay(plan, items, _store(plan, folder), folder, own=own, clients=clients)
    return dataclasses.replace(found, notes=notes)


def _replayed_own(plan: Plan, folder: Path) -> tuple[Own | Recorded, tuple[str, ...]]:
    """The author's own functions, or, where they are not what they were, what is recorded of them."""
    try:
        now, own = reload_own(plan, folder)
    except UsageError as error:
        return Recorded(folder), (f"own metrics and analysis are taken as recorded: {error}",)
    if now != plan:
        return Recorded(folder), (
            "own metrics and analysis are taken as recorded: their source has changed.",
        )
    return own, ()


def rescore(
    where: str | Path,
    *,
    parse: str | None = None,
    metric: str | Sequence[str] = (),
    normalize: str | None = None,
    experiment: Experiment | Loaded | Prepared | str | Path | None = None,
    formats: Sequence[str] | None = None,
) -> RunResult:
    """Read, score and analyse a run's stored replies in another way, without one call: `revisions/NNN/` in its folder.

    parse, normalize: of every condition. metric: one name or several. experiment: a changed version of the
    experiment, or its file: readings, votes, metrics, hypotheses and analysis are taken from it.
    Raises UsageError, JournalError, StorageFailed. The run's own numbers stay.
    """
    return wait(
        arescore(
            where, parse=parse, metric=metric, normalize=normalize, experiment=experiment, formats=formats
        )
    )


async def arescore(
    where: str | Path,
    *,
    parse: str | None = None,
    metric: str | Sequence[str] = (),
    normalize: str | None = None,
    experiment: Experiment | Loaded | Prepared | str | Path | None = None,
    formats: Sequence[str] | None = None,
) -> RunResult:
    """See `rescore`."""
    folder = find_results(where)
    plan, items = read_config(folder)
    settings = load_settings(Path.cwd(), os.environ)
    metrics = (metric,) if isinstance(metric, str) else tuple(metric)
    if parse is None and normalize is None and not metrics and experiment is None:
        raise UsageError("rescore needs what is to change: parse, metric, normalize or experiment.")
    version = _version(experiment, simulated=plan.simulated is not None)
    revised = revised_plan(plan, items, parse=parse, normalize=normalize, metrics=metrics, experiment=version)
    own = version.own if version is not None else reload_own(revised, folder)[1]
    chosen = check_formats(tuple(formats) if formats is not None else settings.run.report_formats)
    return await revise(plan, revised, items, _store(plan, folder), folder, own=own, formats=chosen)


def _version(
    experiment: Experiment | Loaded | Prepared | str | Path | None, *, simulated: bool
) -> Prepared | None:
    """Another version of a run's experiment, resolved as the run was."""
    if experiment is None or isinstance(experiment, Prepared):
        return experiment
    if isinstance(experiment, str | Path):
        experiment = load_experiment(str(experiment), {})
    return prepare(experiment, simulate=simulated)


def load(where: str | Path, *, revision: int | None = None) -> RunResult:
    """What a results folder holds, by its path or its id, whether its run has ended or not.

    revision: one of a rescore, by its number; None: the run's own numbers. Raises UsageError, JournalError.
    """
    return wait(aload(where, revision=revision))


async def aload(where: str | Path, *, revision: int | None = None) -> RunResult:
    """See `load`."""
    folder = find_results(where)
    if revision is not None:
        there = dict(revisions(folder))
        if revision not in there:
            raise UsageError(f"{folder} has no revision {revision}; there are: {sorted(there) or 'none'}.")
        folder = there[revision]
    plan, items = read_config(folder)
    if run_of(folder) is not None:
        return await read_revised(plan, folder, _store(plan, folder))
    return await read_result(plan, items, folder, _store(plan, folder))


def report(where: str | Path, *, formats: Sequence[str] | None = None) -> dict[str, Path]:
    """Write a folder's reports again from what lies in it; returns their paths by format. Raises UsageError."""
    return rebuild(find_results(where), formats)


def show(
    where: str | Path,
    trial: int | None = None,
    *,
    item: str | None = None,
    condition: str | None = None,
    repeat: int = 0,
) -> ShownTrial:
    """All that is recorded of one trial, by its number or by what it is. Raises UsageError, JournalError."""
    folder = find_results(where)
    plan, items = read_config(folder)
    if trial is None:
        trial = trial_number(plan, items, item=item, condition=condition, repeat=repeat)
    elif item is not None or condition is not None:
        raise UsageError("name the trial by its number, or by --item and --condition, not both.")
    return shown_trial(load(folder), items, trial)


def status(where: str | Path) -> tuple[Plan, JournalState]:
    """What is recorded of a run, also while it is going. Raises UsageError, JournalError."""
    return wait(astatus(where))


async def astatus(where: str | Path) -> tuple[Plan, JournalState]:
    """See `status`."""
    folder = find_results(where)
    plan, _ = read_config(folder)
    return plan, await read_state(_store(plan, folder), conditions=len(plan.conditions))


def observe(where: str | Path) -> Standing:
    """How a run stands, also while another process is at it. Raises UsageError, JournalError."""
    return wait(aobserve(where))


async def aobserve(where: str | Path) -> Standing:
    """See `observe`."""
    folder = find_results(where)
    plan, _ = read_config(folder)
    return await observe_log(plan, folder, _store(plan, folder))


def find_results(where: str | Path, output_dir: str | Path | None = None) -> Path:
    """A results folder by its path or its id. Raises UsageError."""
    path = Path(where)
    if path.is_dir():
        return path
    parent = Path(output_dir or load_settings(Path.cwd(), os.environ).run.results_dir)
    if (parent / str(where)).is_dir():
        return parent / str(where)
    raise UsageError(f"{where} is neither a results folder nor an experiment in {parent}.")


def _store(plan: Plan, folder: Path) -> Any:
    settings = load_settings(Path.cwd(), os.environ)
    return journal_store(folder, settings.run.checkpoint_dir, plan.experiment_id)


def _options(choices: Mapping[str, Any]) -> Options:
    known = [each.name for each in dataclasses.fields(Options)]
    for name in choices:
        if name not in known:
            raise UsageError(f"there is no option {name!r}: {did_you_mean(name, known)}")
    return Options(**choices)


async def _session(prepared: Prepared, options: Options, folder: Path | None = None) -> RunResult:
    prepared, gates = await _gated(prepared, options)
    plan = prepared.plan
    formats = check_formats(options.formats or prepared.settings.run.report_formats)
    prepared.keys()
    if options.runtime == "ray" and prepared.code:
        prepared.code.pack()
    part = narrowed(prepared, options.items, options.conditions)
    found = part.estimate()
    ask = _ask if options.confirm is True else options.confirm
    if ask and not ask(part.plan, found):
        raise Declined("Not confirmed: nothing was run and nothing was spent.")
    folder = folder or Path(options.output_dir or prepared.settings.run.results_dir) / plan.experiment_id
    store = journal_store(folder, prepared.settings.run.checkpoint_dir, plan.experiment_id)
    session = await _run(prepared, options, folder, store)
    try:
        result = await finish(
            plan,
            prepared.items,
            folder,
            store,
            session,
            base=prepared.base,
            own=prepared.own,
            priced=bool(prepared.bounds_usd()) or is_priced(plan),
            formats=formats,
            estimated_usd=found.total_cost,
            planted=_planted(prepared),
            runtime=options.runtime,
        )
    except SpecError as error:  # a function of the author's own failed
        error.add_note("Every answer is recorded. Mend it and run the same again: nothing is asked twice.")
        with suppress(CrucibleError, OSError):
            error.result = await read_result(
                without_own(plan),
                prepared.items,
                folder,
                store,
                status=session.status,
                calls_made=session.calls,
                duration_s=session.duration_s,
            )
        raise
    result = gates.judged(result, [item.id for item in prepared.items])
    if session.cancelled:
        raise asyncio.CancelledError
    if session.status != "interrupted":
        try:
            raise_fatal(session.fatal, plan)
        except (UsageError, CredentialError) as error:
            error.result = result
            raise
    return result


async def _gated(prepared: Prepared, options: Options) -> tuple[Prepared, Gates]:
    """What the run is judged by, checked before it costs anything. Raises UsageError."""
    if options.baseline is None:
        return gates_of(prepared, options.fail_if, None)
    folder = find_results(options.baseline, options.output_dir)
    plan, items = read_config(folder)
    earlier = await read_result(plan, items, folder, _store(plan, folder))
    return gates_of(prepared, options.fail_if, (folder.name, earlier, tuple(item.id for item in items)))


async def _run(prepared: Prepared, options: Options, folder: Path, store: BlockingLog) -> Session:
    """The session itself; where it breaks, its error knows what is recorded. Raises CrucibleError."""
    fleet, own = _fleet(prepared, options)
    began_s = time.monotonic()
    try:
        with showing(
            options if own is None else dataclasses.replace(options, ray=own), prepared.settings.run
        ) as shown:
            return await run_session(prepared, shown, fleet, folder, store)
    except CannotContinue as error:
        if not isinstance(error, AlreadyRunning):
            with suppress(CrucibleError, OSError):  # what broke the run may well break this too
                error.result = await read_result(
                    prepared.plan,
                    prepared.items,
                    folder,
                    store,
                    own=prepared.own,
                    status="broken",
                    duration_s=time.monotonic() - began_s,
                )
        raise
    finally:
        if own is not None:
            await asyncio.to_thread(own.stop)


def _ask(plan: Plan, found: Estimate) -> bool:
    """Show the estimate on the terminal and wait for a yes."""
    sys.stderr.write("\n".join(estimate_lines(plan, found)) + "\nContinue? [y/N]: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _fleet(prepared: Prepared, options: Options) -> tuple[Fleet, Any]:
    """Where clients will live, and the Ray to stop afterwards if it was started here."""
    where = state_dir(prepared.settings.env)
    if options.runtime == "in-process":
        return LocalFleet(where), None
    if options.runtime != "ray":
        raise UsageError(f"runtime {options.runtime!r} does not exist: use 'ray' or 'in-process'.")
    from crucible_ray.actors.cluster import RayThread

    if options.ray is not None:
        return RayFleet(where, options.ray), None
    own = RayThread(options.address or prepared.settings.run.address)
    own.start()
    return RayFleet(where, own), own


def _planted(prepared: Prepared) -> float | None:
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
