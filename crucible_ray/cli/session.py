"""What `run`, `resume`, `retry` and `demo` do around the one call that each of them makes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from crucible_ray.cli.ending import Interrupted, go_on
from crucible_ray.cli.terminal import Terminal
from crucible_ray.errors import (
    AlreadyRunning,
    CannotContinue,
    CrucibleError,
    ParameterRefused,
    RayUnavailable,
    RefusedKey,
    UsageError,
)

if TYPE_CHECKING:
    from crucible_ray.actors.cluster import RayThread
    from crucible_ray.api import Options, Prepared, RunResult, Standing
    from crucible_ray.settings import RunSettings

_RESUMABLE = (CannotContinue, ParameterRefused, RefusedKey)


def cluster(address: str | None) -> str | None:
    """The Ray cluster to join: the one that is named, else the configured one; None: a private Ray."""
    from crucible_ray.settings import load_settings

    return address or load_settings(Path.cwd(), os.environ).run.address


@contextmanager
def ray_ahead(address: str | None, *, in_process: bool) -> Iterator[RayThread | None]:
    """A Ray that starts beside whatever the block begins with; None with `in_process`."""
    if in_process:
        yield None
        return
    from crucible_ray.actors.cluster import RayThread

    ray = RayThread(address)
    ray.start()
    try:
        yield ray
    finally:
        if _is_up(ray):
            ray.stop()


def _is_up(ray: RayThread) -> bool:
    try:
        return ray.ready(0.0)
    except RayUnavailable:
        return False


def attend(
    terminal: Terminal,
    work: Callable[[Options], RunResult],
    options: Options,
    run: RunSettings,
    folder: Path | None,
) -> RunResult:
    """Do the work while its progress is shown. folder: where its record will be, if that is known.

    Raises Interrupted; of what `work` raises, errors with a record behind them tell how to go on.
    """
    from crucible_ray.api.progress import Display

    ray = options.ray
    display = Display(
        terminal=sys.stderr.isatty(),
        waited_s=None if ray is None else lambda: time.monotonic() - ray.started_s,
        quiet=terminal.quiet,
        bar=run.show_progress_bar,
    )
    hint = go_on(folder) if folder is not None else None
    try:
        with display:
            return work(
                replace(
                    options,
                    on_progress=display.on_progress,
                    on_note=display.on_note,
                    progress_every_s=run.progress_update_interval_s,
                )
            )
    except KeyboardInterrupt:
        raise Interrupted(hint if _recorded(folder) else "Nothing was sent.") from None
    except CrucibleError as error:
        if error.result is not None:
            terminal.facts(error.result.summary)
        if isinstance(error, _RESUMABLE) and not isinstance(error, AlreadyRunning) and _recorded(folder):
            error.add_note(str(hint))
        raise


def _recorded(folder: Path | None) -> bool:
    return folder is not None and (folder / "config.json").is_file()


def standing_of(folder: Path) -> Standing | None:
    """What is recorded there already; None: nothing."""
    from crucible_ray import api

    return api.observe(folder) if _recorded(folder) else None


def confirm(
    terminal: Terminal,
    prepared: Prepared,
    there: Standing | None,
    *,
    yes: bool,
    options: Options,
) -> None:
    """Show what the run will take and have it confirmed. Raises Declined, and UsageError where nobody can be asked.

    Everything else that would stop the run before its first trial is found before the question.
    """
    from crucible_ray.api import Declined
    from crucible_ray.estimating import estimate_lines, recorded_lines

    prepared.keys()
    prepared.bounds_usd()
    plan = prepared.plan
    finished = there is not None and not there.pending and not options.force
    left = None if options.earlier is None else options.earlier.left
    if not finished:
        asked = range(len(plan.conditions))
        prepared.afford(asked if left is None else [k for k in asked if left.trials[k]])
    lines = estimate_lines(plan, prepared.estimate(left))
    if there is not None:
        lines += recorded_lines(there.done, there.trials, force=options.force)
    simulated = plan.only_simulated
    if simulated:
        lines.append("Simulated: no money is spent, so nothing is asked.")
    agreed = yes or simulated or finished or not prepared.settings.run.confirm_costs
    if agreed or not terminal.can_ask:
        terminal.show(*lines)
    if agreed:
        return
    if not terminal.can_ask:
        raise UsageError("this is no terminal, so nobody can be asked: add --yes to run it at this cost.")
    terminal.show_before_asking(*lines)
    if not terminal.ask("Continue?"):
        raise Declined("not confirmed: nothing was run and nothing was spent.")
