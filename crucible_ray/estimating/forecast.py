"""Cost, duration and power of a plan, from its prompts and stated assumptions.

A call's input is its prompt at four bytes a token; its upper bound is a token a byte. Its output is what
answers of its parser usually take, up to `max_tokens`; its upper bound is `max_tokens`, else the catalogue's
largest output. Retries are in neither. The run takes as long as its narrowest part: a limit group's requests
or tokens a minute, the experiment's own rate limit, or calls in flight (a model's, where it has `max_concurrency`)
over what one takes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import NamedTuple

from msgspec import Struct

from crucible_ray.estimating.assumptions import Assumptions
from crucible_ray.estimating.power import PowerForecast, assumed_of_power, power_of
from crucible_ray.experiment.defaults import BY_ITEM
from crucible_ray.experiment.plan import CallPlan, FunctionPlan, Plan
from crucible_ray.models.tokens import encoding_of

PromptBytes = Callable[[int, int], int]
"""(place in `Plan.prompts`, item) -> bytes of the messages, UTF-8."""

_SAMPLED_ITEMS = 500
"""Prompts are measured on at most so many items, evenly spread."""
_OUTPUT_TOKENS = {"choice": 20.0, "first_letter": 5.0, "boolean": 20.0, "number": 200.0, "text": 200.0}
_ENVELOPE_TOKENS = 8
"""What roles and separators add to a prompt."""


class Left(Struct, frozen=True, kw_only=True):
    """What of a plan is still to be sent, where the rest is recorded or paid for; tuples by condition."""

    trials: tuple[int, ...] = ()
    """Trials with a call to make."""
    calls: tuple[tuple[int, ...], ...] = ()
    """By condition and call; nothing for a function's, which nobody knows beforehand."""
    reused: dict[str, int] = {}
    """By results folder: the calls that its replies take the place of."""


class Tokens(Struct, frozen=True, kw_only=True):
    """Expected tokens over the whole run."""

    input: int
    output: int


class Estimate(Struct, frozen=True, kw_only=True):
    """What a run will take. Money in US dollars; None: a price is unknown."""

    total_cost: float | None
    total_cost_upper: float | None
    """No run without retries costs more; None: a price or a largest output is unknown."""
    per_condition: dict[str, float | None]
    per_query_cost: float | None
    """Mean over trials."""
    estimated_duration_s: float
    per_query_avg_ms: float
    """Mean time of one trial by itself."""
    parallel_speedup: float
    """Trials one after another over trials as they will run."""
    wall_clock_time: str
    """`3m 0s`."""
    bound_by: str
    """What makes it take so long."""
    trials: int
    calls: int
    tokens: Tokens
    power: tuple[PowerForecast, ...]
    """One per declared hypothesis."""
    assumptions: tuple[str, ...]
    """In words."""
    budget: float | None
    warn_threshold: float
    reused: dict[str, int] = {}
    """By results folder: the calls that its replies take the place of; they are in no other number here."""
    notes: tuple[str, ...] = ()
    """What else should be known beforehand, in words."""


class _CallCost(Struct, frozen=True, kw_only=True):
    """One call of one condition, averaged over items."""

    input_tokens: float
    output_tokens: float
    cost_usd: float | None
    cost_upper_usd: float | None
    seconds: float


class _Work(NamedTuple):
    """What is to be sent of one condition."""

    name: str
    trials: int
    seconds: float
    """Of one trial."""
    calls: list[tuple[int, _CallCost]]
    """(how many, what one takes)."""


def estimate(
    plan: Plan,
    prompt_bytes: PromptBytes,
    *,
    assume: Assumptions = Assumptions(),  # noqa: B008 - frozen
    with_power: bool = True,
    left: Left | None = None,
) -> Estimate:
    """Forecast cost, duration and power; asks `prompt_bytes` for at most 500 items a prompt.

    left: what is still to be sent; None: everything. Power is that of the whole plan.
    """
    work = _work(plan, _costs(plan, prompt_bytes, assume), left)
    trials = sum(each.trials for each in work)
    per_condition = {each.name: _total([(n, cost.cost_usd) for n, cost in each.calls]) for each in work}
    total = _total([(1, cost) for cost in per_condition.values()])
    everything = [call for each in work for call in each.calls]
    trial_s = math.fsum(each.trials * each.seconds for each in work) / trials if trials else 0.0
    duration, bound = _duration(plan, work, trial_s, assume)
    return Estimate(
        total_cost=total,
        total_cost_upper=_total([(n, cost.cost_upper_usd) for n, cost in everything]),
        per_condition=per_condition,
        per_query_cost=total / trials if total is not None and trials else None,
        estimated_duration_s=duration,
        per_query_avg_ms=trial_s * 1000,
        parallel_speedup=max(1.0, trials * trial_s / duration) if duration else 1.0,
        wall_clock_time=clock(duration),
        bound_by=bound,
        trials=trials,
        calls=sum(n for n, _ in everything),
        tokens=Tokens(
            input=round(math.fsum(n * cost.input_tokens for n, cost in everything)),
            output=round(math.fsum(n * cost.output_tokens for n, cost in everything)),
        ),
        power=tuple(power_of(plan, asked, assume) for asked in plan.hypotheses if with_power),
        assumptions=_in_words(plan, assume),
        budget=plan.budget.max_total,
        warn_threshold=plan.budget.warn_threshold,
        reused=left.reused if left is not None else {},
    )


