"""MMLU (Hendrycks et al. 2021) from a local folder: one `<split>/<subject>_<split>.csv` for each subject.

Two forms of a file are read: as it was published, without a header and with a letter as the answer, and with
the header `question,choice0,choice1,choice2,choice3,answer` and 0 to 3.
"""

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

SPLITS: Final = ("test", "val", "dev")
PUBLISHED: Final = "https://people.eecs.berkeley.edu/~hendrycks/data.tar"
_COLUMNS = ("question", "choice0", "choice1", "choice2", "choice3", "answer")


def subjects_of(name: str) -> Sequence[str] | None:
    """The subjects that a dataset's name stands for, `mmlu_stem` or `mmlu_<subject>`; None for all of them."""
    if name == "mmlu":
        return None
    subject = name.removeprefix("mmlu_").removeprefix("mmlu/")
    return STEM if subject == "stem" else (subject,)


def read_mmlu(folder: Path, subjects: Sequence[str] | None = None, split: str = "test") -> list[Item]:
    """The items of some subjects, in the order given; None: of every subject in the folder, by name.

    folder: holds `<subject>_<split>.csv`, itself, in `<split>/` or in `data/<split>/`. Item ids are
    `subject/row`, of other splits than `test` `subject/split/row`, rows counted from 0. Raises DatasetError,
    naming file and line, where a file is missing or is not what it should be.
    """
    inner = [each for each in (folder / split, folder / "data" / split) if each.is_dir()]
    where = inner[0] if inner else folder
    if subjects is None:
        found = {path.name.removesuffix(f"_{split}.csv") for path in where.glob(f"*_{split}.csv")}
        subjects = sorted(found)
    if not subjects:
        raise DatasetError(
            f"{where} holds no <subject>_{split}.csv. Give the folder that does: Dataset(..., path=FOLDER)."
        )
    paths = [(where / f"{subject}_{split}.csv", subject) for subject in subjects]
    return [item for path, subject in paths for item in _read_subject(path, subject, split)]


def _read_subject(path: Path, subject: str, split: str) -> list[Item]:
    place = subject if split == "test" else f"{subject}/{split}"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            rows = [(row, reader.line_num) for row in reader]
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read ({error.strerror}). MMLU is read from a local folder with one "
            f"<subject>_{split}.csv per subject: Dataset(..., path=FOLDER)."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is no CSV file in UTF-8: {error}.") from error
    headed = bool(rows) and tuple(rows[0][0]) == _COLUMNS
    return [
        _item(row, f"{place}/{number}", subject, f"{path}, line {line}")
        for number, (row, line) in enumerate(rows[1:] if headed else rows)
    ]


def _item(row: list[str], item_id: str, subject: str, where: str) -> Item:
    if len(row) != len(_COLUMNS):
        raise DatasetError(
            f"{where}: a row holds question, four choices and answer; here are {len(row)} cells."
        )
    answer = row[5].strip()
    at = (ascii_uppercase[:4] if answer.isalpha() else "0123").find(answer) if answer else -1
    if len(answer) != 1 or at < 0:
        raise DatasetError(f"{where}: the answer is {row[5]!r}; it must be A to D, or 0 to 3.")
    return Item(
        id=item_id, input=row[0], expected=ascii_uppercase[at], choices=tuple(row[1:5]), topic=subject
    )
