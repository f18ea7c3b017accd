"""`run.log`: what happened in a run, as lines appended session after session. The root logger is left alone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

from msgspec import to_builtins

from crucible_ray.api.options import Note, Options, Progress
from crucible_ray.errors import StorageFailed
from crucible_ray.experiment.blinding import labels
from crucible_ray.experiment.plan import CallPlan, Plan
from crucible_ray.journal.rows import rows_to_records
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.records import Item, ModelRef, Row
from crucible_ray.settings import LOG_FIELDS, LoggingSettings

if TYPE_CHECKING:
    import pyarrow as pa

_WARNINGS = frozenset(
    {"client_died", "client_silent", "budget_warning", "silent_zeros", "window_lowered", "exception"}
)
_HIDDEN = "[key]"


class RunLog:
    """The log of one session, open while the `with` block lasts; an exception that leaves the block is its last line.

    secrets: keys, which no line ever shows. Raises StorageFailed where the file cannot be opened.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: LoggingSettings,
        experiment_id: str,
        secrets: Iterable[str] = (),
    ) -> None:
        import structlog

        try:
            self._file = (folder / "run.log").open("a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise StorageFailed(str(folder), error.strerror or str(error)) from error
        self._settings = settings
        shapes: dict[str, Any] = {
            "json": structlog.processors.JSONRenderer(default=str),
            "text": structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        }
        log = structlog.wrap_logger(
            _Lines(self._file, secrets),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                self._shorten,
                shapes[settings.format],
            ],
            wrapper_class=structlog.make_filtering_bound_logger(settings.level),
        )
        self._log = log.bind(experiment_id=experiment_id)

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

    def rows(
        self, plan: Plan, items: tuple[Item, ...], find: Callable[[str], ModelRef] | None = None
    ) -> Callable[[pa.Table], None] | None:
        """What writes down the trials and requests of rows that arrive; None where nobody asked for either.

        plan: with the addresses that are really called. find: the models that functions name as they run.
        """
        settings = self._settings
        if settings.level != "debug" and not settings.http_requests:
            return None
        calls = [call for condition in plan.conditions for call in condition.calls]
        planned = {call.model.name: call.model for call in calls}

        shown = labels(plan) if plan.blind else {}
        names = [shown.get(each.name, each.name) for each in plan.conditions]

        @cache
        def url_of(name: str) -> str | None:
            ref = planned.get(name) or (find(name) if find is not None else None)
            return None if ref is None else _public_url(ref)

        def write(table: pa.Table) -> None:
            for row in rows_to_records(table):
                condition = names[row.trial % len(plan.conditions)]
                item = items[row.trial // (len(plan.conditions) * plan.repeats)].id
                place = self._log.bind(condition=condition, query_id=item)
                if settings.http_requests and not plan.blind:  # a model's name would tell the label
                    _write_requests(place, row, url_of)
                place.debug(
                    "trial",
                    trial=row.trial,
                    error=row.error,
                    correct=row.correct,
                    latency_ms=None if row.latency_us is None else row.latency_us / 1000,
                    cost_usd=row.cost_usd,
                    retries=row.retries,
                )

        return write

    def _shorten(
        self, _logger: Any, _method: str, facts: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Drop the places that were not asked for, cut what is too long, keep text on one line."""
        for name in LOG_FIELDS:
            if name not in self._settings.fields:
                facts.pop(name, None)
        longest = self._settings.truncate
        for name, value in facts.items():
            if isinstance(value, str):
                if longest is not None and len(value) > longest:
                    value = f"{value[:longest]} ... ({len(value):,} characters)"
                facts[name] = value if self._settings.format == "json" else _printable(value)
        return facts


def _write_requests(log: Any, row: Row, url_of: Callable[[str], str | None]) -> None:
    for call in row.calls:
        if not call.sent:
            continue
        log.info(
            "http_request",
            model=call.model,
            method="POST",
            url=url_of(call.model),
            status=call.status,
            outcome=call.outcome,
            duration_ms=(call.ended_us - call.started_us) / 1000,
            trial=row.trial,
            attempt=call.attempt,
        )


def _public_url(model: ModelRef) -> str:
    """Where a model is asked, without what may hold a secret: user, query, fragment."""
    call = CallPlan(model=model, timeout_s=1.0, attempt_timeout_s=1.0)
    parts = urlsplit(Endpoint(call, None).url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Lines:
    """What structlog writes to: whole lines, at once, without keys."""

    def __init__(self, file: IO[str], secrets: Iterable[str]) -> None:
        self._file = file
        self._secrets = [form for secret in secrets if secret for form in {secret, json.dumps(secret)[1:-1]}]

    def msg(self, line: str) -> None:
        """Write one line."""
        for secret in self._secrets:
            line = line.replace(secret, _HIDDEN)
        # The journal is the record, and says when the disk is full: a line here is not worth a run.
        with contextlib.suppress(OSError):
            self._file.write(line + "\n")
            self._file.flush()

    debug = info = warning = error = msg
