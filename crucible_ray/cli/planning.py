"""`power`: what a design can find, what it takes, and what it costs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from crucible_ray.cli import words
from crucible_ray.cli.terminal import Terminal
from crucible_ray.cli.words import option
from crucible_ray.errors import UsageError

if TYPE_CHECKING:
    from crucible_ray.estimating.designs import Question

_DESIGNS = ("paired_binary", "paired_continuous", "independent_binary", "independent_continuous")
_WITH_EXPERIMENT = {
    "what", "experiment", "pilot", "metric", "sample_size", "repeat", "params", "profile", "simulate", "as_json", "quiet",
}  # fmt: skip
"""Parameters that are for experiments too; all others describe a design."""
_EXAMPLES = """Example: crucible-ray power --effect 0.08 --margin 0.05 --discordant 0.10,0.16

More: crucible-ray power --n 300 --p 0.8 (what 300 items find);
crucible-ray power paired_continuous --effect 0.2 --sd 1 --power 0.9;
crucible-ray power --effect 0.05 --discordant 0.2 --icc 0.5 --rho 0.8 --item-cost 0.5 --repeat-cost 0.01;
crucible-ray power --pilot results/exp_0123456789ab --effect 0.05; crucible-ray power experiment.py"""


def register(app: typer.Typer) -> None:
    """Add this file's verb."""
    app.command(short_help="sample size, power or detectable effect of a design", epilog=_EXAMPLES)(power)


def power(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="[DESIGN|EXP]",
            help=f"{', '.join(_DESIGNS)}; or an experiment, whose hypotheses are looked at.",
        ),
    ] = "paired_binary",
    experiment: Annotated[str | None, option("--experiment", "EXP", "The same as EXP.")] = None,
    n: Annotated[
        int | None, option("--n", "N", "Items: pairs, or items in each group.", "--items", min=1)
    ] = None,
    effect: Annotated[
        float | None, option("--effect", "X", "The true difference: 0.05 is 5 points.", "--difference")
    ] = None,
    wanted: Annotated[float | None, option("--power", "X", "The power. [default: 0.8]")] = None,
    discordant: Annotated[
        str | None,
        option("--discordant", "X[,Y]", "Share of items on which the two differ: one, or a range."),
    ] = None,
    p: Annotated[float | None, option("--p", "X", "The control's share of right answers.")] = None,
    sd: Annotated[float | None, option("--sd", "X", "Of paired differences, or of single values.")] = None,
    icc: Annotated[
        float | None, option("--icc", "X", "Correlation of two repeats of an item: what repeats bring.")
    ] = None,
    rho: Annotated[
        float | None, option("--rho", "X", "Correlation of the two conditions' item means (pairs).")
    ] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=1, metavar="N", help="Of each item.")] = 1,
    margin: Annotated[float, typer.Option("--margin", metavar="X", help="Never negative.")] = 0.0,
    relation: Annotated[
        str,
        typer.Option("--relation", metavar="NAME", help="superiority, non_inferiority or equivalence."),
    ] = "superiority",
    alpha: Annotated[float, typer.Option("--alpha", metavar="X", help="Two-sided.")] = 0.05,
    effect_sd: Annotated[
        float | None,
        option("--effect-sd", "X", "A normal prior around --effect: assurance instead of power."),
    ] = None,
    pilot: words.Pilot = None,
    metric: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="Of the pilot, one value a trial.")
    ] = "accuracy",
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition", metavar="NAME", help="Of the pilot: control, then treatment. Give it twice."
        ),
    ] = None,
    item_cost: Annotated[
        float,
        typer.Option("--item-cost", metavar="USD", help="Of one item, however often it is asked (a label)."),
    ] = 0.0,
    repeat_cost: Annotated[
        float | None,
        option("--repeat-cost", "X", "US dollars of asking one item once, under both conditions."),
    ] = None,
    max_items: Annotated[int | None, option("--max-items", "N", "How many items there are.", min=1)] = None,
    sample_size: words.SampleSize = None,
    repeat: words.Repeat = None,
    params: words.Params = None,
    profile: words.Profile = None,
    simulate: words.Simulate = False,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """Of items, effect and power two are given, the third follows; with costs, the cheapest items and repeats."""
    terminal = Terminal(as_json=as_json, quiet=quiet)
    asked = experiment or (what if _is_experiment(what) else None)
    if asked is not None:
        _refuse_of_design(context, asked)
        return _of_experiment(
            terminal,
            asked,
            sample_size=sample_size,
            repeat=repeat,
            params=params,
            profile=profile,
            simulate=simulate,
            pilot=pilot,
        )
    from crucible_ray.estimating.designs import Question

    question = Question(
        design=what,
        relation=relation.replace("-", "_"),
        margin=margin,
        n=n,
        effect=effect,
        power=wanted,
        alpha=alpha,
        repeats=repeats,
        p=p,
        discordant=_shares(discordant),
        sd=sd,
        icc=icc,
        rho=rho,
        effect_sd=effect_sd,
        item_cost=item_cost,
        repeat_cost=repeat_cost,
        max_items=max_items,
    )
    return _of_design(terminal, question, pilot, metric, condition or ())


