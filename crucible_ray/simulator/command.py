"""The simulator as a program: `crucible-ray simulate` and `python -m crucible_ray.simulator`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from crucible_ray.errors import CrucibleError, SpecError
from crucible_ray.simulator.answers import load_items
from crucible_ray.simulator.config import SimulatedModel, SimulatorConfig
from crucible_ray.simulator.faults import KINDS
from crucible_ray.simulator.recorded import load_replies
from crucible_ray.simulator.server import serve

_EPILOG = """\
Base URLs, of what is printed as http://127.0.0.1:PORT/v1:
  OPENAI_BASE_URL=http://127.0.0.1:PORT/v1    chat completions
  ANTHROPIC_BASE_URL=http://127.0.0.1:PORT    messages
  GEMINI_BASE_URL=http://127.0.0.1:PORT       generateContent

Example: crucible-ray simulate --items items.jsonl --rpm 600 --fault 429=0.02"""
_PARENT_GONE = "SIGUSR1"
_PR_SET_PDEATHSIG = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulator by command-line words until it is told to stop; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        run_server(
            _configured(options),
            options.host,
            options.port,
            log=options.log,
            items=options.items,
            replies=options.replies,
            parent=options.parent,
        )
    except CrucibleError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program's words
        return error.exit_code
    except OSError as error:
        print(f"Cannot serve at {options.host}:{options.port}: {error.strerror}.", file=sys.stderr)  # noqa: T201
        return 5
    return 0


def run_server(
    config: SimulatorConfig,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    log: Path | None = None,
    items: Path | None = None,
    replies: Path | None = None,
    parent: int | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or, with `parent` (its process id), the end of that process or of stdin.

    The URL, which ends in `/v1`, goes to `on_ready`, by default to stdout as a line of its own. Raises
    DatasetError for an unreadable file and OSError where the address or the log cannot be had. It owns the
    process: it raises the limit of open files, and installs signal handlers.
    """
    known = load_items(items) if items is not None else ()
    recorded = load_replies(replies) if replies is not None else ()
    _allow_many_files()

    async def run() -> None:
        stop = asyncio.Event()
        _stop_on_signals(stop)
        if parent is not None:
            await _stop_with_parent(parent, stop)
        with contextlib.ExitStack() as files:
            lines = files.enter_context(log.open("ab")) if log is not None else None
            async with serve(config, host, port, items=known, replies=recorded, log=lines) as simulator:
                # What is loaded stays: collections need not walk an answer key again and again.
                gc.freeze()
                (on_ready or _print_line)(simulator.url)
                await stop.wait()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


def _print_line(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - whoever started the simulator reads it here


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def _stop_on_signals(stop: asyncio.Event) -> None:
    if sys.platform == "win32":
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)


async def _stop_with_parent(parent: int, stop: asyncio.Event) -> None:
    """Stop when the parent is gone: its end of stdin closes, and on Linux the kernel says so as well.

    The kernel signals the end of the *thread* that started us, hence the look at who our parent is now.
    """
    loop = asyncio.get_running_loop()

    class _Stdin(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            stop.set()

    await loop.connect_read_pipe(_Stdin, sys.stdin)
    if sys.platform == "linux":
        import ctypes

        def orphaned() -> None:
            if os.getppid() != parent:
                stop.set()

        number = getattr(signal, _PARENT_GONE)
        loop.add_signal_handler(number, orphaned)
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        orphaned()  # it may have died before it could be watched


def _allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one: a connection is a file."""
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _configured(options: argparse.Namespace) -> SimulatorConfig:
    """The configuration of `--config`, changed by the other words."""
    try:
        settings = msgspec.json.decode(options.config or "{}", type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise SpecError((f"--config: {error}.",)) from error
    for name in ("seed", "rpm", "limit_kind", "limit_per", "bucket_size", "window_s"):
        if (value := getattr(options, name)) is not None:
            settings[name] = value
    if options.fault:
        settings["faults"] = {**settings.get("faults", {}), **dict(options.fault)}
    if options.model:
        settings["models"] = [*settings.get("models", ()), *options.model]
    if options.latency is not None:
        settings["default"] = {"name": "default", **settings.get("default", {}), "latency_s": options.latency}
    try:
        return msgspec.convert(settings, SimulatorConfig)
    except msgspec.ValidationError as error:
        raise SpecError((f"Simulator: {error}.",)) from error


def _fault(text: str) -> tuple[str, float]:
    kind, _, share = text.partition("=")
    if kind not in KINDS:
        raise argparse.ArgumentTypeError(f"no fault is called {kind!r}; there are {', '.join(KINDS)}")
    try:
        return kind, float(share)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND=PROBABILITY") from error


def _model(text: str) -> dict[str, object]:
    """`NAME,key=value,...` as the fields of a SimulatedModel; a tail is `share:factor`."""
    name, *pairs = text.split(",")
    fields: dict[str, object] = {"name": name}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in SimulatedModel.__struct_fields__ or not value:
            known = ", ".join(SimulatedModel.__struct_fields__[1:])
            raise argparse.ArgumentTypeError(f"{pair!r} is not KEY=VALUE with a key of {known}")
        try:
            numbers = [float(part) for part in value.split(":")]
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{value!r} is not a number") from error
        fields[key] = (
            numbers if len(numbers) > 1 else int(numbers[0]) if key == "output_tokens" else numbers[0]
        )
    return fields


class _Parser(argparse.ArgumentParser):
    """One line for what is wrong, as all of the command has it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"Error: {message}. See {self.prog} --help.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="crucible-ray simulate",
        description="A simulated provider in three formats at one address: prints its URL, serves until it is stopped.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0: a free one")
    add(
        "--items",
        type=Path,
        metavar="F",
        help="answer key: JSONL with id, input, expected, choices, difficulty",
    )
    add(
        "--replies", type=Path, metavar="F", help="recorded replies: JSONL with model, reply, and id or input"
    )
    add(
        "--model",
        type=_model,
        action="append",
        metavar="NAME,KEY=VALUE",
        help="a model; none: any name is served; keys: "
        + ", ".join(SimulatedModel.__struct_fields__[1:])
        + " (tail=0.05:10 makes that share slower by that factor)",
    )
    add("--latency", type=float, metavar="S", help="median latency of models that --model does not name")
    add("--rpm", type=float, metavar="N", help="requests per minute")
    add("--limit-kind", choices=("window", "bucket"))
    add("--limit-per", choices=("key", "model", "global"))
    add("--bucket-size", type=float, metavar="N")
    add("--window", type=float, metavar="S", dest="window_s", help="length of the sliding window")
    add("--fault", type=_fault, action="append", metavar="KIND=P", help=f"kinds: {', '.join(KINDS)}")
    add("--seed", type=int)
    add("--log", type=Path, metavar="F", help="append a JSON line per request")
    add("--config", metavar="JSON", help="every setting at once")
    add("--parent", type=int, metavar="PID", help=argparse.SUPPRESS)
    return parser
