"""What a run shows while it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crucible_ray import api
from crucible_ray.api import Note, Progress
from crucible_ray.api.progress import Display, clock, note_line, progress_line, starting_line
from tests.conftest import Simulate
from tests.integration.lab import POPULATION, prepared


def _progress(**how: Any) -> Progress:
    defaults: dict[str, Any] = {
        "phase": "running", "trials": 600, "done": 240, "failed": 0, "rate": 48.2, "eta_s": 7.6, "spent_usd": 0.01234,
        "retries": 0, "throttled": 0, "clients": 1, "elapsed_s": 5.0,
    }  # fmt: skip
    return Progress(**(defaults | how))


def test_a_line_has_percent_count_rate_spend_and_time_left() -> None:
    assert progress_line(_progress(), bar=False) == "40% (240/600)  48.2/s  $0.01234  ETA 8s"


def test_the_bar_is_that_of_the_guide() -> None:
    line = progress_line(_progress(), bar=True)
    assert line.startswith("[========>               ] 40% (240/600)")
    assert progress_line(_progress(done=600), bar=True).startswith(
        "[========================] 100% (600/600)"
    )
    assert progress_line(_progress(done=0), bar=True).startswith("[                        ] 0% (0/600)")


def test_what_goes_wrong_is_counted_when_it_does() -> None:
    line = progress_line(_progress(failed=2, retries=1300, throttled=5, phase="stopping"), bar=False)
    assert line == "40% (240/600)  48.2/s  $0.01234  2 failed  1,300 retries  5 x 429  stopping ..."


def test_an_unknown_price_is_not_zero() -> None:
    assert "unknown price" in progress_line(_progress(spent_usd=None), bar=False)


def test_a_rate_that_is_not_known_yet_is_left_out() -> None:
    assert progress_line(_progress(rate=0.0, eta_s=None), bar=False) == "40% (240/600)  $0.01234"


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1s"), (42.4, "42s"), (185, "3m 5s"), (7500, "2h 5m")])
def test_time_left_is_short(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_waiting_for_ray_says_how_long_it_usually_takes() -> None:
    assert starting_line(7.4) == "starting Ray ... 7 s (usually 5 to 20)"
    assert starting_line(None) == "starting ..."


@pytest.mark.parametrize(
    ("note", "words"),
    [
        (
            Note(name="client_died", facts={"client": 0, "why": "?", "handed_back": 38}),
            "its 38 trials are handed back",
        ),
        (
            Note(name="client_killed", facts={"client": 0, "at": 0.402}),
            "client 0 is killed on purpose at 40 %",
        ),
        (Note(name="client_silent", facts={"client": 2}), "client 2 is silent"),
        (
            Note(name="budget_warning", facts={"spent_usd": 0.8, "max_total": 1.0}),
            "$0.80 of the budget of $1.00 are spent",
        ),
        (Note(name="stopping", facts={"signal": "SIGINT"}), "SIGINT: no new trial starts"),
        (
            Note(name="leaving", facts={"folder": "results/exp_1", "spent_usd": 0.0}),
            "will be asked again. Go on with: crucible-ray resume results/exp_1",
        ),
        (
            Note(name="leaving", facts={"folder": "results/exp_1", "spent_usd": 0.01234}),
            "asked again. With what it may have cost $0.012 counts as spent. Go on with",
        ),
        (Note(name="new_thing", facts={"size": 3}), "new thing: size 3"),
    ],
)
def test_notes_are_sentences(note: Note, words: str) -> None:
    assert words in note_line(note)


def test_no_note_can_move_the_cursor() -> None:
    assert "\x1b" not in note_line(Note(name="new_thing", facts={"name": "\x1b[2J"}))


def test_without_a_terminal_the_first_line_comes_at_once_and_notes_between(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Display(terminal=False, waited_s=lambda: 3.0) as display:
        display.on_note(Note(name="client_silent", facts={"client": 1}))
    lines = capsys.readouterr().err.splitlines()
    assert sorted(lines) == [
        "client 1 is silent and will be replaced",
        "starting Ray ... 3 s (usually 5 to 20)",
    ]


def test_quiet_shows_neither_progress_nor_notes(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(terminal=False, quiet=True) as display:
        display.on_progress(_progress())
        display.on_note(Note(name="client_silent", facts={"client": 1}))
    assert capsys.readouterr() == ("", "")


def test_without_a_bar_notes_are_still_told(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(terminal=True, bar=False) as display:
        display.on_progress(_progress())
        display.on_note(Note(name="client_silent", facts={"client": 1}))
    assert capsys.readouterr().err == "client 1 is silent and will be replaced\n"


def test_no_time_left_is_told_until_rows_came_in_for_a_while(tmp_path: Path, simulate: Simulate) -> None:
    """Time before the first rows is start-up; a rate over it says ten minutes of what takes one."""
    seen: list[Progress] = []
    api.run(
        prepared(tmp_path, simulate(models=POPULATION).url),
        runtime="in-process",
        output_dir=tmp_path,
        progress_every_s=0.02,
        on_progress=seen.append,
    )
    with_rows = [each for each in seen if each.done]
    assert with_rows[0].eta_s is None
    assert all(each.eta_s is None for each in seen if not each.done)
    assert any(each.eta_s is not None for each in with_rows)
