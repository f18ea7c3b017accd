"""Which trials are done, which are with whom, and which go next.

Memory: one bit for a done trial, a set entry for one that is out, and a cursor for each lane. Blocks are never listed:
the cursor walks the ranks of the seeded order, and only what a resume, a death or a hand-back left over is kept as
single trials.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from crucible_ray.experiment.grid import Ints, Order
from crucible_ray.journal.trials import TrialSet
from crucible_ray.records import Grant
from crucible_ray.runtime.lanes import Lanes

SUSPECT_DEATHS = 2
"""Trials that were out at so many deaths run with nothing else in flight."""
FATAL_DEATHS = 3
_SUSPECT_GROUP = 16
_SCAN = 4096


class Frontier:
    """The state of the grid. Pure: told what happened, it says what may be granted."""

    def __init__(
        self, *, order: Order, lanes: Lanes, done: TrialSet, together: bool = False, lead: int | None = None
    ) -> None:
        """`together`: single trials of one block go to one client, as far as they stand together.

        lead: by how many blocks a lane may be ahead of the slowest, 1 or more; None: as far as it gets.
        """
        self.order, self.lanes, self.done = order, lanes, done
        self.total = order.blocks * order.conditions
        self._fresh, self._together = done.count == 0, together
        self._lane_of = np.zeros(order.conditions, np.int64)
        for lane, conditions in enumerate(lanes):
            self._lane_of[list(conditions)] = lane
        self._in_lane = [self._lane_of == lane for lane in range(len(lanes))]
        self._cursor = [0] * len(lanes)
        self._lead = order.blocks if lead is None else lead
        self._singles: list[deque[int]] = [deque() for _ in lanes]
        self._suspects: deque[list[int]] = deque()
        self._deaths: dict[int, int] = {}
        self._out: dict[int, set[int]] = {}
        self.duplicates = 0

    @property
    def complete(self) -> bool:
        """Whether every trial has its row."""
        return self.done.count >= self.total

    @property
    def out(self) -> int:
        """Trials granted and not finished."""
        return sum(map(len, self._out.values()))

    def lane_of(self, trials: Ints) -> Ints:
        """The lane of each trial; shape [n]."""
        return self._lane_of[trials % self.order.conditions]

    def out_with(self, client: int) -> int:
        """The same, for one client."""
        return len(self._out.get(client, ()))

    def trials_of(self, grants: Sequence[Grant]) -> Ints:
        """The trials of grants, in no set order; shape [n]."""
        parts = [np.array(grant.trials, np.int64) for grant in grants]
        for grant in grants:
            in_lane, width = self._in_lane[grant.lane], len(self.lanes[grant.lane])
            parts += [expand(self.order, *span, in_lane, width).ravel() for span in grant.spans]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def has_work(self, lane: int) -> bool:
        """Whether this lane has anything left to grant."""
        return bool(self._singles[lane]) or self._cursor[lane] < self._reach()

    def _reach(self) -> int:
        """How far the cursor of a lane may go now."""
        return min(self.order.blocks, min(self._cursor) + self._lead)

    def next_single(self, lane: int) -> int | None:
        """The next trial that stands alone, without taking it."""
        return self._singles[lane][0] if self._singles[lane] else None

    def take(self, client: int, lane: int, most: int) -> Grant | None:
        """Up to about `most` trials of a lane: what was left over first, else whole blocks in order."""
        singles = self._singles[lane]
        if singles:
            trials = tuple(singles.popleft() for _ in range(min(most, len(singles))))
            trials = self._whole_blocks(trials, singles) if self._together else trials
            self._hand_out(client, trials)
            return Grant(lane=lane, trials=trials)
        spans: list[tuple[int, int]] = []
        blocks = max(1, most // len(self.lanes[lane]))
        while blocks > 0 and self._cursor[lane] < self._reach():
            start = self._cursor[lane]
            stop = min(self._reach(), start + (blocks if self._fresh else _SCAN))
            blocks -= self._advance(client, lane, start, stop, blocks, spans)
            if singles:
                break
        if spans:
            return Grant(lane=lane, spans=tuple(spans))
        return self.take(client, lane, most) if singles else None

    def _whole_blocks(self, trials: tuple[int, ...], left: deque[int]) -> tuple[int, ...]:
        """`trials` without those of a block of which more are left; these go back, unless nothing else is there."""
        width = self.order.conditions
        if not left or left[0] // width != trials[-1] // width:
            return trials
        cut = next(k for k, trial in enumerate(trials) if trial // width == trials[-1] // width)
        left.extendleft(reversed(trials[cut:] if cut else ()))
        return trials[:cut] if cut else trials

    def _advance(
        self, client: int, lane: int, start: int, stop: int, most: int, spans: list[tuple[int, int]]
    ) -> int:
        """Walk ranks [start, stop): whole blocks into `spans`, the rest of half-done ones among the singles."""
        trials = expand(self.order, start, stop, self._in_lane[lane], len(self.lanes[lane]))
        if self._fresh:
            spans.append((start, stop))
            self._hand_out(client, trials.ravel().tolist())
            self._cursor[lane] = stop
            return stop - start
        done = self.done.contains(trials.ravel()).reshape(trials.shape)
        left = (~done).sum(axis=1)
        whole = np.flatnonzero(left == trials.shape[1])
        if len(whole) > most:
            stop = start + int(whole[most])
            whole, done, trials, left = (
                whole[:most],
                done[: stop - start],
                trials[: stop - start],
                left[: stop - start],
            )
        for first, last in _runs(whole):
            spans.append((start + first, start + last))
            self._hand_out(client, trials[first:last].ravel().tolist())
        half = np.flatnonzero((left > 0) & (left < trials.shape[1]))
        self._singles[lane].extend(trials[half][~done[half]].tolist())
        self._cursor[lane] = stop
        return len(whole)

    def split_next_block(self, lane: int) -> None:
        """Put the trials of the next block with any left among the singles: money for whole blocks is not there any more."""
        while not self._singles[lane] and self._cursor[lane] < self.order.blocks:
            start = self._cursor[lane]
            trials = expand(self.order, start, start + 1, self._in_lane[lane], len(self.lanes[lane])).ravel()
            self._singles[lane].extend(trials[~self.done.contains(trials)].tolist())
            self._cursor[lane] = start + 1

    def next_suspects(self) -> list[int]:
        """The next group that may hold what kills clients, without taking it; empty: there is none."""
        return self._suspects[0] if self._suspects else []

    def halve_suspects(self) -> None:
        """Run the next group in two parts, where money for the whole is not there any more."""
        group = self._suspects.popleft()
        self._suspects.extendleft([group[len(group) // 2 :], group[: len(group) // 2]])

    def take_suspects(self, client: int) -> Grant:
        """The next such group, for a client that has nothing else."""
        group = self._suspects.popleft()
        self._hand_out(client, group)
        return Grant(lane=int(self._lane_of[group[0] % self.order.conditions]), trials=tuple(group))

    def finish(self, client: int, trials: Ints) -> NDArray[np.bool_]:
        """Rows came in; which of them are the first for their trial, shape [n]."""
        self._out.get(client, set()).difference_update(trials.tolist())
        first = self.done.add(trials)
        self.duplicates += len(trials) - int(first.sum())
        return first

    def give_back(self, client: int, trials: Iterable[int]) -> None:
        """A client hands trials back unfinished."""
        out = self._out.get(client, set())
        for trial in trials:
            if trial in out:
                out.discard(trial)
                self._singles[int(self._lane_of[trial % self.order.conditions])].append(trial)

    def died(self, client: int) -> list[int]:
        """A client is dead: what it had goes to others. Returns the trials that have now killed their client for good."""
        lost = sorted(self._out.pop(client, ()))
        alone = len(lost) == 1
        suspects = []
        fatal = []
        for trial in lost:
            deaths = self._deaths[trial] = self._deaths.get(trial, 0) + 1
            if deaths >= FATAL_DEATHS and alone:
                fatal.append(trial)
            elif deaths >= SUSPECT_DEATHS:
                suspects.append(trial)
            else:
                self._singles[int(self._lane_of[trial % self.order.conditions])].append(trial)
        # A group that died runs one by one next, so that the guilty trial is found and the others go on.
        self._group(suspects, 1 if len(lost) <= _SUSPECT_GROUP else _SUSPECT_GROUP)
        return fatal

    def _group(self, suspects: list[int], size: int) -> None:
        lanes: dict[int, list[int]] = {}
        for trial in suspects:
            lanes.setdefault(int(self._lane_of[trial % self.order.conditions]), []).append(trial)
        for trials in lanes.values():
            self._suspects.extend(trials[k : k + size] for k in range(0, len(trials), size))

    def _hand_out(self, client: int, trials: Iterable[int]) -> None:
        self._out.setdefault(client, set()).update(trials)


def expand(order: Order, start: int, stop: int, in_lane: NDArray[np.bool_], width: int) -> Ints:
    """The trials of a lane at ranks [start, stop), in planned order; shape [stop - start, width]."""
    trials = order.trials_at(np.arange(start, stop, dtype=np.int64))
    if width == order.conditions:
        return trials
    return trials[in_lane[trials % order.conditions]].reshape(stop - start, width)


def _runs(ascending: NDArray[np.int64]) -> Iterable[tuple[int, int]]:
    """Half-open runs of consecutive numbers."""
    if not len(ascending):
        return
    breaks = np.flatnonzero(np.diff(ascending) != 1)
    firsts = ascending[np.concatenate(([0], breaks + 1))]
    lasts = ascending[np.concatenate((breaks, [len(ascending) - 1]))]
    yield from zip(firsts.tolist(), (lasts + 1).tolist(), strict=True)
