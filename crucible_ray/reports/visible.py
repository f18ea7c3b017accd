"""Text that somebody else made, shown as text: nothing in it can act, hide, turn around or go on for ever."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 160
"""Characters that are shown of one text."""
_PICTURES: Final = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}
_SPACES: Final = dict.fromkeys(map(ord, "\t\n\r\x0b\x0c\x85\u2028\u2029"), " ")


def visible(text: str, *, spaces: bool = False) -> str:
    """`text` on one line, with a symbol for each character that would not show.

    Control characters become their pictures, `\u241b` for escape; others, such as those that turn the direction of
    writing around, become their numbers, `\u27e8U+202E\u27e9`. spaces: line breaks and tabs become spaces instead.
    """
    if text.isprintable():
        return text
    known = {**_PICTURES, **_SPACES} if spaces else _PICTURES
    return "".join(
        character
        if character.isprintable()
        else known.get(ord(character), f"\u27e8U+{ord(character):04X}\u27e9")
        for character in text
    )


def shortened(text: str, longest: int = LONGEST) -> str:
    """The beginning of a text, and how long it is where that is not all of it."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]} ... ({len(text):,} characters)"
