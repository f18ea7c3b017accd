"""A report's sections, from the plan, the analysis, how it ran, and the single questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from crucible_ray.experiment.plan import ConditionPlan, Plan
from crucible_ray.records import Item
from crucible_ray.reduction.analysis import Analysis, Comparison
from crucible_ray.reports import detail, drawn, words
from crucible_ray.reports.factor import by_dataset
from crucible_ray.reports.facts import RunFacts
from crucible_ray.reports.page import (
    Block,
    Bullets,
    Code,
    Commands,
    Page,
    Section,
    Strong,
    Table,
    Text,
    quoted,
    table,
)
from crucible_ray.reports.questions import Answer, Questions, counted
from crucible_ray.reports.visible import shortened

_QUESTION = 100
"""Characters of a question in the table of questions."""
_ANSWER = 40
_CUSTOM = 2000
_FILES = (
    ("config.json", "the resolved experiment and settings, hypotheses as they were declared"),
    ("dataset.jsonl", "exactly the items used"),
    ("environment.json", "versions, git commit, model versions as reported"),
    ("results.csv, results.parquet", "one row per trial"),
    ("calls.parquet, prompts.parquet", "every model call, every distinct prompt"),
    ("analysis.json", "every number of this report"),
    ("run.json", "clocks, processes and money of the run"),
    ("run.log", "what happened, as JSON lines"),
    ("checkpoints/", "the record that all of this is made from"),
)


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
    made = [section for make in _MAKERS for section in make(source)]
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
            ("Started", words.moment(facts.started)),
            ("Completed", words.moment(facts.started, facts.duration_s)),
            ("Duration", words.duration(facts.duration_s)),
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


def _finding(source: Source) -> list[Section]:
    analysis = source.analysis
    lines = tuple(words.sentences(analysis))
    blocks: list[Block] = [Text(words.finding(analysis))]
    blocks += [Bullets(lines)] if lines else []
    return [Section("Key finding", (*blocks, Text(words.recommendation(analysis))))]


def _hypotheses(source: Source) -> list[Section]:
    found = source.analysis.hypotheses
    if not found:
        return []
    rows = [
        (
            h.text,
            Strong(words.VERDICTS[h.verdict]),
            words.difference(h.metric, h.estimate),
            _between(h.metric, h.ci_low, h.ci_high),
            f"{100 * h.confidence:.4g} %",
            h.reason,
        )
        for h in found
    ]
    columns = ("hypothesis", "verdict", "#estimate", "#interval", "#confidence", "why")
    blocks: list[Block] = [table("Verdict on each declared hypothesis", columns, rows)]
    if len(found) > 1:
        alone = "; ".join(words.VERDICTS[h.bonferroni] for h in found)
        blocks.append(
            Text(
                "Each verdict is read from the interval at the level that the correction "
                f"({source.analysis.correction}) gives it; Bonferroni alone would have said: {alone}."
            )
        )
    return [Section("Hypotheses", (*blocks, *drawn.hypotheses(found)))]


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
    )
    charts = drawn.conditions(analysis, plan.metrics, source.questions)
    return [
        Section("Conditions", (table("Each condition's metrics", columns, rows), note, *charts)),
        *detail.spread(analysis),
        *_members(analysis),
        *detail.consensus(analysis),
    ]


def _members(analysis: Analysis) -> list[Section]:
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
    note = Text("The best single member is chosen after seeing the results: exploratory.")
    return [
        Section(
            "Members of the ensembles",
            (table("Each member by its own answers", columns, rows), note),
            level=3,
        )
    ]


def _comparisons(source: Source) -> list[Section]:
    found = source.analysis.comparisons
    if not found:
        return []
    rows = [
        (
            c.metric,
            f"{c.a} - {c.b}",
            words.difference(c.metric, c.estimate) + (words.unit(c.metric) if c.estimate is not None else ""),
            _between(c.metric, c.ci_low, c.ci_high),
            words.p_text(c.p_value),
            words.test_name(c) + (" (exploratory)" if c.exploratory else ""),
        )
        for c in found
    ]
    columns = ("metric", "a - b", "#difference", "#interval", "#p", "test")
    told = Bullets(tuple(_why(c) for c in found))
    return [Section("Comparisons", (table("Differences between conditions", columns, rows), told))]


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


def _why(c: Comparison) -> str:
    text = f"{c.metric}, {c.a} - {c.b}: {'; '.join((c.reason, *c.notes))}."
    statistic = words.apa(c)
    if statistic is not None:
        text += f" {statistic}."
    naive = words.naive(c)
    if naive:
        text += f" For contrast, {naive}: it takes repeats for items and ignores the pairing."
    return text


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
    return [Section("Completeness", (told, shown)), *_failures(analysis), *detail.topics(analysis)]


def _failures(analysis: Analysis) -> list[Section]:
    rows = [
        (name, kind, f"{count:,}")
        for name, condition in analysis.conditions.items()
        for kind, count in condition.completeness.errors.items()
    ]
    if not rows:
        return []
    lost = tuple(
        f"{c.a} and {c.b} fail equally often: {words.p_text(c.missing_p)}; with every failed trial the difference in "
        f"accuracy lies between {words.difference('accuracy', c.worst)} and "
        f"{words.difference('accuracy', c.best)} points."
        for c in analysis.comparisons
        if c.missing_p is not None and c.metric == "accuracy"
    )
    shown = table("Failed trials by class", ("condition", "class", "#trials"), rows)
    return [Section("Failures by class", (shown, *((Bullets(lost),) if lost else ())), level=3)]


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
        blocks.append(Text(f"{told}."))
    return [Section("Cost", (*blocks, *drawn.cost(source.analysis))), *detail.cost_benefit(source.analysis)]


def _questions(source: Source) -> list[Section]:
    found, plan = source.questions, source.plan
    if found is None or not found.shown:
        return []
    voting = [index for index, condition in enumerate(plan.conditions) if condition.vote is not None]
    topics = any(item.topic for item in source.items)
    rows = []
    for question in found.shown:
        item = source.items[question.item]
        rows.append(
            (
                quoted(item.id, _ANSWER),
                *((quoted(item.topic, _ANSWER),) if topics else ()),
                quoted(item.input, _QUESTION),
                quoted(item.expected, _ANSWER),
                *(_answers(answers) for answers in question.answers),
                *(_votes(question.answers[index]) for index in voting),
            )
        )
    names = [condition.name for condition in plan.conditions]
    columns = ("item", *(("topic",) if topics else ()), "question", "expected", *names)
    columns += tuple(f"votes of {names[index]}" for index in voting)
    rest = found.total - len(found.shown)
    order = (
        "Those on which conditions differ most come first, then those that are answered wrongly most often."
    )
    more = f" {rest:,} more questions are not shown here; results.csv has all of them." if rest else ""
    return [
        Section(
            "Question by question", (Text(order + more), table("Answers to single questions", columns, rows))
        )
    ]


def _answers(answers: Sequence[Answer]) -> str:
    """`A right, C wrong (x2)`: what repeats answered, the commonest first."""
    return quoted("; ".join(_outcome(each, times) for each, times in counted(answers)), 3 * _ANSWER)


def _outcome(answer: Answer, times: int) -> str:
    if answer.error is not None:
        told = answer.error.replace("_", " ")
    else:
        mark = {1: " \N{CHECK MARK}", 0: " \N{BALLOT X}", None: ""}[answer.correct]
        told = f"{shortened(answer.prediction or '-', _ANSWER)}{mark}"
    return told if times == 1 else f"{told} x{times}"


def _votes(answers: Sequence[Answer]) -> str:
    total: dict[str, int] = {}
    for answer in answers:
        for choice, votes in (answer.votes or {}).items():
            total[choice] = total.get(choice, 0) + votes
    ranked = sorted(total.items(), key=lambda each: -each[1])
    return (
        quoted(", ".join(f"{shortened(choice, _ANSWER)} {votes}" for choice, votes in ranked), 3 * _ANSWER)
        if total
        else "-"
    )


def _how(source: Source) -> list[Section]:
    facts, plan = source.facts, source.plan
    order = "seeded permutation of blocks" if plan.randomize else "as the dataset stands"
    lines = [f"Order: {order}, seed {plan.seed}."]
    if facts is None:
        lines.append("Nothing is recorded of clocks and processes.")
    else:
        clients = words.count(facts.clients, "client")
        lines += [
            f"{facts.runtime}, {clients}, {facts.calls:,} calls, {facts.retries:,} retries, {facts.throttled:,} times "
            f"throttled, {words.duration(facts.quota_wait_s)} of waiting for limits in all.",
            f"Bound by: {facts.bound_by}.",
            *_mishaps(facts),
        ]
    return [Section("How it was run", (Bullets(tuple(lines)),))]


def _mishaps(facts: RunFacts) -> list[str]:
    lines = []
    if facts.kill is not None:
        lines.append(
            f"A client actor was killed on purpose at {facts.kill.at_percent:.0f} %: {facts.kill.handed_back} trials "
            f"handed back, {facts.kill.lost} lost, {facts.kill.doubled} doubled."
        )
    if facts.planted is not None:
        planted = words.difference("accuracy", facts.planted)
        lines.append(f"Planted in the simulator as the true difference: {planted} points.")
    return lines


def _limitations(source: Source) -> list[Section]:
    return [
        Section("What this cannot say", (Bullets(tuple(words.limitations(source.plan, source.analysis))),))
    ]


def _reproduce(source: Source) -> list[Section]:
    plan, facts = source.plan, source.facts
    blocks: list[Block] = []
    sources = tuple(words.references(source.analysis))
    if facts is not None and facts.reproduce:
        blocks.append(Commands(facts.reproduce))
    blocks.append(
        Text(
            f"To cite: {source.analysis.name}, experiment {source.analysis.experiment_id}, dataset {plan.dataset}, "
            f"seed {plan.seed}; the id is a hash of everything that can change an answer."
        )
    )
    return [
        Section("How to reproduce", tuple(blocks)),
        Section("Configuration", (_configuration(plan),), level=3),
        Section("Environment", _environment(facts), level=3),
        Section("Files", (_files(),), level=3),
        *([Section("References", (Bullets(sources),), level=3)] if sources else []),
    ]


def _configuration(plan: Plan) -> Table:
    rows: list[tuple[str, str]] = [
        ("dataset", plan.dataset),
        *(("version", f"{each.name} {each.version}") for each in plan.datasets if each.version != "none"),
        ("SHA-256 of the items", Code(plan.dataset_checksum)),
        ("items, repeats, seed", f"{plan.items:,}, {plan.repeats}, {plan.seed}"),
        ("metrics", ", ".join(plan.metrics)),
        ("correction", f"{plan.analysis.correction} at alpha {plan.analysis.alpha:g}"),
    ]
    rows += [(condition.name, described(condition)) for condition in plan.conditions]
    return table("What was asked for", ("setting", "value"), rows)


def _environment(facts: RunFacts | None) -> tuple[Block, ...]:
    if facts is None:
        return ()
    rows = [(name, version) for name, version in facts.versions.items()]
    rows += [(f"{model} answered as", quoted(version)) for model, version in facts.model_versions.items()]
    return (table("With what it was run", ("part", "version"), rows),) if rows else ()


def _files() -> Table:
    return table(
        "What lies beside this report", ("file", "holds"), [(Code(name), holds) for name, holds in _FILES]
    )


def _between(metric: str, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "-"
    return f"{words.difference(metric, low)} to {words.difference(metric, high)}"


def described(condition: ConditionPlan) -> str:
    """A condition in words: its models, their parameters, its vote."""
    calls = [
        call.model.name
        + "".join(
            f", {name} {setting:g}"
            for name, setting in (("temperature", call.temperature), ("max_tokens", call.max_tokens))
            if setting is not None
        )
        for call in condition.calls
    ]
    if condition.function is not None:
        about = condition.function.description.partition("\n")[0]
        return f"function {condition.function.name}" + (f": {about}" if about else "")
    if condition.vote is None:
        return calls[0] if calls else condition.kind
    return f"{condition.vote} vote of " + "; ".join(calls)


_MAKERS: tuple[Callable[[Source], list[Section]], ...] = (
    _overview,
    _finding,
    _warnings,
    _hypotheses,
    _conditions,
    lambda source: by_dataset(source.plan, source.analysis),
    _comparisons,
    _custom,
    _completeness,
    _cost,
    _questions,
    _how,
    _limitations,
    _reproduce,
)
