"""The console script. Nothing heavy is imported until a verb runs: `--help` has to answer at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from crucible_ray.cli import checking, demo, running, simulating, standing
from crucible_ray.cli.terminal import complain
from crucible_ray.errors import CrucibleError

INTERRUPTED = 130
_DEFECT = 5
_Refused: type[Exception] = typer.BadParameter.__mro__[2]
"""What Typer raises for words that it cannot read: the base of its own exceptions, under any of its names."""


class Interrupted(Exception):
    """Ctrl-C or a signal ended a verb that had nothing to save."""


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
for verbs in (demo, running, checking, standing, simulating):
    verbs.register(app)


@app.callback()
def _root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand after a verb too.")] = False,
) -> None:
    """What stands before a verb."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (`contract`: 0, 1, 2, 3, 4, 5 or 130)."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    _signals_interrupt()
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    code = _run(words or ["--help"], debug=debug)
    return _leave(code)
