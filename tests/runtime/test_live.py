"""Open files and what they allow."""

from __future__ import annotations

import pytest

from crucible_ray.errors import CannotContinue
from crucible_ray.runtime import live
from crucible_ray.runtime.client import Setup
from crucible_ray.runtime.live import SPARE_FILES, check_files, fitted, most_connections
from tests.reduction.rows import plan

PLAN = plan(10)
"""A single model, and an ensemble of three."""


def test_a_trial_may_have_as_many_connections_as_its_condition_has_members() -> None:
    assert most_connections(PLAN, ((0,), (1,)), (10, 10)) == 40
    assert most_connections(PLAN, ((0, 1),), (10,)) == 30


def test_windows_that_fit_stay_and_others_are_narrowed_until_they_do() -> None:
    lanes = ((0, 1),)
    assert fitted(PLAN, lanes, (256,), 3 * 256 + SPARE_FILES) == (256,)
    (narrow,) = fitted(PLAN, lanes, (256,), 500)
    assert 1 <= narrow < 256
    assert most_connections(PLAN, lanes, (narrow,)) <= 500 - SPARE_FILES
    assert fitted(PLAN, lanes, (256,), 10) == (1,)


def test_a_client_whose_connections_do_not_fit_says_so_when_it_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = Setup(plan=PLAN, items=(), lanes=((0, 1),), windows=(256,))
    monkeypatch.setattr(live, "raise_file_limit", lambda: 500)
    with pytest.raises(CannotContinue, match="768 connections, and 500 open files are allowed"):
        check_files(setup)
    monkeypatch.setattr(live, "raise_file_limit", lambda: 1000)
    check_files(setup)
