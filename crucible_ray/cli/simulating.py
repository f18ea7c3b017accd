"""`simulate`: the simulator as a server."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add this file's verb."""
    # The simulator reads its own words, `--help` among them: it is a program too (`python -m crucible_ray.simulator`).
    app.command(
        short_help="the simulator as a server",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    )(simulate)


def simulate(context: typer.Context) -> int:
    """Serve simulated models over HTTP until stopped: prints the URL; --help lists latency, limits and faults."""
    from crucible_ray.simulator import main

    return main(context.args)
