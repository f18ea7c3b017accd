"""The answer key: which item a conversation asks about, what is right, and what people get wrong instead.

A conversation is matched by its last user turn, which has to contain the item's input. The fast way looks
up whole lines; only a prompt that puts the input inside a line pays for a search through its text. Items
that ask the same question are told apart by their choices.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from string import ascii_uppercase
from typing import TypeVar

import msgspec
from msgspec import Struct

from crucible_ray.errors import DatasetError
from crucible_ray.records import Item

_T = TypeVar("_T")
_ANCHOR = 16
_OPEN_WRONG = ("unknown", "none of these", "something else", "no idea")
_CHOICE_LINE = re.compile(r"^\s*\(?([A-J])[.):]\s", re.MULTILINE)
# It begins with a set of characters, by which the search skips ten times as fast as by an optional sign.
_SUM = re.compile(r"([-\d]\d{0,8})(?<=\d)\s*([-+*×x])\s*(-?\d{1,9})")


class Question(Struct, frozen=True):
    """What the population needs to know of one item."""

    id: str
    right: str
    """A letter where the item has choices."""
    wrong: tuple[str, ...]
    """Every other answer that is ever given; at least one."""
    difficulty: float | None
    """0 to 1; None: drawn by item. Rounded to thousandths, so that calibration has few distinct values."""
    keyed: bool = True
    """Whether it comes from an answer key; made up from the conversation otherwise."""


class _Line(Struct):
    """One line of an items file; the names are those that datasets use."""

    input: str
    id: str | int | None = None
    expected: str | int | float | None = None
    choices: list[str] | None = None
    difficulty: float | None = None


class AnswerKey:
    """Items by what they ask; `find` takes microseconds where the input stands on lines of its own."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items = [item for item in items if item.input.strip()]
        self.questions = {item.id: _question(item) for item in self._items}
        self._by_line: dict[str, list[Item]] = {}
        self._by_anchor: dict[int, dict[str, list[Item]]] = {}
        for item in self._items:
            text = item.input.strip()
            self._by_line.setdefault(text.partition("\n")[0].strip(), []).append(item)
            size = min(len(text), _ANCHOR)
            self._by_anchor.setdefault(size, {}).setdefault(text[:size], []).append(item)
        self._search = lru_cache(maxsize=20_000)(self._search_text)

    def find(self, conversation: str) -> Question:
        """The question that a user turn asks, from the key or made up from the turn itself."""
        item = self._by_lines(conversation) or self._search(conversation) if self._items else None
        return made_up(conversation) if item is None else self.questions[item.id]

    def _by_lines(self, text: str) -> Item | None:
        end = len(text)
        # From the last line up: examples come before the question.
        for line in reversed(text.split("\n")):
            start = end - len(line)
            stripped = line.strip()
            found = self._by_line.get(stripped) if stripped else None
            if found is not None:
                asked = [
                    item for item in found if text.startswith(item.input.strip(), text.index(stripped, start))
                ]
                if asked:
                    return _told_apart(asked, text, start)
            end = start - 1
        return None

    def _search_text(self, text: str) -> Item | None:
        """The last item whose input stands in the text and is not part of a longer one."""
        hits = [
            (at, -len(item.input.strip()), item)
            for size, anchors in self._by_anchor.items()
            for at in range(len(text) - size + 1)
            if (found := anchors.get(text[at : at + size]))
            for item in found
            if text.startswith(item.input.strip(), at)
        ]
        best: list[Item] = []
        begins = ends = 0
        for at, negative, item in sorted(hits, key=lambda hit: hit[:2]):
            if at - negative > ends:
                best, begins, ends = [item], at, at - negative
            elif (at, at - negative) == (begins, ends):
                best.append(item)
        return _told_apart(best, text, begins) if best else None


