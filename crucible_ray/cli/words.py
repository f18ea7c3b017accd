"""Arguments and options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def option(flag: str, metavar: str, says: str, *aliases: str, **limits: Any) -> typer.models.OptionInfo:
    """One that may be left out. limits: `min` and the like."""
    made: typer.models.OptionInfo = typer.Option(
        flag, *aliases, metavar=metavar, help=says, show_default=False, **limits
    )
    return made


Exp = Annotated[
    str,
    typer.Argument(
        metavar="EXP",
        help="file.py, file.py:name, package.module:name or file.toml.",
        show_default=False,
    ),
]
ExpOrNone = Annotated[
    str | None,
    typer.Argument(
        metavar="EXP",
        help="file.py, file.py:name, package.module:name or file.toml; without it --dataset and --model.",
        show_default=False,
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME_OR_FILE",
        help="What to ask about, where there is no EXP.",
        show_default=False,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="MODEL", help="A condition, where there is no EXP. May be repeated."),
]
Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt", metavar="TEMPLATE", help="A jinja2 template, where there is no EXP.", show_default=False
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", metavar="NAME", help="A metric, where there is no EXP. May be repeated."),
]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if", metavar="GATE", help="Exit 1 if it holds: 'accuracy[a] < 0.8'. May be repeated."
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        metavar="DIR",
        help="Exit 1 if this run is worse than that one beyond the interval.",
        show_default=False,
    ),
]
Junit = Annotated[
    Path | None,
    typer.Option(
        "--junit", metavar="FILE", help="Gates, verdicts and completeness as JUnit XML.", show_default=False
    ),
]
IdOrDir = Annotated[
    str,
    typer.Argument(metavar="ID_OR_DIR", help="An experiment's id or its results folder.", show_default=False),
]
IdsOrDirs = Annotated[
    list[str],
    typer.Argument(
        metavar="ID_OR_DIR...", help="Experiments' ids or their results folders.", show_default=False
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Facts as JSON on stdout, all else on stderr.")]
Pilot = Annotated[
    str | None,
    typer.Option(
        "--pilot",
        metavar="ID_OR_DIR",
        help="Results to take the spread, the likeness of repeats and the cost from.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors, and what --json prints.")]
OutputDir = Annotated[
    Path | None,
    typer.Option(
        "--output-dir",
        metavar="DIR",
        help="Parent of the results folder. [default: results]",
        show_default=False,
    ),
]
Formats = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMATS",
        help="Reports to write: markdown, html. [default: both]",
        show_default=False,
    ),
]
SampleSize = Annotated[
    int | None,
    typer.Option("--sample-size", "--limit", min=1, metavar="N", help="How many items.", show_default=False),
]
Repeat = Annotated[
    int | None,
    typer.Option(
        "--repeat", "--epochs", min=1, metavar="N", help="How often each item is asked.", show_default=False
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Of order and sample.", show_default=False)
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        "--max-cost", metavar="USD", help="Stop before the whole run costs more (exit 3).", show_default=False
    ),
]
Params = Annotated[
    list[str] | None,
    typer.Option(
        "-P",
        metavar="NAME=VALUE",
        help="An argument of the experiment's function, or a dotted field. May be repeated.",
        show_default=False,
    ),
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="dev, test, prod or one of yours.", show_default=False),
]
Simulate = Annotated[bool, typer.Option("--simulate", help="The built-in simulator plays every model.")]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="A Ray cluster: auto or host:port. [default: RAY_ADDRESS, else a private local one]",
        show_default=False,
    ),
]
InProcess = Annotated[bool, typer.Option("--in-process", help="Without Ray: same plan, same rows.")]
Clients = Annotated[
    int | None,
    typer.Option(
        "--clients",
        min=1,
        metavar="N",
        help="How many client actors. [default: one per node]",
        show_default=False,
    ),
]
Items = Annotated[
    list[str] | None,
    typer.Option(
        "--item",
        metavar="ID",
        help="This item alone; the others stay pending. May be repeated.",
        show_default=False,
    ),
]
Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--condition",
        metavar="NAME",
        help="This condition alone; the others stay pending. May be repeated.",
        show_default=False,
    ),
]
Reuse = Annotated[
    str | None,
    typer.Option(
        "--reuse",
        metavar="DIR|auto|none",
        help="Pay no reply twice: take those of a results folder, or of all under the output folder (auto); none: of nowhere.",
        show_default=False,
    ),
]
BeyondStop = Annotated[
    bool,
    typer.Option("--beyond-stop", help="Ask everything, although stop_when says that all is decided."),
]
TakeOver = Annotated[
    bool,
    typer.Option("--take-over", help="Go on although another process seems to run this; that one stops."),
]
