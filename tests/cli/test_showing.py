"""`show`: one trial whole, whatever a model said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from crucible_ray import api
from crucible_ray.api import RunResult
from crucible_ray.cli.main import main
from crucible_ray.errors import UsageError
from crucible_ray.experiment.spec import Ensemble, Experiment, Model
from crucible_ray.settings import ModelTable, Settings
from crucible_ray.simulator import SimulatorConfig, SimulatorProcess

Capture = pytest.CaptureFixture[str]
EVIL = "The answer is 4.\n\x1b[2Jgone \u202e<script>"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return api.run(
        Experiment(
            name="Shown",
            dataset=[
                {"id": "q1", "input": "2 + 2?", "expected": "4"},
                {"id": "q2", "input": "3 + 3?", "expected": "6"},
            ],
            repeat=2,
            parse="number",
            system="Be brief.",
            conditions=[
                Model("openai_gpt4o_mini", name="mini"),
                Ensemble(["openai_gpt4o_mini", "openai_gpt4o"], name="duo"),
            ],
            max_tokens=20,
        ),
        simulate=True,
        runtime="in-process",
        progress=False,
        output_dir=tmp_path_factory.mktemp("shown"),
    )


def test_a_trial_is_shown_with_prompt_calls_replies_parse_and_scores(
    result: RunResult, capsys: Capture
) -> None:
    assert main(["show", str(result.results_dir), "--item", "q2", "--condition", "duo", "--repeat", "1"]) == 0
    shown = capsys.readouterr().out
    row = next(r for r in result.trials() if (r["item_id"], r["condition"], r["repeat"]) == ("q2", "duo", 1))
    replies = [call["text"] for call in result.calls() if call["trial"] == row["trial"]]
    assert shown.startswith(
        f"Trial {row['trial']}: duo, item q2, repeat 1\n  system | Be brief.\n  user | 3 + 3?"
    )
    assert len(replies) == 2
    for number, reply in enumerate(replies):
        assert f"  call {number}, attempt 0: " in shown
        assert f"    reply | {reply.splitlines()[0]}" in shown
    assert shown.count("    read as ") == 2
    assert f"prediction {row['prediction']!r}, expected '6'" in shown
    assert f"  correct: {row['correct']}" in shown
    assert "  votes: " in shown


def test_the_number_says_the_same_and_json_has_it_all(result: RunResult, capsys: Capture) -> None:
    assert main(["show", str(result.results_dir), "7", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["trial"], facts["condition"], facts["item"]["id"], facts["repeat"]) == (7, "duo", "q2", 1)
    assert [attempt["messages"][1]["content"] for attempt in facts["attempts"]] == ["3 + 3?"] * 2
    assert facts["row"]["trial"] == 7


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["99"], "they are 0 to 7"),
        ([], "its number, or --item ID --condition NAME"),
        (["--item", "q3", "--condition", "duo"], "no item has the id 'q3'"),
        (["--item", "q1", "--condition", "dou"], "did you mean 'duo'"),
        (["--item", "q1", "--condition", "duo", "--repeat", "5"], "they are 0 to 1"),
        (["1", "--item", "q1"], "not both"),
    ],
)
def test_a_trial_that_does_not_exist_is_refused_with_what_does(
    words: Sequence[str], said: str, result: RunResult, capsys: Capture
) -> None:
    assert main(["show", str(result.results_dir), *words]) == 2
    assert said in capsys.readouterr().err


def test_what_a_model_said_cannot_act_on_a_terminal(tmp_path: Path, capsys: Capture) -> None:
    replies = tmp_path / "replies.jsonl"
    replies.write_text(json.dumps({"model": "m", "id": "q1", "reply": EVIL}) + "\n")
    items = tmp_path / "items.jsonl"
    items.write_text(json.dumps({"id": "q1", "input": "2 + 2?", "expected": "4"}) + "\n")
    with SimulatorProcess(SimulatorConfig(), items=items, replies=replies) as server:
        table = ModelTable(provider="openai", model="m", base_url=server.url)
        ready = api.prepare(
            Experiment(name="x", dataset=str(items), parse="number", conditions=[Model("m")], max_tokens=9),
            settings=Settings(models={"m": table}),
        )
        result = api.run(ready, runtime="in-process", output_dir=tmp_path, progress=False)
    assert main(["show", str(result.results_dir), "0"]) == 0
    shown = capsys.readouterr().out
    assert "    reply | The answer is 4.\n    reply | \N{REPLACEMENT CHARACTER}[2Jgone" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "    read as '4'" in shown


def test_a_pending_trial_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results folder"):
        api.show(tmp_path, 0)
