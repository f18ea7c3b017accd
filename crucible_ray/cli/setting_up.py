"""`init`, `doctor`: a folder to work in, and whether the machine is ready."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from crucible_ray.cli import words
from crucible_ray.cli.terminal import Terminal
from crucible_ray.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add this file's verbs."""
    app.command(short_help="a folder to work in", epilog="Example: crucible-ray init my-study")(init)
    app.command(
        short_help="whether this machine is ready",
        epilog="Example: crucible-ray doctor --address 10.0.0.5:6379",
    )(doctor)


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where; it is made.", show_default=False)
    ] = Path(),
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """Write crucible.toml with every key as a comment, .env.example, .gitignore and a first experiment."""
    from crucible_ray.cli.scaffold import EXPERIMENT, FOLDERS, files

    terminal = Terminal(as_json=as_json, quiet=quiet)
    made = files()
    there = [name for name in made if (folder / name).exists()]
    if there:
        paths = [str(folder / name) for name in there]
        named = " and ".join([*([", ".join(paths[:-1])] if paths[1:] else []), paths[-1]])
        verb, away = ("are", "them") if paths[1:] else ("is", "it")
        raise UsageError(
            f"{named} {verb} there already, and nothing is overwritten: name another folder, or move {away} away."
        )
    try:
        for name in FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be written: {error.strerror}.") from error
    terminal.show(*(f"  {folder / name}" for name in (*made, *FOLDERS)))
    go = "" if folder == Path() else f"cd {folder} && "
    terminal.show(
        "Next, without a key and without a cost:",
        f"  {go}crucible-ray run {EXPERIMENT} --simulate",
        "With your own key: copy .env.example to .env, fill one in, and",
        "  crucible-ray doctor",
        f"  crucible-ray check {EXPERIMENT} --live",
    )
    terminal.facts({"folder": str(folder.resolve()), "files": list(made), "folders": list(FOLDERS)})
    return 0


def doctor(
    address: words.Address = None,
    profile: words.Profile = None,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """Look at all that a run needs: each line is ok, or says the mend. Exit 0, or 2 where something is to mend."""
    from crucible_ray.api.doctoring import examine

    terminal = Terminal(as_json=as_json, quiet=quiet)
    terminal.say("Looking at this machine ...")
    found = []
    for each in examine(Path.cwd(), os.environ, profile=profile, address=address):
        found.append(each)
        terminal.show(f"{'ok  ' if each.ok else 'mend'}  {each.name}: {'; '.join(each.says.splitlines())}")
        if each.mend is not None:
            terminal.show(f"      {each.mend}")
    terminal.facts({"ok": all(each.ok for each in found), "findings": found})
    return 0 if all(each.ok for each in found) else UsageError.exit_code
