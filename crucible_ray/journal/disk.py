"""The log in a folder, on a local disk or NFS.

An entry is written aside, synced, and linked to its name: `link` fails where the name is taken, while a
rename would overwrite. Where a file system has no hard links, `renameat2` with RENAME_NOREPLACE does the
same; where it has neither, no entry can be made safely, and that is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from crucible_ray.errors import StorageFailed
from crucible_ray.journal.entries import damaged, entry_name, number_of
from crucible_ray.journal.store import BlockingLog, Offload

_ALIVE = "alive"
_ASIDE = ".aside_"
_STALE_S = 600.0
"""A file written aside is linked within moments: one this old belongs to a writer that was killed."""
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_AT_FDCWD, _RENAME_NOREPLACE = -100, 1


class DiskLog(BlockingLog):
    """A `ports.LogStore` of files `checkpoint_NNNNNN.parquet` in one folder, made by its first write."""

    def __init__(self, folder: Path, *, offload: Offload = asyncio.to_thread) -> None:
        super().__init__(offload)
        self.folder = folder
        self._writing = False

    @property
    def where(self) -> str:
        """See ports.LogStore."""
        return str(self.folder)

    def create_now(self, number: int, data: bytes) -> bool:
        """See BlockingLog."""
        aside = self._aside()
        try:
            self._begin()
            _write_synced(aside, data)
            try:
                publish(aside, self.folder / entry_name(number))
            except FileExistsError:
                return False
            _sync_folder(self.folder)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            # A published file keeps its name; what cannot be removed now is cleared with the stale ones.
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
        return True

    def read_now(self, number: int) -> bytes:
        """See BlockingLog."""
        path = self.folder / entry_name(number)
        try:
            return path.read_bytes()
        except OSError as error:
            raise damaged(str(path), error.strerror or str(error)) from error

    def numbers_now(self) -> list[int]:
        """See BlockingLog."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError as error:
            if self._writing:
                raise self._failed(error) from error
            return []
        except OSError as error:
            raise self._failed(error) from error
        return sorted(number for name in names if (number := number_of(name)) is not None)

    def say_alive_now(self, text: str) -> None:
        """See BlockingLog."""
        aside = self._aside()
        try:
            self._begin()
            aside.write_text(text)
            aside.replace(self.folder / _ALIVE)
        except OSError as error:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            raise self._failed(error) from error

    def read_alive_now(self) -> tuple[str, float] | None:
        """See BlockingLog."""
        path = self.folder / _ALIVE
        try:
            text, said_s = path.read_text(errors="replace"), path.stat().st_mtime
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error) from error
        return text, max(0.0, self._now_s() - said_s)

    def _now_s(self) -> float:
        """The file system's own clock, on NFS another machine's; ours where nothing can be written."""
        aside = self._aside()
        try:
            aside.touch()
            now_s = aside.stat().st_mtime
            aside.unlink()
        except OSError:
            return time.time()
        return now_s

    def _aside(self) -> Path:
        return self.folder / f"{_ASIDE}{uuid.uuid4().hex}"

    def _begin(self) -> None:
        """Before the first write: make the folder, clear away what killed writers left half-written."""
        if self._writing:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        _sync_folder(self.folder.parent)
        now_s = self._now_s()
        for path in self.folder.glob(f"{_ASIDE}*"):
            with contextlib.suppress(FileNotFoundError):  # somebody else cleared it
                if now_s - path.stat().st_mtime > _STALE_S:
                    path.unlink()
        self._writing = True

    def _failed(self, error: OSError) -> StorageFailed:
        why = error.strerror or str(error)
        if isinstance(error, FileNotFoundError) and not self.folder.is_dir():
            why = "the folder is gone"
        return StorageFailed(self.where, why)


def publish(aside: Path, final: Path, *, link: Callable[[Path, Path], None] = os.link) -> None:
    """Give a written file its name, unless the name is taken: then FileExistsError."""
    try:
        link(aside, final)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename_if_absent(aside, final)


def _rename_if_absent(source: Path, target: Path) -> None:
    """renameat2(2) with RENAME_NOREPLACE. Raises OSError, FileExistsError where the name is taken."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    code = errno.ENOSYS
    if rename is not None:
        if rename(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
    if code in {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}:
        raise OSError(code, "this file system has neither hard links nor a rename that spares what is there")
    raise OSError(code, os.strerror(code), str(target))


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
