"""What can go wrong on purpose, and when. Pure: a uniform number in, a fault or none out."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

KINDS: dict[str, str] = {
    "429": "refused for its rate, with Retry-After",
    "429-bare": "refused for its rate, without Retry-After",
    "500": "internal server error",
    "529": "overloaded",
    "error-200": "an error object inside a 200",
    "slow-body": "the status at once, then the body in drops",
    "stall": "accepted and never answered",
    "reset": "the connection reset before any answer",
    "reset-body": "the connection reset inside the body",
    "truncated": "JSON that breaks off, in a complete response",
    "truncate-length": "a body shorter than its Content-Length",
    "empty": "no text, finish_reason length",
    "refuse-key": "401, whatever the key",
    "refuse-param": "400 for a parameter",
}
"""Every kind of fault and what a client sees of it."""

STATUS = {"429": 429, "429-bare": 429, "500": 500, "529": 529, "refuse-key": 401, "refuse-param": 400}
"""The faults that are an answer of their own, at once."""


class FaultMix:
    """Faults by probability; `draw` turns one uniform number into a kind or None."""

    def __init__(self, probabilities: Mapping[str, float]) -> None:
        # Sorted, so that the order in which faults were named changes no draw.
        kinds = sorted(probabilities)
        self._edges = list(zip(accumulate(probabilities[kind] for kind in kinds), kinds, strict=True))

    def draw(self, uniform: float) -> str | None:
        """The fault of a request whose number is `uniform`, within (0, 1)."""
        for edge, kind in self._edges:
            if uniform < edge:
                return kind
        return None


def problems_of_mix(probabilities: Mapping[str, float]) -> tuple[str, ...]:
    """What is wrong with a mix of faults, one sentence each."""
    problems = [
        f"Simulator: no fault is called {kind!r}; there are {', '.join(KINDS)}."
        for kind in probabilities
        if kind not in KINDS
    ]
    if any(not 0.0 <= share <= 1.0 for share in probabilities.values()):
        problems.append("Simulator: a fault's probability must be within 0 and 1.")
    elif sum(probabilities.values()) > 1.0 + 1e-9:
        problems.append("Simulator: the probabilities of all faults must sum to at most 1.")
    return tuple(problems)
