"""`python -m tests.simulation 0 10000`: play seeds.

`--stopping`: those of runs that may stop early; `--safeguards`: how soon a seed fails without each safeguard.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from tests.simulation.safeguards import SAFEGUARDS
from tests.simulation.scenario import play
from tests.simulation.stopping import play_stopping
from tests.simulation.test_simulation import FAILING


def seeds(first: int, last: int, play: Callable[[int], object] = play) -> int:
    failures, began = 0, time.monotonic()
    for seed in range(first, last):
        try:
            play(seed)
        except Exception as error:  # noqa: BLE001 - every kind of failure is what is looked for
            failures += 1
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
    print(f"seeds {first} to {last - 1}: {failures} failed, {time.monotonic() - began:.0f} s")
    return failures


def safeguards() -> int:
    unneeded = 0
    for name, without in SAFEGUARDS.items():
        began, found = time.monotonic(), None
        with without():
            for seed in (*FAILING[name], *range(2000)):
                try:
                    play(seed)
                except Exception as error:  # noqa: BLE001 - see above
                    found = f"seed {seed} fails after {time.monotonic() - began:.1f} s: {error}"
                    break
                if time.monotonic() - began > 60.0:
                    break
        unneeded += found is None
        print(f"without {name}: {found or 'no seed fails within a minute'}", flush=True)
    return unneeded


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=int, nargs="?", default=0)
    parser.add_argument("last", type=int, nargs="?", default=200)
    parser.add_argument("--safeguards", action="store_true")
    parser.add_argument("--stopping", action="store_true", help="runs that may stop early")
    choice = parser.parse_args()
    played = play_stopping if choice.stopping else play
    sys.exit(bool(safeguards() if choice.safeguards else seeds(choice.first, choice.last, played)))
