"""Recorded answers, played back: what a real model said is said again, word for word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from crucible_ray.errors import DatasetError
from crucible_ray.records import Item
from crucible_ray.simulator.answers import read_lines


class RecordedReply(Struct, frozen=True, kw_only=True):
    """One line of a replies file: a model's answer to an item, named by its id or by its input."""

    model: str
    reply: str
    id: str | int | None = None
    input: str | None = None


class Recordings:
    """Replies by model and item; several for the same pair take turns, in the order of the file."""

    def __init__(self, replies: Iterable[RecordedReply] = (), items: Sequence[Item] = ()) -> None:
        self._replies: dict[tuple[str, str], list[str]] = {}
        self.models: set[str] = set()
        self.new_items: list[Item] = []
        """Items that only the replies know, by their inputs."""
        ids = {item.id for item in items}
        by_input = {item.input.strip(): item.id for item in items}
        for reply in replies:
            name = None if reply.id is None else str(reply.id)
            if name is None and reply.input is None:
                raise DatasetError(f"A recorded reply of {reply.model} has neither an id nor an input.")
            name = name or by_input.get((reply.input or "").strip(), f"recorded/{reply.input}")
            if reply.input is not None and name not in ids:
                ids.add(name)
                self.new_items.append(Item(id=name, input=reply.input))
            self.models.add(reply.model)
            self._replies.setdefault((reply.model, name), []).append(reply.reply)

    def reply(self, model: str, item: str, nth: int) -> str | None:
        """The answer to the nth equal request; None where none was recorded."""
        found = self._replies.get((model, item))
        return None if found is None else found[nth % len(found)]


def load_replies(path: Path) -> list[RecordedReply]:
    """The lines of a JSONL file of recorded replies. Raises DatasetError, naming the line."""
    return [reply for _, reply in read_lines(path, RecordedReply)]
