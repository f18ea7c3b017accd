from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crucible_ray.ensemble import normalize, normalizer
from crucible_ray.errors import SpecError
from crucible_ray.experiment.defaults import NORMALIZE_KINDS


def test_lowercase_trim_ignores_case_and_surrounding_space_alone() -> None:
    assert normalize("lowercase_trim", "  New  York\n") == "new  york"
    assert normalize("lowercase_trim", "北京 ") == "北京"


def test_none_compares_answers_as_they_are() -> None:
    assert normalize("none", " A ") == " A "


def test_every_named_kind_exists() -> None:
    assert all(callable(normalizer(kind)) for kind in NORMALIZE_KINDS)


@pytest.mark.parametrize("kind", ["number", "bool", "lowercase"])
def test_any_other_kind_is_refused_by_name(kind: str) -> None:
    with pytest.raises(SpecError, match=f"normalize='{kind}'"):
        normalizer(kind)


@pytest.mark.parametrize(
    "same", ["1,000", "1000.0", "$1000", " 1e3 ", "1000.", "+1,000.00 €", "2000/2", "1000 %"]
)
def test_numbers_are_matched_by_their_value(same: str) -> None:
    assert normalize("numeric", same) == "1000"


@pytest.mark.parametrize(("text", "key"), [("-$5", "-5"), ("$-5", "-5"), ("−5", "-5"), ("0.50", "1/2")])
def test_signs_and_fractions_count(text: str, key: str) -> None:
    assert normalize("numeric", text) == key


@pytest.mark.parametrize(
    "text", ["1,00", "12 apples", "a1", "1/0", "--5", "-$-5", "1e9999", "9" * 500, "1.2.3"]
)
def test_what_is_no_number_goes_by_case_and_space(text: str) -> None:
    assert normalize("numeric", f" {text.upper()} ") == text.lower()


def test_yes_and_true_are_one_answer_and_no_and_false_the_other() -> None:
    assert {normalize("boolean", each) for each in ("Yes", "true.", " Y ", "T", "1")} == {"true"}
    assert {normalize("boolean", each) for each in ("No", "FALSE", "n", "f", "0")} == {"false"}
    assert normalize("boolean", " Maybe ") == "maybe"


@given(st.text(), st.sampled_from(NORMALIZE_KINDS))
def test_matching_twice_is_matching_once(text: str, kind: str) -> None:
    once = normalize(kind, text)
    assert normalize(kind, once) == once or kind == "lowercase_trim"


@given(st.integers(-(10**12), 10**12), st.integers(0, 4))
def test_any_way_to_write_a_number_is_the_same_one(value: int, places: int) -> None:
    assert normalize("numeric", f"{value:,}") == normalize("numeric", f"{value:.{places}f}") == str(value)
