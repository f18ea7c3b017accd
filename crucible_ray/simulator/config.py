"""What a simulated provider is asked to be: JSON in, JSON out, no path, no clock and no secret in it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from crucible_ray.errors import SpecError
from crucible_ray.simulator.faults import problems_of_mix

LimitKind = Literal["window", "bucket"]
LimitScope = Literal["key", "model", "global"]


class SimulatedModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one simulated model behaves. Raises SpecError where a number makes no sense."""

    name: str
    """The id that requests ask for."""
    accuracy: float = 0.75
    """Share of answers that are right, averaged over the answer key's items."""
    correlation: float = 0.3
    """0 to 0.99: how much of being right or wrong is shared between models (`population.py` says how).

    The latent correlation of two models is the geometric mean of theirs.
    """
    latency_s: float = 0.0
    """Median seconds from a complete request to its answer; 0 answers at once."""
    spread: float = 0.25
    """Standard deviation of the latency's logarithm; 0 makes every latency the median."""
    tail: tuple[float, float] = (0.0, 1.0)
    """The share of requests that are slow, and how many times slower they are."""
    output_tokens: int = 8
    """Median length of an answer; longer answers are padded with prose that states nothing."""

    def __post_init__(self) -> None:
        share, factor = self.tail
        checks = (
            (bool(self.name), "name must not be empty"),
            (0.0 <= self.accuracy <= 1.0, "accuracy must be within 0 and 1"),
            (0.0 <= self.correlation <= 0.99, "correlation must be within 0 and 0.99"),
            (0.0 <= self.latency_s < 86_400.0, "latency_s must be within 0 and a day"),
            (0.0 <= self.spread <= 3.0, "spread must be within 0 and 3"),
            (
                0.0 <= share <= 1.0 and factor >= 1.0,
                "tail must be (share within 0 and 1, factor of at least 1)",
            ),
            (self.output_tokens >= 1, "output_tokens must be at least 1"),
        )
        problems = tuple(f"Simulated model {self.name!r}: {text}." for good, text in checks if not good)
        if problems:
            raise SpecError(problems)


class SimulatorConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulated provider. Raises SpecError where a setting makes no sense."""

    models: tuple[SimulatedModel, ...] = ()
    """Who answers; empty: any name is served, behaving like `default`."""
    default: SimulatedModel = SimulatedModel(name="default")
    """Behaviour of models that nothing else describes, and the latency of recorded replies."""
    any_model: bool = False
    """Whether a name that is not among `models` is served like `default`."""
    seed: int = 0
    difficulty_slope: float = 4.0
    """Log-odds of a right answer that the hardest item costs, compared with the easiest."""
    concentration: float = 0.6
    """Share of wrong answers that fall on the item's main distractor, so that votes can be wrong together."""

    faults: dict[str, float] = {}
    """Probability by kind (`faults.py` lists them); together at most 1. A retry draws anew."""
    fault_retry_after_s: float = 1.0
    """What an injected 429 asks for."""
    slow_body_s: float = 2.0
    """How long a slow body takes."""

    rpm: float | None = None
    """Requests per minute that are admitted; None: no limit."""
    limit_kind: LimitKind = "window"
    """A sliding window, or a token bucket that starts full."""
    limit_per: LimitScope = "key"
    """Whom a limit counts: a key (the Authorization header), a key and model, or everybody."""
    bucket_size: float | None = None
    """Requests that a full bucket holds; None: one second's worth, at least 1."""
    window_s: float = 60.0
    """Length of the sliding window; it admits `rpm * window_s / 60` requests."""
    limit_retry_after: bool = True
    """Whether a refusal by the limit says when to come back."""

    def __post_init__(self) -> None:
        names = [model.name for model in self.models]
        checks = (
            (len(set(names)) == len(names), "two simulated models have the same name"),
            (self.difficulty_slope >= 0.0, "difficulty_slope must not be negative"),
            (0.0 <= self.concentration <= 1.0, "concentration must be within 0 and 1"),
            (self.fault_retry_after_s >= 0.0, "fault_retry_after_s must not be negative"),
            (self.slow_body_s > 0.0, "slow_body_s must be positive"),
            (self.window_s > 0.0, "window_s must be positive"),
            (self.bucket_size is None or self.bucket_size >= 1.0, "bucket_size must be at least 1"),
            (self.rpm is None or self.rpm * self.window_s >= 60.0, "rpm must admit a request per window"),
        )
        problems = tuple(f"Simulator: {text}." for good, text in checks if not good)
        problems += problems_of_mix(self.faults)
        if problems:
            raise SpecError(problems)
