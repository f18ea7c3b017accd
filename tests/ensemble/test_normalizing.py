from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("kind", ["numeric", "boolean", "lowercase"])
def test_any_other_kind_is_refused_by_name(kind: str) -> None:
    with pytest.raises(SpecError, match=f"normalize='{kind}'"):
        normalizer(kind)
