"""`power`: designs, pilots and experiments, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crucible_ray import api
from crucible_ray.cli.main import main
from crucible_ray.experiment.spec import Experiment, Model
from tests.cli.console import workplace

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace(tmp_path))


def test_power_of_a_design_is_a_table_and_json(capsys: Capture) -> None:
    words = ["power", "--effect", "0.08", "--margin", "0.05", "--discordant", "0.10,0.16"]
    assert main(words) == 0
    assert "817 to 1,340 items support" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["solved"], [row["n"] for row in found["rows"]]) == ("n", [817, 1340])
    assert main(["power", "independent_continuous", "--n", "64", "--effect", "0.5", "--sd", "1"]) == 0
    assert "0.80" in capsys.readouterr().out  # R: power.t.test(n = 64, delta = .5, sd = 1)$power


def test_items_and_difference_are_other_names_of_n_and_effect(capsys: Capture) -> None:
    for n in ("--n", "--items"):
        for effect in ("--effect", "--difference"):
            words = ["power", "independent_continuous", n, "64", effect, "0.5", "--sd", "1", "--json"]
            assert main(words) == 0
            found = json.loads(capsys.readouterr().out)
            assert (found["solved"], found["question"]["n"], found["question"]["effect"]) == (
                "power",
                64,
                0.5,
            )


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (["paird_binary", "--n", "5"], "there is no design 'paird_binary': did you mean 'paired_binary'?"),
        (["--effect", "0.05"], "needs --discordant, the share of items on which the two differ, or --p"),
        (["--p", "0.8"], "give two of --n, --effect and --power"),
        (["--n", "10", "--discordant", "x"], "--discordant x: write one share, or two with a comma"),
        (["--n", "10", "--p", "0.8", "--relation", "better"], "there is no relation 'better'"),
        (["exp.py", "--n", "10"], "--n: with exp.py it is the experiment that says so"),
        (["exp.py", "--margin", "0.1"], "--margin: with exp.py it is the experiment that says so"),
        (["--n", "10", "--p", "0.8", "--effect", "0.3"], "leaves 0 to 1"),
    ],
)
def test_what_cannot_be_answered_names_the_mend(words: list[str], mend: str, capsys: Capture) -> None:
    assert main(["power", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert mend in line


def test_power_of_an_experiment_looks_at_its_hypotheses(capsys: Capture) -> None:
    assert main(["power", "exp.py", "--simulate"]) == 0
    assert '"accuracy: other > quick"' in capsys.readouterr().out
    assert main(["power", "exp.py:priced"]) == 2
    assert "declares no hypothesis" in capsys.readouterr().err


def test_a_results_folder_is_a_pilot(capsys: Capture) -> None:
    experiment = Experiment(
        name="Pilot", dataset="demo", sample_size=40, repeat=3, conditions=[Model("quick"), Model("slow")]
    )
    settings = Path("crucible.toml").read_text().replace("latency_s = 0.3", "accuracy = 0.6")
    Path("crucible.toml").write_text(settings)
    folder = api.run(experiment, runtime="in-process", progress=False).results_dir
    assert main(["power", "--pilot", str(folder), "--effect", "0.1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pilot"]["control"], found["pilot"]["treatment"]) == ("quick", "slow")
    spread = found["pilot"]["spread"]
    assert (spread["items"], spread["repeats"]) == (40, 3)
    assert 0 <= spread["icc"] <= 1
    assert len(found["rows"]) == 3
    assert main(["power", "--pilot", str(folder), "--effect", "0.1", "--metric", "latency_p95"]) == 2
    assert "no value of single trials" in capsys.readouterr().err
    assert main(["power", "--pilot", str(folder), "--n", "100", "--condition", "quick"]) == 2
    assert "control first: --condition quick --condition slow" in capsys.readouterr().err
