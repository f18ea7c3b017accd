"""The console script. Nothing heavy is imported until a verb runs: `--help` has to answer at once."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from crucible_ray.cli import (
    checking,
    comparing,
    demo,
    models,
    planning,
    reporting,
    rescoring,
    running,
    setting_up,
    showing,
    simulating,
    standing,
)
from crucible_ray.cli.ending import INTERRUPTED, Interrupted
from crucible_ray.cli.terminal import complain
from crucible_ray.errors import CannotContinue, CrucibleError, UsageError

_Refused: type[Exception] = typer.BadParameter.__mro__[2]
"""What Typer raises for words that it cannot read: the base of its own exceptions, under any of its names."""


class _Verbs(TyperGroup):
    """Typer turns KeyboardInterrupt into a silent exit; we want to say so."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None


app = typer.Typer(
    cls=_Verbs,
    name="crucible-ray",
    help="Experiments on language models as Ray actors: declared, estimated, run, analysed and reported.",
    epilog="Example: crucible-ray demo",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for verbs in (
    demo,
    running,
    checking,
    planning,
    standing,
    showing,
    rescoring,
    reporting,
    comparing,
    models,
    setting_up,
    simulating,
):
    verbs.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"crucible-ray {version('crucible-ray')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; may stand after a verb too.")
    ] = False,
) -> None:
    # `main` looks for --debug itself: it has to know about it whatever fails.
    del version, debug


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. Without `argv` this process is ours, and may end here."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # what `nohup` ignores stays ignored
            signal.signal(number, _interrupt)
    code = _run([word for word in words if word != "--debug"] or ["--help"], debug="--debug" in words)
    if argv is None and any(thread.name == "ray" and thread.is_alive() for thread in threading.enumerate()):
        # A Ray that is still starting cannot be stopped, and its thread must not meet a dying interpreter:
        # its processes end with ours.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(words: list[str], *, debug: bool) -> int:
    try:
        code = get_command(app).main(args=words, prog_name="crucible-ray", standalone_mode=False)
    except Exception as error:  # noqa: BLE001 - told and turned into an exit code, whatever it is
        if debug:
            traceback.print_exc()
        else:
            complain("\n".join([_told(error), *getattr(error, "__notes__", ())]))
        return _code(error)
    return int(code or 0)


def _code(error: Exception) -> int:
    if isinstance(error, Interrupted | typer.Abort):
        return INTERRUPTED
    if isinstance(error, _Refused):
        return UsageError.exit_code
    return error.exit_code if isinstance(error, CrucibleError) else CannotContinue.exit_code


def _told(error: Exception) -> str:
    if isinstance(error, Interrupted | typer.Abort):
        return f"interrupted. {error}".rstrip()
    if isinstance(error, _Refused):
        context = getattr(error, "ctx", None)
        place = context.command_path if context is not None else "crucible-ray"
        told = str(getattr(error, "format_message", error.__str__)())
        return f"{told}{'' if told.endswith(('.', '?')) else '.'} See {place} --help."
    if isinstance(error, CrucibleError):
        return str(error)
    return f"{type(error).__name__}: {error}\nThis is a defect of crucible-ray: --debug shows where. Please report it."


if __name__ == "__main__":
    sys.exit(main())
