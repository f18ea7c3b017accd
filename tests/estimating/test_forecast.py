"""Cost, time and power before money, and the banner that shows them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from crucible_ray.estimating import Assumptions, Estimate, Measured, estimate, estimate_lines
from crucible_ray.estimating.forecast import clock
from crucible_ray.experiment.plan import BudgetPlan, Plan
from tests.reduction.rows import condition, hypothesis, model, plan

TEN = Assumptions(output_tokens=10, latency_s=2.0)


def _plan(items: int = 100, repeats: int = 3, **how: Any) -> Plan:
    return plan(items, repeats, hypotheses=(hypothesis("five points better", margin=0.05),), **how)


def _estimate(asked: Plan, assume: Assumptions = TEN) -> Estimate:
    return estimate(asked, lambda _prompt, _item: 400, assume=assume)


def test_cost_is_tokens_times_prices_over_all_members() -> None:
    found = _estimate(_plan())
    one = (400 / 4 + 8 + 10) / 1e6  # prices are 1 dollar per million tokens
    assert found.per_condition == {"single": pytest.approx(300 * one), "ensemble": pytest.approx(900 * one)}
    assert found.total_cost == pytest.approx(1200 * one)
    assert found.per_query_cost == pytest.approx(2 * one)
    assert (found.trials, found.calls) == (600, 1200)
    assert (found.tokens.input, found.tokens.output) == (1200 * 108, 12000)


def test_a_models_own_tokenizer_counts_where_there_is_one_and_the_banner_says_for_whom() -> None:
    own = Measured(tokenizer="o200k_base", bytes_per_token=5.0)
    assume = Assumptions(output_tokens=10, latency_s=2.0, measured={"m1": own})
    asked = _plan()
    found = _estimate(asked, assume)
    assert found.tokens.input == 600 * (80 + 8) + 600 * (100 + 8)
    text = "\n".join(estimate_lines(asked, found))
    assert "tokens of prompt counted by o200k_base for m1; 4 bytes a token of prompt for m0, m2" in text


def test_the_upper_bound_takes_a_token_a_byte_and_max_tokens() -> None:
    assert _estimate(_plan()).total_cost_upper == pytest.approx(1200 * (408 + 100) / 1e6)


def test_an_unknown_price_makes_the_cost_unknown_and_never_zero() -> None:
    priced, free = model("m1"), model("m2", price=None)
    found = _estimate(
        _plan(conditions=(condition("single", [priced]), condition("ensemble", [priced, free])))
    )
    assert found.per_condition["single"] is not None
    assert found.per_condition["ensemble"] is None
    assert found.total_cost is None
    assert found.per_query_cost is None


def test_without_a_largest_output_there_is_no_upper_bound() -> None:
    bare = condition("single", [model("m1")], max_tokens=None)
    found = _estimate(_plan(conditions=(bare, condition("ensemble", [model("m2")]))))
    assert found.total_cost is not None
    assert found.total_cost_upper is None


def test_output_never_exceeds_max_tokens() -> None:
    short = condition("single", [model("m1")], max_tokens=5)
    found = _estimate(_plan(conditions=(short, condition("ensemble", [model("m2")]))))
    assert found.tokens.output == 300 * 5 + 300 * 10


def test_duration_follows_the_narrowest_part() -> None:
    limited = (condition("single", [model("m1", limit=60)]), condition("ensemble", [model("m2")]))
    found = _estimate(_plan(conditions=limited))
    assert found.bound_by == "m1's requests per minute"
    assert found.estimated_duration_s == pytest.approx(300 + 2)
    assert found.wall_clock_time == "5m 2s"
    assert found.per_query_avg_ms == 2000
    assert found.parallel_speedup == pytest.approx(1200 / 302)
    assert _estimate(_plan(rate_limit=10)).bound_by == "the experiment's rate limit"
    free = _estimate(_plan(max_concurrent_queries=10))
    assert free.bound_by == "calls in flight"
    assert free.estimated_duration_s == pytest.approx(120)


def test_models_of_one_limit_group_share_its_limit() -> None:
    shared = model("m1", limit=600)
    found = _estimate(_plan(conditions=(condition("single", [shared]), condition("ensemble", [shared] * 3))))
    assert found.estimated_duration_s == pytest.approx(1200 / 10 + 2)


def test_power_is_that_of_the_paired_design_with_the_items_that_would_clear_the_margin() -> None:
    forecast = _estimate(_plan()).power[0]
    assert forecast.effect == pytest.approx(0.08)
    assert forecast.items_needed == pytest.approx((816, 1340), abs=1)
    assert forecast.power[0] > forecast.power[1]
    assert 0.1 < forecast.power[1] < forecast.power[0] < 0.25


@pytest.mark.parametrize("relation", ["superiority", "non_inferiority", "equivalence"])
def test_the_items_asked_for_give_the_power_they_promise(relation: str) -> None:
    asked = hypothesis("as said", margin=0.05, relation=relation)
    needed = _estimate(plan(100, hypotheses=(asked,))).power[0].items_needed[1]
    assert needed is not None
    assert _estimate(plan(needed, hypotheses=(asked,))).power[0].power[1] == pytest.approx(0.8, abs=0.05)
    assert _estimate(plan(needed, hypotheses=(asked,))).power[0].power[1] >= 0.8


def test_prompts_are_measured_on_a_sample_of_a_large_dataset() -> None:
    asked: list[int] = []

    def prompt_bytes(_prompt: int, item: int) -> int:
        asked.append(item)
        return 400

    estimate(_plan(100_000), prompt_bytes, assume=TEN)
    assert len(asked) == 500
    assert max(asked) > 99_000


def test_the_banner_is_the_guides() -> None:
    lines = estimate_lines(_plan(), _estimate(_plan()))
    assert lines[:9] == [
        "=" * 40,
        "Experiment: Voting",
        "=" * 40,
        "Dataset: items.jsonl (100 samples)",
        "Conditions: 2 (single, ensemble)",
        "Repetitions: 3",
        "Total queries: 600 (1,200 calls)",
        "",
        "Estimated cost: $0.14 (at most $0.61 without retries, $0.00024 a query)",
    ]
    text = "\n".join(lines)
    assert "Estimated time: 5s (bound by calls in flight)" in text
    assert "  2,000 ms a query, 256 times faster than one by one" in text
    assert "Tokens: 129,600 in, 12,000 out" in text
    assert "817 to 1,340 items would give 0.80" in text
    assert "3 repeats carry the information of 1" in text


def test_an_unknown_cost_and_a_broken_budget_are_said() -> None:
    dear = _plan(budget=BudgetPlan(max_total=0.10))
    assert "Warning: Estimated cost $0.14 exceeds budget $0.10" in estimate_lines(dear, _estimate(dear))
    near = _plan(budget=BudgetPlan(max_total=0.15))
    assert any("94 % of the budget" in line for line in estimate_lines(near, _estimate(near)))
    unknown = _plan(conditions=(condition("a", [model("m", price=None)]),), metrics=("accuracy",))
    unknown = plan(10, conditions=unknown.conditions)
    assert "Estimated cost: unknown: not every model has a price" in estimate_lines(
        unknown, _estimate(unknown)
    )


def test_names_cannot_move_the_cursor() -> None:
    lines = estimate_lines(_plan(name="\x1b[2Jx"), _estimate(_plan()))
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(("seconds", "shown"), [(0.2, "1s"), (42, "42s"), (180, "3m 0s"), (7500, "2h 5m")])
def test_clock_reads_as_in_the_guide(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_a_speed_that_says_nothing_is_left_out_of_the_banner() -> None:
    asked = _plan()
    for latency_ms, speedup, line in (
        (0.0, 1.0, None),
        (0.3, 4.0, "  4 times faster than one by one"),
        (20.0, 1.0, "  20 ms a query"),
    ):
        found = replace(_estimate(asked), per_query_avg_ms=latency_ms, parallel_speedup=speedup)
        shown = [each for each in estimate_lines(asked, found) if "a query" in each or "faster" in each]
        assert shown[1:] == ([] if line is None else [line])  # the first is the cost


def test_notes_stand_in_the_banner_without_control_characters() -> None:
    asked = _plan()
    assert "Note: 9 items\ufffd" in estimate_lines(asked, replace(_estimate(asked), notes=("9 items\x1b",)))


def test_a_bound_that_is_far_off_for_want_of_max_tokens_says_so() -> None:
    told = "without max_tokens a reply may be as long as its model allows"
    bare = condition("single", [replace(model("m1"), max_output_tokens=100_000)], max_tokens=None)
    short = condition("single", [model("m1")], max_tokens=20)
    shown = [
        "\n".join(estimate_lines(_plan(conditions=(each,)), _estimate(_plan(conditions=(each,)))))
        for each in (bare, short)
    ]
    assert [told in text for text in shown] == [True, False]
