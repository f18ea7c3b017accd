"""How a verb ends: what is said last, and the exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from crucible_ray.cli.terminal import Terminal, complain
from crucible_ray.errors import BudgetSpent, CrucibleError, UsageError

if TYPE_CHECKING:
    from crucible_ray.api import RunResult

INTERRUPTED = 130


class Interrupted(Exception):
    """Ctrl-C or a signal ended a verb."""


def go_on(folder: Path) -> str:
    """How to continue from a results folder."""
    from crucible_ray.api.next_steps import resume

    return f"Go on with: {resume(folder)}"


def report(terminal: Terminal, result: RunResult) -> int:
    """A run's last lines; returns its exit code."""
    from crucible_ray.reports import summary_lines

    best = result.reports.get("html") or next(iter(result.reports.values()), "")
    terminal.show(*summary_lines(result.plan, result.analysis, result.facts, str(best)))
    terminal.facts(result.summary)
    return conclude(terminal, result)


def gate_code(terminal: Terminal, result: RunResult) -> int:
    """Say how each gate came out; 1 where one failed, else 0."""
    for gate in result.gates:
        if gate.passed:
            terminal.show(f"a gate passed: {gate.text}: {gate.detail}")
        else:
            complain(f"a gate failed: {gate.text}: {gate.detail}")
    return 0 if all(gate.passed for gate in result.gates) else 1


def check_junit(path: Path | None) -> None:
    """Find out before anything is done that the file could not be written. Raises UsageError."""
    if path is not None and not path.parent.is_dir():
        raise UsageError(f"--junit {path}: there is no folder {path.parent}.")


@contextmanager
def written_junit(path: Path | None) -> Iterator[Callable[[RunResult], None]]:
    """Write the file (if any) of the result that is left here, or of what a run left that ended in an error."""

    def leave(result: RunResult) -> None:
        if path is not None:
            result.write_junit(path)

    try:
        yield leave
    except CrucibleError as error:
        if error.result is not None:
            leave(error.result)
        raise


def conclude(terminal: Terminal, result: RunResult) -> int:
    """Say what is amiss with a result, where anything is; returns its exit code."""
    gated = gate_code(terminal, result)
    if result.session is not None and result.session.exception is not None:
        from crucible_ray.reports.words import printable

        shown = "\n".join(map(printable, result.session.exception.splitlines()))
        complain(f"the experiment's own code failed; the first time, here:\n{shown}")
    if result.status == "interrupted":
        complain(f"interrupted with {result.pending:,} trials pending. {go_on(result.results_dir)}")
        return INTERRUPTED
    if result.status == "budget":
        from crucible_ray.api.next_steps import resume

        complain(
            f"{_no_room(result)}; {result.pending:,} trials are pending. "
            f"Go on with a larger one: {resume(result.results_dir, result.status)}"
        )
        return BudgetSpent.exit_code
    if result.too_many_failed:
        ran = result.completed + result.failed
        complain(
            f"{result.failed:,} of {ran:,} trials failed, more than the {100 * result.plan.max_failed:.3g} % allowed. "
            f"Run them again with: crucible-ray retry {result.results_dir}"
        )
        return 1
    return gated


def _no_room(result: RunResult) -> str:
    """Which limit leaves no room for what is left, in numbers."""
    from crucible_ray.estimating.money import dollars_up

    budget, spent = result.plan.budget, result.cost_usd or 0.0
    bound = result.session.trial_bound_usd if result.session is not None else None
    told = "the budget has no room for another trial" if bound else "the budget has no room for what is left"
    told += f" (at most {dollars_up(bound)})" if bound else ""
    total = budget.max_total
    if total is not None and (budget.max_per_condition is None or spent + (bound or 0.0) > total):
        return f"{told}: ${spent:.4g} of ${total:.4g} spent"
    return f"{told}: ${spent:.4g} spent, max_per_condition is ${budget.max_per_condition or 0.0:.4g}"
