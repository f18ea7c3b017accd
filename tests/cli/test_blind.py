"""A blind run: no name of a condition on a terminal, in status, log or report until the analysis is fixed; then all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crucible_ray import api
from crucible_ray.cli.main import main
from crucible_ray.errors import UsageError
from tests.cli.console import console, crucible, workplace

Capture = pytest.CaptureFixture[str]
NAMES = ("zebra", "quokka")
LABELS = ("condition A", "condition B")
HIDDEN = """
from crucible_ray import Experiment, Model

experiment = Experiment(
    name="Which one", dataset="demo", sample_size=30, blind=True, seed=3, max_tokens=20, checkpoint_every=10,
    hypotheses=["accuracy: quokka > zebra"], metrics=["accuracy", "latency_mean", "cost_per_query"],
    conditions=[Model("quick", name="zebra", parse=r"never (\\d+)"), Model("quick", name="quokka")],
)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(workplace(tmp_path))
    (tmp_path / "hidden.py").write_text(HIDDEN)
    return tmp_path


def _some(here: Path, count: int = 25) -> list[str]:
    """Flags for so many of the items."""
    prepared = api.prepare(here / "hidden.py")
    return [word for item in prepared.items[:count] for word in ("--item", item.id)]


def _none_in(text: str) -> None:
    assert not [name for name in NAMES if name in text], text


def _folder(here: Path) -> Path:
    return next((here / "results").glob("exp_*"))


def test_no_name_is_on_the_terminal_in_status_log_or_report_until_all_trials_are_in(
    here: Path, capsys: Capture
) -> None:
    capsys.readouterr()
    assert main(["run", "hidden.py", "--in-process", *_some(here)]) == 0
    interim = "".join(capsys.readouterr())
    _none_in(interim)
    assert "names are hidden until all trials are in" in interim
    assert "answers could not be read" in interim, "warnings are told, by label"
    assert all(label in interim for label in LABELS)
    folder = _folder(here)
    for name in ("report.md", "report.html", "run.log", "analysis.json"):
        _none_in((folder / name).read_text())
    report = (folder / "report.md").read_text()
    assert report.index("| condition A |") < report.index("| condition B |")
    assert "What this interim report shows is no result" in report
    assert "latency_mean" not in report, "an ensemble would be known by it"
    status = crucible("status", str(folder), cwd=here)
    _none_in(status.stdout + status.stderr)
    assert api.reproduce(folder).same

    assert main(["resume", str(folder), "--in-process"]) == 0
    out = "".join(capsys.readouterr())
    assert "Unblinded: condition A is " in out
    assert all(name in out for name in NAMES)
    report = (folder / "report.md").read_text()
    assert "The names of the conditions were hidden until all trials were in." in report
    assert "accuracy: quokka > zebra" in report
    told = json.loads((folder / "analysis.json").read_text())["blind"]
    assert sorted(told["labels"].values()) == sorted(NAMES)
    assert list(told["labels"]) == list(LABELS)
    assert api.reproduce(folder).same


def test_a_live_bar_shows_no_name_either(here: Path) -> None:
    with console("run", "hidden.py", "--in-process", *_some(here, 10), cwd=here) as terminal:
        assert terminal.wait() == 0
        _none_in(terminal.seen)
        assert "Trials 20/60" in terminal.seen


def test_blind_is_no_part_of_the_id_and_labels_follow_the_seed(here: Path) -> None:
    from crucible_ray.experiment.blinding import labels

    blind = api.prepare(here / "hidden.py").plan
    (here / "open.py").write_text(HIDDEN.replace("blind=True, ", ""))
    assert api.prepare(here / "open.py").plan.experiment_id == blind.experiment_id
    drawn = set()
    for seed in range(20):
        (here / "seeded.py").write_text(HIDDEN.replace("seed=3", f"seed={seed}"))
        drawn.add(tuple(labels(api.prepare(here / "seeded.py").plan).values()))
    assert drawn == {LABELS, LABELS[::-1]}, "the order of the conditions does not tell"


def test_what_would_tell_a_name_is_refused_and_unblinding_a_run_that_stays_as_it_is_is_recorded(
    here: Path, capsys: Capture
) -> None:
    assert (
        main(["run", "hidden.py", "--in-process", *_some(here, 5), "--fail-if", "accuracy[quokka] < 0"]) == 1
    )
    assert "the run is blind until all its trials are in" in capsys.readouterr().err
    folder = _folder(here)
    for look in (
        lambda: api.show(folder, 0),
        lambda: api.rescore(folder, parse="text"),
        lambda: api.load(folder).compare(*LABELS),
        lambda: api.compare(folder),
    ):
        with pytest.raises(UsageError, match="blind until all its trials are in"):
            look()
    assert set(api.load(folder).analysis.conditions) == set(LABELS)
    assert main(["report", str(folder), "--unblind"]) == 0
    report = (folder / "report.md").read_text()
    assert "were hidden until they were told after 10 trials" in report
    assert all(name in report for name in NAMES)
    assert api.reproduce(folder).same
    with pytest.raises(UsageError, match="nothing to unblind"):
        api.report(folder, unblind=True)


def test_a_toml_file_says_blind_as_well(here: Path) -> None:
    (here / "hidden.toml").write_text(
        'name = "T"\ndataset = "demo"\nsample_size = 2\nblind = true\n[[conditions]]\ntype = "model"\nmodel = "quick"\n'
    )
    assert api.prepare(here / "hidden.toml").plan.blind
