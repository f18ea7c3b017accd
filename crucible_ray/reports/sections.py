"""A report's sections, from the plan, the analysis, how it ran, and the single questions."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct

from crucible_ray.experiment.plan import Plan
from crucible_ray.records import Item
from crucible_ray.reduction.analysis import Analysis
from crucible_ray.reports import comparisons, detail, figures, findings, stopping, words
from crucible_ray.reports.answers import single_questions
from crucible_ray.reports.blinding import blinding
from crucible_ray.reports.datasets import by_dataset
from crucible_ray.reports.draws import separate_draws
from crucible_ray.reports.facts import RunFacts
from crucible_ray.reports.missing import missing_data
from crucible_ray.reports.page import (
    Block,
    Bullets,
    Code,
    Page,
    Section,
    Text,
    quoted,
    table,
)
from crucible_ray.reports.provenance import described, how_it_ran, prompts, reproducing
from crucible_ray.reports.questions import Questions
from crucible_ray.reports.registration import preregistration
from crucible_ray.reports.variance import variance

_CUSTOM = 2000


class Source(Struct, frozen=True, kw_only=True):
    """All that a report is made of."""

    plan: Plan
    analysis: Analysis
    facts: RunFacts | None = None
    """None: not recorded."""
    questions: Questions | None = None
    """None: no table of single questions."""
    items: tuple[Item, ...] = ()


def page(source: Source) -> Page:
    """The whole report; a section that has nothing to say is left out."""
    hides = source.analysis.blind is not None and source.analysis.blind.hidden
    made = [section for make in (_HIDDEN if hides else _MAKERS) for section in make(source)]
    simulated = source.analysis.simulated
    return Page(
        title=source.analysis.name,
        description=source.plan.description,
        notice="Simulated: no real model was asked; every answer comes from the built-in simulator."
        if simulated
        else "",
        sections=tuple(section for section in made if section.blocks),
    )


def _overview(source: Source) -> list[Section]:
    plan, facts = source.plan, source.facts
    rows: list[tuple[str, str]] = [("Experiment", Code(source.analysis.experiment_id))]
    if facts is not None:
        rows += [
            *_clock(facts),
            ("Status", facts.status),
            (
                "Total cost",
                words.dollars(facts.spent_usd) + (" (simulated)" if source.analysis.simulated else ""),
            ),
        ]
    shape = f"{words.count(plan.items, 'item')} x {words.count(plan.repeats, 'repeat')} x "
    shape += words.count(len(plan.conditions), "condition")
    rows.append(("What ran", f"{plan.dataset}: {shape}"))
    return [Section("Overview", (table("The run", ("", ""), rows),))]


def _clock(facts: RunFacts) -> list[tuple[str, str]]:
    started, ended = words.moment(facts.started), words.moment(facts.started, facts.duration_s)
    lasted = words.duration(facts.duration_s)
    if facts.begun is None:
        return [("Started", started), ("Completed", ended), ("Duration", lasted)]
    return [
        ("Started", words.moment(facts.begun)),
        ("Last session", f"{started} to {ended}, {lasted}"),
    ]


def _finding(source: Source) -> list[Section]:
    analysis = source.analysis
    lines = tuple(findings.sentences(analysis))
    blocks: list[Block] = [Text(findings.finding(analysis))]
    if (early := findings.unfinished(analysis)) is not None:
        blocks.append(Text(early))
    blocks += [Bullets(lines)] if lines else []
    return [Section("Key finding", (*blocks, Text(findings.recommendation(analysis))))]


def _conditions(source: Source) -> list[Section]:
    plan, analysis = source.plan, source.analysis
    rows = [
        (
            condition.name,
            described(condition),
            *(words.with_interval(m, analysis.conditions[condition.name].metrics[m]) for m in plan.metrics),
        )
        for condition in plan.conditions
    ]
    columns = ("condition", "what it is", *(f"#{metric}" for metric in plan.metrics))
    note = Text(
        f"Intervals are at {100 * analysis.confidence:.4g} %; repeats count as replicates of their item. A latency "
        "quantile has an interval only where there are items enough for one."
        + (" Prompts differ: see Configuration." if len(prompts(plan)) > 1 else "")
    )
    charts = figures.conditions(analysis, plan.metrics, source.questions)
    return [
        Section("Conditions", (table("Each condition's metrics", columns, rows), note, *charts)),
        *detail.spread(analysis),
        *detail.topics(analysis),
        *_members(plan, analysis),
        *detail.consensus(analysis),
    ]


def _members(plan: Plan, analysis: Analysis) -> list[Section]:
    rows = [
        (
            name,
            member + (" (best)" if member == condition.best_member else ""),
            found.model,
            words.with_interval("accuracy", found.accuracy),
            f"{found.accuracy.n:,}",
        )
        for name, condition in analysis.conditions.items()
        for member, found in condition.members.items()
    ]
    if not rows:
        return []
    columns = ("ensemble", "member", "model", "#accuracy", "#answers")
    notes = [Text("The best single member is chosen after seeing the results: exploratory.")]
    if (apart := separate_draws(plan, analysis)) is not None:
        notes.append(Text(apart))
    shown = table("Each member by its own answers", columns, rows)
    return [Section("Members of the ensembles", (shown, *notes), level=3)]


def _custom(source: Source) -> list[Section]:
    """What the author's own analysis said."""
    found = source.analysis.custom
    if not found:
        return []
    rows = [
        (name, quoted(value if isinstance(value, str) else msgspec.json.encode(value).decode(), _CUSTOM))
        for name, value in found.items()
    ]
    return [Section("Own analysis", (table("What the experiment's own analysis says", ("of", "is"), rows),))]


