"""An item becomes messages, by a jinja2 template that is compiled once.

A template sees `id, input, choices, options, topic, difficulty, metadata` and each metadata field whose name
is an identifier; `options` are (letter, text) pairs. `expected` is not among them: no prompt can give the
answer away. With several datasets there is `dataset`, the name of the item's.
"""

from __future__ import annotations

from hashlib import blake2b
from string import ascii_uppercase
from typing import Any

import msgspec
from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from msgspec import UNSET

from crucible_ray.errors import SpecError
from crucible_ray.experiment.plan import PromptPlan
from crucible_ray.records import Item, Message

_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
_GLOBALS = dict(_ENVIRONMENT.globals)
_encode = msgspec.json.Encoder().encode


class Renderer:
    """One prompt, compiled; `render` costs a few microseconds.

    Raises SpecError where the template is not valid jinja2.
    """

    def __init__(self, prompt: PromptPlan) -> None:
        self._template = _compile(prompt.template, "prompt")
        # A system turn without markup is the same for every item, so it is made once.
        self._system: Template | None = None
        self._fixed: Message | None = None
        if prompt.system is not None:
            if any(mark in prompt.system for mark in ("{{", "{%", "{#")):
                self._system = _compile(prompt.system, "system")
            else:
                self._fixed = Message("system", prompt.system)

    def render(self, item: Item) -> tuple[Message, ...]:
        """The conversation that asks about one item.

        Raises SpecError, naming the item, where the template asks for something that the item lacks.
        """
        fields = _fields(item)
        try:
            user = Message("user", _fill(self._template, fields))
            if self._fixed is not None:
                return (self._fixed, user)
            if self._system is not None:
                return (Message("system", _fill(self._system, fields)), user)
            return (user,)
        except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            known = ", ".join(sorted(fields))
            raise SpecError(
                (f"The prompt cannot be made for item {item.id!r}: {error}. A template may use: {known}.",)
            ) from error


def prompt_key(messages: tuple[Message, ...]) -> str:
    """BLAKE2b-128 of the messages' canonical JSON, hexadecimal: the key of `prompts.parquet`."""
    return blake2b(_encode(messages), digest_size=16).hexdigest()


def prompt_text(messages: tuple[Message, ...]) -> str:
    """The messages as canonical JSON: a list of `{"role", "content"}`."""
    return _encode(messages).decode()


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
