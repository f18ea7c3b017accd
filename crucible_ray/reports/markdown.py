"""`report.md`: the analysis as a page. Whatever the template prints is escaped, unless marked as safe."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jinja2

from crucible_ray.experiment.plan import ConditionPlan, Plan
from crucible_ray.reduction.analysis import Analysis
from crucible_ray.reports import words
from crucible_ray.reports.facts import RunFacts

_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


class _Safe(str):
    """Markdown of our own making."""

    __slots__ = ()


def write_markdown(plan: Plan, analysis: Analysis, facts: RunFacts) -> str:
    """The report of one run as Markdown (CommonMark with tables)."""
    return _template().render(
        plan=plan,
        analysis=analysis,
        facts=facts,
        words=words,
        members=[(name, found) for name, found in analysis.conditions.items() if found.members],
        described={condition.name: _described(condition) for condition in plan.conditions},
    )


def escape(text: str) -> str:
    """Text that means itself in Markdown and HTML, on one line, without control characters."""
    flat = "".join(character if character.isprintable() else " " for character in text)
    return _SPECIAL.sub(r"\\\1", flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def code(text: str) -> _Safe:
    """Text as a code span, whatever backticks it holds (CommonMark 6.1); a bar would end a table's cell."""
    flat = "".join(character if character.isprintable() else " " for character in text).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") or not flat else ""
    return _Safe(f"{fence}{pad}{flat}{pad}{fence}")


def _finalize(value: Any) -> Any:
    return escape(value) if isinstance(value, str) and not isinstance(value, _Safe) else value


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("crucible_ray.reports"),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = code
    return environment.get_template("report.md.jinja")


def _described(condition: ConditionPlan) -> str:
    calls = [
        call.model.name
        + "".join(
            f", {name} {setting:g}"
            for name, setting in (("temperature", call.temperature), ("max_tokens", call.max_tokens))
            if setting is not None
        )
        for call in condition.calls
    ]
    if condition.vote is None:
        return calls[0]
    return f"{condition.vote} vote of " + "; ".join(calls)
