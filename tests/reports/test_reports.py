"""Reports say what the analysis holds, in words, and escape what they did not write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from crucible_ray.experiment.plan import Plan, PromptPlan
from crucible_ray.reduction import Analysis, reduce
from crucible_ray.reports import (
    KillFact,
    RunFacts,
    Source,
    final_screen,
    findings,
    page,
    summary_lines,
    words,
    write_html,
    write_markdown,
)
from crucible_ray.reports.markdown import code, escape
from tests.reduction.rows import batches, condition, hypothesis, model, plan, row


def _facts(**how: Any) -> RunFacts:
    defaults: dict[str, Any] = {
        "status": "complete",
        "started": "2026-11-03T10:00:00+00:00",
        "duration_s": 192.0,
        "runtime": "ray",
        "clients": 1,
        "spent_usd": 0.61,
        "estimated_usd": 0.66,
        "calls": 800,
        "retries": 12,
        "throttled": 23,
        "quota_wait_s": 4.5,
        "bound_by": "the provider's limit",
        "results_dir": "results/exp_0123456789ab",
        "reproduce": ("crucible-ray reproduce results/exp_0123456789ab",),
    }
    return RunFacts(**(defaults | how))


def _markdown(asked: Plan, analysis: Analysis, facts: RunFacts | None = None) -> str:
    return write_markdown(page(Source(plan=asked, analysis=analysis, facts=facts or _facts())))


def _run(failed: int = 0, **how: Any) -> tuple[Plan, Analysis]:
    asked = plan(100, hypotheses=(hypothesis("at least 5 points better", margin=0.05),), **how)
    outcomes = [(0, 1)] * 24 + [(1, 0)] * 8 + [(1, 1)] * 60 + [(0, 0)] * 8
    rows = []
    for item, pair in enumerate(outcomes):
        for index, correct in enumerate(pair):
            bad = "timeout" if index == 0 and item >= 100 - failed else None
            calls = [{"call": m, "outcome": "ok", "text": "A"} for m in range(3)] if index else []
            rows.append(row(2 * item + index, correct, bad, calls=calls))
    score = lambda _condition, _member, item, _text, _read: int(item % 3 > 0)  # noqa: E731
    return asked, reduce(asked, batches(rows), member_score=score)


def test_a_conditions_description_stands_in_the_report_as_text() -> None:
    asked, analysis = _run()
    told = replace(asked.conditions[0], description="One <b>cheap</b> model alone")
    report = _markdown(replace(asked, conditions=(told, *asked.conditions[1:])), analysis)
    assert "One &lt;b>cheap&lt;/b> model alone (" in report


def test_the_report_has_every_section() -> None:
    report = _markdown(*_run(failed=2))
    for heading in (
        "# Voting", "## Key finding", "## Hypotheses", "## Conditions", "### Members", "## Comparisons",
        "## Completeness", "### Failures by class", "## Cost", "## How it was run", "## How to reproduce",
    ):  # fmt: skip
        assert f"\n{heading}" in f"\n{report}", heading
    assert "`exp_0123456789ab`" in report
    assert "| single | timeout | 2 |" in report
    assert "a pooled t-test would have said p = " in report
    assert "Simulated" not in report


def test_cells_of_the_hypotheses_table_have_their_unit() -> None:
    report = _markdown(*_run())
    row_of = next(line for line in report.splitlines() if line.startswith("| at least 5 points better"))
    assert "| +16.0 points | +5.2 to +26.9 points |" in row_of


def test_replies_of_earlier_runs_are_told_in_the_terminal_too() -> None:
    asked, analysis = _run()
    told = "  Replies were taken from earlier runs: whoever saw those results before asking for more has looked twice"
    assert not any(line.startswith(told) for line in summary_lines(asked, analysis, _facts()))
    taken = {
        name: replace(each, completeness=replace(each.completeness, unsent=5))
        for name, each in analysis.conditions.items()
    }
    lines = summary_lines(asked, replace(analysis, conditions=taken), _facts())
    assert sum(line.startswith(told) for line in lines) == 1


def test_every_table_row_has_as_many_cells_as_its_head() -> None:
    lines = _markdown(*_run(failed=2)).splitlines()
    width = 0
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        cells = line.replace("\\|", "").count("|")
        if after.startswith("| ---"):
            width = cells
        if line.startswith("|"):
            assert cells == width, line
        else:
            assert "|" not in line.replace("\\|", ""), line


def test_a_simulated_run_says_so_in_report_and_screen() -> None:
    asked, analysis = _run(simulated={"seed": 1})
    assert "Simulated: no real model was asked" in _markdown(asked, analysis)
    assert "(simulated)" in final_screen(asked, analysis, _facts())[0]


def test_names_and_errors_cannot_break_the_page() -> None:
    hostile = "<script>|`x`\n# big*"
    asked = plan(
        4, name=hostile, conditions=(condition(hostile, [model("m1")]), condition("b", [model("m2")]))
    )
    analysis = reduce(asked, batches([row(t, error=hostile if t == 0 else None) for t in range(8)]))
    report = _markdown(asked, analysis, _facts(model_versions={"m1": hostile}))
    assert "<script>`" not in report.replace("`` <script>", "")
    assert "\n# big" not in report
    assert escape(hostile) == r"&lt;script>\|\`x\` \# big\*"
    assert code("a`b") == "``a`b``"


def test_the_screen_is_the_one_that_was_promised() -> None:
    asked, analysis = _run()
    facts = _facts(
        kill=KillFact(at_percent=40, handed_back=38, lost=0, doubled=0),
        planted=0.16,
        next_steps=("status DIR", "reproduce DIR"),
    )
    assert final_screen(asked, analysis, facts) == [
        "Trials 200/200   0 lost   $0.61 of $0.66 estimated",
        "  client actor killed on purpose at 40 %: 38 trials handed back, 0 lost, 0 doubled",
        "  23 x 429 obeyed, 12 retries",
        "ensemble - single   +16.0 points [5.2, 26.9], p = .005   paired, 100 items",
        "  a pooled t-test would have said p = .008 for this difference",
        '  "at least 5 points better": supported',
        "  planted in the simulator: +16.0, inside the interval",
        "Bound by: the provider's limit     Next: status DIR, reproduce DIR",
    ]


def test_an_interval_that_is_wide_because_few_items_differ_much_is_explained_where_it_stands() -> None:
    repeats = 20
    asked = plan(60, repeats)
    rows = []
    for trial in range(2 * 60 * repeats):
        item, repeat, index = trial // (2 * repeats), trial // 2 % repeats, trial % 2
        lost = (
            index if item < 6 else 1 - index
        )  # six items lose half of their answers, thirty gain a twentieth
        wrong = lost and (repeat < 10 if item < 6 else item < 36 and repeat == 0)
        rows.append(row(trial, 0 if wrong else 1))
    lines = final_screen(asked, reduce(asked, batches(rows)), _facts())
    compared = next(k for k, line in enumerate(lines) if line.startswith("ensemble - single"))
    assert "60 items x 20" in lines[compared]
    assert "more items narrow it, more repeats hardly do" in lines[compared + 1]


def test_the_summary_names_the_best_single_member_the_failures_and_the_folder() -> None:
    lines = summary_lines(*_run(failed=2), _facts())
    text = "\n".join(lines)
    assert "best single member: m0 66.0 %" in text
    assert "2 of 100 failed: 2 x timeout" in text
    assert "Results saved to: results/exp_0123456789ab" in text
    assert "Bound by: the provider's limit   3 min 12 s" in text


def test_answers_that_could_not_be_read_are_told_once() -> None:
    asked = plan(60)
    rows = [row(t, 0, "parse_failed" if t % 2 and t < 24 else None) for t in range(120)]
    lines = summary_lines(asked, reduce(asked, batches(rows)), _facts())
    assert sum("could not be read and count as wrong" in line for line in lines) == 1
    few = [row(t, 0, "parse_failed" if t == 1 else None) for t in range(120)]
    lines = summary_lines(asked, reduce(asked, batches(few)), _facts())
    assert "    1 answers could not be read and count as wrong" in lines


def test_a_control_character_never_reaches_the_terminal() -> None:
    asked = plan(3, hypotheses=(hypothesis("\x1b[2J better"),))
    lines = summary_lines(asked, reduce(asked, batches([row(t) for t in range(6)])), _facts())
    assert all(line.isprintable() for line in lines)


def test_pending_trials_and_the_reason_stand_on_the_first_line() -> None:
    asked = plan(10)
    analysis = reduce(asked, batches([row(t) for t in range(8)]))
    first = final_screen(asked, analysis, _facts(status="budget", spent_usd=None))[0]
    assert first == "Trials 8/20   12 pending (budget)   unknown price of $0.66 estimated"


def test_a_look_before_the_end_is_called_one_and_recommends_nothing() -> None:
    asked, analysis = _run()
    rows = [row(2 * item + index, int(index or item % 3 > 0)) for item in range(60) for index in (0, 1)]
    early = reduce(asked, batches(rows))
    told = "80 of 200 trials are pending: this is a look before the end"
    assert told in _markdown(asked, early)
    assert "No recommendation before every trial has ended." in _markdown(asked, early)
    assert any(told in line for line in summary_lines(asked, early, _facts(status="interrupted")))
    assert "a look before the end" not in _markdown(asked, analysis)


def test_one_condition_alone_has_nothing_to_compare() -> None:
    asked = plan(5, conditions=(condition("only", [model("m1")]),))
    analysis = reduce(asked, batches([row(t) for t in range(5)]))
    assert "nothing to compare" in _markdown(asked, analysis)
    assert len(final_screen(asked, analysis, _facts())) == 3


def test_the_key_finding_is_a_sentence_with_verdict_and_interval() -> None:
    _, analysis = _run()
    assert findings.finding(analysis) == (
        '"at least 5 points better" is supported. Accuracy of ensemble is 16.0 points higher than of single '
        "(interval +5.2 to +26.9 points, p = .005)."
    )


@pytest.mark.parametrize(
    ("metric", "number", "shown"),
    [
        ("accuracy", 0.79821, "79.8 %"),
        ("latency_p95", 1234.6, "1,235 ms"),
        ("cost_per_query", 0.0014321, "$0.0014"),
        ("cost_per_query", 0.0, "$0.00"),
        ("accuracy", None, "-"),
    ],
)
def test_values_have_their_units(metric: str, number: float | None, shown: str) -> None:
    assert words.value(metric, number) == shown


def test_reports_are_the_same_for_the_same_facts() -> None:
    rng = np.random.default_rng(1)
    asked = plan(50, 2)
    rows = [row(t, int(rng.random() < 0.6)) for t in range(200)]
    first, second = (_markdown(asked, reduce(asked, batches(rows, size))) for size in (10, 99))
    assert first == second


def test_the_report_says_when_it_ran_how_long_and_what_it_cost() -> None:
    asked, analysis = _run()
    for write in (write_markdown, write_html):
        report = write(page(Source(plan=asked, analysis=analysis, facts=_facts())))
        for part in ("2026-11-03 10:00:00 UTC", "2026-11-03 10:03:12 UTC", "3 min 12 s", "$0.61", "complete"):
            assert part in report


def test_a_resumed_run_tells_when_it_began_and_what_is_of_its_last_session() -> None:
    report = _markdown(
        *_run(), _facts(plans={"2026-11-02T09:00:00+00:00": 0, "2026-11-03T10:00:00+00:00": 7})
    )
    assert "| Started | 2026-11-02 09:00:00 UTC |" in report
    assert "| Last session | 2026-11-03 10:00:00 UTC to 2026-11-03 10:03:12 UTC, 3 min 12 s |" in report
    assert "800 calls in all; in the last session 12 retries" in report
    once = _markdown(*_run(), _facts(plans={"2026-11-03T10:00:00+00:00": 0}))
    assert "Last session" not in once
    assert "800 calls, 12 retries" in once


def test_the_report_names_configuration_environment_and_files() -> None:
    facts = _facts(versions={"Python": "3.12.1"}, model_versions={"m1": "m1-2024-07-18"})
    report = _markdown(*_run(), facts)
    for part in (
        "### Configuration",
        "holm at alpha 0.05",
        "| replies read by | choice |",
        "| Python | 3.12.1 |",
        "m1-2024-07-18",
        "`results.csv",
    ):
        assert part in report


def test_the_report_shows_what_was_asked_and_of_whom_where_prompts_differ() -> None:
    asked, analysis = _run()
    one = _markdown(asked, analysis)
    assert "| prompt | `{{ input }}` |" in one
    assert "Prompts differ" not in one
    single, trio = asked.conditions
    stepwise = replace(trio, prompt=PromptPlan(template="{{ input }}\nThink | first.", system="Be brief."))
    two = _markdown(replace(asked, conditions=(single, stepwise)), analysis)
    assert "Prompts differ: see Configuration." in two
    by_text = _markdown(replace(asked, conditions=(single, replace(trio, parse="text"))), analysis)
    assert "| replies read by | choice (single); text (ensemble) |" in by_text
    assert "| prompt of single | `{{ input }}` |" in two
    assert "| prompt of ensemble | `system: Be brief." in two


def test_both_formats_say_the_same_words() -> None:
    asked, analysis = _run(failed=2)
    made = page(Source(plan=asked, analysis=analysis, facts=_facts()))
    html, markdown = write_html(made), write_markdown(made)
    for section in made.sections:
        assert f">{section.title}</h{section.level}>" in html
        assert f"{'#' * section.level} {section.title}\n" in markdown


def test_a_report_without_clocks_says_that_nothing_is_recorded_of_them() -> None:
    asked, analysis = _run()
    report = write_markdown(page(Source(plan=asked, analysis=analysis)))
    assert "Nothing is recorded of clocks and processes" in report


def test_where_everything_failed_the_screen_says_what_the_first_call_was_told_and_escapes_it() -> None:
    asked = plan(4)
    analysis = reduce(asked, batches([row(t, error="connection" if t % 2 else None) for t in range(8)]))
    facts = _facts(failures={"ensemble": "refused\x1b[2J by host"})
    lines = summary_lines(asked, analysis, facts)
    (told,) = [k for k, line in enumerate(lines) if "the first was told: refused" in line]
    assert lines[told - 1] == "    4 of 4 failed: 4 x connection"
    assert "\x1b" not in lines[told]


def test_a_model_alone_and_as_a_member_is_said_to_be_drawn_apart_where_it_is() -> None:
    told = (
        "single and the member m1 of ensemble: the same request, asked anew for each, so these are separate"
    )
    asked, analysis = _run()
    for write in (write_markdown, write_html):
        assert told in write(page(Source(plan=asked, analysis=analysis, facts=_facts())))
    assert "share_replies=true would ask once for both" in _markdown(asked, analysis)
    assert told not in _markdown(replace(asked, share_replies=True), analysis)
    colder = replace(asked.conditions[0].calls[0], temperature=0.0)
    other = replace(asked, conditions=(replace(asked.conditions[0], calls=(colder,)), asked.conditions[1]))
    assert told not in _markdown(other, analysis)


def test_replies_that_may_be_the_same_reused_ones_are_not_called_separate_draws() -> None:
    asked, analysis = _run()
    reused = {
        name: replace(each, completeness=replace(each.completeness, unsent=5))
        for name, each in analysis.conditions.items()
    }
    assert "separate draws" not in _markdown(asked, replace(analysis, conditions=reused))


def _three(**how: Any) -> tuple[Plan, Analysis]:
    """Three conditions on accuracy and latency; the third is better and slower than the first."""
    names = ("first <b>", "second", "third")
    asked = plan(
        120,
        conditions=tuple(condition(name, [model(f"m{k}")]) for k, name in enumerate(names)),
        metrics=("accuracy", "latency_mean", "latency_p95"),
        **how,
    )
    rng = np.random.default_rng(2)
    slow = rng.lognormal(0, 0.5, 120)
    rows = [
        row(
            t,
            int(rng.random() < 0.4 + 0.2 * (t % 3)),
            latency_us=int(1e6 * slow[t // 3] * rng.lognormal(0.3 * (t % 3), 1)),
        )
        for t in range(360)
    ]
    return asked, reduce(asked, batches(rows))


def test_a_comparison_is_told_with_its_reason_its_size_its_family_and_what_the_naive_test_would_say() -> None:
    report = _markdown(*_three(hypotheses=(hypothesis("third is better", a="third", b="first <b>"),)))
    for heading in ("Several conditions", "Effect sizes", "What the design could find", "Assumptions"):
        assert f"\n### {heading}\n" in report
    assert "so McNemar's score test with Tango's interval" in report
    assert "| primary | McNemar's score test" in report
    assert "secondary; 2 counted (holm): p" in report
    assert "exploratory; 2 counted (max_t): p" in report
    assert "Cochran's Q: chi2(2) = " in report
    assert "| latency_mean | third - first &lt;b> | cohens_d | " in report
    assert "difference = " in report
    assert "95% CI" in report
    assert "Beside it, and deciding nothing: McNemar's mid-p p" in report
    assert "a function of the p-value (p = .05 is always .50), so it adds no evidence" in report


def test_a_t_test_on_data_that_are_not_normal_says_so_and_what_to_look_at() -> None:
    report = _markdown(*_three())
    assert "data are not normally distributed (shapiro_wilk p" in report
    assert "look at wilcoxon or paired_permutation too" in report
    assert "| normality (Shapiro-Wilk) | item differences | W = " in report
    assert "| equal variances (Levene) | item means of third and first &lt;b> | F(1, 238) = " in report
    assert "No hypothesis was declared, so every comparison is exploratory." in report


def test_every_section_is_in_html_too_and_names_are_escaped_there() -> None:
    asked, analysis = _three(hypotheses=(hypothesis("x", a="third", b="first <b>"),))
    shown = write_html(page(Source(plan=asked, analysis=analysis, facts=_facts())))
    for part in ("Several conditions", "Effect sizes", "Assumptions", "minimum detectable difference"):
        assert part in shown
    assert "first <b>" not in shown
    assert "first &lt;b&gt;" in shown


def test_a_margin_that_was_not_cleared_is_told_with_the_items_that_would_clear_it() -> None:
    asked = plan(100, hypotheses=(hypothesis("at least 5 points better", margin=0.05),))
    outcomes = [(0, 1)] * 10 + [(1, 0)] * 10 + [(1, 1)] * 80
    rows = [row(2 * k + c, correct) for k, pair in enumerate(outcomes) for c, correct in enumerate(pair)]
    analysis = reduce(asked, batches(rows))
    told = "817 items where 10 % of them differ, 1,340 items where 16 % of them differ, 1,689 items where 20 % of them differ"
    assert f"if the true difference were +8.0 points, a power of 0.8 would take {told}." in _markdown(
        asked, analysis
    )
    assert any(told in line for line in summary_lines(asked, analysis, _facts()))


def test_several_hypotheses_stand_with_holms_and_bonferronis_intervals_and_the_plain_one() -> None:
    claims = tuple(
        hypothesis(f"{metric} claim", metric=metric, a="third", b="first <b>")
        for metric in ("accuracy", "latency_mean")
    )
    asked, analysis = _three(hypotheses=claims)
    report = _markdown(asked, analysis)
    assert (
        "| hypothesis | interval by itself | p (holm) | by holm | interval (Bonferroni) | by Bonferroni |"
        in report
    )
    assert "Bonferroni alone would have said: " in report


def test_an_interval_of_which_one_end_is_beyond_the_timeout_says_so() -> None:
    asked = plan(100, metrics=("latency_p95",))
    rows = [
        row(t, error="timeout")
        if t % 2 and t < 9
        else row(t, latency_us=1000 * (100 + 7 * t + 900 * (t % 2)))
        for t in range(200)
    ]
    analysis = reduce(asked, batches(rows))
    found = analysis.comparisons[0]
    assert (found.ci_high, found.ci_low is None) == (None, False)
    assert " or more" in words.compared(found)
    assert " ms or more | p" in _markdown(asked, analysis)
