"""Stored replies read in another way: no call, a revision of its own, the run's numbers untouched."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from crucible_ray import api
from crucible_ray.api import RunResult
from crucible_ray.api.rescoring import read_revision
from crucible_ray.cli.rescoring import revision_lines
from crucible_ray.errors import UsageError
from crucible_ray.experiment.spec import Analysis, Ensemble, Model
from tests.conftest import Simulate
from tests.integration.lab import AT_ONCE, POPULATION, prepared

SINGLE, TRIO = Model("small", name="single"), Ensemble(["small", "medium", "large"], name="trio")
KEPT = ("results.csv", "analysis.json", "report.md", "config.json")


def run(folder: Path, url: str, **changes: Any) -> RunResult:
    defaults: dict[str, Any] = {"sample_size": 20, "conditions": [SINGLE, TRIO], "hypotheses": []}
    ready = prepared(folder, url, **(defaults | changes))
    return api.run(ready, runtime="in-process", output_dir=folder / "out")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_another_parser_reads_what_is_stored_and_asks_nobody(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    first = run(tmp_path, provider.url)
    asked, before = provider.stats().requests, [(first.results_dir / name).read_bytes() for name in KEPT]
    provider.stop()
    second = api.rescore(first.results_dir, parse="text", metric=["accuracy", "cost_per_query"])
    assert asked == 80
    assert second.results_dir == first.results_dir / "revisions" / "001"
    assert [(first.results_dir / name).read_bytes() for name in KEPT] == before
    was, now = rows(first.results_dir), rows(second.results_dir)
    assert {row["prediction"] for row in was} <= set("ABCDE") | {""}
    texts = {call["trial"]: call["text"].strip() for call in first.calls() if call["condition"] == "single"}
    assert {int(row["trial"]): row["prediction"] for row in now if row["condition"] == "single"} == texts
    assert any(len(text) > 1 for text in texts.values())
    for column in ("trial", "latency_ms", "cost_usd", "calls", "input_tokens"):
        assert [row[column] for row in now] == [row[column] for row in was]
    assert second.cost_usd == first.cost_usd
    assert api.reproduce(second.results_dir).same
    assert api.reproduce(first.results_dir).same


def test_a_revision_that_a_parser_of_ones_own_read_reproduces_without_it(
    tmp_path: Path, simulate: Simulate
) -> None:
    def last_letter(text: str) -> str | None:
        if "A" in text:
            raise ValueError("no A, please")
        return text.strip()[-1:] or None

    first = run(tmp_path, simulate(models=AT_ONCE).url)
    second = api.rescore(first.results_dir, parse=last_letter)
    reads = {call["read"] for call in second.calls()}
    assert len(reads) > 2, "some are read, some fail"
    assert None in reads
    assert api.reproduce(second.results_dir).same
    assert api.reproduce(first.results_dir).same


def test_a_revision_stays_what_it_was_when_its_run_goes_on(tmp_path: Path, simulate: Simulate) -> None:
    url = simulate(models=AT_ONCE).url
    ready = prepared(tmp_path, url, sample_size=10, conditions=[SINGLE, TRIO], hypotheses=[])
    part = api.run(ready, runtime="in-process", output_dir=tmp_path / "out", conditions=["single"])
    revision = api.rescore(part.results_dir, parse="first_letter").results_dir
    whole = api.run(ready, runtime="in-process", output_dir=tmp_path / "out")
    assert whole.completed == 20
    assert len(rows(revision)) == 10
    assert api.reproduce(revision).same
    assert api.reproduce(whole.results_dir).same


def test_a_revision_says_what_it_changed_and_is_loaded_and_listed(tmp_path: Path, simulate: Simulate) -> None:
    first = run(tmp_path, simulate(models=AT_ONCE).url)
    api.rescore(first.results_dir, parse="first_letter")
    second = api.rescore(first.results_dir, metric="consensus")
    revision = json.loads((second.results_dir / "revision.json").read_text())
    assert revision["number"] == 2
    assert revision["changed"] == {"metrics": [["accuracy"], ["consensus"]]}
    assert revision["conditions"]["trio"]["predictions"] == 0
    assert list(revision["conditions"]["trio"]["metrics"]) == ["consensus"]
    loaded = api.load(second.results_dir)
    assert loaded.completed == 40
    assert loaded["trio"].consensus.value == second["trio"].consensus.value
    assert [Path(each).name for each in api.observe(first.results_dir).revisions] == ["001", "002"]
    with pytest.raises(UsageError, match="is a revision"):
        api.resume(second.results_dir, runtime="in-process")


def test_a_changed_experiment_brings_votes_hypotheses_and_analysis(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=AT_ONCE)
    first = run(tmp_path, provider.url)
    changed = prepared(
        tmp_path,
        provider.url,
        conditions=[SINGLE, Ensemble(["small", "medium", "large"], name="trio", quorum=3)],
        hypotheses=["accuracy: trio > single"],
        analysis=Analysis(confidence=0.9, alpha=0.1),
    )
    second = api.rescore(first.results_dir, experiment=changed)
    assert [each.text for each in second.hypotheses] == ["accuracy: trio > single"]
    assert second.analysis.confidence == 0.9
    assert second.plan.conditions[1].quorum == 3
    assert provider.stats().requests == 80


def test_what_would_have_to_be_asked_anew_is_refused(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    first = run(tmp_path, provider.url)
    other = prepared(tmp_path, provider.url, conditions=[SINGLE, TRIO], hypotheses=[], system="Be brief.")
    with pytest.raises(UsageError, match=r"'single' asks otherwise[\s\S]*run --reuse"):
        api.rescore(first.results_dir, experiment=other)
    fewer = prepared(tmp_path, provider.url, conditions=[SINGLE], hypotheses=[])
    with pytest.raises(UsageError, match="conditions are single, trio"):
        api.rescore(first.results_dir, experiment=fewer)
    with pytest.raises(UsageError, match="did you mean 'number'"):
        api.rescore(first.results_dir, parse="numbr")
    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        api.rescore(first.results_dir, metric="acuracy")
    with pytest.raises(UsageError, match="needs what is to change"):
        api.rescore(first.results_dir)
    assert not (first.results_dir / "revisions").exists()


def test_what_did_not_change_is_not_told_and_what_became_unreadable_is(
    tmp_path: Path, simulate: Simulate
) -> None:
    metrics = ["accuracy", "latency_p95", "cost_per_query"]
    first = run(tmp_path, simulate(models=POPULATION).url, metrics=metrics)
    same = read_revision(api.rescore(first.results_dir, metric=metrics).results_dir)
    for change in same.conditions.values():
        assert all(before == now for before, now in change.metrics.values())
    assert not [line for line in revision_lines(same, "there") if "->" in line]

    worse = read_revision(api.rescore(first.results_dir, parse="json:answer").results_dir)
    change = worse.conditions["single"]
    assert change.unreadable == (0, 20)
    assert change.answered == 20
    told = "    20 of 20 answers cannot be read now, 0 before: this reading may not fit the replies"
    assert told in revision_lines(worse, "there")
    assert "latency_p95" not in "\n".join(revision_lines(worse, "there"))
    assert " % -> 0.0 %" in "\n".join(revision_lines(worse, "there"))
