"""What is said before a run of a design that would ask, or score, nothing."""

from __future__ import annotations

from typing import Any

import pytest

from crucible_ray import Dataset, Experiment, Model, api
from crucible_ray.errors import SpecError

_SUMS = [{"input": f"{n} + 1?", "expected": str(n + 1), "hint": "count"} for n in range(3)]


def _notes(**options: Any) -> tuple[str, ...]:
    asked = {
        "name": "Sums",
        "dataset": _SUMS,
        "conditions": [Model("openai_gpt4o_mini", name="a")],
        **options,
    }
    return api.prepare(Experiment(**asked), simulate=True).notes


@pytest.mark.parametrize("field", ["input", "hint"])
def test_a_field_in_single_braces_is_refused_with_how_it_is_written(field: str) -> None:
    with pytest.raises(
        SpecError, match=r"'a': its prompt says \{" + field + r"\}.*write \{\{ " + field + r" \}\}"
    ):
        _notes(prompt=f"What is {{{field}}}?")


def test_a_prompt_that_asks_every_item_the_same_is_noted() -> None:
    assert _notes(prompt="What is the sum? Reply as {answer}.") == (
        "Condition 'a': its prompt asks every item the same: a field stands in double braces, as {{ input }}.",
    )
    assert _notes(prompt="What is the sum?", dataset=None, repeat=2, metrics=["latency_mean"]) == ()


@pytest.mark.parametrize("prompt", ["{{ input }} Reply as {input}.", "{% if hint %}{{ hint }}{% endif %}"])
def test_a_prompt_with_a_field_of_its_item_needs_no_note(prompt: str) -> None:
    assert _notes(prompt=prompt) == ()


def test_accuracy_without_an_expected_answer_is_noted_with_the_fields_there_are() -> None:
    named = [{"frage": "1 + 1?", "antwort": "2"}]
    assert _notes(dataset=Dataset(named, fields={"input": "frage"})) == (
        "No item has an expected answer, so accuracy has no value: name the field that holds it (of antwort, frage), "
        'Dataset(..., fields={"expected": "NAME"}), or leave accuracy out of metrics.',
    )
    assert _notes(dataset=Dataset(named, fields={"input": "frage"}), metrics=["latency_mean"]) == ()
    assert _notes(dataset=Dataset(named, fields={"input": "frage", "expected": "antwort"})) == ()
