"""A provider that misbehaves on purpose, over real HTTP. Everything it says says that it is simulated."""

from __future__ import annotations

from crucible_ray.simulator.answers import load_items
from crucible_ray.simulator.command import main, run_server
from crucible_ray.simulator.config import SimulatedModel, SimulatorConfig
from crucible_ray.simulator.limits import sliding_max, sliding_min_full
from crucible_ray.simulator.population import Population, Truth
from crucible_ray.simulator.process import SimulatorProcess
from crucible_ray.simulator.provider import Stats
from crucible_ray.simulator.recorded import RecordedReply, load_replies
from crucible_ray.simulator.server import Simulator, serve

__all__ = [
    "Population",
    "RecordedReply",
    "SimulatedModel",
    "Simulator",
    "SimulatorConfig",
    "SimulatorProcess",
    "Stats",
    "Truth",
    "load_items",
    "load_replies",
    "main",
    "run_server",
    "serve",
    "sliding_max",
    "sliding_min_full",
]
