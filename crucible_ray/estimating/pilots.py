"""A pilot's figures as planning takes them: a run that is paid for says what no guess can."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.errors import StatsError
from crucible_ray.estimating.designs import Question
from crucible_ray.estimating.money import dollars
from crucible_ray.stats.pilots import Spread


class Pilot(Struct, frozen=True, kw_only=True):
    """One metric under two conditions of a results folder."""

    experiment_id: str
    metric: str
    control: str
    treatment: str
    spread: Spread
    cost_usd: float | None
    """Of asking one item once under both conditions, as it was paid; None: a price is unknown."""
    latency_s: float | None
    """Of one trial, mean over both; None: nothing was timed."""


def with_pilot(question: Question, pilot: Pilot) -> Question:
    """The question with what the pilot knows where it says nothing itself. Raises StatsError where they do not fit."""
    found = pilot.spread
    if not question.design.startswith("paired"):
        raise StatsError("a pilot pairs its items: leave the design out, or name a paired one")
    design = "paired_binary" if found.binary else "paired_continuous"
    known = {name: getattr(question, name) for name in ("icc", "rho", "repeat_cost")}
    own = {"icc": found.icc, "rho": found.rho, "repeat_cost": pilot.cost_usd or None}
    filled = {name: own[name] if value is None else value for name, value in known.items()}
    if not found.binary:
        return replace(question, design=design, sd=found.sd if question.sd is None else question.sd, **filled)
    p = found.control if question.p is None else question.p
    return replace(
        question, design=design, p=p, discordant=question.discordant or _shares(question, found), **filled
    )


def _shares(question: Question, found: Spread) -> tuple[float, ...]:
    """The pilot's own share and both ends of its interval, as far as the true difference fits into them."""
    ends = (found.discordant_low, found.discordant, found.discordant_high)
    least = abs(question.effect or 0.0)
    return tuple(sorted({max(share, least) for share in ends if share is not None and max(share, least) > 0}))


def pilot_lines(pilot: Pilot) -> list[str]:
    """What the pilot says, and what it is not asked for."""
    found = pilot.spread
    lines = [
        f"Pilot {pilot.experiment_id}: {pilot.metric} of {pilot.treatment} against {pilot.control}, "
        f"{found.items:,} items x {found.repeats}"
    ]
    if found.discordant is not None:
        lines.append(
            f"  {100 * found.discordant:.3g} % of items differ at one repeat "
            f"(95 % interval {100 * (found.discordant_low or 0):.3g} to {100 * (found.discordant_high or 0):.3g} %)"
        )
    else:
        lines.append(f"  an item's difference has a standard deviation of {found.sd:.4g} at one repeat")
    if found.within is None:
        lines.append("  one repeat: nothing is known of what varies within an item, so repeats count as one")
    else:
        share = 100 * found.within / (found.within + found.between)
        lines.append(
            f"  {share:.0f} % of that varies within items, which repeats average away (icc {found.icc:.2f}, rho {found.rho:.2f})"
        )
    price = "price unknown" if pilot.cost_usd is None else f"{dollars(pilot.cost_usd)} an item and repeat"
    timed = "" if pilot.latency_s is None else f", {pilot.latency_s:.2g} s a trial"
    lines.append(f"  {price}{timed}")
    lines.append("  The difference that it found is not taken for the true one: chance had its part in it.")
    return lines
