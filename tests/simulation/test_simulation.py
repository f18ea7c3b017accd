"""The whole runtime under virtual time: whatever a seed does to it, the invariants hold."""

from __future__ import annotations

import pytest

from tests.simulation.safeguards import SAFEGUARDS
from tests.simulation.scenario import play

SEEDS = 200
_GROUP = 10

FAILING = {
    "first row wins": (0,),
    "a message is obeyed and settled once": (2,),
    "create-if-absent": (30,),
    "slot expiry": (93, 106),
    "ceiling before spending": (6,),
}
"""Seeds that are known to fail without the safeguard; `python -m tests.simulation --safeguards` finds others."""


@pytest.mark.parametrize("first", range(0, SEEDS, _GROUP))
def test_every_invariant_holds_whatever_goes_wrong(first: int) -> None:
    for seed in range(first, first + _GROUP):
        play(seed)


@pytest.mark.parametrize("name", SAFEGUARDS)
def test_without_any_one_safeguard_a_seed_fails(name: str) -> None:
    failed = []
    with SAFEGUARDS[name]():
        for seed in FAILING[name]:
            try:
                play(seed)
            except Exception as error:  # noqa: BLE001 - any failure shows that the safeguard is needed
                failed.append((seed, repr(error)))
                break
    assert failed, f"no seed of {FAILING[name]} needs {name!r}"


def test_a_seed_replays_exactly() -> None:
    first, again = play(7), play(7)
    assert first.provider.arrivals == again.provider.arrivals
    assert first.storage.entries.keys() == again.storage.entries.keys()
    assert first.provider.charged_usd == again.provider.charged_usd
