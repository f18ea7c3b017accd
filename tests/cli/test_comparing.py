"""`compare` prints what `crucible_ray.compare` found: one table, the reason, the naive answer, what was left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import crucible_ray
from crucible_ray.cli.main import main
from tests.importing.places import LOGS

Capture = pytest.CaptureFixture[str]
HOSTILE = "=cmd|' /C calc'!A0 \x1b[31m[bold]\u202e<script>alert(1)</script>"


def table(folder: Path, names: tuple[str, ...] = ("a", "b")) -> Path:
    rows = [f'{i},"{name}",{(i * (n + 2)) % 3 == 0:d}' for i in range(30) for n, name in enumerate(names)]
    path = folder / "t.csv"
    path.write_text("\n".join(["item,model,right", *rows]))
    return path


def test_the_answer_its_reason_the_naive_one_sizes_and_counts_are_printed(capsys: Capture) -> None:
    assert main(["compare", str(LOGS / "inspect"), "--metric", "pattern"]) == 0
    shown, said = capsys.readouterr()
    found = crucible_ray.compare(LOGS / "inspect", metric="pattern")
    assert "pattern of 2 conditions (inspect_ai 0.3.285): paired by item, 24 of 24 items in all" in shown
    assert found.interpretation in shown
    assert f"Chosen: {found.reason}." in shown
    assert "The naive welch_t_pooled would have said p < .001." in shown
    assert "cohens_dz" in shown
    row = next(line for line in shown.splitlines() if line.startswith("openai-api/sim/weak "))
    assert row.split()[1:6] == ["24", "47", "1", "0", "0.583"]
    assert "Reading" in said


def test_json_holds_all_of_it_and_stands_alone_on_stdout(tmp_path: Path, capsys: Capture) -> None:
    words = [
        "compare",
        str(table(tmp_path, ("a", "b", "c"))),
        "--value",
        "right",
        "--by",
        "model",
        "--pair",
        "item",
    ]
    assert main([*words, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    same = crucible_ray.compare(tmp_path / "t.csv", value="right", by="model", pair="item")
    assert found == json.loads(same.to_json())
    assert [(pair["a"], pair["b"]) for pair in found["family"]["pairs"]] == [
        ("b", "a"),
        ("c", "a"),
        ("c", "b"),
    ]


def test_names_of_a_file_can_neither_act_on_the_terminal_nor_in_a_page(
    tmp_path: Path, capsys: Capture
) -> None:
    path = table(tmp_path, ("plain", HOSTILE))
    words = ["compare", str(path), "--value", "right", "--by", "model", "--pair", "item"]
    for name in ("out.html", "out.md"):
        assert main([*words, "--output", str(tmp_path / name)]) == 0
    shown = capsys.readouterr().out
    pages = (tmp_path / "out.html").read_text(), (tmp_path / "out.md").read_text()
    for text in (shown, *pages):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "[bold]" in shown
    for text in pages:
        assert "<script>" not in text


def test_a_page_in_markdown_and_in_html_says_the_same_as_the_terminal(
    tmp_path: Path, capsys: Capture
) -> None:
    path = table(tmp_path, ("a", "b", "c"))
    words = ["compare", str(path), "--value", "right", "--by", "model", "--pair", "item", "--quiet"]
    assert main([*words, "--output", str(tmp_path / "out.md")]) == 0
    text = (tmp_path / "out.md").read_text()
    assert "Cochran's Q over all, then all pairs" in text
    assert "| b - a |" in text
    assert main([*words, "--output", str(tmp_path / "out.html")]) == 0
    assert "Cochran&#39;s Q" in (tmp_path / "out.html").read_text()
    assert main([*words, "--output", str(tmp_path / "out.pdf")]) == 2
    assert "the name ends in .md or .html" in capsys.readouterr().err


def test_flags_are_the_arguments_of_the_same_names(tmp_path: Path, capsys: Capture) -> None:
    path = table(tmp_path, ("a", "b", "c"))
    flags = ["--value", "right", "--by", "model", "--pair", "item", "--condition", "c", "--condition", "a"]
    flags += [
        "--baseline",
        "a",
        "--test",
        "paired_t",
        "--alpha",
        "0.1",
        "--kind",
        "bounded",
        "--margin",
        "0.05",
    ]
    assert main(["compare", str(path), *flags, "--json", "--quiet"]) == 0
    same = crucible_ray.compare(
        path, value="right", by="model", pair="item", conditions=("c", "a"), baseline="a", test="paired_t",
        alpha=0.1, kind="bounded", margin=0.05,
    )  # fmt: skip
    assert json.loads(capsys.readouterr().out) == json.loads(same.to_json())
    unpaired = ["--value", "right", "--by", "model", "--pair", "item", "--unpaired", "--correction", "sidak"]
    assert main(["compare", str(path), *unpaired, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["paired"], found["family"]["correction"]) == (False, "sidak")


def test_an_error_is_one_that_names_the_mend(tmp_path: Path, capsys: Capture) -> None:
    assert main(["compare", str(table(tmp_path)), "--value", "rigth", "--by", "model"]) == 2
    assert "t.csv has no column 'rigth': did you mean 'right'?" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "none.csv")]) == 2
    assert "none.csv is neither a file nor a folder" in capsys.readouterr().err
