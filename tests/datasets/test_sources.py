"""Names, splits, filters and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crucible_ray.datasets import LoadedDataset, load, load_items
from crucible_ray.errors import DatasetError
from crucible_ray.records import Item

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
GSM8K = '{"question": "Two and two?", "answer": "2 + 2 = <<2+2=4>>4\\n#### 1,004"}\n'
needs_data = pytest.mark.skipif(not (SHARED / "gsm8k").is_dir(), reason="needs ../shared/data/gsm8k")


def at(source: Any, base: Path = Path(), **options: Any) -> LoadedDataset:
    return load_items(source, base=base, cache=options.pop("cache", base / "nothing"), **options)


def refused(source: Any, base: Path = Path(), **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        at(source, base, **options)
    return str(caught.value)


def test_test_dataset_is_a_thousand_different_sums_with_numbers_as_answers() -> None:
    items = at("test_dataset").items
    assert len(items) == len({item.input for item in items}) == 1000
    for item in items:
        a, b = item.input.removeprefix("What is ").removesuffix("?").split(" + ")
        assert (item.expected, item.parse) == (str(int(a) + int(b)), "number")


def test_gsm8k_expects_the_number_behind_the_marks(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text(GSM8K)
    assert at("gsm8k", path=tmp_path).items == [
        Item(
            id="test/0",
            input="Two and two?",
            expected="1004",
            metadata={"solution": "2 + 2 = <<2+2=4>>4"},
            parse="number",
        )
    ]


def test_a_published_dataset_is_found_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "train.jsonl").write_text(GSM8K)
    assert at("gsm8k", cache=tmp_path, split="train").items[0].id == "train/0"
    (tmp_path / "mmlu" / "dev").mkdir(parents=True)
    (tmp_path / "mmlu" / "dev" / "anatomy_dev.csv").write_text("x?,1,2,3,4,C\n")
    for name in ("mmlu_anatomy", "mmlu/anatomy", "mmlu"):
        (item,) = at(name, cache=tmp_path, split="dev").items
        assert (item.id, item.expected, item.choices) == ("anatomy/dev/0", "C", ("1", "2", "3", "4"))


def test_a_published_dataset_that_is_nowhere_is_told_where_it_belongs(tmp_path: Path) -> None:
    for name, words in {
        "gsm8k": ("gsm8k", "test.jsonl", "github.com/openai/grade-school-math"),
        "mmlu_anatomy": ("mmlu", "_test.csv", "hendrycks/data.tar"),
    }.items():
        message = refused(name, cache=tmp_path)
        assert str(tmp_path / words[0]) in message
        assert all(word in message for word in (*words, "downloads nothing", "path=FOLDER"))


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("gsm8k", {"split": "dev"}, "gsm8k has no split 'dev'; its splits are test, train"),
        ("demo", {"split": "test"}, "demo has no splits"),
        ([{"input": "?"}], {"split": "test"}, "a list or a table has no split: leave split='test' out"),
        ([{"input": "?"}], {"path": "x"}, "a list or a table has no path: leave path='x' out"),
        ("demo", {"fields": {"input": "text"}}, "demo has its own fields"),
        ("mmlu_anatmy", {}, "Did you mean 'mmlu_anatomy'"),
        (iter([{"input": "?"}]), {}, "it must be a name"),
        (
            "demo",
            {"versions": {"demo": "demo-0"}},
            "has version 'demo-1', and [datasets] versions wants 'demo-0'",
        ),
    ],
)
def test_what_cannot_be_found_is_refused(source: Any, options: dict[str, Any], message: str) -> None:
    assert message in refused(source, **options)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "?", "answer": "4"}', "line 1: the answer does not end with '#### <number>'"),
        ('{"question": "?"}', "line 1: a line of GSM8K holds the texts"),
    ],
)
def test_a_file_that_is_not_gsm8k_is_refused_by_line(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "test.jsonl").write_text(line)
    assert message in refused("gsm8k", path=tmp_path)
    assert "train.jsonl does not exist" in refused("gsm8k", path=tmp_path, split="train")


def test_a_folder_of_files_has_a_split_for_each(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"input": "t"}')
    for part, text in enumerate("ab"):
        name = tmp_path / f"validation-0000{part}-of-00002.parquet"
        pq.write_table(pa.table({"input": [text]}), name)
    loaded = at(".", tmp_path, split="validation")
    assert [(item.id, item.input) for item in loaded.items] == [("0", "a"), ("1", "b")]
    assert at(".", tmp_path, split="train").items[0].input == "t"
    assert "say which split; it holds train, validation" in refused(".", tmp_path)
    assert "has no split 'test'" in refused(".", tmp_path, split="test")
    assert "is one file and has no splits" in refused("train.jsonl", tmp_path, split="train")


def test_a_filter_keeps_items_by_their_fields() -> None:
    physics = at("science", filter={"topic": "physics"}).items
    assert len(physics) == 140
    assert {item.topic for item in physics} == {"physics"}
    some = at("science", filter={"topic": ["physics", "biology"], "kind": ["waves", "codons"]}).items
    assert {item.metadata["kind"] for item in some} == {"waves", "codons"}
    assert len(some) == 40


def test_a_filter_may_be_a_function_and_comes_before_the_sample() -> None:
    hard = at("science", filter=lambda item: item.difficulty > 0.9, sample_size=20)
    assert len(hard.items) == 20
    assert all(item.difficulty is not None and item.difficulty > 0.9 for item in hard.items)
    assert hard.version == "science-1"


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"topc": "x"}, "no item has a field 'topc': did you mean 'topic'"),
        ({"topic": "physic"}, "keeps none of the 700 items, of which topic is 'arithmetic', 'physics'"),
        (lambda item: item.nosuch, "filter fails at item 'arithmetic/sums/0': AttributeError"),
        (lambda item: None, "filter says None at item 'arithmetic/sums/0'; it must say True or False"),
        (lambda item: False, "keeps none of the 700 items"),
        ("physics", "filter is a str"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(keep: Any, message: str) -> None:
    assert message in refused("science", filter=keep)


def test_tables_are_read_like_the_list_of_their_rows() -> None:
    import pandas as pd

    records: list[dict[str, Any]] = [
        {"id": 7, "input": "2 + 2?", "expected": 1, "choices": ["3", "4"], "year": 2024.0},
        {"id": 8, "input": "Rome?", "expected": 0, "choices": ["yes", "no"], "year": None},
    ]
    wanted = at(records)
    assert [item.metadata for item in wanted.items] == [{"year": 2024.0}, {}]
    for table in (pd.DataFrame(records), pa.Table.from_pylist(records), pa.RecordBatch.from_pylist(records)):
        loaded = at(table)
        assert (loaded.name, loaded.items, loaded.version) == ("inline", wanted.items, wanted.version)


def test_missing_cells_of_a_frame_are_missing_fields() -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "input": ["a", "b"],
            "topic": pd.array(["x", None], dtype="string"),
            "n": pd.array([1, None], dtype="Int64"),
        }
    )
    assert at(frame).items == [
        Item(id="0", input="a", topic="x", metadata={"n": 1}),
        Item(id="1", input="b"),
    ]


def test_the_short_form_draws_what_an_experiment_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crucible.toml").write_text(f"[datasets]\ncache_dir = {json.dumps(str(tmp_path))}\n")
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "test.jsonl").write_text(GSM8K)
    monkeypatch.chdir(tmp_path)
    assert load("gsm8k").items[0].expected == "1004"
    few = load("science", sample_size=10, seed=4)
    assert few.items == at("science", sample_size=10, seed=4).items
    assert len(few.checksum) == 64
    assert few.checksum != load("science", sample_size=10, seed=5).checksum


@needs_data
def test_every_answer_of_the_real_gsm8k_is_a_number() -> None:
    for split, count in (("test", 1319), ("train", 7473)):
        items = at("gsm8k", SHARED, path="gsm8k", split=split).items
        assert len(items) == count
        assert all(float(item.expected or "x") is not None for item in items)


@needs_data
def test_the_real_mmlu_has_57_subjects_and_five_examples_of_each() -> None:
    test, dev = (at("mmlu", SHARED, path="mmlu", split=split).items for split in ("test", "dev"))
    assert len({item.topic for item in test}) == len({item.topic for item in dev}) == 57
    assert (len(test), len(dev)) == (14042, 285)
    anatomy = at("mmlu_anatomy", SHARED, path="mmlu").items
    assert anatomy == [item for item in test if item.topic == "anatomy"]
