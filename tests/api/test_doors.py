"""What the doors take: an experiment by value or by where it is, one text where several may stand."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import re
from pathlib import Path
from typing import Any

import pytest

from crucible_ray import Experiment, Model, api
from crucible_ray.api.checking import keys_needed
from crucible_ray.errors import MissingKey, UsageError

FILE = """
from crucible_ray import Experiment, Model

experiment = Experiment(name="One", dataset="demo", sample_size=3, conditions=[Model("openai_gpt4o_mini")], max_tokens=9)
other = Experiment(name="Two", dataset="demo", sample_size=4, conditions=[Model("openai_gpt4o_mini")], max_tokens=9)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def test_run_takes_a_file_as_text_as_a_path_and_by_name(file: Path) -> None:
    quiet: dict[str, Any] = {
        "simulate": True,
        "runtime": "in-process",
        "progress": False,
        "output_dir": file.parent / "out",
    }
    assert api.run(str(file), **quiet).planned == 3
    assert api.run(f"{file}:other", **quiet).planned == 4
    assert asyncio.run(api.arun(file, **quiet)).analysis.name == "One"


def test_estimate_and_prepare_take_a_file(file: Path) -> None:
    assert api.estimate(f"{file}:other", simulate=True).calls == 4
    assert api.prepare(file, simulate=True).plan.name == "One"


@pytest.mark.parametrize("given", [None, 3, {"name": "One"}, [Model("openai_gpt4o_mini")]])
def test_what_is_no_experiment_is_refused_with_what_would_be_one(given: Any) -> None:
    for door in (api.run, api.estimate, api.prepare):
        with pytest.raises(UsageError, match=r"is no experiment: give an Experiment, or .*file\.py:name"):
            door(given)


def test_one_text_stands_for_a_list_of_one(file: Path) -> None:
    result = api.run(
        Experiment(
            name="One", dataset="demo", sample_size=3, conditions=[Model("openai_gpt4o_mini")], max_tokens=9
        ),
        simulate=True,
        runtime="in-process",
        progress=False,
        output_dir=file.parent / "out",
        fail_if="accuracy[openai_gpt4o_mini] < 0",
        conditions="openai_gpt4o_mini",
        formats="markdown",
    )
    assert [gate.text for gate in result.gates] == ["accuracy[openai_gpt4o_mini] < 0"]
    assert set(result.reports) == {"markdown"}
    assert set(api.report(result.results_dir, formats="html")) == {"html"}


def test_a_run_from_python_notes_a_sample_larger_than_the_dataset(tmp_path: Path) -> None:
    heard: list[api.Note] = []
    asked = Experiment(
        name="One",
        dataset=[{"input": "2 + 2?", "expected": "4"}],
        sample_size=9,
        conditions=[Model("openai_gpt4o_mini")],
        max_tokens=9,
    )
    api.run(asked, simulate=True, runtime="in-process", output_dir=tmp_path, on_note=heard.append)
    assert [note.facts["told"] for note in heard if note.name == "prepared"] == [
        "9 items are asked for; the dataset inline holds 1."
    ]
    assert api.estimate(asked, simulate=True).notes == ("9 items are asked for; the dataset inline holds 1.",)


def test_the_key_of_a_fallback_is_needed_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    spare = Model("openai_gpt4o_mini", fallback="anthropic_haiku", max_tokens=9)
    prepared = api.prepare(Experiment(name="x", dataset="demo", conditions=[spare]))
    assert {key.variable: key.present for key in keys_needed(prepared)} == {
        "OPENAI_API_KEY": True,
        "ANTHROPIC_API_KEY": False,
    }
    with pytest.raises(MissingKey):
        prepared.keys()


def test_a_timeout_that_looks_like_milliseconds_is_noted() -> None:
    asked = Experiment(name="t", dataset="demo", sample_size=2, conditions=[Model("gpt4o")], timeout_s=10_000)
    noted = "timeout_s is in seconds: 10,000 of them are 2.78 hours."
    assert api.estimate(asked, simulate=True).notes == (noted,)
    assert api.estimate(dataclasses.replace(asked, timeout_s=60), simulate=True).notes == ()


@pytest.mark.parametrize(
    ("choices", "mend"),
    [
        ({"simulat": True}, "did you mean 'simulate'?"),
        ({"on_notes": print}, "did you mean 'on_note'?"),
        ({"max_cost": 1.0}, "budget=Budget(max_total=...)"),
    ],
)
def test_an_option_that_is_none_is_refused_with_the_one_that_was_meant(
    choices: dict[str, Any], mend: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(mend)):
        api.run("never_read.py", **choices)


def test_a_token_limit_below_one_request_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crucible.toml").write_text(
        '[models.small]\nprovider = "openai"\nmodel = "m"\nbase_url = "http://127.0.0.1:1/v1"\ntokens_per_minute = 1000\n'
    )
    monkeypatch.chdir(tmp_path)
    asked = Experiment(
        name="t", dataset=[{"input": "2 + 2?", "expected": "4"}], conditions=[Model("small")], max_tokens=3000
    )
    (noted,) = api.estimate(asked).notes
    assert noted.startswith("small: a request takes up to 3,0")
    assert "more than its tokens_per_minute of 1,000" in noted
    assert "the next one waits 6.1 minutes" in noted
    assert api.estimate(dataclasses.replace(asked, max_tokens=300)).notes == ()


def test_the_question_in_python_says_what_is_recorded_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Experiment(name="q", dataset="demo", sample_size=2, conditions=[Model("gpt4o")])
    how: dict[str, Any] = {"simulate": True, "runtime": "in-process", "output_dir": tmp_path}
    shown = []
    for _ in range(2):
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        api.run(asked, confirm=True, **how)
        shown.append("Recorded already: 2 of 2 trials, kept" in capsys.readouterr().err)
    assert shown == [False, True]
