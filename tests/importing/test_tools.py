"""Logs that inspect_ai, lm-evaluation-harness and HELM wrote say here what they say there."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

import crucible_ray
from crucible_ray.errors import UsageError
from crucible_ray.importing import inspect_log
from crucible_ray.importing.log import Asked
from tests.importing.places import LOGS, unpacked

INSPECT = LOGS / "inspect"
STRONG, WEAK = "openai-api/sim/strong", "openai-api/sim/weak"


def own_results(path: Path) -> dict[str, float]:
    """What inspect_ai put into a log's header, by scorer."""
    with zipfile.ZipFile(path) as log:
        header: dict[str, Any] = json.loads(inspect_log._member(log, path, "header.json"))
    return {each["name"]: each["metrics"]["accuracy"]["value"] for each in header["results"]["scores"]}


@pytest.mark.parametrize("task", ["arithmetic", "physics"])
@pytest.mark.parametrize("scorer", ["pattern", "graded"])
def test_inspects_own_accuracy_comes_out_with_its_letters_as_numbers_and_epochs_as_repeats(
    task: str, scorer: str
) -> None:
    paths = [INSPECT / f"{task}_{model}.eval" for model in ("strong", "weak")]
    found = crucible_ray.compare(*paths, metric=scorer)
    assert [each.name for each in found.conditions] == [STRONG, WEAK]
    told = [own_results(path)[scorer] for path in paths]
    assert [each.mean_all for each in found.conditions] == pytest.approx(told)
    assert [each.items for each in found.conditions] == [12, 12]
    assert found.comparison is not None
    assert found.comparison.estimate == pytest.approx(told[1] - told[0])
    assert "12 items x 2 repeats" in found.reason


def test_a_sample_that_failed_in_inspect_is_missing_and_not_wrong() -> None:
    found = crucible_ray.compare(INSPECT, metric="pattern")
    assert [(each.values, each.missing) for each in found.conditions] == [(48, 0), (47, 1)]
    assert found.matched == 24


def test_tasks_of_one_folder_are_strata_over_both_models() -> None:
    found = crucible_ray.compare(INSPECT, metric="pattern")
    assert [len(each.logs) for each in found.conditions] == [2, 2]
    assert "tasks" in found.reason


def test_several_scores_are_named_and_one_is_chosen_by_name() -> None:
    with pytest.raises(UsageError, match=r"several scores: graded, pattern\. Choose one with --metric"):
        crucible_ray.compare(INSPECT)
    with pytest.raises(UsageError, match=r"has no score 'patern': did you mean 'pattern'\?"):
        crucible_ray.compare(INSPECT, metric="patern")


def test_what_a_log_knows_of_an_item_can_be_its_cluster() -> None:
    found = crucible_ray.compare(INSPECT, metric="pattern", cluster="kind")
    assert "8 clusters" in found.reason
    with pytest.raises(UsageError, match=r"an item has no 'kinds': did you mean 'kind'\?"):
        crucible_ray.compare(INSPECT, metric="pattern", cluster="kinds")


def test_a_log_that_was_cut_off_gives_what_is_in_it_and_says_so() -> None:
    found = crucible_ray.compare(LOGS / "unfinished.eval", INSPECT / "arithmetic_weak.eval", metric="pattern")
    assert [(each.name, each.items, each.unmatched) for each in found.conditions] == [
        (STRONG, 5, 0),
        (WEAK, 12, 7),
    ]
    assert (found.items, found.matched) == (12, 5)
    assert "unfinished.eval: inspect_ai says of it: unfinished" in found.notes


def test_the_same_model_and_items_in_two_logs_are_two_conditions() -> None:
    found = crucible_ray.compare(
        LOGS / "unfinished.eval", INSPECT / "arithmetic_strong.eval", metric="pattern"
    )
    assert [each.name for each in found.conditions] == [
        f"unfinished.eval: {STRONG}",
        f"arithmetic_strong.eval: {STRONG}",
    ]


def test_a_json_log_of_inspect_reads_like_its_eval(tmp_path: Path) -> None:
    paths = [changed(INSPECT / f"physics_{model}.eval", tmp_path) for model in ("strong", "weak")]
    found = crucible_ray.compare(*paths, metric="graded")
    same = crucible_ray.compare(
        *(INSPECT / f"physics_{each}.eval" for each in ("strong", "weak")), metric="graded"
    )
    assert found.comparison == same.comparison


