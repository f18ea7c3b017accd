"""Cells of `results.csv`: RFC 4180, the same bytes everywhere, and nothing that a spreadsheet would run.

Numbers have one form each: milliseconds with three decimals from whole microseconds, other floats by their
shortest repr. Text keeps line breaks and tabs; other control characters are shown as `\\xNN`, also those above 127,
which terminals obey; marks that turn the direction of writing around, so that a cell reads as what it is not, are shown
as `\\uNNNN` (those that belong to right-to-left text, U+200E, U+200F and U+061C, stay). Text that a spreadsheet would
take for a formula gets an apostrophe in front, unless it is a number. The tables in Parquet hold every text as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_UNUSUAL = r"[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}]|^[=+\-@\t\r]"
_QUOTED = r"[\",\n]"


def integers(column: pa.Array) -> pa.Array:
    """Whole numbers as text; null stays null, as in every function here."""
    return pc.cast(column, pa.string())


def milliseconds(column_us: pa.Array) -> pa.Array:
    """Microseconds as milliseconds with three decimals."""
    whole = pc.divide(column_us, 1000)
    rest = pc.subtract(column_us, pc.multiply(whole, 1000))
    decimals = pc.utf8_lpad(integers(rest), 3, "0")
    return pc.binary_join_element_wise(integers(whole), decimals, ".")


def floats(column: pa.Array) -> pa.Array:
    """Doubles by their shortest repr."""
    return pa.array([None if value is None else repr(value) for value in column.to_pylist()], pa.string())


def texts(column: pa.Array) -> pa.Array:
    """Text, made harmless and quoted where it must be."""
    column = _mended(column, _UNUSUAL, _harmless)
    return _mended(column, _QUOTED, lambda text: '"' + text.replace('"', '""') + '"')


def lines(cells: list[pa.Array]) -> bytes:
    """Columns of finished cells as lines, each ended by a line feed; null is an empty cell."""
    rows = pc.binary_join_element_wise(*cells, ",", null_handling="replace", null_replacement="")
    return "".join(f"{row}\n" for row in rows.to_pylist()).encode()


def _harmless(text: str) -> str:
    shown = _CONTROL.sub(_escaped, text)
    return f"'{shown}" if text[0] in "=+-@\t\r" and not _NUMBER.fullmatch(text) else shown


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _mended(column: pa.Array, pattern: str, mend: Callable[[str], str]) -> pa.Array:
    """The few texts that match `pattern` (RE2), mended; most columns pass as they are."""
    matches = pc.fill_null(pc.match_substring_regex(column, pattern), False)
    if not pc.any(matches).as_py():
        return column
    mended = [mend(text) for text in column.filter(matches).to_pylist()]
    return pc.replace_with_mask(column, matches, pa.array(mended, pa.string()))
