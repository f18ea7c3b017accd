"""A run on Ray resamples over Ray, and says the same as its replay without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crucible_ray import api
from crucible_ray.stats import chunks
from tests.conftest import Simulate
from tests.integration.lab import AT_ONCE, prepared


@pytest.mark.ray
def test_a_run_on_ray_resamples_over_ray_and_replays_to_the_same_bytes(
    tmp_path: Path, simulate: Simulate, ray_session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crucible_ray.actors.resampling import RayDrawer

    monkeypatch.setattr(RayDrawer.__init__, "__kwdefaults__", {"worth": 0, "actors": None})
    monkeypatch.setattr(chunks, "_VALUES", 50_000)
    spread: list[int] = []
    in_order = RayDrawer._in_order

    def noted(self: RayDrawer, *work: Any) -> Any:
        spread.append(len(work[-1]))
        return in_order(self, *work)

    monkeypatch.setattr(RayDrawer, "_in_order", noted)
    provider = simulate(models=AT_ONCE)
    ready = prepared(
        tmp_path, provider.url, sample_size=40, repeat=2, metrics=["cost_per_correct"], hypotheses=[]
    )
    result = api.run(ready, runtime="ray", ray=ray_session, clients=1, output_dir=tmp_path / "out")
    assert spread
    assert min(spread) > 1
    spread.clear()
    assert api.reproduce(result.results_dir).same
    assert not spread
