"""`status`, `reproduce`: verbs that read the record of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crucible_ray.cli import words
from crucible_ray.cli.terminal import Terminal, complain
from crucible_ray.errors import CrucibleError

if TYPE_CHECKING:
    from crucible_ray.api import Standing

DIFFERENT = 1
_DUST_USD = 5e-7
"""Less is not worth a word."""
_SHOWN_CHECKPOINTS = 10


def register(app: typer.Typer) -> None:
    """Add this file's verbs."""
    app.command(
        short_help="how runs stand, from another shell",
        epilog="Example: crucible-ray status results/exp_0123456789ab",
    )(status)
    app.command(
        short_help="replay a run from its own record; the same bytes?",
        epilog="Example: crucible-ray reproduce results/exp_0123456789ab --clients 4",
    )(reproduce)


def status(where: words.IdsOrDirs, as_json: words.AsJson = False, quiet: words.Quiet = False) -> int:
    """How runs stand, also while they are going in another shell: a block each; --json lists several."""
    from crucible_ray import api

    terminal = Terminal(as_json=as_json, quiet=quiet)
    if len(where) == 1:
        found = api.observe(where[0])
        terminal.show(*standing_lines(found))
        terminal.facts(found)
        return 0
    several, codes = [], [0]
    for each in where:
        try:
            several.append(api.observe(each))
            terminal.show(*standing_lines(several[-1]))
        except CrucibleError as error:  # the others are shown all the same
            complain(str(error))
            codes.append(error.exit_code)
    terminal.facts(several)
    return max(codes)


def reproduce(
    where: words.IdOrDir,
    clients: Annotated[
        int, typer.Option("--clients", min=1, metavar="N", help="How many clients replay.")
    ] = 1,
    as_json: words.AsJson = False,
    quiet: words.Quiet = False,
) -> int:
    """Run a finished experiment again from its own recorded replies: the same bytes (exit 0), or not (exit 1)."""
    terminal = Terminal(as_json=as_json, quiet=quiet)
    terminal.say(f"Replaying {where} from its own record, without one request ...")
    from crucible_ray import api

    found = api.reproduce(where, clients=clients)
    terminal.show(f"{found.trials:,} trials replayed", *(f"  {note}" for note in found.notes))
    terminal.show(
        *(f"  {name}: {'identical' if same else 'DIFFERENT'}" for name, same in found.identical.items())
    )
    terminal.facts(
        {"same": found.same, "trials": found.trials, "identical": found.identical, "notes": found.notes}
    )
    if found.same:
        return 0
    differing = ", ".join(name for name, same in found.identical.items() if not same)
    complain(
        f"the replay gives another {differing} than the one in {Path(where)}: it was changed since, is missing, or was "
        "written by another version of crucible-ray (environment.json names it)."
    )
    return DIFFERENT


def standing_lines(found: Standing) -> list[str]:
    """A run's state in words."""
    from crucible_ray.api.next_steps import resume

    failed = f", {found.failed:,} failed" if found.failed else ""
    share = 100 * found.done // found.trials if found.trials else 100
    lines = [
        f"{found.name} ({found.experiment_id}): {found.status}",
        f"  {share}% ({found.done:,}/{found.trials:,} trials){failed}, {found.pending:,} pending, {_money(found)}",
    ]
    marked = found.checkpoints[-_SHOWN_CHECKPOINTS:]
    if marked:
        more = len(found.checkpoints) - len(marked)
        lines.append("  checkpoints:" + (f" ({more:,} earlier ones; --json lists all)" if more else ""))
        lines += [
            f"    checkpoint_{each.number:06d}: {each.rows:,} rows, ${each.spent_usd:.4g}" for each in marked
        ]
    if found.revisions:
        lines.append("  revisions: " + ", ".join(found.revisions))
    if found.pending and not found.alive:
        lines.append(f"  go on with: {resume(found.results_dir, found.status)}")
    return lines


def _money(found: Standing) -> str:
    if found.spent_usd is None:
        return "unknown price"
    spent = f"${found.spent_usd:.4g} spent"
    if found.reserved_usd > _DUST_USD:
        spent += f", ${found.reserved_usd:.4g} more reserved"
    if found.held_usd > _DUST_USD:
        spent += f", ${found.held_usd:.4g} held by what was killed: perhaps spent"
    return spent
