"""Silent zeros: scores that are low because nothing was measured. Counted batch by batch, told as findings.

A slot is a condition, or one member of an ensemble. What is counted of it depends on the order of its rows alone, not
on how they were cut into batches.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from numpy.typing import NDArray

from crucible_ray.experiment.plan import Plan
from crucible_ray.records import Item

Ints = NDArray[np.int64]

SHARE: Final = 0.05
"""Above this share of replies something is amiss."""
ENOUGH: Final = 20
"""Replies from which a share is looked at."""
SAME: Final = 0.95
"""From this share on, equal replies are the same reply to everything."""
APART: Final = 0.05
_CERTAIN_Z: Final = 3.29
"""Two-sided one in a thousand: rates are compared again and again while a run goes on."""
_TRIED: Final = 200
"""The commonest of a slot's first replies is the one that is counted from then on."""


class Silence(Struct, frozen=True, kw_only=True):
    """Something that makes scores say less than they seem to."""

    kind: str
    """`empty_truncated`, `unreadable`, `parse_rates_differ`, `not_exact` or `same_reply`."""
    condition: str
    member: str | None = None
    """Of an ensemble: whose replies, where it is one member's."""
    other: str | None = None
    """The condition that `condition` is compared with."""
    count: int
    of: int
    share: float
    other_share: float | None = None

    @property
    def told(self) -> str:
        """A sentence, with the mend."""
        who = f"{self.condition}, member {self.member}" if self.member is not None else self.condition
        share = f"{100 * self.share:.3g} %"
        match self.kind:
            case "empty_truncated":
                return (
                    f"{who}: {share} of {self.of:,} replies are empty because their tokens ran out; they are missing, not "
                    "wrong. Raise max_tokens."
                )
            case "unreadable":
                return (
                    f"{who}: {share} of {self.of:,} answers could not be read and count as wrong. Look at one with "
                    "crucible-ray show DIR TRIAL (results.csv says which: parse_failed), and mend the prompt or parse."
                )
            case "parse_rates_differ":
                return (
                    f"{who} and {self.other}: {share} and {100 * (self.other_share or 0.0):.3g} % of answers could not be "
                    "read; the difference in accuracy is one in form too."
                )
            case "not_exact":
                return (
                    f"{who}: {share} of {self.of:,} answers count as wrong although the reply holds the right one among other "
                    "words: parse = text takes the whole reply. Ask for the answer alone, or mend parse (rescore --parse reads "
                    "what is stored)."
                )
            case _:
                return (
                    f"{who}: {share} of {self.of:,} replies are the same, whatever was asked. Look at the prompt, and at a "
                    "reply in calls.parquet."
                )


