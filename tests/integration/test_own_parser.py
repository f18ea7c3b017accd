"""A parser of the author's own: what it reads is recorded, and no replay runs it again."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crucible_ray import api
from crucible_ray.api import Note, prepare
from crucible_ray.api.checking import show
from crucible_ray.api.rescoring import read_revision
from crucible_ray.cli.checking import _shown_lines
from crucible_ray.cli.rescoring import revision_lines
from crucible_ray.errors import SpecError, UsageError
from crucible_ray.experiment.loading import load_experiment
from crucible_ray.experiment.spec import Ensemble, Experiment, FewShot, Model
from crucible_ray.experiment.validation import problems_of
from crucible_ray.metrics import evaluate
from crucible_ray.prompts.own import OwnReader
from crucible_ray.records import Item
from tests.conftest import Simulate
from tests.integration.lab import AT_ONCE, prepared, rows_of

FILE = """
    from crucible_ray import Ensemble, Experiment, Model

    def read(text):
        with open({count!r}, "a") as file:
            file.write(".")
        found = [letter for letter in "ABCD" if letter in text.replace("Answer", "")]
        return found[0] if len(found) == 1 else None

    experiment = Experiment(
        name="own", dataset="demo", sample_size=4, repeat=2, max_tokens=16, parse=read,
        conditions=[
            Model("gpt4o_mini", name="single"),
            Ensemble(["gpt4o_mini", "gemini_flash", "claude_haiku"], name="trio"),
            Model("gpt4o_mini", name="plain", parse="choice"),
        ],
    )

    @experiment.condition("function")
    async def function(item, call):
        return await call.model("gpt4o_mini", item.input)
