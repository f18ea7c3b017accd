"""When two answers count as the same one. What is shown is always the original text."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from crucible_ray.errors import SpecError
from crucible_ray.experiment.defaults import NORMALIZE_KINDS
from crucible_ray.settings import did_you_mean

Normalizer = Callable[[str], str]

_NUMBER = re.compile(
    r"(?P<sign>[+-]?)[ ]?[$€£¥]?[ ]?(?P<late>[+-]?)"
    r"(?P<body>[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?|[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?P<ten>e[+-]?[0-9]{1,3})?(?:/(?P<over>[0-9]+))?[ ]?[%$€£¥]?\.?"
)
_SIGNS = str.maketrans({"−": "-", "–": "-", "％": "%"})
_LONGEST = 400
"""Characters; what is longer is no number that anybody compares."""
_BOOLEANS = dict.fromkeys(("true", "yes", "y", "t", "1"), "true")
_BOOLEANS |= dict.fromkeys(("false", "no", "n", "f", "0"), "false")


def normalizer(kind: str) -> Normalizer:
    """The function behind a name, one of `NORMALIZE_KINDS`. Raises SpecError for any other.

    `none`: as it stands. `lowercase_trim`: without case and surrounding space. `numeric`: 1,000 and $1000.0
    are one answer. `boolean`: yes and true are one, no and false the other. What is no number and no boolean
    is matched by `lowercase_trim`.
    """
    found = _KINDS.get(kind)
    if found is None:
        raise SpecError((f"normalize={kind!r} does not exist: {did_you_mean(kind, NORMALIZE_KINDS)}",))
    return found


def normalize(kind: str, text: str) -> str:
    """`text` in the form in which answers are compared."""
    return normalizer(kind)(text)


def _lowercase_trim(text: str) -> str:
    return text.strip().lower()


def _numeric(text: str) -> str:
    plain = _lowercase_trim(text).translate(_SIGNS)
    match = _NUMBER.fullmatch(plain) if len(plain) <= _LONGEST else None
    if match is None or (match["sign"] and match["late"]) or (match["over"] and int(match["over"]) == 0):
        return plain
    value = Fraction(match["body"].replace(",", "") + (match["ten"] or ""))
    if match["over"]:
        value /= int(match["over"])
    return str(-value if "-" in (match["sign"], match["late"]) else value)


def _boolean(text: str) -> str:
    plain = _lowercase_trim(text)
    return _BOOLEANS.get(plain.rstrip(".!"), plain)


_KINDS: dict[str, Normalizer] = {
    "none": str,
    "lowercase_trim": _lowercase_trim,
    "numeric": _numeric,
    "boolean": _boolean,
}
