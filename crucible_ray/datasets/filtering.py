"""Which items are kept: those whose fields have wanted values, or of which a function says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from crucible_ray.errors import DatasetError
from crucible_ray.records import Item
from crucible_ray.settings import did_you_mean

Filter = Mapping[str, Any] | Callable[[Item], Any]
_OWN = ("id", "input", "expected", "topic", "difficulty")


def filtered(items: list[Item], keep: Filter | None) -> list[Item]:
    """The items that pass, in their order.

    keep: a field of the item or of its metadata to the wanted value, or a list of them; several fields must
    all agree. Or a function of the item that says True or False. Raises DatasetError where it names a field
    that no item has, keeps nothing, or fails.
    """
    if keep is None:
        return items
    if isinstance(keep, Mapping):
        _check_names(items, keep)
        wanted = {
            name: value if isinstance(value, list | tuple | set) else (value,) for name, value in keep.items()
        }
        kept = [item for item in items if all(_value(item, name) in wanted[name] for name in wanted)]
    elif callable(keep):
        kept = [item for item in items if _asked(keep, item)]
    else:
        raise DatasetError(
            f'filter is a {type(keep).__name__}; it must be like {{"topic": "physics"}}, or a function of the item.'
        )
    if not kept:
        raise DatasetError(_nothing_left(items, keep))
    return kept


def _value(item: Item, name: str) -> Any:
    return getattr(item, name) if name in _OWN else item.metadata.get(name)


def _check_names(items: list[Item], keep: Mapping[str, Any]) -> None:
    known = {*_OWN, *(name for item in items for name in item.metadata)}
    for name in keep:
        if name not in known:
            raise DatasetError(f"filter: no item has a field {name!r}: {did_you_mean(str(name), known)}")


def _asked(keep: Callable[[Item], Any], item: Item) -> bool:
    try:
        said = keep(item)
    except Exception as error:
        raise DatasetError(f"filter fails at item {item.id!r}: {type(error).__name__}: {error}") from error
    # numpy says bool_: by its name, so that numpy need not be asked.
    if isinstance(said, bool) or type(said).__name__ in ("bool", "bool_"):
        return bool(said)
    raise DatasetError(f"filter says {said!r} at item {item.id!r}; it must say True or False.")


def _nothing_left(items: list[Item], keep: Filter) -> str:
    if not isinstance(keep, Mapping):
        return f"filter keeps none of the {len(items)} items."
    found = []
    for name in keep:
        values = list(dict.fromkeys(_value(item, name) for item in items))
        found.append(f"{name} is {', '.join(map(repr, values[:8]))}{', ...' if len(values) > 8 else ''}")
    return f"filter keeps none of the {len(items)} items, of which {'; '.join(found)}."
