"""What one session leaves for reports, and how a provider's refusal is told."""

from __future__ import annotations

from dataclasses import dataclass

from crucible_ray.api.preparing import unpriced
from crucible_ray.errors import MissingKey, ParameterRefused, RefusedKey, SpecError, UsageError
from crucible_ray.experiment.plan import Plan
from crucible_ray.records import Fatal


@dataclass
class Session:
    """What a session leaves for reports: clocks, counts, and what happened."""

    status: str = "complete"
    started: str = ""
    duration_s: float = 0.0
    clients: int = 0
    calls: int = 0
    retries: int = 0
    throttled: int = 0
    quota_wait_s: float = 0.0
    lag_s: float = 0.0
    client_cpu_s: float = 0.0
    call_s: float = 0.0
    driven_s: float = 0.0
    """From the first exchange with a client to the end of the last trial."""
    peak: int = 0
    tail_s: float = 0.0
    deaths: int = 0
    killed_at: float | None = None
    handed_back: int = 0
    reused: int = 0
    """Calls that earlier runs had paid for."""
    trial_bound_usd: float | None = None
    """Where the budget stopped it: what one of the trials that are left may cost."""
    fatal: Fatal | None = None
    exception: str | None = None
    """The first that an author's own code raised: their frames, and what it says."""
    cancelled: bool = False
    """The task was cancelled: it stopped in good order, and the cancellation goes on when the results are written."""


def raise_fatal(fatal: Fatal | None, plan: Plan) -> None:
    """Say why the provider's refusal ended the run. Raises RefusedKey, ParameterRefused."""
    if fatal is None:
        return
    if fatal.kind == "missing_key":
        raise MissingKey(fatal.model, fatal.variable or "its key")
    if fatal.kind == "unknown_model":
        raise SpecError((fatal.detail,))
    if fatal.kind == "unpriced":
        raise UsageError(unpriced(fatal.model))
    if fatal.kind == "authentication":
        calls = [call for condition in plan.conditions for call in condition.calls]
        named = next((c.model.api_key_env for c in calls if c.model.name == fatal.model), None)
        variable = fatal.variable or named
        raise RefusedKey(fatal.model, variable or "no key", fatal.detail)
    raise ParameterRefused(fatal.model, fatal.detail)
