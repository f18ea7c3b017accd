from __future__ import annotations

import json
from pathlib import Path

import pytest

from crucible_ray.datasets import STEM, load_items, read_mmlu
from crucible_ray.errors import DatasetError
from crucible_ray.records import Item

HEADER = "question,choice0,choice1,choice2,choice3,answer\n"
SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
needs_mmlu = pytest.mark.skipif(not (SHARED / "mmlu").is_dir(), reason="needs ../shared/data/mmlu")


def test_an_item_carries_subject_row_and_letter(tmp_path: Path) -> None:
    (tmp_path / "anatomy_test.csv").write_text(HEADER + '"a, b?",w,x,y,z,0\nc?,1,2,3,4,3\n')
    assert read_mmlu(tmp_path, ["anatomy"]) == [
        Item(id="anatomy/0", input="a, b?", expected="A", choices=("w", "x", "y", "z"), topic="anatomy"),
        Item(id="anatomy/1", input="c?", expected="D", choices=("1", "2", "3", "4"), topic="anatomy"),
    ]


def test_all_subjects_of_a_folder_come_by_name(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    for subject in ("virology", "anatomy"):
        (tmp_path / "test" / f"{subject}_test.csv").write_text(HEADER + "?,w,x,y,z,0\n")
    assert [item.topic for item in load_items("mmlu", base=tmp_path.parent, path=tmp_path).items] == [
        "anatomy",
        "virology",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("question,answer\n?,0\n", "line 1: a row holds question, four choices and answer; here are 2"),
        (HEADER + "?,w,x,y,z,E\n", "line 2: the answer is 'E'"),
    ],
)
def test_a_file_that_is_not_mmlu_is_refused_by_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "anatomy_test.csv").write_text(content)
    with pytest.raises(DatasetError, match=message):
        read_mmlu(tmp_path, ["anatomy"])


def test_a_missing_subject_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"anatomy_test\.csv cannot be read"):
        read_mmlu(tmp_path, ["anatomy"])
    with pytest.raises(DatasetError, match=r"holds no <subject>_test\.csv"):
        read_mmlu(tmp_path)


@needs_mmlu
def test_the_real_stem_subjects_agree_with_the_recorded_answers_about_what_is_right() -> None:
    loaded = load_items("mmlu_stem", base=SHARED, path="mmlu")
    right = {item.id: item.expected for item in loaded.items}
    recorded = 0
    with (SHARED / "recorded" / "mmlu_helm10.jsonl").open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            if record["subject"] in STEM:
                assert right[f"{record['subject']}/{record['index']}"] == record["answer"]
                recorded += 1
    assert (len(loaded.items), recorded) == (3153, 3141)
