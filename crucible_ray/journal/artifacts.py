"""The files of a results folder, made of plan, items and log; each appears whole, by a rename, or not."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from crucible_ray.errors import StorageFailed
from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.registering import Registration
from crucible_ray.journal.environment import environment
from crucible_ray.journal.state import JournalState
from crucible_ray.journal.store import BlockingLog
from crucible_ray.journal.tables import Grid, Ints, OwnColumns, write_tables
from crucible_ray.records import Item

SCRATCH = ".scratch_"
"""What scratch folders are called; those of killed processes are cleared away by the next writer."""
_STALE_S = 3600.0
"""Scratch this old was left by a process that was killed: writing results takes minutes at most."""


def write_inputs(
    folder: Path,
    *,
    plan: Plan,
    items: Sequence[Item],
    settings: Mapping[str, Any] | None = None,
    experiment_folder: Path | None = None,
    registered: Sequence[Registration] = (),
) -> None:
    """`config.json` (the plan, and `settings` without secrets) and `dataset.jsonl`. Raises StorageFailed.

    registered: the plans of analysis that the log has, the preregistered one among them.

    experiment_folder: whose git commit is noted in a first `environment.json`, for whoever resumes the run.
    """
    found = {
        **msgspec.to_builtins(plan),
        "settings": settings or {},
        "registered": msgspec.to_builtins(registered),
    }
    with written_aside(folder) as aside:
        (aside / "config.json").write_bytes(_pretty(found))
        if experiment_folder is not None and _earlier(folder) is None:
            facts = environment(experiment_folder=experiment_folder, model_versions={})
            (aside / "environment.json").write_bytes(_pretty(facts))
        with (aside / "dataset.jsonl").open("wb") as file:
            for item in items:
                file.write(msgspec.json.encode(item) + b"\n")


def write_results(
    folder: Path,
    *,
    plan: Plan,
    items: Sequence[Item],
    log: BlockingLog,
    state: JournalState,
    positions: Callable[[Ints], Ints],
    experiment_folder: Path | None = None,
    own: OwnColumns | None = None,
) -> None:
    """`results.csv`, `results.parquet`, `calls.parquet`, `prompts.parquet`, `environment.json`.

    `positions`: `experiment.grid.Order.positions_of`. `experiment_folder`: whose git commit is noted.
    `own`: the author's own metrics. Blocking, for seconds where there are a million rows. Raises DamagedEntry,
    StorageFailed; SpecError where an own metric fails, and then nothing is written.
    """
    grid = Grid(plan, items, positions)
    with written_aside(folder) as aside, tempfile.TemporaryDirectory(dir=aside) as scratch:
        versions = write_tables(aside, grid=grid, log=log, state=state, scratch=Path(scratch), own=own)
        facts = environment(
            experiment_folder=experiment_folder, model_versions=versions, earlier=_earlier(folder)
        )
        (aside / "environment.json").write_bytes(_pretty(facts))


def _earlier(folder: Path) -> dict[str, Any] | None:
    path = folder / "environment.json"
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Any]) if path.is_file() else None


def _pretty(facts: Mapping[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(facts, order="sorted"), indent=2) + b"\n"


@contextmanager
def written_aside(folder: Path) -> Iterator[Path]:
    """A scratch folder whose files go to `folder`, synced, when the block ends well."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{SCRATCH}*"):
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH) as scratch:
            yield Path(scratch)
            for path in sorted(p for p in Path(scratch).iterdir() if p.is_file()):
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                path.replace(folder / path.name)
    except OSError as error:
        raise StorageFailed(str(folder), error.strerror or str(error)) from error
