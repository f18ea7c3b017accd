"""A result in few lines: for a terminal, and as HTML for a notebook. Whatever a model or a file said is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2

from crucible_ray.reduction.analysis import Analysis
from crucible_ray.reports import findings, words


def result_lines(summary: Mapping[str, Any], analysis: Analysis) -> list[str]:
    """What `print(result)` shows: how it stands, each condition, each verdict, where it is."""
    lines = [f"{analysis.name} ({summary['experiment_id']}): {_standing(summary)}"]
    for name, condition in analysis.conditions.items():
        shown = [
            f"{metric} {words.with_interval(metric, found)}" for metric, found in condition.metrics.items()
        ]
        lines.append(f"  {name}: {', '.join(shown)}")
    lines += [
        f"  {each.metric}: {each.a} - {each.b}   {words.compared(each)}"
        for each in analysis.comparisons
        if not each.exploratory or not analysis.hypotheses
    ]
    lines += [f'  "{each.text}": {words.VERDICTS[each.verdict]}' for each in analysis.hypotheses]
    if summary.get("exception") is not None:
        lines.append("  the experiment's own code failed; the first time, here:")
        lines += [f"  {line}" for line in summary["exception"].splitlines()]
    lines.append(f"  {summary['results_dir']}")
    return [words.printable(line) for line in lines]


def result_html(summary: Mapping[str, Any], analysis: Analysis) -> str:
    """What a notebook shows in place of `print(result)`."""
    return _template().render(
        summary=summary,
        analysis=analysis,
        words=words,
        finding=findings.finding(analysis),
        standing=_standing(summary),
        metrics=list(dict.fromkeys(m for c in analysis.conditions.values() for m in c.metrics)),
    )


def _standing(summary: Mapping[str, Any]) -> str:
    done = summary["completed"] + summary["failed"]
    parts = [f"{summary['status']}, {done:,}/{summary['trials']:,} trials"]
    parts += [f"{summary['failed']:,} failed"] if summary["failed"] else []
    parts += [f"{summary['pending']:,} pending"] if summary["pending"] else []
    return ", ".join([*parts, words.dollars(summary["cost_usd"])])


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("crucible_ray.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        # A direction override or a control character would act on what stands around it.
        finalize=lambda value: words.printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("result.html.jinja")
