"""An estimate as the lines that stand before the question whether to go on."""

from __future__ import annotations

from crucible_ray.estimating.forecast import Estimate
from crucible_ray.estimating.money import dollars
from crucible_ray.estimating.power_text import forecast_lines
from crucible_ray.experiment.blinding import without_names
from crucible_ray.experiment.plan import Plan

_RULE = "=" * 40
_NAMED = 3
"""So many folders that replies are taken from are named."""


def estimate_lines(plan: Plan, found: Estimate) -> list[str]:
    """The banner: what will run, what it takes, what it can find; control characters are replaced."""
    names = ", ".join(condition.name for condition in plan.conditions)
    if plan.blind:
        names = "blind: names are hidden until all trials are in"
    lines = [
        _RULE,
        f"Experiment: {plan.name}",
        _RULE,
        f"Dataset: {plan.dataset} ({plan.items:,} samples)",
        f"Conditions: {len(plan.conditions)} ({names})",
        f"Repetitions: {plan.repeats}",
        _queries(plan, found),
        *_reused(found),
        "",
        f"Estimated cost: {_cost(plan, found)}" + (" (simulated)" if plan.simulated is not None else ""),
    ]
    lines += _unbounded(plan, found)
    if len(found.per_condition) > 1 and found.total_cost is not None and not plan.blind:
        lines += [f"  {name}: {dollars(cost)}" for name, cost in found.per_condition.items()]
    lines.append(f"Estimated time: {found.wall_clock_time} (bound by {found.bound_by})")
    lines += _speed(found)
    lines.append(f"Tokens: {found.tokens.input:,} in, {found.tokens.output:,} out")
    lines += _budget(found)
    lines += [f"Note: {note}" for note in found.notes]
    lines += power_lines(found)
    lines = [without_names(line, plan) for line in lines]
    return ["".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line) for line in lines]


def recorded_lines(done: int, trials: int, *, force: bool) -> list[str]:
    """What of a run is recorded already, and whether it stays."""
    what = "void now (--force)" if force else "kept, and cost nothing again"
    return [f"Recorded already: {done:,} of {trials:,} trials, {what}"] if done else []


def _queries(plan: Plan, found: Estimate) -> str:
    of = f" of {plan.trials:,}" if found.trials != plan.trials else ""
    calls = f" ({found.calls:,} calls)" if found.calls != found.trials else ""
    return f"Total queries: {found.trials:,}{of}{calls}"


def _reused(found: Estimate) -> list[str]:
    """How many replies are taken from where."""
    if not found.reused:
        return []
    most = sorted(found.reused.items(), key=lambda each: -each[1])
    named = [f"{count:,} from {name}" for name, count in most[:_NAMED]]
    if rest := most[_NAMED:]:
        named.append(f"{sum(count for _, count in rest):,} from {len(rest):,} other folders")
    return [f"Replies paid for already: {', '.join(named)}; they are in none of the numbers below"]


def power_lines(found: Estimate) -> list[str]:
    """What the design can find, hypothesis by hypothesis, and what that rests on."""
    return [*forecast_lines(found.power), "Assumed:", *(f"  - {each}" for each in found.assumptions)]


def _cost(plan: Plan, found: Estimate) -> str:
    if found.total_cost is None:
        if functions := [
            each.name
            for each in plan.conditions
            if each.function is not None and found.per_condition[each.name] is None
        ]:
            return f"unknown: what {', '.join(functions)} will call is not known beforehand"
        return "unknown: not every model has a price"
    upper = "unbounded" if found.total_cost_upper is None else f"at most {dollars(found.total_cost_upper)}"
    each = "" if found.per_query_cost is None else f", {dollars(found.per_query_cost)} a query"
    return f"{dollars(found.total_cost)} ({upper} without retries{each})"


def _unbounded(plan: Plan, found: Estimate) -> list[str]:
    """Why the upper bound is far above what is expected, and how to lower it."""
    if (
        not found.total_cost
        or found.total_cost_upper is None
        or found.total_cost_upper < 10 * found.total_cost
    ):
        return []
    if all(call.max_tokens is not None for condition in plan.conditions for call in condition.calls):
        return []
    return [
        "  without max_tokens a reply may be as long as its model allows, and the bound counts that: set it"
    ]


def _speed(found: Estimate) -> list[str]:
    """How long a query takes and what running several at once gains, as far as either says something."""
    parts = []
    if round(found.per_query_avg_ms):
        parts.append(f"{found.per_query_avg_ms:,.0f} ms a query")
    gain = f"{found.parallel_speedup:,.3g}"
    if gain != "1":
        parts.append(f"{gain} times faster than one by one")
    return [f"  {', '.join(parts)}"] if parts else []


def _budget(found: Estimate) -> list[str]:
    if found.budget is None or found.total_cost is None:
        return []
    if found.total_cost > found.budget:
        return [f"Warning: Estimated cost {dollars(found.total_cost)} exceeds budget {dollars(found.budget)}"]
    if found.total_cost > found.warn_threshold * found.budget:
        share = 100 * found.total_cost / found.budget
        return [f"Warning: Estimated cost is {share:.0f} % of the budget of {dollars(found.budget)}"]
    return []
