"""Which reports a run writes, and what they are remade from."""

from __future__ import annotations

from pathlib import Path

import pytest

from crucible_ray import api
from crucible_ray.errors import UsageError
from crucible_ray.experiment.formats import check_formats
from crucible_ray.experiment.spec import Experiment, Model
from crucible_ray.reduction import decode, encode


def run(folder: Path, **how: object) -> api.RunResult:
    experiment = Experiment(
        name="Formats", dataset="demo", sample_size=4, conditions=[Model("openai_gpt4o_mini", max_tokens=9)]
    )
    prepared = api.prepare(experiment, simulate=True)
    options = api.Options(output_dir=folder, runtime="in-process", **how)  # type: ignore[arg-type]
    return api.run(prepared, options=options)


def test_the_formats_asked_for_are_written_and_named_and_no_others(tmp_path: Path) -> None:
    result = run(tmp_path, formats=("html",))
    assert result.reports == {"html": result.results_dir / "report.html"}
    assert result.reports["html"].is_file()
    assert not (result.results_dir / "report.md").exists()


def test_both_come_unless_it_is_said_and_an_earlier_runs_clocks_are_kept(tmp_path: Path) -> None:
    first = run(tmp_path)
    before = first.reports["html"].read_text()
    again = run(tmp_path)
    assert (again.calls_made, set(again.reports)) == (0, {"markdown", "html"})
    assert again.reports["html"].read_text() == before


def test_an_analysis_is_read_as_it_was_written(tmp_path: Path) -> None:
    result = run(tmp_path)
    written = (result.results_dir / "analysis.json").read_bytes()
    assert encode(decode(written)) == written


@pytest.mark.parametrize(
    ("name", "told"),
    [("latex", "is not supported by this version"), ("jupyter", "is not supported"), ("pdf", "is no format")],
)
def test_a_format_that_cannot_be_written_is_named(name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check_formats(["markdown", name])
