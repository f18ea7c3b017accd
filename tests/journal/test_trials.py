"""The compact set of trial numbers."""

from __future__ import annotations

import random

import numpy as np

from crucible_ray.journal.trials import TrialSet


def test_it_agrees_with_a_plain_set_over_random_additions_and_removals() -> None:
    rng = random.Random(1)
    trials, reference = TrialSet(), set[int]()
    for _ in range(200):
        numbers = np.array([rng.randrange(200_000) for _ in range(rng.randrange(1, 2000))], np.int64)
        if rng.random() < 0.2:
            trials.discard(numbers)
            reference -= set(numbers.tolist())
        else:
            assert trials.add(numbers).sum() == len(set(numbers.tolist()) - reference)
            reference |= set(numbers.tolist())
        assert trials.count == len(reference)
    everything = np.arange(200_000, dtype=np.int64)
    assert set(everything[trials.contains(everything)].tolist()) == reference
    assert set(np.concatenate(list(trials.missing(200_000))).tolist()) == set(range(200_000)) - reference


def test_a_number_given_twice_is_new_once() -> None:
    trials = TrialSet()
    assert trials.add(np.array([7, 7, 8], np.int64)).tolist() == [True, False, True]
    assert 7 in trials
    assert 9 not in trials


def test_a_full_stretch_is_still_known_trial_by_trial() -> None:
    trials = TrialSet()
    trials.add(np.arange(1 << 16, dtype=np.int64))
    assert 65_535 in trials
    assert 65_536 not in trials
    assert not trials.add(np.array([3], np.int64))[0]
    trials.discard(np.array([3], np.int64))
    assert 3 not in trials
    assert trials.count == 65_535
