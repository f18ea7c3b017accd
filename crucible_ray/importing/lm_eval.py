"""lm-evaluation-harness's `samples_TASK_TIME.jsonl`: the task is the stratum, the model stands in the results file beside.

A sample has a line for each filter. A score is called as the tool's own results call it, `acc` or `exact_match,strict`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from crucible_ray.errors import UsageError
from crucible_ray.importing.log import Asked, Log, Row, columns, finite, known_of_item, once

_NAME: Final = re.compile(r"samples_(?P<task>.+)_(?P<time>\d{4}-\d{2}-\d{2}T[\d.:-]+)$")
_NO_FILTER: Final = "none"


class _Results(Struct):
    model_name: str | None = None
    lm_eval_version: str = ""


def is_log(head: bytes) -> bool:
    """Whether a JSONL file that begins like this is one of lm-evaluation-harness's."""
    return b'"doc_id"' in head and b'"filtered_resps"' in head


def read(path: Path, asked: Asked) -> Log:
    """The samples of one model and task. Raises UsageError."""
    found = _NAME.match(path.stem)
    task = found["task"] if found else path.stem.removeprefix("samples_")
    results = _results(path, found["time"] if found else None)
    model = results.model_name or path.parent.name or path.stem
    try:
        labels, values = columns(once(_rows(path, task, model, asked), path.name))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not values:
        raise UsageError(f"{path.name} has no score.")
    return Log(
        name=path.name,
        tool=f"lm-evaluation-harness {results.lm_eval_version}".rstrip(),
        labels=labels,
        values=values,
        same_content=True,
    )


def _results(path: Path, time: str | None) -> _Results:
    """What the results file of the same run says; nothing where there is none."""
    beside = path.parent / f"results_{time}.json"
    if time is None or not beside.is_file():
        return _Results()
    try:
        return msgspec.json.decode(beside.read_bytes(), type=_Results)
    except msgspec.DecodeError as error:
        raise UsageError(f"{beside} cannot be read: {error}.") from error


def _rows(path: Path, task: str, model: str, asked: Asked) -> Iterator[Row]:
    """One row a document: the lines of other filters, which come later, bring it more scores."""
    documents: dict[str, Row] = {}
    for sample, where in _samples(path):
        scores = _scores(sample)
        item = str(sample["doc_id"])
        before = documents.get(item)
        if before is not None and not scores.keys() & before.values.keys():
            before.values.update(scores)
            continue
        if before is not None:
            yield before  # the same filter again: whoever reads the rows tells of it
        doc = sample.get("doc")
        about = doc if isinstance(doc, dict) else {}
        documents[item] = Row(
            item=item,
            condition=model,
            values=scores,
            stratum=known_of_item(about, asked.strata, where) or task,
            cluster=known_of_item(about, asked.cluster, where),
            content=str(sample.get("doc_hash", "")),
        )
    yield from documents.values()


def _samples(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Each line, and its place for errors."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path.name}, line {number}"
            try:
                sample = msgspec.json.decode(finite(line), type=dict[str, Any])
            except msgspec.DecodeError as error:
                raise UsageError(f"{where}: this is no sample of lm-evaluation-harness ({error}).") from error
            if "doc_id" not in sample:
                raise UsageError(f"{where}: this is no sample of lm-evaluation-harness (it has no doc_id).")
            yield sample, where


def _scores(sample: dict[str, Any]) -> dict[str, float | None]:
    """The sample's scores that are one number; what is only defined over all samples (perplexity) is left out."""
    used = sample.get("filter", _NO_FILTER)
    ending = "" if used == _NO_FILTER else f",{used}"
    return {
        f"{name}{ending}": None if value is None or math.isnan(value) else float(value)
        for name in sample.get("metrics", ())
        if isinstance(value := sample.get(name), int | float | None)
    }
