"""`rescore`: the stored replies read, voted on, scored and analysed in another way, without one call.

The record goes through the same driver and clients as in a replay, under a plan that reads replies differently. What
comes out is a revision of its own, `revisions/NNN/`; the run's own numbers stay. Money and latency are those of the
record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.api.finishing import write_and_analyse
from crucible_ray.api.observing import is_priced
from crucible_ray.api.own import Own
from crucible_ray.api.places import REVISION, REVISIONS, revisions
from crucible_ray.api.preparing import Prepared
from crucible_ray.api.replaying import replayed
from crucible_ray.api.reporting import read_analysis, read_facts, reports_in, write_outcome, write_reports
from crucible_ray.api.result import RunResult
from crucible_ray.errors import SpecError, UsageError
from crucible_ray.experiment.defaults import own_parser
from crucible_ray.experiment.modules import load_function, names_function
from crucible_ray.experiment.plan import ConditionPlan, Plan
from crucible_ray.experiment.reading import parse_text
from crucible_ray.experiment.values import own_parser_problems
from crucible_ray.journal.artifacts import write_inputs
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.journal.store import BlockingLog
from crucible_ray.prompts import answer_key, parser
from crucible_ray.records import Item
from crucible_ray.reduction import Analysis, decode, encode
from crucible_ray.reports import RunFacts
from crucible_ray.runtime.code import Functions

_READING = ("parse", "normalize", "vote", "quorum")
"""What of a condition may change without asking again."""
_ANALYSIS = ("metrics", "own_metrics", "hypotheses", "analysis", "max_failed")
_NEEDS_CHOICES = frozenset({"choice", "first_letter"})


class ConditionChange(Struct, frozen=True, kw_only=True):
    """How one condition came out, against the run's own numbers."""

    predictions: int
    """Trials whose answer is read otherwise."""
    scores: int
    """Trials that are right now and were wrong, or the other way round, or are scored at all now or no more."""
    unreadable: tuple[int, int] = (0, 0)
    """Answers that cannot be read: before and now."""
    answered: int = 0
    """Trials with an answer, readable or not."""
    metrics: dict[str, tuple[float | None, float | None]]
    """By metric: the run's own value, if it had one, and the new one."""


class Revision(Struct, frozen=True, kw_only=True):
    """What a rescore did: `revision.json`."""

    number: int
    experiment_id: str
    created: str
    """ISO 8601."""
    changed: dict[str, tuple[Any, Any]]
    """By option (`single.parse`, `metrics`): before and after."""
    conditions: dict[str, ConditionChange]
    last_entry: int | None = None
    """The last entry of the run's record that was read: what came later is no part of this revision."""


def revised_plan(
    plan: Plan,
    items: Sequence[Item],
    *,
    parse: str | None = None,
    normalize: str | None = None,
    metrics: Sequence[str] = (),
    experiment: Prepared | None = None,
) -> Plan:
    """The plan with other readings. Raises SpecError, UsageError where replies would have to be asked for anew.

    experiment: readings, metrics, hypotheses and analysis are its own; parse and normalize go over all conditions.
    """
    if experiment is not None:
        plan = _after(plan, experiment.plan)
    conditions = tuple(_read_by(each, parse, normalize) for each in plan.conditions)
    chosen = (
        tuple(dict.fromkeys((*metrics, *(each.metric for each in plan.hypotheses))))
        if metrics
        else plan.metrics
    )
    own = tuple(each for each in plan.own_metrics if each.name in chosen)
    revised = replace(plan, conditions=conditions, metrics=chosen, own_metrics=own)
    _check(revised, items)
    return revised


def _read_by(condition: ConditionPlan, parse: str | None, normalize: str | None) -> ConditionPlan:
    """The condition under one reading, which is its members' too."""
    calls = condition.calls if parse is None else tuple(replace(call, parse=None) for call in condition.calls)
    return replace(
        condition,
        parse=parse or condition.parse,
        normalize=normalize or condition.normalize,
        calls=calls,
    )


