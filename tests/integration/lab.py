"""A folder as a user has it: `crucible.toml`, keys in the environment, one small experiment that tests vary."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crucible_ray.api import Prepared, prepare
from crucible_ray.experiment.spec import Ensemble, Experiment, Model
from crucible_ray.settings import load_settings
from crucible_ray.simulator import SimulatedModel

MODELS = ("small", "medium", "large")
PRICES = {"input_price": 100.0, "output_price": 400.0}
"""US dollars per million tokens."""
POPULATION: tuple[SimulatedModel, ...] = (
    SimulatedModel(name="small", accuracy=0.7, latency_s=0.05),
    SimulatedModel(name="medium", accuracy=0.75, latency_s=0.08),
    SimulatedModel(name="large", accuracy=0.8, latency_s=0.08, tail=(0.02, 5.0)),
)
AT_ONCE: tuple[SimulatedModel, ...] = tuple(SimulatedModel(name=name, accuracy=0.7) for name in MODELS)
EXPERIMENT = Experiment(
    name="One against three",
    dataset="demo",
    conditions=[
        Model("small", name="single"),
        Ensemble(["small", "medium", "large"], name="trio"),
    ],
    hypotheses=["accuracy: trio > single"],
    max_tokens=16,
    timeout_s=20.0,
    seed=7,
)
"""Two conditions, four calls a block."""
CALLS_PER_BLOCK = 4


def _settings_text(url: str | Mapping[str, str], options: Mapping[str, object]) -> str:
    """`crucible.toml`: the three models at `url` (one for all, or by name), each with these options."""
    tables = ["[ensemble]", "retry_delay_s = 0.05"]
    for name in MODELS:
        address = url if isinstance(url, str) else url[name]
        tables += [f"[models.{name}]", f'model = "{name}"', f'base_url = "{address}"']
        every = {"provider": "openai", **PRICES, **options}
        tables += [f"{key} = {_toml(value)}" for key, value in every.items() if value is not None]
    return "\n".join(tables) + "\n"


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def prepared(folder: Path, url: str | Mapping[str, str], **changes: Any) -> Prepared:
    """The experiment, ready to run in `folder`; `changes` are fields of it, or else of every model's table."""
    options = {
        name: changes.pop(name) for name in list(changes) if name not in Experiment.__dataclass_fields__
    }
    (folder / "crucible.toml").write_text(_settings_text(url, options))
    settings = load_settings(folder, os.environ)
    return prepare(replace(EXPERIMENT, **changes), settings=settings)


def rows_of(results: Path) -> list[dict[str, str]]:
    """The lines of `results.csv`."""
    with (results / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))
