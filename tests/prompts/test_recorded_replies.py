"""Readers against what real models wrote, where their sources say how it was scored."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from crucible_ray.prompts import answer_key, parser
from crucible_ray.records import Item

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
CODEX, DRIFT = SHARED / "bbh" / "codex-outputs", SHARED / "llmdrift" / "PRIME_FULL_EVAL.csv"


@pytest.mark.skipif(not CODEX.is_dir(), reason="needs ../shared/data/bbh/codex-outputs")
@pytest.mark.parametrize(
    ("task", "parse", "prompt", "accuracy", "unreadable"),
    [
        ("boolean_expressions", "boolean", "cot", 92.8, 4),  # four replies that never come to an end
        ("boolean_expressions", "boolean", "direct", 88.4, 0),
        ("date_understanding", "choice", "cot", 87.2, 1),  # another one
        ("date_understanding", "choice", "direct", 63.6, 0),
        ("logical_deduction_three_objects", "choice", "cot", 87.6, 0),
        ("logical_deduction_three_objects", "choice", "direct", 52.8, 0),
    ],
)
def test_answers_of_codex_come_to_the_accuracies_that_were_published(
    task: str, parse: str, prompt: str, accuracy: float, unreadable: int
) -> None:
    path = CODEX / f"code-davinci-002-{prompt}" / f"{task}_few_shot_template_0-255000.json"
    read, right, unread = parser(parse), 0, 0
    outputs = json.loads(path.read_text(encoding="utf-8"))["outputs"]
    for made in outputs:
        (prompt_key,) = made.keys() - {"prediction", "target"}
        choices = re.findall(r"^\([A-Z]\) (.*)$", made[prompt_key].rsplit("\n\nQ:", 1)[-1], re.MULTILINE)
        expected = made["target"].strip("()")
        item = Item(id="1", input="?", expected=expected, choices=tuple(choices) or None)
        answer = read(made["prediction"], item)
        right += answer == answer_key(parse, item)
        unread += answer is None
    assert (len(outputs), unread) == (250, unreadable)
    assert 100 * right / len(outputs) == pytest.approx(accuracy)


@pytest.mark.skipif(not DRIFT.is_file(), reason="needs ../shared/data/llmdrift")
def test_no_answer_of_gpt_3_5_and_gpt_4_in_brackets_is_read_as_the_other_one() -> None:
    read, item, agreed, unread = parser("boolean"), Item(id="1", input="?"), 0, 0
    with DRIFT.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            stated = re.findall(r"\[(Yes|No)\]", row["answer"], re.IGNORECASE)
            if stated:
                answer = read(row["answer"], item)
                agreed += answer == {"yes": "true", "no": "false"}[stated[-1].lower()]
                unread += answer is None
    assert (agreed, unread) == (3757, 1)  # of 3,758; one says what it would answer if it knew
