"""From the record to results, analysis and reports; everything here can be done again from the log alone."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec.structs import replace

from crucible_ray.api.blinding import hides, shown_facts, shown_plan
from crucible_ray.api.failures import first_exception
from crucible_ray.api.next_steps import next_steps, recipe
from crucible_ray.api.observing import is_priced
from crucible_ray.api.own import Own, Recorded
from crucible_ray.api.preparing import Prepared
from crucible_ray.api.reporting import read_facts, write_outcome, write_reports
from crucible_ray.api.result import RunResult
from crucible_ray.api.session import Session
from crucible_ray.api.simulating import planted
from crucible_ray.ensemble import normalizer
from crucible_ray.experiment.blinding import hidden, standing
from crucible_ray.experiment.defaults import own_parser
from crucible_ray.experiment.grid import order_of
from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.registering import judged
from crucible_ray.journal.artifacts import write_results
from crucible_ray.journal.kept import kept_rows
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.journal.store import BlockingLog
from crucible_ray.metrics import score_accuracy
from crucible_ray.prompts import answer_key, parser
from crucible_ray.records import Item, Limits
from crucible_ray.reduction import Analysis, decode, encode, reduce
from crucible_ray.reduction.blind import hidden_analysis
from crucible_ray.reduction.stored import own_values
from crucible_ray.reports import KillFact, RunFacts
from crucible_ray.runtime.bounds import Load, bound_by

_COLUMNS = [
    "trial", "error", "prediction", "correct", "latency_us", "cost_usd", "input_tokens", "output_tokens",
    "reasoning_tokens", "finish_reason", "retries", "hedges", "hedge_wins", "unsent", "saved_usd", "consensus", "votes",
    "calls",
]  # fmt: skip


def member_score(plan: Plan, items: tuple[Item, ...]) -> Callable[[int, int, int, str, str | None], int]:
    """Scores one ensemble member's reply as if it had answered alone."""
    parses = [condition.parses for condition in plan.conditions]
    parsers = [[None if own_parser(each) else parser(each) for each in some] for some in parses]
    match = [normalizer(condition.normalize) for condition in plan.conditions]

    def score(condition: int, member: int, item: int, text: str, read: str | None) -> int:
        expected = answer_key(plan.conditions[condition].parse, items[item])
        parse = parsers[condition][member]
        answer = read if parse is None else parse(text, items[item])
        return score_accuracy(answer, expected, match[condition]) or 0

    return score


def analyse(
    plan: Plan, items: tuple[Item, ...], log: BlockingLog, state: JournalState, *, scratch: Path
) -> Analysis:
    """The analysis of the rows that count, without the author's own part.

    scratch: a folder for what does not fit into memory; its `results.parquet` has the values of own metrics.
    """
    own = own_values(plan, scratch / "results.parquet") if plan.own_metrics else ()
    with tempfile.TemporaryDirectory(dir=scratch) as aside:
        rows = kept_rows(log, state, scratch=Path(aside), columns=_COLUMNS)
        blind = standing(plan, state.registrations, trials=state.kept.count)
        registered = judged(plan, state.registrations, trials=state.kept.count)
        if blind is not None and blind.hidden:
            registered = registered and replace(registered, deviations=())  # told when names are
            found = reduce(hidden(plan), rows, items=items, preregistration=registered)
            return hidden_analysis(found, blind)
        score = member_score(plan, items)
        found = reduce(plan, rows, member_score=score, items=items, own=own, preregistration=registered)
        return found if blind is None else replace(found, blind=blind)


def write_and_analyse(
    folder: Path,
    *,
    plan: Plan,
    items: tuple[Item, ...],
    log: BlockingLog,
    state: JournalState,
    own: Own | Recorded,
    experiment_folder: Path | None = None,
) -> Analysis:
    """The tables into `folder`, and the analysis of them. Raises StorageFailed; SpecError where an own function fails."""
    write_results(
        folder,
        plan=plan,
        items=items,
        log=log,
        state=state,
        positions=order_of(plan).positions_of,
        experiment_folder=experiment_folder,
        own=own.columns(plan, items) if plan.own_metrics else None,
    )
    analysis = analyse(plan, items, log, state, scratch=folder)
    if plan.analysis.custom is None or hides(analysis):
        return analysis
    return replace(analysis, custom=own.analysed(_bare(plan, analysis, folder, state)))


def _bare(plan: Plan, analysis: Analysis, folder: Path, state: JournalState) -> RunResult:
    """What the author's own analysis sees: only what a replay has as well, so that it says the same there."""
    spends = [condition.spend for condition in analysis.conditions.values()]
    return RunResult(
        results_dir=folder,
        status="complete" if state.kept.count == plan.trials else "stopped",
        completed=state.kept.count - state.failed.count,
        failed=state.failed.count,
        cost_usd=None
        if any(spend.unpriced for spend in spends)
        else sum(spend.answered_usd + spend.failed_usd for spend in spends),
        analysis=analysis,
        plan=plan,
    )


