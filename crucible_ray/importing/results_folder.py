"""Our own results folders: `results.parquet`, with what `config.json` and `dataset.jsonl` say of scores and items."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct

from crucible_ray.errors import UsageError
from crucible_ray.importing.log import Asked, Labels, Log, content_hash, known_of_item
from crucible_ray.importing.table_file import column_names, read_columns

_COLUMNS: Final = {
    "accuracy": "correct",
    "latency_mean": "latency_ms",
    "cost_per_query": "cost_usd",
    "consensus": "consensus",
}
_KINDS: Final = {
    "accuracy": "binary",
    "latency_mean": "continuous",
    "cost_per_query": "cost",
    "consensus": "proportion",
}


class _Metric(Struct):
    name: str
    kind: str = "continuous"


class _Plan(Struct):
    own_metrics: tuple[_Metric, ...] = ()


class _Blind(Struct):
    hidden: bool = False


class _Analysis(Struct):
    blind: _Blind | None = None


def is_folder(path: Path) -> bool:
    """Whether a folder is the record of a run."""
    return (path / "config.json").is_file()


def read(folder: Path, asked: Asked) -> Log:
    """All conditions of a run, or of a revision. Raises UsageError."""
    results = folder / "results.parquet"
    if not results.is_file():
        raise UsageError(f"{folder} has no results.parquet yet: resume the run to get one.")
    try:
        plan = msgspec.json.decode((folder / "config.json").read_bytes(), type=_Plan)
        lines = (folder / "dataset.jsonl").read_bytes().splitlines()
        items = [msgspec.json.decode(line, type=dict[str, Any]) for line in lines if line]
        analysis = folder / "analysis.json"
        found = (
            msgspec.json.decode(analysis.read_bytes(), type=_Analysis) if analysis.is_file() else _Analysis()
        )
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(
            f"{folder}: config.json, dataset.jsonl or analysis.json cannot be read: {error}."
        ) from error
    if found.blind is not None and found.blind.hidden:
        raise UsageError(f"{folder} is blind until all its trials are in: nothing of it is compared before.")
    names = column_names(results)
    own = {metric.name: metric for metric in plan.own_metrics}
    metrics = {
        metric: column
        for metric, column in {**_COLUMNS, **{name: name for name in own}}.items()
        if column in names
    }
    columns = Asked(by="condition", pair="item_id", repeat="repeat")
    log = read_columns(results, names, columns, metrics, tool="crucible-ray")
    return replace(
        log,
        name=folder.name,
        table=False,
        labels={**log.labels, **_of_items(log, items, asked, folder.name)},
        kinds=_KINDS | {name: each.kind for name, each in own.items()},
        same_content=True,
        default="accuracy",
    )


def _of_items(log: Log, items: list[dict[str, Any]], asked: Asked, where: str) -> dict[str, Labels]:
    """Stratum, cluster and content of each row, by its item."""
    told: dict[str, tuple[str, str, str]] = {}
    for item in items:
        about = item | (item.get("metadata") or {})
        stratum = known_of_item(about, asked.strata, where) or str(item.get("dataset") or "")
        content = content_hash([item.get("input"), item.get("choices")])
        told[str(item["id"])] = stratum, known_of_item(about, asked.cluster, where), content
    ids = log.labels["item"]
    found = {}
    for place, name in enumerate(("stratum", "cluster", "content")):
        of_id = [told.get(item, ("", "", ""))[place] for item in ids.names]
        unique = tuple(dict.fromkeys(of_id))
        number = {each: code for code, each in enumerate(unique)}
        codes = np.array([number[each] for each in of_id], np.int64)
        found[name] = Labels(codes[ids.codes], unique)
    return found