def _warnings(source: Source) -> list[Section]:
    found = source.analysis.warnings
    return [Section("Warnings", (Bullets(tuple(each.told for each in found)),))] if found else []


def _completeness(source: Source) -> list[Section]:
    analysis = source.analysis
    rows = [
        (
            name,
            *(f"{n:,}" for n in (c.planned, c.answered, c.parse_failed, c.failed, c.pending)),
            words.interval("accuracy", c.accuracy_low, c.accuracy_high),
        )
        for name, condition in analysis.conditions.items()
        for c in (condition.completeness,)
    ]
    columns = ("condition", "#planned", "#answered", "#unreadable", "#failed", "#pending")
    told = Text(
        "A failed trial is missing data, not a wrong answer; an answer that cannot be read is a wrong answer."
    )
    shown = table(
        "How much of each condition there is", (*columns, "#accuracy if all failed were wrong, right"), rows
    )
    fallen = tuple(
        f"{name}: {c.by_fallback:,} of {c.answered:,} answered trials have a reply of a fallback."
        for name, condition in analysis.conditions.items()
        for c in (condition.completeness,)
        if c.by_fallback
    )
    blocks = (told, shown, *((Bullets(fallen),) if fallen else ()))
    return [Section("Completeness", blocks), *missing_data(analysis)]


def _cost(source: Source) -> list[Section]:
    rows = [
        (
            name,
            words.dollars(found.spend.answered_usd),
            words.dollars(found.spend.failed_usd),
            f"{found.spend.unpriced:,}",
        )
        for name, found in source.analysis.conditions.items()
    ]
    columns = ("condition", "#answered trials", "#failed trials", "#rows without a price")
    blocks: list[Block] = [table("What each condition cost", columns, rows)]
    facts = source.facts
    if facts is not None:
        told = f"All money spent, lost attempts included: {words.dollars(facts.spent_usd)}"
        told += (
            f" of {words.dollars(facts.estimated_usd)} estimated" if facts.estimated_usd is not None else ""
        )
        if facts.spent_usd and facts.unrecorded_usd > 0.01 * facts.spent_usd:
            told += f"; {words.dollars(facts.unrecorded_usd)} of it was held by what was killed, and perhaps not spent"
        blocks.append(Text(f"{told}."))
    return [Section("Cost", (*blocks, *figures.cost(source.analysis))), *detail.cost_benefit(source.analysis)]


def _limitations(source: Source) -> list[Section]:
    return [
        Section(
            "What this cannot say",
            (
                Bullets(
                    (
                        *findings.limitations(source.plan, source.analysis),
                        *stopping.limitation(source.analysis),
                    )
                ),
            ),
        )
    ]


_MAKERS: tuple[Callable[[Source], list[Section]], ...] = (
    _overview,
    _finding,
    _warnings,
    lambda source: comparisons.hypotheses(source.analysis),
    lambda source: stopping.sections(source.analysis),
    lambda source: preregistration(source.analysis, source.facts),
    lambda source: blinding(source.analysis),
    _conditions,
    lambda source: by_dataset(source.plan, source.analysis),
    lambda source: comparisons.comparisons(source.analysis),
    _custom,
    _completeness,
    lambda source: variance(source.plan, source.analysis),
    _cost,
    lambda source: how_it_ran(source.plan, source.facts),
    _limitations,
    lambda source: reproducing(source.plan, source.analysis, source.facts),
    lambda source: single_questions(source.plan, source.items, source.questions),
)

_HIDDEN: tuple[Callable[[Source], list[Section]], ...] = (
    _overview,
    lambda source: blinding(source.analysis),
    _warnings,
    _conditions,
    _completeness,
    lambda source: how_it_ran(source.plan, source.facts),
)
"""Of a blind run's interim report."""
