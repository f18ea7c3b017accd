"""Where the parts of a run lie, and what its folder says it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from crucible_ray.errors import UsageError
from crucible_ray.experiment.loading import load_experiment
from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.spec import Experiment
from crucible_ray.journal.disk import DiskLog
from crucible_ray.journal.store import BlockingLog, EarlierLog
from crucible_ray.records import Item
from crucible_ray.settings import load_settings

REVISIONS: Final = "revisions"
REVISION: Final = "revision.json"


def find_results(where: str | Path, output_dir: str | Path | None = None) -> Path:
    """A results folder by its path or its id. Raises UsageError."""
    path = Path(where)
    if path.is_dir():
        return path
    parent = Path(output_dir or load_settings(Path.cwd(), os.environ).run.results_dir)
    if (parent / str(where)).is_dir():
        return parent / str(where)
    raise UsageError(f"{where} is neither a results folder nor an experiment in {parent}.")


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


def store_of(plan: Plan, folder: Path) -> BlockingLog:
    """The entries of a run that is looked at or gone on with. Raises UsageError."""
    settings = load_settings(Path.cwd(), os.environ)
    log = journal_store(folder, settings.run.checkpoint_dir, plan.experiment_id)
    last = _last_entry(folder)
    return log if last is None else EarlierLog(log, last)


def _last_entry(folder: Path) -> int | None:
    """Up to which entry a revision read the record of its run, which may have gone on since; None: all of it."""
    revision = folder / REVISION
    if run_of(folder) is None or not revision.is_file():
        return None
    try:
        return msgspec.json.decode(revision.read_bytes(), type=_Revision).last_entry
    except msgspec.DecodeError as error:
        raise UsageError(f"{revision} cannot be read: {error}.") from error


class _Revision(Struct, frozen=True):
    last_entry: int | None = None


class _Run(Struct, frozen=True):
    checkpoint_dir: str | None = None


class _Settings(Struct, frozen=True):
    run: _Run = _Run()
    experiment_folder: str | None = None
    reuse: str | None = None


class _Config(Struct, frozen=True):
    settings: _Settings = _Settings()


def _recorded(folder: Path) -> _Settings | None:
    """What `config.json` says of places; None where nothing ran yet. Raises UsageError."""
    config = folder / "config.json"
    if not config.is_file():
        return None
    try:
        return msgspec.json.decode(config.read_bytes(), type=_Config).settings
    except msgspec.DecodeError as error:
        raise UsageError(f"{config} cannot be read: {error}.") from error


def recorded_checkpoint_dir(folder: Path, *, otherwise: str | None) -> str | None:
    """Where a results folder says that its journal is; `otherwise` where nothing ran yet."""
    found = _recorded(folder)
    return otherwise if found is None else found.run.checkpoint_dir


def recorded_reuse(results: Path) -> str | None:
    """From where a results folder's run took replies: a folder, or `auto`; None: from nowhere."""
    found = _recorded(results)
    return None if found is None else found.reuse


def experiment_folder(results: Path) -> Path | None:
    """Where a results folder says that its experiment's file was."""
    found = _recorded(results)
    return None if found is None or found.experiment_folder is None else Path(found.experiment_folder)


def reread(plan: Plan, results: Path, needs: str) -> tuple[Path, Experiment]:
    """The experiment's file as it is now, from where it was or from here. needs: what of it, in words. Raises UsageError."""
    if plan.source is None:
        raise UsageError(
            f"{results} was run from Python, so what it needs ({needs}) is in no file: run the same experiment again "
            "from there. Nothing that is recorded is asked again."
        )
    name, colon, attribute = plan.source.partition(":")
    places = [each / name for each in (experiment_folder(results), Path.cwd()) if each is not None]
    found = next((each for each in places if each.is_file()), None)
    if found is None:
        raise UsageError(
            f"{name}, which holds what {results} needs ({needs}), is neither in {places[0].parent} nor here: "
            "go to its folder."
        )
    return found, load_experiment(f"{found}{colon}{attribute}", plan.params).experiment


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
