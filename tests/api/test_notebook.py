"""A notebook, executed by a real kernel: inside its running loop, with progress in place and results that draw themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

SETUP = """
from crucible_ray import Experiment, Model, arun, load, run

experiment = Experiment(
    name="In a notebook <b>bold</b>", dataset="demo", sample_size=20, repeat=2, max_tokens=20, seed=1,
    conditions=[Model("openai_gpt4o_mini", name="mini"), Model("openai_gpt4o", name="full")],
    hypotheses=["accuracy: full > mini"],
)
"""


def executed(folder: Path, *cells: str) -> list[Any]:
    """The outputs of each cell but the first."""
    made: Any = nbformat.v4
    notebook = made.new_notebook(cells=[made.new_code_cell(text) for text in (SETUP, *cells)])
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return [cell.outputs for cell in notebook.cells[1:]]


def shown(outputs: list[Any], kind: str, mime: str) -> list[str]:
    return [each["data"][mime] for each in outputs if each["output_type"] == kind and mime in each["data"]]


def printed(outputs: list[Any]) -> str:
    return "".join(each["text"] for each in outputs if each.get("name") == "stdout")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return executed(
        tmp_path_factory.mktemp("notebook"),
        "result = run(experiment, simulate=True, runtime='in-process')\nresult",
        "again = await arun(experiment, simulate=True, runtime='in-process', output_dir='other')\nprint(again.status)",
        "columns = ['trial', 'condition', 'item_id', 'prediction', 'correct', 'error']\n"
        "print(result.to_pandas()[columns].equals(again.to_pandas()[columns]), len(again.to_pandas()))",
        "import os, signal\n"
        "def interrupt(progress):\n"
        "    if progress.done and progress.phase == 'running':\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "slow = {'default': {'name': 'any', 'latency_s': 0.1}}\n"
        "part = run(experiment, simulate=True, simulated=slow, runtime='in-process', output_dir='slow',\n"
        "           max_concurrent_queries=2, progress=interrupt, progress_every_s=0.05)\n"
        "print(part.status, 0 < part.completed < 80, load(part.results_dir).status)",
        "print('the kernel lives')",
        "import sys\n"
        "seen = []\n"
        "sys.breakpointhook = lambda: seen.append(1)\n"
        "async def mine(item, call):\n"
        "    breakpoint()\n"
        "    return await call.model('openai_gpt4o', item.input, max_tokens=9)\n"
        "own = Experiment(name='Own', dataset='demo', sample_size=4, conditions=[mine])\n"
        "print(run(own, simulate=True, runtime='in-process', progress=False).completed, len(seen))",
    )


def test_a_cell_shows_progress_in_one_place_and_then_the_result(cells: list[Any]) -> None:
    progress, *more = shown(cells[0], "display_data", "text/html")
    assert not more, "one block, renewed in place"
    assert "100% (80/80)" in progress
    (drawn,) = shown(cells[0], "execute_result", "text/html")
    assert "In a notebook &lt;b&gt;bold&lt;/b&gt;" in drawn
    assert "accuracy: full &gt; mini" in drawn
    assert not [each for each in cells[0] if each.get("name") == "stderr"]


def test_an_asynchronous_cell_comes_to_the_same_rows(cells: list[Any]) -> None:
    assert "100% (80/80)" in shown(cells[1], "display_data", "text/html")[0]
    assert printed(cells[1]) == "complete\n"
    assert printed(cells[2]) == "True 80\n"


def test_an_interrupted_cell_gets_what_ran_and_the_kernel_lives(cells: list[Any]) -> None:
    assert printed(cells[3]) == "interrupted True interrupted\n"
    assert printed(cells[4]) == "the kernel lives\n"


def test_a_breakpoint_in_a_condition_is_reached_in_the_kernel_itself(cells: list[Any]) -> None:
    assert printed(cells[5]) == "4 4\n"


@pytest.mark.ray
def test_with_ray_the_cell_says_the_same(tmp_path: Path) -> None:
    with_ray, rows = executed(
        tmp_path,
        "result = run(experiment, simulate=True)",
        "local = run(experiment, simulate=True, runtime='in-process', output_dir='other', progress=False)\n"
        "columns = ['trial', 'condition', 'item_id', 'prediction', 'correct', 'error']\n"
        "print(result.to_pandas()[columns].equals(local.to_pandas()[columns]), result.completed)",
    )
    (progress,) = shown(with_ray, "display_data", "text/html")
    assert "100% (80/80)" in progress
    assert printed(rows) == "True 80\n"
