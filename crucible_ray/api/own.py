"""An author's own functions: found in the experiment, found again in its file; those that read results are applied here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from crucible_ray.api.places import reread
from crucible_ray.errors import SpecError, UsageError
from crucible_ray.experiment.defaults import own_parser, parse_words
from crucible_ray.experiment.own import OwnMetric
from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.reading import own_parsers
from crucible_ray.experiment.sources import source_hash
from crucible_ray.experiment.spec import Experiment, Function, condition_name, conditions_of
from crucible_ray.metrics.own import OwnScores, theirs
from crucible_ray.records import Item
from crucible_ray.reduction import decode
from crucible_ray.reduction.stored import own_values
from crucible_ray.runtime.code import Code, Functions

if TYPE_CHECKING:
    from crucible_ray.api.result import RunResult
    from crucible_ray.journal.tables import OwnColumns


@dataclass(frozen=True)
class Own:
    """The author's functions that read results."""

    metrics: Mapping[str, Callable[[Any, Any], Any]] = field(default_factory=dict)
    analysis: Callable[[Any], Any] | None = None

    def columns(self, plan: Plan, items: Sequence[Item]) -> OwnColumns:
        """What computes the columns of the own metrics."""
        return OwnScores(plan, items, self.metrics)

    def analysed(self, result: RunResult) -> dict[str, Any]:
        """What the author's own analysis says of a result. Raises SpecError where it fails or says what JSON cannot."""
        if self.analysis is None:
            return {}
        name = getattr(self.analysis, "__name__", "analysis")
        try:
            found = self.analysis(result)
        except Exception as error:
            raise SpecError((f"analysis {name!r}: it failed.\n{theirs(error)}",)) from error
        if not isinstance(found, Mapping):
            raise SpecError((f"analysis {name!r}: it returned {type(found).__name__}, no dict.",))
        try:
            plain = msgspec.to_builtins(dict(found), enc_hook=_plain, str_keys=True)
            msgspec.json.decode(
                msgspec.json.encode(plain)
            )  # a number of 400 digits can be written, and not read
            return msgspec.convert(plain, dict[str, Any])
        except (TypeError, ValueError) as error:  # msgspec's own errors among them
            raise SpecError((f"analysis {name!r}: {error}; return what JSON can hold.",)) from error


def own_of(experiment: Experiment) -> Own:
    """The functions of an experiment."""
    metrics = {each.name: each.function for each in experiment.metrics if isinstance(each, OwnMetric)}
    return Own(metrics, experiment.analysis.custom if experiment.analysis is not None else None)


def has_own(plan: Plan) -> bool:
    """Whether results need functions of the author's."""
    return bool(plan.own_metrics) or plan.analysis.custom is not None


def reload_own(plan: Plan, results: Path) -> tuple[Plan, Own]:
    """The functions of a recorded plan, from its file as it is now, and the plan that says so.

    Raises UsageError where the file or a function is gone.
    """
    if not has_own(plan):
        return plan, Own()
    needs = [each.name for each in plan.own_metrics] + (["the own analysis"] if plan.analysis.custom else [])
    found, experiment = reread(plan, results, ", ".join(needs))
    own = own_of(experiment)
    gone = [each.name for each in plan.own_metrics if each.name not in own.metrics]
    if gone or (plan.analysis.custom is not None and own.analysis is None):
        raise UsageError(
            f"{found} no longer has {', '.join(gone) or 'its own analysis'}, which {results} needs."
        )
    listed = {each.name: each.plan() for each in experiment.metrics if isinstance(each, OwnMetric)}
    now = replace(plan, own_metrics=tuple(listed[each.name] for each in plan.own_metrics))
    if plan.analysis.custom is not None and experiment.analysis is not None and own.analysis is not None:
        now = replace(now, analysis=replace(plan.analysis, custom=source_hash(own.analysis)))
    return now, own


class Recorded:
    """In place of functions that cannot be had: what a results folder holds of them already."""

    def __init__(self, results: Path) -> None:
        self._results = results

    def columns(self, plan: Plan, items: Sequence[Item]) -> OwnColumns:
        """The recorded columns of the own metrics."""
        return _RecordedColumns(plan, self._results / "results.parquet")

    def analysed(self, result: RunResult) -> dict[str, Any]:
        """What the author's own analysis said."""
        return decode((self._results / "analysis.json").read_bytes()).custom


class _RecordedColumns:
    def __init__(self, plan: Plan, table: Path) -> None:
        self.names = tuple(each.name for each in plan.own_metrics)
        rows = (row for batch in own_values(plan, table) for row in batch.to_pylist())
        self._values: dict[int, dict[str, float | None]] = {row.pop("trial"): row for row in rows}

    def columns(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, list[float | None]]:
        """One value a row and column."""
        found = [self._values.get(row["trial"], {}) for row in rows]
        return {name: [values.get(name) for values in found] for name in self.names}


def without_own(plan: Plan) -> Plan:
    """What is left of a plan where the author's own functions fail."""
    own = {each.name for each in plan.own_metrics}
    return replace(
        plan,
        metrics=tuple(name for name in plan.metrics if name not in own),
        own_metrics=(),
        hypotheses=tuple(each for each in plan.hypotheses if each.metric not in own),
        analysis=replace(plan.analysis, custom=None),
    )


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy and pandas as plain ones."""
    for way in ("item", "tolist", "to_dict"):
        if hasattr(value, way):
            try:
                return getattr(value, way)()
            except ValueError:  # `item` of an array of several
                continue
    raise TypeError(f"{type(value).__name__} is not plain data")


def code_of(experiment: Experiment, base: Path) -> Code:
    """The functions and own parsers of an experiment, ready to travel. base: the experiment's folder."""
    folders = tuple(dict.fromkeys(map(str, (base.resolve(), Path.cwd()))))
    return Code({**_functions(experiment), **parsers_of(experiment)}, folders)


def parsers_of(experiment: Experiment) -> Functions:
    """Its own parsers alone, as a Code has them."""
    return {f"parse {text}": function for text, function in own_parsers(experiment).items()}


def _functions(experiment: Experiment) -> Functions:
    return {
        f"function {condition_name(each)}": each.function
        for each in conditions_of(experiment)
        if isinstance(each, Function)
    }


def reload_code(plan: Plan, results: Path) -> Code:
    """The functions of a recorded plan, from its file. Raises UsageError where they are gone or others now."""
    parsers = [parse for each in plan.conditions for parse in (each.parse, *each.parses) if own_parser(parse)]
    asked = [condition for condition in plan.conditions if condition.function is not None]
    if not asked and not parsers:
        return Code({})
    wanted = [f"function {each.name}" for each in asked]
    wanted += [f"parse {parse_words(each)}" for each in dict.fromkeys(parsers)]
    found, experiment = reread(plan, results, ", ".join(wanted))
    there = {condition_name(each): each for each in conditions_of(experiment)}
    for condition in asked:
        assert condition.function is not None
        now = there.get(condition.name)
        if not isinstance(now, Function) or source_hash(now.function) != condition.function.source:
            raise UsageError(
                f"{found}: the function of condition {condition.name!r} is not the one that {results} ran, so this is "
                "another experiment now: run it anew, or bring the function back."
            )
    gone = [own_parser(each) for each in parsers if each not in own_parsers(experiment)]
    if gone:
        raise UsageError(
            f"{found}: parse = {gone[0]}() is not the function that {results} ran, so this is another experiment now: run it "
            "anew, bring the function back, or read what is stored with rescore --experiment."
        )
    return code_of(experiment, found.parent)
