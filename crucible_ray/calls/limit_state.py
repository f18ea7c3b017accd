"""Where a limit group's state lives between asks: in memory, or in a small locked file.

The file outlives the limiter and is shared by every process of one machine that uses the same key, so that private
clusters of two terminals stay under one limit together.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from crucible_ray.calls.limits import GroupState
from crucible_ray.errors import StorageFailed


class LimitStates(Protocol):
    """Holds the state of every limit group."""

    def locked(self, group: str) -> AbstractContextManager[GroupState]:
        """The group's state, exclusively; changes are kept on a normal exit."""
        ...

    def now_s(self) -> float:
        """The clock that the states' times are on."""
        ...


class MemoryStates:
    """States of one process, on a given clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._states: dict[str, GroupState] = {}
        self._clock = clock

    @contextlib.contextmanager
    def locked(self, group: str) -> Iterator[GroupState]:
        """See LimitStates."""
        yield self._states.setdefault(group, GroupState())

    def now_s(self) -> float:
        """See LimitStates."""
        return self._clock()


class _Stored(Struct):
    boot: str
    state: GroupState


def _boot_id() -> str:
    """Names the span in which the system's monotonic clock runs: it starts anew at every boot."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"booted-{int(time.time() - time.monotonic()) // 60}"


class FileStates:
    """States in `folder/limits`, one file each, mode 0600, on the machine-wide monotonic clock."""

    def __init__(self, folder: Path) -> None:
        """Raises StorageFailed where the folder cannot be made."""
        self._folder = folder / "limits"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._failed(error) from error
        self._boot = _boot_id()
        self._encode, self._decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(_Stored).decode
        self._open: dict[str, int] = {}

    def _failed(self, error: OSError) -> StorageFailed:
        return StorageFailed(
            str(self._folder), f"{error.strerror or error} (CRUCIBLE_STATE_DIR says where it is)"
        )

    def now_s(self) -> float:
        """See LimitStates."""
        return time.monotonic()

    @contextlib.contextmanager
    def locked(self, group: str) -> Iterator[GroupState]:
        """See LimitStates. A torn file, or an earlier boot's, counts as empty: nothing is saved while idle.

        Raises StorageFailed.
        """
        try:
            handle = self._handle(group)
            fcntl.flock(handle, fcntl.LOCK_EX)
            state = self._read(handle)
        except OSError as error:
            raise self._failed(error) from error
        try:
            yield state
            data = self._encode(_Stored(self._boot, state))
            os.pwrite(handle, data.ljust(512), 0)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)

    def _handle(self, group: str) -> int:
        if group not in self._open:
            path = self._folder / re.sub(r"[^A-Za-z0-9._-]", "_", group)
            self._open[group] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._open[group]

    def _read(self, handle: int) -> GroupState:
        data = os.pread(handle, 4096, 0).strip()
        if not data:
            return GroupState()
        try:
            stored = self._decode(data)
        except msgspec.DecodeError:
            return GroupState()
        return stored.state if stored.boot == self._boot else GroupState()

    def close(self) -> None:
        """Close the files."""
        while self._open:
            os.close(self._open.popitem()[1])
