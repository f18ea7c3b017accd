from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crucible_ray.datasets import LoadedDataset, checksum, load_items, to_jsonl
from crucible_ray.errors import DatasetError
from crucible_ray.records import Item

RECORDS: list[dict[str, Any]] = [
    {"id": "a", "question": "2 + 2?", "choices": ["3", "4"], "answer": 1, "topic": "sums", "difficulty": 0.1},
    {
        "id": "b",
        "question": "Capital of France?",
        "choices": ["Paris", "Rome"],
        "answer": "Paris",
        "year": 2024,
    },
]
ITEMS = [
    Item(
        id="a",
        input="2 + 2?",
        expected="B",
        choices=("3", "4"),
        topic="sums",
        difficulty=0.1,
        metadata={"question": "2 + 2?"},
    ),
    Item(
        id="b",
        input="Capital of France?",
        expected="A",
        choices=("Paris", "Rome"),
        metadata={"question": "Capital of France?", "year": 2024},
    ),
]


def load(source: Any, base: Path = Path(), **options: Any) -> LoadedDataset:
    return load_items(source, base=base, **options)


def one(record: dict[str, Any], **options: Any) -> Item:
    return load([record], **options).items[0]


def refused(source: Any, base: Path = Path(), **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        load(source, base, **options)
    return str(caught.value)


def test_a_list_of_mappings_is_a_dataset() -> None:
    loaded = load(RECORDS)
    assert (loaded.name, loaded.items) == ("inline", ITEMS)
    assert loaded.version == f"sha256:{checksum(ITEMS)[:16]}"


def test_a_list_of_items_is_taken_as_it_is() -> None:
    assert load(ITEMS).items == ITEMS


def test_jsonl_csv_and_parquet_give_the_same_items(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text("\ufeff" + "\n\n".join(map(json.dumps, RECORDS)) + "\n", "utf-8")
    (tmp_path / "items.csv").write_text(
        "id,question,choices,answer,topic,difficulty\n"
        'a,2 + 2?,"[""3"", ""4""]",1,sums,0.1\n'
        'b,Capital of France?,"[""Paris"", ""Rome""]",Paris,,\n',
        "utf-8",
    )
    rows = [{**record, "answer": str(record["answer"])} for record in RECORDS]
    pq.write_table(pa.Table.from_pylist(rows, schema=_schema()), tmp_path / "items.parquet")
    assert load("items.jsonl", tmp_path).items == ITEMS
    assert load("items.parquet", tmp_path).items == ITEMS
    from_csv = load("items.csv", tmp_path).items
    assert [item.expected for item in from_csv] == ["B", "A"]
    assert [item.difficulty for item in from_csv] == [0.1, None]


def _schema() -> pa.Schema:
    text = pa.string()
    return pa.schema(
        {"id": text, "question": text, "choices": pa.list_(text), "answer": text, "topic": text}
        | {"difficulty": pa.float64(), "year": pa.int64()}
    )


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    (tmp_path / "dataset.jsonl").write_bytes(to_jsonl(ITEMS))
    assert load("dataset.jsonl", tmp_path).items == ITEMS


def test_a_path_is_relative_to_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "items.jsonl").write_text('{"input": "?"}')
    assert load("data/items.jsonl", tmp_path).items == [Item(id="0", input="?")]
    assert load(Path("data/items.jsonl"), tmp_path).name == "data/items.jsonl"


def test_no_dataset_is_one_empty_item_for_each_repeat() -> None:
    assert load(None, repeat=2).items == [Item(id="0", input=""), Item(id="1", input="")]


def test_an_item_without_an_id_takes_its_row_number() -> None:
    assert [item.id for item in load([{"input": "x"}, {"id": 12, "input": "y"}, {"input": "z"}]).items] == [
        "0",
        "12",
        "2",
    ]


def test_a_sample_comes_from_the_ids(tmp_path: Path) -> None:
    demo = load("demo", tmp_path)
    few, more = (load("demo", tmp_path, sample_size=size, seed=3) for size in (10, 40))
    assert (
        {item.id for item in few.items} < {item.id for item in more.items} < {item.id for item in demo.items}
    )
    assert few.version == demo.version


@pytest.mark.parametrize(
    ("expected", "choices", "letter"),
    [
        ("b", ["x", "y"], "B"),
        ("B", ["x", "y"], "B"),
        (1, ["x", "y"], "B"),
        (1.0, ["x", "y"], "B"),
        ("1", ["x", "y"], "B"),
        ("y", ["x", "y"], "B"),
        (" y ", ["x", "y"], "B"),
        ("4", ["3", "4"], "B"),
        (0, ["0", "1"], "A"),
        (2, ["1", "2", "3"], "C"),
        (True, ["false", "true"], "B"),
        ("B", ["B", "A"], "B"),
        (None, ["x", "y"], None),
    ],
)
def test_expected_becomes_a_letter(expected: object, choices: list[str], letter: str | None) -> None:
    assert one({"input": "?", "choices": choices, "expected": expected}).expected == letter


def test_expected_without_choices_stays_text() -> None:
    assert one({"input": "?", "target": 42}).expected == "42"
    assert one({"input": "?", "label": True}).expected == "true"


def test_other_fields_are_metadata() -> None:
    item = one(
        {"input": "?", "expected": "4", "answer": "four", "tags": ["x"], "metadata": {"n": 1}, "gone": None}
    )
    assert item.metadata == {"answer": "four", "tags": '["x"]', "n": 1}


def test_a_difficulty_in_words_is_metadata() -> None:
    item = one({"input": "?", "difficulty": "hard"})
    assert (item.difficulty, item.metadata) == (None, {"difficulty": "hard"})


def test_a_field_that_became_ours_is_still_found_under_its_own_name_unless_it_is_the_answer() -> None:
    ticket = one({"text": "It is broken.", "label": "technical"})
    assert (ticket.input, ticket.expected, ticket.metadata) == (
        "It is broken.",
        "technical",
        {"text": "It is broken."},
    )


def test_fields_say_what_a_source_calls_them() -> None:
    item = one({"text": "?", "gold": "x", "input": "other"}, fields={"input": "text", "expected": "gold"})
    assert (item.input, item.expected, item.metadata) == ("?", "x", {"text": "?", "input": "other"})


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"id": 1, "input": "?"}, {"id": "1", "input": "!"}], "items 0 and 1 .* same id '1'"),
        ([], "holds no items"),
        ([{"txt": "?"}], r"item 0: there is no 'input' .*holds 'txt'.*fields="),
        ([{"input": ["?"]}], "'input' is a list"),
        ([{"input": "?", "choices": ["x", "y"], "expected": "E"}], r"'expected' \('E'\) is none of .*A to B"),
        ([{"input": "?", "choices": ["x", "y"], "expected": 2}], "is none of the choices"),
        (
            [{"input": "?", "choices": ["1", "2", "3"], "expected": "2"}],
            "more than one of the choices.*letter",
        ),
        ([{"input": "?", "choices": ["x"]}], "1 choices; there must be 2 to 26"),
        ([{"input": "?", "choices": "x, y"}], "JSON list"),
        ([{"input": "?", "difficulty": 1.5}], "between 0"),
        (["?"], "item 0: it is a str"),
        ({"input": "?"}, "it must be a name, a path, a list of mappings"),
        (7, "it must be a name, a path, a list of mappings"),
        ("dmo", "Did you mean 'demo'"),
        ("nosuch.jsonl", "does not exist. A dataset's path is relative"),
        ("mmlu_stem", "path=FOLDER"),
    ],
)
def test_what_cannot_be_a_dataset_is_refused_with_the_mend(records: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=f"(?s){message}"):
        load(records)