def _after(plan: Plan, wanted: Plan) -> Plan:
    """The plan as another version of the experiment reads it; which items it would ask about does not matter."""
    theirs = {each.name: each for each in wanted.conditions}
    problems = []
    if theirs.keys() != {each.name for each in plan.conditions}:
        names = ", ".join(each.name for each in plan.conditions)
        problems.append(f"The run's conditions are {names}; the experiment's are {', '.join(theirs)}.")
    problems += [
        f"Condition {each.name!r} asks otherwise than the run did: only {', '.join(_READING)} may change."
        for each in plan.conditions
        if each.name in theirs and not _asks_the_same(each, theirs[each.name])
    ]
    if problems:
        raise SpecError((*problems, "A rescore only reads stored replies: run --reuse asks for what is new."))
    conditions = tuple(_read_as(each, theirs[each.name]) for each in plan.conditions)
    return replace(plan, conditions=conditions, **{name: getattr(wanted, name) for name in _ANALYSIS})


def _read_as(ours: ConditionPlan, theirs: ConditionPlan) -> ConditionPlan:
    calls = tuple(replace(a, parse=b.parse) for a, b in zip(ours.calls, theirs.calls, strict=True))
    return replace(ours, calls=calls, **{name: getattr(theirs, name) for name in _READING})


def _asks_the_same(ours: ConditionPlan, theirs: ConditionPlan) -> bool:
    def asked(condition: ConditionPlan) -> Any:
        calls = [
            (
                call.model.model,
                call.temperature,
                call.max_tokens,
                msgspec.json.encode(call.extra, order="sorted"),
            )
            for call in condition.calls
        ]
        return condition.kind, condition.prompts, calls

    return bool(asked(ours) == asked(theirs))


def _check(plan: Plan, items: Sequence[Item]) -> None:
    """Refuse what cannot be read so, before anything is computed. Raises SpecError."""
    from crucible_ray.ensemble import normalizer
    from crucible_ray.metrics.registry import metric_of

    for name in plan.metrics:
        metric_of(plan, name)
    for condition in plan.conditions:
        normalizer(condition.normalize)
        if condition.parse in _NEEDS_CHOICES and not all(item.choices for item in items):
            raise SpecError((f"parse = {condition.parse!r} needs choices, and some items have none.",))
        for parse in (condition.parse, *condition.parses):
            if own_parser(parse) is None:
                parser(parse)
        answer_key(condition.parse, items[0])


def own_reading(
    parse: str | Callable[..., Any] | None, version: Prepared | None
) -> tuple[str | None, Functions]:
    """(a `parse` as a plan has it, the author's own parsers that may read); a text may name a function of a file."""
    there = version.code.load() if version is not None else {}
    if isinstance(parse, str) and names_function(parse):
        parse = load_function(parse, Path.cwd())
    if parse is None or isinstance(parse, str):
        return parse, there
    if problems := own_parser_problems("parse", parse):
        raise SpecError(tuple(problems))
    text = parse_text(parse)
    return text, {**there, f"parse {text}": parse}


def parsers_to_run(plan: Plan, revised: Plan, own: Functions) -> Functions:
    """Which of an author's own parsers read anew: those that read what was read otherwise before."""
    wanted = {
        f"parse {now}"
        for ours, theirs in zip(plan.conditions, revised.conditions, strict=True)
        for was, now in zip((ours.parse, *ours.parses), (theirs.parse, *theirs.parses), strict=True)
        if was != now
    }
    return {place: function for place, function in own.items() if place in wanted}


async def revise(
    plan: Plan,
    revised: Plan,
    items: tuple[Item, ...],
    source: BlockingLog,
    folder: Path,
    *,
    own: Own,
    formats: Sequence[str],
    parsers: Functions = MappingProxyType({}),
) -> RunResult:
    """Write the next revision of a results folder and return it.

    parsers: the author's own that read replies anew. Raises UsageError, JournalError, StorageFailed.
    """
    first = read_analysis(folder)
    state = await read_state(source, conditions=len(plan.conditions))
    log = await replayed(revised, items, source, clients=1, parsers=parsers)
    kept = await read_state(log, conditions=len(plan.conditions))
    number = max((each for each, _ in revisions(folder)), default=0) + 1
    target = folder / REVISIONS / f"{number:03d}"
    await asyncio.to_thread(
        write_inputs,
        target,
        plan=revised,
        items=items,
        settings=_settings(folder),
        registered=kept.registrations,
    )
    analysis = await asyncio.to_thread(
        write_and_analyse, target, plan=revised, items=items, log=log, state=kept, own=own
    )
    encoded = encode(analysis)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    facts = read_facts(folder)
    if facts is not None:
        facts = replace(facts, plans={**facts.plans, created: kept.kept.count})
        facts = replace(facts, results_dir=str(target), reproduce=(), next_steps=())
    revision = Revision(
        number=number,
        last_entry=state.last,
        experiment_id=plan.experiment_id,
        created=created,
        changed=_changed(plan, revised),
        # As written: values are rounded there, and the run's own were read from there.
        conditions=_compared(first, decode(encoded), folder, target),
    )
    write_outcome(target, encoded, facts, revision)
    reports = write_reports(
        target, plan=revised, items=items, analysis=analysis, facts=facts, formats=formats
    )
    return _result(revised, target, analysis, state, reports, facts)