def test_a_table_beside_a_log_is_paired_by_the_same_ids(tmp_path: Path) -> None:
    log = INSPECT / "physics_strong.eval"
    ids = inspect_log.read(log, Asked()).labels["item"].names
    table = tmp_path / "people.csv"
    table.write_text(
        "\n".join(["who,question,right", *(f"people,{each},{n % 3 > 0:d}" for n, each in enumerate(ids))])
    )
    with pytest.raises(UsageError, match="--by names"):
        crucible_ray.compare(log, table, value="right", by="who", pair="question", metric="pattern")
    with pytest.raises(UsageError, match=r"no score in common(?s:.*)--metric: the column of a table"):
        crucible_ray.compare(log, table, value="right", pair="question")
    found = crucible_ray.compare(log, table, value="right", pair="question", metric="pattern")
    assert ([each.name for each in found.conditions], found.matched) == ([STRONG, "people"], 12)
    assert found.conditions[1].mean == pytest.approx(8 / 12)
    assert not any("another" in note for note in found.notes)


def test_a_damaged_eval_file_is_told_in_words(tmp_path: Path) -> None:
    data = bytearray((INSPECT / "physics_weak.eval").read_bytes())
    with zipfile.ZipFile(INSPECT / "physics_weak.eval") as log:
        middle = log.getinfo("summaries.json").header_offset + 200
    data[middle] ^= 0xFF
    (tmp_path / "a.eval").write_bytes(data)
    with pytest.raises(UsageError, match=r"a\.eval is not a readable log of inspect_ai"):
        crucible_ray.compare(tmp_path / "a.eval", INSPECT / "physics_strong.eval", metric="pattern")
    (tmp_path / "b.eval").write_text("no zip")
    with pytest.raises(UsageError, match=r"b\.eval is not a readable log of inspect_ai"):
        crucible_ray.compare(tmp_path / "b.eval", metric="pattern")


@pytest.mark.parametrize("used", ["first-letter", "strict"])
def test_the_harness_own_scores_come_out_by_filter_with_tasks_as_strata(used: str, tmp_path: Path) -> None:
    logs = unpacked("lm_eval", tmp_path)
    for task in ("local_arithmetic", "local_physics"):
        files = sorted(logs.glob(f"*/samples_{task}_*.jsonl"))
        found = crucible_ray.compare(*files, metric=f"exact_match,{used}")
        for each, file in zip(found.conditions, files, strict=True):
            told = json.loads(next(file.parent.glob("results_*.json")).read_text())
            assert each.name == told["model_name"]
            assert each.tools == (f"lm-evaluation-harness {told['lm_eval_version']}",)
            assert each.mean_all == pytest.approx(told["results"][task][f"exact_match,{used}"])
    whole = crucible_ray.compare(logs, metric=f"exact_match,{used}")
    assert (whole.items, whole.matched) == (24, 24)


def test_a_score_by_several_filters_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="'exact_match' by several filters: exact_match,first-letter, exact_match,strict"
    ):
        crucible_ray.compare(unpacked("lm_eval", tmp_path), metric="exact_match")


def test_a_doc_id_with_another_hash_is_another_item(tmp_path: Path) -> None:
    files = sorted(unpacked("lm_eval", tmp_path).glob("*/samples_local_physics_*.jsonl"))
    lines = [json.loads(line) for line in files[1].read_text().splitlines()]
    for line in lines:
        if line["doc_id"] in (3, 4):
            line["doc_hash"] = "0" * 64
    files[1].write_text("\n".join(map(json.dumps, lines)))
    found = crucible_ray.compare(*files, metric="exact_match,strict")
    assert (found.items, found.matched) == (14, 10)
    assert any("2 item ids of another content" in note for note in found.notes)


def test_a_doc_that_stands_twice_is_refused_with_the_mend(tmp_path: Path) -> None:
    file = sorted(unpacked("lm_eval", tmp_path).glob("*/samples_local_physics_*.jsonl"))[0]
    file.write_text(file.read_text() * 2)
    with pytest.raises(UsageError, match=r"item '0' \(repeat 0\) stands twice: .* items ids of their own"):
        crucible_ray.compare(file, metric="exact_match,strict")


@pytest.mark.parametrize("score", ["exact_match", "quasi_exact_match"])
def test_helms_own_means_come_out_with_training_trials_as_repeats_and_without_perturbations(
    score: str, tmp_path: Path
) -> None:
    logs = unpacked("helm", tmp_path)
    found = crucible_ray.compare(logs, metric=score)
    assert [each.name for each in found.conditions] == ["sim/strong", "sim/weak"]
    for each, run in zip(found.conditions, sorted(logs.iterdir()), strict=True):
        stats = json.loads((run / "stats.json").read_text())
        own = [s["mean"] for s in stats if s["name"]["name"] == score and "perturbation" not in s["name"]]
        assert each.mean_all == pytest.approx(own[0])
        assert (each.items, each.values) == (12, 24)
    assert sum("24 scores of perturbed instances are left out" in note for note in found.notes) == 2


