"""Several logs as conditions over items: who is called what, which items are the same, what stands in every condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from crucible_ray.errors import UsageError
from crucible_ray.importing.log import LABELS, Codes, Encoder, Floats, Labels, Log, listed
from crucible_ray.settings import did_you_mean

_SHOWN = 3
"""Ids in an error."""
_ROOM = 1 << 62
"""Numbers that an integer column has room for."""


class Condition(NamedTuple):
    """All answers under one name. Codes are of `Joined`'s items, strata and clusters."""

    name: str
    logs: tuple[str, ...]
    tools: tuple[str, ...]
    items: Codes
    values: Floats
    strata: Codes
    clusters: Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What several logs hold of one score."""

    metric: str
    kind: str | None
    conditions: tuple[Condition, ...]
    paired: bool
    """Whether the conditions have items in common, by their ids."""
    strata: tuple[str, ...]
    clusters: tuple[str, ...]
    notes: tuple[str, ...]


def join(
    logs: Sequence[Log], *, metric: str | None, wanted: Sequence[str] = (), paired: bool = True
) -> Joined:
    """One score of all logs, by condition. wanted: these conditions alone, in this order; none: all that are there.

    paired=False: whether or not items have ids, conditions are independent groups. Raises UsageError.
    """
    logs = _named_apart(logs)
    score, kind, notes = _score(logs, metric)
    table = _Table(logs, score)
    names, told = _conditions(table)
    chosen = _chosen(names, wanted)
    notes += tuple(note for log in logs for note in log.notes) + told
    with_ids = all(log.items for log in logs)
    if with_ids:
        _no_doubles(table, names)
    items, other = table.items() if with_ids else (np.arange(len(table.log)), "")
    if other:
        notes += (other,)
    conditions = tuple(_condition(table, names, items, name) for name in chosen)
    if paired and with_ids:
        _common(conditions, table)
    return Joined(
        metric=metric or next(iter(score.values())),
        kind=kind,
        conditions=conditions,
        paired=paired and with_ids,
        strata=table.labels["stratum"].names,
        clusters=table.labels["cluster"].names,
        notes=notes,
    )


class _Table:
    """The rows of all logs one below the other."""

    def __init__(self, logs: Sequence[Log], score: Mapping[str, str]) -> None:
        self.logs = logs
        encoders = {name: Encoder() for name in LABELS}
        for log in logs:
            for name, encoder in encoders.items():
                encoder.extend(log.labels[name].names, log.labels[name].codes)
        self.labels = {name: encoder.labels() for name, encoder in encoders.items()}
        sizes = [len(log.labels["item"].codes) for log in logs]
        self.log: Codes = np.repeat(np.arange(len(logs)), sizes)
        self.values: Floats = np.concatenate([log.values[score[log.name]] for log in logs])
        self.splits = all(log.same_content for log in logs) and "" not in self.labels["content"].names
        tasks = self.labels["stratum"]
        if len(tasks.names) == 2 and "" in tasks.names:  # a table beside the log of one task
            self.labels["stratum"] = Labels(np.zeros_like(tasks.codes), (max(tasks.names),))

    def key(self, *columns: Codes) -> Codes:
        """One number for each different row of these columns."""
        found, room = columns[0], int(columns[0].max()) + 1
        for column in columns[1:]:
            size = int(column.max()) + 1
            if room * size > _ROOM:
                found = np.unique(found, return_inverse=True)[1].astype(np.int64)
                room = int(found.max()) + 1
            found, room = found * size + column, room * size
        return np.unique(found, return_inverse=True)[1].astype(np.int64)

    def codes(self, name: str) -> Codes:
        """A label of each row."""
        return self.labels[name].codes

    def items(self) -> tuple[Codes, str]:
        """The item of each row, an id within its stratum, and what is to be said of ids with several contents."""
        items = self.key(self.codes("stratum"), self.codes("item"))
        whole = self.key(items, self.codes("content"))
        first = np.unique(whole, return_index=True)[1]
        known = np.array([name != "" for name in self.labels["content"].names])[self.codes("content")]
        doubled = int((np.bincount(items[first[known[first]]], minlength=1) > 1).sum())
        if not doubled:
            return items, ""
        if self.splits:
            return whole, (
                f"{_count(doubled, 'item id')} of another content in another log: not taken for the same item"
            )
        return items, (
            f"{_count(doubled, 'item id')} of another text in another log: paired all the same, as prompts may differ; "
            "see that they are the same questions"
        )


def _named_apart(logs: Sequence[Log]) -> list[Log]:
    """The logs under names that differ."""
    seen: dict[str, int] = {}
    found = []
    for log in logs:
        seen[log.name] = seen.get(log.name, 0) + 1
        found.append(log if seen[log.name] == 1 else replace(log, name=f"{log.name} ({seen[log.name]})"))
    return found


def _score(logs: Sequence[Log], metric: str | None) -> tuple[dict[str, str], str | None, tuple[str, ...]]:
    """The score's name in each log, its kind where one is declared, and what is to be said of the choice."""
    having = [{name for name, values in log.values.items() if not np.isnan(values).all()} for log in logs]
    common = set.intersection(*having)
    if metric is not None:
        found = {log.name: _called(log, metric, names) for log, names in zip(logs, having, strict=True)}
        kind = next((log.kinds[found[log.name]] for log in logs if found[log.name] in log.kinds), None)
        return found, kind, ()
    if not common:
        each = "\n".join(
            f"  {log.name}: {listed(sorted(names))}" for log, names in zip(logs, having, strict=True)
        )
        raise UsageError(
            f"the logs have no score in common, so that nothing can be compared. They have:\n{each}\n"
            "Choose one with --metric: the column of a table beside a log is taken for it."
        )
    defaults = {log.default for log in logs if log.default is not None} & common
    if len(common) > 1 and not defaults:
        raise UsageError(f"there are several scores: {listed(sorted(common))}. Choose one with --metric.")
    name = next(iter(sorted(defaults))) if defaults else next(iter(common))
    others = common - {name}
    told = (f"the score is {name}; --metric takes another: {listed(sorted(others))}",) if others else ()
    kind = next((log.kinds[name] for log in logs if name in log.kinds), None)
    return dict.fromkeys((log.name for log in logs), name), kind, told


