"""Which item a conversation asks about."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from crucible_ray.errors import DatasetError
from crucible_ray.records import Item
from crucible_ray.simulator.answers import AnswerKey, load_items, made_up

_DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
_STEM = [
    "abstract_algebra",
    "anatomy",
    "astronomy",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "electrical_engineering",
    "elementary_mathematics",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_mathematics",
    "high_school_physics",
    "high_school_statistics",
    "machine_learning",
]


def _asked(item: Item, frame: str = "{}") -> str:
    options = "".join(
        f"\n{letter}. {choice}" for letter, choice in zip("ABCD", item.choices or (), strict=False)
    )
    return frame.format(item.input) + options + "\nAnswer:"


def test_an_item_is_found_on_a_line_of_its_own_and_inside_a_line() -> None:
    items = [
        Item(id="x", input="What is Nmap?", expected="scanner"),
        Item(id="y", input="A long question\nover two lines?", expected="yes"),
    ]
    key = AnswerKey(items)
    for frame in ("{}", "Question: {}", "Answer this, please ({}) in one word."):
        assert [key.find(_asked(item, frame)).id for item in items] == ["x", "y"]


def test_the_last_question_counts_where_examples_come_first() -> None:
    first, second = (Item(id=n, input=f"What is the capital of {n}?", expected=n) for n in ("Peru", "Mali"))
    key = AnswerKey([first, second])
    assert key.find(_asked(first) + " Lima\n\n" + _asked(second)).id == "Mali"
    assert key.find(_asked(second, "Q: {}") + " Bamako\n\n" + _asked(first, "Q: {}")).id == "Peru"


def test_a_question_inside_a_longer_one_is_not_taken_for_it() -> None:
    key = AnswerKey(
        [Item(id="short", input="2+2", expected="4"), Item(id="long", input="12+2+2", expected="16")]
    )
    assert key.find("Compute 12+2+2 now").id == "long"
    assert key.find("Compute 2+2 now").id == "short"


def test_items_that_ask_the_same_are_told_apart_by_the_order_of_their_choices() -> None:
    items = [
        Item(id="up", input="Which?", expected="A", choices=("1", "2", "12")),
        Item(id="down", input="Which?", expected="A", choices=("12", "2", "1")),
        Item(id="other", input="Which?", expected="A", choices=("3", "2", "1")),
    ]
    key = AnswerKey(items)
    assert [key.find(_asked(item)).id for item in items] == ["up", "down", "other"]


def test_every_recorded_stem_item_of_mmlu_is_found_by_its_prompt() -> None:
    recorded = _DATA / "recorded" / "mmlu_helm10.jsonl"
    if not recorded.exists():
        pytest.skip(f"no shared data at {_DATA}")
    lines = map(json.loads, recorded.read_text().splitlines())
    wanted = {(line["subject"], line["index"]) for line in lines}
    items = []
    for subject in _STEM:
        with (_DATA / "mmlu" / "test" / f"{subject}_test.csv").open(newline="") as file:
            for index, (question, *choices, _) in enumerate(list(csv.reader(file))[1:]):
                if (subject, index) in wanted:
                    items.append(Item(id=f"{subject}/{index}", input=question, choices=tuple(choices)))
    key = AnswerKey(items)
    for frame in ("{}", "Question: {}"):
        assert [key.find(_asked(item, frame)).id for item in items] == [item.id for item in items]
    assert len(items) == 3_141


def test_without_a_key_a_sum_has_its_result_and_choices_have_a_letter() -> None:
    assert made_up("What is 17 + 25?").right == "42"
    assert made_up("What is -3*4?").right == "-12"
    lettered = made_up("Which one?\nA. this\nB. that\nC. neither")
    assert {lettered.right, *lettered.wrong} == {"A", "B", "C"}
    assert made_up("Tell me something.") == made_up("Tell me something.")


def test_expected_may_be_a_letter_an_index_or_a_choice(tmp_path: Path) -> None:
    lines = [
        {"id": 7, "input": "a", "expected": "b", "choices": ["x", "y"]},
        {"input": "b", "expected": 1, "choices": ["x", "y"]},
        {"input": "c", "expected": "y", "choices": ["x", "y"], "difficulty": 0.2, "topic": "unread"},
        {"input": "d", "expected": 42},
    ]
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    assert [(item.id, item.expected) for item in load_items(path)] == [
        ("7", "B"),
        ("1", "B"),
        ("2", "B"),
        ("3", "42"),
    ]


def test_a_bad_line_of_an_items_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"input": "a"}\n\n{"inptu": "b"}\n')
    with pytest.raises(DatasetError, match=r"items\.jsonl:3: .*input"):
        load_items(path)
    path.write_text('{"input": "a", "expected": "z", "choices": ["x", "y"]}\n')
    with pytest.raises(DatasetError, match="neither a letter"):
        load_items(path)
