"""When two answers count as the same one. What is shown is always the original text."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from crucible_ray.errors import SpecError
from crucible_ray.experiment.defaults import NORMALIZE_KINDS

Normalizer = Callable[[str], str]


def normalizer(kind: str) -> Normalizer:
    """The function behind a name: `none` or `lowercase_trim`. Raises SpecError for any other."""
    found = _KINDS.get(kind)
    if found is None:
        near = get_close_matches(kind, NORMALIZE_KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(NORMALIZE_KINDS)}."
        raise SpecError((f"normalize={kind!r} does not exist: {hint}",))
    return found


def normalize(kind: str, text: str) -> str:
    """`text` in the form in which answers are compared."""
    return normalizer(kind)(text)


def _lowercase_trim(text: str) -> str:
    return text.strip().lower()


_KINDS: dict[str, Normalizer] = {"none": str, "lowercase_trim": _lowercase_trim}