def _called(log: Log, metric: str, names: set[str]) -> str:
    if metric in names:
        return metric
    if metric in log.values:
        raise UsageError(f"{log.name}: every value of {metric!r} is missing: there is nothing to compare.")
    if metric in log.unreadable:
        raise UsageError(
            f"{log.name}: the score {metric!r} is {log.unreadable[metric]}, which is no number; choose another "
            f"({listed(sorted(names))}), or have it scored as one."
        )
    filtered = sorted(name for name in names if name.startswith(f"{metric},"))
    if len(filtered) == 1:
        return filtered[0]
    if filtered:
        raise UsageError(
            f"{log.name} has {metric!r} by several filters: {listed(filtered)}. Choose one with --metric."
        )
    raise UsageError(f"{log.name} has no score {metric!r}: {did_you_mean(metric, names)}")


def _conditions(table: _Table) -> tuple[Labels, tuple[str, ...]]:
    """The condition of each row; where two logs hold one condition over the same items, each log's own."""
    found = table.labels["condition"]
    if len(table.logs) == 1:
        return found, ()
    place = table.key(found.codes, table.codes("stratum"), table.codes("item"))
    pairs = np.unique(np.stack([place, table.log, found.codes]), axis=1)
    shared = pairs[2][np.isin(pairs[0], np.flatnonzero(np.bincount(pairs[0]) > 1))]
    doubled = set(np.unique(shared).tolist())
    if not doubled:
        return found, ()
    encoder = Encoder()
    for number, log in enumerate(table.logs):
        used, first, own = np.unique(found.codes[table.log == number], return_index=True, return_inverse=True)
        order = np.argsort(first)
        called = [found.names[code] for code in used[order]]
        told = [
            f"{log.name}: {name}" if code in doubled else name
            for code, name in zip(used[order], called, strict=True)
        ]
        encoder.extend(told, np.argsort(order)[own])
    names = ", ".join(found.names[code] for code in sorted(doubled))
    told_of = f"{names}: in several logs over the same items, so that each log's is a condition of its own"
    return encoder.labels(), (told_of,)


def _chosen(found: Labels, wanted: Sequence[str]) -> list[str]:
    unknown = [
        f"no condition is called {name!r}: {did_you_mean(name, found.names)}"
        for name in wanted
        if name not in found.names
    ]
    if unknown:
        raise UsageError("\n".join(unknown))
    names = list(dict.fromkeys(wanted)) or list(found.names)
    if len(names) < 2:
        raise UsageError(
            f"there is one condition, {names[0]!r}: name another log, or with --by the column that tells conditions apart."
        )
    return names


def _no_doubles(table: _Table, names: Labels) -> None:
    """A repeat of an item stands once in a condition, where repeats are numbered."""
    if not any(log.repeats for log in table.logs):
        return
    numbered = np.array([log.repeats for log in table.logs])[table.log]
    rows = table.key(names.codes, table.codes("stratum"), table.codes("item"), table.codes("repeat"))
    counts = np.bincount(rows[numbered], minlength=1)
    if counts.max(initial=0) < 2:
        return
    row = int(np.flatnonzero(numbered & (rows == int(counts.argmax())))[0])
    item, repeat = (table.labels[name].names[table.codes(name)[row]] for name in ("item", "repeat"))
    raise UsageError(
        f"{table.logs[int(table.log[row])].name}: item {item!r} (repeat {repeat}) stands {int(counts.max())} times under "
        f"{names.names[names.codes[row]]!r}: give items ids of their own, or take the doubles out."
    )


def _condition(table: _Table, names: Labels, items: Codes, name: str) -> Condition:
    rows = np.flatnonzero(names.codes == names.names.index(name))
    logs = [table.logs[number] for number in np.unique(table.log[rows])]
    return Condition(
        name=name,
        logs=tuple(log.name for log in logs),
        tools=tuple(dict.fromkeys(log.tool for log in logs)),
        items=items[rows],
        values=table.values[rows],
        strata=table.codes("stratum")[rows],
        clusters=table.codes("cluster")[rows],
    )


def _common(conditions: Sequence[Condition], table: _Table) -> None:
    """Raises UsageError where no item is in every condition, with ids to look at."""
    common = conditions[0].items
    for condition in conditions[1:]:
        common = np.intersect1d(common, condition.items)
    if common.size:
        return
    names = table.labels["item"]
    items, _ = table.items()
    shown = []
    for condition in conditions:
        ids = [
            names.names[names.codes[int(np.flatnonzero(items == item)[0])]]
            for item in np.unique(condition.items)[:_SHOWN]
        ]
        shown.append(f"  {condition.name}: {', '.join(ids)}, ...")
    raise UsageError(
        "no item is in every condition, so that nothing can be paired. The ids begin like this:\n"
        + "\n".join(shown)
        + "\nGive logs of the same task and items, or --unpaired to compare them as independent groups."
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
