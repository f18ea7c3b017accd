"""What `benchmarks/stats.py` times is one question asked twice."""

from __future__ import annotations

import pytest

from benchmarks.stats import Case, cases

CASES = cases()
QUICK = [case for case in CASES if case.key != "bca_speedup"]
"""BCa takes scipy seconds; test_intervals.py holds it on fewer values."""


@pytest.mark.parametrize("case", QUICK, ids=[case.name for case in QUICK])
def test_ours_and_scipys_answers_differ_by_no_more_than_two_simulations_do(case: Case) -> None:
    ours, scipys = case.ours(), case.scipys()
    slack = 0.06 * (scipys[1] - scipys[0]) if len(scipys) == 2 else 0.01
    assert ours == pytest.approx(scipys, abs=slack)


def test_every_key_that_is_promised_is_measured() -> None:
    assert {case.key for case in CASES if case.key} == {
        "bca_speedup",
        "counts_speedup",
        "permutation_speedup",
        "cluster_bootstrap_speedup",
    }
