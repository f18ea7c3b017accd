"""Datasets by name: those that are shipped, and those that lie in a folder or in the cache.

| name | items | where |
| --- | --- | --- |
| `demo` | 100 questions on arithmetic and science | shipped |
| `science` | 700 computed questions on five subjects, with difficulty | shipped |
| `test_dataset` | 1,000 one-line sums | shipped |
| `mmlu`, `mmlu_stem`, `mmlu_<subject>` (or `mmlu/<subject>`) | MMLU | `<cache>/mmlu`, or `path` |
| `gsm8k` | GSM8K | `<cache>/gsm8k`, or `path` |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec
import platformdirs

from crucible_ray.datasets import gsm8k, mmlu
from crucible_ray.datasets.smoke import smoke_items
from crucible_ray.errors import DatasetError
from crucible_ray.experiment.defaults import MMLU_SUBJECTS
from crucible_ray.records import Item

_decoder = msgspec.json.Decoder(Item)


def default_cache() -> Path:
    """Where datasets are kept unless `[datasets] cache_dir` says otherwise."""
    return Path(platformdirs.user_cache_dir("crucible-ray")) / "datasets"


def is_named(source: object) -> bool:
    """Whether it is the name of a dataset and not a path."""
    if not isinstance(source, str):
        return False
    return source in _SHIPPED or source in ("gsm8k", "mmlu", "mmlu_stem") or _subject(source) in MMLU_SUBJECTS


def is_shipped(name: str) -> bool:
    """Whether it needs no folder."""
    return name in _SHIPPED


def shipped(name: str, split: str | None = None) -> tuple[list[Item], str]:
    """Items and version of a shipped dataset. Raises DatasetError for a split."""
    if split is not None:
        raise DatasetError(f"{name} has no splits: leave split={split!r} out.")
    read, version = _SHIPPED[name]
    return read(), version


def read_published(name: str, folder: Path, split: str | None) -> list[Item]:
    """The items of MMLU or GSM8K from their folder. Raises DatasetError with what has to lie where."""
    published, expected, splits = (
        (gsm8k.PUBLISHED, "test.jsonl and train.jsonl", gsm8k.SPLITS)
        if name == "gsm8k"
        else (mmlu.PUBLISHED, "test/<subject>_test.csv for each subject (and dev/, val/)", mmlu.SPLITS)
    )
    split = _split(name, split, splits)
    if not folder.is_dir():
        raise DatasetError(
            f"{name} is not on this machine: there is no folder {folder}. Put {expected} there, as published at "
            f"{published}, or name the folder that holds them: Dataset({name!r}, path=FOLDER). "
            "This version downloads nothing. Shipped, and there at once: "
            f"{', '.join(map(repr, _SHIPPED))}."
        )
    if name == "gsm8k":
        return gsm8k.read_gsm8k(folder, split)
    return mmlu.read_mmlu(folder, mmlu.subjects_of(name), split)


def _split(name: str, split: str | None, known: Sequence[str]) -> str:
    found = {None: "test", "validation": "val"}.get(split, split) or ""
    if found not in known:
        raise DatasetError(f"{name} has no split {split!r}; its splits are {', '.join(known)}.")
    return found


def _subject(name: str) -> str:
    return name[5:] if name.startswith(("mmlu_", "mmlu/")) else ""


def _from_file(name: str) -> list[Item]:
    return _decoder.decode_lines((files("crucible_ray.datasets") / f"{name}.jsonl").read_bytes())


_SHIPPED: Final[dict[str, tuple[Callable[[], list[Item]], str]]] = {
    "demo": (partial(_from_file, "demo"), "demo-1"),
    "science": (partial(_from_file, "science"), "science-1"),
    "test_dataset": (smoke_items, "test_dataset-1"),
}
