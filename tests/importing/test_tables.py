"""CSV and Parquet files, and our own results folders, as conditions over items."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import crucible_ray
from crucible_ray import api, stats
from crucible_ray.errors import StatsError, UsageError
from crucible_ray.experiment.spec import Experiment, Model

CONTROL = [0.89, 0.87, 0.90, 0.88, 0.91]
TREATMENT = [0.96, 0.97, 0.94, 0.95, 0.98]


def written(path: Path, header: str, rows: Sequence[tuple[object, ...]]) -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def guide(folder: Path) -> Path:
    rows = [("control", each) for each in CONTROL] + [("treatment", each) for each in TREATMENT]
    return written(folder / "guide.csv", "group,score", rows)


def test_the_guides_example_from_a_file_is_the_guides_numbers(tmp_path: Path) -> None:
    found = crucible_ray.compare(guide(tmp_path), value="score", by="group", test="student_t").comparison
    assert found is not None
    assert (round(found.statistic or 0, 2), found.df) == (7.0, 8)
    assert found.p_value == pytest.approx(1.13e-4, rel=5e-3)
    assert (round(found.ci_low or 0, 3), round(found.ci_high or 0, 3)) == (0.047, 0.093)


def test_two_conditions_of_a_table_are_what_stats_compare_says_of_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    values = rng.integers(0, 2, (2, 40, 3))
    rows = [
        (f"q{item}", "ab"[condition], values[condition, item, repeat])
        for repeat in range(3)
        for item in range(40)
        for condition in range(2)
    ]
    found = crucible_ray.compare(
        written(tmp_path / "t.csv", "q,who,right", rows), value="right", by="who", pair="q"
    )
    same = stats.compare(values[0], values[1], paired=True)
    assert found.comparison is not None
    assert found.comparison.to_dict() | {"reason": ""} == same.to_dict() | {"reason": ""}
    assert found.reason.startswith("paired, 40 items x 3 repeats")
    assert found.naive == same.naive


def test_paired_data_have_no_effect_size_of_independent_groups(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    numbers = rng.normal(size=(2, 40)).round(3)
    for name, values, wanted in (
        ("numbers", numbers, stats.cohens_dz(*numbers)),
        ("right", numbers > 0, stats.rank_biserial(*(numbers > 0).astype(float), paired=True)),
    ):
        rows = [(f"q{i}", "ab"[k], float(values[k, i])) for i in range(40) for k in range(2)]
        file = written(tmp_path / f"{name}.csv", "q,who,right", rows)
        found = crucible_ray.compare(file, value="right", by="who", pair="q")
        assert found.effect_sizes == (wanted,)


def test_parquet_and_tabs_say_the_same_as_commas(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [
        (i, c, (i * 7 + n) % 3 == 0) for n, c in enumerate("ab") for i in range(20)
    ]
    comma = written(tmp_path / "t.csv", "item,model,right", rows)
    (tmp_path / "u.tsv").write_text(comma.read_text().replace(",", "\t"))
    columns = list(zip(*rows, strict=True))
    table = pa.table({"item": columns[0], "model": columns[1], "right": columns[2]})
    pq.write_table(table, tmp_path / "v.parquet")
    found = [
        crucible_ray.compare(tmp_path / name, value="right", by="model", pair="item").comparison
        for name in ("t.csv", "u.tsv", "v.parquet")
    ]
    assert found[0] is not None
    assert found[0] == found[1] == found[2]


def test_without_by_each_file_is_a_condition(tmp_path: Path) -> None:
    paths = [
        written(tmp_path / f"{name}.csv", "item,score", [(i, (i * k) % 5) for i in range(30)])
        for name, k in (("first", 2), ("second", 3))
    ]
    found = crucible_ray.compare(*paths, value="score", pair="item")
    assert [each.name for each in found.conditions] == ["first", "second"]
    assert found.matched == 30


def test_unmatched_and_missing_are_counted_and_no_number_is_made_up_for_them(tmp_path: Path) -> None:
    rows = [(i, "a", i % 2) for i in range(10)] + [(i, "b", "" if i == 3 else 1) for i in range(2, 14)]
    found = crucible_ray.compare(
        written(tmp_path / "t.csv", "item,model,score", rows), value="score", by="model", pair="item"
    )
    assert (found.items, found.matched) == (14, 7)
    told = [(each.items, each.values, each.missing, each.unmatched) for each in found.conditions]
    assert told == [(10, 10, 0, 3), (12, 11, 1, 5)]
    assert found.comparison is not None
    assert found.comparison.n == 7


def test_three_conditions_are_a_family_and_a_correction_by_name_replaces_the_joint_one(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    rows = [(i, c, rng.normal(n, 1)) for i in range(30) for n, c in enumerate("abc")]
    path = written(tmp_path / "t.csv", "item,model,score", rows)
    found = crucible_ray.compare(path, value="score", by="model", pair="item")
    values = {c: [row[2] for row in rows if row[1] == c] for c in "abc"}
    same = stats.compare_groups(values, paired=True)
    assert (found.overall, found.family, found.reason) == (same.overall, same.family, same.reason)
    named = crucible_ray.compare(path, value="score", by="model", pair="item", correction="bonferroni")
    assert named.family is not None
    plain = [stats.compare(values[p.b], values[p.a], paired=True).p_value or 0.0 for p in named.family.pairs]
    assert [p.p_value for p in named.family.pairs] == plain
    assert "then pair by pair, p-values corrected by bonferroni" in named.reason
    assert "largest t" not in named.reason
    assert [p.p_adjusted for p in named.family.pairs] == stats.correct(plain, "bonferroni").tolist()
    based = crucible_ray.compare(path, value="score", by="model", pair="item", baseline="b", test="paired_t")
    assert based.family is not None
    assert [(p.a, p.b) for p in based.family.pairs] == [("a", "b"), ("c", "b")]


def test_clusters_of_two_and_of_three_conditions(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = [(i, c, f"p{i // 4}", rng.normal(n, 1)) for i in range(48) for n, c in enumerate("abc")]
    path = written(tmp_path / "t.csv", "item,model,passage,score", rows)
    compared = partial(crucible_ray.compare, path, value="score", by="model", pair="item", cluster="passage")
    two = compared(conditions=("b", "a"))
    by = {c: [row[3] for row in rows if row[1] == c] for c in "abc"}
    passages = [row[2] for row in rows if row[1] == "a"]
    same = stats.compare(by["b"], by["a"], paired=True, clusters=passages)
    assert two.comparison is not None
    assert two.comparison.to_dict() == same.to_dict()
    together = stats.compare_groups(by, paired=True, clusters=passages)
    three = compared()
    assert three.reason == together.reason
    assert three.family is not None
    for ours, theirs in zip(three.family, together.family, strict=True):
        assert (ours.a, ours.b, ours.test) == (theirs.a, theirs.b, "cluster_t")
        assert ours.p_adjusted == pytest.approx(theirs.p_adjusted, rel=1e-9)
        assert ours.ci_low == pytest.approx(theirs.ci_low, rel=1e-9)
    with pytest.raises(
        UsageError, match="of items that every condition has: name the column of item ids with --pair"
    ):
        crucible_ray.compare(path, value="score", by="model", cluster="passage")


def test_strata_margin_kind_and_alpha_reach_the_test(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = [(i, c, "xy"[i % 2], int(rng.integers(1, 6))) for i in range(60) for c in "ab"]
    path = written(tmp_path / "t.csv", "item,model,part,score", rows)
    by = {c: [row[3] for row in rows if row[1] == c] for c in "ab"}
    parts = [row[2] for row in rows if row[1] == "a"]
    for ours, theirs in (
        ({"strata": "part"}, {"strata": parts}),
        ({"margin": 0.3}, {"margin": 0.3}),
        ({"kind": "ordinal"}, {"kind": "ordinal"}),
        ({"alpha": 0.2}, {"alpha": 0.2}),
    ):
        found = crucible_ray.compare(path, value="score", by="model", pair="item", **ours).comparison
        same = stats.compare(by["a"], by["b"], paired=True, **theirs)
        assert found is not None
        assert (found.p_value, found.ci_low, found.test) == (same.p_value, same.ci_low, same.test)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"value": "scor", "by": "modle"},
            r"no column 'modle': did you mean 'model'\?\nt.csv has no column 'scor'",
        ),
        ({}, "which column holds the outcome"),
        ({"value": "model", "by": "item"}, "row 1: 'model' is 'a', which is no number"),
        ({"value": "score", "by": "model", "pair": "item", "baseline": "c"}, "no condition is called 'c'"),
        ({"value": "score", "by": "model", "conditions": ("a", "x")}, "no condition is called 'x'"),
        ({"value": "score"}, "there is one condition, 't'"),
        ({"value": "score", "by": "model", "test": "paired_tt"}, "did you mean paired_t"),
        (
            {"value": "score", "by": "model", "correction": "holmes"},
            "no correction 'holmes': did you mean 'holm'",
        ),
        (
            {"value": "score", "by": "model", "pair": "item", "repeat": "one"},
            r"item '2' \(repeat 0\) stands 2 times",
        ),
        ({"value": "score", "by": "model", "pair": "other"}, "no item is in every condition"),
        ({"value": "score", "by": "model", "pair": "gap"}, "row 3: 'gap' is empty"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_mend(
    options: dict[str, object], told: str, tmp_path: Path
) -> None:
    rows = [
        (1, "a", 1, 0, "x1", "g"), (2, "a", 0, 0, "x2", "g"), (2, "a", 0, 0, "x3", ""),
        (1, "b", 1, 0, "y1", "g"), (2, "b", 1, 0, "y2", "g"),
    ]  # fmt: skip
    path = written(tmp_path / "t.csv", "item,model,score,one,other,gap", rows)
    with pytest.raises((UsageError, StatsError), match=told):
        crucible_ray.compare(path, **options)  # type: ignore[arg-type]


def test_a_pair_says_whose_note_it_is_and_a_design_without_its_test_is_refused(tmp_path: Path) -> None:
    rows = [(i, c, f"p{i // 4}", (i * (n + 2)) % 3 == 0) for i in range(40) for n, c in enumerate("abc")]
    path = written(tmp_path / "t.csv", "item,model,passage,right", rows)
    compared = partial(crucible_ray.compare, path, value="right", by="model", pair="item")
    notes = compared(correction="holm").notes
    assert any(note.startswith("c - b: ") for note in notes)
    assert "intervals of pairs are at 95 % each, not of all together" in notes
    with pytest.raises(UsageError, match="clusters and strata choose the test: leave out anova, or them"):
        compared(cluster="passage", test="anova")
    with pytest.raises(UsageError, match="--cluster and --strata together"):
        compared(cluster="passage", strata="passage")


def test_an_item_in_two_clusters_is_refused(tmp_path: Path) -> None:
    rows = [(i, c, f"p{i // 4}{c if i == 5 else ''}", i % 2) for i in range(40) for c in "ab"]
    path = written(tmp_path / "t.csv", "item,model,passage,right", rows)
    with pytest.raises(UsageError, match="an item is in two clusters"):
        crucible_ray.compare(path, value="right", by="model", pair="item", cluster="passage")


def test_no_common_item_shows_ids_of_both_and_the_way_out(tmp_path: Path) -> None:
    rows = [(f"{c}{i}", c, i % 2) for i in range(8) for c in "ab"]
    path = written(tmp_path / "t.csv", "item,model,score", rows)
    with pytest.raises(UsageError, match=r"a: a0, a1, a2, \.\.\.\n  b: b0, b1, b2(.|\n)*--unpaired"):
        crucible_ray.compare(path, value="score", by="model", pair="item")
    found = crucible_ray.compare(path, value="score", by="model", pair="item", unpaired=True)
    assert not found.paired


def test_semicolons_and_other_encodings_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("item;model;score\n1;a;1\n")
    with pytest.raises(UsageError, match="parted by semicolons"):
        crucible_ray.compare(tmp_path / "t.csv", value="score", by="model")
    (tmp_path / "u.csv").write_bytes("model,score\ncaf\xe9,1\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"u\.csv is not a readable UTF-8 CSV file"):
        crucible_ray.compare(tmp_path / "u.csv", value="score", by="model")


def test_a_model_may_be_called_na_and_an_item_007(tmp_path: Path) -> None:
    rows = [(f"00{i}", c, (i + n) % 2) for i in range(8) for n, c in enumerate(("NA", "b"))]
    path = written(tmp_path / "t.csv", "item,model,score", rows)
    found = crucible_ray.compare(path, value="score", by="model", pair="item")
    assert [each.name for each in found.conditions] == ["NA", "b"]


def ran(folder: Path, *names: str, title: str = "A run") -> api.RunResult:
    experiment = Experiment(
        name=title, dataset="demo", sample_size=12, repeat=2, max_tokens=20,
        conditions=[Model("openai_gpt4o_mini", name=name, temperature=0.1 * n) for n, name in enumerate(names)],
    )  # fmt: skip
    options = api.Options(output_dir=folder, runtime="in-process", formats=())
    return api.run(api.prepare(experiment, simulate=True), options=options)


def test_results_folders_are_compared_within_and_with_one_another(tmp_path: Path) -> None:
    first, second = ran(tmp_path, "one", "two"), ran(tmp_path, "one", "other", title="Another")
    within = crucible_ray.compare(first)
    same = first.compare("two", "one")
    assert within.comparison is not None
    assert within.metric == "accuracy"
    assert (within.comparison.estimate, within.comparison.p_value) == (same.estimate, same.p_value)
    means = [first["one"].accuracy.value, first["two"].accuracy.value]
    assert [each.mean_all for each in within.conditions] == pytest.approx(means)
    both = crucible_ray.compare(first.results_dir, second.results_dir)
    folders = first.results_dir.name, second.results_dir.name
    assert [each.name for each in both.conditions] == [
        f"{folders[0]}: one", "two", f"{folders[1]}: one", "other",
    ]  # fmt: skip
    two = crucible_ray.compare(first, second, conditions=["two", "other"], metric="latency_mean")
    assert (two.metric, two.paired) == ("latency_mean", True)


def test_what_our_items_know_of_themselves_can_be_cluster_or_stratum(tmp_path: Path) -> None:
    result = ran(tmp_path, "one", "two")
    lines = (result.results_dir / "dataset.jsonl").read_text().splitlines()
    topics = {json.loads(line)["topic"] for line in lines}
    assert f"{len(topics)} clusters" in crucible_ray.compare(result, cluster="topic").reason
    assert "tasks" in crucible_ray.compare(result, strata="topic").reason
    with pytest.raises(UsageError, match=r"an item has no 'topics': did you mean 'topic'\?"):
        crucible_ray.compare(result, cluster="topics")


def test_a_parquet_or_csv_of_ours_needs_no_column_named(tmp_path: Path) -> None:
    result = ran(tmp_path, "one", "two")
    folder = crucible_ray.compare(result)
    for name in ("results.parquet", "results.csv"):
        found = crucible_ray.compare(result.results_dir / name)
        assert found.comparison is not None
        assert folder.comparison is not None
        assert found.comparison.p_value == folder.comparison.p_value
        assert found.matched == 12


def test_a_run_without_results_says_the_mend(tmp_path: Path) -> None:
    result = ran(tmp_path, "one", "two")
    (result.results_dir / "results.parquet").unlink()
    with pytest.raises(UsageError, match=r"has no results\.parquet yet: resume the run to get one"):
        crucible_ray.compare(result)


def test_acompare_says_the_same_from_a_running_loop(tmp_path: Path) -> None:
    path = guide(tmp_path)
    found = asyncio.run(crucible_ray.acompare(path, value="score", by="group"))
    assert found == crucible_ray.compare(path, value="score", by="group")


def test_a_column_with_one_cluster_is_refused(tmp_path: Path) -> None:
    rows = [
        f"{item},{model},p1,{item % gap}"
        for item in range(12)
        for model, gap in (("a", 2), ("b", 3), ("c", 4))
    ]
    path = tmp_path / "scores.csv"
    path.write_text("\n".join(["item,model,passage,score", *rows]))
    compared = partial(crucible_ray.compare, path, value="score", by="model", pair="item", cluster="passage")
    with pytest.raises(UsageError, match="12 shared items are all in one cluster"):
        compared()
    with pytest.raises(UsageError, match="name a column with two or more"):
        compared(conditions=("a", "b"))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_integers_that_no_float_keeps_are_refused(tmp_path: Path, ending: str) -> None:
    frame = pd.DataFrame(
        {"model": ["a", "b"] * 3, "item": [0, 0, 1, 1, 2, 2], "at": [2**60 + k for k in range(6)]}
    )
    path = tmp_path / f"t.{ending}"
    if ending == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    with pytest.raises(UsageError, match=rf"t\.{ending}: column 'at' holds integers above 2\^53"):
        crucible_ray.compare(path, value="at", by="model", pair="item")
