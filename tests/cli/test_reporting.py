"""`report` makes the same pages again from what lies in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crucible_ray.cli.main import main
from tests.reports.test_formats import run

Capture = pytest.CaptureFixture[str]


def test_the_reports_are_rebuilt_byte_for_byte_from_the_folder_alone(tmp_path: Path, capsys: Capture) -> None:
    result = run(tmp_path)
    before = {name: path.read_bytes() for name, path in result.reports.items()}
    for path in (*result.reports.values(), *(result.results_dir / "checkpoints").iterdir()):
        path.unlink()
    assert main(["report", str(result.results_dir), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert {name: Path(path).read_bytes() for name, path in written.items()} == before


def test_without_clocks_it_says_so_and_only_the_format_asked_for_is_written(tmp_path: Path) -> None:
    result = run(tmp_path)
    for path in (*result.reports.values(), result.results_dir / "run.json"):
        path.unlink()
    assert main(["report", str(result.results_dir), "--format", "markdown", "--quiet"]) == 0
    assert "Nothing is recorded of clocks" in result.reports["markdown"].read_text()
    assert not result.reports["html"].exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a", "b"], "report over several results folders is not supported by this version"),
        (["nothing"], "nothing is neither a results folder nor an experiment"),
        (["x", "--format", "latex"], "--format latex is not supported by this version"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused_in_words(words: list[str], told: str, capsys: Capture) -> None:
    assert main(["report", *words]) == 2
    assert told in capsys.readouterr().err


def test_a_folder_without_an_analysis_says_the_mend(tmp_path: Path, capsys: Capture) -> None:
    result = run(tmp_path)
    (result.results_dir / "analysis.json").unlink()
    assert main(["report", str(result.results_dir)]) == 2
    assert "has no analysis.json yet: resume the run to get one." in capsys.readouterr().err
