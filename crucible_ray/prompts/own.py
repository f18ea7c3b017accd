"""An author's own code about an item: what it sees of one, and what its parser makes of a reply."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, Struct

from crucible_ray.experiment.modules import shown
from crucible_ray.records import Item
from crucible_ray.settings import did_you_mean

LONGEST_ANSWER: Final = 65_536
"""Characters of an answer: it stands in every row, vote and table."""
_PLAIN: Final = (str, int, float, bool)


class ItemView:
    """`item`: the fields of an Item, and its source's other fields as attributes."""

    __slots__ = ("_item",)

    def __init__(self, item: Item) -> None:
        self._item = item

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        item = self._item
        if name in Item.__struct_fields__ and (value := getattr(item, name)) is not UNSET:
            return value
        if name in item.metadata:
            return item.metadata[name]
        if name in Item.__struct_fields__:
            return None
        hint = did_you_mean(name, [*Item.__struct_fields__, *item.metadata])
        raise AttributeError(f"item {item.id!r} has no field {name!r}: {hint}")

    def __repr__(self) -> str:
        return repr(self._item)


class Reading(Struct, frozen=True):
    """What an author's own parser made of a reply."""

    answer: str | None
    """None: nothing."""
    failure: str | None = None
    """Where it failed: its author's own frames, and what it raised."""


class OwnReader:
    """An author's `f(text)` or `f(text, item)`, which reads replies word for word."""

    def __init__(self, function: Callable[..., Any], name: str, conceal: Callable[[str], str] = str) -> None:
        """conceal: takes secrets out of what the function's failure says."""
        self._function, self._name, self._conceal = function, name, conceal
        self._with_item = _wants_item(function)

    def read(self, text: str, item: Item) -> Reading:
        """What it makes of a reply; a failure of it is a value."""
        try:
            return Reading(self.answer(text, item))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an author's code raises is the trial's outcome
            return Reading(None, _whole(self._conceal(shown(error))))

    def answer(self, text: str, item: Item) -> str | None:
        """The answer as text; None: nothing. Raises what the function raises; TypeError, ValueError for no answer."""
        found = self._function(text, ItemView(item)) if self._with_item else self._function(text)
        if found is None:
            return None
        if not isinstance(found, _PLAIN):
            raise TypeError(
                f"{self._name} returned a {type(found).__name__}: return a str, or None for no answer."
            )
        text = _whole(str(found)).strip()
        if len(text) > LONGEST_ANSWER:
            raise ValueError(
                f"{self._name} returned {len(text):,} characters: an answer has {LONGEST_ANSWER:,} at most."
            )
        return text or None


def _whole(text: str) -> str:
    """Text that a record can keep: half a surrogate pair is no character."""
    return text.encode("utf-8", "replace").decode()


def _wants_item(function: Callable[..., Any]) -> bool:
    """Whether a parser is given the item: it needs a second argument, or has one that is called so."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        return False  # one without a signature, written in C
    if "item" in signature.parameters:
        return True
    try:
        signature.bind("text")
    except TypeError:
        return True
    return False
