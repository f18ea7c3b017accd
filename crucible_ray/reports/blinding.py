"""A blind run in words: that names are hidden, or which label was which."""

from __future__ import annotations

from crucible_ray.reduction.analysis import Analysis
from crucible_ray.reports.page import Section, Text, table


def blinding(analysis: Analysis) -> list[Section]:
    """Nothing for a run that is not blind."""
    found = analysis.blind
    if found is None:
        return []
    if found.hidden:
        told = (
            "This run is blind: conditions stand under labels drawn by the seed until all trials are in. Hypotheses, "
            "costs, latencies and what each condition is would tell which is which, and wait as well. What this "
            "interim report shows is no result."
        )
        return [Section("Blinding", (Text(told),))]
    when = (
        "until all trials were in"
        if found.after_trials is None
        else f"until they were told after {found.after_trials:,} trials, the rest being left out"
    )
    shown = table("Which label was which", ("label", "condition"), list(found.labels.items()))
    return [Section("Blinding", (Text(f"The names of the conditions were hidden {when}."), shown))]


def blind_lines(analysis: Analysis) -> list[str]:
    """The same for a terminal."""
    found = analysis.blind
    if found is None:
        return []
    if found.hidden:
        return ["Blind: names are hidden until all trials are in"]
    return ["Unblinded: " + ", ".join(f"{label} is {name}" for label, name in found.labels.items())]
