"""Numbers as drawings: inline SVG, as wide as a phone, in the page's own colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup
from msgspec import Struct

from crucible_ray.reports.visible import shortened, visible

WIDTH = 340
_LEFT, _RIGHT = 12, 328
_ROW = 38
_TOP = 8
_FOOT = 26
_LABEL = 34


class Span(Struct, frozen=True, kw_only=True):
    """One row of an interval chart."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


class Box(Struct, frozen=True, kw_only=True):
    """One row of a box chart: five quantiles."""

    label: str
    marks: tuple[float, float, float, float, float]
    """Ascending: whisker, quarter, median, quarter, whisker."""


class Scale(Struct, frozen=True):
    """From numbers to places between the left and the right edge."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def __call__(self, number: float) -> float:
        """Where a number lies, in units of the drawing."""
        share = (number - self.low) / (self.high - self.low)
        return round(_LEFT + share * (_RIGHT - _LEFT), 1)


def interval_chart(
    spans: Sequence[Span], shown: Callable[[float], str], *, lines: Sequence[tuple[float, str]] = ()
) -> str:
    """A dot and an interval for each row, over one axis. lines: numbers that a reader compares with, and their names."""
    numbers = [n for span in spans for n in (span.value, span.low, span.high) if n is not None]
    scale = scale_of([*numbers, *(at for at, _ in lines)])
    drawn = [Markup()]
    for row, span in enumerate(spans):
        y = _TOP + row * _ROW + 26
        drawn.append(_label(span.label, shown(span.value), y - 12))
        if span.low is not None and span.high is not None:
            drawn.append(_line(scale(span.low), y, scale(span.high), y, "bar"))
        drawn.append(Markup('<circle class="dot" cx="{}" cy="{}" r="4.5"/>').format(scale(span.value), y))
    return _drawing(drawn, len(spans), scale, shown, lines)


def box_chart(boxes: Sequence[Box], shown: Callable[[float], str]) -> str:
    """A box from quarter to quarter, the median in it, whiskers on both sides."""
    scale = scale_of([number for box in boxes for number in box.marks])
    drawn = [Markup()]
    for row, box in enumerate(boxes):
        y = _TOP + row * _ROW + 26
        low, first, middle, third, high = map(scale, box.marks)
        drawn.append(_label(box.label, shown(box.marks[2]), y - 12))
        drawn.append(_line(low, y, high, y, "bar thin"))
        drawn.append(
            Markup('<rect class="box" x="{}" y="{}" width="{}" height="12"/>').format(
                first, y - 6, max(1.0, round(third - first, 1))
            )
        )
        drawn.append(_line(middle, y - 6, middle, y + 6, "middle"))
    return _drawing(drawn, len(boxes), scale, shown, ())


def scatter_chart(
    points: Sequence[tuple[str, float, float]], across: Callable[[float], str], up: Callable[[float], str]
) -> str:
    """A named dot for each (name, x, y)."""
    height, floor = 220, 190
    x, y = scale_of([p[1] for p in points]), scale_of([p[2] for p in points])
    drawn = [Markup()]
    for tick in y.ticks:
        at = _up(y, tick, floor)
        drawn.append(_line(_LEFT, at, _RIGHT, at, "grid"))
        drawn.append(Markup('<text class="tick" x="{}" y="{}">{}</text>').format(_LEFT, at - 3, up(tick)))
    for tick in x.ticks:
        drawn.append(_tick(x(tick), height - 8, across(tick)))
    for name, right, high in points:
        at = _up(y, high, floor)
        anchor = "end" if x(right) > WIDTH / 2 else "start"
        drawn.append(Markup('<circle class="dot" cx="{}" cy="{}" r="4.5"/>').format(x(right), at))
        drawn.append(
            Markup('<text class="label" text-anchor="{}" x="{}" y="{}">{}</text>').format(
                anchor, x(right) + (-8 if anchor == "end" else 8), at + 4, _short(name)
            )
        )
    return _svg(drawn, height)


def series_chart(series: Sequence[tuple[str, Sequence[float | None]]], shown: Callable[[float], str]) -> str:
    """A line for each (name, values in order); None is a gap. One drawing a name, one scale for all."""
    scale = scale_of([value for _, values in series for value in values if value is not None])
    drawn, height = [Markup()], 70
    for row, (name, values) in enumerate(series):
        top = _TOP + row * height
        present = [value for value in values if value is not None]
        drawn.append(
            _label(name, f"{shown(min(present))} to {shown(max(present))}" if present else "", top + 8)
        )
        step = (_RIGHT - _LEFT) / max(1, len(values) - 1)
        points = " ".join(
            f"{_LEFT + k * step:.1f},{top + 62 - 46 * (value - scale.low) / (scale.high - scale.low):.1f}"
            for k, value in enumerate(values)
            if value is not None
        )
        drawn.append(_line(_LEFT, top + 62, _RIGHT, top + 62, "grid"))
        drawn.append(Markup('<polyline class="series" points="{}"/>').format(points))
    return _svg(drawn, _TOP + len(series) * height)


def scale_of(numbers: Sequence[float]) -> Scale:
    """A scale with round ticks that holds all the numbers with a little room."""
    low, high = min(numbers), max(numbers)
    if high <= low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    room = 0.06 * (high - low)
    low, high = low - room, high + room
    step = _round_step((high - low) / 3)
    first = math.ceil(low / step)
    ticks = tuple(step * k for k in range(first, math.floor(high / step) + 1))
    return Scale(low, high, ticks)


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(m for m in (1.0, 2.0, 5.0, 10.0) if m * power >= rough * (1 - 1e-9))


def _drawing(
    drawn: list[Markup],
    rows: int,
    scale: Scale,
    shown: Callable[[float], str],
    lines: Sequence[tuple[float, str]],
) -> str:
    bottom = _TOP + rows * _ROW + (14 if lines else 0)
    behind = [Markup()]
    for tick in scale.ticks:
        behind.append(_line(scale(tick), _TOP, scale(tick), bottom, "grid"))
        behind.append(_tick(scale(tick), bottom + 14, shown(tick)))
    for at, name in lines:
        behind.append(_line(scale(at), _TOP, scale(at), bottom, "mark"))
        behind.append(_tick(scale(at), bottom - 2, name))
    return _svg([*behind, *drawn], bottom + _FOOT)


def _svg(parts: Sequence[Markup], height: float) -> str:
    inner = Markup().join(parts)
    return Markup('<svg viewBox="0 0 {} {}" aria-hidden="true" focusable="false">{}</svg>').format(
        WIDTH, height, inner
    )


def _label(name: str, value: str, y: float) -> Markup:
    return Markup(
        '<text class="label" x="{}" y="{}">{}</text><text class="value" text-anchor="end" x="{}" y="{}">{}</text>'
    ).format(_LEFT, y, _short(name), _RIGHT, y, value)


def _tick(x: float, y: float, text: str) -> Markup:
    anchor = "start" if x < 40 else "end" if x > WIDTH - 40 else "middle"
    return Markup('<text class="tick" text-anchor="{}" x="{}" y="{}">{}</text>').format(anchor, x, y, text)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, x1, y1, x2, y2)


def _up(scale: Scale, number: float, floor: float) -> float:
    return round(floor - (number - scale.low) / (scale.high - scale.low) * (floor - 12), 1)


def _short(name: str) -> str:
    return visible(
        name if len(name) <= _LABEL else shortened(name, _LABEL).partition(" ... (")[0] + "\u2026",
        spaces=True,
    )
