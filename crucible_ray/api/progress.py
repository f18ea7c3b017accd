"""How a run goes: a live bar on a terminal, a block that renews itself in a notebook, elsewhere a line now and then.

Terminal and lines are on stderr.
"""

from __future__ import annotations

import html
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from crucible_ray.api.debugging import at_breakpoints
from crucible_ray.api.next_steps import resume
from crucible_ray.api.options import Note, Options, Progress
from crucible_ray.errors import UsageError
from crucible_ray.reports.words import count, dollars, printable

if TYPE_CHECKING:
    from rich.text import Text

    from crucible_ray.settings import RunSettings

EVERY_S = 5.0
"""Between two lines where there is no terminal."""
_BAR = 24
_REFRESH_PER_S = 4


def progress_line(progress: Progress, *, bar: bool) -> str:
    """`[=====>      ] 40% (240/600)  48/s  $0.012  ETA 8s  2 failed  3 retries  5 x 429`"""
    share = progress.done / progress.trials if progress.trials else 1.0
    parts = [f"{int(100 * share)}% ({progress.done:,}/{progress.trials:,})"]
    if bar:
        parts[0] = f"{_drawn(share)} {parts[0]}"
    if progress.rate:
        parts.append(f"{progress.rate:.3g}/s" if progress.rate < 100 else f"{progress.rate:,.0f}/s")
    parts.append("unknown price" if progress.spent_usd is None else f"${progress.spent_usd:.4g}")
    if progress.done < progress.trials and progress.eta_s is not None and progress.phase == "running":
        parts.append(f"ETA {clock(progress.eta_s)}")
    parts += [f"{progress.failed:,} failed"] if progress.failed else []
    parts += [f"{progress.retries:,} retries"] if progress.retries else []
    parts += [f"{progress.throttled:,} x 429"] if progress.throttled else []
    if progress.hypotheses:
        parts.append(
            f"decided {progress.decided} of {progress.hypotheses} "
            f"{'hypothesis' if progress.hypotheses == 1 else 'hypotheses'} at item {progress.counted:,}"
        )
    parts += ["stopping ..."] if progress.phase == "stopping" else []
    return "  ".join(parts)


def starting_line(seconds: float | None) -> str:
    """`starting Ray ... 7 s (usually 5 to 20)`; None: there is no Ray to wait for."""
    return "starting ..." if seconds is None else f"starting Ray ... {seconds:.0f} s (usually 5 to 20)"


def note_line(note: Note) -> str:
    """A happening in words."""
    facts = note.facts
    match note.name:
        case "client_died":
            return (
                f"client {facts['client']} died: its {facts['handed_back']} trials are handed back, "
                "a new one takes its place (why: run.log)"
            )
        case "client_killed":
            return f"client {facts['client']} is killed on purpose at {100 * facts['at']:.0f} %"
        case "client_silent":
            return f"client {facts['client']} is silent and will be replaced"
        case "budget_warning":
            return f"{dollars(facts['spent_usd'])} of the budget of {dollars(facts['max_total'])} are spent"
        case "decided":
            return (
                f"every hypothesis is decided after {facts['decided_at']:,} of {facts['items']:,} items: no new trial starts, "
                "those under way end"
            )
        case "window_lowered":
            return (
                f"only {facts['open_files']:,} files may be open: {facts['to']:,} trials in flight instead of "
                f"{facts['from']:,} (raise the limit: ulimit -Hn)"
            )
        case "reused":
            return _reused(facts)
        case "prepared":
            return printable(f"note: {facts['told']}")
        case "silent_zeros":
            return printable(f"Warning: {facts['told']}")
        case "exception":
            shown = "\n".join(printable(line) for line in str(facts["detail"]).splitlines())
            return f"trial {facts['trial']}: the experiment's own code failed; the first time, here:\n{shown}"
        case "stopping":
            return (
                f"{facts['signal']}: no new trial starts, those under way have 10 s; once more leaves at once"
            )
        case "leaving":
            usd = facts["spent_usd"]
            told = f" With what it may have cost {dollars(usd)} counts as spent." if usd else ""
            return printable(
                f"left at once: what was in flight will be asked again.{told} "
                f"Go on with: {resume(facts['folder'])}"
            )
        case _:
            told = ", ".join(f"{name} {value}" for name, value in facts.items())
            return printable(f"{note.name.replace('_', ' ')}: {told}")


def _reused(facts: Mapping[str, Any]) -> str:
    """What `--reuse` found."""
    line = (
        f"reused: {facts['calls']:,} calls that are paid for, {facts['trials']:,} trials whole "
        f"(looked at {count(facts['folders'], 'results folder')}, {facts['matching']:,} of them with the same models)"
    )
    unreadable = [printable(each) for each in facts["unreadable"]]
    return "; could not be read: ".join([line, *unreadable])


