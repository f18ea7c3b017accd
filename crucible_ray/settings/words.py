"""What is said of a name or a value that is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Literal

import msgspec


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a question, or else all of them."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}."


def explain(error: msgspec.ValidationError, wanted: Any) -> str:
    """What msgspec says of a value, with the allowed words where there is a list of them."""
    text = str(error).partition(" - at `$")[0].replace("Expected", "expected").replace("`", "")
    words = _words(wanted)
    return f"must be {' or '.join(words)}." if words and text.startswith("Invalid enum value") else f"{text}."


def _words(wanted: Any) -> list[str]:
    if getattr(wanted, "__origin__", None) is Literal:
        return [repr(word) for word in wanted.__args__]
    return [word for part in getattr(wanted, "__args__", ()) for word in _words(part)]
