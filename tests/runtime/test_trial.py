"""One trial: calls in, one row out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crucible_ray.prompts import Renderer
from crucible_ray.records import Call, Item, Row
from crucible_ray.runtime.trial import CallResult, Condition, HandedBack, Prompt, TrialClock
from tests.runtime.making import ScriptedCaller, attempt, call_of, condition, failed, items, model, said

ITEM = items(1)[0]
"""Its answer is A."""


def ask(
    *results: CallResult | BaseException,
    vote: bool = False,
    quorum: int = 2,
    item: Item = ITEM,
    **options: Any,
) -> Row:
    """The row of a trial whose calls end so."""

    async def answer(trial: int, index: int) -> CallResult:
        result = results[index]
        if isinstance(result, BaseException):
            raise result
        return result

    async def main() -> Row:
        calls = [call_of(model(f"m{k}")) for k in range(len(results))]
        plan = condition(
            "c", *calls, vote="majority" if vote else None, quorum=quorum if vote else 1, **options
        )
        one = Condition(0, plan)
        prompts = [Prompt(Renderer(each).render(item)) for each in plan.prompts]
        return one.row(7, item, await one.ask(TrialClock(7), item, prompts, ScriptedCaller(answer)))

    return asyncio.run(main())


def test_a_right_answer() -> None:
    row = ask(said("The answer is A.", calls=[attempt(started_us=0, ended_us=1500, cost_usd=0.25)]))
    assert (row.trial, row.error, row.prediction, row.correct) == (7, None, "A", 1)
    assert (row.latency_us, row.cost_usd, row.input_tokens, row.output_tokens) == (1500, 0.25, 10, 2)
    assert (row.retries, row.finish_reason, row.votes, row.consensus) == (0, "stop", None, None)


def test_a_wrong_answer() -> None:
    row = ask(said("B"))
    assert (row.error, row.prediction, row.correct) == (None, "B", 0)


def test_an_unreadable_reply_is_an_answer_and_a_wrong_one() -> None:
    row = ask(said("I would rather not say."))
    assert (row.error, row.prediction, row.correct) == ("parse_failed", None, 0)
    assert row.latency_us == 1000


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_reply_whose_tokens_ran_out_is_missing_data(text: str) -> None:
    row = ask(said(text, finish_reason="length"))
    assert (row.error, row.prediction, row.correct, row.latency_us) == ("truncated", None, None, None)
    assert row.cost_usd == 0.01


def test_a_cut_off_reply_that_can_be_read_counts() -> None:
    assert ask(said("A. Because", finish_reason="length")).correct == 1


def test_a_failed_call_is_missing_data_and_its_cost_counts() -> None:
    row = ask(
        failed("timeout", attempt(outcome="timeout", cost_usd=0.5, output_tokens=None, input_tokens=None))
    )
    assert (row.error, row.prediction, row.correct, row.latency_us) == ("timeout", None, None, None)
    assert (row.cost_usd, row.input_tokens, row.finish_reason) == (0.5, None, None)


def test_an_item_without_an_expected_answer_has_no_score() -> None:
    row = ask(said("A"), item=Item(id="x", input="?", choices=("1", "2")))
    assert (row.error, row.prediction, row.correct) == (None, "A", None)


def test_retries_are_counted_and_our_own_waiting_is_not_latency() -> None:
    calls = [
        attempt(
            attempt=0, started_us=0, ended_us=1000, outcome="overloaded", cost_usd=0.0, input_tokens=None
        ),
        attempt(
            attempt=1, started_us=9_000_000, ended_us=9_000_500, cost_usd=0.25, backoff_wait_us=8_999_000
        ),
    ]
    row = ask(said("A", calls=calls))
    assert (row.retries, row.latency_us, row.cost_usd, row.input_tokens) == (1, 1500, 0.25, 10)
    assert row.calls == tuple(calls)


def test_an_unknown_price_makes_the_sum_unknown_and_never_less() -> None:
    calls = [attempt(attempt=0, outcome="timeout", cost_usd=None), attempt(attempt=1, cost_usd=0.25)]
    assert ask(said("A", calls=calls)).cost_usd is None


def test_a_vote_takes_the_majority_and_keeps_every_call_in_member_order() -> None:
    row = ask(said("B", index=0), said("A", index=1), said("A", index=2), vote=True)
    assert (row.error, row.prediction, row.correct) == (None, "A", 1)
    assert row.votes == {"B": 1, "A": 2}
    assert row.consensus == pytest.approx(2 / 3)
    assert [call.call for call in row.calls] == [0, 1, 2]
    assert row.finish_reason is None


def test_a_three_way_tie_goes_to_the_first_member() -> None:
    assert ask(said("C"), said("A"), said("B"), vote=True).prediction == "C"


def test_a_votes_cost_is_the_exact_sum_and_its_latency_that_of_its_slowest_member() -> None:
    def member(index: int, cost: float, ended_us: int) -> CallResult:
        return said("A", index=index, calls=[attempt(call=index, cost_usd=cost, ended_us=ended_us)])

    row = ask(member(0, 0.1, 100), member(1, 0.2, 900), member(2, 0.3, 300), vote=True)
    assert row.cost_usd == 0.6  # added one by one they are 0.6000000000000001
    assert row.latency_us == 900
    assert (row.input_tokens, row.output_tokens) == (30, 6)


def test_a_failed_member_does_not_spoil_a_vote_that_has_its_quorum() -> None:
    row = ask(said("A"), failed("timeout", index=1), said("A", index=2), vote=True)
    assert (row.error, row.prediction, row.consensus) == (None, "A", 1.0)
    assert row.retries == 0


def test_too_few_answers_are_no_quorum_and_missing_data() -> None:
    row = ask(said("A"), failed("timeout", index=1), failed("overloaded", index=2), vote=True)
    assert (row.error, row.prediction, row.correct, row.latency_us) == ("no_quorum", None, None, None)
    assert row.votes == {"A": 1}
    assert row.consensus is None


def test_an_unreadable_member_has_answered_and_casts_no_vote() -> None:
    row = ask(said("no idea"), said("A", index=1), failed("timeout", index=2), vote=True)
    assert (row.error, row.prediction, row.votes) == (None, "A", {"A": 1})


def test_a_truncated_member_has_not_answered() -> None:
    row = ask(said("", finish_reason="length"), said("A", index=1), failed("timeout", index=2), vote=True)
    assert row.error == "no_quorum"


def test_a_vote_of_unreadable_members_is_an_unreadable_answer() -> None:
    row = ask(said("?"), said("?", index=1), said("?", index=2), vote=True)
    assert (row.error, row.prediction, row.correct) == ("parse_failed", None, 0)


def test_retries_of_all_members_are_added_up() -> None:
    calls: list[Call] = [
        attempt(call=1, attempt=0, outcome="overloaded", cost_usd=0.0),
        attempt(call=1, attempt=1),
    ]
    assert ask(said("A"), said("A", index=1, calls=calls), said("A", index=2), vote=True).retries == 1


def test_a_member_that_is_handed_back_hands_the_trial_back_and_ends_the_others() -> None:
    ended: list[int] = []

    async def answer(trial: int, index: int) -> CallResult:
        if index == 1:
            raise HandedBack("no money left")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(index)
        raise AssertionError

    async def main() -> None:
        one = Condition(0, condition("c", *(call_of(model(n)) for n in "abc"), vote="majority"))
        prompts = [Prompt(Renderer(each).render(ITEM)) for each in one.plan.prompts]
        with pytest.raises(HandedBack):
            await one.ask(TrialClock(0), ITEM, prompts, ScriptedCaller(answer))
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert sorted(ended) == [0, 2]
