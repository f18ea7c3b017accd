"""From a dataset's name, path, list or table to its items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Struct

from crucible_ray.datasets.fields import check_fields, to_item
from crucible_ray.datasets.filtering import Filter, filtered
from crucible_ray.datasets.formats import ENDINGS, read_bytes, records
from crucible_ray.datasets.registry import default_cache, is_named, is_shipped, read_published, shipped
from crucible_ray.datasets.sampling import example_pool, nested_sample
from crucible_ray.datasets.storing import checksum
from crucible_ray.datasets.tables import is_table, rows
from crucible_ray.errors import DatasetError
from crucible_ray.experiment.defaults import DATASET_NAMES, MMLU_SUBJECTS
from crucible_ray.records import Item

Source = Any
"""A name, a path, a list of mappings or Items, a pandas or Arrow table; None: no dataset."""


class LoadedDataset(Struct, frozen=True, kw_only=True):
    """Items, and where they came from."""

    name: str
    """As the experiment names it; `inline` for a list or a table, `none` for no dataset."""
    items: list[Item]
    """In the source's order."""
    version: str
    """`demo-1`, or `sha256:` and 16 hexadecimal digits of what was read, before filter and sample."""
    examples: list[Item] = []
    """What may be shown as examples."""
    holds: int | None = None
    """How many items there are to draw from; None: not a dataset that a sample could be larger of."""

    @property
    def checksum(self) -> str:
        """SHA-256 of these items as JSON lines, hexadecimal."""
        return checksum(self.items)


class _Place(Struct, frozen=True):
    """Where to look: the folder that paths start from, the folder or file given, the cache, the split."""

    base: Path
    path: str | Path | None
    cache: Path
    split: str | None


def load_items(
    source: Source,
    *,
    base: Path,
    sample_size: int | None = None,
    seed: int = 0,
    fields: Mapping[str, str] | None = None,
    path: str | Path | None = None,
    split: str | None = None,
    filter: Filter | None = None,
    cache: Path | None = None,
    versions: Mapping[str, str] | None = None,
    repeat: int = 1,
    examples: int = 0,
) -> LoadedDataset:
    """The items of a dataset.

    source: a name of `registry`, a path to a JSONL, CSV or Parquet file (or to a folder of them, one for each
    split) relative to `base`, the experiment's folder; a list of mappings or Items, a table; None for `repeat`
    empty items. path: the local folder or file of a named dataset. cache: the folder of datasets; None: the
    platform's. fields: a field of ours to the source's name. filter: as `filtered` takes it. sample_size: how
    many of what is left to draw, nested; all where there are fewer. versions: by name, the version that it
    must have. examples: how many a prompt shows at most. Raises DatasetError, naming file, line and mend.
    """
    names = check_fields(fields)
    if sample_size is not None and sample_size < 1:
        raise DatasetError(f"sample_size is {sample_size}; it must be at least 1, or absent for all items.")
    if source is None:
        return LoadedDataset(name="none", items=_empty(repeat), version="none")
    name, items, version = _load(source, names, _Place(base, path, cache or default_cache(), split))
    _refuse_duplicates(items, name)
    if not items:
        raise DatasetError(f"The dataset {name} holds no items.")
    wanted = (versions or {}).get(name, version)
    if version != wanted:
        raise DatasetError(
            f"Dataset {name!r} has version {version!r}, and [datasets] versions wants {wanted!r}: "
            "get that version, or correct the setting."
        )
    items = filtered(items, filter)
    drawn = items if sample_size is None else nested_sample(items, sample_size, seed)
    pool = example_pool(items, examples, seed) if examples else []
    return LoadedDataset(name=name, items=drawn, version=version, examples=pool, holds=len(items))


def _empty(count: int) -> list[Item]:
    return [Item(id=str(number), input="") for number in range(count)]


def _load(source: Source, fields: Mapping[str, str], place: _Place) -> tuple[str, list[Item], str]:
    if isinstance(source, str | Path):
        return str(source), *_stored(str(source), fields, place)
    for option, given in (("split", place.split), ("path", place.path)):
        if given is not None:
            raise DatasetError(f"a list or a table has no {option}: leave {option}={str(given)!r} out.")
    if is_table(source):
        source = rows(source)
    elif isinstance(source, Mapping | Iterator) or not isinstance(source, Iterable):
        raise DatasetError(
            f"dataset is a {type(source).__name__}; it must be a name, a path, a list of mappings, or a pandas or "
            "Arrow table."
        )
    items = [_inline(record, number, fields) for number, record in enumerate(source)]
    return "inline", items, _version(checksum(items))