def clock(seconds: float) -> str:
    """`42s`, `3m 0s`, `2h 5m`."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60}s"
    return f"{whole // 3600}h {whole % 3600 // 60}m"


def _costs(plan: Plan, prompt_bytes: PromptBytes, assume: Assumptions) -> list[list[_CallCost]]:
    """By condition and call."""
    prompts = plan.prompts
    sizes = [_mean_bytes(plan, place, prompt_bytes) for place in range(len(prompts))]
    costs = [
        [
            _call_cost(call, _usual_tokens(plan, parse), sizes[prompts.index(prompt)], assume)
            for call, parse, prompt in zip(condition.calls, condition.parses, condition.prompts, strict=True)
        ]
        for condition in plan.conditions
    ]
    _add_functions(plan, costs, assume)
    return costs


def _mean_bytes(plan: Plan, prompt: int, prompt_bytes: PromptBytes) -> float:
    count = min(plan.items, _SAMPLED_ITEMS)
    return fmean(prompt_bytes(prompt, i * plan.items // count) for i in range(count)) if count else 0.0


def _usual_tokens(plan: Plan, parse: str) -> float:
    """Of one reply; where each dataset's are read in its own way, the mean over items."""
    kinds = [(parse, 1)]
    if parse == BY_ITEM:
        kinds = [(each.parse, each.items) for each in plan.datasets] or kinds
    tokens = math.fsum(count * _OUTPUT_TOKENS.get(kind, _OUTPUT_TOKENS["text"]) for kind, count in kinds)
    return tokens / sum(count for _, count in kinds)


def _call_cost(call: CallPlan, usual: float, size: float, assume: Assumptions) -> _CallCost:
    expected = assume.output_tokens or usual
    output = expected if call.max_tokens is None else min(expected, call.max_tokens)
    own = assume.measured.get(call.model.name)
    entering = size / (assume.bytes_per_token if own is None else own.bytes_per_token) + _ENVELOPE_TOKENS
    longest = call.max_tokens if call.max_tokens is not None else call.model.max_output_tokens
    model = call.model
    cost = upper = None
    if model.input_price is not None and model.output_price is not None:
        cost = (entering * model.input_price + output * model.output_price) / 1e6
        if longest is not None:
            upper = ((size + _ENVELOPE_TOKENS) * model.input_price + longest * model.output_price) / 1e6
    seconds = assume.latency_s
    if seconds is None:
        seconds = assume.first_token_s + output / assume.tokens_per_s
    return _CallCost(
        input_tokens=entering,
        output_tokens=output,
        cost_usd=cost,
        cost_upper_usd=upper,
        seconds=min(seconds, call.timeout_s),
    )


def _add_functions(plan: Plan, costs: list[list[_CallCost]], assume: Assumptions) -> None:
    """What functions take: as many calls as they declare, each like the dearest that the plan names; else unknown."""
    known = [cost for calls in costs for cost in calls if cost.cost_usd is not None]
    seconds = assume.latency_s or assume.first_token_s + _OUTPUT_TOKENS["text"] / assume.tokens_per_s
    unknown = _CallCost(input_tokens=0, output_tokens=0, cost_usd=None, cost_upper_usd=None, seconds=seconds)
    dearest = max(known, key=lambda cost: cost.cost_usd or 0.0) if known else unknown
    for condition, calls in zip(plan.conditions, costs, strict=True):
        if condition.function is not None:
            declared = condition.function.max_calls
            calls.extend([unknown] if declared is None else [dearest] * declared)


def _work(plan: Plan, costs: list[list[_CallCost]], left: Left | None) -> list[_Work]:
    """By condition, what is to be sent; a function's calls are as many as its trials."""
    everything = plan.items * plan.repeats
    found = []
    for index, (condition, calls) in enumerate(zip(plan.conditions, costs, strict=True)):
        trials = everything if left is None else left.trials[index]
        counts = (trials,) * len(calls)
        if left is not None and condition.function is None:
            counts = left.calls[index]
        # Members are asked side by side: a trial takes as long as its slowest.
        seconds = max(cost.seconds for cost in calls)
        found.append(_Work(condition.name, trials, seconds, list(zip(counts, calls, strict=True))))
    return found


