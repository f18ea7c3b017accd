"""Replies that earlier runs paid for, found by what was asked: keys in memory, the calls themselves on disk.

A chain is one call with all its attempts, of which the last one brought the reply. Memory: 32 bytes a chain; disk: what
the chains take in Arrow's format.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crucible_ray.experiment.plan import CallPlan, Plan
from crucible_ray.journal.kept import kept_entries
from crucible_ray.journal.rows import ROW_SCHEMA, rows_to_calls
from crucible_ray.journal.state import JournalState
from crucible_ray.journal.store import BlockingLog
from crucible_ray.records import Call, Item

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]

_CALLS = ROW_SCHEMA.field("calls").type
_SCHEMA: pa.Schema = pa.schema([("calls", _CALLS)])
_REPEAT = np.uint64(0x9E3779B97F4A7C15)


def word(*parts: object) -> np.uint64:
    """64 bits that stand for these parts."""
    text = "\x1f".join(map(str, parts)).encode()
    return np.uint64(int.from_bytes(blake2b(text, digest_size=8).digest(), "little"))


def server(plan: Plan, call: CallPlan) -> np.uint64:
    """Who answers a call. A model that the run itself simulates counts as its settings, not as its address."""
    model = call.model
    where = model.base_url
    if model.provider == "simulated":
        settings = dict(plan.simulated or {})
        settings["models"] = [each for each in settings.get("models", ()) if each["name"] == model.model]
        where = msgspec.json.encode(settings, order="sorted").decode()
    return word(model.provider, where, model.model)


def question(server: np.uint64 | Words, request: Sequence[str], repeat: Ints) -> Words:
    """What is asked of whom, in which repeat; one word for each. request: hexadecimal hashes of bodies."""
    with np.errstate(over="ignore"):
        asked = np.array([int(each[:16], 16) for each in request], np.uint64) ^ server
        return np.asarray(asked + repeat.astype(np.uint64) * _REPEAT, np.uint64)


class Paid:
    """Chains by question, item and origin. Filled by `add`, then sealed and searched."""

    def __init__(self, scratch: Path) -> None:
        """`scratch` holds the calls, until they are needed no more."""
        self._path = scratch / "paid.arrow"
        self._writer: pa.RecordBatchWriter | None = pa.ipc.new_file(str(self._path), _SCHEMA)
        self._parts: list[tuple[Words, Words, Words, Words]] = []
        self._sources: list[str] = []
        self._keys = self._items = self._origins = np.zeros(0, np.uint64)
        self._places = self._starts = np.zeros(0, np.int64)
        self._table = _SCHEMA.empty_table()

    def __len__(self) -> int:
        return sum(len(keys) for keys, *_ in self._parts)

    def add(
        self,
        plan: Plan,
        items: Sequence[Item],
        log: BlockingLog,
        state: JournalState,
        *,
        now_s: float,
        source: str = "",
    ) -> int:
        """Take the replies of one run's rows that count; returns how many. Raises DamagedEntry, StorageFailed.

        now_s: seconds since 1970, from which the age of a reply is counted. source: what the run is called here.
        """
        assert self._writer is not None
        design = _Design(plan, items)
        before = len(self)
        for head, table in kept_entries(log, state, ["trial", "calls"]):
            age_s = None if head.written_s is None else max(0.0, now_s - head.written_s)
            part, calls = design.chains(table, age_s)
            self._parts.append(part)
            self._sources.append(source)
            self._writer.write_table(pa.table([calls], schema=_SCHEMA))
        return len(self) - before

    def seal(self) -> None:
        """Nothing more is added: from here on it can be searched."""
        assert self._writer is not None
        self._writer.close()
        self._writer = None
        if not self._parts:
            return
        self._starts = np.cumsum([0, *(len(part[0]) for part in self._parts)])
        keys, items, origins, made = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        # A run that reused a reply holds it as well: it stays one reply, and never stands for two.
        _, once = np.unique(np.stack((keys, items, made), axis=1), axis=0, return_index=True)
        once.sort()
        self._places = once[np.lexsort((items[once], keys[once]))]
        self._keys, self._items, self._origins = (
            keys[self._places],
            items[self._places],
            origins[self._places],
        )
        self._table = pa.ipc.open_file(pa.memory_map(str(self._path))).read_all()

    def candidates(self, questions: Words) -> tuple[Ints, Ints]:
        """By question, the half-open range of ranks of the chains that answer it; shapes [n]."""
        low = np.searchsorted(self._keys, questions, side="left")
        return low.astype(np.int64), np.searchsorted(self._keys, questions, side="right").astype(np.int64)

    def of_item(self, span: tuple[int, int], item: np.uint64) -> range:
        """Those of a question's ranks that are of one item."""
        low, high = span
        within = self._items[low:high]
        first, last = np.searchsorted(within, item, side="left"), np.searchsorted(within, item, side="right")
        return range(low + int(first), low + int(last))

    def item(self, rank: int) -> np.uint64:
        """Of which item a chain's reply is."""
        return np.uint64(self._items[rank])

    def origin(self, rank: int) -> np.uint64:
        """For which condition and call a chain was made."""
        return np.uint64(self._origins[rank])

    def source(self, rank: int) -> str:
        """From which run a chain was taken."""
        part = int(np.searchsorted(self._starts, self._places[rank], side="right")) - 1
        return self._sources[part]

    def calls(self, rank: int) -> tuple[Call, ...]:
        """The attempts of a chain, in order."""
        return next(rows_to_calls(self._table.slice(int(self._places[rank]), 1)["calls"]))


