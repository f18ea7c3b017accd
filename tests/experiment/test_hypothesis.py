"""Hypotheses as text and as values."""

from __future__ import annotations

import pytest

from crucible_ray.errors import SpecError
from crucible_ray.experiment.hypothesis import Hypothesis, parse_hypothesis, plan_hypothesis


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy: a > b", ("accuracy", "a", "b", "superiority", 0.0)),
        ("accuracy: a > b + 0.05", ("accuracy", "a", "b", "superiority", 0.05)),
        ("accuracy:a>=b - .02", ("accuracy", "a", "b", "non_inferiority", 0.02)),
        ("latency_p95: a == b +- 20", ("latency_p95", "a", "b", "equivalence", 20.0)),
        ("latency_p95: a == b ± 20", ("latency_p95", "a", "b", "equivalence", 20.0)),
        ("accuracy: gpt-4 > gpt-3.5", ("accuracy", "gpt-4", "gpt-3.5", "superiority", 0.0)),
        ("accuracy: top 50% > top 5%", ("accuracy", "top 50%", "top 5%", "superiority", 0.0)),
        ("accuracy: my first > my second + 1", ("accuracy", "my first", "my second", "superiority", 1.0)),
    ],
)
def test_the_four_forms_are_read(text: str, expected: tuple[object, ...]) -> None:
    plan = parse_hypothesis(text)
    assert (plan.metric, plan.a, plan.b, plan.relation, plan.margin) == expected
    assert plan.text == text


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("a > b", "write it as"),
        ("accuracy: a", "write it as"),
        ("accuracy: > b", "write it as"),
        ("accuracy: a > b > c", "write it as"),
        ("accuracy: a < b", "turn it round: accuracy: b > a"),
        ("accuracy: a <= b", "turn it round"),
        ("accuracy: a = b", "a == b +- margin"),
        ("accuracy: a != b", "has a direction"),
        ("accuracy: a >= b", "a margin is missing"),
        ("accuracy: a == b", "a margin is missing"),
        ("accuracy: a > b + 5%", "5% of a share is written 0.05"),
        ("accuracy: a == b ± 2.5 %", "2.5 % of a share is written 0.025"),
        ("accuracy: a > b - 0.1", "takes its margin after '+'"),
        ("accuracy: a >= b + 0.1", "takes its margin after '-'"),
    ],
)
def test_any_other_form_is_refused_with_the_mend(text: str, mend: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_hypothesis(text)
    assert mend in str(caught.value)


def test_a_value_says_what_its_text_says() -> None:
    for relation, text in (
        ("superiority", "accuracy: a > b + 0.05"),
        ("non_inferiority", "accuracy: a >= b - 0.05"),
        ("equivalence", "accuracy: a == b +- 0.05"),
    ):
        assert plan_hypothesis(Hypothesis("accuracy", "a", "b", relation, 0.05)) == parse_hypothesis(text)
    assert plan_hypothesis(Hypothesis("accuracy", "a", "b")).text == "accuracy: a > b"


@pytest.mark.parametrize(
    "hypothesis",
    [
        Hypothesis("accuracy", "a", "b", "better"),
        Hypothesis("accuracy", "a", "b", margin=-1.0),
        Hypothesis("accuracy", "a", "b", margin=float("nan")),
        Hypothesis("accuracy", "a", "b", "equivalence"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(hypothesis: Hypothesis) -> None:
    with pytest.raises(SpecError):
        plan_hypothesis(hypothesis)