def _stored(name: str, fields: Mapping[str, str], place: _Place) -> tuple[list[Item], str]:
    """What lies in the package, in the cache or at a path."""
    # A file or folder that is named outright wins over what is shipped under the name.
    if is_named(name) and (place.path is None or not is_shipped(name)):
        if fields:
            raise DatasetError(f"{name} has its own fields: leave fields={dict(fields)!r} out.")
        if is_shipped(name):
            return shipped(name, place.split)
        home = place.cache / ("gsm8k" if name == "gsm8k" else "mmlu")
        folder = home if place.path is None else place.base / Path(place.path).expanduser()
        items = read_published(name, folder, place.split)
        return items, _version(checksum(items))
    path = place.base / Path(place.path or name).expanduser()
    if path.is_dir():
        return _read_files(_files_of(path, place.split), fields)
    if place.split is not None:
        raise DatasetError(f"{path} is one file and has no splits: leave split={place.split!r} out.")
    if not path.is_file():
        raise DatasetError(_not_found(path, name))
    if path.suffix.lower() not in ENDINGS:
        raise DatasetError(f"{path}: the file must end in {', '.join(ENDINGS)}.")
    return _read_files([path], fields)


def _files_of(folder: Path, split: str | None) -> list[Path]:
    """The files of a split: `<split>.<ending>`, or the numbered parts of one (`<split>-00000-of-00002.parquet`)."""
    inner = [each for each in (folder, folder / "data") if each.is_dir()]
    found = sorted(path for each in inner for path in each.iterdir() if path.suffix.lower() in ENDINGS)
    splits = sorted({path.stem.partition("-")[0] for path in found})
    if split is None or split not in splits:
        what = f"has no split {split!r}" if split is not None else "is a folder: say which split"
        raise DatasetError(f"{folder} {what}; it holds {', '.join(splits) or 'no data files'}.")
    chosen = [path for path in found if path.stem.partition("-")[0] == split]
    if len(chosen) > 1 and any(path.stem == split for path in chosen):
        raise DatasetError(f"{folder} holds split {split!r} more than once: name one file.")
    return chosen


def _read_files(paths: list[Path], fields: Mapping[str, str]) -> tuple[list[Item], str]:
    digest = sha256()
    items: list[Item] = []
    for path in paths:
        data = read_bytes(path)
        digest.update(data)
        for record, where in records(data, path):
            items.append(to_item(record, len(items), where, fields))
    return items, _version(digest.hexdigest())


def _inline(record: Any, number: int, fields: Mapping[str, str]) -> Item:
    if isinstance(record, Item):
        return record
    if isinstance(record, Mapping):
        return to_item(record, number, f"dataset, item {number}", fields)
    raise DatasetError(
        f"dataset, item {number}: it is a {type(record).__name__}; it must be a mapping such as "
        '{"input": "2 + 2?", "expected": "4"}.'
    )


def _not_found(path: Path, name: str) -> str:
    near = get_close_matches(name, (*DATASET_NAMES, *(f"mmlu_{each}" for each in MMLU_SUBJECTS)), n=1)
    if path.suffix.lower() in ENDINGS or ("/" in name and not name.startswith("mmlu/")):
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        like = get_close_matches(path.name, (each.name for each in beside), n=1)
        hint = f" Did you mean {str(path.with_name(like[0]))!r}?" if like else ""
        return f"{path} does not exist.{hint} A dataset's path is relative to the experiment's file."
    hint = (
        f"Did you mean {near[0]!r}?"
        if near
        else f"Use one of {', '.join(DATASET_NAMES)}, mmlu_<subject>, or the path of a file."
    )
    return f"There is no dataset {name!r}. {hint}"


def _refuse_duplicates(items: list[Item], name: str) -> None:
    seen: dict[str, int] = {}
    for number, item in enumerate(items):
        first = seen.setdefault(item.id, number)
        if first != number:
            raise DatasetError(
                f"{name}: items {first} and {number} (from 0) have the same id {item.id!r}. Ids must be "
                "unique; without an 'id' an item's id is its row number."
            )


def _version(digest: str) -> str:
    return f"sha256:{digest[:16]}"
