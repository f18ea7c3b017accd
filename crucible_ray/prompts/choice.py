r"""The letter that a reply chooses, or None where it chooses none or more than one.

The most explicit statement wins: the whole reply; `\boxed{}` or "final answer"; the last "the answer is B",
"I choose B", "B is correct"; the text of a choice after "the answer is"; a line that leads with a letter; a
letter in brackets or after "option". A statement that offers alternatives ("A or B") chooses none. `A` and
`I` in a sentence are words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from string import ascii_uppercase

from crucible_ray.records import Item

_UNLISTED = ascii_uppercase[:10]
"""The letters of an item whose choices stand in its input."""

_OPEN = r"(?P<open>(?:[*_`\"'“‘$(\[{]|\\\(|\\[a-z]{1,12}\{){0,8})"
_CLOSE = r"[)\]}*_`\"'”’$]{0,8}"
_LETTER = rf"{_OPEN}(?P<letter>[A-Za-z])(?![A-Za-z0-9'’^])"
_GAP = r"\s{0,8}"
_FILLER = (
    r"(?:\s{0,8}\b(?:option|choice|letter|answer|the|number|(?:most )?(?:likely|probably)|clearly|therefore"
    r"|definitely|simply|actually|indeed|then|that)\b:?){0,5}"
)

# The reply in ASCII is a letter and what people put around one.
_BARE = re.compile(r"[\s*_`\"'“‘(\[{$#>]*(?:\\[a-z]+\{)*[(\[]?([A-Za-z])[\s)\]}$*_`\"'”’.:,;!]*", re.ASCII)
_FINAL = re.compile(
    rf"(?:\\boxed\{{|####|\bfinal answer\b\W{{0,12}}?(?:is\b|:|=)?){_FILLER}{_GAP}{_LETTER}", re.IGNORECASE
)
_STATED = re.compile(
    r"(?:(?:(?:\b(?:answer|choice|option|solution|response|conclusion)\b|答案)"
    r"(?:[^.\n?!:=]{0,60}?\b(?:is|be|are|was)\b|[^.\n?!:=]{0,60}?[:：=]|[ \t]*(?:->|→|⇒)|应?该?[是为选]))"
    r"|\b(?:choose|chose|pick|select|go(?:ing)? with|guess|vote for|opt for)\b)"
    rf"[*_`]{{0,4}}{_FILLER}:?{_GAP}{_LETTER}",
    re.IGNORECASE,
)
_CORRECT = re.compile(
    rf"{_LETTER}{_CLOSE}\s+(?:is|would be|must be)\s+(?:the\s+)?(?:most\s+)?"
    r"(?:correct|right|best|accurate|appropriate)\b",
    re.IGNORECASE,
)
_PHRASE = re.compile(r"\banswer\b[^.\n?!:=]{0,60}?(?:\bis\b|\bwould be\b|:|=)\s*([^\n]+)", re.IGNORECASE)
_LINE = re.compile(
    rf"[\s>*_#`\"'-]*{_OPEN}(?P<letter>[A-Za-z])(?P<delimiter>{_CLOSE}(?:[).:\]]|\s+[-–—](?=\s)){_CLOSE}|[)\]}}*_`\"'”’$]+)(?P<rest>\s.*|)$"
)
_MENTION = re.compile(
    r"[(\[](?P<bracketed>[A-Z])[)\]]"
    r"|\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ii]t(?:'s| is|’s)|must be|would be|think|say)\s+[*_`\"'“‘]*"
    r"(?P<named>[A-Z])(?![A-Za-z0-9'’])"
)
# A mention ends with a capital that stands alone, and begins at most so many characters before what leads to it.
_ALONE = re.compile(r"[A-Z](?![A-Za-z0-9'’])")
_SPACES = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
_LEADS_TO = _SPACES + "*_`\"'“‘"
_LONGEST_WORD = len("would be")
_ALTERNATIVE = re.compile(
    rf"{_CLOSE}\s*(?:(?:\bor\b|/)\s*{_OPEN}[A-Za-z](?![A-Za-z0-9'’])"
    rf"|(?:,|\band\b|&)\s*(?:(?:and|or)\s+)?[*_`\"'“‘$(\[{{]*[A-Z]{_CLOSE}\s*(?:$|[.,;\n]|\b(?:and|or)\b))"
)
# In lower case, without which the search for a statement is in vain: most of a long reply holds none of them.
_FINAL_WORDS = ("\\boxed", "####", "final answer")
# Of statements only how their first words begin: fewer to look for.
_STATED_WORDS = (
    *("answer", "cho", "opt", "solution", "response", "conclusion"),
    *("pick", "select", "go", "guess", "vote for"),
)
_MODAL_WORDS = ("may", "might", "could", "would", "will")
_NEGATED_WORDS = ("not", "n't", "never", "rather than", "instead of", "unlikely", "neither", "nor")
_CORRECT_WORDS = ("correct", "right", "best", "accurate", "appropriate")
_QUESTION = re.compile(rf"{_CLOSE}\s*\?")
_ENDS = re.compile(rf"{_CLOSE}[.,:;!\\]*(?:[ \t]*(?:\n|$)|\))|[.:)\]*]")
_NEXT_WORD = re.compile(r"[ \t]+(\w+)")
_NEGATED = re.compile(
    r"(?:\bnot|n't|n’t|\bnever|\bcannot|\brather than|\binstead of|\bunlikely|\bneither|\bnor)\s+"
    r"(?:(?!but\b)\w+\s+){0,3}\W*$",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"\b(?:some|others|people|someone|many)\s+(?:\w+\s+){0,2}?(?:may|might|could|would|will)\s+(?:\w+\s+)?$",
    re.IGNORECASE,
)
_NOT_AFTER_ARTICLE = re.compile(
    r"because|since|as|is|was|would|will|for|but|and|or|hence|therefore|which|that|based|due|given|with",
    re.IGNORECASE,
)
_MARKUP = str.maketrans(dict.fromkeys('*_`"“”$'))
# What may follow the last letter or digit of a choice in an ASCII reply that is nothing but that choice.
_EDGE = "".join(filter(str.isascii, _SPACES)) + ".,;:!'*_`\"$"


def letters_of(item: Item) -> str:
    """The letters that answer an item: as many as it has choices; A to J where they are not listed."""
    return _UNLISTED if item.choices is None else ascii_uppercase[: len(item.choices)]


def read_choice(text: str, item: Item) -> str | None:
    """The chosen letter, upper case, or None."""
    bare = _BARE.fullmatch(text)
    if bare is not None:
        letter = bare[1].upper()
        return letter if letter in letters_of(item) else None
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _Reading(text, item).letter()


class _Reading:
    """One reply on its way to a letter."""

    def __init__(self, text: str, item: Item) -> None:
        self._text, self._letters = text, letters_of(item)
        self._choices = item.choices or ()
        self._plain, self._ends = _plain_choices(self._choices)
        # Where a text is not ASCII, lower case may differ in length, and 答案 is a word: then all of it is searched.
        self._lowered = text.lower() if text.isascii() else None

    def letter(self) -> str | None:
        whole = self._by_text(self._text)
        if whole is not None:
            return whole
        for statements in (_FINAL.finditer(self._text, self._first(_FINAL_WORDS)), self._statements()):
            readings = [reading for match in statements if (reading := self._read(match)) is not None]
            if readings:
                return readings[-1] or None
        for match in reversed(list(_PHRASE.finditer(self._text, self._first(("answer",))))):
            named = self._by_text(match[1]) or self._by_text(match[1].partition(". ")[0])
            if named is not None:
                return named
        found = self._leading() or self._mentioned()
        if found:
            return found.pop() if len(found) == 1 else None
        return self._by_text(self._text.rstrip().rpartition("\n")[2])

    def _statements(self) -> Iterator[re.Match[str]]:
        """Statements in order of their letters."""
        found = list(self._stated())
        if self._may_call_correct():
            found += _CORRECT.finditer(self._text)
        return iter(sorted(found, key=lambda match: match.start("letter")) if len(found) > 1 else found)

    def _stated(self) -> Iterator[re.Match[str]]:
        """Matches of `_STATED`; each begins with one of its words, so nothing else is tried."""
        if self._lowered is None:
            yield from _STATED.finditer(self._text)
            return
        end = 0
        for at in _places(self._lowered, _STATED_WORDS):
            if at >= end and (match := _STATED.match(self._text, at)) is not None:
                yield match
                end = match.end()

    def _may_call_correct(self) -> bool:
        """Whether something "is the most correct" one; False: `_CORRECT` has no match."""
        if self._lowered is None:
            return True
        for at in _places(self._lowered, _CORRECT_WORDS):
            before = self._lowered[:at].rstrip()
            for word in ("most", "the"):
                before = before.removesuffix(word).rstrip()
            if before.endswith(("is", "would be", "must be")):
                return True
        return False

    def _first(self, words: tuple[str, ...]) -> int:
        """Where the first of these words stands; the text's end where there is none."""
        if self._lowered is None:
            return 0
        first = len(self._text)
        for word in words:
            at = self._lowered.find(word, 0, first)
            if at >= 0:
                first = at
        return first

    def _negated(self, at: int) -> bool:
        """Whether what is said just before `at` turns it into its opposite."""
        begin = max(0, at - 48)
        return self._holds(_NEGATED_WORDS, begin, at) and _NEGATED.search(self._text, begin, at) is not None

    def _is_others(self, at: int) -> bool:
        """Whether what is said at `at` is what others might say."""
        begin = max(0, at - 48)
        return self._holds(_MODAL_WORDS, begin, at) and _OTHERS.search(self._text, begin, at) is not None

    def _holds(self, words: tuple[str, ...], begin: int, end: int) -> bool:
        """Whether one of these words stands there; True where only a search could tell."""
        if self._lowered is None:
            return True
        window = self._lowered[begin:end]
        return any(word in window for word in words)

    def _read(self, match: re.Match[str]) -> str | None:
        """The letter of one statement; "" where it offers alternatives; None where it states nothing."""
        letter, at = match["letter"], match.end("letter")
        upper = letter.upper()
        if _QUESTION.match(self._text, at):
            return None
        if self._negated(match.start()) or self._is_others(match.start()):
            return None
        line = self._text[match.start("letter") :].partition("\n")[0]
        if not _BARE.fullmatch(line) and (named := self._by_text(line)) is not None:
            return named
        if upper not in self._letters:
            return None
        if not match["open"]:
            if letter.islower() and not _ENDS.match(self._text, at):
                return None
            if upper in "AI" and self._is_word(upper, at):
                return None
        return "" if _ALTERNATIVE.match(self._text, at) else upper

    def _is_word(self, letter: str, at: int) -> bool:
        """Whether `A` or `I` is article or pronoun: a word follows, and it is not the choice's text."""
        following = _NEXT_WORD.match(self._text, at)
        if following is None or _NOT_AFTER_ARTICLE.fullmatch(following[1]):
            return False
        own = self._plain[self._letters.index(letter)] if self._choices else ""
        line = _plain(self._text[at:].partition("\n")[0])
        return not own or not line.startswith(own)

    def _leading(self) -> set[str]:
        """The letters with which lines begin: `B. Paris`, `(B)`, `**B** - Paris`, or a letter alone."""
        found = set()
        for line in self._text.splitlines():
            bare = _BARE.fullmatch(line)
            if bare is not None and bare[1].isupper():
                found.add(bare[1])
                continue
            match = _LINE.match(line)
            if match is not None and self._leads(match):
                found.add(match["letter"].upper())
        return found & set(self._letters)

    def _leads(self, match: re.Match[str]) -> bool:
        letter, rest = match["letter"], match["rest"].strip()
        if _BARE.fullmatch(rest):
            return False
        if letter.islower() and ")" not in match["delimiter"]:
            return False
        other = self._by_text(rest)
        if other is not None and other != letter.upper():
            return False
        if (
            match["delimiter"] == "."
            and rest[:1].islower()
            and self._choices
            and letter.upper() in self._letters
        ):
            # "C. elegans" is a worm unless the choice says so.
            own = self._plain[self._letters.index(letter.upper())]
            return own.startswith(_plain(rest.split()[0]))
        return True

    def _mentioned(self) -> set[str]:
        return {
            letter
            for match in self._mentions()
            if (letter := match["bracketed"] or match["named"]) in self._letters
            and not self._negated(match.start())
            and not _QUESTION.match(self._text, match.end())
            and (match["bracketed"] or letter not in "AI" or not self._is_word(letter, match.end()))
        }

    def _mentions(self) -> Iterator[re.Match[str]]:
        """Matches of `_MENTION`, some twice; searched only around capitals that stand alone, which are few."""
        for alone in _ALONE.finditer(self._text):
            begin = len(self._text[: alone.start()].rstrip(_LEADS_TO)) - _LONGEST_WORD
            yield from _MENTION.finditer(self._text, max(0, begin), alone.start() + 2)

    def _by_text(self, text: str) -> str | None:
        """The letter of the one choice whose text this is."""
        if not self._choices or len(text) > 1000:
            return None
        if self._ends is not None and text.isascii() and text.rstrip(_EDGE)[-1:].lower() not in self._ends:
            return None
        plain = _plain(text)
        matching = [
            letter for letter, own in zip(self._letters, self._plain, strict=False) if own and own == plain
        ]
        return matching[0] if len(matching) == 1 else None


def _places(text: str, words: tuple[str, ...]) -> list[int]:
    """Where any of these words stands, in order."""
    found = []
    for word in words:
        at = text.find(word)
        while at >= 0:
            found.append(at)
            at = text.find(word, at + 1)
    return sorted(found)


@lru_cache(maxsize=1024)
def _plain_choices(choices: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str] | None]:
    """An item's choices as they are compared (every condition and repeat asks for them again), and how they end.

    The ends are None where one is neither letter nor digit: then a text has to be compared to be told apart.
    """
    plain = tuple(map(_plain, choices))
    ends = frozenset(own[-1] for own in plain if own)
    return plain, ends if all(end.isalnum() for end in ends) else None


def _plain(text: str) -> str:
    """Text as choices are compared: no case, markup, article in front or stop at the end."""
    words = text.casefold().translate(_MARKUP).strip(" \t\r\n.,;:!'’").split()
    if len(words) > 1 and words[0] in ("the", "a", "an"):
        del words[0]
    return " ".join(words)
