"""Every statistic agrees with its independent reference."""

from __future__ import annotations

import pytest

from crucible_ray import stats
from tests.stats import references_effects, references_tests
from tests.stats.references import Reference, agreement

REFERENCES = (*references_tests.REFERENCES, *references_effects.REFERENCES)


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: r.function)
def test_it_says_what_the_reference_says(reference: Reference) -> None:
    found = agreement(reference)
    assert found.ours == pytest.approx(found.theirs, rel=reference.tolerance, abs=1e-12), reference.source
    assert reference.function in stats.__all__
