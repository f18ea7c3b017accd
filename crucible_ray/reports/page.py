"""What a report consists of, before it is Markdown or HTML: one place computes, two templates show."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from crucible_ray.reports.visible import shortened


class Quoted(str):
    """Text that a model or a file made: shown as it is, interpreted by nobody."""

    __slots__ = ()


class Code(str):
    """A name, an id or a command, word for word."""

    __slots__ = ()


class Strong(str):
    """What the eye should find first."""

    __slots__ = ()


class Text(Struct, frozen=True, tag=True):
    """A paragraph."""

    text: str


class Bullets(Struct, frozen=True, tag=True):
    """Sentences that stand side by side."""

    items: tuple[str, ...]


class Commands(Struct, frozen=True, tag=True):
    """Lines for a shell."""

    lines: tuple[str, ...]


class Column(Struct, frozen=True):
    """The head of a column."""

    name: str
    number: bool = False
    """Numbers stand to the right."""


class Table(Struct, frozen=True, tag=True):
    """A table; the first cell of a row is its head."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    first: int | None = None
    """So many rows are enough where a table cannot be folded (Markdown); None: all of them."""


class Chart(Struct, frozen=True, tag=True):
    """A drawing of numbers that stand in a table too."""

    caption: str
    svg: str
    """Safe markup, made by `charts`."""


Block = Text | Bullets | Commands | Table | Chart


class Section(Struct, frozen=True):
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...]
    level: int = 2


class Page(Struct, frozen=True):
    """A whole report."""

    title: str
    description: str
    notice: str
    """What a reader must not miss; empty: nothing."""
    sections: tuple[Section, ...]


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table from plain words; `#` in front of a column's name makes it one of numbers."""
    heads = tuple(Column(name.removeprefix("#"), name.startswith("#")) for name in columns)
    return Table(caption, heads, tuple(tuple(row) for row in rows))


def quoted(text: str | None, longest: int = 160) -> str:
    """What a model or a file said, shortened; a dash for nothing."""
    if text is None:
        return "-"
    return Quoted(shortened(text, longest)) if text else "(empty)"
