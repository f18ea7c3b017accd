"""What to do after a failed attempt: full-jitter back-off (Brooker 2015), a provider's Retry-After, or giving up."""

from __future__ import annotations

import random

from msgspec import Struct

from crucible_ray.errors import ConnectionStale, ModelError, RateLimited

LONGEST_WAIT_S = 600.0
"""Nobody waits longer than this for one call, all its waits together; a 429 uses up no retry."""


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """Bounds of patience; seconds."""

    max_retries: int = 3
    delay_s: float = 1.0
    longest_delay_s: float = 30.0


class Patience:
    """The retries of one call: told of each failure, it answers how long to wait, or None to give up."""

    __slots__ = ("_policy", "_refusals", "_stale", "_waited_s", "retries")

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._waited_s = 0.0
        self._refusals = 0
        self._stale = False
        self.retries = 0

    def on_failure(self, error: ModelError, rng: random.Random) -> float | None:
        """Seconds to wait before the next attempt; None: this failure stands."""
        if not error.retryable:
            return None
        if isinstance(error, RateLimited):
            return self._on_refusal(error, rng)
        if isinstance(error, ConnectionStale) and not self._stale:
            # Completions are not idempotent, but a server closes what it thinks idle before it read anything.
            self._stale = True
            return 0.0
        if self.retries >= self._policy.max_retries:
            return None
        wait = max(error.retry_after_s or 0.0, self._jitter(self.retries, rng))
        self.retries += 1
        return self._bear(wait)

    def _on_refusal(self, error: RateLimited, rng: random.Random) -> float | None:
        wait = error.retry_after_s
        if wait is None:
            wait = self._jitter(self._refusals, rng)
        self._refusals += 1
        # Everybody was told the same moment; a little jitter keeps them from coming back as one burst.
        return self._bear(wait + rng.uniform(0.0, 0.1))

    def _bear(self, wait_s: float) -> float | None:
        self._waited_s += wait_s
        return wait_s if self._waited_s <= LONGEST_WAIT_S else None

    def _jitter(self, failures: int, rng: random.Random) -> float:
        return rng.uniform(0.0, min(self._policy.longest_delay_s, self._policy.delay_s * 2.0**failures))
