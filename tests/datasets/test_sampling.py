from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crucible_ray.datasets import nested_sample
from crucible_ray.datasets.sampling import example_pool
from crucible_ray.records import Item

ITEMS = [Item(id=f"q{number}", input="?") for number in range(200)]


@given(st.integers(1, 250), st.integers(1, 250), st.integers(0, 5))
def test_a_larger_sample_contains_the_smaller(a: int, b: int, seed: int) -> None:
    small, large = (nested_sample(ITEMS, size, seed) for size in sorted((a, b)))
    assert {item.id for item in small} <= {item.id for item in large}
    assert len(small) == min(min(a, b), len(ITEMS))


def test_a_sample_keeps_the_order_of_the_source() -> None:
    drawn = nested_sample(ITEMS, 50, seed=1)
    assert drawn == [item for item in ITEMS if item in drawn]


def test_another_seed_draws_other_items() -> None:
    assert nested_sample(ITEMS, 50, seed=1) != nested_sample(ITEMS, 50, seed=2)


def test_what_is_drawn_does_not_depend_on_the_order_of_the_source() -> None:
    drawn = {item.id for item in nested_sample(ITEMS, 50, seed=1)}
    assert {item.id for item in nested_sample(ITEMS[::-1], 50, seed=1)} == drawn


def test_a_sample_is_the_same_on_every_machine() -> None:
    assert [item.id for item in nested_sample(ITEMS, 3, seed=0)] == ["q42", "q75", "q132"]


def test_the_pool_is_what_a_sample_takes_last_so_samples_nest_and_are_not_shown() -> None:
    source = [Item(id=str(k), input=f"q{k}", expected="x") for k in range(300)]
    pool = example_pool(source, 5, 3)
    assert len(pool) == 64
    for size in (10, 100, 236):
        assert not {item.id for item in pool} & {item.id for item in nested_sample(source, size, 3)}
    assert example_pool(source, 5, 4) != pool
    assert example_pool(source[::-1], 5, 3) == pool


def test_the_pool_holds_no_question_twice_and_none_without_an_answer() -> None:
    source = [Item(id=str(k), input=f"q{k // 2}", expected="x" if k % 3 else None) for k in range(40)]
    pool = example_pool(source, 18, 0)
    assert len(pool) == 19
    assert len({item.input for item in pool}) == len(pool)
    assert all(item.expected for item in pool)
    assert len(example_pool(source, 1, 0)) == 10
