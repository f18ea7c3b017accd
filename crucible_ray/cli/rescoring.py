"""`rescore`: stored replies, read in another way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crucible_ray.cli import words
from crucible_ray.cli.ending import check_junit, gate_code
from crucible_ray.cli.experiments import asked_formats
from crucible_ray.cli.terminal import Terminal

if TYPE_CHECKING:
    from crucible_ray.api.rescoring import Revision

_MUCH = 0.05
"""Of all answers: so many more that cannot be read are worth a word."""


def register(app: typer.Typer) -> None:
    """Add this file's verb."""
    app.command(
        short_help="read, score and analyse stored replies in another way",
        epilog="Example: crucible-ray rescore results/exp_0123456789ab --parse number",
    )(rescore)


def rescore(
    where: words.IdOrDir,
    parse: Annotated[
        str | None,
        typer.Option(
            "--parse",
            metavar="NAME",
            help="How replies are read; also json:FIELD, a regular expression with one group, file.py:function.",
            show_default=False,
        ),
    ] = None,
    normalize: Annotated[
        str | None,
        typer.Option(
            "--normalize", metavar="NAME", help="When two answers are the same one.", show_default=False
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", metavar="NAME", help="May be repeated; replaces those of the run.", show_default=False
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment",
            metavar="EXP",
            help="A changed version of the experiment: its readings, votes, metrics, hypotheses and analysis.",
            show_default=False,
        ),
    ] = None,
    formats: words.Formats = None,
    fail_if: words.FailIf = None,
    baseline: words.Baseline = None,
    junit: words.Junit = None,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """Read, score and analyse a run's stored replies in another way, without one call; its own numbers stay."""
    terminal = Terminal(as_json=as_json, quiet=quiet)
    terminal.say(f"Rescoring {where} from its own record, without one request ...")
    wanted = asked_formats(formats)
    check_junit(junit)
    from crucible_ray import api
    from crucible_ray.api.rescoring import read_revision

    result = api.rescore(
        where,
        parse=parse,
        normalize=normalize,
        metric=metric or (),
        experiment=experiment,
        formats=wanted,
        fail_if=fail_if or (),
        baseline=baseline,
    )
    if junit is not None:
        result.write_junit(junit)
    revision = read_revision(result.results_dir)
    terminal.show(*revision_lines(revision, str(result.results_dir)))
    terminal.facts({**result.summary, "revision": revision})
    return gate_code(terminal, result)


def revision_lines(revision: Revision, folder: str) -> list[str]:
    """What a rescore changed, in words."""
    from crucible_ray.experiment.defaults import own_parser
    from crucible_ray.reports.words import printable, value

    def said(value: Any) -> Any:
        """An own parser by its name and as much of its source's hash as tells two apart."""
        name = own_parser(value) if isinstance(value, str) else None
        return value if name is None else f"{name}() {value[-64:-56]}"

    lines = [f"Revision {revision.number} of {revision.experiment_id}"]
    lines += [
        f"  {name}: {said(before)} -> {said(after)}" for name, (before, after) in revision.changed.items()
    ]
    for name, change in revision.conditions.items():
        moved = [
            f"{metric} {value(metric, before)} -> {value(metric, after)}"
            for metric, (before, after) in change.metrics.items()
            if value(metric, before) != value(metric, after)
        ]
        lines.append(
            f"  {name}: {change.predictions:,} answers read otherwise, {change.scores:,} scored otherwise"
            + (f"; {', '.join(moved)}" if moved else "")
        )
        before, now = change.unreadable
        if now - before >= _MUCH * change.answered > 0:
            lines.append(
                f"    {now:,} of {change.answered:,} answers cannot be read now, {before:,} before: "
                "this reading may not fit the replies"
            )
    lines.append(f"Saved to: {folder}; the run's own numbers stay as they were.")
    return [printable(line) for line in lines]
