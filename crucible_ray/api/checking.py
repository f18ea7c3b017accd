"""What a plan would send, shown without sending it."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_uppercase

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.api.preparing import Prepared, keyed_models
from crucible_ray.ensemble import normalizer
from crucible_ray.experiment.defaults import BY_ITEM, JSON_FIELD, own_parser, parse_of
from crucible_ray.experiment.plan import CallPlan, ConditionPlan
from crucible_ray.metrics import score_accuracy
from crucible_ray.models.catalogue import with_base_url
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.models.tokens import BYTES_PER_TOKEN, Tokenizer, tokenizer
from crucible_ray.prompts import Renderer, answer_key, parser
from crucible_ray.prompts.numerals import read_number
from crucible_ray.prompts.own import Reading
from crucible_ray.records import Item, Message
from crucible_ray.runtime.code import Functions
from crucible_ray.runtime.reading import own_reader
from crucible_ray.settings import is_loopback

_SIMULATED_URL = "http://simulator/v1"


class ShownCall(Struct, frozen=True, kw_only=True):
    """One request as it would leave."""

    model: str
    """As the experiment names it."""
    url: str
    body: str
    """JSON, byte for byte."""
    messages: tuple[Message, ...]
    prompt_tokens: int
    tokenizer: str | None
    """Whose count `prompt_tokens` is; None: our estimate, four bytes a token."""
    prompt_tokens_bound: int
    """No tokenizer makes more."""
    input_price: float | None
    """US dollars per million tokens, as the next one."""
    output_price: float | None
    cost_bound_usd: float | None
    """No attempt costs more; None: a price or the largest output is unknown."""


class ShownReading(Struct, frozen=True, kw_only=True):
    """What a parser makes of a reply."""

    parse: str
    models: tuple[str, ...]
    """Whose replies it reads."""
    sample_reply: str
    """A right answer as a model might put it."""
    parsed: str | None
    """None: it cannot be read."""
    correct: int | None
    """How it would be scored."""
    wrong_reply: str | None
    """A wrong answer; None: nothing is known to be wrong."""
    wrong_parsed: str | None
    wrong_correct: int | None
    failure: str | None = None
    """Where the author's own parser failed: their own frames, and what it raised."""


class ShownItem(Struct, frozen=True, kw_only=True):
    """One item under one condition."""

    condition: str
    item: str
    calls: tuple[ShownCall, ...]
    expected: str | None
    """In the form that the condition's parser gives."""
    readings: tuple[ShownReading, ...]
    """One for each parser: a condition has one, unless members bring their own."""


class KeyFact(Struct, frozen=True, kw_only=True):
    """A key that the plan's models need; never its value."""

    variable: str
    present: bool


def show(prepared: Prepared, count: int) -> list[ShownItem]:
    """The first `count` items of each dataset under every condition.

    Raises SpecError for options that cannot be sent.
    """
    by_dataset: dict[object, list[Item]] = {}
    for item in prepared.items:
        by_dataset.setdefault(item.dataset, []).append(item)
    shown = [item for items in by_dataset.values() for item in items[:count]]
    functions = prepared.code.load()
    return [_item(condition, item, functions) for condition in prepared.plan.conditions for item in shown]


def keys_needed(prepared: Prepared) -> list[KeyFact]:
    """Every key that a run would look for, and whether it is there."""
    there = prepared.keys_there()
    return [
        KeyFact(variable=name, present=name in there)
        for name, model in keyed_models(prepared.plan).items()
        if not is_loopback(model.base_url)
    ]


def _item(condition: ConditionPlan, item: Item, functions: Functions) -> ShownItem:
    asked = [(call, Renderer(p)) for call, p in zip(condition.calls, condition.prompts, strict=True)]
    return ShownItem(
        condition=condition.name,
        item=item.id,
        calls=tuple(_call(call, renderer.render(item)) for call, renderer in asked),
        expected=answer_key(condition.parse, item),
        readings=tuple(
            _reading(condition, parse, item, functions)
            for parse in dict.fromkeys(condition.parses or (condition.parse,))
        ),
    )


def _reading(condition: ConditionPlan, parse: str, item: Item, functions: Functions) -> ShownReading:
    kind = parse_of(item) if parse == BY_ITEM else parse
    reply = _sample_reply(kind, "42" if item.expected is None else item.expected)
    wrong = _wrong_answer(item)
    wrong_reply = None if wrong is None else _sample_reply(kind, wrong)
    key, match = answer_key(condition.parse, item), normalizer(condition.normalize)
    read = _reader(parse, functions)
    first = read(reply, item)
    second = Reading(None) if wrong_reply is None else read(wrong_reply, item)
    parsed, wrong_parsed = first.answer, second.answer
    models = [c.model.name for c, own in zip(condition.calls, condition.parses, strict=True) if own == parse]
    return ShownReading(
        parse=parse,
        models=tuple(dict.fromkeys(models)),
        sample_reply=reply,
        parsed=parsed,
        correct=score_accuracy(parsed, key, match),
        wrong_reply=wrong_reply,
        wrong_parsed=wrong_parsed,
        wrong_correct=None if wrong_reply is None else score_accuracy(wrong_parsed, key, match),
        failure=first.failure or second.failure,
    )


def _reader(parse: str, functions: Functions) -> Callable[[str, Item], Reading]:
    """What reads a reply; a failure of an author's own parser is a value."""
    own = own_reader(parse, functions)
    return own.read if own is not None else lambda text, item: Reading(parser(parse)(text, item))


def _call(call: CallPlan, messages: tuple[Message, ...]) -> ShownCall:
    # A simulator that the run itself starts has no address before it runs.
    model = call.model if call.model.base_url else with_base_url(call.model, _SIMULATED_URL)
    endpoint = Endpoint(replace(call, model=model), None)
    own = tokenizer(call.model.model) if call.model.provider != "simulated" else None
    return ShownCall(
        model=call.model.name,
        url=endpoint.url,
        body=endpoint.body(messages).decode(),
        messages=messages,
        prompt_tokens=_tokens(messages, own),
        tokenizer=None if own is None else own.name,
        input_price=call.model.input_price,
        output_price=call.model.output_price,
        prompt_tokens_bound=endpoint.prompt_tokens_bound(messages),
        cost_bound_usd=endpoint.cost_bound_usd(messages),
    )


def _tokens(messages: tuple[Message, ...], own: Tokenizer | None) -> int:
    if own is not None:
        return sum(own.count(message.content) for message in messages)
    return int(sum(len(message.content.encode()) for message in messages) / BYTES_PER_TOKEN)


def _wrong_answer(item: Item) -> str | None:
    """What no grader may take for the right answer; None where nothing is expected."""
    if item.expected is None:
        return None
    if item.choices:
        letters = ascii_uppercase[: len(item.choices)]
        return next(letter for letter in letters if letter != item.expected)
    opposite = {"true": "false", "false": "true", "yes": "no", "no": "yes"}
    if (other := opposite.get(item.expected.strip().lower())) is not None:
        return other
    number = read_number(item.expected)
    return f"not {item.expected}" if number is None else f"{float(number) + 1:g}"


def _sample_reply(parse: str, answer: str) -> str:
    """A sentence where the parser finds answers in sentences, the bare answer where it does not."""
    if parse.startswith(JSON_FIELD):
        return msgspec.json.encode({parse.removeprefix(JSON_FIELD): answer}).decode()
    # What a parser of the author's own looks for is not known: a sentence is what models answer with.
    in_sentences = parse in ("choice", "number", "boolean") or own_parser(parse) is not None
    return f"The answer is {answer}." if in_sentences else answer
