"""`compare`: statistics on tables, results folders and other tools' logs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crucible_ray.api.places import find_results
from crucible_ray.api.result import RunResult
from crucible_ray.api.waiting import in_thread
from crucible_ray.errors import UsageError
from crucible_ray.importing import Asked, Log, read_logs
from crucible_ray.importing.joining import join
from crucible_ray.reduction.logs import LogComparison, Question, compare_logs


def compare(
    *logs: str | Path | RunResult,
    value: str | None = None,
    by: str | None = None,
    pair: str | None = None,
    repeat: str | None = None,
    cluster: str | None = None,
    strata: str | None = None,
    metric: str | None = None,
    conditions: str | Sequence[str] = (),
    baseline: str | None = None,
    unpaired: bool = False,
    test: str = "auto",
    correction: str | None = None,
    kind: str | None = None,
    margin: float = 0.0,
    alpha: float = 0.05,
) -> LogComparison:
    """Compare the conditions that logs hold: two with one another, three or more as one family.

    logs: CSV, TSV or Parquet files; results folders or ids; logs of inspect_ai (`.eval`, `.json`), of
    lm-evaluation-harness (`samples_*.jsonl`) and of HELM (run folders), or folders of these. Items are aligned by id.
    value, by, pair, repeat: columns of a table with the outcome, the condition, the item and the repeat; without `by`
    each file is a condition. Of other logs `by` is `model` (as it comes), `task` or `log`.
    cluster, strata: columns, or what a log knows of an item. metric: of several scores the one to take.
    conditions: these alone, the first being the control. baseline: what all others are compared with.
    unpaired: take conditions as independent groups. test, kind, margin, alpha, correction: as `stats.compare` and
    `stats.compare_groups`; an explicit correction replaces a joint distribution. Raises UsageError, StatsError.
    """
    if not logs:
        raise UsageError(
            "compare needs a file or a folder: a table, a results folder, or another tool's log."
        )
    asked = Asked(value=value, by=by, pair=pair, repeat=repeat, cluster=cluster, strata=strata, metric=metric)
    read: list[Log] = []
    for log in logs:
        read += read_logs(_place(log), asked)
    wanted = (conditions,) if isinstance(conditions, str) else tuple(conditions)
    question = Question(
        test=test,
        correction=correction,
        kind=kind,
        baseline=baseline,
        margin=margin,
        alpha=alpha,
        clusters=cluster is not None,
        strata=strata is not None,
    )
    return compare_logs(join(read, metric=metric, wanted=wanted, paired=not unpaired), question)


acompare = in_thread(compare)


def _place(log: str | Path | RunResult) -> Path:
    """A path as it is; else a results folder by its id."""
    if isinstance(log, RunResult):
        return log.results_dir
    path = Path(log)
    if path.exists():
        return path
    try:
        return find_results(path)
    except UsageError as error:
        raise UsageError(f"{path} is neither a file nor a folder. Of experiments: {error}") from error
