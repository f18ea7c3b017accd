"""What a plan would send, shown without sending it."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.api.preparing import Prepared
from crucible_ray.ensemble import normalizer
from crucible_ray.experiment.defaults import BY_ITEM, parse_of
from crucible_ray.experiment.plan import CallPlan, ConditionPlan
from crucible_ray.metrics import score_accuracy
from crucible_ray.models.catalogue import with_base_url
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.prompts import Renderer, answer_key, parser
from crucible_ray.records import Item, Message, ModelRef
from crucible_ray.settings import find_key, is_loopback

_BYTES_PER_TOKEN = 4
_SIMULATED_URL = "http://simulator/v1"


class ShownCall(Struct, frozen=True, kw_only=True):
    """One request as it would leave."""

    model: str
    """As the experiment names it."""
    url: str
    body: str
    """JSON, byte for byte."""
    prompt_tokens: int
    """By our estimate, four bytes a token."""
    prompt_tokens_bound: int
    """No tokenizer makes more."""
    cost_bound_usd: float | None
    """No attempt costs more; None: a price or the largest output is unknown."""


class ShownItem(Struct, frozen=True, kw_only=True):
    """One item under one condition."""

    condition: str
    item: str
    messages: tuple[Message, ...]
    calls: tuple[ShownCall, ...]
    expected: str | None
    sample_reply: str
    """A right answer as a model might put it."""
    parsed: str | None
    """What `parse` makes of it; None: it cannot be read."""
    correct: int | None
    """How it would be scored."""


class KeyFact(Struct, frozen=True, kw_only=True):
    """A key that the plan's models need; never its value."""

    variable: str
    present: bool


def show(prepared: Prepared, count: int) -> list[ShownItem]:
    """The first `count` items under every condition. Raises SpecError for options that cannot be sent."""
    return [
        _item(condition, item) for condition in prepared.plan.conditions for item in prepared.items[:count]
    ]


def keys_needed(prepared: Prepared) -> list[KeyFact]:
    """Every key that a run would look for, and whether it is there."""
    models: dict[str, ModelRef] = {}
    for condition in prepared.plan.conditions:
        for call in condition.calls:
            if call.model.api_key_env is not None and not is_loopback(call.model.base_url):
                models.setdefault(call.model.api_key_env, call.model)
    return [
        KeyFact(variable=name, present=find_key(model, prepared.settings.env) is not None)
        for name, model in models.items()
    ]


def _item(condition: ConditionPlan, item: Item) -> ShownItem:
    messages = Renderer(condition.prompt).render(item)
    expected = answer_key(condition.parse, item)
    reply = _sample_reply(parse_of(item) if condition.parse == BY_ITEM else condition.parse, item)
    parsed = parser(condition.parse)(reply, item)
    return ShownItem(
        condition=condition.name,
        item=item.id,
        messages=messages,
        calls=tuple(_call(call, messages) for call in condition.calls),
        expected=expected,
        sample_reply=reply,
        parsed=parsed,
        correct=score_accuracy(parsed, expected, normalizer(condition.normalize)),
    )


def _call(call: CallPlan, messages: tuple[Message, ...]) -> ShownCall:
    # A simulator that the run itself starts has no address before it runs.
    model = call.model if call.model.base_url else with_base_url(call.model, _SIMULATED_URL)
    endpoint = Endpoint(replace(call, model=model), None)
    return ShownCall(
        model=call.model.name,
        url=endpoint.url,
        body=endpoint.body(messages).decode(),
        prompt_tokens=sum(len(message.content.encode()) for message in messages) // _BYTES_PER_TOKEN,
        prompt_tokens_bound=endpoint.prompt_tokens_bound(messages),
        cost_bound_usd=endpoint.cost_bound_usd(messages),
    )


def _sample_reply(parse: str, item: Item) -> str:
    """A sentence where the parser finds answers in sentences, the bare answer where it does not."""
    answer = "42" if item.expected is None else item.expected
    return f"The answer is {answer}." if parse in ("choice", "number") else answer