def _total(parts: Sequence[tuple[int, float | None]]) -> float | None:
    """The sum of (how many, of how much); what is not asked costs nothing, whatever its price."""
    known = [(count, each) for count, each in parts if count]
    if any(each is None for _, each in known):
        return None
    return math.fsum(count * each for count, each in known if each is not None)


def _duration(plan: Plan, work: list[_Work], trial_s: float, assume: Assumptions) -> tuple[float, str]:
    """Seconds, and which part is the narrowest."""
    trials = sum(each.trials for each in work)
    requests: dict[str, float] = defaultdict(float)
    tokens: dict[str, float] = defaultdict(float)
    limits = {}
    at_once: dict[tuple[str, str], tuple[str, int]] = {}
    busy_s: dict[tuple[str, str], float] = defaultdict(float)
    for condition, each in zip(plan.conditions, work, strict=True):
        for call, (count, cost) in zip(condition.calls, each.calls if condition.calls else (), strict=True):
            group = call.model.limit_group
            limits[group] = call.model.limits
            if call.model.max_concurrency:
                served = (call.model.base_url, call.model.model)
                at_once[served] = call.model.name, call.model.max_concurrency
                busy_s[served] += count * cost.seconds
            requests[group] += count
            tokens[group] += count * (cost.input_tokens + cost.output_tokens)
    concurrency = plan.max_concurrent_queries or assume.concurrency
    parts = [(trials * trial_s / min(concurrency, max(trials, 1)), "calls in flight")]
    if plan.rate_limit:
        parts.append((math.fsum(requests.values()) / plan.rate_limit, "the experiment's rate limit"))
    for group, limit in limits.items():
        if limit.requests_per_minute:
            parts.append((60 * requests[group] / limit.requests_per_minute, f"{group}'s requests per minute"))
        if limit.tokens_per_minute:
            parts.append((60 * tokens[group] / limit.tokens_per_minute, f"{group}'s tokens per minute"))
    longest, bound = max(parts, key=lambda part: part[0])
    # The last trial starts when the narrowest part lets it, and then takes its own time.
    longest += trial_s if bound != "calls in flight" else 0.0
    own = [(busy_s[served] / most, f"{name}'s max_concurrency") for served, (name, most) in at_once.items()]
    return max([(longest, bound), *own], key=lambda part: part[0])


def _tokens_in_words(plan: Plan, assume: Assumptions) -> str:
    names = list(dict.fromkeys(call.model.name for each in plan.conditions for call in each.calls))
    bare = [name for name in names if name not in assume.measured]
    guessed = f"{assume.bytes_per_token:g} bytes a token of prompt"
    ids = {call.model.name: call.model.model for each in plan.conditions for call in each.calls}
    if plan.simulated is None and any(encoding_of(ids[name]) for name in bare):
        guessed += " (the extra `tokens` would count them)"
    if len(bare) == len(names):
        return guessed
    by: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if name in assume.measured:
            by[assume.measured[name].tokenizer].append(name)
    counted = "; ".join(f"tokens of prompt counted by {each} for {', '.join(of)}" for each, of in by.items())
    return f"{counted}; {guessed} for {', '.join(bare)}" if bare else counted


def _function_words(function: FunctionPlan) -> str:
    if function.max_calls is None:
        return "a function that declares no max_calls, so what it costs is unknown"
    return f"a function of at most {function.max_calls} calls, each like the dearest that the plan names"


def _in_words(plan: Plan, assume: Assumptions) -> tuple[str, ...]:
    output = (
        f"{assume.output_tokens:g} tokens a reply"
        if assume.output_tokens is not None
        else "tokens a reply by parser: " + ", ".join(f"{k} {v:g}" for k, v in _OUTPUT_TOKENS.items())
    )
    latency = (
        f"{assume.latency_s:g} s a call"
        if assume.latency_s is not None
        else f"a call takes {assume.first_token_s:g} s and 1 s per {assume.tokens_per_s:g} tokens"
    )
    words = [
        _tokens_in_words(plan, assume),
        f"{output}, never more than max_tokens",
        latency,
        "no retries",
        *assumed_of_power(plan, assume),
    ]
    for condition in plan.conditions:
        if condition.function is not None:
            words.append(f"{condition.name}: {_function_words(condition.function)}")
    dates = sorted({c.model.price_date for k in plan.conditions for c in k.calls if c.model.price_date})
    if dates:
        words.append("prices of " + (dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"))
    return tuple(words)
