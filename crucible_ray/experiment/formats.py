"""The formats of reports that may be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crucible_ray.errors import UsageError

FORMATS: Final = ("markdown", "html")
_LATER: Final = ("latex", "jupyter")


def check_formats(names: str | Sequence[str]) -> tuple[str, ...]:
    """The formats by those names (or the one), each once. Raises UsageError for one that cannot be written."""
    names = (names,) if isinstance(names, str) else names
    for name in names:
        if name not in FORMATS:
            trouble = "is not supported by this version" if name in _LATER else "is no format of a report"
            raise UsageError(f"--format {name} {trouble}: use {' or '.join(FORMATS)}.")
    if not names:
        raise UsageError(f"--format names nothing: use {' or '.join(FORMATS)}.")
    return tuple(dict.fromkeys(names))
