"""`run.log`: what happened in a run, as JSON lines appended session after session. The root logger is left alone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from msgspec import to_builtins

from crucible_ray.api.options import Note, Options, Progress
from crucible_ray.errors import StorageFailed

_WARNINGS = frozenset({"client_died", "client_silent", "budget_warning"})
_HIDDEN = "[key]"


class RunLog:
    """The log of one session, open while the `with` block lasts; an exception that leaves the block is its last line.

    level: `debug` (progress too), `info`, `warning` or `error`. secrets: keys, which no line ever shows.
    Raises StorageFailed where the file cannot be opened.
    """

    def __init__(self, folder: Path, *, level: str, secrets: Iterable[str] = ()) -> None:
        import structlog

        try:
            self._file = (folder / "run.log").open("a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise StorageFailed(str(folder), error.strerror or str(error)) from error
        self._log = structlog.wrap_logger(
            _Lines(self._file, secrets),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(default=str),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(level),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._log.error("failed", error=type(error).__name__, message=str(error))
        with contextlib.suppress(OSError):  # what is buffered is one line at most: see _Lines
            self._file.close()

    def info(self, event: str, **facts: Any) -> None:
        """One line."""
        self._log.info(event, **facts)

    def listening(self, options: Options) -> Options:
        """The same options, with all that is told the caller written down as well."""

        def on_note(note: Note) -> None:
            write = self._log.warning if note.name in _WARNINGS else self._log.info
            write(note.name, **note.facts)
            if options.on_note is not None:
                options.on_note(note)

        def on_progress(progress: Progress) -> None:
            self._log.debug("progress", **to_builtins(progress))
            if options.on_progress is not None:
                options.on_progress(progress)

        return replace(options, on_note=on_note, on_progress=on_progress)


class _Lines:
    """What structlog writes to: whole lines, at once, without keys."""

    def __init__(self, file: IO[str], secrets: Iterable[str]) -> None:
        self._file = file
        self._secrets = [json.dumps(secret)[1:-1] for secret in secrets if secret]

    def msg(self, line: str) -> None:
        """Write one line."""
        for secret in self._secrets:
            line = line.replace(secret, _HIDDEN)
        # The journal is the record, and says when the disk is full: a line here is not worth a run.
        with contextlib.suppress(OSError):
            self._file.write(line + "\n")
            self._file.flush()

    debug = info = warning = error = msg
