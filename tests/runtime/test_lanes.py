"""Which conditions queue together."""

from __future__ import annotations

from crucible_ray.runtime.lanes import lanes_of
from tests.runtime.making import call_of, condition, model


def test_conditions_of_different_limit_groups_have_lanes_of_their_own() -> None:
    conditions = [condition(name, call_of(model(name))) for name in "abc"]
    assert lanes_of(conditions) == ((0,), (1,), (2,))


def test_conditions_that_share_a_limit_group_share_a_lane() -> None:
    conditions = [condition(n, call_of(model(n, group=g))) for n, g in (("a", "x"), ("b", "y"), ("c", "x"))]
    assert lanes_of(conditions) == ((0, 2), (1,))


def test_a_group_of_one_name_at_two_providers_is_two_groups() -> None:
    conditions = [condition(n, call_of(model(n, group="x", url=f"http://{n}/v1"))) for n in "ab"]
    assert lanes_of(conditions) == ((0,), (1,))


def test_an_ensemble_joins_the_lanes_of_all_its_members() -> None:
    calls = {name: call_of(model(name)) for name in "abc"}
    conditions = [
        condition("a", calls["a"]),
        condition("b", calls["b"]),
        condition("c", calls["c"]),
        condition("a and c", calls["a"], calls["c"], vote="majority"),
    ]
    assert lanes_of(conditions) == ((0, 2, 3), (1,))
