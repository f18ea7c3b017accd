"""Where the parts of a run lie, and what its folder says it was."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from crucible_ray.errors import UsageError
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.disk import DiskLog
from crucible_ray.journal.store import BlockingLog
from crucible_ray.records import Item

REVISIONS: Final = "revisions"


def run_of(folder: Path) -> Path | None:
    """The results folder that a revision belongs to; None for a results folder itself."""
    whole = folder.resolve().parent
    return whole.parent if whole.name == REVISIONS and (whole.parent / "config.json").is_file() else None


def revisions(folder: Path) -> list[tuple[int, Path]]:
    """The numbers and folders of a run's revisions, ascending."""
    found = [path for path in (folder / REVISIONS).glob("*") if path.name.isdigit() and path.is_dir()]
    return sorted((int(path.name), path) for path in found)


def journal_store(folder: Path, checkpoint_dir: str | None, experiment_id: str) -> BlockingLog:
    """Where the entries of a run are: its own folder, `CHECKPOINT_DIR`, or a bucket.

    A run that began keeps its place, whatever the settings say today: its paid work is there.
    """
    folder = run_of(folder) or folder
    checkpoint_dir = recorded_checkpoint_dir(folder, otherwise=checkpoint_dir)
    if checkpoint_dir is None:
        return DiskLog(folder / "checkpoints")
    if "://" in checkpoint_dir:
        from crucible_ray.journal.cloud import ObjectLog

        return ObjectLog(f"{checkpoint_dir.rstrip('/')}/{experiment_id}")
    return DiskLog(Path(checkpoint_dir) / experiment_id)


class _Place(Struct, frozen=True):
    checkpoint_dir: str | None = None


class _Settings(Struct, frozen=True):
    run: _Place = _Place()


class _Config(Struct, frozen=True):
    settings: _Settings = _Settings()


def recorded_checkpoint_dir(folder: Path, *, otherwise: str | None) -> str | None:
    """Where a results folder says that its journal is; `otherwise` where nothing ran yet."""
    config = folder / "config.json"
    if not config.is_file():
        return otherwise
    try:
        return msgspec.json.decode(config.read_bytes(), type=_Config).settings.run.checkpoint_dir
    except msgspec.DecodeError as error:
        raise UsageError(f"{config} cannot be read: {error}.") from error


def read_config(folder: Path) -> tuple[Plan, tuple[Item, ...]]:
    """Plan and items of a results folder. Raises UsageError."""
    try:
        plan = msgspec.json.decode((folder / "config.json").read_bytes(), type=Plan)
        lines = (folder / "dataset.jsonl").read_bytes().splitlines()
        items = tuple(msgspec.json.decode(line, type=Item) for line in lines if line)
    except FileNotFoundError as error:
        raise UsageError(f"{folder} is no results folder: {Path(error.filename).name} is missing.") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{folder}: config.json or dataset.jsonl cannot be read: {error}.") from error
    return plan, items