def test_what_helm_scored_after_a_failed_request_is_missing(tmp_path: Path) -> None:
    logs = unpacked("helm", tmp_path)
    run = max(logs.iterdir())
    state = json.loads((run / "scenario_state.json").read_text())
    state["request_states"][0]["result"]["success"] = False
    (run / "scenario_state.json").write_text(json.dumps(state))
    found = crucible_ray.compare(logs, metric="exact_match")
    assert [each.missing for each in found.conditions] == [0, 1]
    assert any("1 requests failed; HELM scores them as empty answers" in note for note in found.notes)


def test_a_run_folder_of_helm_can_be_named_by_its_scores_too(tmp_path: Path) -> None:
    runs = sorted(unpacked("helm", tmp_path).iterdir())
    found = crucible_ray.compare(runs[0], runs[1] / "per_instance_stats.json", metric="exact_match")
    assert found.matched == 12


def test_what_is_no_log_is_refused_with_what_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(
        UsageError, match=r"a.txt is no log that is known here: give a CSV, TSV or Parquet file"
    ):
        crucible_ray.compare(tmp_path / "a.txt")
    with pytest.raises(UsageError, match="holds nothing to compare"):
        crucible_ray.compare(tmp_path)
    with pytest.raises(UsageError, match="is neither a file nor a folder"):
        crucible_ray.compare(tmp_path / "nothing")


def changed(path: Path, folder: Path, **changes: Any) -> Path:
    """A log of inspect_ai as JSON, with another value of the scorer `graded`, or another task."""
    with zipfile.ZipFile(path) as log:
        header, samples = (
            json.loads(inspect_log._member(log, path, name)) for name in ("header.json", "summaries.json")
        )
    header["eval"] |= {name: value for name, value in changes.items() if name == "task"}
    for sample in samples:
        if "value" in changes and sample["scores"]:
            sample["scores"]["graded"]["value"] = changes["value"]
    made = folder / f"{path.stem}.json"
    made.write_text(json.dumps(header | {"samples": samples}))
    return made


def test_a_score_that_is_no_number_stops_nobody_who_asks_for_another(tmp_path: Path) -> None:
    paths = [changed(INSPECT / f"physics_{m}.eval", tmp_path, value="good") for m in ("strong", "weak")]
    assert crucible_ray.compare(*paths).metric == "pattern"
    with pytest.raises(UsageError, match=r"the score 'graded' is 'good', which is no number; .* \(pattern\)"):
        crucible_ray.compare(*paths, metric="graded")


def test_a_score_of_several_parts_has_a_name_for_each(tmp_path: Path) -> None:
    parts = {"style": "P", "fact": True}
    paths = [changed(INSPECT / f"physics_{m}.eval", tmp_path, value=parts) for m in ("strong", "weak")]
    found = crucible_ray.compare(*paths, metric="graded/style", test="sign_test")
    assert [each.mean for each in found.conditions] == [0.5, 0.5]
    assert [
        each.mean for each in crucible_ray.compare(*paths, metric="graded/fact", test="sign_test").conditions
    ] == [1, 1]


def test_tasks_or_logs_can_be_the_conditions(tmp_path: Path) -> None:
    plain = INSPECT / "physics_strong.eval"
    other = changed(INSPECT / "physics_weak.eval", tmp_path, task="physics_short")
    tasks = crucible_ray.compare(plain, other, metric="pattern", by="task")
    assert [each.name for each in tasks.conditions] == ["physics", "physics_short"]
    logs = crucible_ray.compare(plain, other, metric="pattern", by="log")
    assert [each.name for each in logs.conditions] == ["physics_strong.eval", "physics_weak.json"]
    assert tasks.comparison == logs.comparison
    with pytest.raises(UsageError, match=r"is no table, whose columns --by names: did you mean 'task'\?"):
        crucible_ray.compare(plain, other, metric="pattern", by="tasks")


def test_reading_a_log_leaves_transcripts_alone() -> None:
    log = inspect_log.read(INSPECT / "physics_weak.eval", Asked())
    assert log.tool == "inspect_ai 0.3.285"
    assert set(log.values) == {"pattern", "graded"}
    assert log.kinds == {"pattern": "bounded", "graded": "bounded"}
