"""Drawings hold the numbers that they were given, wherever those lie."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest

from crucible_ray.reports.charts import (
    WIDTH,
    Box,
    Span,
    box_chart,
    interval_chart,
    scale_of,
    scatter_chart,
    series_chart,
)

HOSTILE = "</svg><script>\u202e"
ROWS = [Span(label=HOSTILE, value=0.8, low=0.7, high=0.9), Span(label="b" * 500, value=0.5)]


def shown(number: float) -> str:
    return f"{number:.2f}"


@pytest.mark.parametrize(
    ("draw", "marks"),
    [
        (lambda: interval_chart(ROWS, shown, lines=[(0.0, "zero")]), 2),
        (lambda: box_chart([Box(label=HOSTILE, marks=(1, 2, 3, 4, 5))], shown), 1),
        (lambda: scatter_chart([(HOSTILE, 1, 2), ("b", 3, 3)], shown, shown), 2),
        (lambda: series_chart([(HOSTILE, [0.5, None, 0.7]), ("b", [1.0, 1.0])], shown), 2),
    ],
    ids=["intervals", "boxes", "scatter", "series"],
)
def test_a_drawing_is_well_formed_and_holds_every_row(draw: Callable[[], str], marks: int) -> None:
    root = ElementTree.fromstring(draw())
    kinds = [child.tag if child.get("class") in ("dot", "box", "series") else "" for child in root.iter()]
    assert len([kind for kind in kinds if kind]) == marks
    assert "<script>" in "".join(root.itertext())
    places = [float(child.get(name, 0)) for child in root.iter() for name in ("x", "x1", "x2", "cx")]
    assert 0 <= min(places) <= max(places) <= WIDTH


@pytest.mark.parametrize("numbers", [[0.0], [0.5, 0.5], [1e-9, 2e-9], [-1e6, 1e6], [0.0, 1.0, 0.3], [3.0e-5]])
def test_a_scale_has_round_ticks_within_its_edges(numbers: list[float]) -> None:
    scale = scale_of(numbers)
    assert scale.low < min(numbers) <= max(numbers) < scale.high
    assert 1 <= len(scale.ticks) <= 8
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks)
