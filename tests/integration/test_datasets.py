"""Several datasets in one experiment: a factor of the design, from the prompt to the report."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crucible_ray import api
from crucible_ray.api import RunResult
from crucible_ray.api.checking import show
from crucible_ray.cli.main import main
from crucible_ray.errors import SpecError
from crucible_ray.estimating import estimate
from crucible_ray.experiment.declarative import read_toml
from crucible_ray.experiment.spec import Dataset, Experiment, Model
from crucible_ray.reduction import decode

CITIES = [{"input": f"Which city is number {n}?", "expected": f"city {n}"} for n in range(8)]
EXPERIMENT = Experiment(
    name="Three datasets",
    dataset=["science", Dataset("test_dataset", sample_size=10), Dataset(CITIES, name="cities")],
    sample_size=20,
    repeat=2,
    conditions=[Model("openai_gpt4o_mini", name="mini"), Model("openai_gpt4o", name="full")],
    hypotheses=["accuracy: full > mini"],
    metrics=["accuracy", "latency_p50"],
    seed=3,
)


def prepare(experiment: Experiment = EXPERIMENT, **changes: Any) -> api.Prepared:
    return api.prepare(replace(experiment, **changes), simulate=True)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("results")
    return api.run(EXPERIMENT, simulate=True, runtime="in-process", output_dir=folder, progress=False)


def rows(result: RunResult) -> list[dict[str, str]]:
    with (result.results_dir / "results.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_dataset_has_its_own_prompt_and_its_own_way_to_read_replies() -> None:
    prepared = prepare()
    shown = {each.item.partition(":")[0]: each for each in show(prepared, 1)}
    assert len(shown) == 3
    assert (
        shown["science"]
        .calls[0]
        .messages[-1]
        .content.endswith("Answer with the letter of the correct choice only.")
    )
    assert (
        shown["test_dataset"]
        .calls[0]
        .messages[-1]
        .content.endswith("End your reply with the answer as a number.")
    )
    assert shown["cities"].calls[0].messages[-1].content.startswith("Which city is number ")
    assert all(each.readings[0].correct == 1 for each in shown.values())


def test_ids_stay_those_of_the_dataset_behind_its_name_and_so_do_samples() -> None:
    prepared = prepare()
    assert [(each.name, each.items) for each in prepared.plan.datasets] == [
        ("science", 20),
        ("test_dataset", 10),
        ("cities", 8),
    ]
    alone = api.prepare(replace(EXPERIMENT, dataset="science"), simulate=True)
    together = [item for item in prepared.items if item.dataset == "science"]
    assert [item.id for item in together] == [f"science:{item.id}" for item in alone.items]
    assert {item.dataset for item in alone.items} != {"science"}


def test_an_estimate_takes_each_datasets_replies_by_themselves() -> None:
    def tokens(dataset: Any) -> int:
        plan = prepare(dataset=dataset, repeat=1).plan
        return estimate(plan, lambda condition, item: 100).tokens.output

    parts = [tokens(each) for each in EXPERIMENT.dataset]
    assert parts == [20 * 2 * 20, 10 * 2 * 200, 8 * 2 * 200]
    assert tokens(EXPERIMENT.dataset) == sum(parts)


def test_a_dataset_of_another_content_is_another_experiment() -> None:
    other = [*CITIES[:-1], {**CITIES[-1], "expected": "elsewhere"}]
    dataset = [*EXPERIMENT.dataset[:2], Dataset(other, name="cities")]
    assert prepare(dataset=dataset).plan.experiment_id != prepare().plan.experiment_id
    assert prepare(metrics=["accuracy"]).plan.experiment_id == prepare().plan.experiment_id


def test_every_dataset_is_reported_apart_and_all_of_them_by_their_shares_of_the_items(
    result: RunResult,
) -> None:
    assert (result.status, result.summary["trials"], result.summary["failed"]) == ("complete", 38 * 2 * 2, 0)
    analysis = decode((result.results_dir / "analysis.json").read_bytes())
    assert list(analysis.datasets) == ["science", "test_dataset", "cities"]
    found = rows(result)
    for name, part in analysis.datasets.items():
        for condition in ("mini", "full"):
            scores = [
                float(row["correct"])
                for row in found
                if row["condition"] == condition and row["item_id"].startswith(f"{name}:")
            ]
            accuracy = part.conditions[condition].metrics["accuracy"]
            assert accuracy.value == pytest.approx(sum(scores) / len(scores))
            assert accuracy.n == len(scores) == 2 * part.items
        (comparison,) = [each for each in part.comparisons if each.metric == "accuracy"]
        assert comparison.exploratory
    by_share = sum(
        part.items / 38 * (part.comparisons[0].estimate or 0.0) for part in analysis.datasets.values()
    )
    assert analysis.comparisons[0].estimate == pytest.approx(by_share)
    assert analysis.hypotheses[0].estimate == pytest.approx(by_share)


def test_the_report_has_a_table_of_datasets_and_the_record_replays(result: RunResult) -> None:
    report = (result.results_dir / "report.md").read_text(encoding="utf-8")
    assert "## Datasets" in report
    assert "| cities | 8 | full |" in report
    assert api.reproduce(result.results_dir).same
    lines = (result.results_dir / "dataset.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["dataset"] for line in lines].count("cities") == 8
    config = json.loads((result.results_dir / "config.json").read_text(encoding="utf-8"))
    assert [each["version"] for each in config["datasets"]][:2] == ["science-1", "test_dataset-1"]


def test_toml_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "cities.jsonl").write_text("\n".join(map(json.dumps, CITIES)))
    text = """
        name = "x"
        dataset = ["science", {source = "cities.jsonl", sample_size = 5, filter = {expected = ["city 1", "city 2"]}}]
        sample_size = 3
        [[conditions]]
        model = "openai_gpt4o"
    """
    (tmp_path / "x.toml").write_text(text)
    dataset = read_toml(tmp_path / "x.toml").dataset
    own = Dataset("cities.jsonl", sample_size=5, filter={"expected": ["city 1", "city 2"]})
    assert dataset == ["science", own]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (["demo", {"input": "?"}], "a list holds either records or datasets"),
        (["demo", "demo"], "Two datasets are called 'demo': give each a name of its own"),
        ([CITIES, CITIES], "Two datasets are called 'inline'"),
        (["demo", Dataset("science", sample_size=0)], r"dataset\[1\]\.sample_size = 0"),
        (["demo", "nosuch.jsonl"], "nosuch.jsonl does not exist"),
        (["demo", Dataset(None)], r"dataset\[1\]: a Dataset's source is no Dataset, and not None"),
    ],
)
def test_a_list_that_cannot_be_datasets_is_refused(dataset: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        prepare(dataset=dataset)


def test_files_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "items.jsonl"
        path.write_text("\n".join(map(json.dumps, CITIES)))
        paths.append(str(path))
    assert [each.name for each in prepare(dataset=paths).plan.datasets] == paths
    assert [each.name for each in prepare(dataset=[paths[0], "demo"]).plan.datasets] == ["items", "demo"]


def test_without_a_dataset_a_repeat_is_a_trial_of_each_condition(tmp_path: Path) -> None:
    asked = replace(
        EXPERIMENT, dataset=None, sample_size=None, repeat=6, prompt="Name a prime number.", hypotheses=[]
    )
    result = api.run(asked, simulate=True, runtime="in-process", output_dir=tmp_path, progress=False)
    assert (result.status, result.summary["trials"], result.summary["failed"]) == ("complete", 12, 0)
    found = rows(result)
    assert [row["item_id"] for row in found if row["condition"] == "mini"] == [str(n) for n in range(6)]
    assert {(row["expected"], row["correct"]) for row in found} == {("", "")}
    assert api.reproduce(result.results_dir).same


def test_a_frame_is_a_dataset_of_an_experiment(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(CITIES)
    asked = replace(EXPERIMENT, dataset=frame, hypotheses=[])
    result = api.run(asked, simulate=True, runtime="in-process", output_dir=tmp_path, progress=False)
    assert result.summary["trials"] == 8 * 2 * 2
    assert prepare(dataset=frame).plan.experiment_id == prepare(dataset=CITIES).plan.experiment_id
    assert [each.name for each in prepare(dataset=[frame, "demo"]).plan.datasets] == ["inline", "demo"]


def test_equal_ids_exit_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "twice.jsonl").write_text('{"id": "a", "input": "x"}\n{"id": "a", "input": "y"}\n')
    (tmp_path / "x.toml").write_text(
        'name = "x"\ndataset = "twice.jsonl"\n[[conditions]]\nmodel = "openai_gpt4o"\n'
    )
    assert main(["run", str(tmp_path / "x.toml"), "--yes", "--simulate"]) == 2
    assert "items 0 and 1 (from 0) have the same id 'a'" in " ".join(capsys.readouterr().err.split())


def test_a_larger_sample_asks_the_smaller_ones_items_again_under_the_same_ids() -> None:
    few, more = prepare(sample_size=5), prepare(sample_size=15)
    ids = {item.id for item in more.items}
    assert {item.id for item in few.items} < ids
    assert [item for item in more.items if item.id in {each.id for each in few.items}] == list(few.items)
