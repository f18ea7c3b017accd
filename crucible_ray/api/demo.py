"""The demo: the guide's first experiment, offline, with a truth planted and a provider that misbehaves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import to_builtins

from crucible_ray.api.preparing import Prepared, prepare
from crucible_ray.errors import StorageFailed
from crucible_ray.experiment.spec import Budget, Ensemble, Experiment, Model
from crucible_ray.models.catalogue import resolve_simulated
from crucible_ray.settings import Environment, ModelTable, Settings
from crucible_ray.simulator import SimulatedModel, SimulatorConfig

KILL_AT: Final = 0.4
"""The share of the trials after which a client actor is killed."""
CONCURRENCY: Final = 48
"""Trials in flight: what the limit below needs at this latency, and half as many again."""

_PER_MINUTE: Final = 2400.0
"""What the provider allows each model; a quarter of a minute's worth for the one that is asked most."""

_MEMBERS: Final = ("gemini_flash", "openai_gpt4o_mini", "anthropic_haiku")
_ACCURACY: Final = {"gemini_flash": 0.77, "openai_gpt4o_mini": 0.78, "anthropic_haiku": 0.79}
"""With the correlation below, a majority of the three is right 4 points more often than the second alone."""

EXPERIMENT: Final = Experiment(
    name="Ensemble vs single model",
    description="Does voting beat one model on factual questions?",
    hypotheses=["accuracy: ensemble_3model > single_model + 0.05"],
    dataset="demo",
    conditions=[
        Model("openai_gpt4o_mini", name="single_model", temperature=0.0, max_tokens=100),
        Ensemble(list(_MEMBERS), name="ensemble_3model", max_tokens=100),
    ],
    metrics=["accuracy", "latency_p50", "latency_p95", "latency_p99", "cost_per_query"],
    repeat=3,
    seed=42,
    timeout_s=10.0,
    checkpoint_every=25,
    budget=Budget(max_total=1.0, max_per_condition=0.8, abort_on_exceed=True),
)

OWN_KEY_FILE: Final = '''"""The demo's experiment for your own OpenAI key: 100 questions, at most one dollar."""

from crucible_ray import Budget, Ensemble, Experiment, Model

experiment = Experiment(
    name="Ensemble vs single model",
    hypotheses=["accuracy: ensemble_3model > single_model + 0.05"],
    dataset="demo",
    conditions=[
        Model("openai_gpt4o_mini", name="single_model", temperature=0.0, max_tokens=100),
        Ensemble(
            ["openai_gpt35_turbo", "openai_gpt4o_mini", "openai_gpt4o"], name="ensemble_3model", max_tokens=100
        ),
    ],
    metrics=["accuracy", "latency_p50", "latency_p95", "latency_p99", "cost_per_query"],
    repeat=3,
    seed=42,
    timeout_s=30.0,
    budget=Budget(max_total=1.0, abort_on_exceed=True),
)
'''


def prepare_demo(env: Mapping[str, str]) -> Prepared:
    """The demo, the same everywhere: no configuration file changes it. env: where limits are remembered."""
    allowed = ModelTable(requests_per_minute=_PER_MINUTE)
    settings = Settings(env=Environment(env), models=dict.fromkeys(_MEMBERS, allowed))
    return prepare(EXPERIMENT, settings=settings, simulate=True, simulated=_simulator(settings))


def _simulator(settings: Settings) -> dict[str, Any]:
    """A provider with a slow tail, that refuses and fails now and then."""
    config = SimulatorConfig(
        models=tuple(
            SimulatedModel(
                name=resolve_simulated(alias, settings).model,
                accuracy=accuracy,
                correlation=0.55,
                latency_s=0.6,
                tail=(0.03, 5.0),
                output_tokens=60,
            )
            for alias, accuracy in _ACCURACY.items()
        ),
        seed=7,
        faults={"429": 0.01, "500": 0.01, "reset": 0.005},
        fault_retry_after_s=0.5,
    )
    defaults = to_builtins(SimulatorConfig())
    return {name: value for name, value in to_builtins(config).items() if value != defaults[name]}


def fresh_folder(parent: Path) -> Path:
    """A new `demo-N` in `parent`. Raises StorageFailed."""
    number = 1
    while True:
        folder = parent / f"demo-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise StorageFailed(str(parent), error.strerror or str(error)) from error
        else:
            return folder
