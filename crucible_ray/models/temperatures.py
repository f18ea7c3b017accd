"""Which temperatures providers take, so that a run does not end at its first request for one that they refuse."""

from __future__ import annotations

from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from crucible_ray.errors import SpecError
from crucible_ray.experiment.plan import Plan
from crucible_ray.models.catalogue import SERVERS, resolve_model
from crucible_ray.records import ModelRef
from crucible_ray.settings import Settings

_HIGHEST: Final = 2.0
"""No provider of the catalogue takes more; a server of one's own may."""
_HIGHEST_OF_ANTHROPIC: Final = 1.0
_HOSTS: Final = frozenset(
    urlsplit(url).hostname for url in SERVERS.values() if url is not None and url.startswith("https:")
)


def temperature_notes(plan: Plan, settings: Settings) -> tuple[str, ...]:
    """Temperatures that will be refused by what is asked. Raises SpecError for those above what anybody takes."""
    problems: dict[str, None] = {}
    notes: dict[str, None] = {}
    for condition in plan.conditions:
        for call in condition.everybody:
            model = _real(call.model, settings)
            if call.temperature is None or model is None or urlsplit(model.base_url).hostname not in _HOSTS:
                continue
            said = f"Condition {condition.name!r}: temperature = {call.temperature:g}: "
            if call.temperature > _HIGHEST:
                problems[f"{said}{model.name} takes at most {_highest(model):g}."] = None
            elif call.temperature > _highest(model):
                notes[f"{said}{model.name} takes 0 to {_highest(model):g} and will refuse it."] = None
    if problems:
        raise SpecError(tuple(problems))
    return tuple(notes)


def _highest(model: ModelRef) -> float:
    return _HIGHEST_OF_ANTHROPIC if model.provider == "anthropic" else _HIGHEST


def _real(model: ModelRef, settings: Settings) -> ModelRef | None:
    """The model that a simulated one stands for; None: it stands for none."""
    if model.provider != "simulated":
        return model
    with suppress(SpecError):
        return resolve_model(model.name, settings)
    return None
