"""MMLU (Hendrycks et al. 2021) from a local folder: one `<subject>_test.csv` a subject, answers as 0 to 3."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Final

from crucible_ray.errors import DatasetError
from crucible_ray.records import Item

STEM: Final = (
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
)
"""The 19 subjects of `mmlu_stem`, in canonical order."""

_COLUMNS = ("question", "choice0", "choice1", "choice2", "choice3", "answer")


def read_mmlu(folder: Path, subjects: Sequence[str] | None = None) -> list[Item]:
    """The test items of some subjects, in the order given; None: of every subject in the folder, by name.

    folder: holds `<subject>_test.csv`, itself or in `test/`. Item ids are `subject/row`, rows counted from 0.
    Raises DatasetError, naming file and line, where a file is missing or is not what it should be.
    """
    inner = folder / "test"
    where = inner if inner.is_dir() else folder
    if subjects is None:
        subjects = sorted(path.name.removesuffix("_test.csv") for path in where.glob("*_test.csv"))
    if not subjects:
        raise DatasetError(
            f"{where} holds no <subject>_test.csv. Give the folder that does: Dataset(..., path=FOLDER)."
        )
    return [item for subject in subjects for item in _read_subject(where / f"{subject}_test.csv", subject)]


def _read_subject(path: Path, subject: str) -> list[Item]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != _COLUMNS:
                raise DatasetError(f"{path}, line 1: the header must be {','.join(_COLUMNS)}.")
            return [
                _item(row, f"{subject}/{number}", subject, f"{path}, line {reader.line_num}")
                for number, row in enumerate(reader)
            ]
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read ({error.strerror}). MMLU is read from a local folder with one "
            "<subject>_test.csv per subject: Dataset(..., path=FOLDER)."
        ) from error


def _item(row: dict[str, str], item_id: str, subject: str, where: str) -> Item:
    answer = row["answer"]
    if answer not in ("0", "1", "2", "3"):
        raise DatasetError(f"{where}: the answer is {answer!r}; it must be 0, 1, 2 or 3.")
    return Item(
        id=item_id,
        input=row["question"],
        expected=ascii_uppercase[int(answer)],
        choices=tuple(row[name] for name in _COLUMNS[1:5]),
        topic=subject,
    )