def _is_experiment(what: str) -> bool:
    """Whether it is no design. Raises UsageError for what is neither."""
    if what in _DESIGNS:
        return False
    if any(mark in what for mark in (".", ":", "/")):
        return True
    from crucible_ray.settings import did_you_mean

    raise UsageError(f"there is no design {what!r}: {did_you_mean(what, _DESIGNS)}")


def _refuse_of_design(context: typer.Context, experiment: str) -> None:
    """Raises UsageError where the command line says what the experiment says itself."""
    given = [
        param.opts[0]
        for param in context.command.params
        if param.name not in _WITH_EXPERIMENT and context.params[str(param.name)] not in (param.default, ())
    ]
    if given:
        raise UsageError(
            f"{', '.join(given)}: with {experiment} it is the experiment that says so. Leave one out; "
            f"for a design by itself name one of {', '.join(_DESIGNS)}."
        )


def _shares(text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    try:
        return tuple(sorted(float(part) for part in text.split(",")))
    except ValueError:
        raise UsageError(f"--discordant {text}: write one share, or two with a comma: 0.10,0.16.") from None


def _of_design(
    terminal: Terminal, question: Question, pilot: str | None, metric: str, conditions: list[str] | tuple[()]
) -> int:
    from crucible_ray.errors import StatsError
    from crucible_ray.estimating.designs import answer
    from crucible_ray.estimating.designs_text import answer_lines

    lines: list[str] = []
    facts: dict[str, object] = {}
    if pilot is not None:
        from crucible_ray.api.piloting import pilot_of
        from crucible_ray.estimating.pilots import pilot_lines, with_pilot

        terminal.say(f"Reading {pilot} ...")
        found = pilot_of(pilot, metric=metric, conditions=tuple(conditions))
        question, lines, facts = with_pilot(question, found), pilot_lines(found), {"pilot": found}
    try:
        told = answer(question)
    except StatsError as error:
        raise UsageError(f"{error}. See crucible-ray power --help.") from error
    terminal.show(*lines, *answer_lines(told, curve=sys.stdout.isatty() and not terminal.as_json))
    terminal.facts(
        {**facts, "question": told.question, "solved": told.solved, "rows": told.rows, "notes": told.notes}
    )
    return 0


def _of_experiment(
    terminal: Terminal,
    experiment: str,
    *,
    sample_size: int | None,
    repeat: int | None,
    params: list[str] | None,
    profile: str | None,
    simulate: bool,
    pilot: str | None,
) -> int:
    from crucible_ray.cli.experiments import load
    from crucible_ray.estimating.text import power_lines

    terminal.say(f"Looking at the hypotheses of {experiment} ...")
    prepared = load(
        experiment, sample_size=sample_size, repeat=repeat, params=params, profile=profile, simulate=simulate
    )
    if pilot is not None:
        from crucible_ray.api.piloting import piloted

        prepared = piloted(prepared, pilot)
    found = prepared.estimate()
    if not found.power:
        raise UsageError(
            f"{experiment} declares no hypothesis whose power can be told (or [stats.power] enable is false): "
            'write hypotheses=["accuracy: a > b"], or ask for a design: crucible-ray power --n 300 --p 0.8.'
        )
    terminal.show(*power_lines(found))
    terminal.facts({"power": found.power, "assumptions": found.assumptions})
    return 0
