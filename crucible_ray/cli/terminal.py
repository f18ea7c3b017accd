"""Where a command's words go."""

from __future__ import annotations

import re
import sys
from typing import Any

import typer

_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Characters that JSON lets stand and a terminal may act on."""
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Terminal:
    """Facts go to stdout; with `--json` they go there as JSON alone. All else is for people, on stderr."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet

    def say(self, *lines: str) -> None:
        """What is going on."""
        if not self.quiet:
            _write(lines, err=True)

    def show(self, *lines: str) -> None:
        """Facts in words."""
        if not self.quiet:
            _write(lines, err=self.as_json)

    def show_before_asking(self, *lines: str) -> None:
        """Facts that a question is about: they are shown where the question will be, whatever was asked to be quiet."""
        _write(lines, err=self.as_json or self.quiet or not sys.stdout.isatty())

    def facts(self, value: Any) -> None:
        """Facts for machines: one JSON document, where they were asked for. Takes what msgspec can encode."""
        if self.as_json:
            import msgspec

            text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()
            typer.echo(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))

    def ask(self, question: str) -> bool:
        """A question with yes or no, no being the answer of silence; asked on stderr whatever is quiet."""
        typer.echo(f"{printable(question)} [y/N]: ", err=True, nl=False)
        answer = ""
        try:
            answer = sys.stdin.readline()
        finally:
            if not answer.endswith("\n"):  # Ctrl-C or Ctrl-D: what comes next has a line of its own
                typer.echo(err=True)
        return answer.strip().lower() in ("y", "yes")

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to answer."""
        return sys.stdin.isatty() and sys.stderr.isatty()


def complain(text: str) -> None:
    """An error, for whoever typed the command."""
    _write(f"Error: {text}".splitlines(), err=True)


def printable(text: str) -> str:
    """One line that cannot move the cursor, whatever a model or a file put into it."""
    return "".join(character if character.isprintable() else _REPLACEMENT for character in text)


def _write(lines: tuple[str, ...] | list[str], *, err: bool) -> None:
    for line in lines:
        typer.echo(printable(line), err=err)
