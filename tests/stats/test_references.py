"""Every statistic agrees with its independent reference."""

from __future__ import annotations

import inspect

import pytest

from crucible_ray import stats
from tests.stats.references import HELD_OTHERWISE, Reference, agreement, page
from tests.stats.validation import PAGE, REFERENCES


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: r.function)
def test_it_says_what_the_reference_says(reference: Reference) -> None:
    found = agreement(reference)
    assert found.ours == pytest.approx(found.theirs, rel=reference.tolerance, abs=1e-12), reference.source
    assert reference.function in stats.__all__


def test_every_statistic_has_a_reference_or_says_what_holds_it_instead() -> None:
    public = {name for name in stats.__all__ if inspect.isfunction(getattr(stats, name))}
    held = {reference.function for reference in REFERENCES}
    assert public - held == set(HELD_OTHERWISE)


def test_the_validation_page_is_made_of_the_references() -> None:
    assert PAGE.read_text("utf-8") == page(REFERENCES), "write it anew: python -m tests.stats.validation"
