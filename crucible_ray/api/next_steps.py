"""What to do with a run that has ended, and how it is asked anew, as commands."""

from __future__ import annotations

import shlex
from importlib.metadata import version
from pathlib import Path

import msgspec

from crucible_ray.experiment.plan import Plan
from crucible_ray.metrics.silence import SHARE
from crucible_ray.reduction import Analysis
from crucible_ray.reduction.analysis import Completeness, is_decided
from crucible_ray.runtime.trial import EXCEPTION


def next_steps(plan: Plan, analysis: Analysis, status: str, failed: int, folder: Path) -> tuple[str, ...]:
    """The first is the one to take. failed: trials that `retry` would run again.

    Where answers could not be read, or an own parser raised on them, the replies are there: they can be read in
    another way, without a call. A condition's function that raised has to run again.
    """
    if status == "stopped" and is_decided(analysis):
        return (f"crucible-ray reproduce {folder}", f"crucible-ray resume {folder} --beyond-stop")
    if status in ("budget", "interrupted", "refused", "stopped"):
        return (resume(folder, status),)
    functions = {each.name for each in plan.conditions if each.function is not None}
    found = {name: each.completeness for name, each in analysis.conditions.items()}
    raised = sum(each.errors.get(EXCEPTION, 0) for name, each in found.items() if name not in functions)
    steps = []
    if raised or any(map(_unreadable, found.values())):
        steps.append(f"crucible-ray rescore {folder} --parse NAME")
    if failed > raised:
        steps.append(f"crucible-ray retry {folder}")
    return (*steps, f"crucible-ray reproduce {folder}")


def resume(folder: Path | str, status: str = "") -> str:
    """The command that goes on. With the budget that stopped it, a run would end at once again."""
    return f"crucible-ray resume {folder}{' --max-cost USD' if status == 'budget' else ''}"


def recipe(plan: Plan, folder: Path) -> tuple[str, ...]:
    """Commands that ask everything anew, and last the one that replays the record. What was simulated stays free."""
    git = msgspec.json.decode((folder / "environment.json").read_bytes()).get("git")
    lines = []
    if plan.source is not None and git is not None:
        dirty = "   # the folder had changes of its own" if git.get("dirty") else ""
        lines.append(f"git checkout {git['commit']}{dirty}")
    if plan.source is not None:
        given = [part for name, value in plan.params.items() for part in ("-P", f"{name}={value}")]
        simulate = ["--simulate"] if plan.simulated is not None else []
        flags = {"--repeat": str(plan.repeats), "--seed": str(plan.seed), **plan.flags}
        said = [part for flag in flags.items() for part in flag]
        again = ["run", plan.source, *given, *said, *simulate]
        lines.append(f"pip install crucible-ray=={version('crucible-ray')}   # or of that version's checkout")
        lines.append(f"crucible-ray {shlex.join(again)}")
    return (*lines, f"crucible-ray reproduce {folder}")


def _unreadable(found: Completeness) -> bool:
    """Whether so many answers could not be read that the reading is amiss."""
    return found.parse_failed > SHARE * found.answered