async def read_revised(plan: Plan, folder: Path, source: BlockingLog) -> RunResult:
    """A revision that was written earlier. source: the log of its run. Raises UsageError, JournalError."""
    state = await read_state(source, conditions=len(plan.conditions))
    return _result(plan, folder, read_analysis(folder), state, reports_in(folder), None)


def _result(
    plan: Plan,
    folder: Path,
    analysis: Analysis,
    state: JournalState,
    reports: dict[str, Path],
    facts: RunFacts | None,
) -> RunResult:
    complete = [condition.completeness for condition in analysis.conditions.values()]
    return RunResult(
        results_dir=folder,
        status=state.status or "broken",
        completed=sum(each.answered for each in complete),
        failed=sum(each.failed for each in complete),
        cost_usd=state.spent_usd if is_priced(plan) else None,
        reports=reports,
        analysis=analysis,
        plan=plan,
        session=facts,
    )


def read_revision(folder: Path) -> Revision:
    """What a revision did, by its folder. Raises UsageError."""
    try:
        return msgspec.json.decode((folder / REVISION).read_bytes(), type=Revision)
    except (FileNotFoundError, msgspec.DecodeError) as error:
        raise UsageError(f"{folder / REVISION} cannot be read: {error}.") from error


def _settings(folder: Path) -> Any:
    """The run's settings, as its own `config.json` has them."""
    return msgspec.json.decode((folder / "config.json").read_bytes()).get("settings")


def _changed(plan: Plan, revised: Plan) -> dict[str, tuple[Any, Any]]:
    pairs = [
        (f"{ours.name}.{name}", getattr(ours, name), getattr(theirs, name))
        for ours, theirs in zip(plan.conditions, revised.conditions, strict=True)
        for name in _READING
    ]
    pairs += [
        (f"{ours.name}.members", ours.parses, theirs.parses)
        for ours, theirs in zip(plan.conditions, revised.conditions, strict=True)
        if [call.parse for call in ours.calls] != [call.parse for call in theirs.calls]
    ]
    pairs += [(name, getattr(plan, name), getattr(revised, name)) for name in _ANALYSIS]
    return {name: (msgspec.to_builtins(a), msgspec.to_builtins(b)) for name, a, b in pairs if a != b}


def _compared(first: Analysis, now: Analysis, folder: Path, target: Path) -> dict[str, ConditionChange]:
    """By condition: what came out otherwise."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = ["trial", "condition", "prediction", "correct", "error"]
    before = pq.read_table(folder / "results.parquet", columns=columns)
    after = pq.read_table(target / "results.parquet", columns=columns)
    joined = before.join(after, "trial", join_type="inner", right_suffix="_now")
    found = {}
    for name, condition in now.conditions.items():
        rows = joined.filter(pc.equal(joined["condition"], name))
        was = first.conditions[name].metrics if name in first.conditions else {}
        found[name] = ConditionChange(
            predictions=_differing(rows["prediction"], rows["prediction_now"]),
            scores=_differing(rows["correct"], rows["correct_now"]),
            unreadable=(_unreadable(rows["error"]), _unreadable(rows["error_now"])),
            answered=condition.completeness.answered,
            metrics={
                each: (was[each].value if each in was else None, metric.value)
                for each, metric in condition.metrics.items()
            },
        )
    return found


def _differing(before: Any, after: Any) -> int:
    """In how many rows two columns differ; two missing values are the same."""
    return sum(a != b for a, b in zip(before.to_pylist(), after.to_pylist(), strict=True))


def _unreadable(errors: Any) -> int:
    return int(errors.to_pylist().count("parse_failed"))
