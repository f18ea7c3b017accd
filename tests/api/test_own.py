"""An author's own metrics and analysis, from a file to results and back."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

from crucible_ray import Ensemble, Experiment, Hypothesis, Model, api, metric
from crucible_ray.api import RunResult
from crucible_ray.cli.main import main
from crucible_ray.errors import SpecError, UsageError
from crucible_ray.experiment.loading import load_experiment
from crucible_ray.experiment.plan import OwnMetricPlan
from crucible_ray.metrics.own import COLUMNS, OwnScores
from crucible_ray.records import Item
from tests.reduction.rows import condition, model, plan

FILE = """
from crucible_ray import Ensemble, Experiment, Model, metric

@metric(kind="count", better="lower")
def words(reply, item):
    return len(reply.text.split())

@metric(kind="binary", missing="zero")
def says_a(reply, item):
    return None if reply.prediction != "A" else 1

experiment = Experiment(
    name="Own", dataset="demo", sample_size=30, repeat=2, seed=5, max_tokens=20,
    conditions=[
        Model("openai_gpt4o_mini", name="mini"),
        Ensemble(["openai_gpt4o_mini", "openai_gpt4o", "openai_gpt35_turbo"], name="trio"),
    ],
    metrics=["accuracy", words, says_a],
    hypotheses=["words: mini > trio", "says_a: trio >= mini - 0.5"],
)

@experiment.analysis
def hardest(results):
    table = results.to_pandas()
    wrong = table[table.correct == 0].groupby("item_id").size().sort_values(ascending=False)
    return {"hardest": wrong.index[0], "wrong": wrong.iloc[0], "<b>means</b>": table.words.mean(), "status": results.status}
