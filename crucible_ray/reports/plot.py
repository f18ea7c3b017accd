"""A small figure of one metric: a dot and its interval for each condition, as SVG that stands alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from crucible_ray.errors import StorageFailed, UsageError
from crucible_ray.reduction.analysis import Analysis
from crucible_ray.reports import words
from crucible_ray.reports.charts import WIDTH, Span, interval_chart
from crucible_ray.settings import did_you_mean

_STYLE = (
    "<style>text{font:12px sans-serif;fill:#1a1a1a}.tick{font-size:10px;fill:#666}.label{font-weight:600}"
    ".grid{stroke:#ddd}.bar{stroke:#1f6f8b;stroke-width:3;stroke-linecap:round}.dot{fill:#1f6f8b}</style>"
)


class Plot:
    """A figure that a notebook draws; `save` writes it to a file."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def save(self, path: str | Path) -> None:
        """Write the SVG. Raises StorageFailed."""
        try:
            Path(path).write_text(self.svg, encoding="utf-8")
        except OSError as error:
            raise StorageFailed(str(path), error.strerror or str(error)) from error

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return "Plot: a notebook draws it; .save('figure.svg') writes it"


def plot(analysis: Analysis, metric: str) -> Plot:
    """One metric of every condition that has a value. Raises UsageError where there is none."""
    metrics = {name for condition in analysis.conditions.values() for name in condition.metrics}
    if metric not in metrics:
        raise UsageError(f"the run has no metric {metric!r}: {did_you_mean(metric, metrics)}")
    spans = [
        Span(label=name, value=found.value, low=found.ci_low, high=found.ci_high)
        for name, condition in analysis.conditions.items()
        if (found := condition.metrics[metric]).value is not None
    ]
    if not spans:
        raise UsageError(f"no condition has a value of {metric}: there is nothing to draw.")
    drawn = interval_chart(spans, partial(words.value, metric))
    head, _, rest = str(drawn).partition(">")
    alone = head.replace("<svg", f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}"', 1)
    return Plot(f"{alone}>{_STYLE}{rest}")