class _Design:
    """What a run's plan says of a call by the trial and the place that it stands at."""

    def __init__(self, plan: Plan, items: Sequence[Item]) -> None:
        self._id = plan.experiment_id
        self._repeats, self._conditions = plan.repeats, len(plan.conditions)
        self._width = max(1, *(len(condition.calls) for condition in plan.conditions))
        shape = (self._conditions, self._width)
        self._servers, self._origins = np.zeros(shape, np.uint64), np.zeros(shape, np.uint64)
        self._planned = np.zeros(shape, np.bool_)
        for index, condition in enumerate(plan.conditions):
            for place, call in enumerate(condition.calls):
                self._servers[index, place] = server(plan, call)
                self._origins[index, place] = word(condition.name, place)
                self._planned[index, place] = True
        self._items = np.array([word(item.id) for item in items], np.uint64)

    def chains(
        self, table: pa.Table, age_s: float | None
    ) -> tuple[tuple[Words, Words, Words, Words], pa.ListArray]:
        """((questions, items, origins, makings), calls) of the chains in some rows that end in a reply."""
        lists = table["calls"].combine_chunks()
        flat = lists.flatten()
        owners = pc.list_parent_indices(lists).to_numpy()
        trials = table["trial"].to_numpy()[owners]
        block, condition = np.divmod(trials, self._conditions)
        item, repeat = np.divmod(block, self._repeats)
        place = flat.field("call").to_numpy()
        inside = place < self._width
        planned = inside & self._planned[condition, np.where(inside, place, 0)]
        own = flat.field("shared_from").is_null().to_numpy(zero_copy_only=False)
        last = _last_of(owners, place)
        chosen = np.flatnonzero(last & _answered(flat) & planned & own)
        members, counts = _members(owners, place, chosen)
        condition, place, item = condition[chosen], place[chosen], item[chosen]
        requests = flat.field("request").take(pa.array(chosen)).to_pylist()
        keys = question(self._servers[condition, place], requests, repeat[chosen])
        calls = self._marked(flat.take(pa.array(members)), age_s)
        offsets = pa.array(np.concatenate(([0], np.cumsum(counts))), pa.int32())
        made = pa.ListArray.from_arrays(offsets, calls, type=_CALLS)
        return (keys, self._items[item], self._origins[condition, place], _making(calls, offsets)), made

    def _marked(self, calls: pa.StructArray, age_s: float | None) -> pa.StructArray:
        """The calls as another run will record them: where they come from, and how old they are now."""
        columns = {field.name: calls.field(field.name) for field in calls.type}
        added = pa.scalar(age_s, pa.float64())
        older = pc.if_else(pc.is_valid(columns["reused_from"]), columns["reused_age_s"], 0.0)
        columns["reused_age_s"] = pc.add(older, added)
        columns["reused_from"] = pc.fill_null(columns["reused_from"], self._id)
        return pa.StructArray.from_arrays(list(columns.values()), fields=list(calls.type))


def _making(calls: pa.StructArray, offsets: pa.Array) -> Words:
    """What a chain's last attempt and all its copies have in common: who paid for it, when in its trial it was made."""
    last = calls.take(pa.array(np.asarray(offsets)[1:] - 1))
    payers = last.field("reused_from").dictionary_encode()
    words = np.array([word(each) for each in payers.dictionary.to_pylist()], np.uint64)
    found = words[payers.indices.to_numpy()] if len(last) else np.zeros(0, np.uint64)
    for name in ("started_us", "ended_us"):
        found = (found ^ last.field(name).to_numpy().astype(np.uint64)) * _REPEAT
    return np.asarray(found, np.uint64)


def _answered(calls: pa.StructArray) -> NDArray[np.bool_]:
    """Which attempts brought a reply; an empty one whose tokens ran out is none, as for the trial."""
    blank = pc.equal(pc.utf8_trim_whitespace(calls.field("text")), "")
    cut_short = pc.and_(blank, pc.equal(calls.field("finish_reason"), "length"))
    whole = pc.invert(pc.fill_null(cut_short, False))
    return np.asarray(pc.and_(pc.equal(calls.field("outcome"), "ok"), whole).to_numpy(zero_copy_only=False))


def _last_of(owners: Ints, place: Ints) -> NDArray[np.bool_]:
    """Which attempts are the last of their call, shape [n]: attempts of a call stand together."""
    if not len(owners):
        return np.zeros(0, np.bool_)
    return np.append((owners[1:] != owners[:-1]) | (place[1:] != place[:-1]), True)


def _members(owners: Ints, place: Ints, chosen: Ints) -> tuple[Ints, Ints]:
    """(places of all attempts of the chosen calls, how many each has), by the place of each call's last attempt."""
    ends = np.flatnonzero(_last_of(owners, place))
    starts = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    first = starts[np.searchsorted(ends, chosen)] if len(chosen) else chosen
    counts = chosen - first + 1
    members = [np.arange(a, b + 1) for a, b in zip(first.tolist(), chosen.tolist(), strict=True)]
    return (np.concatenate(members) if members else np.zeros(0, np.int64)), counts
