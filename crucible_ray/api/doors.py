"""The doors themselves: each waits, or has an `a`-prefixed twin to await."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from crucible_ray.api.blinding import refuse_hidden
from crucible_ray.api.blinding import unblind as tell
from crucible_ray.api.conducting import conduct
from crucible_ray.api.earlier import estimated, remembered
from crucible_ray.api.failures import failure_of
from crucible_ray.api.gating import asked_gates
from crucible_ray.api.loading import read_result
from crucible_ray.api.observing import Standing
from crucible_ray.api.observing import observe as observe_log
from crucible_ray.api.options import Options, Progress, options_of
from crucible_ray.api.own import Own, Recorded, reload_code, reload_own
from crucible_ray.api.piloting import piloted
from crucible_ray.api.places import experiment_folder, find_results, read_config, revisions, run_of, store_of
from crucible_ray.api.preparing import Prepared, prepare, prepared_again
from crucible_ray.api.replaying import Reproduction, replay
from crucible_ray.api.reporting import rebuild
from crucible_ray.api.rescoring import own_reading, parsers_to_run, read_revised, revise, revised_plan
from crucible_ray.api.result import RunResult
from crucible_ray.api.showing import ShownTrial, shown_trial, trial_number
from crucible_ray.api.waiting import wait, waited
from crucible_ray.errors import UsageError
from crucible_ray.estimating import Estimate
from crucible_ray.experiment.formats import check_formats
from crucible_ray.experiment.loading import Loaded
from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.spec import Experiment
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.settings import Settings, load_settings


def estimate(
    experiment: Experiment | Loaded | Prepared | str | Path,
    *,
    simulate: bool = False,
    settings: Settings | None = None,
    reuse: str | Path | None = None,
    output_dir: str | Path | None = None,
    pilot: str | Path | None = None,
) -> Estimate:
    """Cost, duration, calls, tokens and power, before anything is spent. Raises UsageError.

    reuse, output_dir: as for `run`; what is recorded or paid for already is not counted then. Raises CannotContinue.
    pilot: a results folder or its id: the spread under each hypothesis is taken from it instead of assumed.
    """
    if not isinstance(experiment, Prepared):
        experiment = prepare(experiment, simulate=simulate, settings=settings)
    if pilot is not None:
        experiment = piloted(experiment, pilot)
    return estimated(experiment, Options(reuse=reuse, output_dir=output_dir))


async def arun(
    experiment: Experiment | Loaded | Prepared | str | Path,
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

    experiment: the value, or where it is: `file.py`, `file.py:name`, `package.module:name`, `file.toml`.
    progress: "auto": a bar on a terminal, a block in a notebook, lines elsewhere; True, False, or whom to tell.
    options: instead of `confirm` to `runtime` and the choices.
    Raises UsageError, CredentialError, CannotContinue (their `result` is what ran, where anything did); failed
    trials, a spent budget and an interrupt are a `status`. Cancelled once, `arun` stops in good order first.
    """
    if options is None:
        named = {"confirm": confirm, "progress": progress, "output_dir": output_dir, "runtime": runtime}
        options = options_of(named | choices, "simulate", "simulated")
    prepared = (
        experiment
        if isinstance(experiment, Prepared)
        else prepare(experiment, simulate=simulate, simulated=simulated)
    )
    return await conduct(prepared, options)


run = waited(arun)


async def aresume(
    where: str | Path, *, max_cost: float | None = None, options: Options | None = None, **choices: Any
) -> RunResult:
    """Go on with an interrupted run, by its folder or its id. Raises as `run`.

    max_cost: US dollars over the whole run, what it has spent included; None: the budget that it had.
    """
    options = options or options_of(choices)
    folder = find_results(where, options.output_dir)
    if options.reuse is None:
        options = dataclasses.replace(options, reuse=remembered(folder))
    if (whole := run_of(folder)) is not None:
        raise UsageError(f"{where} is a revision: what runs is {whole}.")
    plan, items = read_config(folder)
    if max_cost is not None:
        plan = replace(plan, budget=replace(plan.budget, max_total=max_cost, abort_on_exceed=True))
    plan, own = reload_own(plan, folder)
    settings = load_settings(Path.cwd(), os.environ)
    code = reload_code(plan, folder)
    prepared = prepared_again(plan, items, settings, experiment_folder(folder), own, code)
    return await conduct(prepared, options, folder)


resume = waited(aresume)


def retry(where: str | Path, **choices: Any) -> RunResult:
    """Run again only the trials that failed. Raises as `run`."""
    return resume(where, options=options_of({"retry": True, **choices}))


async def areproduce(where: str | Path, *, clients: int = 1) -> Reproduction:
    """Replay a run from its own record and compare the bytes. Raises UsageError, JournalError."""
    folder = find_results(where)
    plan, items = read_config(folder)
    own, notes = _replayed_own(plan, folder)
    found = await replay(plan, items, store_of(plan, folder), folder, own=own, clients=clients)
    return dataclasses.replace(found, notes=notes)


