"""Power under a prior: the chance of support over everything that the truth may be (O'Hagan, Stevens and Campbell
2005, Pharmaceutical Statistics 4). Unlike power at one effect it has a ceiling below 1: the prior's own weight
beyond the margin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.planning import fewest
from crucible_ray.stats.prospects import support_power
from crucible_ray.stats.result import Floats

POINTS = 200


def normal_prior(mean: float, sd: float, points: int = POINTS) -> Floats:
    """Equally likely effects, shape [points]: the midpoints of a normal distribution's quantiles."""
    if not (sd >= 0 and math.isfinite(mean + sd)):
        raise StatsError(f"a prior of {mean:g} with a standard deviation of {sd:g} is none: it is 0 or more")
    from scipy.special import ndtri

    spread: Floats = mean + sd * ndtri((np.arange(points) + 0.5) / points)
    return spread


def assurance(
    effects: ArrayLike, *, n: int, relation: str = "superiority", margin: float = 0.0, **how: Any
) -> float:
    """The mean of `support_power` over equally likely true effects, shape [draws].

    how: design, alpha and what `power` takes; any number of it may be an array beside `effects` (draws of a joint
    prior, a pilot's bootstrap). Where a draw's discordant share lies below its effect, it is taken as the effect.
    Raises StatsError as `power` does.
    """
    drawn = np.atleast_1d(np.asarray(effects, np.float64))
    if drawn.ndim != 1 or not len(drawn) or not np.isfinite(drawn).all():
        raise StatsError("a prior is an array of true effects, each a number")
    chances = []
    for draw, effect in enumerate(drawn):
        own = {
            name: value if isinstance(value, str) or np.ndim(value) == 0 else value[draw]
            for name, value in how.items()
        }
        if own.get("discordant") is not None:
            own["discordant"] = min(1.0, max(own["discordant"], abs(effect)))
        chances.append(support_power(relation, margin, n=n, effect=float(effect), **own))
    return math.fsum(chances) / len(chances)


def items_for_assurance(
    effects: ArrayLike,
    *,
    power: float = 0.8,
    relation: str = "superiority",
    margin: float = 0.0,
    **how: Any,
) -> int:
    """The fewest items whose `assurance` reaches `power`. Raises StatsError where the prior itself does not."""
    drawn = np.atleast_1d(np.asarray(effects, np.float64))
    edge = {"superiority": margin, "non_inferiority": -margin}.get(relation)
    beyond = float(((np.abs(drawn) < margin) if edge is None else (drawn > edge)).mean())
    if not 0 < power < beyond:
        raise StatsError(
            f"the prior gives {beyond:.2f} to a true effect that supports the hypothesis: no number of items reaches "
            f"{power:g}"
        )
    return fewest(
        lambda n: assurance(drawn, n=n, relation=relation, margin=margin, **how) >= power,
        1 if str(how.get("design", "paired_binary")).endswith("binary") else 2,
    )
