"""`run`, `resume`, `retry`: verbs that ask models."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crucible_ray.cli import words
from crucible_ray.cli.ending import check_junit, report, written_junit
from crucible_ray.cli.experiments import asked, asked_formats, load
from crucible_ray.cli.session import attend, cluster, confirm, ray_ahead, standing_of
from crucible_ray.cli.terminal import Terminal
from crucible_ray.errors import UsageError

if TYPE_CHECKING:
    from crucible_ray.api import Options, Prepared


def register(app: typer.Typer) -> None:
    """Add this file's verbs."""
    app.command(
        short_help="estimate, confirm, run, analyse, report",
        epilog="Example: crucible-ray run experiment.py --sample-size 20 --max-cost 0.50",
    )(run)
    app.command(
        short_help="go on with an interrupted run",
        epilog="Example: crucible-ray resume results/exp_0123456789ab --max-cost 2",
    )(resume)
    app.command(
        short_help="run again only the trials that failed",
        epilog="Example: crucible-ray retry results/exp_0123456789ab",
    )(retry)


def run(
    experiment: words.ExpOrNone = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go on.")] = False,
    output_dir: words.OutputDir = None,
    formats: words.Formats = None,
    sample_size: words.SampleSize = None,
    repeat: words.Repeat = None,
    seed: words.Seed = None,
    item: words.Items = None,
    condition: words.Conditions = None,
    max_cost: words.MaxCost = None,
    address: words.Address = None,
    in_process: words.InProcess = False,
    no_resume: Annotated[
        bool, typer.Option("--no-resume", help="Refuse if there is anything to resume.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Start anew: earlier rows are voided.")] = False,
    take_over: words.TakeOver = False,
    beyond_stop: words.BeyondStop = False,
    clients: words.Clients = None,
    reuse: words.Reuse = None,
    params: words.Params = None,
    profile: words.Profile = None,
    simulate: words.Simulate = False,
    dataset: words.Source = None,
    model: words.Models = None,
    prompt: words.Prompt = None,
    metric: words.Metrics = None,
    fail_if: words.FailIf = None,
    baseline: words.Baseline = None,
    junit: words.Junit = None,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """Estimate, confirm, run, analyse, report; or go on where an earlier run of the same experiment stopped."""
    terminal = Terminal(as_json=as_json, quiet=quiet)
    what = asked(experiment, dataset, model, prompt, metric)
    terminal.say(f"Loading {experiment or dataset} ...")
    wanted = asked_formats(formats)
    check_junit(junit)
    address = cluster(address)
    with ray_ahead(address, in_process=in_process) as ray:
        from crucible_ray import api

        prepared = load(
            what,
            sample_size=sample_size,
            repeat=repeat,
            seed=seed,
            max_cost=max_cost,
            params=params,
            profile=profile,
            simulate=simulate,
        )
        settings = prepared.settings.run
        parent = output_dir or Path(settings.results_dir)
        options = api.Options(
            output_dir=parent,
            runtime="in-process" if in_process else "ray",
            address=address,
            clients=clients,
            take_over=take_over,
            beyond_stop=beyond_stop,
            force=force,
            formats=wanted,
            items=tuple(item or ()),
            conditions=tuple(condition or ()),
            reuse=reuse,
            resume=force or (settings.auto_resume and not no_resume),
            fail_if=fail_if or (),
            baseline=baseline,
            ray=ray,
        )
        folder = parent / prepared.plan.experiment_id
        return _run(terminal, prepared, options, folder, yes=yes, junit=junit)


def _run(
    terminal: Terminal, prepared: Prepared, options: Options, folder: Path, *, yes: bool, junit: Path | None
) -> int:
    """Have it confirmed, run it, say how it came out."""
    from crucible_ray import api
    from crucible_ray.api.earlier import looked_up
    from crucible_ray.api.narrowing import narrowed

    check_gates(prepared, options)
    part = narrowed(prepared, options.items, options.conditions)
    there = standing_of(folder)
    said = dataclasses.replace(prepared, notes=())  # the estimate has shown them
    with looked_up(prepared, options, folder) as earlier, written_junit(junit) as leave:
        options = dataclasses.replace(options, earlier=earlier)
        confirm(terminal, part, there, yes=yes, options=options)
        result = attend(
            terminal,
            lambda heard: api.run(said, options=heard),
            options,
            prepared.settings.run,
            folder,
        )
        leave(result)
    return report(terminal, result)


def resume(
    where: words.IdOrDir,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint", metavar="NAME", help="Go back to this one first (see status).", show_default=False
        ),
    ] = None,
    max_cost: words.MaxCost = None,
    output_dir: words.OutputDir = None,
    address: words.Address = None,
    in_process: words.InProcess = False,
    take_over: words.TakeOver = False,
    beyond_stop: words.BeyondStop = False,
    clients: words.Clients = None,
    reuse: words.Reuse = None,
    fail_if: words.FailIf = None,
    baseline: words.Baseline = None,
    junit: words.Junit = None,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """Go on with an interrupted run, or with one that its budget stopped."""
    terminal = Terminal(as_json=as_json, quiet=quiet)
    terminal.say(f"Resuming {where} ...")
    number = checkpoint_number(checkpoint) if checkpoint is not None else None
    if max_cost is not None and max_cost <= 0:
        raise UsageError("--max-cost has to be above zero.")
    return _again(
        terminal,
        where,
        output_dir,
        address=address,
        in_process=in_process,
        max_cost=max_cost,
        take_over=take_over,
        clients=clients,
        reuse=reuse,
        fail_if=tuple(fail_if or ()),
        baseline=baseline,
        junit=junit,
        checkpoint=number,
        beyond_stop=beyond_stop,
    )


