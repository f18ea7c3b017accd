"""What a report says that is not in the analysis: clocks, processes, money spent, given by whoever ran it."""

from __future__ import annotations

from msgspec import Struct


class KillFact(Struct, frozen=True, kw_only=True):
    """A client actor that was killed on purpose."""

    at_percent: float
    handed_back: int
    """Trials that it held and that were granted again."""
    lost: int
    doubled: int


class RunFacts(Struct, frozen=True, kw_only=True):
    """How a run went."""

    status: str
    """`complete`, `budget`, `interrupted`, `stopped`, `refused` or `broken`."""
    started: str
    """ISO 8601."""
    duration_s: float
    runtime: str
    """`ray` or `in-process`."""
    clients: int
    spent_usd: float | None
    """All money spent, lost attempts included; None: a price is unknown."""
    trial_bound_usd: float | None = None
    """Where the budget stopped it: what one of the trials that are left may cost at most."""
    unrecorded_usd: float = 0.0
    """Of `spent_usd`: what counts as spent although no row shows for it, mostly by estimate (a killed process)."""
    estimated_usd: float | None = None
    calls: int
    retries: int = 0
    throttled: int = 0
    """429s."""
    quota_wait_s: float = 0.0
    """Waiting for limits, summed over calls."""
    bound_by: str
    """What kept the run from being faster, in words."""
    results_dir: str
    kill: KillFact | None = None
    failures: dict[str, str] = {}
    """By condition of which nothing but failures came: what the first of its calls that failed was told."""
    exception: str | None = None
    """The first that an author's own code raised: their frames, and what it says."""
    planted: float | None = None
    """The true difference of the first hypothesis (or comparison), where a simulator planted one."""
    model_versions: dict[str, str] = {}
    """By model name, as the providers reported them."""
    plans: dict[str, int] = {}
    """When plans of analysis were registered, ISO 8601, and how many trials had a row then."""
    versions: dict[str, str] = {}
    """Package, Python, Ray, operating system."""
    reproduce: tuple[str, ...] = ()
    """Commands that run it again or go on from here."""
    next_steps: tuple[str, ...] = ()

    @property
    def begun(self) -> str | None:
        """When the first session began, where this is a later one: that registered the plan as it started."""
        first = min(self.plans, default=self.started)
        return first if first < self.started else None
