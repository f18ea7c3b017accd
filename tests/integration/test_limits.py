"""A limit is a promise: what the provider counts in every sliding minute, over processes and actors that share a key.

All runs go on at the same time, each scenario at a provider of its own, so that the whole takes little over a minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crucible_ray import api
from crucible_ray.simulator import SimulatorConfig, SimulatorProcess, Stats, sliding_max, sliding_min_full
from tests.integration.driver import SINGLE
from tests.integration.lab import prepared

if TYPE_CHECKING:
    from crucible_ray.actors.cluster import RayThread

pytestmark = [pytest.mark.ray, pytest.mark.slow]

RPM = 600
WINDOW_S = 60.0
KEY = "SHARED_API_KEY"
SHARES: dict[str, tuple[str, int]] = {
    "a process, window": ("window", 1),
    "a process, bucket": ("bucket", 1),
    "two processes, window": ("window", 2),
    "two processes, bucket": ("bucket", 2),
    "two actors, window": ("window", 1),
}
"""By scenario: the provider's kind of limit, and over how many runs the trials are divided."""
SAMPLE, REPEAT = 65, 10
"""650 requests: 66 s at the limit."""


@pytest.fixture(scope="module")
def counted(ray_session: RayThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Stats]]:
    """What each provider counted."""
    folder = tmp_path_factory.mktemp("limits")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv(KEY, "sk-shared")
        providers = {
            name: stack.enter_context(SimulatorProcess(SimulatorConfig(rpm=RPM, limit_kind=kind)))  # type: ignore[arg-type]
            for name, (kind, _) in SHARES.items()
        }
        runs = [
            stack.enter_context(_process(folder / f"{name}, {k}", providers[name].url, REPEAT // share))
            for name, (_, share) in SHARES.items()
            if "process" in name
            for k in range(share)
        ]
        _on_ray(folder / "two actors", providers["two actors, window"].url, ray_session)
        for run in runs:
            said, _ = run.communicate(timeout=120.0)
            assert (run.returncode, said.splitlines()[-1]) == (0, "ended complete")
        yield {name: provider.stats(arrivals=True) for name, provider in providers.items()}


def _process(folder: Path, url: str, repeat: int) -> subprocess.Popen[str]:
    folder.mkdir()
    command = [sys.executable, "-m", "tests.integration.driver", str(folder), url, "--runtime", "in-process"]
    command += ["--single", "--rpm", str(RPM), "--key", KEY, "--sample", str(SAMPLE), "--repeat", str(repeat)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)


def _on_ray(folder: Path, url: str, ray: RayThread) -> None:
    folder.mkdir()
    changes = {"requests_per_minute": RPM, "api_key_env": KEY, **SINGLE}
    ready = prepared(folder, url, sample_size=SAMPLE, repeat=REPEAT, **changes)
    assert api.run(ready, output_dir=folder, ray=ray, clients=2).status == "complete"


@pytest.mark.parametrize("scenario", SHARES)
def test_no_sliding_minute_holds_more_than_the_limit_and_nothing_is_refused(
    counted: dict[str, Stats], scenario: str
) -> None:
    stats = counted[scenario]
    assert stats.statuses == {"200": SAMPLE * REPEAT}
    assert stats.limited == 0
    assert sliding_max(stats.total_times or [], WINDOW_S) <= RPM


@pytest.mark.parametrize("scenario", SHARES)
def test_every_full_minute_holds_nearly_as_much_as_the_limit(
    counted: dict[str, Stats], scenario: str
) -> None:
    least = sliding_min_full(counted[scenario].total_times or [], WINDOW_S)
    assert least is not None
    assert least >= 0.97 * RPM
