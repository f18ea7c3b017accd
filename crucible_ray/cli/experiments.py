"""From the words of a command line to a prepared experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from crucible_ray.errors import UsageError

if TYPE_CHECKING:
    from crucible_ray.api import Prepared


def asked_formats(text: str | None) -> tuple[str, ...] | None:
    """The formats of a comma list; None: nothing was asked for. Raises UsageError."""
    if text is None:
        return None
    from crucible_ray.experiment.formats import check_formats

    return check_formats([name.strip() for name in text.split(",") if name.strip()])


def load(
    ref: str,
    *,
    sample_size: int | None = None,
    repeat: int | None = None,
    seed: int | None = None,
    max_cost: float | None = None,
    params: Sequence[str] | None = None,
    profile: str | None = None,
    simulate: bool = False,
) -> Prepared:
    """Find the experiment, change what the command line says, resolve everything. Raises UsageError."""
    from crucible_ray.api import prepare
    from crucible_ray.experiment.adjusting import override
    from crucible_ray.experiment.loading import load_experiment

    if max_cost is not None and max_cost <= 0:
        raise UsageError("--max-cost has to be above zero.")
    loaded = load_experiment(ref, pairs(params or ()))
    changed = override(
        loaded.experiment, sample_size=sample_size, repeat=repeat, seed=seed, max_cost=max_cost
    )
    return prepare(dataclasses.replace(loaded, experiment=changed), profile=profile, simulate=simulate)


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """`name=value` each. Raises UsageError."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"-P {text}: write -P name=value.")
        if name in found:
            raise UsageError(f"-P {name} is given twice.")
        found[name] = value
    return found
