"""Hostile replies in the reports, in the CSV and on the terminal."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from crucible_ray import RunResult
from crucible_ray.api.places import read_config
from crucible_ray.reports import summary_lines, visible
from crucible_ray.reports.markdown import code, escape
from crucible_ray.reports.visible import shortened
from tests.reports.hostile import MARK, REPLIES, hostile_run


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return hostile_run(tmp_path_factory.mktemp("hostile"))


def test_every_reply_came_through_the_run_as_it_was(hostile: RunResult) -> None:
    assert (hostile.status, hostile.failed) == ("complete", 0)
    import pyarrow.parquet as pq

    texts = pq.read_table(hostile.results_dir / "calls.parquet", columns=["text"])["text"].to_pylist()
    assert set(texts) == set(REPLIES)


def test_no_reply_is_anything_but_text_in_the_page(hostile: RunResult) -> None:
    page = hostile.reports["html"].read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert len(page) < 200_000


def test_no_reply_makes_a_link_a_table_or_a_tag_in_markdown(hostile: RunResult) -> None:
    lines = hostile.reports["markdown"].read_text().splitlines()
    start = lines.index("## Question by question")
    rows = [line for line in lines[start:] if line.startswith("|")][: 2 + len(REPLIES)]
    heads = rows[0].count("|")
    for row in rows:
        assert row.replace("\\|", "").count("|") == heads
    assert "<" not in _outside_code("\n".join(lines))
    assert MARK not in _outside_code("\n".join(lines))
    assert all(line.isprintable() for line in lines)


def _outside_code(text: str) -> str:
    import re

    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)


def test_no_cell_of_the_csv_is_a_formula(hostile: RunResult) -> None:
    csv.field_size_limit(2_000_000)  # the cell of the longest reply holds all of it
    with (hostile.results_dir / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row[name] for row in rows for name in ("item_id", "prediction", "expected", "votes", "error")]
    assert not [text for text in texts if text[:1] in {*"=+-@\t\r"} and text]
    assert any(text.startswith("'=HYPERLINK(") for text in texts)
    assert {row["prediction"] for row in rows if row["item_id"].startswith("0")} == {REPLIES[0]}


def test_nothing_on_the_terminal_moves_the_cursor(hostile: RunResult) -> None:
    plan, _ = read_config(Path(hostile.results_dir))
    lines = summary_lines(plan, hostile.analysis, hostile.facts)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u05e9\u05dc\u05d5\u05dd", "plain \u05e9\u05dc\u05d5\u05dd"),
        ("\x1b[2J", "\u241b[2J"),
        ("a\nb\x7f", "a\u240ab\u2421"),
        ("\u202egpj.exe", "\u27e8U+202E\u27e9gpj.exe"),
        ("\x85\ud800", "\u27e8U+0085\u27e9\u27e8U+D800\u27e9"),
    ],
)
def test_what_would_not_show_gets_a_symbol(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_long_text_is_cut_and_says_how_long_it_is() -> None:
    assert shortened("x" * 1_000_000, 10) == "xxxxxxxxxx ... (1,000,000 characters)"
    assert shortened("short", 10) == "short"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1. first", "1\\. first"),
        ("- item", "\\- item"),
        ("> quote", "\\> quote"),
        ("a > b < c", "a > b < c"),
        ("p < .001 a<b> <!-- </p> <", "p < .001 a&lt;b> &lt;!-- &lt;/p> &lt;"),
        ("a - b = c", "a - b = c"),
        ("https://x.example www.x.example", "https&#58;//x.example www&#46;x.example"),
        ("snake_case and _emphasis_", "snake_case and \\_emphasis\\_"),
    ],
)
def test_text_means_itself_in_markdown(text: str, written: str) -> None:
    assert escape(text) == written


def test_a_code_span_holds_whatever_backticks_and_bars_there_are() -> None:
    assert code("a``b|c`") == "``` a``b\\|c` ```"
    assert code("  ") == "`    `"
