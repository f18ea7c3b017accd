"""`compare`: statistics on tables, results folders and other tools' logs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crucible_ray.cli import words
from crucible_ray.cli.terminal import Terminal
from crucible_ray.cli.words import option
from crucible_ray.errors import UsageError

if TYPE_CHECKING:
    from crucible_ray.api import LogComparison

_WIDE = 160
"""Columns where nobody's terminal says how many there are."""


def register(app: typer.Typer) -> None:
    """Add this file's verb."""
    app.command(
        short_help="statistics on tables, results folders, other tools' logs",
        epilog="Example: crucible-ray compare scores.csv --value correct --by model --pair item",
    )(compare)


def compare(
    logs: Annotated[
        list[str],
        typer.Argument(
            metavar="LOG...",
            help="CSV, TSV or Parquet files; results folders or ids; .eval of inspect_ai, samples_*.jsonl of "
            "lm-evaluation-harness, run folders of HELM; or folders of these.",
            show_default=False,
        ),
    ],
    value: Annotated[str | None, option("--value", "COL", "Of a table: the column with the outcome.")] = None,
    by: Annotated[
        str | None,
        option(
            "--by",
            "COL",
            "The column with the condition; without it each file is one. Of other logs: model, task or log.",
        ),
    ] = None,
    pair: Annotated[
        str | None,
        option("--pair", "COL", "Of a table: the column with the item's id, by which conditions pair."),
    ] = None,
    repeat: Annotated[
        str | None,
        option("--repeat", "COL", "Of a table: the column that numbers repeats; doubles are refused."),
    ] = None,
    cluster: Annotated[
        str | None, option("--cluster", "COL", "Units above items: a column, or what a log knows of an item.")
    ] = None,
    strata: Annotated[
        str | None,
        option("--strata", "COL", "Fixed parts of the items: a column, or what a log knows of one."),
    ] = None,
    metric: Annotated[str | None, option("--metric", "NAME", "Which score, where a log has several.")] = None,
    condition: Annotated[
        list[str] | None,
        option("--condition", "NAME", "This condition; repeat it for others. The first is the control."),
    ] = None,
    baseline: Annotated[
        str | None, option("--baseline", "NAME", "The condition that all others are compared with.")
    ] = None,
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Independent groups, although items have ids.")
    ] = False,
    test: Annotated[str, typer.Option("--test", metavar="NAME", help="A test by name.")] = "auto",
    correction: Annotated[
        str | None, option("--correction", "NAME", "Of several p-values: holm, bonferroni, fdr_bh, ...")
    ] = None,
    kind: Annotated[
        str | None, option("--kind", "KIND", "Of the outcome: binary, bounded, ordinal or continuous.")
    ] = None,
    margin: Annotated[
        float, typer.Option("--margin", metavar="X", help="p is against a difference of so much.")
    ] = 0.0,
    alpha: Annotated[float, typer.Option("--alpha", metavar="P", help="Intervals cover at 1 - P.")] = 0.05,
    output: Annotated[Path | None, option("--output", "FILE", "Write it to FILE too: .md or .html.")] = None,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """Compare the conditions that logs hold, aligned by item id: the test that fits the design, and why."""
    terminal = Terminal(as_json=as_json, quiet=quiet)
    _check_output(output)
    terminal.say(f"Reading {', '.join(logs)} ...")
    from crucible_ray import api
    from crucible_ray.reports.logs import comparison_lines

    found = api.compare(
        *logs,
        value=value,
        by=by,
        pair=pair,
        repeat=repeat,
        cluster=cluster,
        strata=strata,
        metric=metric,
        conditions=condition or (),
        baseline=baseline,
        unpaired=unpaired,
        test=test,
        correction=correction,
        kind=kind,
        margin=margin,
        alpha=alpha,
    )
    terminal.show(*comparison_lines(found, width=_width(as_json=as_json)))
    if output is not None:
        _write(output, found)
        terminal.say(f"Written to {output}")
    terminal.facts(found.to_dict())
    return 0


def _width(*, as_json: bool) -> int:
    stream = sys.stderr if as_json else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else _WIDE


def _check_output(output: Path | None) -> None:
    if output is not None and output.suffix.lower() not in (".md", ".html"):
        raise UsageError(f"--output {output}: the name ends in .md or .html.")


def _write(output: Path, found: LogComparison) -> None:
    from crucible_ray.reports.html import write_html
    from crucible_ray.reports.logs import comparison_page
    from crucible_ray.reports.markdown import write_markdown

    page = comparison_page(found)
    text = write_html(page) if output.suffix.lower() == ".html" else write_markdown(page)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}.") from error
