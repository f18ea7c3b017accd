"""GSM8K (Cobbe et al. 2021): grade-school word problems, one `<split>.jsonl` each for `train` and `test`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from crucible_ray.datasets.formats import read_bytes, records
from crucible_ray.errors import DatasetError
from crucible_ray.records import Item

SPLITS: Final = ("test", "train")
PUBLISHED: Final = "https://github.com/openai/grade-school-math (grade_school_math/data)"
_ANSWER = re.compile(r"####\s*(-?[\d,]+(?:\.\d+)?)\s*$")


def read_gsm8k(folder: Path, split: str = "test") -> list[Item]:
    """The items of a split; ids are `split/row`, rows counted from 0.

    The expected answer is the number after `####`; what stands before it is the metadata's `solution`.
    Raises DatasetError, naming file and line, where the file is missing or is not what it should be.
    """
    path = folder / f"{split}.jsonl"
    if not path.is_file():
        raise DatasetError(f"{path} does not exist. GSM8K is published at {PUBLISHED}.")
    return [
        _item(record, f"{split}/{number}", where)
        for number, (record, where) in enumerate(records(read_bytes(path), path))
    ]


def _item(record: object, item_id: str, where: str) -> Item:
    match record:
        case {"question": str(question), "answer": str(answer)}:
            found = _ANSWER.search(answer)
            if found is None:
                raise DatasetError(f"{where}: the answer does not end with '#### <number>'.")
            solution = answer[: found.start()].strip()
            return Item(
                id=item_id,
                input=question,
                expected=found[1].replace(",", ""),
                metadata={"solution": solution},
                parse="number",
            )
        case _:
            raise DatasetError(f"{where}: a line of GSM8K holds the texts 'question' and 'answer'.")
