"""The log in an object store: S3, Google Cloud Storage, Azure, whatever obstore reaches.

An entry is one conditional put of an object encoded in memory; the store itself picks the winner of a race.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from crucible_ray.errors import SettingsError, StorageFailed
from crucible_ray.journal.entries import damaged, entry_name, number_of
from crucible_ray.journal.store import BlockingLog, Offload
from crucible_ray.ports import AmbiguousWrite

_ALIVE, _PROBE = "alive", "alive.probe"


class ObjectLog(BlockingLog):
    """A `ports.LogStore` of objects `<url>/checkpoint_NNNNNN.parquet`."""

    def __init__(
        self, url: str, *, options: Mapping[str, Any] | None = None, offload: Offload = asyncio.to_thread
    ) -> None:
        """`options` are obstore's (endpoint, region, ...); what they leave out comes from the environment.

        Raises SettingsError where obstore is not installed or does not know the address.
        """
        super().__init__(offload)
        try:
            import obstore
            from obstore import exceptions
            from obstore.store import from_url
        except ImportError as error:
            raise SettingsError(
                f"{url} needs an extra package: pip install 'crucible-ray[cloud]', or give a folder."
            ) from error
        self._url = url.rstrip("/")
        self._api, self._errors = obstore, exceptions
        # Refused for good: nothing was written, and trying again would change nothing.
        self._refusals = (
            exceptions.PermissionDeniedError,
            PermissionError,
            exceptions.UnauthenticatedError,
            exceptions.NotFoundError,
            FileNotFoundError,  # so obstore says that a bucket is missing
            exceptions.NotSupportedError,
            exceptions.InvalidPathError,
        )
        try:
            self._store = from_url(self._url, **dict(options or {}))
        except (exceptions.BaseError, ValueError) as error:
            raise SettingsError(f"{url} is no object store that can be used: {_line(error)}") from error

    @property
    def where(self) -> str:
        """See ports.LogStore."""
        return self._url

    def create_now(self, number: int, data: bytes) -> bool:
        """See BlockingLog."""
        try:
            self._api.put(self._store, entry_name(number), data, mode="create", use_multipart=False)
        except self._errors.AlreadyExistsError:
            return False
        except self._refusals as error:
            raise StorageFailed(self.where, _line(error)) from error
        except (self._errors.BaseError, OSError) as error:
            raise AmbiguousWrite(_line(error)) from error
        return True

    def read_now(self, number: int) -> bytes:
        """See BlockingLog."""
        name = entry_name(number)
        try:
            return bytes(self._api.get(self._store, name).bytes())
        except (self._errors.NotFoundError, FileNotFoundError) as error:
            raise damaged(f"{self.where}/{name}", "it is gone") from error
        except (self._errors.BaseError, OSError) as error:
            raise StorageFailed(self.where, _line(error)) from error

    def numbers_now(self) -> list[int]:
        """See BlockingLog."""
        try:
            found = self._api.list_with_delimiter(self._store)["objects"]
        except (self._errors.BaseError, OSError) as error:
            raise StorageFailed(self.where, _line(error)) from error
        names = (meta["path"].rpartition("/")[2] for meta in found)
        return sorted(number for name in names if (number := number_of(name)) is not None)

    def say_alive_now(self, text: str) -> None:
        """See BlockingLog."""
        try:
            self._api.put(self._store, _ALIVE, text.encode(), use_multipart=False)
        except (self._errors.BaseError, OSError) as error:
            raise StorageFailed(self.where, _line(error)) from error

    def read_alive_now(self) -> tuple[str, float] | None:
        """See BlockingLog."""
        try:
            note = self._api.get(self._store, _ALIVE)
            text = bytes(note.bytes()).decode(errors="replace")
            # Both times are the store's own: neither machine's clock takes part.
            self._api.put(self._store, _PROBE, b"", use_multipart=False)
            now = self._api.head(self._store, _PROBE)["last_modified"]
            return text, max(0.0, (now - note.meta["last_modified"]).total_seconds())
        except (self._errors.NotFoundError, FileNotFoundError):
            return None
        except (self._errors.BaseError, OSError) as error:
            raise StorageFailed(self.where, _line(error)) from error


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