def clock(seconds: float) -> str:
    """`42s`, `3m 5s`, `2h 5m`."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m {whole % 60}s" if whole < 3600 else f"{whole // 3600}h {whole % 3600 // 60}m"


def _drawn(share: float) -> str:
    full = min(_BAR, int(share * _BAR))
    head = ">" if 0 < full < _BAR else ""
    return f"[{'=' * (full - len(head))}{head}{' ' * (_BAR - full)}]"


class Display:
    """Shows progress and notes while the `with` block lasts. Its methods may be called from any thread.

    waited_s: how long Ray has been starting; None: nobody waits for it. quiet: notes and progress are dropped.
    """

    def __init__(
        self,
        *,
        terminal: bool,
        waited_s: Callable[[], float] | None = None,
        quiet: bool = False,
        bar: bool = True,
    ) -> None:
        self._terminal, self._waited_s = terminal and bar, waited_s
        self._quiet, self._lines = quiet, bar
        self._last: Progress | None = None
        self._live: Any = None
        self._over = threading.Event()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._quiet:
            return self
        if self._terminal:
            self._live = self._stack.enter_context(_live(self._text))
            self._stack.enter_context(at_breakpoints(self._live.stop))
        elif self._lines:
            ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
            ticker.start()
            self._stack.callback(ticker.join)
            self._stack.callback(self._over.set)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def on_progress(self, progress: Progress) -> None:
        """See api.Options."""
        self._last = progress

    def on_note(self, note: Note) -> None:
        """See api.Options."""
        if note.name == "leaving":
            # The process ends without leaving this block; the terminal needs its cursor back.
            self._stack.close()
        if not self._quiet:
            self._print(note_line(note))

    def _print(self, line: str) -> None:
        if self._live is not None and self._live.is_started:
            self._live.console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
        else:
            _say(line)

    def _line(self, *, bar: bool) -> str:
        progress = self._last
        if progress is None or progress.phase == "starting":
            return starting_line(self._waited_s() if self._waited_s is not None else None)
        if progress.phase == "finishing":
            return f"{progress_line(progress, bar=bar)}  writing results and report ..."
        return progress_line(progress, bar=bar)

    def _text(self) -> Text:
        from rich.text import Text

        return Text(self._line(bar=True), no_wrap=True, overflow="ellipsis")

    def _tick(self) -> None:
        began_s = time.monotonic()
        while True:
            _say(self._line(bar=False))
            elapsed = time.monotonic() - began_s
            if self._over.wait(EVERY_S - elapsed % EVERY_S):
                return


class NotebookDisplay:
    """The same in a notebook's cell: one block of output that is renewed in place."""

    def __init__(self, *, waited_s: Callable[[], float] | None = None) -> None:
        self._waited_s = waited_s
        self._notes: list[str] = []
        self._line = ""
        self._handle: Any = None

    def __enter__(self) -> Self:
        self._line = starting_line(None)
        self._handle = _ipython().display(self._drawing(), display_id=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.update(self._drawing())

    def on_progress(self, progress: Progress) -> None:
        """See api.Options."""
        if progress.phase == "starting":
            self._line = starting_line(self._waited_s() if self._waited_s is not None else None)
        else:
            self._line = progress_line(progress, bar=True)
        self._handle.update(self._drawing())

    def on_note(self, note: Note) -> None:
        """See api.Options."""
        self._notes.append(note_line(note))
        self._handle.update(self._drawing())

    def _drawing(self) -> Any:
        lines = "\n".join([*self._notes, self._line])
        return _ipython().HTML(f"<pre>{html.escape(lines)}</pre>")


@contextmanager
def showing(options: Options, run: RunSettings) -> Iterator[Options]:
    """Options that also tell whoever `options.progress` names, while the block lasts. Raises UsageError.

    "auto" shows nothing where the caller listens already.
    """
    wanted = options.progress
    if callable(wanted):
        yield _telling(options, wanted, None, run)
        return
    if wanted not in ("auto", True, False):
        raise UsageError(f"progress = {wanted!r}: it is 'auto', True, False or a function of a Progress.")
    heard = options.on_progress is not None or options.on_note is not None
    if wanted is False or (wanted == "auto" and heard):
        yield options
        return
    ray = options.ray
    waited_s = None if ray is None else lambda: time.monotonic() - ray.started_s
    display: Display | NotebookDisplay
    if _in_notebook():
        display = NotebookDisplay(waited_s=waited_s)
    else:
        bar = True if wanted is True else run.show_progress_bar
        display = Display(terminal=sys.stderr.isatty(), waited_s=waited_s, bar=bar)
    with display:
        yield _telling(options, display.on_progress, display.on_note, run)


def _telling(
    options: Options,
    progress: Callable[[Progress], None],
    note: Callable[[Note], None] | None,
    run: RunSettings,
) -> Options:
    return replace(
        options,
        on_progress=_both(options.on_progress, progress),
        on_note=_both(options.on_note, note),
        progress_every_s=min(options.progress_every_s, run.progress_update_interval_s),
    )


def _both(
    first: Callable[[Any], None] | None, second: Callable[[Any], None] | None
) -> Callable[[Any], None] | None:
    if first is None or second is None:
        return first or second

    def tell(event: Any) -> None:
        first(event)
        second(event)

    return tell


def _ipython() -> Any:
    """`IPython.display`: nothing that we depend on, and there wherever a notebook is."""
    return import_module("IPython.display")


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process; IPython on a terminal is a terminal."""
    shell = sys.modules.get("IPython")
    found = shell.get_ipython() if shell is not None else None
    return hasattr(found, "kernel")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - it is what this module is for


def _live(draw: Callable[[], Text]) -> Any:
    from rich.console import Console
    from rich.live import Live

    return Live(
        console=Console(stderr=True, markup=False, highlight=False, emoji=False),
        get_renderable=draw,
        refresh_per_second=_REFRESH_PER_S,
        transient=True,
    )
