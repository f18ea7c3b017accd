"""Functions that travel by value."""

from __future__ import annotations

import linecache
import pickle
import traceback
from pathlib import Path

from crucible_ray.experiment.modules import load_function
from crucible_ray.runtime.code import Code

FILE = """
def broken(text):
    def inner():
        raise ValueError("I cannot read")
    return inner()
"""


def test_an_error_of_a_function_that_travelled_names_the_lines_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    function = load_function("mine.py:broken", tmp_path)
    arrived = pickle.loads(pickle.dumps(Code({"parse mine": function}))).load()["parse mine"]
    assert arrived is not function
    try:
        arrived("")
    except ValueError as error:
        frames = traceback.extract_tb(error.__traceback__)[1:]
    linecache.checkcache()
    assert [frame.filename for frame in frames] == [str(tmp_path / "mine.py")] * 2
    assert frames[1].line == 'raise ValueError("I cannot read")'
