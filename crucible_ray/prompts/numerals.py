r"""The final number of a reply, in one canonical form.

What counts as final, in this order: the last `\boxed{}`, the last `####`, the last "the answer is" (or `A:`
at the start of a line), the last number of the text. Canonical: the exact value as a decimal without grouping
or trailing zeros, or as a reduced fraction where no finite decimal is exact. A percent sign, a currency and a
unit are dropped.
"""

from __future__ import annotations

import re
from fractions import Fraction

_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")

_GROUPED = r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])"
_CONTINENTAL = (
    r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+|[0-9]{1,3}(?:\.[0-9]{3}){2,}(?![0-9])|[0-9]+,[0-9]{1,2}(?![0-9,])"
)
_NUMBER = re.compile(
    # Not inside a word, a decimal or an exponent; a minus after an operand is a subtraction, not a sign.
    r"(?<![\w.^])(?<!\^\{)"
    r"(?:(?<![\w)\]}%])(?P<minus>-[ ]?))?(?:[$€£¥][ ]?(?P<late_minus>-)?)?"
    r"(?:(?P<whole>[0-9]+)[ ](?P<part>[0-9]+/[0-9]+)(?![0-9/])"
    rf"|(?P<body>{_CONTINENTAL}|{_GROUPED}|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    r"(?:[eE](?P<ten>[+-]?[0-9]+)(?!\w)"
    r"|[ ]?(?:[x×*]|\\times)[ ]?10[ ]?\^[ ]?\{?(?P<times_ten>[+-]?[0-9]+)\}?"
    r"|\^\{?(?P<power>[+-]?[0-9]+)\}?"
    r"|[ ]?/[ ]?[$]?(?P<over>[0-9]+(?:\.[0-9]+)?)(?![0-9]|[ ]?/))?)"
)

_ENUMERATION = re.compile(r"^[ \t>*_#-]*(?:[Ss]tep[ ])?[0-9]{1,3}(?:[.):]|\*\*)(?=[ \t*]+\S)", re.MULTILINE)
_ANSWER = re.compile(
    r"\banswer\b[^.\n0-9]{0,60}?(?:\bis\b|:|=|\bwas\b|\bequals\b|\bwould be\b)|^[ \t>*_#]*A:",
    re.IGNORECASE | re.MULTILINE,
)
_HASHES = re.compile(r"####[ \t]*(\S[^\n]*)")
_SENTENCE_END = re.compile(r"\n|[.!?](?=\s|$)")
_LEAD = re.compile(
    r"[\s*_`:(\[{]*(?:\b(?:about|approximately|exactly|only|roughly|just|simply|now|USD)\b[\s*_`]*)*"
)
_TRANSLATE = str.maketrans({"−": "-", "–": "-", "％": "%"})
_THIN_GROUPS = re.compile("(?<=[0-9])[\u00a0\u202f\u2009](?=[0-9]{3}(?![0-9]))")
_FRACTION = re.compile(r"\\[dt]?frac\{([0-9.,]+)\}\{([0-9.,]+)\}")
_DIGITS = 400
"""Longer numbers and larger exponents are no answers: no reply may ask for a gigabyte of digits."""


def read_number(text: str) -> str | None:
    """The final number of `text` in canonical form; None where there is none."""
    stripped = text.strip()
    if _PLAIN.fullmatch(stripped):
        return "0" if stripped == "-0" else stripped
    clean = _without_markup(stripped)
    for segment in _final_segments(clean):
        value = _stated(segment)
        if value is not None:
            return canonical(value)
    value = _last(_ENUMERATION.sub(" ", clean))
    if value is None:
        value = _last(clean)
    return None if value is None else canonical(value)


def canonical(value: Fraction) -> str:
    """`1234.5`, `-3`, or `1/3` where no finite decimal is exact."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _without_markup(text: str) -> str:
    if not text.isascii():
        text = _THIN_GROUPS.sub("", text.translate(_TRANSLATE))
    if "\\" in text:
        text = (
            text.replace("\\$", "$")
            .replace("\\%", "%")
            .replace("\\!", "")
            .replace("{,}", ",")
            .replace("\\,", "")
        )
        text = _FRACTION.sub(r" \1/\2", text)
    return text


def _final_segments(text: str) -> list[str]:
    """The places where a reply states its answer, the most explicit first; of each kind the last."""
    segments = []
    boxed = _last_boxed(text)
    if boxed is not None:
        segments.append(boxed)
    hashes = _HASHES.findall(text)
    if hashes:
        segments.append(hashes[-1])
    for match in reversed(list(_ANSWER.finditer(text))):
        rest = text[match.end() :].lstrip(" \t\n*_")
        end = _SENTENCE_END.search(rest)
        segments.append(rest[: end.start()] if end else rest)
    return segments


def _last_boxed(text: str) -> str | None:
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 1, start + len("\\boxed{")
    for at in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[begin:at]
    return text[begin:]


def _stated(segment: str) -> Fraction | None:
    """The number that a statement gives: the result of a computation, what stands first, else the last."""
    _, equals, result = segment.rpartition("=")
    if equals:
        value = _first(result)
        if value is not None:
            return value
    lead = _LEAD.match(segment)
    match = _NUMBER.match(segment, lead.end() if lead else 0)
    value = _value(match) if match else None
    return _last(segment) if value is None else value


def _first(text: str) -> Fraction | None:
    match = _NUMBER.search(text)
    return _value(match) if match else None


def _last(text: str) -> Fraction | None:
    last = None
    for match in _NUMBER.finditer(text):
        value = _value(match)
        last = last if value is None else value
    return last


def _value(match: re.Match[str]) -> Fraction | None:
    """The value of one number; None where it is absurdly large or divides by nought."""
    group = match.groupdict()
    if len(match.group()) > _DIGITS:
        return None
    sign = -1 if group["minus"] or group["late_minus"] else 1
    if group["whole"] is not None:
        above, _, below = group["part"].partition("/")
        return None if int(below) == 0 else sign * (int(group["whole"]) + Fraction(int(above), int(below)))
    value = Fraction(_point(group["body"]))
    exponent = group["ten"] or group["times_ten"]
    if exponent is not None:
        if abs(int(exponent)) > _DIGITS:
            return None
        value *= Fraction(10) ** int(exponent)
    elif group["power"] is not None:
        power = int(group["power"])
        if abs(power) > 64 or len(group["body"]) > 6 or (value == 0 and power < 0):
            return None
        value **= power
    elif group["over"] is not None:
        over = Fraction(group["over"])
        if over == 0:
            return None
        value /= over
    return sign * value


def _point(body: str) -> str:
    """`1,234.5`, `1.234,5` and `12,5` with a point for the decimals and no grouping."""
    if re.fullmatch(_GROUPED, body):
        return body.replace(",", "")
    if re.fullmatch(_CONTINENTAL, body):
        return body.replace(".", "").replace(",", ".")
    return body