"""
_CALLS = 4 * 2 * (1 + 3 + 1)


@pytest.fixture(autouse=True)
def _forget_modules() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("crucible_experiment_"):
            del sys.modules[name]


def write(folder: Path, text: str = FILE, name: str = "exp.py") -> Path:
    file = folder / name
    file.write_text(textwrap.dedent(text).replace("{count!r}", repr(str(folder / "count"))))
    return file


def run_file(file: Path, **options: Any) -> api.RunResult:
    ready = prepare(load_experiment(str(file)), simulate=True)
    return api.run(ready, output_dir=file.parent / "out", **({"runtime": "in-process"} | options))


def run_here(folder: Path, simulate: Simulate, **changes: Any) -> api.RunResult:
    notes = changes.pop("on_note", None)
    fields: dict[str, Any] = {"sample_size": 4, "repeat": 1, "hypotheses": []}
    ready = prepared(folder, simulate(models=AT_ONCE).url, **(fields | changes))
    return api.run(ready, runtime="in-process", output_dir=folder / "out", on_note=notes)


def runs_of(folder: Path) -> int:
    """How often the parser of FILE has run."""
    return len((folder / "count").read_text())


def test_each_reply_is_read_once_and_a_replay_runs_no_code(tmp_path: Path) -> None:
    file = write(tmp_path)
    result = run_file(file)
    assert (result.status, result.completed, result.failed) == ("complete", 32, 0)
    assert runs_of(tmp_path) == _CALLS
    rows = rows_of(result.results_dir)
    assert {row["error"] for row in rows} == {""}
    calls = pq.read_table(result.results_dir / "calls.parquet").to_pylist()
    read = {
        call["condition"]: {c["read"] for c in calls if c["condition"] == call["condition"]} for call in calls
    }
    assert read["single"] | read["trio"] <= set("ABCD")
    assert read["plain"] == {None}
    file.unlink()
    assert api.reproduce(result.results_dir).same
    assert api.reproduce(result.results_dir, clients=2).same
    shown = api.show(
        result.results_dir, next(int(row["trial"]) for row in rows if row["condition"] == "trio")
    )
    assert [attempt.parsed for attempt in shown.attempts] == [
        attempt.facts["read"] for attempt in shown.attempts
    ]
    assert runs_of(tmp_path) == _CALLS


def test_members_vote_by_what_it_reads_and_are_scored_by_it(tmp_path: Path, simulate: Simulate) -> None:
    def other(text: str, item: Any) -> str | None:
        """Whatever was said, the answer is right."""
        return str(item.expected)

    trio = Ensemble(["small", Model("medium", parse=lambda text: None), "large"], name="trio")
    result = run_here(tmp_path, simulate, conditions=[trio], parse=other)
    assert {(row["correct"], row["consensus"]) for row in rows_of(result.results_dir)} == {("1", "1.0")}
    members = result.analysis.conditions["trio"].members
    assert [members[name].accuracy.value for name in ("small", "medium", "large")] == [1.0, 0.0, 1.0]
    assert api.reproduce(result.results_dir).same


def test_what_it_raises_fails_the_trial_and_is_told_once_with_the_authors_frames(
    tmp_path: Path, simulate: Simulate
) -> None:
    def broken(text: str) -> str:
        raise ValueError("no such form")

    def asks(item: Any, call: Any) -> Any:
        return call.model("small", "?")

    notes: list[Note] = []
    trio = Ensemble(["small", Model("medium", parse=broken), "large"], name="trio")
    single = Model("small", name="single", parse=broken)
    result = run_here(
        tmp_path, simulate, conditions=[trio, single, asks], on_note=notes.append, parse=lambda text: [text]
    )
    rows = rows_of(result.results_dir)
    assert {(row["error"], row["prediction"], row["correct"]) for row in rows} == {("exception", "", "")}
    (note,) = [note for note in notes if note.name == "exception"]
    detail = str(note.facts["detail"])
    assert "crucible_ray/" not in detail
    shown = api.show(result.results_dir, 1)
    assert "in broken" in shown.attempts[0].facts["detail"]
    assert "ValueError: no such form" in shown.attempts[0].facts["detail"]
    assert "returned a list: return a str, or None" in str(
        [call["detail"] for call in pq.read_table(result.results_dir / "calls.parquet").to_pylist()]
    )
    assert api.reproduce(result.results_dir).same


def test_a_changed_parser_is_another_experiment_and_reads_what_is_stored_by_a_rescore(tmp_path: Path) -> None:
    file = write(tmp_path)
    result = run_file(file)
    mended = write(tmp_path, FILE.replace("found[0] if len(found) == 1 else None", '"A"'), "mended.py")
    assert prepare(load_experiment(str(mended)), simulate=True).plan.experiment_id != result.experiment_id
    second = api.rescore(result.results_dir, experiment=str(mended))
    told = "\n".join(revision_lines(read_revision(second.results_dir), "there"))
    assert re.search(r"single\.parse: read\(\) \w{8} -> read\(\) \w{8}\n", told)
    assert runs_of(tmp_path) == 2 * _CALLS
    rows = rows_of(second.results_dir)
    assert {row["prediction"] for row in rows if row["condition"] != "plain"} == {"A"}
    assert {row["prediction"] for row in rows if row["condition"] == "plain"} != {"A"}
    # Another metric reads nothing anew, and another parser leaves no trace of the first.
    api.rescore(result.results_dir, metric=["cost_per_query"])
    third = api.rescore(result.results_dir, parse="choice")
    assert runs_of(tmp_path) == 2 * _CALLS
    assert set(pq.read_table(third.results_dir / "calls.parquet")["read"].to_pylist()) == {None}
    fourth = api.rescore(result.results_dir, parse=lambda text: "B")
    assert {row["prediction"] for row in rows_of(fourth.results_dir)} == {"B"}
    file.write_text(mended.read_text())
    with pytest.raises(UsageError, match=r"parse = read\(\) is not the function .* rescore --experiment"):
        api.resume(result.results_dir, runtime="in-process")


def test_replies_of_an_earlier_run_are_read_anew(tmp_path: Path, simulate: Simulate) -> None:
    url = simulate(models=AT_ONCE).url
    conditions = [Model("small", name="single")]
    fields: dict[str, Any] = {"sample_size": 4, "hypotheses": [], "conditions": conditions}

    def run(**changes: Any) -> api.RunResult:
        ready = prepared(tmp_path, url, **(fields | changes))
        return api.run(ready, runtime="in-process", output_dir=tmp_path / "out", reuse="auto")

    run(parse=lambda text: "own")
    plain = run(parse="choice")
    assert plain.calls_made == 0
    assert set(pq.read_table(plain.results_dir / "calls.parquet")["read"].to_pylist()) == {None}
    assert "own" not in {row["prediction"] for row in rows_of(plain.results_dir)}
    other = run(parse=lambda text: "other")
    assert other.calls_made == 0
    assert {row["prediction"] for row in rows_of(other.results_dir)} == {"other"}


TOML = """
    name = "declared"
    dataset = "demo"
    sample_size = 3
    max_tokens = 16
    parse = "readers.py:first"

    [[conditions]]
    model = "gpt4o_mini"
    name = "a"

    [[conditions]]
    members = ["gpt4o_mini", { model = "gemini_flash", parse = "readers.py:second" }]