reproduce = waited(areproduce)


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


async def arescore(
    where: str | Path,
    *,
    parse: str | Callable[..., Any] | None = None,
    metric: str | Sequence[str] = (),
    normalize: str | None = None,
    experiment: Experiment | Loaded | Prepared | str | Path | None = None,
    formats: str | Sequence[str] | None = None,
    fail_if: str | Sequence[str] = (),
    baseline: str | Path | None = None,
) -> RunResult:
    """Read, score and analyse a run's stored replies in another way, without one call: `revisions/NNN/` in its folder.

    parse, normalize: of every condition; parse may be a function of your own. metric: one name or several.
    experiment: a changed version of the experiment, or its file: readings, votes, metrics, hypotheses and analysis
    are taken from it. fail_if, baseline: as for `run`. The run's own numbers stay.
    Raises UsageError, JournalError, StorageFailed.
    """
    folder = find_results(where)
    plan, items = read_config(folder)
    settings = load_settings(Path.cwd(), os.environ)
    metrics = (metric,) if isinstance(metric, str) else tuple(metric)
    if parse is None and normalize is None and not metrics and experiment is None:
        raise UsageError("rescore needs what is to change: parse, metric, normalize or experiment.")
    log = store_of(plan, folder)
    refuse_hidden(plan, await read_state(log, conditions=len(plan.conditions)), folder, "rescore")
    version = _version(experiment, simulated=plan.simulated is not None)
    text, parsers = own_reading(parse, version)
    revised = revised_plan(plan, items, parse=text, normalize=normalize, metrics=metrics, experiment=version)
    revised, gates = await asked_gates(revised, items, fail_if, baseline)
    own = version.own if version is not None else reload_own(revised, folder)[1]
    chosen = check_formats(formats if formats is not None else settings.run.report_formats)
    run = parsers_to_run(plan, revised, parsers)
    result = await revise(
        plan, revised, items, store_of(plan, folder), folder, own=own, formats=chosen, parsers=run
    )
    return gates.judged(result, items)


rescore = waited(arescore)


def _version(
    experiment: Experiment | Loaded | Prepared | str | Path | None, *, simulated: bool
) -> Prepared | None:
    """Another version of a run's experiment, resolved as the run was."""
    if experiment is None or isinstance(experiment, Prepared):
        return experiment
    return prepare(experiment, simulate=simulated)


async def aload(
    where: str | Path,
    *,
    revision: int | None = None,
    fail_if: str | Sequence[str] = (),
    baseline: str | Path | None = None,
) -> RunResult:
    """What a results folder holds, by its path or its id, whether its run has ended or not.

    revision: one of a rescore, by its number; None: the run's own numbers. fail_if, baseline: as for
    `run`; `result.gates` says how they came out. Raises UsageError, JournalError.
    """
    folder = find_results(where)
    if revision is not None:
        there = dict(revisions(folder))
        if revision not in there:
            raise UsageError(f"{folder} has no revision {revision}; there are: {sorted(there) or 'none'}.")
        folder = there[revision]
    plan, items = read_config(folder)
    plan, gates = await asked_gates(plan, items, fail_if, baseline)
    read = read_revised(plan, folder, store_of(plan, folder)) if run_of(folder) is not None else None
    result = await (read or read_result(plan, items, folder, store_of(plan, folder)))
    return gates.judged(result, items)


load = waited(aload)


def report(
    where: str | Path, *, formats: str | Sequence[str] | None = None, unblind: bool = False
) -> dict[str, Path]:
    """Write a folder's reports again from what lies in it; returns their paths by format. Raises UsageError.

    unblind: tell the names of a blind run that will not be gone on with; the analysis is written anew, and the log
    says after how many trials names were told.
    """
    folder = find_results(where)
    if unblind:
        wait(tell(folder))
    return rebuild(folder, formats)


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
    refuse_hidden(plan, status(folder)[1], folder, "show")
    found = shown_trial(load(folder), items, trial)
    if found.row is None or plan.conditions[trial % len(plan.conditions)].function is None:
        return found
    return replace(found, failure=failure_of(trial, store_of(plan, folder), status(folder)[1]))


async def astatus(where: str | Path) -> tuple[Plan, JournalState]:
    """What is recorded of a run, also while it is going. Raises UsageError, JournalError."""
    folder = find_results(where)
    plan, _ = read_config(folder)
    return plan, await read_state(store_of(plan, folder), conditions=len(plan.conditions))


status = waited(astatus)


async def aobserve(where: str | Path) -> Standing:
    """How a run stands, also while another process is at it. Raises UsageError, JournalError."""
    folder = find_results(where)
    plan, _ = read_config(folder)
    return await observe_log(plan, folder, store_of(plan, folder))


observe = waited(aobserve)
