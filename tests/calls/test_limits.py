"""When the next request may be sent."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from crucible_ray.calls.limit_state import FileStates, MemoryStates
from crucible_ray.calls.limits import HEADROOM, GroupState, learn, refund, refuse, take
from crucible_ray.records import Limits, SlotAsk, SlotGrant, Throttled


def ask(count: int = 1, tokens: int = 1, rpm: float | None = 600.0, tpm: float | None = None) -> SlotAsk:
    limits = Limits(requests_per_minute=rpm, tokens_per_minute=tpm)
    return SlotAsk(group="g", count=count, tokens=tokens, limits=limits)


def send_times(state: GroupState, asks: SlotAsk, until_s: float, start_s: float = 0.0) -> list[float]:
    """All slots that one greedy client gets."""
    now, times = start_s, []
    while now < until_s:
        answer = take(state, asks, now_s=now)
        if isinstance(answer, SlotGrant):
            times += [now + answer.first_s + k * answer.spacing_s for k in range(answer.count)]
        else:
            now += answer
    return times


def busiest(times: list[float], window_s: float) -> int:
    first = busy = 0
    for last, at in enumerate(times):
        while times[first] <= at - window_s:
            first += 1
        busy = max(busy, last - first + 1)
    return busy


@pytest.mark.parametrize("rpm", [60.0, 300.0, 3000.0, 60_000.0])
def test_a_greedy_client_uses_the_headroom_and_never_more_than_the_limit(rpm: float) -> None:
    times = send_times(GroupState(), ask(count=64, rpm=rpm), until_s=180.0)
    within = [t for t in times if t < 180.0]
    assert busiest(within, 60.0) <= rpm
    assert len(within) / 3 >= 0.98 * HEADROOM * rpm - 1


def test_nothing_is_saved_while_idle() -> None:
    state = GroupState()
    send_times(state, ask(), until_s=1.0)
    times = send_times(state, ask(count=100), until_s=1001.0, start_s=1000.0)
    assert busiest(times, 1.0) <= 11


def test_jitter_on_the_way_does_not_put_more_than_the_limit_into_a_minute() -> None:
    rng = random.Random(5)
    times = send_times(GroupState(), ask(count=16, rpm=300.0), until_s=600.0)
    arrivals = sorted(t + rng.uniform(0.05, 0.2) for t in times)
    assert busiest(arrivals, 60.0) <= 300


def test_tokens_bind_where_they_are_the_scarcer_quota() -> None:
    times = send_times(GroupState(), ask(tokens=100, rpm=6000.0, tpm=6000.0), until_s=60.0)
    assert len(times) == pytest.approx(HEADROOM * 60, abs=2)


@pytest.mark.parametrize("most", [10, 74, 200, 1500, 3000])
def test_no_sliding_minute_holds_more_tokens_than_the_limit_whatever_requests_weigh(most: int) -> None:
    """Requests of many sizes in slots of the largest, what is not needed handed back, each sent as late as it may be."""
    rng, state, now, back = random.Random(most), GroupState(), 0.0, 0
    arrivals: list[tuple[float, int]] = []
    while now < 6000.0:
        refund(state, back, slot=most, now_s=now)
        answer = take(state, ask(tokens=most, rpm=None, tpm=6000.0), now_s=now)
        back = 0
        if isinstance(answer, SlotGrant):
            size = rng.randrange(most // 3, most + 1)
            arrivals.append((now + answer.first_s + rng.choice([0.0, 0.25]) + rng.uniform(0.0, 0.02), size))
            now, back = now + answer.first_s, most - size
        else:
            now += answer
    arrivals.sort()
    held = first = 0
    for at, size in arrivals:
        held += size
        while arrivals[first][0] <= at - 60.0:
            held -= arrivals[first][1]
            first += 1
        assert held <= 6000


def test_refunded_tokens_can_be_used_again() -> None:
    state = GroupState()
    first = take(state, ask(tokens=10, rpm=None, tpm=1000.0), now_s=0.0)
    assert isinstance(first, SlotGrant)
    refund(state, 9, slot=10, now_s=0.0)
    following = take(state, ask(tokens=10, rpm=None, tpm=1000.0), now_s=0.0)
    assert isinstance(following, SlotGrant)
    assert following.first_s == pytest.approx(0.001 * 60 / HEADROOM, abs=1e-6)


def test_of_differing_limits_the_lowest_holds() -> None:
    state = GroupState()
    learn(state, Limits(requests_per_minute=500.0), now_s=0.0)
    learn(state, Limits(requests_per_minute=100.0, tokens_per_minute=7.0), now_s=0.0)
    learn(state, Limits(requests_per_minute=900.0), now_s=1.0)
    assert (state.requests_per_minute, state.tokens_per_minute) == (100.0, 7.0)


def test_a_limit_that_was_raised_holds_soon_after_nobody_says_the_lower_one_any_more() -> None:
    state = GroupState()
    assert len(send_times(state, ask(rpm=60.0, tpm=60.0), until_s=10.0)) <= 11
    assert len(send_times(state, ask(rpm=6000.0), until_s=60.0, start_s=10.0)) <= 51
    assert len(send_times(state, ask(rpm=6000.0), until_s=140.0, start_s=80.0)) >= 5800


@pytest.mark.parametrize("rpm", [0.1, 1.0, 60.0])
def test_a_lower_limit_holds_as_long_as_somebody_waits_under_it(rpm: float) -> None:
    state, now, sent = GroupState(), 0.0, []
    next_s = [0.0, 0.0]
    while now < 3600.0:
        who = next_s.index(min(next_s))
        now = next_s[who]
        answer = take(state, ask(rpm=(rpm, 6000.0)[who]), now_s=now)
        if isinstance(answer, SlotGrant):
            sent.append(now + answer.first_s)
            answer = 0.01
        next_s[who] = now + answer
    assert busiest(sent, 60.0) <= max(1.0, rpm)


def test_a_limit_that_a_refusal_taught_holds_for_an_hour_of_asks_that_know_none() -> None:
    state = GroupState()
    taught = Limits(requests_per_minute=30.0)
    refuse(state, Throttled(group="g", retry_after_s=0.0, sent_per_minute=600.0, limits=taught), now_s=0.0)
    times = send_times(state, ask(rpm=None), until_s=3500.0)
    assert busiest(times, 60.0) <= 30
    assert isinstance(take(state, ask(count=50, rpm=None), now_s=3700.0), SlotGrant)
    assert state.requests_per_minute is None


def test_retry_after_moves_everybodys_next_send() -> None:
    state = GroupState()
    refuse(state, Throttled(group="g", retry_after_s=7.0, sent_per_minute=600.0), now_s=10.0)
    wait = take(state, ask(), now_s=10.0)
    assert wait == pytest.approx(6.9)
    assert isinstance(take(state, ask(), now_s=16.9), SlotGrant)


def test_refusals_of_one_burst_count_once_and_repeated_ones_back_off() -> None:
    state = GroupState()
    notice = Throttled(group="g", retry_after_s=None, sent_per_minute=600.0)
    for _ in range(5):
        refuse(state, notice, now_s=0.0)
    assert state.cooldown_s == pytest.approx(1.0)
    refuse(state, notice, now_s=1.0)
    assert state.cooldown_s == pytest.approx(3.0)


def test_where_no_limit_is_known_refusals_teach_a_pace_that_grows_again() -> None:
    state = GroupState()
    refuse(state, Throttled(group="g", retry_after_s=1.0, sent_per_minute=1000.0), now_s=0.0)
    assert state.paced_per_minute == pytest.approx(700.0)
    take(state, ask(rpm=None), now_s=11.0)
    assert state.paced_per_minute == pytest.approx(735.0)


def test_a_refusal_now_and_then_is_obeyed_and_teaches_nothing() -> None:
    state = GroupState()
    for now_s in (0.0, 2.0, 4.0):
        refuse(
            state,
            Throttled(group="g", retry_after_s=None, sent_per_minute=600.0, refused_share=0.1),
            now_s=now_s,
        )
        assert state.cooldown_s == pytest.approx(now_s + 1.0)
    assert state.paced_per_minute is None


def test_a_learned_pace_is_forgotten_while_idle() -> None:
    state = GroupState()
    refuse(state, Throttled(group="g", retry_after_s=1.0, sent_per_minute=10.0), now_s=0.0)
    take(state, ask(rpm=None), now_s=3600.0)
    assert state.paced_per_minute is not None
    assert state.paced_per_minute > 1e6


def test_two_holders_of_one_file_stay_under_the_limit_together(tmp_path: Path) -> None:
    first, second = FileStates(tmp_path), FileStates(tmp_path)
    grants = 0
    for k in range(100):
        with (first, second)[k % 2].locked("key-group") as state:
            if isinstance(take(state, ask(rpm=60.0), now_s=first.now_s()), SlotGrant):
                grants += 1
    assert grants == 1
    assert (tmp_path / "limits" / "key-group").stat().st_mode & 0o777 == 0o600
    first.close()
    second.close()


def test_a_torn_state_file_counts_as_empty(tmp_path: Path) -> None:
    states = FileStates(tmp_path)
    with states.locked("g") as state:
        state.request_s = 1e12
    (tmp_path / "limits" / "g").write_bytes(b'{"boot": "x", "sta')
    with states.locked("g") as state:
        assert state.request_s == 0.0
    states.close()


def test_memory_states_remember_between_asks() -> None:
    states = MemoryStates(lambda: 3.0)
    with states.locked("g") as state:
        state.refusals = 4
    with states.locked("g") as state:
        assert state.refusals == 4
    assert states.now_s() == 3.0
