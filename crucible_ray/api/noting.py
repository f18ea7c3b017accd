"""What should be known before a run, in words: what is perhaps not what was meant; what surely is not is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from crucible_ray.calls.limits import token_rate
from crucible_ray.errors import SpecError
from crucible_ray.experiment.plan import DatasetPlan, Plan, PromptPlan
from crucible_ray.models.catalogue import addressed
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.records import Item, Message

_LONG_S = 3600.0
"""A call that may take this long was perhaps meant in milliseconds."""
_SINGLE = re.compile(r"\{(\w+)\}")
"""A field as Python's `format` writes it."""


def shortfalls(asked: Sequence[Mapping[str, Any]], datasets: Sequence[DatasetPlan]) -> tuple[str, ...]:
    """Samples that are larger than what they are drawn from: all of it is asked then."""
    return tuple(
        f"{wanted['sample_size']:,} items are asked for; the dataset {dataset.name} holds {dataset.items:,}"
        + (" that its filter leaves." if wanted["filter"] is not None else ".")
        for wanted, dataset in zip(asked, datasets, strict=True)
        if wanted["source"] is not None and (wanted["sample_size"] or 0) > dataset.items
    )


def long_timeouts(plan: Plan) -> tuple[str, ...]:
    """Timeouts that look like milliseconds."""
    seconds = {call.timeout_s for condition in plan.conditions for call in condition.calls}
    return tuple(
        f"timeout_s is in seconds: {each:,.10g} of them are {each / 3600:.3g} hours."
        for each in sorted(seconds)
        if each > _LONG_S
    )


def tight_limits(plan: Plan, longest: Sequence[Sequence[tuple[Message, ...]]]) -> tuple[str, ...]:
    """Token limits that one request alone may exceed. longest: by condition and call, the longest prompt."""
    largest: dict[str, tuple[int, float]] = {}
    for condition, prompts in zip(addressed(plan).conditions, longest, strict=True):
        for call, prompt in zip(condition.calls, prompts, strict=True):
            limit = call.model.limits.tokens_per_minute
            endpoint = Endpoint(call, None)
            tokens = endpoint.reserved_tokens(endpoint.prompt_tokens_bound(prompt))
            if limit is not None and tokens > max(limit, largest.get(call.model.name, (0, 0.0))[0]):
                largest[call.model.name] = tokens, limit
    return tuple(
        f"{name}: a request takes up to {tokens:,} tokens, prompt and max_tokens together, more than its "
        f"tokens_per_minute of {limit:,.10g}: its provider may refuse it, and the next one waits "
        f"{tokens / token_rate(limit, tokens):.2g} minutes. Lower max_tokens or raise the limit."
        for name, (tokens, limit) in largest.items()
    )


def unfilled_prompts(plan: Plan, items: Sequence[Item]) -> tuple[str, ...]:
    """Prompts that ask every item the same. Raises SpecError where a field stands in single braces."""
    if len({item.input for item in items}) < 2:
        return ()
    fields = {"input", "choices", "options", "topic", "difficulty", *items[0].metadata}
    problems: dict[str, None] = {}
    notes: dict[str, None] = {}
    for condition in plan.conditions:
        for prompt in filter(_is_fixed, condition.prompts):
            single = next((name for name in _SINGLE.findall(_text(prompt)) if name in fields), None)
            if single is not None:
                problems[
                    f"Condition {condition.name!r}: its prompt says {{{single}}}, which stays as it stands: write "
                    f"{{{{ {single} }}}}."
                ] = None
            else:
                notes[
                    f"Condition {condition.name!r}: its prompt asks every item the same: a field stands in double braces, "
                    "as {{ input }}."
                ] = None
    if problems:
        raise SpecError(tuple(problems))
    return tuple(notes)


def _is_fixed(prompt: PromptPlan) -> bool:
    return not any(mark in _text(prompt) for mark in ("{{", "{%"))


def _text(prompt: PromptPlan) -> str:
    """All that a prompt says, its fields not filled in."""
    return "\n".join([prompt.system or "", *(turn.content for turn in prompt.turns)])


def unexpected(plan: Plan, items: Sequence[Item]) -> tuple[str, ...]:
    """That accuracy will have no value, since no item has an expected answer."""
    if "accuracy" not in plan.metrics or any(item.expected is not None for item in items):
        return ()
    others = ", ".join(sorted({name for item in items for name in item.metadata})[:9])
    mend = (
        f'name the field that holds it (of {others}), Dataset(..., fields={{"expected": "NAME"}})'
        if others
        else "add it"
    )
    return (
        f"No item has an expected answer, so accuracy has no value: {mend}, or leave accuracy out of metrics.",
    )
