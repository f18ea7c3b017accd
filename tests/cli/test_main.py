"""The command line as such: help, usage errors, what it costs to start."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from crucible_ray.cli import checking
from crucible_ray.cli.main import app, main
from tests.cli.console import COMMAND, crucible, workplace

VERBS = [
    "demo", "run", "resume", "retry", "rescore", "check", "estimate", "status", "show", "reproduce", "report",
    "init", "doctor", "simulate", "power", "compare",
]  # fmt: skip
GROUPS = ["models"]


def test_help_answers_in_under_half_a_second() -> None:
    seconds = []
    for _ in range(5):
        began_s = time.monotonic()
        subprocess.run([*COMMAND, "--help"], check=True, capture_output=True)
        seconds.append(time.monotonic() - began_s)
    assert min(seconds) < 0.5


def test_starting_the_command_loads_nothing_heavy() -> None:
    heavy = {"ray", "numpy", "pandas", "scipy", "pyarrow", "aiohttp", "httpx", "rich", "jinja2", "asyncio"}
    code = f"import sys, crucible_ray.cli.main\nprint(*({heavy} & sys.modules.keys()))"
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        == "\n"
    )


def test_help_names_exactly_the_verbs_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out.partition("Commands:")[2].splitlines()
    assert sorted(line.split()[0] for line in shown if line.startswith("  ") and line[2] != " ")[
        1:
    ] == sorted(VERBS + GROUPS)
    assert sorted(str(group.name) for group in app.registered_groups) == sorted(GROUPS)
    assert sorted(
        str(command.callback.__name__) for command in app.registered_commands if command.callback
    ) == sorted(VERBS)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "simulate"])
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert f"Example: crucible-ray {verb}" in capsys.readouterr().out


def test_the_simulator_has_help_with_an_example_too() -> None:
    done = subprocess.run([*COMMAND, "simulate", "--help"], check=True, capture_output=True, text=True)
    assert "Example: crucible-ray simulate --items" in done.stdout


def test_without_a_verb_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Usage: crucible-ray" in capsys.readouterr().out


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "crucible-ray 0.1.0\n"


def test_the_module_that_holds_the_command_runs_it_too() -> None:
    words = [sys.executable, "-m", "crucible_ray.cli.main", "--version"]
    assert subprocess.run(words, check=True, capture_output=True, text=True).stdout == "crucible-ray 0.1.0\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rn"], ["No such command 'rn'", "run", "See crucible-ray --help."]),
        (["run"], ["name an experiment", "--dataset FILE", "See crucible-ray run --help."]),
        (
            ["run", "x.py", "--sample-sise", "3"],
            ["--sample-sise", "--sample-size", "See crucible-ray run --help."],
        ),
        (["run", "x.py", "--repeat", "0"], ["'--repeat' / '--epochs'", "1", "See crucible-ray run --help."]),
    ],
)
def test_wrong_usage_is_one_line_with_the_mend(
    words: list[str], told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert all(part in err for part in told)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["check", "exq.py"], "Error: exq.py does not exist. Did you mean 'exp.py'?"),
        (["check", "exp.py", "-P", "n"], "Error: -P n: write -P name=value."),
        (["check", "exp.py", "-P", "n=1", "-P", "n=2"], "Error: -P n is given twice."),
        (["check", "exp.py", "--max-cost", "0"], "Error: --max-cost has to be above zero."),
        (
            ["run", "exp.py", "--format", "markdown,latex"],
            "Error: --format latex is not supported by this version: use markdown or html.",
        ),
        (["status", "nothing"], "Error: nothing is neither a results folder nor an experiment in results."),
        (["status", "."], "Error: . is no results folder: config.json is missing."),
        (
            ["resume", ".", "--checkpoint", "last", "--in-process"],
            "Error: --checkpoint last: write checkpoint_000004, as status lists them.",
        ),
        (
            ["run", "exp.py:priced", "--in-process"],
            "Error: API key not found for model openai_gpt4o_mini: set OPENAI_API_KEY "
            "(environment, .env, or a file named by OPENAI_API_KEY_FILE). Without a key: --simulate, in Python simulate=True.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    words: list[str],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(workplace(tmp_path))
    assert main(words) == (4 if "API key" in line else 2)
    out, err = capsys.readouterr()
    assert not out
    assert [each for each in err.splitlines() if not each.endswith(" ...")] == [line]
    assert not (tmp_path / "results").exists()


def test_debug_shows_the_traceback_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--debug", "status", "nothing"], ["status", "nothing", "--debug"]):
        assert main(words) == 2
        assert "Traceback" in capsys.readouterr().err


def test_a_defect_of_ours_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(checking, "load", broken)
    assert main(["check", "exp.py"]) == 5
    assert capsys.readouterr().err == (
        "Checking exp.py ...\nError: ZeroDivisionError: division by zero\n"
        "This is a defect of crucible-ray: --debug shows where. Please report it.\n"
    )


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_interruption_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checking, "load", _interrupted)
    assert main(["check", "exp.py"]) == 130
    assert capsys.readouterr().err == "Checking exp.py ...\nError: interrupted.\n"


def test_an_error_in_the_experiments_file_shows_its_own_frames_only(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def make():\n    return {}['a']\n\nexperiment = make()\n")
    done = crucible("check", "bad.py", cwd=tmp_path)
    assert done.returncode == 2
    assert 'bad.py", line 2, in make' in done.stderr
    assert "crucible_ray" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_ends_the_command_in_silence(tmp_path: Path) -> None:
    words = " ".join([*COMMAND, "check", "exp.py", "--show", "10"])
    done = subprocess.run(
        ["sh", "-c", f"{words} | head -1"],
        cwd=workplace(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Two models: valid" in done.stdout
    assert done.stderr == "Checking exp.py ...\n"
