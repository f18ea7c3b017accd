"""From what a user names to the importer that reads it: by ending, by what lies in a folder, by a file's beginning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from crucible_ray.errors import UsageError
from crucible_ray.importing import helm, inspect_log, lm_eval, results_folder, table_file
from crucible_ray.importing.log import BY, Asked, Log, constant
from crucible_ray.settings import did_you_mean

_HEAD: Final = 1 << 16
_KINDS: Final = (
    "a CSV, TSV or Parquet file, a results folder, an .eval of inspect_ai, samples_*.jsonl of "
    "lm-evaluation-harness, or a run folder of HELM"
)


def read_logs(path: Path, asked: Asked) -> list[Log]:
    """All that a file is, or a folder holds. Raises UsageError."""
    found = [_as_asked(_read(each, asked), asked) for each in _places(path)]
    if not found:
        raise UsageError(f"{path} holds nothing to compare: give {_KINDS}.")
    return found


def _places(path: Path) -> Iterator[Path]:
    """Files and folders that an importer reads, in the order of their names."""
    if path.is_file() and path.name == helm.SCORES:
        yield path.parent
    elif path.is_file() or results_folder.is_folder(path) or (path / helm.SCORES).is_file():
        yield path
    elif path.is_dir():
        yield from sorted(path.rglob("samples_*.jsonl"))
        yield from sorted(path.rglob("*.eval"))
        yield from sorted(each.parent for each in path.rglob(helm.SCORES))
    else:
        raise UsageError(f"{path} is neither a file nor a folder.")


def _as_asked(log: Log, asked: Asked) -> Log:
    """The log with what is asked for as its condition; a table's is its column. Raises UsageError."""
    if log.table or asked.by in (None, "model"):
        return log
    rows = len(log.labels["item"].codes)
    if asked.by == "task" and any(log.labels["stratum"].names):
        return replace(
            log, labels={**log.labels, "condition": log.labels["stratum"], "stratum": constant("", rows)}
        )
    if asked.by == "log":
        return replace(
            log, labels={**log.labels, "condition": constant(log.name, rows), "stratum": constant("", rows)}
        )
    if asked.by == "task":
        raise UsageError(f"{log.name} has no tasks to be conditions: leave out --by, or take --by log.")
    raise UsageError(f"{log.name} is no table, whose columns --by names: {did_you_mean(str(asked.by), BY)}")


def _read(path: Path, asked: Asked) -> Log:
    if path.is_dir():
        return results_folder.read(path, asked) if results_folder.is_folder(path) else helm.read(path, asked)
    ending = path.suffix.lower()
    if ending in table_file.ENDINGS:
        return table_file.read(path, asked)
    if ending == ".eval":
        return inspect_log.read(path, asked)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    if ending == ".jsonl" and lm_eval.is_log(head):
        return lm_eval.read(path, asked)
    if ending == ".json" and inspect_log.is_log(head):
        return inspect_log.read(path, asked)
    raise UsageError(f"{path.name} is no log that is known here: give {_KINDS}.")
