r"""The yes or no of a reply, as `true` or `false`.

The most explicit statement wins: the whole reply; the last `\boxed{}`, `####` or "final answer"; the last "the
answer is no"; a last sentence that is a yes or no; a first line, then a last one, that begins with one; the last "is
true", "is not correct". A `no` that belongs to a noun ("no evidence") answers nothing, nor does "yes if".
"""

from __future__ import annotations

import re
from string import punctuation, whitespace
from typing import Final

_TRUE: Final = frozenset({"yes", "true", "correct", "right", "y", "t", "1"})
_FALSE: Final = frozenset({"no", "false", "incorrect", "wrong", "n", "f", "0"})

_MARK = r"[\s*_`\"'“”‘’(\[{$>#]{0,8}(?:\\(?:text|textbf|mathrm|boxed)\{)?"
_FILLER = r"(?:\s*\b(?:actually|therefore|thus|indeed|clearly|simply|definitely|probably|likely|also|still|then|that)\b,?){0,3}"
# "yes if it is even", "yes or no" state nothing.
_OPEN = r"(?![^\w\s]{0,4}\s+(?:if|when|or)\b)"
_WORD = (
    rf"{_FILLER}{_MARK}(?P<not>not\s+|n't\s+|n’t\s+)?{_MARK}"
    rf"(?P<word>yes|no|true|false|correct|incorrect|right|wrong)\b{_OPEN}"
)
_STOP = r"(?=[^\w\s]|\s*(?:\n|$)|\s+(?:because|since|as|it|the|this|that|he|she|they|there|we|i|you|one)\b)"

_EDGES = punctuation + whitespace + "“”‘’。"
_BARE = re.compile(r"(?:(?:boxed|text|textbf|mathrm)\{\\?)*([a-z]+|[01])", re.IGNORECASE | re.ASCII)
_FINAL = re.compile(
    rf"(?:\\boxed\{{|####|\bfinal answer\b\W{{0,12}}(?:is\b|would be\b)?\W{{0,4}}){_WORD}", re.IGNORECASE
)
_STATED = re.compile(
    r"\b(?:answer|response|conclusion|verdict)\b[^.\n?!:=]{0,60}?"
    rf"(?:\bis\b|\b(?:would|will|should|must|has to) be\b|:|=){_WORD}",
    re.IGNORECASE,
)
_ENDS = re.compile(
    rf"(?:[.!?:;,]|\n|\bis)\s{{0,8}}{_MARK}(?P<word>yes|no|true|false)[^\w\s]{{0,8}}\s{{0,8}}\Z",
    re.IGNORECASE,
)
_LEADS = re.compile(
    rf"{_MARK}(?:(?:so|therefore|thus|hence|overall)\W{{1,4}})?(?P<word>yes|no|true|false)\b{_STOP}",
    re.IGNORECASE,
)
_JUDGED = re.compile(
    rf"(?:\b(?:is|are|was|be|seems|as)\b|\bis(?=n['’]t)){_WORD}",
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
    end = _ENDS.search(text, max(0, len(text) - 64))
    if end is not None:
        return _meaning(end["word"].lower())
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
