"""`demo`: the main job, offline, in less than a minute."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crucible_ray.cli import words
from crucible_ray.cli.ending import conclude
from crucible_ray.cli.session import attend, ray_ahead
from crucible_ray.cli.terminal import Terminal

if TYPE_CHECKING:
    from crucible_ray.api import Prepared, RunResult

_OWN_KEY = "own_key.py"


def register(app: typer.Typer) -> None:
    """Add this file's verb."""
    app.command(short_help="the first experiment of the guide, offline", epilog="Example: crucible-ray demo")(
        demo
    )


def demo(
    output_dir: Annotated[
        Path, typer.Option("--output-dir", metavar="DIR", help="Parent of the demo's fresh folder.")
    ] = Path("results"),
    in_process: words.InProcess = False,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """The guide's first experiment against a simulated provider that misbehaves: no key, no network, no cost."""
    terminal = Terminal(as_json=as_json, quiet=quiet)
    actors = "in this process" if in_process else "on real Ray actors"
    terminal.show(
        f"The guide's first experiment, offline: {actors}, over real HTTP, with simulated models.", ""
    )
    with ray_ahead(None, in_process=in_process) as ray:
        from crucible_ray import api
        from crucible_ray.api.demo import CONCURRENCY, KILL_AT, OWN_KEY_FILE, fresh_folder, prepare_demo
        from crucible_ray.estimating import estimate_lines

        prepared = prepare_demo(os.environ)
        terminal.show(*estimate_lines(prepared.plan, prepared.estimate()), "", *_question(prepared), "")
        folder = fresh_folder(output_dir)
        (folder / _OWN_KEY).write_text(OWN_KEY_FILE)
        options = api.Options(
            output_dir=folder,
            runtime="in-process" if in_process else "ray",
            max_concurrent_queries=CONCURRENCY,
            kill_client_at=None if in_process else KILL_AT,
            ray=ray,
        )
        result = attend(
            terminal,
            lambda heard: api.run(prepared, options=heard),
            options,
            prepared.settings.run,
            folder / prepared.plan.experiment_id,
        )
        _show(terminal, prepared, result, folder / _OWN_KEY)
        return conclude(terminal, result)


def _question(prepared: Prepared) -> list[str]:
    """One item with its exact prompt."""
    from crucible_ray.prompts import Renderer

    item = prepared.items[0]
    lines = [f"One question as every model gets it (item {item.id}, expected {item.expected}):"]
    for message in Renderer(prepared.plan.conditions[0].prompt).render(item):
        lines += [f"  {message.role} | {line}" for line in message.content.split("\n")]
    return lines


def _show(terminal: Terminal, prepared: Prepared, result: RunResult, own_key: Path) -> None:
    """The one screen."""
    from crucible_ray.reports import final_screen

    terminal.show(
        *final_screen(prepared.plan, result.analysis, result.facts),
        f"Report: {result.reports['html']}",
        "With your own key (at most $1):",
        "  export OPENAI_API_KEY=...",
        f"  crucible-ray check {own_key} --show 1",
        f"  crucible-ray run {own_key}",
    )
    terminal.facts(result.summary)
