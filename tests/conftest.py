"""What every test stands on: a state folder of its own, no keys of the developer's, one Ray for each process of tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crucible_ray.simulator import SimulatorConfig, SimulatorProcess

if TYPE_CHECKING:
    from crucible_ray.actors.cluster import RayThread

_STATE = pytest.StashKey[str]()
_READ_BY_US = (
    "RAY_ADDRESS",
    "RESULTS_DIR",
    "CHECKPOINT_DIR",
    "CRUCIBLE_PROFILE",
    "DISABLE_RATE_LIMITING",
    "EXPERIMENT_SEED",
)

Simulate = Callable[..., SimulatorProcess]


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is imported: Ray reads its environment once, and children inherit ours."""
    config.stash[_STATE] = tempfile.mkdtemp(prefix="crucible-state-")
    os.environ["CRUCIBLE_STATE_DIR"] = config.stash[_STATE]
    os.environ["RAY_AUTH_MODE"] = "disabled"
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_API_KEY_FILE", "_BASE_URL")) or name in _READ_BY_US:
            del os.environ[name]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    shutil.rmtree(config.stash[_STATE], ignore_errors=True)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[RayThread]:
    """A private Ray of one node, started once for all tests that need it."""
    from crucible_ray.actors.cluster import RayThread

    ray = RayThread()
    ray.start()
    assert ray.ready(120.0)
    yield ray
    ray.stop()


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Simulate]:
    """Starts simulators in processes of their own, which end with the test."""
    with ExitStack() as stack:

        def start(**config: object) -> SimulatorProcess:
            items = config.pop("items", None)
            assert items is None or isinstance(items, Path)
            return stack.enter_context(SimulatorProcess(SimulatorConfig(**config), items=items))  # type: ignore[arg-type]

        yield start
