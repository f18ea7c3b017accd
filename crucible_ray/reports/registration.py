"""What was registered before the first trial, and every deviation from it."""

from __future__ import annotations

from crucible_ray.reduction.analysis import Analysis
from crucible_ray.reports import words
from crucible_ray.reports.facts import RunFacts
from crucible_ray.reports.page import Block, Bullets, Section, Text


def preregistration(analysis: Analysis, facts: RunFacts | None) -> list[Section]:
    """The plan's hash, and in words what is not as it was registered and since when."""
    found = analysis.preregistration
    if found is None:
        told = "No plan of analysis was registered before the first trial: the run began with an earlier version."
        return [Section("Preregistration", (Text(told),))]
    when = {trials: words.moment(at) for at, trials in (facts.plans if facts is not None else {}).items()}
    at = f" ({when[0]})" if 0 in when else ""
    declared = "and hypotheses" if analysis.hypotheses else "without a hypothesis"
    blocks: list[Block] = [
        Text(
            f"Plan of analysis {declared}, registered in the run's log before the first trial{at}, SHA-256 {found.sha256}. "
            "What can change an answer is in the experiment's id."
        )
    ]
    if not found.deviations:
        blocks.append(Text("The analysis deviates from it in nothing."))
        return [Section("Preregistration", tuple(blocks))]
    lines = tuple(
        f"{each.told} ({when[each.after_trials]})." if each.after_trials in when else f"{each.told}."
        for each in found.deviations
    )
    count = words.count(len(lines), "deviation")
    blocks += [
        Text(
            f"{count} from the registered plan, made when answers could be seen: what rests on them is exploratory, "
            "whatever its verdict."
        ),
        Bullets(lines),
    ]
    return [Section("Preregistration", tuple(blocks))]
