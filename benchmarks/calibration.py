"""How often the default decision finds what is not there, and its interval what is: every bound, measured.

Worlds with a known difference (`benchmarks/scenarios.py`): 10 to 1,000 items, 1, 3 and 10 repeats, accuracy .3 to .97, both
conditions stochastic or the baseline frozen at temperature 0. One repeat is gone through whole (all outcomes, no
simulation error); repeats are simulated 20,000 times a scenario, the bootstrap and sign flips among them on the
first of these. A bound holds if no scenario passes it by more than three Monte Carlo standard errors.

    python benchmarks/calibration.py [--json] [--quick] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from benchmarks import calibration_page, rules
from benchmarks.many_repeats import Many, many_repeats
from benchmarks.peeking import Stopping, stopping
from benchmarks.rules import Said
from benchmarks.scenarios import Baseline, Floats, Scenario, by_step, chance_of, splits

ALPHA = 0.05
ENOUGH = {1: 12}
"""Differing items expected from which the narrow bounds hold, by repeats; 50 for more than one."""
ENOUGH_REPEATED = 50
BASELINES: tuple[Baseline, ...] = ("stochastic", "frozen", "greedy")


class Scale(Struct, frozen=True, kw_only=True):
    """How much is run."""

    items: tuple[int, ...]
    accuracies: tuple[float, ...]
    differences: tuple[float, ...]
    """Sizes; towards one half."""
    sims: int
    transformed: int
    """Of these, those on which the bootstrap and the sign flips are computed."""
    looks: int
    """Items of a run that is looked at after each."""
    many: int
    """Experiments of dozens and hundreds of repeats, each kind."""


FULL = Scale(
    items=(10, 20, 50, 100, 200, 500, 1000), accuracies=(0.3, 0.5, 0.7, 0.8, 0.9, 0.97),
    differences=(0.0, 0.03, 0.1), sims=20_000, transformed=2_000, looks=1_000, many=5_000,
)  # fmt: skip
QUICK = Scale(
    items=(20, 100), accuracies=(0.5, 0.9), differences=(0.0, 0.1), sims=2_000, transformed=500, looks=100, many=100
)  # fmt: skip


class Row(Struct, frozen=True, kw_only=True):
    """One rule in one scenario."""

    scenario: str
    rule: str
    false_positive_rate: float | None
    """None where there is a difference to find."""
    coverage: float | None
    """None where the rule has no interval."""
    sims: int
    """0: exact, by enumeration."""
    items: int
    repeats: int
    baseline: str
    expected_differing: float
    usual: bool
    """One of the difficulties that the bounds are stated for; False: much more, or much less, alike."""

    @property
    def enough(self) -> bool:
        """Whether the narrow bounds are stated for it."""
        return self.expected_differing >= ENOUGH.get(self.repeats, ENOUGH_REPEATED)

    def error(self, rate: float) -> float:
        """Standard error of a rate that is `rate` in truth."""
        return (rate * (1 - rate) / self.sims) ** 0.5 if self.sims else 0.0


class Bound(Struct, frozen=True, kw_only=True):
    """One bound on the default rule, and how near it was come to."""

    name: str
    limit: float
    worst: float | None
    """None: no scenario that it is stated for."""
    scenario: str
    passed: bool


class Calibration(Struct, frozen=True, kw_only=True):
    """Everything that was measured."""

    rows: list[Row]
    bounds: list[Bound]
    others: list[Bound]
    """The same bounds where items are much more, or much less, alike in difficulty."""
    min_false_positive_rate: float
    """Where enough items are expected to differ."""
    max_false_positive_rate: float
    min_coverage: float
    max_coverage: float
    """Where enough items are expected to differ."""
    disagreements: int
    """Experiments and outcomes in which decision and interval say different things."""
    many: list[Many]
    stopping: list[Stopping]
    cpu_s: float


def scenarios(scale: Scale, repeats: int) -> Iterator[Scenario]:
    """Every scenario of so many repeats, those of one number of items together."""
    for items in scale.items:
        for baseline, accuracy, size in product(BASELINES, scale.accuracies, scale.differences):
            yield Scenario(items, repeats, accuracy, size if accuracy <= 0.5 else -size, baseline)
        if items in (50, 200, 1000):
            for concentration, baseline, accuracy, size in product(
                (1.0, 30.0), BASELINES[:2], (0.7, 0.97), scale.differences[:2]
            ):
                yield Scenario(items, repeats, accuracy, -size, baseline, concentration)


def measure(scale: Scale) -> Calibration:
    """Run it all."""
    began_s = time.process_time()
    rng = np.random.default_rng(20_240)
    rows: list[Row] = []
    disagreements = 0
    for count, found in (enumerated(scale, rng), *(simulated(scale, repeats, rng) for repeats in (3, 10))):
        disagreements += count
        rows += found
    ours = [row for row in rows if row.rule == "default"]
    usual = [row for row in ours if row.usual]
    null = [(row, row.false_positive_rate) for row in usual if row.false_positive_rate is not None]
    covered = [(row, row.coverage) for row in usual if row.coverage is not None]
    return Calibration(
        rows=rows,
        bounds=bounds(usual),
        others=bounds([row for row in ours if not row.usual]),
        min_false_positive_rate=min(rate for row, rate in null if row.enough),
        max_false_positive_rate=max(rate for _, rate in null),
        min_coverage=min(coverage for _, coverage in covered),
        max_coverage=max(coverage for row, coverage in covered if row.enough),
        disagreements=disagreements,
        stopping=stopping(scale.looks, scale.sims, rng),
        many=many_repeats(scale.many, rng),
        cpu_s=round(time.process_time() - began_s, 1),
    )


def enumerated(scale: Scale, rng: np.random.Generator) -> tuple[int, list[Row]]:
    """One repeat: every outcome weighed by its chance; pooled Welch, which sees more than differences, is simulated."""
    rows: list[Row] = []
    disagreements = 0
    for items in scale.items:
        here = [scenario for scenario in scenarios(scale, 1) if scenario.items == items]
        outcomes = splits(items, _most([scenario.expected_differing for scenario in here]))
        said = {
            "default": rules.default(outcomes),
            "exact McNemar = sign flips": rules.exact_mcnemar(outcomes),
            "bootstrap, BCa": rules.bootstrap(outcomes),
            "bootstrap, percentile": rules.bootstrap(outcomes, corrected=False),
        }
        disagreements += disagreeing(said["default"])
        for scenario in here:
            chances = chance_of(outcomes, scenario.steps)
            rows += [row_of(scenario, rule, found, chances) for rule, found in said.items()]
            welch = rules.pooled_welch(scenario.draws(scale.sims, rng), 1)
            rows.append(row_of(scenario, "pooled Welch", welch))
    return disagreements, rows


def _most(expected: Sequence[float]) -> int:
    """Differing items beyond which nothing has a chance to speak of."""
    return int(max(mean + 9 * mean**0.5 + 9 for mean in expected))


def simulated(scale: Scale, repeats: int, rng: np.random.Generator) -> tuple[int, list[Row]]:
    """Several repeats: experiments are drawn, and all rules look at the same ones."""
    rows: list[Row] = []
    disagreements = 0
    for scenario in scenarios(scale, repeats):
        draws = scenario.draws(scale.sims, rng)
        steps = by_step(draws, repeats)
        said = {"default": rules.default(steps), "pooled Welch": rules.pooled_welch(draws, repeats)}
        disagreements += disagreeing(said["default"])
        some = steps[: scale.transformed]
        said |= {
            "sign flips": rules.sign_flip(some),
            "bootstrap, BCa": rules.bootstrap(some),
            "bootstrap, percentile": rules.bootstrap(some, corrected=False),
        }
        rows += [row_of(scenario, rule, found) for rule, found in said.items()]
    return disagreements, rows


def disagreeing(said: Said) -> int:
    """How often a verdict stands beside an interval that holds 0, or the other way round."""
    assert said.low is not None
    assert said.high is not None
    assert said.p_value is not None
    beside = (said.low > 0) | (said.high < 0)
    return int(np.count_nonzero((said.rejects != beside) | (said.rejects != (said.p_value < ALPHA))))


def row_of(scenario: Scenario, rule: str, said: Said, chances: Floats | None = None) -> Row:
    """Rates over experiments, or, with the chance of each outcome, exactly."""
    held = said.covers(scenario.truth)
    rates = [
        None if each is None else float(each.mean() if chances is None else chances[each].sum())
        for each in (said.rejects if scenario.difference == 0 else None, held)
    ]
    return Row(
        scenario=scenario.name,
        rule=rule,
        false_positive_rate=rates[0],
        coverage=rates[1],
        sims=len(said.rejects) if chances is None else 0,
        items=scenario.items,
        repeats=scenario.repeats,
        baseline=scenario.baseline,
        expected_differing=round(scenario.expected_differing, 2),
        usual=scenario.concentration == 8.0,
    )


def bounds(ours: Sequence[Row]) -> list[Bound]:
    """The bounds that are promised, on rows of the default rule."""
    null = [(row, row.false_positive_rate) for row in ours if row.false_positive_rate is not None]
    covered = [(row, row.coverage) for row in ours if row.coverage is not None]
    enough = [(row, rate) for row, rate in covered if row.enough]
    return [
        _bound("false positives at most", 0.06, 1, null),
        _bound("false positives at least, enough differing", 0.04, -1, [pair for pair in null if pair[0].enough]),
        _bound("coverage at least, everywhere", 0.93, -1, covered),
        _bound("coverage at least, enough differing", 0.935, -1, enough),
        _bound("coverage at most, enough differing", 0.965, 1, enough),
    ]  # fmt: skip


def _bound(name: str, limit: float, side: int, rates: Sequence[tuple[Row, float]]) -> Bound:
    """side: 1 where rates must not lie above, -1 where not below."""
    if not rates:
        return Bound(name=name, limit=limit, worst=None, scenario="", passed=True)
    row, worst = max(rates, key=lambda pair: side * pair[1])
    # An exact rate is a sum of a hundred thousand chances.
    passed = all(side * (rate - limit) <= 3 * row.error(limit) + 1e-9 for row, rate in rates)
    return Bound(name=name, limit=limit, worst=worst, scenario=row.scenario, passed=passed)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="end with one JSON object on a line of its own")
    parser.add_argument("--quick", action="store_true", help="a smoke test: a few scenarios")
    parser.add_argument("--out", type=Path, help="write the page of documentation to this file")
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)
    found = measure(QUICK if options.quick else FULL)
    page = calibration_page.page(found)
    if options.out is not None:
        options.out.write_text(page, "utf-8")
    print(page)
    if options.json:
        print(msgspec.json.encode(found).decode())
    held = all(bound.passed for bound in found.bounds) and not found.disagreements
    return 0 if held or options.quick else 1


if __name__ == "__main__":
    sys.exit(main())
