"""The plan is in the log before the first trial; a run that is analysed otherwise says so, and replays to the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crucible_ray import api
from crucible_ray.api import RunResult
from crucible_ray.experiment.spec import Analysis, Ensemble, Model
from crucible_ray.journal.disk import DiskLog
from crucible_ray.journal.entries import decode_entry
from tests.conftest import Simulate
from tests.integration.lab import AT_ONCE, prepared

CONDITIONS = [Model("small", name="single"), Ensemble(["small", "medium", "large"], name="trio")]


def run(folder: Path, url: str, *, options: dict[str, Any] | None = None, **changes: Any) -> RunResult:
    ready = prepared(folder, url, **({"sample_size": 10, "conditions": CONDITIONS} | changes))
    return api.run(ready, runtime="in-process", output_dir=folder / "out", **(options or {}))


def deviations(result: RunResult) -> list[str]:
    found = result.analysis.preregistration
    assert found is not None
    return [each.told for each in found.deviations]


def kinds(folder: Path) -> list[str]:
    log = DiskLog(folder / "checkpoints")
    return [decode_entry(log.read_now(n), n, log.where).head.kind for n in log.numbers_now()]


def test_the_plan_is_in_the_log_before_the_first_trial_and_its_hash_in_the_analysis(
    tmp_path: Path, simulate: Simulate
) -> None:
    result = run(tmp_path, simulate(models=AT_ONCE).url)
    assert kinds(result.results_dir)[0] == "plan"
    assert kinds(result.results_dir).count("plan") == 1
    config = json.loads((result.results_dir / "config.json").read_text())
    written = json.loads((result.results_dir / "analysis.json").read_text())
    assert written["preregistration"] == {"sha256": config["registered"][0]["sha256"], "deviations": []}
    assert list(config["registered"][0]["plan"]["hypotheses"]) == ["accuracy: trio > single"]
    report = (result.results_dir / "report.md").read_text()
    assert f"SHA-256 {written['preregistration']['sha256']}" in report
    assert "deviates from it in nothing" in report
    assert api.reproduce(result.results_dir).same


def test_another_analysis_of_what_was_seen_is_told_in_words_and_replays(
    tmp_path: Path, simulate: Simulate
) -> None:
    url = simulate(models=AT_ONCE).url
    first = run(tmp_path, url)
    later = run(
        tmp_path, url, hypotheses=["accuracy: single > trio"], analysis=Analysis(alpha=0.2, confidence=0.8)
    )
    assert later.results_dir == first.results_dir
    assert deviations(later) == [
        "hypotheses: accuracy: trio > single was dropped after 20 trials",
        "hypotheses: accuracy: single > trio was added after 20 trials",
        "analysis.alpha: was 0.05, is 0.2, changed after 20 trials",
        "analysis.confidence: was 0.95, is 0.8, changed after 20 trials",
    ]
    report = (later.results_dir / "report.html").read_text()
    assert "analysis.alpha: was 0.05, is 0.2, changed after 20 trials (20" in report, "and when"
    assert "4 deviations from the registered plan" in report
    again = api.reproduce(later.results_dir, clients=4)
    assert again.same
    assert api.load(later.results_dir).status == "complete"
    back = run(tmp_path, url)
    assert deviations(back) == []


def test_a_part_that_was_seen_counts_even_where_force_voids_it(tmp_path: Path, simulate: Simulate) -> None:
    url = simulate(models=AT_ONCE).url
    run(tmp_path, url, options={"conditions": ["single"]})
    anew = run(tmp_path, url, hypotheses=[], options={"force": True})
    assert deviations(anew) == ["hypotheses: accuracy: trio > single was dropped after 10 trials"]
    assert api.reproduce(anew.results_dir).same


def test_a_rescore_says_what_is_not_as_it_was_registered(tmp_path: Path, simulate: Simulate) -> None:
    first = run(tmp_path, simulate(models=AT_ONCE).url)
    revision = api.rescore(first.results_dir, parse="text")
    assert deviations(revision) == [
        f"{name}.parse: was choice, is text, changed after 20 trials" for name in ("single", "trio")
    ]
    assert "single.parse: was choice, is text" in (revision.results_dir / "report.md").read_text()
    assert api.reproduce(revision.results_dir).same
    assert deviations(api.load(first.results_dir)) == []


def test_a_resumed_run_keeps_its_plan(tmp_path: Path, simulate: Simulate) -> None:
    first = run(tmp_path, simulate(models=AT_ONCE).url, options={"conditions": ["single"]})
    whole = api.resume(first.results_dir, runtime="in-process")
    assert whole.status == "complete"
    assert deviations(whole) == []
    assert kinds(first.results_dir).count("plan") == 1
