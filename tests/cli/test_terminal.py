"""What a model said cannot act on the terminal, in words or as JSON."""

from __future__ import annotations

import json

import pytest

from crucible_ray.cli.terminal import Terminal

HOSTILE = "\x1b[2J\x9b31m\u202egnp.exe \u2066 \x7f end"


def test_words_show_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().show(HOSTILE)
    shown = capsys.readouterr().out
    assert shown.endswith("end\n")
    assert shown.rstrip("\n").isprintable()


def test_json_means_the_same_and_shows_none_either(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(as_json=True).facts({"reply": HOSTILE, "name": "Jos\u00e9 \u05e9"})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"reply": HOSTILE, "name": "Jos\u00e9 \u05e9"}
    assert shown.replace("\n", "").isprintable()
    assert "Jos\u00e9 \u05e9" in shown
