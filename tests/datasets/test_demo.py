from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from crucible_ray.datasets import load_items, to_jsonl
from crucible_ray.datasets.demo import demo_items


def test_the_shipped_file_is_what_the_generator_makes_byte_for_byte() -> None:
    assert (files("crucible_ray.datasets") / "demo.jsonl").read_bytes() == to_jsonl(demo_items())


def test_the_demo_set_holds_100_different_well_formed_items(tmp_path: Path) -> None:
    demo = load_items("demo", base=tmp_path)
    assert (demo.name, demo.version, len(demo.items)) == ("demo", "demo-1", 100)
    assert demo.items == demo_items()
    assert len({item.input for item in demo.items}) == len({item.id for item in demo.items}) == 100
    for item in demo.items:
        assert item.choices is not None
        assert len(set(item.choices)) == 4
        assert item.expected in ("A", "B", "C", "D")
        assert item.difficulty is not None
        assert 0 <= item.difficulty <= 1


def test_no_letter_is_right_much_more_often_than_another(tmp_path: Path) -> None:
    letters = [item.expected for item in load_items("demo", base=tmp_path).items]
    assert all(15 <= letters.count(letter) <= 35 for letter in "ABCD")


def test_sums_are_right() -> None:
    for item in demo_items():
        if item.topic == "addition":
            left, _, right = item.input.removeprefix("What is ").rstrip("?").partition(" + ")
            assert item.choices is not None
            assert item.choices["ABCD".index(item.expected or "")] == str(int(left) + int(right))
