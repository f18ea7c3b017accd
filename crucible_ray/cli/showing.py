"""`show`: one trial whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crucible_ray.cli import words
from crucible_ray.cli.terminal import Terminal

if TYPE_CHECKING:
    from crucible_ray.api.showing import ShownAttempt, ShownTrial

_SAID_ELSEWHERE = frozenset({"trial", "condition", "item_id", "repeat", "prediction", "expected"})
_OF_AN_ATTEMPT = (
    "status", "finish_reason", "model_version", "started_ms", "latency_ms", "input_tokens", "output_tokens",
    "reasoning_tokens", "cost_usd", "quota_wait_ms", "backoff_wait_ms", "reused_from",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add this file's verb."""
    app.command(
        short_help="one trial whole: prompts, calls, replies, scores",
        epilog="Example: crucible-ray show results/exp_0123456789ab --item q17 --condition mini",
    )(show)


def show(
    where: words.IdOrDir,
    trial: Annotated[
        int | None, typer.Argument(min=0, metavar="TRIAL", help="Its number.", show_default=False)
    ] = None,
    item: Annotated[
        str | None, typer.Option("--item", metavar="ID", help="The item.", show_default=False)
    ] = None,
    condition: Annotated[
        str | None, typer.Option("--condition", metavar="NAME", help="The condition.", show_default=False)
    ] = None,
    repeat: Annotated[int, typer.Option("--repeat", min=0, metavar="K", help="The repeat, from 0.")] = 0,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """One trial whole: its prompt, every attempt at every call, the replies, what was read in them, what came of it."""
    from crucible_ray import api

    terminal = Terminal(as_json=as_json, quiet=quiet)
    found = api.show(where, trial, item=item, condition=condition, repeat=repeat)
    terminal.show(*_lines(found))
    terminal.facts(found)
    return 0


def _lines(found: ShownTrial) -> list[str]:
    lines = [f"Trial {found.trial}: {found.condition}, item {found.item.id}, repeat {found.repeat}"]
    messages = None
    for attempt in found.attempts:
        if attempt.messages is not None and attempt.messages != messages:
            messages = attempt.messages
            lines += [line for each in messages for line in _said(f"  {each.role} | ", each.content)]
        lines += _attempt(attempt)
    if found.row is None:
        return [*lines, "  pending: it has no row"]
    if found.failure is not None:
        lines += _said("  failed | ", found.failure)
    lines.append(f"  prediction {_text(found.row['prediction'])}, expected {_text(found.row['expected'])}")
    told = {
        name: value for name, value in found.row.items() if name not in _SAID_ELSEWHERE and value is not None
    }
    return [*lines, *(f"  {name}: {_text(value)}" for name, value in told.items())]


def _attempt(attempt: ShownAttempt) -> list[str]:
    facts = attempt.facts
    told = [f"{name} {_text(facts[name])}" for name in _OF_AN_ATTEMPT if facts.get(name)]
    head = f"  call {facts['call']}, attempt {facts['attempt']}: {facts['model']}, {facts['outcome']}"
    lines = [", ".join([head, *told])]
    if facts["detail"]:
        lines += _said("    error | ", facts["detail"])
    if facts["text"] is not None:
        lines += _said("    reply | ", facts["text"])
        lines.append(f"    read as {'nothing' if attempt.parsed is None else _text(attempt.parsed)}")
    return lines


def _said(mark: str, text: str) -> list[str]:
    return [f"{mark}{line}" for line in text.split("\n")]


def _text(value: Any) -> str:
    return (
        f"{value:.6g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)
    )