def made_up(conversation: str) -> Question:
    """A question without a key: a sum has its result, choices a letter by hash, the rest a code word."""
    digest = blake2b(conversation.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    name, number = f"made-up/{digest.hex()}", int.from_bytes(digest, "little")
    letters = sorted(set(_CHOICE_LINE.findall(conversation))) if "\n" in conversation else []
    if len(letters) > 1:
        right = letters[number % len(letters)]
        wrong = tuple(letter for letter in letters if letter != right)
    else:
        found = _SUM.search(conversation)
        right = _result(*found.groups()) if found else f"simulated-{number % 100_000:05d}"
        wrong = _open_wrong(right)
    return Question(name, right, wrong, None, keyed=False)


def load_items(path: Path) -> list[Item]:
    """Items of a JSONL file (`input`; `id, expected, choices, difficulty` if any); the default id is the row.

    Raises DatasetError where the file cannot be read, naming the line.
    """
    items: list[Item] = []
    for number, line in read_lines(path, _Line):
        choices = tuple(line.choices) if line.choices else None
        items.append(
            Item(
                id=str(len(items) if line.id is None else line.id),
                input=line.input,
                expected=_expected(line.expected, choices, f"{path}:{number}"),
                choices=choices,
                difficulty=line.difficulty,
            )
        )
    return items


def read_lines(path: Path, kind: type[_T]) -> list[tuple[int, _T]]:
    """Each line of a JSONL file with its number from 1; empty lines are passed over. Raises DatasetError."""
    decoder = msgspec.json.Decoder(kind)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DatasetError(f"Cannot read {path}: {error.strerror}.") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                found.append((number, decoder.decode(line)))
            except msgspec.MsgspecError as error:
                raise DatasetError(f"{path}:{number}: {error}.") from error
    return found


def _question(item: Item) -> Question:
    letters = ascii_uppercase[: len(item.choices or ())]
    right = made_up(item.input).right if item.expected is None else item.expected
    wrong = tuple(letter for letter in letters if letter != right) or _open_wrong(right)
    difficulty = None if item.difficulty is None else round(min(1.0, max(0.0, item.difficulty)), 3)
    return Question(item.id, right, wrong, difficulty)


def _open_wrong(right: str) -> tuple[str, ...]:
    """Mistakes about an answer that is not a choice: near numbers for a number."""
    try:
        number = float(right.replace(",", ""))
    except ValueError:
        return tuple(word for word in _OPEN_WRONG if word != right)
    return tuple(f"{wrong:.12g}" for wrong in (number + 1, number - 1, number + 10, number * 2 + 3))


def _expected(expected: str | int | float | None, choices: tuple[str, ...] | None, where: str) -> str | None:
    """The right answer as text; of choices, the letter for a letter, an index from 0, or a choice."""
    if expected is None or choices is None:
        return None if expected is None else str(expected)
    letters = ascii_uppercase[: len(choices)]
    text = str(expected).strip()
    if text in choices:
        return letters[choices.index(text)]
    if text and text.upper() in letters:
        return text.upper()
    if text.isdecimal() and int(text) < len(letters):
        return letters[int(text)]
    raise DatasetError(
        f"{where}: expected {text!r} is neither a letter of its choices, nor an index, nor a choice."
    )


def _result(left: str, sign: str, right: str) -> str:
    a, b = int(left), int(right)
    return str(a + b if sign == "+" else a - b if sign == "-" else a * b)


def _told_apart(items: Sequence[Item], text: str, begins: int) -> Item:
    """Of items with the same input, the one whose choices the text shows, in its order."""
    if len(items) == 1:
        return items[0]
    return max(items, key=lambda item: _likeness(item, text, begins + len(item.input.strip())))


def _likeness(item: Item, text: str, after: int) -> int:
    """2 where lines end with the choices in turn, 1 where the choices stand there in order, else 0."""
    choices = [choice.strip() for choice in item.choices or ()]
    lines = iter(text[after:].splitlines())
    if choices and all(any(_ends_with(line, choice) for line in lines) for choice in choices):
        return 2
    at = after
    for choice in choices:
        at = text.find(choice, at)
        if at < 0:
            return 0
        at += len(choice)
    return 1


def _ends_with(line: str, choice: str) -> bool:
    line = line.strip()
    return line == choice or line.endswith(" " + choice)