"""


def run(folder: Path, text: str = FILE, **choices: Any) -> RunResult:
    (folder / "own.py").write_text(text)
    ready = api.prepare(load_experiment(str(folder / "own.py")), simulate=True)
    return api.run(ready, runtime="in-process", output_dir=folder / "out", progress=False, **choices)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def result(folder: Path) -> RunResult:
    return run(folder)


def test_each_own_metric_is_a_column_after_correct_computed_from_the_reply(result: RunResult) -> None:
    with (result.results_dir / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[6:11] == ["expected", "correct", "words", "says_a", "latency_ms"]
    texts = {call["trial"]: call["text"] for call in result.calls() if call["condition"] == "mini"}
    for row in rows:
        assert float(row["says_a"]) == float(row["prediction"] == "A"), "missing='zero': None is 0"
        if row["condition"] == "mini":
            assert float(row["words"]) == len(texts[int(row["trial"])].split())
        else:
            assert float(row["words"]) == len(row["prediction"].split()), "a vote's text is its answer"


def test_own_metrics_are_reduced_compared_and_tested_by_their_kind(result: RunResult) -> None:
    table = result.to_pandas()
    for name in ("mini", "trio"):
        found = result[name]
        rows = table[table.condition == name]
        assert found.words.value == pytest.approx(rows.words.mean())
        assert found.says_a.value == pytest.approx(rows.says_a.mean())
        assert found.says_a.method in ("wilson", "t by items")
        assert found.says_a.ci is not None
    compared = {(each.metric, each.a, each.b) for each in result.analysis.comparisons}
    assert {("words", "mini", "trio"), ("says_a", "trio", "mini")} <= compared
    longer, _ = result.hypotheses
    assert longer.verdict == "supported"
    assert longer.estimate == pytest.approx(
        (result["mini"].words.value or 0) - (result["trio"].words.value or 0)
    )


def test_the_own_analysis_stands_in_analysis_json_and_in_the_report(result: RunResult) -> None:
    custom = json.loads((result.results_dir / "analysis.json").read_text())["custom"]
    assert custom["hardest"] in set(result.to_pandas().item_id)
    assert custom["wrong"] >= 1
    assert custom["status"] == "complete"
    page = (result.results_dir / "report.html").read_text()
    assert "Own analysis" in page
    assert custom["hardest"] in page
    assert "<b>means</b>" not in page


def test_own_functions_are_recorded_and_not_part_of_the_identity(result: RunResult, tmp_path: Path) -> None:
    config = json.loads((result.results_dir / "config.json").read_text())
    assert [
        (each["name"], each["kind"], each["better"], each["missing"]) for each in config["own_metrics"]
    ] == [
        ("words", "count", "lower", "drop"),
        ("says_a", "binary", "higher", "zero"),
    ]
    assert all(len(each["source"]) == 64 for each in config["own_metrics"])
    plain = FILE.replace('["accuracy", words, says_a]', '["accuracy"]').replace(
        'hypotheses=["words: mini > trio", "says_a: trio >= mini - 0.5"]', "hypotheses=[]"
    )
    (tmp_path / "plain.py").write_text(plain)
    ready = api.prepare(load_experiment(str(tmp_path / "plain.py")), simulate=True)
    assert ready.plan.experiment_id == result.experiment_id


def test_a_replay_computes_them_anew_to_the_same_bytes(result: RunResult) -> None:
    found = api.reproduce(result.results_dir)
    assert (found.same, found.notes) == (True, ())
    loaded = api.load(result.results_dir)
    assert loaded.analysis.custom == json.loads((result.results_dir / "analysis.json").read_text())["custom"]


def test_where_the_functions_are_gone_a_replay_says_what_it_took_as_recorded(tmp_path: Path) -> None:
    result = run(tmp_path)
    (tmp_path / "own.py").rename(tmp_path / "elsewhere.py")
    found = api.reproduce(result.results_dir)
    assert found.same
    assert "own metrics and analysis are taken as recorded" in found.notes[0]
    with pytest.raises(UsageError, match=r"own\.py"):
        api.resume(result.results_dir, runtime="in-process", progress=False)


def test_a_metric_that_fails_costs_nothing_but_its_own_mending(tmp_path: Path, capsys: Any) -> None:
    broken = FILE.replace("return len(reply.text.split())", "return helper(item)").replace(
        '@metric(kind="count"', 'def helper(item):\n    raise ValueError(item.id)\n\n@metric(kind="count"'
    )
    with pytest.raises(SpecError) as failed:
        run(tmp_path, broken)
    told = str(failed.value)
    assert "metric 'words', condition 'mini', item" in told
    assert "in helper" in told
    assert "crucible_ray/" not in told, "their frames only"
    assert "nothing is asked twice" in failed.value.__notes__[0]
    left = failed.value.result
    assert (left.completed, left.summary["status"]) == (120, "complete")
    assert left["mini"].accuracy.value is not None
    again = run(tmp_path)
    assert (again.calls_made, again["mini"].words.n) == (0, 60)


def test_what_a_metric_may_not_return_is_refused_by_name(tmp_path: Path) -> None:
    for returned, said in (('"many"', "no number"), ("math.nan", "not finite"), ("2", "neither 0 nor 1")):
        text = FILE.replace(
            'return None if reply.prediction != "A" else 1', f"import math\n    return {returned}"
        )
        with pytest.raises(SpecError, match=said):
            run(tmp_path, text)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("10**400", r"it returned 1000.*0000, which is more than a number can be here"),
        ("10**5000", "it returned a int, which is more than a number can be here"),
        ("float('nan')", "it returned nan, which is not finite"),
        ("-float('inf')", "it returned -inf, which is not finite"),
        ("'x' * 2**20", r"it returned 'x+\.\.\.x+', which is no number"),
    ],
    ids=["large", "too large to print", "nan", "infinite", "a megabyte"],
)
def test_a_metric_that_returns_what_no_number_is_gets_one_short_answer(value: str, told: str) -> None:
    item = Item(id="q", input="?", expected="A")
    asked = plan(
        1,
        conditions=(condition("single", [model("m1")]),),
        own_metrics=(OwnMetricPlan(name="odd", kind="continuous", better="higher", missing="drop"),),
    )
    scores = OwnScores(asked, [item], {"odd": lambda _reply, _item: eval(value)})
    with pytest.raises(SpecError, match=told) as raised:
        scores.columns([{**dict.fromkeys(COLUMNS), "trial": 0, "calls": []}])
    assert len(str(raised.value)) < 300


def test_an_analysis_that_fails_or_returns_no_dict_is_told(tmp_path: Path) -> None:
    for body, said in (
        ("return 1 / 0", "ZeroDivisionError"),
        ("return 5", "no dict"),
        ("return {'a': {1, object()}}", "JSON"),
    ):
        text = FILE[: FILE.index("    table = results")] + f"    {body}\n"
        with pytest.raises(SpecError, match=said):
            run(tmp_path, text)


def test_faults_of_a_declaration_are_told_at_once() -> None:
    with pytest.raises(SpecError) as found:

        @metric(kind="bynary", better="more", missing="nan")
        def correct(reply: Any) -> float:
            return 0.0

    assert len(found.value.problems) == 5
    assert "did you mean 'binary'?" in found.value.problems[0]
    with pytest.raises(SpecError, match="plain def"):

        @metric()
        async def slow(reply: Any, item: Any) -> float:
            return math.pi


def test_a_function_without_the_decorator_and_a_taken_name_are_refused(tmp_path: Path) -> None:
    def bare(reply: Any, item: Any) -> float:
        return 0.0

    @metric(name="accuracy")
    def mine(reply: Any, item: Any) -> float:
        return 0.0

    experiment: Any = Experiment(
        name="x",
        dataset="demo",
        conditions=[Model("openai_gpt4o")],
        metrics=[bare, mine],  # type: ignore[list-item]
        hypotheses=[Hypothesis("minee", "openai_gpt4o", "y")],
    )
    with pytest.raises(SpecError) as found:
        api.prepare(experiment, simulate=True)
    told = str(found.value)
    assert "write @metric(...) above bare" in told
    assert "'accuracy' is a metric of crucible-ray" in told


def test_two_experiments_do_not_share_an_analysis() -> None:
    first = Experiment(name="a", conditions=[Model("x")])
    second = Experiment(name="b", conditions=[Ensemble(["x", "y", "z"])])

    @first.analysis
    def one(results: RunResult) -> dict[str, Any]:
        return {}

    assert first.analysis.custom is one
    assert second.analysis.custom is None


def test_a_gate_and_a_baseline_take_own_metrics(folder: Path, result: RunResult) -> None:
    again = run(folder, fail_if=["words[mini] > 0"], baseline=result.results_dir)
    texts = [gate.text for gate in again.gates]
    assert texts[0] == "words[mini] > 0"
    assert not again.gates[0].passed
    assert any(text.startswith("says_a[trio] not worse than") for text in texts)
    assert all(gate.value == 0.0 and gate.passed for gate in again.gates[1:])


def test_the_command_ends_with_two_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(FILE.replace("return len(reply.text.split())", "return reply.txt"))
    assert main(["run", "own.py", "--simulate", "--in-process", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["completed"] == 120
    assert "AttributeError: " in err
    assert "nothing is asked twice" in err
