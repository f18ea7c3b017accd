"""`check`, `estimate`: verbs that look at an experiment before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crucible_ray.cli import models, words
from crucible_ray.cli.experiments import load
from crucible_ray.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crucible_ray.api.checking import KeyFact, ShownCall, ShownItem, ShownReading
    from crucible_ray.experiment.plan import CallPlan, ConditionPlan, FewShotPlan, Plan, StopPlan


def register(app: typer.Typer) -> None:
    """Add this file's verbs."""
    app.command(
        short_help="validate without running; show the requests",
        epilog="Example: crucible-ray check experiment.py --show 1",
    )(check)
    app.command(
        short_help="cost, duration and power, before any money is spent",
        epilog="Example: crucible-ray estimate experiment.py --sample-size 500",
    )(estimate)


def check(
    experiment: words.Exp,
    show: Annotated[
        int, typer.Option("--show", min=0, metavar="N", help="Show the requests of N items, per condition.")
    ] = 0,
    live: Annotated[bool, typer.Option("--live", help="Send one request to each model.")] = False,
    sample_size: words.SampleSize = None,
    repeat: words.Repeat = None,
    seed: words.Seed = None,
    item: words.Items = None,
    condition: words.Conditions = None,
    max_cost: words.MaxCost = None,
    params: words.Params = None,
    profile: words.Profile = None,
    simulate: words.Simulate = False,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """Validate an experiment without running it: every fault at once, or what it resolves to.

    In a Python file an option that does not exist stops at its own Model(...) or Experiment(...): what stands after it
    is looked at next time.
    """
    terminal = Terminal(as_json=as_json, quiet=quiet)
    terminal.say(f"Checking {experiment} ...")
    prepared = load(
        experiment,
        sample_size=sample_size,
        repeat=repeat,
        seed=seed,
        max_cost=max_cost,
        params=params,
        profile=profile,
        simulate=simulate,
    )
    from crucible_ray.api.checking import keys_needed
    from crucible_ray.api.checking import show as shown_items
    from crucible_ray.api.narrowing import narrowed
    from crucible_ray.estimating.power_text import forecast_lines

    part = narrowed(prepared, item or (), condition or ())
    keys, shown = keys_needed(prepared), shown_items(part, show)
    notes = [f"  note: {note}" for note in prepared.notes]
    power = part.power()
    told = [f"  {line}" for line in forecast_lines(power)]
    if simulate and any(each.calls for each in shown):
        notes.append(
            "  the simulator is asked in OpenAI's format; without --simulate each provider's own is shown"
        )
    terminal.show(*plan_lines(prepared.plan), *told, *notes, *key_lines(keys), *_shown_lines(shown))
    facts = {"plan": prepared.plan, "power": power, "notes": prepared.notes, "keys": keys, "shown": shown}
    if not live:
        terminal.facts(facts)
        return 0
    from crucible_ray.api.probing import probe as asked

    models.announce(terminal, prepared)
    found = asked(prepared)
    terminal.show(*models.live_lines(found))
    terminal.facts({**facts, "live": found})
    return models.worst(found)


def estimate(
    experiment: words.Exp,
    sample_size: words.SampleSize = None,
    repeat: words.Repeat = None,
    seed: words.Seed = None,
    item: words.Items = None,
    condition: words.Conditions = None,
    max_cost: words.MaxCost = None,
    params: words.Params = None,
    profile: words.Profile = None,
    simulate: words.Simulate = False,
    reuse: words.Reuse = None,
    output_dir: words.OutputDir = None,
    pilot: words.Pilot = None,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """What a run will take before any money is spent: cost, duration, calls, tokens; and the power it has."""
    terminal = Terminal(as_json=as_json, quiet=quiet)
    terminal.say(f"Estimating {experiment} ...")
    prepared = load(
        experiment,
        sample_size=sample_size,
        repeat=repeat,
        seed=seed,
        max_cost=max_cost,
        params=params,
        profile=profile,
        simulate=simulate,
    )
    from crucible_ray.api import Options
    from crucible_ray.api.earlier import estimated
    from crucible_ray.api.narrowing import narrowed
    from crucible_ray.api.piloting import piloted
    from crucible_ray.estimating import estimate_lines

    if pilot is not None:
        prepared = piloted(prepared, pilot)
    options = Options(
        items=tuple(item or ()), conditions=tuple(condition or ()), reuse=reuse, output_dir=output_dir
    )
    found = estimated(prepared, options)
    terminal.show(*estimate_lines(narrowed(prepared, options.items, options.conditions).plan, found))
    terminal.facts(found)
    return 0


def plan_lines(plan: Plan) -> list[str]:
    """What an experiment resolves to."""
    lines = [
        f"{plan.name}: valid, {plan.experiment_id}",
        f"  dataset {plan.dataset}: {plan.items:,} items (SHA-256 of the items: {plan.dataset_checksum[:12]}), "
        f"{plan.repeats} repeat{'s' if plan.repeats > 1 else ''}, {plan.trials:,} trials, seed {plan.seed}",
    ]
    lines += [
        f"    {each.name}: {each.items:,} items, {each.version.replace('sha256:', 'SHA-256 of the source: ')}"
        for each in plan.datasets
    ]
    for condition in plan.conditions:
        lines += _condition_lines(condition)
    lines.append(f"  metrics: {', '.join(plan.metrics)}")
    lines += [
        f'  hypothesis: "{asked.text}" ({asked.relation.replace("_", "-")})' for asked in plan.hypotheses
    ]
    return lines if plan.stop_when is None else [*lines, f"  {_stop_line(plan.stop_when)}"]


def _stop_line(rule: StopPlan) -> str:
    looks = ", ".join(f"{100 * share:.3g} %" for share in rule.looks)
    when = f"at planned looks after {looks} of the items" if looks else "after any item"
    return f"stops when every hypothesis is decided: {when}"


def key_lines(keys: Sequence[KeyFact]) -> list[str]:
    """Which keys a run needs, and whether it would find them; never a key."""
    return [
        f"  key {key.variable}: "
        + ("present" if key.present else "missing; a run would end with exit code 4")
        for key in keys
    ]


def _condition_lines(condition: ConditionPlan) -> list[str]:
    what = "model" if condition.vote is None else f"ensemble, {condition.vote} of at least {condition.quorum}"
    if (function := condition.function) is not None:
        most = (
            "max_calls not declared" if function.max_calls is None else f"at most {function.max_calls} calls"
        )
        what = f"function {function.name}, {most}, {function.timeout_s:g} s"
    few = condition.prompt.few_shot
    head = f"  condition {condition.name}: {what}, parse {_parse_words(condition.parse)}" + _few_text(few)
    about = [f"    {condition.description}"] if condition.description else []
    return [head, *about, *(line for call in condition.calls for line in _call_lines(call))]


def _parse_words(parse: str) -> str:
    from crucible_ray.experiment.defaults import parse_words

    return parse_words(parse)


def _own_text(call: CallPlan) -> str:
    """What a member has that its ensemble has not."""
    own = "" if call.prompt is None else f", its own prompt{_few_text(call.prompt.few_shot)}"
    return own + ("" if call.parse is None else f", parse {_parse_words(call.parse)}")


def _few_text(few: FewShotPlan | None) -> str:
    return "" if few is None else f", {few.k} of {len(few.pool)} examples shown"


def _call_lines(call: CallPlan) -> list[str]:
    model = call.model
    options: dict[str, Any] = {"temperature": call.temperature, "max_tokens": call.max_tokens, **call.extra}
    said = ", ".join(f"{name} {value}" for name, value in options.items() if value is not None)
    where = model.base_url or "the built-in simulator"
    return [
        f"    {model.name}: {model.model} at {where}{_own_text(call)}",
        f"      {said or 'no options'}, {call.timeout_s:g} s, {models.price_text(model)}",
    ]


def _shown_lines(shown: Sequence[ShownItem]) -> list[str]:
    lines = []
    for each in shown:
        lines += ["", f"{each.condition}, item {each.item}, expected {each.expected!r}"]
        lines += [line for call in each.calls for line in _request_lines(call)]
        if not each.calls:
            lines.append("  its function decides what is sent: run it with --simulate --in-process --limit 1")
        for reading in each.readings:
            lines += _reading_lines(reading, alone=len(each.readings) == 1)
    return lines


def _reading_lines(reading: ShownReading, *, alone: bool) -> list[str]:
    whose = "" if alone else f" of {', '.join(reading.models)} (parse {_parse_words(reading.parse)})"
    if reading.failure is not None:
        return [f"  a reply {reading.sample_reply!r}{whose}: its parser failed", *_indented(reading.failure)]
    samples = [(reading.sample_reply, reading.parsed, reading.correct)]
    if reading.wrong_reply is not None:
        samples.append((reading.wrong_reply, reading.wrong_parsed, reading.wrong_correct))
    verdicts = {1: "right", 0: "wrong", None: "not scored"}
    return [
        f"  a reply {reply!r}{whose} would be read as {parsed!r}: {verdicts[correct]}"
        for reply, parsed, correct in samples
    ]


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text.splitlines()]


def _request_lines(call: ShownCall) -> list[str]:
    most = "unknown price" if call.cost_bound_usd is None else f"at most ${call.cost_bound_usd:.3g}"
    counted = f"{call.prompt_tokens:,} prompt tokens by {call.tokenizer}"
    if call.tokenizer is None:
        counted = f"about {call.prompt_tokens:,} prompt tokens at four bytes a token"
    return [
        f"  POST {call.url}",
        f"    {call.body}",
        f"    {counted} (at most {call.prompt_tokens_bound:,}), {most}",
    ]
