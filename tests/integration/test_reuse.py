"""Replies that are paid for are not paid again: the server counts what it is asked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crucible_ray import api
from crucible_ray.api import Note, RunResult
from crucible_ray.errors import UsageError
from crucible_ray.estimating import estimate_lines
from crucible_ray.experiment.spec import Budget, Ensemble, FewShot, Model
from crucible_ray.journal.paid import Paid
from tests.conftest import Simulate
from tests.integration.lab import AT_ONCE, POPULATION, prepared, rows_of

SMALL, MEDIUM = Model("small", name="single"), Model("medium", name="other")
METRICS = ["accuracy", "latency_mean", "cost_per_query"]
TRIO = Ensemble(["small", "medium", "large"], name="trio")


def run(folder: Path, url: str, *, options: dict[str, Any] | None = None, **changes: Any) -> RunResult:
    defaults: dict[str, Any] = {"sample_size": 20, "hypotheses": [], "conditions": [SMALL]}
    ready = prepared(folder, url, **(defaults | changes))
    return api.run(ready, runtime="in-process", output_dir=folder / "out", **(options or {}))


def calls_of(result: RunResult) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(result.results_dir / "calls.parquet").to_pylist()
    return rows


def test_a_larger_run_with_one_more_condition_asks_only_for_what_is_new(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=POPULATION)
    first = run(tmp_path, provider.url, conditions=[SMALL, TRIO])
    asked = provider.stats().requests
    assert asked == 20 * 4
    second = run(
        tmp_path, provider.url, conditions=[SMALL, TRIO, MEDIUM], sample_size=60, options={"reuse": "auto"}
    )
    # The new condition asks on the first 20 items what the ensemble's member asked there.
    assert provider.stats().requests - asked == 40 * 5 == second.calls_made
    assert (second.status, second.completed, second.pending) == ("complete", 180, 0)
    before = {(row["condition"], row["item_id"]): row for row in rows_of(first.results_dir)}
    after = {(row["condition"], row["item_id"]): row for row in rows_of(second.results_dir)}
    own = ("trial", "position")
    for key, row in before.items():
        assert {k: v for k, v in after[key].items() if k not in own} == {
            k: v for k, v in row.items() if k not in own
        }
    assert api.reproduce(second.results_dir, clients=2).same


def test_a_larger_run_keeps_the_examples_and_so_the_replies_of_the_smaller(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=POPULATION)
    mixed = Ensemble(["small", Model("medium", system="Be brief.", few_shot=FewShot(1))], name="mixed")
    shown: dict[str, Any] = {"few_shot": FewShot(3), "repeat": 2}
    run(tmp_path, provider.url, conditions=[SMALL, mixed], **shown)
    asked = provider.stats().requests
    assert asked == 20 * 2 * 3
    second = run(
        tmp_path,
        provider.url,
        conditions=[SMALL, mixed],
        sample_size=30,
        options={"reuse": "auto"},
        **shown,
    )
    assert provider.stats().requests - asked == 10 * 2 * 3 == second.calls_made
    assert api.reproduce(second.results_dir).same


def test_a_reused_call_says_where_it_comes_from_and_costs_nothing_now(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=AT_ONCE)
    first = run(tmp_path, provider.url, metrics=METRICS)
    notes: list[Note] = []
    again = run(
        tmp_path,
        provider.url,
        name="Another",
        metrics=METRICS,
        options={"reuse": "auto", "on_note": notes.append},
    )
    assert provider.stats().requests == 20
    assert (again.calls_made, again.cost_usd) == (0, 0.0)
    for call in calls_of(again):
        assert call["reused_from"] == first.experiment_id
        assert 0 <= call["reused_age_s"] < 600
        assert call["model_version"]
    was, found = (result.analysis.conditions["single"] for result in (first, again))
    assert found.metrics == was.metrics
    assert was.spend.unpaid_usd == 0.0
    assert found.spend.unpaid_usd == found.spend.answered_usd == was.spend.answered_usd > 0.0
    assert found.completeness.unsent == 20
    (note,) = [each for each in notes if each.name == "reused"]
    assert (note.facts["folders"], note.facts["trials"], note.facts["calls"]) == (1, 20, 20)


def test_an_age_adds_up_over_runs_and_the_first_payer_is_named(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    first = run(tmp_path, provider.url)
    second = run(tmp_path, provider.url, name="Second", options={"reuse": first.results_dir})
    third = run(tmp_path, provider.url, name="Third", options={"reuse": second.results_dir})
    assert {call["reused_from"] for call in calls_of(third)} == {first.experiment_id}
    assert calls_of(third)[0]["reused_age_s"] >= calls_of(second)[0]["reused_age_s"]


def test_the_copy_of_a_reused_reply_is_no_second_reply(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=POPULATION)
    drawn: dict[str, Any] = {"temperature": 1.0, "sample_size": 5}
    run(tmp_path, provider.url, **drawn)
    run(tmp_path, provider.url, name="again", options={"reuse": "auto"}, **drawn)
    asked = provider.stats().requests
    assert asked == 5
    trio = Ensemble(["small", "small", "small"], name="trio")
    result = run(tmp_path, provider.url, conditions=[trio], options={"reuse": "auto"}, **drawn)
    assert provider.stats().requests - asked == 5 * 2
    assert Counter(call["trial"] for call in calls_of(result) if call["reused_from"]) == Counter(range(5))


def test_members_that_are_paid_for_are_not_asked_again_and_new_ones_are(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=POPULATION)
    first = run(tmp_path, provider.url, repeat=2)
    second = run(tmp_path, provider.url, conditions=[TRIO], repeat=2, options={"reuse": "auto"})
    assert provider.stats().requests == 40 + 40 * 2
    taken = {(c["item_id"], c["repeat"]): c["text"] for c in calls_of(second) if c["reused_from"] is not None}
    assert taken == {(c["item_id"], c["repeat"]): c["text"] for c in calls_of(first)}
    assert api.reproduce(second.results_dir, clients=3).same


def test_another_temperature_server_or_repeat_is_asked_anew(tmp_path: Path, simulate: Simulate) -> None:
    provider, other = simulate(models=AT_ONCE), simulate(models=AT_ONCE)
    run(tmp_path, provider.url)
    run(tmp_path, provider.url, temperature=0.5, options={"reuse": "auto"})
    assert provider.stats().requests == 40
    run(tmp_path, provider.url, repeat=2, options={"reuse": "auto"})
    assert provider.stats().requests == 60
    run(tmp_path, other.url, options={"reuse": "auto"})
    assert (provider.stats().requests, other.stats().requests) == (60, 20)


def test_failures_are_never_reused(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE, faults={"500": 0.5})
    first = run(tmp_path, provider.url, max_retries=0)
    assert 0 < first.failed < 20
    asked = provider.stats().requests
    run(tmp_path, provider.url, name="Another", max_retries=0, options={"reuse": "auto"})
    assert provider.stats().requests - asked == first.failed


def test_one_reply_never_stands_for_two_items_that_ask_the_same(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    flips = [{"id": f"flip{k}", "input": "Heads or tails?", "expected": "heads"} for k in range(5)]
    run(tmp_path, provider.url, dataset=flips, sample_size=None)
    renamed = [{**flip, "id": f"toss{k}"} for k, flip in enumerate(flips * 2)]
    second = run(tmp_path, provider.url, dataset=renamed, sample_size=None, options={"reuse": "auto"})
    assert provider.stats().requests == 10
    assert Counter(call["reused_from"] is None for call in calls_of(second)) == {True: 5, False: 5}


def test_reused_trials_need_no_money_of_a_budget(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    first = run(tmp_path, provider.url)
    assert first.cost_usd is not None
    tiny = Budget(max_total=first.cost_usd / 1000, abort_on_exceed=True)
    again = run(tmp_path, provider.url, name="Another", budget=tiny, options={"reuse": "auto"})
    assert (again.status, again.completed, again.cost_usd) == ("complete", 20, 0.0)
    assert api.status(again.results_dir)[1].status == "complete"


def test_a_folder_without_results_is_refused(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    with pytest.raises(UsageError, match="neither a results folder nor a folder of them"):
        run(tmp_path, provider.url, options={"reuse": tmp_path / "nothing"})
    assert provider.stats().requests == 0


def test_what_is_known_reaches_clients_on_ray_and_what_is_shared_too(
    tmp_path: Path, simulate: Simulate, ray_session: Any
) -> None:
    provider = simulate(models=POPULATION)
    first = run(tmp_path, provider.url, sample_size=10)
    on_ray = {"runtime": "ray", "ray": ray_session, "clients": 2, "output_dir": tmp_path / "out"}
    ready = prepared(
        tmp_path,
        provider.url,
        sample_size=15,
        conditions=[TRIO, Ensemble(["large", "medium"], name="duo")],
        hypotheses=[],
        share_replies=True,
    )
    second = api.run(ready, reuse="auto", **on_ray)
    # small is paid for on ten items; medium and large are asked once for both ensembles.
    assert provider.stats().requests - 10 == 5 + 15 * 2 == second.calls_made
    assert {call["reused_from"] for call in second.calls()} == {None, first.experiment_id}
    assert api.reproduce(second.results_dir).same


async def asks_small(item: Any, call: Any) -> Any:
    return await call.model("small", item.input, max_tokens=16)


def test_functions_beside_what_is_reused_make_their_own_calls(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    run(tmp_path, provider.url, conditions=[SMALL, asks_small])
    assert provider.stats().requests == 40
    second = run(
        tmp_path, provider.url, conditions=[SMALL, asks_small], name="Another", options={"reuse": "auto"}
    )
    assert (second.status, second.completed) == ("complete", 40)
    assert provider.stats().requests == 60
    assert api.reproduce(second.results_dir).same
    rescored = api.rescore(second.results_dir, parse="text")
    assert provider.stats().requests == 60
    assert rescored.completed == 40


def test_an_estimate_counts_only_what_will_be_sent_and_says_how_many_replies_are_from_where(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=POPULATION)
    conditions: dict[str, Any] = {"conditions": [SMALL, TRIO, MEDIUM], "hypotheses": [], "max_tokens": 16}
    first = run(tmp_path, provider.url, **(conditions | {"conditions": [SMALL, TRIO]}))
    asked = provider.stats().requests
    ready = prepared(tmp_path, provider.url, **(conditions | {"sample_size": 60}))
    seen: list[Any] = []

    def agree(plan: Any, found: Any) -> bool:
        seen.append((plan, found))
        return True

    result = api.run(ready, runtime="in-process", output_dir=tmp_path / "out", reuse="auto", confirm=agree)
    ((plan, found),) = seen
    whole = ready.estimate()
    assert (whole.trials, whole.calls) == (180, 300)
    assert found.calls == provider.stats().requests - asked == result.calls_made == 200
    # The new condition's first 20 trials are answered by what the ensemble's member was told.
    assert found.trials == 120
    assert found.reused == {first.results_dir.name: 100}
    assert whole.total_cost is not None
    assert found.total_cost == pytest.approx(whole.total_cost * 200 / 300)
    assert found.tokens.output == pytest.approx(whole.tokens.output * 200 / 300, abs=1)
    assert result.facts.estimated_usd == pytest.approx(found.total_cost)
    text = "\n".join(estimate_lines(plan, found))
    assert "Total queries: 120 of 180 (200 calls)" in text
    assert f"Replies paid for already: 100 from {first.results_dir.name};" in text


def test_an_estimate_ahead_of_a_run_counts_neither_what_is_recorded_nor_what_is_paid_for(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=POPULATION)
    first = run(tmp_path, provider.url)
    changes: dict[str, Any] = {"conditions": [SMALL, MEDIUM], "hypotheses": [], "sample_size": 30}
    ready = prepared(tmp_path, provider.url, **changes)
    options: dict[str, Any] = {"output_dir": tmp_path / "out", "reuse": "auto"}
    assert api.estimate(ready, **options).calls == 60 - 20
    api.run(ready, runtime="in-process", conditions="other", **options)
    found = api.estimate(ready, **options)
    assert (found.calls, found.trials, found.reused) == (10, 10, {first.results_dir.name: 20})
    api.run(ready, runtime="in-process", **options)
    assert (api.estimate(ready, **options).calls, api.estimate(ready, **options).total_cost) == (0, 0.0)
    assert provider.stats().requests == 20 + 40


def test_the_record_of_earlier_runs_is_read_once_for_the_estimate_and_the_run(
    tmp_path: Path, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = simulate(models=AT_ONCE)
    run(tmp_path, provider.url)
    read: list[int] = []
    add = Paid.add

    def counted(self: Paid, *args: Any, **kwargs: Any) -> int:
        read.append(1)
        return add(self, *args, **kwargs)

    monkeypatch.setattr(Paid, "add", counted)
    run(tmp_path, provider.url, name="Another", options={"reuse": "auto", "confirm": lambda *_: True})
    assert (len(read), provider.stats().requests) == (1, 20)


_ASKED = [{"id": f"q{k}", "input": f"{k} or {k + 1}?", "expected": str(k)} for k in range(5)]


def test_resume_remembers_what_was_reused_and_none_forgets_it(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=POPULATION)
    run(tmp_path, provider.url, sample_size=None, dataset=_ASKED, name="paid")
    trio: dict[str, Any] = {"sample_size": None, "dataset": _ASKED, "conditions": [TRIO]}
    part = run(tmp_path, provider.url, options={"reuse": "auto", "items": "q0"}, **trio)
    assert (provider.stats().requests, part.pending) == (5 + 2, 4)
    one = api.resume(part.results_dir, runtime="in-process", items="q1")
    assert (provider.stats().requests, one.pending) == (5 + 2 + 2, 3)
    done = api.resume(part.results_dir, runtime="in-process", reuse="none")
    assert (provider.stats().requests, done.pending) == (5 + 4 + 3 * 3, 0)


def test_resume_says_when_what_it_took_replies_of_is_gone(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    first = run(tmp_path, provider.url, sample_size=None, dataset=_ASKED, name="paid")
    both: dict[str, Any] = {"sample_size": None, "dataset": _ASKED, "conditions": [SMALL, MEDIUM]}
    part = run(tmp_path, provider.url, options={"reuse": first.results_dir.name, "items": "q0"}, **both)
    first.results_dir.rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is gone: say where it is now"):
        api.resume(part.results_dir, runtime="in-process")
    asked = provider.stats().requests
    api.resume(part.results_dir, runtime="in-process", reuse=tmp_path / "elsewhere")
    assert provider.stats().requests - asked == 4
