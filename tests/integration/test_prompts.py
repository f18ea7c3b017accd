"""Members with prompts and parsers of their own, and examples, through a whole run over real HTTP."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crucible_ray import api
from crucible_ray.api import RunResult
from crucible_ray.errors import SpecError
from crucible_ray.experiment.spec import Dataset, Ensemble, Experiment, FewShot, Model
from crucible_ray.reduction import decode
from tests.conftest import Simulate
from tests.integration.lab import POPULATION, prepared

SHOWN = '{"letter": "{{ expected }}"}'
EXPERIMENT = Experiment(
    name="Members of many minds",
    dataset=Dataset("demo", sample_size=12),
    repeat=2,
    few_shot=FewShot(2),
    conditions=[
        Model("openai_gpt4o_mini", name="alone"),
        Ensemble(
            [
                "openai_gpt4o_mini",
                Model(
                    "openai_gpt4o", system="Be brief.", few_shot=FewShot(1, answer="It is {{ expected }}.")
                ),
                Model("openai_gpt4o_mini", parse="json:letter", few_shot=FewShot(3, answer=SHOWN)),
            ],
            name="three",
        ),
    ],
    seed=5,
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("results")
    return api.run(EXPERIMENT, simulate=True, runtime="in-process", output_dir=folder, progress=False)


def _asked(result: RunResult) -> list[tuple[int, int, list[dict[str, str]]]]:
    """(trial, call, messages) of every call."""
    prompts = pq.read_table(result.results_dir / "prompts.parquet").to_pylist()
    texts = {row["prompt"]: json.loads(row["messages"]) for row in prompts}
    calls = pq.read_table(result.results_dir / "calls.parquet").to_pylist()
    return [(call["trial"], call["call"], texts[call["prompt"]]) for call in calls]


def test_every_call_is_recorded_with_the_prompt_that_it_had(result: RunResult) -> None:
    asked = _asked(result)
    assert len(asked) == 12 * 2 * 4
    shapes = {(trial % 2, call): [turn["role"] for turn in messages] for trial, call, messages in asked}
    shot = ["user", "assistant"]
    assert shapes == {
        (0, 0): [*shot * 2, "user"],
        (1, 0): [*shot * 2, "user"],
        (1, 1): ["system", *shot, "user"],
        (1, 2): [*shot * 3, "user"],
    }


def test_all_conditions_and_members_are_shown_the_same_examples_and_each_repeat_others(
    result: RunResult,
) -> None:
    questions: dict[int, list[list[str]]] = {}
    for trial, _, messages in _asked(result):
        shown = [turn["content"] for turn in messages[:-1] if turn["role"] == "user"]
        questions.setdefault(trial // 2, []).append(shown)
    for lists in questions.values():
        longest = max(lists, key=len)
        assert all(each == longest[: len(each)] for each in lists)
    first, second = (max(questions[block], key=len) for block in (0, 1))
    assert first != second


def test_no_item_of_the_sample_is_shown(result: RunResult) -> None:
    lines = (result.results_dir / "dataset.jsonl").read_text(encoding="utf-8").splitlines()
    sampled = {json.loads(line)["input"] for line in lines}
    shown = [turn["content"] for _, _, messages in _asked(result) for turn in messages[:-1]]
    assert not [text for text in shown if text.split("\n\n")[0] in sampled]


def test_each_member_votes_by_its_own_parser_and_is_scored_by_it(result: RunResult) -> None:
    with (result.results_dir / "results.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["condition"] == "three"]
    # The simulator answers in words: whoever waits for JSON abstains each time.
    assert {sum(json.loads(row["votes"]).values()) for row in rows} == {2}
    members = decode((result.results_dir / "analysis.json").read_bytes()).conditions["three"].members
    accuracy = [member.accuracy.value for member in members.values()]
    assert accuracy[2] == 0
    assert min(value for value in accuracy[:2] if value is not None) > 0


def test_it_is_reproduced_from_its_folder_alone(result: RunResult) -> None:
    assert api.reproduce(result.results_dir).same


def test_a_resume_asks_what_the_first_session_would_have_asked(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=POPULATION)
    changes: dict[str, Any] = {"few_shot": FewShot(2), "sample_size": 30, "repeat": 2, "checkpoint_every": 10}
    ready = prepared(tmp_path, provider.url, **changes, conditions=[Model("small")], hypotheses=[])
    first = api.run(ready, runtime="in-process", output_dir=tmp_path, max_concurrent_queries=3)
    chosen = api.status(first.results_dir)[1].checkpoints[0]
    before = sorted(_asked(first), key=str)
    again = api.resume(first.results_dir, runtime="in-process", checkpoint=chosen.number)
    assert provider.stats().requests == 60 + (60 - chosen.rows) > 60
    assert sorted(_asked(again), key=str) == before


def test_examples_that_no_reply_may_look_like_are_refused() -> None:
    condition = Model("openai_gpt4o", name="json", parse="json:letter")
    experiment = Experiment(name="x", dataset="demo", few_shot=FewShot(2), conditions=[condition])
    with pytest.raises(SpecError, match=r"Condition 'json': few_shot shows '[A-D]'.*set FewShot\(answer=\)"):
        api.prepare(experiment, simulate=True)


def test_a_dataset_with_too_few_examples_is_refused_with_the_mend(tmp_path: Path) -> None:
    items = [{"input": f"{k}?", "expected": "x"} for k in range(3)]
    experiment = Experiment(name="x", dataset=items, few_shot=FewShot(3), conditions=[Model("openai_gpt4o")])
    with pytest.raises(SpecError, match="shows 3 examples, but the dataset holds 2 other items"):
        api.prepare(experiment, simulate=True)


def test_a_larger_sample_is_shown_the_same_examples() -> None:
    small = Experiment(
        name="x", dataset="demo", sample_size=5, few_shot=FewShot(2), conditions=[Model("gpt4o")]
    )
    large = Experiment(
        name="x", dataset="demo", sample_size=40, few_shot=FewShot(2), conditions=[Model("gpt4o")]
    )
    few = [api.prepare(each, simulate=True).plan.conditions[0].prompt.few_shot for each in (small, large)]
    assert few[0] is not None
    assert few[0] == few[1]
