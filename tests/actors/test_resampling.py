"""Resampling over Ray: the same bytes as here, whoever draws and whoever dies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from crucible_ray.stats import bootstrap_ci, cluster_bootstrap_ci, paired_permutation
from crucible_ray.stats.chunks import Arrays, Chunk, Draw, draw_here, drawing_on, drawn
from crucible_ray.stats.quantiles import quantile_difference
from crucible_ray.stats.resampling import bootstrap_difference, permutation_test
from crucible_ray.stats.result import Floats

RNG = np.random.default_rng(3)
COSTS, OTHERS = RNG.exponential(1.0, (2, 4_000))
CLUSTERS = np.repeat(np.arange(1_000), 4)
RESAMPLES = 1_500

ASKED: dict[str, Callable[[], object]] = {
    "mean": lambda: bootstrap_ci(COSTS, resamples=RESAMPLES),
    "own statistic": lambda: bootstrap_ci(COSTS, lambda values, axis: values.max(axis=axis), method="percentile",
                                          resamples=RESAMPLES),
    "clusters": lambda: cluster_bootstrap_ci(COSTS, CLUSTERS, resamples=10 * RESAMPLES),
    "difference": lambda: bootstrap_difference(COSTS, OTHERS, resamples=RESAMPLES),
    "quantiles": lambda: quantile_difference(COSTS, OTHERS, 0.9, paired=True, resamples=RESAMPLES),
    "splits": lambda: permutation_test(COSTS, OTHERS, resamples=RESAMPLES),
    "sign flips": lambda: paired_permutation(COSTS, 1.01 * COSTS + 0.1 * (OTHERS - 1), resamples=10 * RESAMPLES),
}  # fmt: skip


class _Backwards:
    """Draws the chunks in reverse, and counts them."""

    chunks = 0

    def __call__(
        self, draw: Draw, data: Arrays, chunks: Sequence[Chunk], /, *, values: int
    ) -> Iterable[Floats]:
        self.chunks += len(chunks)
        return reversed([draw(data, chunk) for chunk in reversed(chunks)])


@pytest.mark.parametrize("name", ASKED)
def test_the_order_in_which_chunks_are_drawn_changes_nothing(name: str) -> None:
    backwards = _Backwards()
    with drawing_on(backwards):
        found = ASKED[name]()
    assert backwards.chunks > 1
    assert repr(found) == repr(ASKED[name]())


def test_chunks_have_the_random_numbers_of_a_spawned_seed_and_share_none() -> None:
    spawned = np.random.SeedSequence(5).spawn(3)
    rows = [Chunk(5, number, 1).rng().random(4) for number in range(3)]
    for seed, row in zip(spawned, rows, strict=True):
        assert (np.random.default_rng(seed).random(4) == row).all()
    assert len(np.unique(rows)) == 12


@pytest.mark.ray
@pytest.mark.parametrize(("actors", "names"), [(2, list(ASKED)), (3, ["mean"])])
def test_ray_draws_the_same_bytes_with_any_number_of_actors(
    ray_session: object, actors: int, names: list[str]
) -> None:
    from crucible_ray.actors.resampling import RayDrawer

    here = [repr(ASKED[name]()) for name in names]
    with drawing_on(RayDrawer(worth=0, actors=actors)):
        assert [repr(ASKED[name]()) for name in names] == here


@pytest.mark.ray
def test_what_a_dying_actor_had_to_draw_is_drawn_here(ray_session: object) -> None:
    from crucible_ray.actors.resampling import RayDrawer

    driver = os.getpid()

    def deadly(data: Arrays, chunk: Chunk) -> Floats:
        if chunk.number == 5 and os.getpid() != driver:
            os._exit(1)
        return chunk.rng().random(chunk.rows)

    asked: dict[str, Any] = {"resamples": 40, "width": 1_000_000, "seed": 1}
    here = drawn(deadly, (), **asked)
    with drawing_on(RayDrawer(worth=0, actors=2)):
        assert (drawn(deadly, (), **asked) == here).all()


@pytest.mark.ray
def test_small_work_is_drawn_where_it_is_asked_for(ray_session: object) -> None:
    from crucible_ray.actors.resampling import RayDrawer

    places: list[int] = []

    def noting(data: Arrays, chunk: Chunk) -> Floats:
        places.append(os.getpid())
        return np.zeros(chunk.rows)

    chunks = [Chunk(0, number, 1) for number in range(4)]
    found = list(RayDrawer()(noting, (), chunks, values=1_000_000))
    assert places == [os.getpid()] * 4
    assert len(found) == len(list(draw_here(noting, (), chunks, values=0)))