def test_a_file_beside_the_one_that_is_named_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "capitals.csv").touch()
    told = refused("capitls.csv", tmp_path)
    assert f"does not exist. Did you mean '{tmp_path / 'capitals.csv'}'?" in told


def test_fields_and_sizes_are_checked() -> None:
    assert "did you mean 'expected'" in refused(RECORDS, fields={"expectd": "gold"})
    assert "there is no field 'txt'" in refused([{"text": "?"}], fields={"input": "txt"})
    assert "at least 1" in refused(RECORDS, sample_size=0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b'{"input": "?"}\n\n{"input": \n', "x.jsonl, line 3: this is not JSON"),
        ("x.jsonl", b'{"input": "?"}\n[1]\n', "x.jsonl, line 2: a line must be a JSON object"),
        ("x.jsonl", b'{"input": "?"}\n{"input": "\xff"}\n', "x.jsonl, line 2: this is not UTF-8"),
        ("x.jsonl", b"", "holds no items"),
        ("x.csv", b"input,expected\nx,y\nx,y,z\n", "x.csv, line 3: the header has 2 fields"),
        ("x.csv", b"input,expected\nx\n", "x.csv, line 2: the header has 2 fields"),
        ("x.csv", b'input,expected\n"x"y,z\n', "x.csv, line 2: "),
        ("x.csv", b"id;question\n1;Is it?\n", "x.csv, line 1: the fields are separated by ';'"),
        ("x.csv", b"id\tquestion\n1\tIs it, or not?\n", "x.csv, line 1: the fields are separated by '\\t'"),
        ("x.parquet", b"PAR1", "is not a readable Parquet file"),
        ("x.txt", b"", "must end in .jsonl, .csv, .parquet"),
    ],
)
def test_a_damaged_file_is_refused_by_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert message in refused(name, tmp_path)


def test_a_csv_cell_may_hold_lines_and_commas(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b'input,expected\r\n"one,\ntwo",y\r\n,z\r\n')
    assert "x.csv, line 4: there is no 'input'" in refused("x.csv", tmp_path)
    (tmp_path / "x.csv").write_bytes('input,expected\r\n"one,\n\u2028two",y\r\n'.encode())
    assert load("x.csv", tmp_path).items[0].input == "one,\n\u2028two"


def test_missing_values_and_numbers_of_numpy_in_a_list_of_mappings_are_read_as_in_a_table() -> None:
    records = [
        {"input": "a", "expected": np.int64(3), "topic": math.nan},
        {"input": "b", "expected": math.nan, "year": np.float32(0.5)},
    ]
    expected = [Item(id="0", input="a", expected="3"), Item(id="1", input="b", metadata={"year": 0.5})]
    assert load(records).items == expected
    assert load([{"input": "a", "expected": math.nan}, {"input": "b"}]).items[0].expected is None
    assert "no 'input'" in refused([{"input": math.nan}])


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("input,expected,expected\n2 + 2?,4,5\n", "utf-8")
    assert "items.csv, line 1: 'expected' names more than one column" in refused("items.csv", tmp_path)
    frame = pd.DataFrame([["2 + 2?", "4", "5"]], columns=["input", "expected", "expected"])
    assert "'expected' names more than one column" in refused(frame)