async def finish(
    prepared: Prepared,
    folder: Path,
    log: BlockingLog,
    session: Session,
    *,
    formats: tuple[str, ...],
    estimated_usd: float | None,
    runtime: str,
    cores: int | None = None,
) -> RunResult:
    """Write every artifact and read the result off them. Raises CannotContinue, SpecError.

    cores: of the one machine that clients lived on; None: there may be several.
    """
    began_s = time.monotonic()
    plan, items = prepared.plan, prepared.items
    state = await read_state(log, conditions=len(plan.conditions))
    analysis = write_and_analyse(
        folder,
        plan=plan,
        items=items,
        log=log,
        state=state,
        own=prepared.own,
        experiment_folder=prepared.base,
    )
    finishing_s = time.monotonic() - began_s
    load = _load(plan, session, finishing_s, runtime, cores)
    facts = _facts(prepared, folder, state, session, estimated_usd, runtime, load, analysis)
    facts = replace(facts, failures=_failures(folder, analysis))
    # Where nothing was left to run, what is known of the run that did it says more than this moment would.
    told = facts if session.calls or session.reused else read_facts(folder) or facts
    told = replace(told, plans=facts.plans)
    encoded = encode(analysis)
    write_outcome(folder, encoded, told)
    reports = write_reports(
        folder, plan=plan, items=items, analysis=decode(encoded), facts=told, formats=formats
    )
    result = _result(plan, analysis, facts, folder, state, session, reports)
    if hides(analysis):
        return result
    return dataclasses.replace(result, exception=first_exception(plan, log, state))


def _result(
    plan: Plan,
    analysis: Analysis,
    facts: RunFacts,
    folder: Path,
    state: JournalState,
    session: Session,
    reports: dict[str, Path],
) -> RunResult:
    return RunResult(
        results_dir=folder,
        status=session.status,
        completed=state.kept.count - state.failed.count,
        failed=state.failed.count,
        calls_made=session.calls,
        cost_usd=facts.spent_usd,
        duration_s=session.duration_s,
        reports=reports,
        analysis=analysis,
        plan=shown_plan(plan, analysis),
        session=shown_facts(facts, analysis),
    )


def _facts(
    prepared: Prepared,
    folder: Path,
    state: JournalState,
    session: Session,
    estimated_usd: float | None,
    runtime: str,
    load: Load,
    analysis: Analysis,
) -> RunFacts:
    plan = prepared.plan
    priced = bool(prepared.bounds_usd()) or is_priced(plan)
    return RunFacts(
        status=session.status,
        started=session.started,
        duration_s=session.duration_s,
        runtime=runtime,
        clients=session.clients,
        spent_usd=state.spent_usd if priced else None,
        trial_bound_usd=session.trial_bound_usd,
        unrecorded_usd=state.other_usd if priced else 0.0,
        estimated_usd=estimated_usd,
        calls=_kept_calls(folder),
        retries=session.retries,
        throttled=session.throttled,
        quota_wait_s=session.quota_wait_s,
        bound_by=bound_by(load),
        results_dir=str(folder),
        kill=_kill(plan, state, session),
        exception=session.exception,
        planted=planted(prepared),
        model_versions=_model_versions(folder),
        versions=_versions(),
        plans=plans_of(state),
        reproduce=recipe(plan, folder),
        next_steps=next_steps(plan, analysis, session.status, state.failed.count, folder),
    )


def plans_of(state: JournalState) -> dict[str, int]:
    """When plans of analysis were registered, and how many trials had a row then."""
    return {each.at: each.after_trials for each in state.registrations}


def _kill(plan: Plan, state: JournalState, session: Session) -> KillFact | None:
    """What came of a client that was killed on purpose, if one was."""
    if session.killed_at is None:
        return None
    return KillFact(
        at_percent=100.0 * session.killed_at,
        handed_back=session.handed_back,
        lost=plan.trials - state.kept.count if session.status == "complete" else 0,
        doubled=state.duplicates,
    )


def _versions() -> dict[str, str]:
    return {
        "crucible-ray": version("crucible-ray"),
        "Python": ".".join(map(str, sys.version_info[:3])),
        "Ray": version("ray"),
        "OS": sys.platform,
    }


def _kept_calls(folder: Path) -> int:
    """Calls of the rows that count, earlier sessions' included."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(folder / "calls.parquet").num_rows)


def _failures(folder: Path, analysis: Analysis) -> dict[str, str]:
    """By condition of which nothing but failures came: what the first failed call was told."""
    failed = [
        name
        for name, each in analysis.conditions.items()
        if each.completeness.failed and not each.completeness.answered
    ]
    return {name: told for name in failed if (told := _first_failure(folder, name)) is not None}


def _first_failure(folder: Path, condition: str) -> str | None:
    """What the first failed call of a condition was told; None: nothing."""
    import pyarrow.parquet as pq

    columns = ["condition", "detail"]
    with pq.ParquetFile(folder / "calls.parquet") as file:
        for batch in file.iter_batches(columns=columns):
            for name, detail in zip(*(batch[column].to_pylist() for column in columns), strict=True):
                if name == condition and detail:
                    return str(detail)
    return None


def _model_versions(folder: Path) -> dict[str, str]:
    found = msgspec.json.decode((folder / "environment.json").read_bytes())
    versions = found.get("model_versions") or {}
    return {name: ", ".join(each) if isinstance(each, list) else str(each) for name, each in versions.items()}


def _load(plan: Plan, session: Session, finishing_s: float, runtime: str, cores: int | None) -> Load:
    models = {call.model.name: call.model for each in plan.conditions for call in each.everybody}
    return Load(
        driven_s=session.driven_s,
        calls=session.calls,
        cut_short=session.status not in ("complete", "stopped"),
        throttled=session.throttled,
        quota_wait_s=session.quota_wait_s,
        call_s=session.call_s,
        clients=session.clients,
        in_process=runtime == "in-process",
        cores=cores,
        client_cpu_s=session.client_cpu_s,
        peak=session.peak,
        tail_s=session.tail_s,
        finishing_s=finishing_s,
        own_rate=plan.rate_limit,
        at_once=tuple(
            f"{name} ({model.max_concurrency})" for name, model in models.items() if model.max_concurrency
        ),
        # The models that a function names are not known here.
        limited=any(model.limits != Limits() for model in models.values())
        or any(condition.function is not None for condition in plan.conditions),
    )
