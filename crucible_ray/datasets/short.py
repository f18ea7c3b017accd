"""`datasets.load`, for scripts and notebooks: the items of a dataset without an experiment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from crucible_ray.datasets.filtering import Filter
from crucible_ray.datasets.loading import LoadedDataset, load_items
from crucible_ray.settings import load_settings


def load(
    name: Any,
    *,
    sample_size: int | None = None,
    seed: int = 0,
    path: str | Path | None = None,
    split: str | None = None,
    filter: Filter | None = None,
) -> LoadedDataset:
    """A dataset by its name, path, list or table; paths are relative to the current folder.

    `.items` hold `id, input, expected, choices, topic, difficulty, metadata`; `.version` says what was read,
    `.checksum` what came of it. The same items come as from an experiment with this seed. Raises DatasetError.
    """
    settings = load_settings(Path.cwd(), os.environ)
    folder = settings.datasets.cache_dir
    return load_items(
        name,
        base=Path.cwd(),
        sample_size=sample_size,
        seed=seed,
        path=path,
        split=split,
        filter=filter,
        versions=settings.datasets.versions,
        cache=None if folder is None else Path(folder).expanduser(),
    )
