"""Each safeguard of the runtime, and how to take it out: a seed must then fail, or it guards nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from crucible_ray.calls import limits
from crucible_ray.journal import kept
from crucible_ray.journal.trials import Ints, TrialSet
from crucible_ray.runtime.client import ClientCore
from crucible_ray.runtime.driver import Driver
from tests.simulation.world import Storage


class _Forgetful(TrialSet):
    """Takes every row for the first of its trial."""

    def add(self, trials: Ints) -> NDArray[np.bool_]:
        super().add(trials)
        return np.ones(len(trials), np.bool_)


@contextlib.contextmanager
def without_first_row_wins() -> Iterator[None]:
    with patch.object(kept, "TrialSet", _Forgetful):
        yield


@contextlib.contextmanager
def without_settling_once() -> Iterator[None]:
    """A client obeys a repeated message again: grants, money and all."""
    exchange = ClientCore.exchange

    async def forgetful(self: ClientCore, message: object) -> object:
        self._last = None
        return await exchange(self, message)  # type: ignore[arg-type]

    with patch.object(ClientCore, "exchange", forgetful):
        yield


@contextlib.contextmanager
def without_create_if_absent() -> Iterator[None]:
    def overwrite(self: Storage, number: int, data: bytes) -> bool:
        self.entries[number] = data
        return True

    with patch.object(Storage, "create_now", overwrite):
        yield


@contextlib.contextmanager
def without_slot_expiry() -> Iterator[None]:
    with patch.object(limits, "EXPIRES_S", 1e9):
        yield


@contextlib.contextmanager
def without_ceiling() -> Iterator[None]:
    async def nothing(self: Driver) -> None:
        return None

    with patch.object(Driver, "_raise_ceiling", nothing):
        yield


SAFEGUARDS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "first row wins": without_first_row_wins,
    "a message is obeyed and settled once": without_settling_once,
    "create-if-absent": without_create_if_absent,
    "slot expiry": without_slot_expiry,
    "ceiling before spending": without_ceiling,
}
