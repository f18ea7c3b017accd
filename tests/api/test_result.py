"""What a run gives back, and a folder read again."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from crucible_ray import api
from crucible_ray.api import Options, Prepared, Progress, RunResult
from crucible_ray.errors import ParameterRefused, StorageFailed, UsageError
from crucible_ray.experiment.spec import Analysis, Experiment, Model
from crucible_ray.records import Item
from tests.conftest import Simulate
from tests.integration.lab import AT_ONCE, prepared

EVIL = "<script>alert(1)</script>\x1b[31m\u202e"

EXPERIMENT = Experiment(
    name=f"Two {EVIL}",
    dataset="demo",
    sample_size=20,
    repeat=2,
    conditions=[
        Model("openai_gpt4o_mini", name="mini"),
        Model("openai_gpt4o", name="full"),
        Model("openai_gpt35_turbo", name="old"),
    ],
    hypotheses=["accuracy: full > mini"],
    metrics=["accuracy", "latency_p95"],
    max_tokens=20,
    seed=3,
)


def run(folder: Path, experiment: Experiment = EXPERIMENT, **choices: Any) -> RunResult:
    return api.run(experiment, simulate=True, runtime="in-process", output_dir=folder, **choices)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(tmp_path_factory.mktemp("results"), progress=False)


def test_figures_are_at_hand_by_condition_and_metric(result: RunResult) -> None:
    accuracy = result["full"].accuracy
    table = result.to_pandas()
    assert accuracy.value is not None
    assert accuracy.value == pytest.approx(table[table.condition == "full"]["correct"].mean())
    assert accuracy.ci is not None
    assert accuracy.ci[0] < accuracy.value < accuracy.ci[1]
    assert result["full"].completeness.answered == 40
    with pytest.raises(KeyError, match="did you mean 'full'"):
        result["fulll"]
    with pytest.raises(AttributeError, match="did you mean 'accuracy'"):
        _ = result["full"].acuracy


def test_what_does_not_apply_is_not_shown(result: RunResult) -> None:
    assert repr(result["full"].completeness).endswith(", unsent=0)")
    assert "UNSET" not in repr(result.analysis)
    assert "UNSET" not in repr(Item(id="0", input="?"))


def test_the_summary_is_what_run_prints_as_json(result: RunResult) -> None:
    assert result.summary["trials"] == 120 == result.completed + result.failed + result.pending
    assert (result.summary["status"], result.summary["calls"]) == ("complete", 120)
    assert json.loads(json.dumps(dict(result.summary)))["experiment_id"] == result.experiment_id


def test_trials_and_calls_come_one_by_one_and_are_those_of_the_tables(result: RunResult) -> None:
    trials = result.trials()
    assert isinstance(trials, Iterator)
    assert next(trials)["trial"] == 0
    assert [row["trial"] for row in trials] == list(range(1, 120))
    calls = list(result.calls())
    assert len(calls) == 120
    assert {call["outcome"] for call in calls} == {"ok"}
    assert all(call["text"] for call in calls)


def test_a_pair_that_the_report_decides_is_the_same_when_it_is_asked_for(result: RunResult) -> None:
    listed = result.analysis.comparisons
    assert {(each.metric, each.exploratory) for each in listed} >= {("accuracy", False), ("accuracy", True)}
    for each in listed:
        assert result.compare(each.a, each.b, each.metric) == each


def test_a_pair_that_the_report_decides_is_decided_alike_the_other_way_round(result: RunResult) -> None:
    def across(found: Any) -> list[float | None]:
        ends = getattr(found, "estimate", None), found.ci_high, found.ci_low
        return [None if end is None else -end for end in ends]

    for each in result.analysis.comparisons:
        turned = result.compare(each.b, each.a, each.metric)
        assert (turned.a, turned.b, turned.metric) == (each.b, each.a, each.metric)
        assert [turned.estimate, turned.ci_low, turned.ci_high] == across(each)
        for name in ("p_value", "exploratory", "family", "test", "withheld", "items"):
            assert getattr(turned, name) == getattr(each, name)
        assert (turned.adjusted is None) == (each.adjusted is None)
        if turned.adjusted is not None and each.adjusted is not None:
            assert turned.adjusted.p_value == each.adjusted.p_value
            assert [turned.adjusted.ci_low, turned.adjusted.ci_high] == across(each.adjusted)[1:]
        assert [size.value for size in turned.sizes] == pytest.approx(
            [None if size.value is None else -size.value for size in each.sizes]
        )


def test_a_pair_that_the_report_does_not_hold_is_compared_by_itself_and_exploratory(
    result: RunResult,
) -> None:
    assert result.compare("old", "full").exploratory
    assert result.compare("old", "full", "latency_mean").metric == "latency_mean"
    with pytest.raises(UsageError, match="did you mean 'old'"):
        result.compare("olt", "full")


def test_it_draws_itself_with_everything_escaped(result: RunResult) -> None:
    page = result._repr_html_()
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "full" in page
    for shown in (page, repr(result)):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "accuracy: full > mini" in repr(result)
    assert "120/120 trials" in repr(result)


def test_a_folder_loads_to_the_same_figures(result: RunResult) -> None:
    loaded = api.load(result.results_dir)
    assert (
        loaded.analysis == result.analysis
        or loaded.analysis.conditions.keys() == result.analysis.conditions.keys()
    )
    assert loaded["mini"].accuracy.value == pytest.approx(result["mini"].accuracy.value)
    assert (loaded.status, loaded.completed, loaded.cost_usd) == ("complete", 120, result.cost_usd)
    assert loaded.reports.keys() >= {"markdown"}
    assert len(list(loaded.trials())) == 120
    with pytest.raises(UsageError, match=r"run\.log"):
        _ = loaded.facts


def test_a_folder_whose_files_are_behind_loads_from_its_record(result: RunResult, tmp_path: Path) -> None:
    folder = tmp_path / result.results_dir.name
    shutil.copytree(result.results_dir, folder)
    for name in ("results.csv", "results.parquet", "calls.parquet", "analysis.json", "report.md"):
        (folder / name).unlink()
    before = sorted(path.name for path in folder.iterdir())
    loaded = api.load(folder)
    assert list(loaded.trials()) == list(result.trials())
    assert loaded["old"].accuracy == result["old"].accuracy
    assert sorted(path.name for path in folder.iterdir()) == before, "nothing is written"


def test_a_folder_without_its_record_is_refused(result: RunResult, tmp_path: Path) -> None:
    folder = tmp_path / result.results_dir.name
    shutil.copytree(result.results_dir, folder)
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(UsageError, match="checkpoints"):
        api.load(folder)


def test_progress_goes_to_whom_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Progress] = []
    run(tmp_path, progress=seen.append)
    assert seen[-1].done == 120
    assert capsys.readouterr().err == ""
    run(tmp_path, progress=False)
    assert capsys.readouterr().err == ""
    run(tmp_path)
    assert "starting ..." in capsys.readouterr().err
    with pytest.raises(UsageError, match="progress = 'loud'"):
        run(tmp_path, progress="loud")
    with pytest.raises(UsageError, match="did you mean 'clients'"):
        run(tmp_path, client=2)


def slow(folder: Path, url: str) -> Prepared:
    return prepared(folder, url, conditions=[Model("small")], hypotheses=[], sample_size=100)


def test_a_cancelled_run_stops_in_good_order_and_is_then_cancelled(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=[taking(0.05)])
    ready = slow(tmp_path, provider.url)

    async def cell() -> None:
        def tell(progress: Progress) -> None:
            if progress.done and progress.phase == "running":
                task.cancel()

        options = Options(
            output_dir=tmp_path,
            runtime="in-process",
            max_concurrent_queries=2,
            on_progress=tell,
            progress_every_s=0.05,
        )
        task = asyncio.ensure_future(api.arun(ready, options=options))
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cell())
    found = api.load(tmp_path / ready.plan.experiment_id)
    assert found.status == "interrupted"
    assert 0 < found.completed < 100
    assert len(list(found.trials())) == found.completed
    assert found.tables is None, "its results were written"


def test_an_interrupted_cell_gets_the_result_of_what_ran(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=[taking(0.05)])
    ready = slow(tmp_path, provider.url)

    def tell(progress: Progress) -> None:
        if progress.done and progress.phase == "running":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    async def cell() -> RunResult:
        options = Options(
            output_dir=tmp_path,
            runtime="in-process",
            max_concurrent_queries=2,
            on_progress=tell,
            progress_every_s=0.05,
        )
        return api.run(ready, options=options)  # inside a running loop, as a notebook's cell is

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    loop = asyncio.new_event_loop()
    try:
        result = loop.run_until_complete(cell())
    finally:
        loop.close()
        signal.signal(signal.SIGINT, before)
    assert result.status == "interrupted"
    assert 0 < result.completed < 100
    assert api.resume(result.results_dir, runtime="in-process", progress=False).status == "complete"


def taking(latency_s: float) -> Any:
    return msgspec.structs.replace(AT_ONCE[0], latency_s=latency_s)


def test_a_refusal_brings_the_result_of_what_ran(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE, faults={"refuse-param": 1.0})
    with pytest.raises(ParameterRefused) as refused:
        api.run(slow(tmp_path, provider.url), runtime="in-process", output_dir=tmp_path, progress=False)
    assert refused.value.result.summary["status"] == "refused"
    assert refused.value.result.pending == 100


def test_a_run_that_breaks_brings_the_result_of_what_is_recorded(
    tmp_path: Path, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crucible_ray.runtime.driver import Driver

    async def breaks(self: Driver) -> str:
        raise StorageFailed("the disk", "full")

    monkeypatch.setattr(Driver, "run", breaks)
    with pytest.raises(StorageFailed) as broken:
        run(tmp_path, replace(EXPERIMENT, name="Broken"), progress=False)
    assert broken.value.result.summary["status"] == "broken"
    assert broken.value.result.pending == 120


def test_a_plot_is_a_drawing_of_each_condition_that_stands_alone(result: RunResult, tmp_path: Path) -> None:
    figure = result.plot("accuracy")
    svg = ElementTree.fromstring(figure._repr_svg_())
    space = "{http://www.w3.org/2000/svg}"
    assert len(svg.findall(f"{space}circle")) == 3
    labels = [text.text for text in svg.findall(f"{space}text")]
    assert {"mini", "full", "old", f"{100 * (result['mini'].accuracy.value or 0):.1f} %"} <= set(labels)
    figure.save(tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_text() == figure.svg
    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        result.plot("acuracy")


def test_a_revision_loads_by_its_number(result: RunResult) -> None:
    revised = api.rescore(result.results_dir, parse="first_letter")
    loaded = api.load(result.results_dir, revision=1)
    assert loaded.results_dir == revised.results_dir
    assert loaded.plan.conditions[0].parse == "first_letter"
    assert api.load(result.results_dir).plan.conditions[0].parse != "first_letter"
    with pytest.raises(UsageError, match=r"no revision 7; there are: \[1\]"):
        api.load(result.results_dir, revision=7)


CLUSTERED = Experiment(
    name="Passages",
    dataset=[
        {"id": k, "input": f"What is {k} + {k}?", "expected": str(2 * k), "passage": f"p{k // 3}"}
        for k in range(36)
    ],
    parse="number",
    prompt="{{ input }}",
    conditions=[Model("openai_gpt4o_mini", name="mini"), Model("openai_gpt4o", name="full")],
    metrics=["accuracy", "latency_p50", "cost_per_correct"],
    analysis=Analysis(cluster="passage", effect_sizes=["cliffs_delta"]),
    max_tokens=20,
)


def test_clusters_of_an_experiment_are_those_of_its_items_in_whatever_is_compared(tmp_path: Path) -> None:
    found = run(tmp_path, CLUSTERED, progress=False)
    first = found.analysis.comparisons[0]
    assert (first.unit, first.units, first.items) == ("passage", 12, 36)
    assert first.test == "cluster_t"
    assert [each.measure for each in first.sizes] == ["cliffs_delta"]
    assert found.compare("full", "mini") == first
    assert found.analysis.preregistration is not None
    assert found.analysis.preregistration.deviations == ()
    assert str(found.compare("full", "mini")).startswith("accuracy: full - mini = ")
    assert api.load(found.results_dir).compare("full", "mini", "latency_p50").units == 12
    assert api.reproduce(found.results_dir).identical == {"results.csv": True, "analysis.json": True}
    again = api.rescore(found.results_dir, parse="text")
    assert again.compare("full", "mini").units == 12


def test_any_two_conditions_are_compared_also_in_quantiles(result: RunResult) -> None:
    found = result.compare("old", "full", "latency_p95")
    assert found.test == "quantile_bootstrap"
    assert found.estimate is not None
    assert "descriptive: 20 items" in found.notes[0]