def retry(
    where: words.IdOrDir,
    output_dir: words.OutputDir = None,
    address: words.Address = None,
    in_process: words.InProcess = False,
    take_over: words.TakeOver = False,
    clients: words.Clients = None,
    reuse: words.Reuse = None,
    fail_if: words.FailIf = None,
    baseline: words.Baseline = None,
    junit: words.Junit = None,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """Run again only the trials that failed, and those that never ran."""
    terminal = Terminal(as_json=as_json, quiet=quiet)
    terminal.say(f"Running again what failed in {where} ...")
    return _again(
        terminal,
        where,
        output_dir,
        address=address,
        in_process=in_process,
        take_over=take_over,
        clients=clients,
        reuse=reuse,
        fail_if=tuple(fail_if or ()),
        baseline=baseline,
        junit=junit,
        retry=True,
    )


def _again(
    terminal: Terminal,
    where: str,
    output_dir: Path | None,
    *,
    address: str | None,
    in_process: bool,
    max_cost: float | None = None,
    junit: Path | None = None,
    **choices: Any,
) -> int:
    """Go on with what is recorded; `choices` are further fields of Options."""
    from crucible_ray import api
    from crucible_ray.settings import load_settings

    check_junit(junit)
    folder = api.find_results(where, output_dir)
    # Only what has something to run waits for Ray.
    nothing = _nothing_to_run(folder, choices)
    if nothing:
        terminal.say(
            "Nothing has failed and nothing is pending: no trial is run, the results are written again."
        )
    in_process = in_process or nothing
    address = cluster(address)
    with ray_ahead(address, in_process=in_process) as ray, written_junit(junit) as leave:
        runtime = "in-process" if in_process else "ray"
        result = attend(
            terminal,
            lambda heard: api.resume(folder, max_cost=max_cost, options=heard),
            api.Options(runtime=runtime, address=address, ray=ray, **choices),
            load_settings(Path.cwd(), os.environ).run,
            folder,
        )
        leave(result)
        return report(terminal, result)


def _nothing_to_run(folder: Path, choices: Mapping[str, Any]) -> bool:
    """Whether the record says that no trial would be run. Raises UsageError for a checkpoint that is none."""
    from crucible_ray.api.opening import check_checkpoint

    there = standing_of(folder)
    if there is None:
        return False
    if choices.get("checkpoint") is not None:
        check_checkpoint(choices["checkpoint"], there.checkpoints)
        return False
    return not there.pending and not (choices.get("retry") and there.failed)


def check_gates(prepared: Prepared, options: Options) -> None:
    """Find faults of gates before the question whether to go on. Raises UsageError."""
    from crucible_ray.api import find_results
    from crucible_ray.reduction.gates import parse_gates

    parse_gates(options.fail_if, prepared.plan)
    if options.baseline is not None:
        find_results(options.baseline, options.output_dir)


def checkpoint_number(name: str) -> int:
    """The entry that `checkpoint_000004.parquet`, `checkpoint_000004` or `4` names. Raises UsageError."""
    found = re.fullmatch(r"(?:checkpoint_)?(\d+)(?:\.parquet)?", Path(name).name)
    if found is None:
        raise UsageError(f"--checkpoint {name}: write checkpoint_000004, as status lists them.")
    return int(found[1])
