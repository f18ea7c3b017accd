"""Sections beside the metrics."""

from __future__ import annotations

from crucible_ray.records import Item
from crucible_ray.reduction import Analysis, reduce
from crucible_ray.reports import Source, page, write_html, write_markdown
from tests.reduction.rows import batches, plan, row

OUTCOMES = [(0, 1)] * 24 + [(1, 0)] * 4 + [(1, 1)] * 60 + [(0, 0)] * 12
ITEMS = tuple(Item(id=str(k), input="q", topic=("physics", "<b>\u202ebio")[k % 2]) for k in range(100))


def analysed() -> Analysis:
    rows = [
        row(
            2 * item + k,
            correct,
            cost_usd=(0.001, 0.003)[k],
            consensus=(1.0 if correct else 2 / 3) if k else None,
        )
        for item, pair in enumerate(OUTCOMES)
        for k, correct in enumerate(pair)
    ]
    return reduce(plan(100), batches(rows), items=ITEMS)


def written(analysis: Analysis) -> str:
    return write_markdown(page(Source(plan=plan(100), analysis=analysis, items=ITEMS)))


def test_descriptive_tables_have_n_mean_deviation_extremes_and_percentiles() -> None:
    text = written(analysed())
    assert "| single | 100 | 64.0 % | 48.2 % | 64 | 36 |" in text
    assert "| single | latency_ms | 100 | 1,000 ms | 0 ms | 1,000 ms |" in text
    assert "| condition | of | N | mean | SD | min | P50 | P95 | P99 | max |" in text


def test_a_table_of_agreement_says_how_often_the_unanimous_are_right() -> None:
    text = written(analysed())
    assert "| ensemble | unanimous | 84 | 84.0 % | 100.0 % |" in text
    assert "ensemble: where all agree it is right in 100.0 % of cases, else in 0.0 %." in text


def test_topics_stand_with_the_conditions_and_not_with_what_is_missing() -> None:
    text = written(analysed())
    assert text.index("## Conditions") < text.index("### By topic") < text.index("## Comparisons")


def test_failures_are_shown_by_topic_and_topics_are_text() -> None:
    text = written(analysed())
    assert "| `physics` | 64.0 % (18 wrong of 50) |" in text
    assert "`<b>\u27e8U+202E\u27e9bio`" in text
    html = write_html(page(Source(plan=plan(100), analysis=analysed(), items=ITEMS)))
    assert "&lt;b&gt;\u27e8U+202E\u27e9bio" in html


def test_cost_and_benefit_say_what_an_extra_right_answer_costs_and_when_it_pays() -> None:
    text = written(analysed())
    assert "| single | 64.0 % | $0.001 | $0.0016 | 360 |" in text
    assert (
        "ensemble instead of single: 200 more right answers in 1,000, for $2.00 more: $0.01 for each. "
        "It pays where a wrong answer costs more than $0.01." in text
    )


def test_tests_are_written_as_the_manual_does_with_their_sources() -> None:
    text = written(analysed())
    assert "z = " in text
    assert "Tango (1998)" in text
    assert "Wilson (1927)" in text
