"""`models list`, `models test`: which models there are, and whether they answer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crucible_ray.cli import words
from crucible_ray.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crucible_ray.api.listing import ModelFact
    from crucible_ray.api.probing import LiveFact
    from crucible_ray.records import ModelRef

_REPLY_CHARS = 200


def register(app: typer.Typer) -> None:
    """Add this file's verbs."""
    models = typer.Typer(help="The catalogue: ids, aliases, prices with their date, limits.")
    models.callback(invoke_without_command=True)(_models)
    models.command(
        "list", short_help="aliases, ids, prices, limits", epilog="Example: crucible-ray models list --json"
    )(list_models)
    models.command(
        "test",
        short_help="one request to each model that is named",
        epilog="Example: crucible-ray models test gemini_flash openai_gpt4o_mini",
    )(ask_models)
    app.add_typer(models, name="models", short_help="the catalogue: ids, aliases, prices, limits")


def _models(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def list_models(
    profile: words.Profile = None, as_json: words.AsJson = False, quiet: words.Quiet = False
) -> int:
    """Every name that an experiment may use here: the aliases, and those of crucible.toml."""
    from crucible_ray.api.listing import list_models as found_models
    from crucible_ray.models.catalogue import SERVERS
    from crucible_ray.settings import load_settings

    terminal = Terminal(as_json=as_json, quiet=quiet)
    found = found_models(load_settings(Path.cwd(), os.environ, profile))
    terminal.show(*(line for names, fact in _alike(found) for line in _listed(names, fact)))
    terminal.show(f"Or provider/model-id with one of: {', '.join(f'{name}/' for name in SERVERS)}")
    terminal.facts(found)
    return 0


def ask_models(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Aliases or provider/model-id.", show_default=False)
    ],
    profile: words.Profile = None,
    simulate: words.Simulate = False,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """Ask each model one short question, and say what it answered: a fraction of a cent."""
    from crucible_ray.api.probing import prepare_models, probe
    from crucible_ray.settings import load_settings

    terminal = Terminal(as_json=as_json, quiet=quiet)
    settings = load_settings(Path.cwd(), os.environ, profile)
    prepared = prepare_models(names, settings, simulate=simulate)
    announce(terminal, prepared)
    found = probe(prepared)
    terminal.show(*live_lines(found))
    terminal.facts(found)
    return worst(found)


def announce(terminal: Terminal, prepared: object) -> None:
    """Say what asking every model once costs at most."""
    from crucible_ray.api.preparing import Prepared
    from crucible_ray.api.probing import cost_bound_usd
    from crucible_ray.estimating.money import dollars

    assert isinstance(prepared, Prepared)
    bound = cost_bound_usd(prepared)
    most = "an unknown price" if bound is None else f"at most {dollars(bound)}"
    terminal.say(f"Asking each model once, for {most} ...")


def worst(found: Sequence[LiveFact]) -> int:
    """The exit code of several answers: a missing key before a refused model, before anything else."""
    codes = {each.exit_code for each in found}
    return next((code for code in (4, 2, 1) if code in codes), 0)


def live_lines(found: Sequence[LiveFact]) -> list[str]:
    """How each model answered; never a key."""
    lines = []
    for each in found:
        lines.append(f"{each.model}: {each.id} at {each.url}")
        if not each.ok:
            lines += [f"  failed: {each.error}: {each.detail}", f"  {each.mend}"]
            continue
        lines.append(
            f"  answered in {each.latency_ms:,.0f} ms, {_count(each.input_tokens)} + {_count(each.output_tokens)} "
            f"tokens, {_money(each.cost_usd)}, version {each.model_version or 'not said'}, "
            f"finished by {each.finish_reason or 'not said'}"
        )
        by = ", by the built-in simulator, which errs on purpose" if each.simulated else ""
        lines += [f"  asked {_shortened(each.asked)!r}", f"  reply {_shortened(each.reply or '')!r}{by}"]
    return lines


def _alike(found: Sequence[ModelFact]) -> list[tuple[list[str], ModelFact]]:
    """Each model once, with all names that ask it alike."""
    from msgspec.structs import replace

    groups: list[tuple[list[str], ModelFact]] = []
    for fact in found:
        same = [
            names for names, first in groups if fact.stands_for and replace(fact, name=first.name) == first
        ]
        if same:
            same[0].append(fact.name)
        else:
            groups.append(([fact.name], fact))
    return groups


def _listed(names: Sequence[str], fact: ModelFact) -> list[str]:
    head = f"{', '.join(names)}: {fact.stands_for or 'of crucible.toml'}"
    if fact.problem is not None:
        return [head, f"  {fact.problem}"]
    where = f"{fact.id} at {fact.base_url or 'the built-in simulator'}"
    where += f", key {fact.key} {'present' if fact.key_present else 'missing'}" if fact.key else ""
    parts = [price_text(fact)]
    parts += [f"at most {fact.max_output_tokens:,} tokens out"] if fact.max_output_tokens else []
    parts += [f"{fact.requests_per_minute:g} requests a minute"] if fact.requests_per_minute else []
    parts += [f"{fact.tokens_per_minute:g} tokens a minute"] if fact.tokens_per_minute else []
    parts += [f"{fact.max_concurrency} at once"] if fact.max_concurrency else []
    return [head, f"  {where}", f"  {', '.join(parts)}"]


def price_text(model: ModelFact | ModelRef) -> str:
    """What a model takes, and since when."""
    if model.input_price is None or model.output_price is None:
        return "price unknown"
    price = f"${model.input_price:g} in, ${model.output_price:g} out per million tokens"
    return price + (f" (of {model.price_date})" if model.price_date else "")


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"


def _money(cost: float | None) -> str:
    return "unknown price" if cost is None else f"${cost:.3g}"


def _shortened(text: str) -> str:
    return text if len(text) <= _REPLY_CHARS else f"{text[:_REPLY_CHARS]} ..."
