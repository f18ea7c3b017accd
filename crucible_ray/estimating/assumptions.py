"""What an estimate rests on where the plan does not say."""

from __future__ import annotations

from msgspec import Struct

from crucible_ray.estimating.pilots import Pilot
from crucible_ray.models.tokens import BYTES_PER_TOKEN


class Measured(Struct, frozen=True, kw_only=True):
    """What a model's own tokenizer makes of the plan's prompts."""

    tokenizer: str
    bytes_per_token: float


class Assumptions(Struct, frozen=True, kw_only=True):
    """What an estimate rests on where the plan does not say."""

    bytes_per_token: float = BYTES_PER_TOKEN
    """Of models without a tokenizer at hand."""
    measured: dict[str, Measured] = {}
    """By model: what its tokenizer makes of these prompts."""
    output_tokens: float | None = None
    """Tokens of one reply; None: by parser."""
    first_token_s: float = 0.5
    tokens_per_s: float = 60.0
    """One reply's speed after its first token."""
    latency_s: float | None = None
    """Mean time of one call; None: from the two above."""
    concurrency: int = 256
    """Trials in flight where the plan sets no number."""
    discordant: tuple[float, float] = (0.10, 0.16)
    """Share of items on which two conditions differ in right or wrong: from and to."""
    beyond_margin: float = 0.03
    """How far past its margin the true difference is taken to lie where the margin is above zero."""
    without_margin: float = 0.05
    """The true difference where there is no margin."""
    target_power: float = 0.8
    smallest: float = 0.2
    """The smallest effect of interest, in standard deviations of an item's difference."""
    available: int | None = None
    """Items that the dataset holds, sampled or not; None: not known."""
    pilots: dict[str, Pilot] = {}
    """By a hypothesis' text: what a run that is paid for says of its spread."""
