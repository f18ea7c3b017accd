"""Resampling on Ray: chunks of random draws spread over actors, where there is enough to draw.

| object | role | lifetime |
| --- | --- | --- |
| `ResamplerActor` | draws the chunks that it is sent | as the drawer that made it |
| `RayDrawer` | decides whether it pays, ships data once, keeps two messages with each actor | as a run |

Which actor draws what changes nothing in the result (`stats/chunks.py`), so chunks of an actor that dies are drawn here.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import cloudpickle
import ray

from crucible_ray.actors.spawn import spawn
from crucible_ray.stats.chunks import Arrays, Chunk, Draw, draw_here
from crucible_ray.stats.result import Floats

WORTH = 1_000_000_000
"""Random values from which shipping pays: about six seconds of one core, against what it takes to start actors."""
_MOST_ACTORS = 64
_MESSAGES = 16
"""To each actor in all, so that a slow one holds up little."""


class ResamplerActor:
    """The shell; it keeps nothing."""

    def draw(self, draw: bytes, data: Sequence[Any], chunks: Sequence[Chunk]) -> list[Floats]:
        """What each chunk comes to. data: references, so that arrays are shipped once to each machine."""
        drawing: Draw = cloudpickle.loads(draw)
        arrays: Arrays = tuple(ray.get(list(data)))
        return [drawing(arrays, chunk) for chunk in chunks]


class RayDrawer:
    """A `stats.chunks.Drawer`: on Ray where the work is `worth` it, else here. Its actors end with it."""

    def __init__(self, *, worth: int = WORTH, actors: int | None = None) -> None:
        """worth: random values from which Ray is used. actors: how many; None: one for each core of the cluster."""
        self._worth = worth
        self._most = actors
        self._actors: list[Any] = []

    def __call__(
        self, draw: Draw, data: Arrays, chunks: Sequence[Chunk], /, *, values: int
    ) -> Iterator[Floats]:
        """See Drawer."""
        count = 0 if values < self._worth else min(len(chunks), self._most or _cores(), _MOST_ACTORS)
        if count < 2:
            return draw_here(draw, data, chunks, values=values)
        while len(self._actors) < count:
            self._actors.append(spawn(ResamplerActor, scheduling_strategy="SPREAD"))
        return self._in_order(draw, data, chunks)

    def _in_order(self, draw: Draw, data: Arrays, chunks: Sequence[Chunk]) -> Iterator[Floats]:
        """Results in the order of chunks; two messages are with each actor at a time."""
        packed, stored = cloudpickle.dumps(draw), [ray.put(each) for each in data]
        size = max(1, len(chunks) // (_MESSAGES * len(self._actors)))
        parts = deque(chunks[start : start + size] for start in range(0, len(chunks), size))
        waiting: deque[tuple[Any, Any, Sequence[Chunk]]] = deque()

        def send(actor: Any) -> None:
            if parts:
                part = parts.popleft()
                waiting.append((actor, actor.draw.remote(packed, stored, part), part))

        for actor in [*self._actors, *self._actors]:
            send(actor)
        while waiting:
            actor, answer, part = waiting.popleft()
            try:
                found: list[Floats] = ray.get(answer)
            except ray.exceptions.RayActorError:
                self._actors = [each for each in self._actors if each is not actor]
                found = list(draw_here(draw, data, part, values=0))
            send(actor)  # to a dead one, too: it answers at once, and the part is drawn here
            yield from found


def _cores() -> int:
    """Of the whole cluster; a private Ray is started without any, since its clients only wait."""
    declared = int(ray.cluster_resources().get("CPU", 0))  # type: ignore[no-untyped-call]
    return max(declared, os.cpu_count() or 1)
