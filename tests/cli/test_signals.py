"""Ctrl-C once stops in good order, twice leaves at once; SIGTERM is the same. On a real terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.console import Console, console, crucible, workplace

CTRL_C = "\x03"


def _folder(cwd: Path) -> Path:
    (found,) = (cwd / "results").iterdir()
    return found


def _stop_in_good_order(terminal: Console, cwd: Path) -> int:
    """Press Ctrl-C once some trials are done; returns how many the record then holds."""
    terminal.expect(r"[1-9]\d*% \(", within_s=90.0)
    terminal.type(CTRL_C)
    terminal.expect("SIGINT: no new trial starts")
    assert terminal.wait() == 130
    assert f"Go on with: crucible-ray resume results/{_folder(cwd).name}" in terminal.seen
    assert terminal.seen.rpartition("\x1b[?25")[2].startswith("h"), "the cursor is shown again"
    standing = json.loads(crucible("status", str(_folder(cwd)), "--json", cwd=cwd).stdout)
    assert (standing["status"], standing["alive"]) == ("interrupted", False)
    assert list((_folder(cwd) / "checkpoints").glob("checkpoint_*.parquet"))
    assert (_folder(cwd) / "results.csv").read_text().count("\n") == 1 + standing["done"]
    return int(standing["done"])


def _resume(cwd: Path, done: int, *words: str) -> None:
    rest = crucible("resume", _folder(cwd).name, "--json", *words, cwd=cwd)
    assert rest.returncode == 0, rest.stderr
    facts = json.loads(rest.stdout)
    assert (facts["completed"], facts["calls"]) == (facts["trials"], facts["trials"] - done)


def test_ctrl_c_keeps_what_is_done_and_resume_does_the_rest(tmp_path: Path) -> None:
    words = ("run", "exp.py", "-P", "model=slow", "-P", "n=12", "--in-process")
    with console(*words, cwd=workplace(tmp_path)) as terminal:
        done = _stop_in_good_order(terminal, tmp_path)
    assert 0 < done < 48
    _resume(tmp_path, done, "--in-process")


def test_a_second_ctrl_c_leaves_at_once_with_every_row_and_says_what_counts_as_spent(tmp_path: Path) -> None:
    words = ("run", "exp.py", "-P", "model=stuck", "-P", "n=20", "--in-process", "--clients", "2")
    with console(*words, cwd=workplace(tmp_path)) as terminal:
        shown = terminal.expect(r"[1-9]\d*% \((\d+)/80\)")
        terminal.type(CTRL_C)
        terminal.expect("SIGINT: no new trial starts")
        began_s = time.monotonic()
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
        assert time.monotonic() - began_s < 8.0, "neither a call's 25 s nor the 10 s of grace"
        assert "left at once: what was in flight will be asked again." in terminal.seen
        told = re.search(
            r"it may have cost \$([\d.]+) counts as spent\. Go on with: crucible-ray", terminal.seen
        )
        assert told is not None
        assert f"resume {_folder(tmp_path).relative_to(tmp_path)}" in terminal.seen.replace("\r\n", "")
        assert terminal.seen.rpartition("\x1b[?25")[2].startswith("h"), "the cursor is shown again"
    standing = json.loads(crucible("status", str(_folder(tmp_path)), "--json", cwd=tmp_path).stdout)
    assert (standing["status"], standing["alive"]) == ("interrupted", False)
    assert standing["done"] >= int(shown[1])
    assert standing["spent_usd"] == pytest.approx(float(told[1]), rel=0.05)
    most_usd = 200 * 1e-6 + 20 * 2e-6  # of one call: a token a byte of its prompt, and max_tokens
    assert standing["spent_usd"] <= (standing["done"] + 4) * most_usd, "what was not in flight is not spent"


def test_a_third_ctrl_c_waits_for_nothing_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    words = ("run", "exp.py", "-P", "model=stuck", "-P", "n=20", "--in-process")
    with console(*words, cwd=workplace(tmp_path)) as terminal:
        terminal.expect(r"[1-9]\d*% \(")
        terminal.type(CTRL_C)
        terminal.expect("SIGINT: no new trial starts")
        terminal.type(CTRL_C + CTRL_C)
        assert terminal.wait() == 130
        assert terminal.seen.count("left at once") == 1
        assert terminal.seen.rpartition("\x1b[?25")[2].startswith("h"), "the cursor is shown again"
    standing = json.loads(crucible("status", str(_folder(tmp_path)), "--json", cwd=tmp_path).stdout)
    assert standing["alive"] is False


def test_without_a_bound_nothing_is_said_of_what_a_call_in_flight_may_have_cost(tmp_path: Path) -> None:
    workplace(tmp_path)
    text = (
        (tmp_path / "exp.py").read_text().replace("checkpoint_every=4, max_tokens=20", "checkpoint_every=4")
    )
    (tmp_path / "exp.py").write_text(text)
    with console(
        "run", "exp.py", "-P", "model=stuck", "-P", "n=20", "--in-process", cwd=tmp_path
    ) as terminal:
        terminal.expect(r"[1-9]\d*% \(")
        terminal.type(CTRL_C)
        terminal.expect("SIGINT: no new trial starts")
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
        assert (
            "left at once: what was in flight will be asked again. Go on with: crucible-ray" in terminal.seen
        )


def test_ctrl_c_at_the_question_is_no_and_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with console("run", "exp.py:priced", "--in-process", cwd=workplace(tmp_path)) as terminal:
        terminal.expect(r"Continue\? \[y/N\]: ")
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
        assert terminal.seen.endswith("Error: interrupted.\r\n")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_stop_in_good_order_too(number: signal.Signals, tmp_path: Path) -> None:
    words = ("run", "exp.py", "-P", "model=slow", "-P", "n=12", "--in-process")
    with console(*words, cwd=workplace(tmp_path)) as terminal:
        terminal.expect(r"[1-9]\d*% \(")
        os.kill(terminal.pid, number)
        terminal.expect(f"{number.name}: no new trial starts")
        assert terminal.wait() == 130
        assert "Go on with: crucible-ray resume results/exp_" in terminal.seen


@pytest.mark.ray
def test_ctrl_c_works_the_same_with_ray_and_leaves_none_of_its_processes(tmp_path: Path) -> None:
    words = ("run", "exp.py", "-P", "model=slow", "-P", "n=12")
    with console(*words, cwd=workplace(tmp_path)) as terminal:
        terminal.expect(r"starting Ray \.\.\. \d+ s \(usually 5 to 20\)")
        terminal.expect(r"0% \(", within_s=90.0)
        family = psutil.Process(terminal.pid).children(recursive=True)
        done = _stop_in_good_order(terminal, tmp_path)
    _, alive = psutil.wait_procs(family, timeout=20.0)
    assert not alive
    _resume(tmp_path, done, "--in-process")


@pytest.mark.ray
def test_ctrl_c_while_ray_starts_leaves_at_once_and_nothing_behind(tmp_path: Path) -> None:
    with console("run", "exp.py", cwd=workplace(tmp_path)) as terminal:
        terminal.expect(r"starting Ray \.\.\. ")
        family = psutil.Process(terminal.pid).children(recursive=True)
        began_s = time.monotonic()
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
        assert time.monotonic() - began_s < 5.0
        assert "Error: interrupted" in terminal.seen
    _, alive = psutil.wait_procs(family, timeout=20.0)
    assert not alive
    assert not os.path.exists(_folder(tmp_path) / "results.csv")
