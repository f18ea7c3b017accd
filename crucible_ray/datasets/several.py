"""Several datasets in one experiment: one list of items, each with its dataset's name and an id of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from msgspec.structs import replace

from crucible_ray.datasets.loading import LoadedDataset
from crucible_ray.errors import DatasetError
from crucible_ray.records import Item


def combine(loaded: Sequence[LoadedDataset], given: Sequence[str | None]) -> list[LoadedDataset]:
    """The same datasets under short names that differ, their items' ids as `name:id`.

    given: by dataset, the name that the experiment gives it. Without one a file is called by its stem, or by
    its whole path where two stems are alike. Raises DatasetError where two have the same name.
    """
    names = [name or _stem(each.name) for each, name in zip(loaded, given, strict=True)]
    names = [
        each.name if given[at] is None and names.count(names[at]) > 1 else names[at]
        for at, each in enumerate(loaded)
    ]
    for name in names:
        if names.count(name) > 1:
            raise DatasetError(
                f'Two datasets are called {name!r}: give each a name of its own, Dataset(..., name="...").'
            )
    return [
        replace(
            each,
            name=name,
            items=[_owned(item, name) for item in each.items],
            examples=[_owned(item, name) for item in each.examples],
        )
        for each, name in zip(loaded, names, strict=True)
    ]


def _owned(item: Item, name: str) -> Item:
    return replace(item, id=f"{name}:{item.id}", dataset=name)


def _stem(name: str) -> str:
    """`items` of `data/items.jsonl`; a registered name is its own, slash or not."""
    path = PurePath(name)
    return path.stem if path.suffix else name
