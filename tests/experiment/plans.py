"""One small experiment that tests vary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.resolving import resolve
from crucible_ray.experiment.spec import Ensemble, Experiment, Model
from crucible_ray.experiment.validation import Catalogue
from crucible_ray.models.catalogue import resolve_model
from crucible_ray.records import Item
from crucible_ray.settings import Settings

EXPERIMENT = Experiment(
    name="Ensemble vs single model",
    dataset="demo",
    conditions=[
        Model("gpt4o_mini", name="single", temperature=0.0),
        Ensemble(["gpt4o", Model("gpt4o_mini", max_tokens=5), "gpt4o"], name="trio", max_tokens=100),
    ],
    hypotheses=["accuracy: trio > single + 0.05"],
)
ITEMS = [Item(id=str(n), input=f"{n}?", expected="A", choices=("yes", "no")) for n in range(3)]


def plan_of(
    *,
    items: list[Item] = ITEMS,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    catalogue: Catalogue = resolve_model,
    source: str | None = None,
    simulated: dict[str, Any] | None = None,
    examples: tuple[Item, ...] = (),
    **changes: Any,
) -> Plan:
    """The plan of EXPERIMENT with these changes."""
    return resolve(
        replace(EXPERIMENT, **changes),
        items,
        settings,
        catalogue=catalogue,
        source=source,
        simulated=simulated,
        examples=examples,
    )
