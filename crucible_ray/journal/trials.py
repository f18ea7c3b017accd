"""A set of trial numbers in about one bit each, and next to nothing where whole stretches are in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_Bools = NDArray[np.bool_]

_CHUNK = 1 << 16
_FULL = np.ones(0, np.uint8)
"""Stands for a chunk whose every trial is in."""


class TrialSet:
    """Trial numbers from 0, in chunks of 65,536; a chunk that fills up is replaced by a mark."""

    def __init__(self) -> None:
        self._chunks: dict[int, NDArray[np.uint8]] = {}
        self._counts: dict[int, int] = {}
        self.count = 0

    def __contains__(self, trial: int) -> bool:
        return bool(self.contains(np.array([trial], np.int64))[0])

    @property
    def bound(self) -> int:
        """A number above all that are in, by less than 65,536."""
        return (max(self._chunks, default=-1) + 1) * _CHUNK

    def add(self, trials: Ints) -> _Bools:
        """Add `trials`, shape [n]; says which of them were new. A number twice in `trials` is new once."""
        new = np.zeros(len(trials), np.bool_)
        _, firsts = np.unique(trials, return_index=True)
        for chunk, at in self._by_chunk(trials[firsts]):
            places = firsts[at]
            if self._chunks.get(chunk) is _FULL:
                continue
            bits = self._chunks.setdefault(chunk, np.zeros(_CHUNK // 8, np.uint8))
            offsets = trials[places] - chunk * _CHUNK
            absent = (bits[offsets >> 3] >> (offsets & 7).astype(np.uint8)) & 1 == 0
            offsets = offsets[absent]
            np.bitwise_or.at(bits, offsets >> 3, (1 << (offsets & 7)).astype(np.uint8))
            new[places[absent]] = True
            self._counted(chunk, len(offsets))
        return new

    def discard(self, trials: Ints) -> None:
        """Take `trials` out, where they are in."""
        trials = np.unique(trials[self.contains(trials)])
        for chunk, at in self._by_chunk(trials):
            if self._chunks[chunk] is _FULL:
                self._chunks[chunk] = np.full(_CHUNK // 8, 255, np.uint8)
            offsets = trials[at] - chunk * _CHUNK
            np.bitwise_and.at(self._chunks[chunk], offsets >> 3, ~(1 << (offsets & 7)).astype(np.uint8))
            self._counted(chunk, -len(offsets))

    def contains(self, trials: Ints) -> _Bools:
        """Which of `trials` are in; shape [n]."""
        present = np.zeros(len(trials), np.bool_)
        if not self._chunks:
            return present
        for chunk, at in self._by_chunk(trials):
            bits = self._chunks.get(chunk)
            if bits is _FULL:
                present[at] = True
            elif bits is not None:
                offsets = trials[at] - chunk * _CHUNK
                present[at] = (bits[offsets >> 3] >> (offsets & 7).astype(np.uint8)) & 1 == 1
        return present

    def missing(self, total: int) -> Iterator[Ints]:
        """The numbers below `total` that are not in, ascending, a chunk at a time."""
        for chunk in range(-(-total // _CHUNK)):
            if self._chunks.get(chunk) is not _FULL:
                numbers = np.arange(chunk * _CHUNK, min(total, (chunk + 1) * _CHUNK), dtype=np.int64)
                absent = numbers[~self.contains(numbers)]
                if len(absent):
                    yield absent

    def numbers(self) -> Iterator[Ints]:
        """The numbers that are in, ascending, a chunk at a time."""
        for chunk in sorted(self._chunks):
            numbers = np.arange(chunk * _CHUNK, (chunk + 1) * _CHUNK, dtype=np.int64)
            present = numbers[self.contains(numbers)]
            if len(present):
                yield present

    def _counted(self, chunk: int, change: int) -> None:
        self.count += change
        self._counts[chunk] = self._counts.get(chunk, 0) + change
        if self._counts[chunk] == _CHUNK:
            self._chunks[chunk] = _FULL

    @staticmethod
    def _by_chunk(trials: Ints) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """(chunk, places in `trials`) for every chunk that they touch."""
        chunks = trials >> 16
        if len(chunks) and chunks[0] == chunks[-1] and (chunks == chunks[0]).all():
            yield int(chunks[0]), np.arange(len(trials))
            return
        for chunk in np.unique(chunks).tolist():
            yield chunk, np.flatnonzero(chunks == chunk)
