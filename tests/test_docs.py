"""What the documents say is so: their snippets run, and whatever they name exists."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from crucible_ray import api
from crucible_ray.cli.main import app
from crucible_ray.estimating import Estimate
from crucible_ray.experiment.defaults import METRIC_NAMES, NORMALIZE_KINDS, PARSE_KINDS, VOTE_KINDS
from crucible_ray.experiment.loading import load_experiment
from crucible_ray.experiment.spec import Analysis, Budget, Dataset, Ensemble, Experiment, Model
from crucible_ray.journal.tables import CALLS, PROMPTS, RESULTS
from crucible_ray.models.catalogue import ALIASES, SERVERS
from crucible_ray.reduction.analysis import Comparison, Completeness, Metric
from crucible_ray.settings import ModelTable, keys, load_settings

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPET = re.compile(r"^```(\w+) (run|experiment|crucible)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A code block says after its language what it is: a program, an experiment, or a `crucible.toml`."""


class Snippet(NamedTuple):
    document: str
    language: str
    what: str
    text: str


def snippets(what: str) -> list[Snippet]:
    found = [
        Snippet(path.name, *match.groups())
        for path in DOCUMENTS
        for match in SNIPPET.finditer(path.read_text())
    ]
    return [each for each in found if each.what == what]


def names(what: str) -> list[str]:
    return [f"{each.document}-{number}" for number, each in enumerate(snippets(what))]


def prepared(snippet: Snippet, folder: Path) -> api.Prepared:
    path = folder / f"experiment.{'py' if snippet.language == 'python' else 'toml'}"
    path.write_text(snippet.text)
    return api.prepare(load_experiment(str(path)), simulate=True)


@pytest.mark.parametrize("snippet", snippets("experiment"), ids=names("experiment"))
def test_an_experiment_of_a_document_can_be_run(
    snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = prepared(snippet, tmp_path)
    assert found.plan.trials > 0
    assert found.estimate().total_cost


def test_the_readme_says_the_same_in_python_and_in_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ids = [
        prepared(each, tmp_path).plan.experiment_id
        for each in snippets("experiment")
        if each.document == "README.md"
    ]
    assert len(ids) == 2
    assert len(set(ids)) == 1


@pytest.mark.parametrize("snippet", snippets("run"), ids=names("run"))
def test_a_program_of_a_document_runs(snippet: Snippet, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", snippet.text], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("snippet", snippets("crucible"), ids=names("crucible"))
def test_a_configuration_of_a_document_holds(snippet: Snippet, tmp_path: Path) -> None:
    (tmp_path / "crucible.toml").write_text(snippet.text)
    assert load_settings(tmp_path, {}).models


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_verb_and_flag_exists(document: Path) -> None:
    verbs = {name: _flags(command) for name, command in _verbs().items()}
    for verb, words in re.findall(r"(?:\$ |`)crucible-ray ([a-z]+)\b([^\n`|]*)", document.read_text()):
        assert verb in verbs, f"{document.name}: crucible-ray {verb}"
        flags = set(re.findall(r"(?<!\S)--?[a-zA-Z][a-z-]*", words))
        assert verb == "simulate" or flags <= verbs[verb], f"{document.name}: crucible-ray {verb}{words}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_and_make_target_that_is_named_exists(document: Path) -> None:
    text = document.read_text()
    links = {(document.parent / link) for link in re.findall(r"\]\(([^)#:]+)\)", text)}
    spans = re.findall(
        r"`((?:crucible_ray|docs|examples|tests|scripts|benchmarks)(?:/[\w.]+)*/?)(?:::\w+)?`", text
    )
    for path in links | {ROOT / span for span in spans}:
        assert path.exists(), f"{document.name} names {path}"
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?\bmake ([a-z]+)`", text)) <= targets


def test_every_test_that_keeps_a_promise_exists() -> None:
    cited = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "promises.md").read_text())
    assert len(cited) > 50
    for path, name in cited:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"


def test_every_promise_stands_once() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", (ROOT / "docs" / "promises.md").read_text(), re.MULTILINE)
    numbers = [int(number) for row in rows for number in row.split(",")]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) <= set(range(1, 226))


def test_the_reference_names_every_option_and_every_word_that_may_be_written() -> None:
    text = (ROOT / "docs" / "experiments.md").read_text()
    options = {
        each.name
        for kind in (Experiment, Model, Ensemble, Dataset, Budget, Analysis)
        for each in fields(kind)
    }
    words = {*METRIC_NAMES, *PARSE_KINDS, *NORMALIZE_KINDS, *VOTE_KINDS, *ALIASES}
    words |= {*ModelTable.__struct_fields__, *(f"{server}/" for server in SERVERS)}
    assert {each for each in options | words if not re.search(rf"(?<!\w){re.escape(each)}", text)} == set()


@pytest.mark.parametrize("kind", [Experiment, Model, Ensemble, Dataset, Budget, Analysis])
def test_every_option_stands_in_a_table_of_its_value(kind: type) -> None:
    text = (ROOT / "docs" / "experiments.md").read_text()
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    own = r"\| field \| default" if kind is Experiment else rf"\| of .*`{kind.__name__}`"
    rows = "".join(each for each in tables if re.match(own, each)).splitlines()
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert {each.name for each in fields(kind)} - named == set()


def test_the_reference_names_every_field_of_an_estimate() -> None:
    text = (ROOT / "docs" / "experiments.md").read_text().partition("## Before money is spent")[2]
    assert {each for each in Estimate.__struct_fields__ if f"`{each}`" not in text} == set()


def test_the_results_page_names_every_column_and_key() -> None:
    text = (ROOT / "docs" / "results.md").read_text()
    wanted = {*RESULTS.names, *CALLS.names, *PROMPTS.names}
    for kind in (Comparison, Completeness, Metric):
        wanted |= set(kind.__struct_fields__)
    assert {each for each in wanted if not re.search(rf"\b{each}\b", text)} == set()


def test_the_readme_names_every_variable_that_settings_read() -> None:
    text = (ROOT / "README.md").read_text()
    assert {key.env for key in keys() if key.env and key.env not in text} == set()


def _verbs() -> dict[str, object]:
    group: object = typer.main.get_command(app)
    return dict(getattr(group, "commands"))  # noqa: B009 - the class behind it is Typer's own affair


def _flags(command: object) -> set[str]:
    found = {flag for each in getattr(command, "params") for flag in each.opts}  # noqa: B009
    return found | {"-h", "--help", "--debug"}