"""


def test_toml_names_it_as_a_function_of_a_file(tmp_path: Path) -> None:
    write(
        tmp_path,
        'def first(text):\n    return "A"\n\n\ndef second(text, item):\n    return item.id\n',
        "readers.py",
    )
    result = run_file(write(tmp_path, TOML, "exp.toml"))
    assert result.failed == 0
    calls = pq.read_table(result.results_dir / "calls.parquet").to_pylist()
    assert all(
        call["read"] == (call["item_id"] if call["model"] == "gemini_flash" else "A") for call in calls
    )
    with pytest.raises(SpecError, match=r"parse: .*there is no 'secnd': did you mean 'second'"):
        load_experiment(str(write(tmp_path, TOML.replace(":second", ":secnd"), "wrong.toml")))


@pytest.mark.parametrize(
    ("parse", "problem"),
    [
        (lambda: "A", "takes the reply's text, or text and item; this one takes ()"),
        (lambda text, item, more: "A", "this one takes (text, item, more)"),
        ("readers.py:first", "in Python give the function itself"),
        ("package.readers:first", "in Python give the function itself"),
        (7, "expected str"),
    ],
)
def test_what_is_no_parser_is_refused(parse: Any, problem: str) -> None:
    for wrong in (
        Experiment(name="x", conditions=[Model("m")], parse=parse),
        Experiment(name="x", conditions=[Ensemble([Model("m", parse=parse)])]),
    ):
        assert problem in "\n".join(problems_of(wrong))


def test_an_async_parser_is_refused() -> None:
    async def read(text: str) -> str:
        return text

    assert "no async function" in "\n".join(
        problems_of(Experiment(name="x", conditions=[Model("m", parse=read)]))
    )


@pytest.mark.parametrize("parse", ["json:answer", r"(?:answer|solution):(\w+)", r"file(.)py:name"])
def test_what_reads_json_or_matches_a_pattern_names_no_function(parse: str) -> None:
    assert problems_of(Experiment(name="x", conditions=[Model("m")], parse=parse)) == []


def test_check_shows_what_it_makes_of_a_right_and_a_wrong_reply(tmp_path: Path) -> None:
    def fails(text: str) -> str:
        return str(int(text))

    reads = Model("small", name="reads", parse=lambda text: text.split()[-1].strip("."))
    conditions = [reads, Model("small", parse=fails)]
    ready = prepared(tmp_path, "http://127.0.0.1:9", hypotheses=[], conditions=conditions)
    told = "\n".join(_shown_lines(show(ready, 1)))
    assert "a reply 'The answer is C.' would be read as 'C': right" in told
    assert "a reply 'The answer is A.' would be read as 'A': wrong" in told
    assert "its parser failed" in told
    assert "in fails" in told
    assert "ValueError: invalid literal" in told


def test_examples_that_it_cannot_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"which parse = 'never\(\)' reads as None"):
        prepared(
            tmp_path,
            "http://127.0.0.1:9",
            hypotheses=[],
            conditions=[Model("small", parse=never, few_shot=FewShot(2))],
        )


def never(text: str) -> None:
    """Reads nothing."""


def test_a_vote_in_a_function_and_an_evaluation_read_by_it_too(tmp_path: Path, simulate: Simulate) -> None:
    async def votes(item: Any, call: Any) -> Any:
        first = await call.ensemble(["small", "large"], "?")
        second = await call.ensemble(["small", "large"], "?", parse=lambda text: "second")
        return {"prediction": f"{first.answer} {second.answer}"}

    result = run_here(tmp_path, simulate, conditions=[votes], parse=lambda text: "first")
    assert {row["prediction"] for row in rows_of(result.results_dir)} == {"first second"}
    found = evaluate(["x"], [Item(id="a", input="?", expected="A")], parse=lambda text, item: item.expected)
    assert found.accuracy == 1.0


def test_it_reaches_ray_workers_by_value(tmp_path: Path, ray_session: Any) -> None:
    result = run_file(write(tmp_path), runtime="ray", ray=ray_session, clients=2)
    assert (result.status, result.completed, result.failed) == ("complete", 32, 0)
    assert runs_of(tmp_path) == _CALLS
    assert api.reproduce(result.results_dir).same
    assert runs_of(tmp_path) == _CALLS


@pytest.mark.parametrize(
    ("returned", "answer", "failure"),
    [
        ("x" * 2**20, None, "returned 1,048,576 characters: an answer has 65,536 at most"),
        ("x" * 65_536, "x" * 65_536, None),
        (10**5000, None, "4300 digits"),
        (float("nan"), "nan", None),
        ([1], None, "returned a list: return a str, or None for no answer"),
    ],
    ids=["a megabyte", "the longest", "too many digits", "not a number", "a list"],
)
def test_what_it_returns_is_an_answer_or_one_clear_failure(
    returned: Any, answer: str | None, failure: str | None
) -> None:
    found = OwnReader(lambda text: returned, "read").read("?", Item(id="q", input="?", expected="A"))
    assert found.answer == answer
    assert (found.failure is None) if failure is None else (failure in str(found.failure))