class Silences:
    """Counts over rows, as the journal has them."""

    def __init__(self, plan: Plan, items: Sequence[Item] = ()) -> None:
        """items: without them equal replies are not judged, since equal answers may be right."""
        self._names = [condition.name for condition in plan.conditions]
        self._slots = [(k, m) for k, c in enumerate(plan.conditions) for m in range(max(1, len(c.calls)))]
        self._first = np.array([self._slots.index((k, 0)) for k in range(len(self._names))], np.int64)
        self._width = np.array([max(1, len(c.calls)) for c in plan.conditions], np.int64)
        self._models = [
            [call.model.name for call in condition.calls] if len(condition.calls) > 1 else [None]
            for condition in plan.conditions
        ]
        self._judged = _answers_differ(items)
        self._exact = np.array([condition.parse == "text" for condition in plan.conditions], np.bool_)
        self._expected = [item.expected for item in items]
        self._per_item = len(self._names) * plan.repeats
        self._held = np.zeros(len(self._names), np.int64)
        count = len(self._slots)
        self._replies, self._empty, self._same = (np.zeros(count, np.int64) for _ in range(3))
        self._tried: list[Counter[int]] = [Counter() for _ in range(count)]
        self._seen = [0] * count
        self._candidate: list[int | None] = [None] * count
        self._answered, self._unread = (np.zeros(len(self._names), np.int64) for _ in range(2))

    def add(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Take rows with `trial`, `error` and, where there are any, `calls`."""
        for batch in rows.to_batches() if isinstance(rows, pa.Table) else (rows,):
            self._add(batch)

    def _add(self, batch: pa.RecordBatch) -> None:
        conditions = batch["trial"].to_numpy() % len(self._names)
        error = batch["error"]
        unread = pc.fill_null(pc.equal(error, "parse_failed"), False).to_numpy(zero_copy_only=False)
        answered = unread | pc.is_null(error).to_numpy(zero_copy_only=False)
        self._answered += np.bincount(conditions[answered], minlength=len(self._names))
        self._unread += np.bincount(conditions[unread], minlength=len(self._names))
        if "calls" not in batch.schema.names:
            return
        self._add_calls(conditions, batch["calls"])
        if self._expected and "correct" in batch.schema.names and self._exact[conditions].any():
            self._add_held(batch, conditions)

    def _add_held(self, batch: pa.RecordBatch, conditions: Ints) -> None:
        """Count the wrong rows of which a reply holds the expected text among other words."""
        wrong = pc.fill_null(pc.equal(batch["correct"], 0), False).to_numpy(zero_copy_only=False)
        texts, trials = pc.struct_field(batch["calls"].flatten(), "text"), batch["trial"].to_numpy()
        ends = np.cumsum(pc.list_value_length(batch["calls"]).fill_null(0).to_numpy(zero_copy_only=False))
        for row in np.flatnonzero(wrong & self._exact[conditions]).tolist():
            expected = self._expected[int(trials[row]) // self._per_item]
            start = int(ends[row - 1]) if row else 0
            replies = texts.slice(start, int(ends[row]) - start).to_pylist()
            if expected and any(_holds(reply, expected) for reply in replies if reply):
                self._held[conditions[row]] += 1

    def _add_calls(self, conditions: Ints, calls: pa.ListArray) -> None:
        owners = pc.list_parent_indices(calls).to_numpy(zero_copy_only=False)
        flat = calls.flatten()
        outcome, member, text, finish = (
            pc.struct_field(flat, field) for field in ("outcome", "call", "text", "finish_reason")
        )
        there = pc.fill_null(pc.and_(pc.equal(outcome, "ok"), pc.is_valid(text)), False)
        chosen = np.flatnonzero(there.to_numpy(zero_copy_only=False))
        if not len(chosen):
            return
        at = pa.array(chosen)
        condition = conditions[owners[chosen]]
        members = np.minimum(member.take(at).to_numpy(zero_copy_only=False), self._width[condition] - 1)
        slots = self._first[condition] + members
        texts = text.take(at)
        cut = pc.and_(pc.equal(texts, ""), pc.fill_null(pc.equal(finish.take(at), "length"), False))
        count = len(self._slots)
        self._replies += np.bincount(slots, minlength=count)
        self._empty += np.bincount(slots[cut.to_numpy(zero_copy_only=False)], minlength=count)
        if self._judged:
            self._add_texts(slots, texts)

    def _add_texts(self, slots: Ints, texts: pa.Array) -> None:
        coded = texts.dictionary_encode()
        hashes = np.array([hash(text) for text in coded.dictionary.to_pylist()], np.int64)
        hashes = hashes[coded.indices.to_numpy(zero_copy_only=False)]
        for slot in np.unique(slots).tolist():
            found = hashes[slots == slot]
            early = found[: max(0, _TRIED - self._seen[slot])]
            self._tried[slot].update(early.tolist())
            self._seen[slot] += len(found)
            if self._seen[slot] >= _TRIED and self._candidate[slot] is None:
                ((self._candidate[slot], count),) = self._tried[slot].most_common(1)
                self._same[slot] = count
            if len(early) < len(found):
                self._same[slot] += np.count_nonzero(found[len(early) :] == self._candidate[slot])

    def found(self) -> list[Silence]:
        """What is amiss so far."""
        slots = [each for slot in range(len(self._slots)) for each in self._of_slot(slot)]
        unreadable = self._of_conditions("unreadable", self._unread)
        return slots + unreadable + self._rates() + self._of_conditions("not_exact", self._held)

    def _of_slot(self, slot: int) -> list[Silence]:
        of, empty = int(self._replies[slot]), int(self._empty[slot])
        if of < ENOUGH:
            return []
        condition, position = self._slots[slot]
        same = int(self._same[slot])
        if self._candidate[slot] is None and self._tried[slot]:
            ((_, same),) = self._tried[slot].most_common(1)
        counts = {"empty_truncated": empty} if empty > SHARE * of else {}
        counts |= {"same_reply": same} if same >= SAME * of and not counts else {}
        return [
            Silence(
                kind=kind,
                condition=self._names[condition],
                member=self._models[condition][position],
                count=count,
                of=of,
                share=count / of,
            )
            for kind, count in counts.items()
        ]

    def _of_conditions(self, kind: str, counts: Ints) -> list[Silence]:
        return [
            Silence(kind=kind, condition=name, count=count, of=of, share=count / of)
            for name, count, of in zip(self._names, counts.tolist(), self._answered.tolist(), strict=True)
            if of >= ENOUGH and count > SHARE * of
        ]

    def _rates(self) -> list[Silence]:
        """Each condition whose rate is surely apart from the first one's."""
        first, counts = self._names[0], list(zip(self._unread.tolist(), self._answered.tolist(), strict=True))
        found = []
        for name, (count, of) in list(zip(self._names, counts, strict=True))[1:]:
            if _apart(count, of, *counts[0]):
                found.append(
                    Silence(
                        kind="parse_rates_differ",
                        condition=name,
                        other=first,
                        count=count,
                        of=of,
                        share=count / of,
                        other_share=counts[0][0] / counts[0][1],
                    )
                )
        return found


def _apart(count: int, of: int, other: int, other_of: int) -> bool:
    """Whether two rates differ by five points at least, and by more than chance (pooled two-proportion z)."""
    if min(of, other_of) < ENOUGH:
        return False
    gap, pooled = abs(count / of - other / other_of), (count + other) / (of + other_of)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / other_of))
    return gap >= APART and gap > _CERTAIN_Z * spread


def _holds(reply: str, expected: str) -> bool:
    """Whether the expected text stands in a reply as a whole word, or words."""
    return re.search(rf"(?<!\w){re.escape(expected.strip())}(?!\w)", reply, re.IGNORECASE) is not None


def _answers_differ(items: Sequence[Item]) -> bool:
    """Whether one reply cannot be the right one nearly everywhere."""
    if len(items) < 2:
        return False
    ((_, most),) = Counter(item.expected for item in items).most_common(1)
    return most < SAME * len(items) or (len({item.input for item in items}) > 1 and items[0].expected is None)
