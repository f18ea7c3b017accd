"""An item becomes messages, by jinja2 templates that are compiled once.

A template sees `id, input, choices, options, topic, difficulty, metadata` and each metadata field whose name
is an identifier; `options` are (letter, text) pairs. `expected` is not among them: no prompt can give the
answer away. With several datasets there is `dataset`, the name of the item's.
The answers of examples alone are made from `expected` (`examples.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from string import ascii_uppercase
from typing import Any

import msgspec
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from msgspec import UNSET

from crucible_ray.errors import SpecError
from crucible_ray.experiment.plan import FewShotPlan, PromptPlan
from crucible_ray.prompts.examples import Draw
from crucible_ray.records import Item, Message

_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
_GLOBALS = dict(_ENVIRONMENT.globals)
_FAILURES = (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_encode = msgspec.json.Encoder().encode


class Renderer:
    """One prompt, compiled; `render` costs a few microseconds, and some ten with examples.

    Raises SpecError where a template is not valid jinja2.
    """

    def __init__(self, prompt: PromptPlan) -> None:
        self._system = None if prompt.system is None else _Turn("system", prompt.system, "system")
        what = "prompt" if prompt.template is not None else "prompt's messages"
        self._turns = [_Turn(turn.role, turn.content, what) for turn in prompt.turns]
        self._examples = None if prompt.few_shot is None else _Examples(prompt.few_shot, self._turns)

    @property
    def varies(self) -> bool:
        """Whether the repeats of one item are shown different examples."""
        return self._examples is not None

    def render(self, item: Item, repeat: int = 0) -> tuple[Message, ...]:
        """The conversation that asks about one item.

        Raises SpecError, naming the item, where a template asks for something that the item lacks, and where
        there are too few examples.
        """
        fields = _fields(item)
        try:
            turns = [turn.fill(fields) for turn in self._turns]
            if self._examples is not None:
                turns = self._examples.of(item, repeat) + turns
            if self._system is not None:
                turns.insert(0, self._system.fill(fields))
            return tuple(turns)
        except _FAILURES as error:
            raise _failure(item, fields, error) from error


class _Turn:
    """One turn; what holds no markup is the same for every item, so it is made once."""

    __slots__ = ("_fixed", "_role", "_template")

    def __init__(self, role: str, content: str, what: str) -> None:
        self._role = role
        self._fixed = self._template = None
        if any(mark in content for mark in ("{{", "{%", "{#")):
            self._template = _compile(content, what)
        else:
            self._fixed = Message(role, content)

    def fill(self, fields: dict[str, Any]) -> Message:
        if self._template is None:
            assert self._fixed is not None
            return self._fixed
        return Message(self._role, _fill(self._template, fields))


class _Examples:
    """The turns of every example, made when it is first shown."""

    def __init__(self, plan: FewShotPlan, turns: list[_Turn]) -> None:
        self._plan, self._turns = plan, turns
        self._draw = Draw(plan)
        self._answer = _Turn("assistant", plan.answer, "few-shot answer")
        self._made: dict[int, list[Message]] = {}

    def of(self, item: Item, repeat: int) -> list[Message]:
        """The examples that go before this item."""
        shown: list[Message] = []
        for place in self._draw.places(item, repeat):
            made = self._made.get(place)
            if made is None:
                made = self._made[place] = self._make(self._plan.pool[place])
            shown += made
        return shown

    def _make(self, example: Item) -> list[Message]:
        fields = _fields(example)
        try:
            turns = [turn.fill(fields) for turn in self._turns]
            answer = self._answer.fill({**fields, "expected": example.expected})
        except _FAILURES as error:
            raise _failure(example, fields, error) from error
        if turns and turns[-1].role == "assistant":
            # The prompt begins the answer itself: the example goes on where it stops.
            last = turns.pop()
            answer = Message("assistant", last.content + answer.content)
        return [*turns, answer]


def example_answer(plan: FewShotPlan) -> Callable[[Item], str]:
    """What an example shows as its answer."""
    turn = _Turn("assistant", plan.answer, "few-shot answer")
    return lambda example: turn.fill({**_fields(example), "expected": example.expected}).content


def prompt_key(messages: tuple[Message, ...]) -> str:
    """BLAKE2b-128 of the messages' canonical JSON, hexadecimal: the key of `prompts.parquet`."""
    return blake2b(_encode(messages), digest_size=16).hexdigest()


def prompt_text(messages: tuple[Message, ...]) -> str:
    """The messages as canonical JSON: a list of `{"role", "content"}`."""
    return _encode(messages).decode()


def _failure(item: Item, fields: dict[str, Any], error: Exception) -> SpecError:
    known = ", ".join(sorted(fields))
    return SpecError(
        (f"The prompt cannot be made for item {item.id!r}: {error}. A template may use: {known}.",)
    )


def _fill(template: Template, fields: dict[str, Any]) -> str:
    # `Template.render` copies a chain of globals each time, four fifths of its cost; this copies one dict.
    context = template.new_context({**_GLOBALS, **fields}, shared=True)
    return "".join(template.root_render_func(context))


def _compile(source: str, what: str) -> Template:
    try:
        return _ENVIRONMENT.from_string(source)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f" (line {line})" if line is not None else ""
        raise SpecError((f"The {what} is not a valid jinja2 template{where}: {error}.",)) from error


def _fields(item: Item) -> dict[str, Any]:
    fields: dict[str, Any] = {name: value for name, value in item.metadata.items() if name.isidentifier()}
    choices = item.choices or ()
    fields.update(
        id=item.id,
        input=item.input,
        choices=list(choices),
        options=list(zip(ascii_uppercase, choices, strict=False)),
        topic=item.topic,
        difficulty=item.difficulty,
        metadata=item.metadata,
    )
    if item.dataset is not UNSET:
        fields["dataset"] = item.dataset
    return fields
