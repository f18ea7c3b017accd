"""Resampling in chunks, each with random numbers of its own: the same draws wherever, and by how many, they are made.

A chunk's numbers come from `SeedSequence(seed).spawn`, and what a chunk holds depends on the data and the seed alone, so
results are the same bytes in one thread, on any number of workers, and again tomorrow. Where large work is drawn is
nobody's business but `drawing_on`'s; without it, here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crucible_ray.stats.result import Floats

_VALUES = 4_000_000
"""Random values in a chunk: some hundredths of a second of work."""
Arrays = tuple[NDArray[Any], ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some of the resamples."""

    seed: int
    number: int
    """Its place among the chunks of one piece of work."""
    rows: int
    """Resamples in it."""

    def rng(self) -> np.random.Generator:
        """Its own random numbers, anew at every call."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.number,)))


class Draw(Protocol):
    """Makes the resamples of one chunk. A module's function, or a partial of one, so that it can travel."""

    def __call__(self, data: Arrays, chunk: Chunk, /) -> Floats:
        """One row a resample, shape [chunk.rows] or [chunk.rows, columns]."""
        ...


class Drawer(Protocol):
    """Where chunks are drawn."""

    def __call__(
        self, draw: Draw, data: Arrays, chunks: Sequence[Chunk], /, *, values: int
    ) -> Iterable[Floats]:
        """What `draw` makes of each chunk, in their order. values: random values of all of them, the size of the work."""
        ...  # fmt: skip


def draw_here(draw: Draw, data: Arrays, chunks: Sequence[Chunk], /, *, values: int) -> Iterator[Floats]:
    """One chunk after the other, in this thread."""
    return (draw(data, chunk) for chunk in chunks)


_DRAWER: ContextVar[Drawer] = ContextVar("drawer", default=draw_here)


@contextmanager
def drawing_on(drawer: Drawer) -> Iterator[None]:
    """Within, chunks are drawn there. It changes how long resampling takes, and nothing else."""
    token = _DRAWER.set(drawer)
    try:
        yield
    finally:
        _DRAWER.reset(token)


def drawn(draw: Draw, data: Arrays, *, resamples: int, width: int, seed: int) -> Floats:
    """All resamples, shape [resamples] or [resamples, columns]. width: random values that one resample takes."""
    rows = max(1, _VALUES // max(width, 1))
    starts = range(0, resamples, rows)
    chunks = [Chunk(seed, number, min(rows, resamples - start)) for number, start in enumerate(starts)]
    return np.concatenate(list(_DRAWER.get()(draw, data, chunks, values=width * resamples)))
