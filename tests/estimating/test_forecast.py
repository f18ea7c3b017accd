"""Cost, time and power before money, and the banner that shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from crucible_ray.estimating import (
    Assumptions,
    Estimate,
    Measured,
    PowerForecast,
    estimate,
    estimate_lines,
)
from crucible_ray.estimating.forecast import clock
from crucible_ray.estimating.pilots import Pilot
from crucible_ray.estimating.power_text import forecast_lines
from crucible_ray.experiment.plan import AnalysisPlan, BudgetPlan, HypothesisPlan, Plan, StopPlan
from crucible_ray.stats import exact_support
from crucible_ray.stats.pilots import spread_of
from crucible_ray.stats.stopping import stopping_items
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


def test_a_margin_close_to_one_has_a_forecast_since_no_difference_is_larger_than_one() -> None:
    asked = plan(
        80, 2, hypotheses=(hypothesis("nearly all", margin=0.99),), stop_when=StopPlan(rule="decided")
    )
    (found,) = _estimate(asked).power
    assert found.effect == 1.0


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


def test_a_models_max_concurrency_is_how_many_of_its_calls_are_in_flight() -> None:
    few, other = replace(model("m1"), max_concurrency=20), model("m2")
    narrow = _estimate(_plan(conditions=(condition("single", [few]), condition("ensemble", [few, other]))))
    assert narrow.bound_by == "m1's max_concurrency"
    assert narrow.estimated_duration_s == pytest.approx(600 * 2 / 20)
    wide = replace(few, max_concurrency=10_000)
    free = _estimate(_plan(conditions=(condition("single", [wide]), condition("ensemble", [wide, other]))))
    assert free.bound_by == "calls in flight"


def test_models_of_one_limit_group_share_its_limit() -> None:
    shared = model("m1", limit=600)
    found = _estimate(_plan(conditions=(condition("single", [shared]), condition("ensemble", [shared] * 3))))
    assert found.estimated_duration_s == pytest.approx(1200 / 10 + 2)


def test_power_is_that_of_the_default_rule_with_the_items_that_would_clear_the_margin() -> None:
    forecast = _estimate(_plan()).power[0]
    assert forecast.effect == pytest.approx(0.08)
    assert forecast.items_needed == (817, 1340)
    assert forecast.power == pytest.approx(
        [exact_support("superiority", 0.05, n=100, effect=0.08, discordant=share) for share in (0.10, 0.16)]
    )


@pytest.mark.parametrize("relation", ["superiority", "non_inferiority", "equivalence"])
def test_the_items_asked_for_give_the_power_they_promise(relation: str) -> None:
    asked = hypothesis("as said", margin=0.05, relation=relation)
    for end in (0, 1):
        needed = _forecast(100, asked).items_needed
        assert needed is not None
        items = needed[end]
        assert items is not None
        power = _forecast(items, asked).power
        assert power is not None
        assert 0.8 <= power[end] < 0.85


def _forecast(items: int, *asked: HypothesisPlan, repeats: int = 1, **known: Any) -> PowerForecast:
    assume = Assumptions(output_tokens=10, latency_s=2.0, **known)
    return _estimate(plan(items, repeats, hypotheses=asked), assume).power[0]


def test_the_difference_that_can_be_found_has_the_power_that_is_wanted() -> None:
    asked = hypothesis("five points better", margin=0.05)
    found = _forecast(400, asked)
    assert found.detectable is not None
    for effect, share in zip(found.detectable, (0.10, 0.16), strict=True):
        assert effect is not None
        power = exact_support("superiority", 0.05, n=400, effect=effect, discordant=max(share, effect))
        assert power == pytest.approx(0.8, abs=0.01)
    few = _forecast(5, hypothesis("better"))
    assert few.detectable == (None, None)
    text = "\n".join(forecast_lines([few]))
    assert "5 items are too few for any difference to have 0.80" in text


def test_of_several_hypotheses_each_is_read_at_the_first_step_of_their_correction() -> None:
    one, two = hypothesis("better"), hypothesis("at least five points better", margin=0.05)
    alone, among = _forecast(200, one), _forecast(200, one, two)
    assert (alone.alpha, among.alpha) == (0.05, 0.025)
    assert alone.power is not None
    assert among.power is not None
    assert among.power[0] < alone.power[0]
    plain = plan(200, hypotheses=(one, two), analysis=AnalysisPlan(correction="none"))
    assert _estimate(plain).power[0].power == alone.power


@pytest.mark.parametrize("relation", ["superiority", "non_inferiority", "equivalence"])
def test_without_a_pilot_the_power_of_repeats_is_told_from_the_least_to_the_most_they_may_bring(
    relation: str,
) -> None:
    asked = hypothesis("better", margin=0.05, relation=relation)
    found, once = _forecast(100, asked, repeats=100), _forecast(100, asked)
    assert found.power == once.power
    assert once.independent is None
    assert found.independent is not None
    assert found.independent[0] > 0.95
    text = "\n".join(forecast_lines([found]))
    assert "Power: at least 0." in text
    assert "if an item's 100 repeats are independent of one another" in text
    assert "at least" not in "\n".join(forecast_lines([once]))


def test_the_same_trials_as_more_items_find_more_as_far_as_there_are_items() -> None:
    asked = hypothesis("better")
    found = _forecast(100, asked, repeats=3).split
    assert found is not None
    assert (found.items, found.repeats) == (300, 1)
    assert found.power == _forecast(300, asked).power
    assert _forecast(100, asked, repeats=3, available=100).split is None
    some = _forecast(100, asked, repeats=4, available=200).split
    assert some is not None
    assert (some.items, some.repeats) == (200, 2)
    text = "\n".join(forecast_lines([_forecast(100, asked, repeats=3)]))
    assert "  the same trials as 300 items once, not 100 3 times: 0." in text


def test_of_a_metric_whose_spread_nobody_knows_only_standard_deviations_are_told() -> None:
    found = _forecast(100, hypothesis("quicker", metric="latency_mean"))
    assert (found.power, found.effect, found.detectable) == (None, None, None)
    assert found.detectable_sd == pytest.approx(
        0.2829, abs=5e-5
    )  # R: power.t.test(n = 100, type = "paired")$delta
    assert (
        found.items_for_smallest == 199
    )  # R: power.t.test(delta = .2, power = .8, type = "paired")$n is 198.2
    text = "\n".join(forecast_lines([found]))
    assert "how latency_mean spreads, a pilot says (crucible-ray power --pilot DIR)" in text
    assert (
        "Smallest effect of interest ([stats.power] min_detectable_effect): 0.2 standard deviations" in text
    )
    tail = _forecast(100, hypothesis("quicker", metric="latency_p99"))
    assert tail.detectable_sd is None
    assert "a quantile has an interval from 368 items on; there are 100" in "\n".join(forecast_lines([tail]))


def test_with_stop_when_the_mean_and_largest_number_of_items_are_told_both_ways() -> None:
    asked = hypothesis("better")
    stops = plan(700, hypotheses=(asked,), stop_when=StopPlan(rule="decided"))
    found = _estimate(stops).power[0]
    assert found.stopping is not None
    assert found.stopping.largest == 700
    told = [
        stopping_items("superiority", 0.0, n=700, effect=0.05, discordant=0.1, looks=looks).expected
        for looks in ((), found.stopping.shares)
    ]
    assert [found.stopping.betting[0], found.stopping.looks[0]] == told
    assert "5 planned looks; 700 at most" in "\n".join(forecast_lines([found]))
    assert _estimate(stops).power == _estimate(stops).power
    assert _forecast(700, asked).stopping is None


def _pilot(metric: str, control: Any, treatment: Any) -> Pilot:
    return Pilot(
        experiment_id="exp_1",
        metric=metric,
        control="single",
        treatment="ensemble",
        spread=spread_of(control, treatment),
        cost_usd=None,
        latency_s=None,
    )


def test_a_pilot_takes_the_place_of_what_is_assumed() -> None:
    rng = np.random.default_rng(2)
    chance = rng.beta(2, 1, (300, 1))
    noisy = _pilot("accuracy", *(rng.binomial(1, chance, (300, 3)).astype(float) for _ in range(2)))
    asked = hypothesis("better")
    found = _forecast(100, asked, repeats=3, pilots={"better": noisy})
    assert found.discordant == (noisy.spread.discordant_low, noisy.spread.discordant_high)
    assert found.pilot == "exp_1"
    assert found.power is not None
    once = _forecast(100, asked, repeats=1, pilots={"better": noisy}).power
    assert once is not None
    assert found.power[0] > 2 * once[0]  # repeats bring something where answers vary within an item
    assert "with the spread of pilot exp_1" in "\n".join(forecast_lines([found]))
    quicker = hypothesis("quicker", metric="latency_mean")
    times = _pilot("latency_mean", rng.normal(5, 1, (300, 1)), rng.normal(5, 1, (300, 1)))
    told = _forecast(100, quicker, pilots={"quicker": times})
    assert told.detectable is not None
    assert told.detectable[0] == pytest.approx(0.2829 * times.spread.sd, rel=1e-3)


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
    assert "  817 to 1,340 items would give 0.80" in text
    assert "3 repeats carry the information of 1" in text
    assert "Smallest effect of interest" not in text
    told = "the true difference is taken to be 3 points past the margin, as nobody knows it beforehand (crucible-ray power "
    rests = lines[lines.index("Assumed:") + 1 :]
    assert any(line.startswith(f"  - {told}") for line in rests)
    assert all(line.startswith("  - ") for line in rests)


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


def test_where_nothing_is_left_to_send_no_price_of_a_query_is_told() -> None:
    shown = estimate_lines(_plan(), replace(_estimate(_plan()), per_query_cost=None))
    assert "unknown a query" not in "\n".join(shown)


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
