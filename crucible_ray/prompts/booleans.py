r"""The yes or no of a reply, as `true` or `false`.

The most explicit statement wins: the whole reply; the last `\boxed{}`, `####` or "final answer"; the last "the
answer is no"; a reply that begins with yes or no; the last line that does; the last "is true", "is not correct".
A `no` that belongs to a noun ("no evidence") answers nothing.
"""

from __future__ import annotations

import re
from string import punctuation, whitespace
from typing import Final

_TRUE: Final = frozenset({"yes", "true", "correct", "right", "y", "t", "1"})
_FALSE: Final = frozenset({"no", "false", "incorrect", "wrong", "n", "f", "0"})

_MARK = r"[\s*_`\"'“”‘’(\[{$>#]{0,8}(?:\\(?:text|textbf|mathrm|boxed)\{)?"
_WORD = rf"{_MARK}(?P<not>not\s+|n't\s+|n’t\s+)?{_MARK}(?P<word>yes|no|true|false|correct|incorrect|right|wrong)\b"
_STOP = r"(?=[^\w\s]|\s*(?:\n|$)|\s+(?:because|since|as|it|the|this|that|he|she|they|there|we|i|you|one)\b)"

_EDGES = punctuation + whitespace + "“”‘’。"
_BARE = re.compile(r"(?:(?:boxed|text|textbf|mathrm)\{\\?)*([a-z]+|[01])", re.IGNORECASE | re.ASCII)
_FINAL = re.compile(
    rf"(?:\\boxed\{{|####|\bfinal answer\b\W{{0,12}}(?:is\b|would be\b)?\W{{0,4}}){_WORD}", re.IGNORECASE
)
_STATED = re.compile(
    rf"\b(?:answer|response|conclusion|verdict)\b[^.\n?!:=]{{0,60}}?(?:\bis\b|\bwould be\b|\bwill be\b|:|=)\s*{_WORD}",
    re.IGNORECASE,
)
_LEADS = re.compile(
    rf"{_MARK}(?:(?:so|therefore|thus|hence|overall)\W{{1,4}})?(?P<word>yes|no|true|false)\b{_STOP}",
    re.IGNORECASE,
)
_JUDGED = re.compile(
    r"(?:\b(?:is|are|was|be|seems|as)|\bis(?=n['’]t))\s*(?:\b(?:therefore|thus|indeed|clearly|also|actually|probably|likely)\s+)?"
    rf"{_WORD}",
    re.IGNORECASE,
)


def read_boolean(text: str) -> str | None:
    """`true` or `false`; None where the reply says neither."""
    bare = _BARE.fullmatch(text.strip(_EDGES))
    if bare is not None:
        return _meaning(bare[1].lower())
    for statement in (_FINAL, _STATED):
        found = _last(statement, text)
        if found is not None:
            return found
    lines = [line for line in text.splitlines() if line.strip()]
    for line in (*lines[:1], *reversed(lines[1:])):
        match = _LEADS.match(line)
        if match is not None:
            return _meaning(match["word"].lower())
    return _last(_JUDGED, text)


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    found = None
    for match in pattern.finditer(text):
        said = _meaning(match["word"].lower())
        found = said if not match["not"] else ("false" if said == "true" else "true")
    return found


def _meaning(word: str) -> str | None:
    if word in _TRUE:
        return "true"
    return "false" if word in _FALSE else None
