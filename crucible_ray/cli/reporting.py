"""`report`: the reports of a results folder again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from crucible_ray.cli import words
from crucible_ray.cli.ending import check_junit, gate_code
from crucible_ray.cli.experiments import asked_formats
from crucible_ray.cli.terminal import Terminal
from crucible_ray.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add this file's verb."""
    app.command(
        short_help="rebuild the reports of a results folder",
        epilog="Example: crucible-ray report results/exp_0123456789ab --format html",
    )(report)


def report(
    where: Annotated[
        list[str], typer.Argument(metavar="ID_OR_DIR", help="A results folder.", show_default=False)
    ],
    formats: words.Formats = None,
    unblind: Annotated[
        bool,
        typer.Option(
            "--unblind", help="Tell the names of a blind run that will not be gone on with; recorded."
        ),
    ] = False,
    fail_if: words.FailIf = None,
    baseline: words.Baseline = None,
    junit: words.Junit = None,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """Write the reports again, from analysis.json, results.parquet and config.json alone; nothing is asked or computed anew."""
    terminal = Terminal(as_json=as_json, quiet=quiet)
    wanted = asked_formats(formats)
    check_junit(junit)
    if len(where) > 1:
        raise UsageError("report over several results folders is not supported by this version: name one.")
    terminal.say(f"Writing the reports of {where[0]} ...")
    from crucible_ray import api

    written: dict[str, Path] = api.report(where[0], formats=wanted, unblind=unblind)
    terminal.show(*map(str, written.values()))
    facts: dict[str, Any] = {name: str(path) for name, path in written.items()}
    if not (fail_if or baseline or junit):
        terminal.facts(facts)
        return 0
    result = api.load(where[0], fail_if=fail_if or (), baseline=baseline)
    if junit is not None:
        result.write_junit(junit)
    terminal.facts({**facts, "gates": result.gates})
    return gate_code(terminal, result)
