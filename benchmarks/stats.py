"""What resampling costs beside scipy: the same data, the same number of resamples, one run, CPU time of one thread.

Rounds alternate, medians count; each side computes the whole interval or p-value. scipy is called vectorised, with
`batch=500`, as somebody would who knows it. Memory is that of a fresh process that runs all of ours, a million rows
among them. Another one reduces a record of a million rows (one model against three that vote, replies included).

    python benchmarks/stats.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import stats as scipy_stats

from benchmarks.reducing import reduced
from crucible_ray.stats import bootstrap_ci, cluster_bootstrap_ci, paired_permutation

RESAMPLES = 9_999
BATCH = 500
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM")}
ALONE = "--alone"
"""Asked of a fresh process: run ours once, print the peak of memory."""
REDUCE = "--reduce"
"""Asked of another: reduce a million rows."""
MILLION = 1_000_000

Floats = NDArray[np.float64]
Numbers = tuple[float, ...]


class Case(Struct, frozen=True):
    """One question, answered by both."""

    name: str
    key: str | None
    """In the JSON; None: only in the table."""
    ours: Callable[[], Numbers]
    scipys: Callable[[], Numbers]
    repeats: int = 1
    """Of ours in a round, where one is too quick to time."""


class Cost(Struct, frozen=True):
    """Medians of a case, seconds of CPU, and both answers."""

    case: Case
    ours_s: float
    scipys_s: float
    ours: Numbers
    scipys: Numbers

    @property
    def speedup(self) -> float:
        """How many times scipy takes what ours takes."""
        return self.scipys_s / self.ours_s


def cases() -> list[Case]:
    """The data are drawn anew from one seed."""
    rng = np.random.default_rng(2024)
    skewed = rng.exponential(1.0, 10_000)
    scores, few = (rng.random(n) < 0.8 for n in (10_000, 1_000))
    repeated = (rng.random((2, 1_000, 3)) < rng.beta(3, 2, (1, 1_000, 1))).astype(np.float64)
    latencies = rng.lognormal(0.0, 0.5, (2, 1_000))
    latencies[1] *= 1.02
    by_item = rng.normal(np.repeat(rng.normal(0, 1, 2_000), 5), 1.0)
    by_item_scores = (rng.random(10_000) < np.repeat(rng.beta(4, 1, 2_000), 5)).astype(np.float64)
    items = np.repeat(np.arange(2_000), 5)
    return [
        Case(
            "BCa of a mean, n = 10,000", "bca_speedup",
            lambda: bootstrap_ci(skewed, method="bca", resamples=RESAMPLES),
            lambda: _bootstrap(skewed, "BCa"),
        ),
        _counted("percentile of 0/1 scores, n = 10,000", "counts_speedup", scores.astype(np.float64)),
        _counted("percentile of 0/1 scores, n = 1,000", None, few.astype(np.float64)),
        _flipped("sign flips of latencies, 1,000 pairs", "permutation_speedup", latencies),
        _flipped("sign flips of 0/1 scores, 1,000 items x 3 (ours exact)", None, repeated),
        _clustered("2,000 clusters of 5 numbers", "cluster_bootstrap_speedup", by_item, items, 1),
        _clustered("2,000 clusters of 5 scores of 0/1", None, by_item_scores, items, 5),
    ]  # fmt: skip


def _counted(name: str, key: str | None, scores: Floats) -> Case:
    return Case(
        name,
        key,
        lambda: bootstrap_ci(scores, method="percentile", resamples=RESAMPLES),
        lambda: _bootstrap(scores, "percentile"),
        repeats=20,
    )


def _flipped(name: str, key: str | None, pairs: Floats) -> Case:
    control, treatment = pairs
    diff = treatment - control if pairs.ndim == 2 else (treatment - control).mean(axis=1)

    def ours() -> Numbers:
        found = paired_permutation(control, treatment, resamples=RESAMPLES).p_value
        assert found is not None
        return (found,)

    def scipys() -> Numbers:
        found = scipy_stats.permutation_test(
            (diff,),
            np.mean,
            permutation_type="samples",
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=BATCH,
            rng=np.random.default_rng(1),
        )
        return (float(found.pvalue),)

    return Case(name, key, ours, scipys, repeats=5)


def _clustered(name: str, key: str | None, values: Floats, clusters: NDArray[np.int64], repeats: int) -> Case:
    sums, sizes = np.bincount(clusters, weights=values), np.bincount(clusters).astype(np.float64)

    def ratio(tops: Any, bottoms: Any, axis: int = -1) -> Any:
        return tops.sum(axis=axis) / bottoms.sum(axis=axis)

    def scipys() -> Numbers:
        found = scipy_stats.bootstrap(
            (sums, sizes),
            ratio,
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=BATCH,
            method="percentile",
            rng=np.random.default_rng(1),
        ).confidence_interval
        return float(found.low), float(found.high)

    return Case(
        name, key, lambda: cluster_bootstrap_ci(values, clusters, resamples=RESAMPLES), scipys, repeats
    )


def _bootstrap(values: Floats, method: Any) -> Numbers:
    found = scipy_stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=BATCH,
        method=method,
        rng=np.random.default_rng(1),
    ).confidence_interval
    return float(found.low), float(found.high)


def measure(case: Case, rounds: int) -> Cost:
    """Both in turn, after one round that warms up."""
    ours, scipys = case.ours(), case.scipys()
    spent: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(rounds):
        spent[True].append(_cpu_s(case.ours, case.repeats))
        spent[False].append(_cpu_s(case.scipys, 1))
    return Cost(case, median(spent[True]), median(spent[False]), ours, scipys)


def _cpu_s(call: Callable[[], object], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - start) / times


def alone() -> None:
    """Run ours alone, with a million rows of 100,000 items at the end; print CPU of those, and the peak, MB."""
    for case in cases():
        case.ours()
    rng = np.random.default_rng(7)
    items = np.repeat(np.arange(100_000), 10)
    scores = (rng.random(len(items)) < np.repeat(rng.beta(4, 1, 100_000), 10)).astype(np.float64)
    print(_cpu_s(lambda: cluster_bootstrap_ci(scores, items), 1), _peak_mb())


def reduce_alone(rows: int) -> None:
    """Reduce a record of so many rows; print CPU, making them up left out, and the peak, MB."""
    _, spent_s = reduced(rows)
    print(spent_s, _peak_mb())


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = [sys.executable, str(Path(__file__).resolve())]
    # BLAS reads the number of threads as it is loaded.
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):
        return subprocess.run(
            [*command, *arguments], env={**os.environ, **ONE_THREAD}, check=False
        ).returncode
    if arguments == [ALONE]:
        alone()
        return 0
    if arguments[:1] == [REDUCE]:
        reduce_alone(int(arguments[1]))
        return 0
    options = _parser().parse_args(arguments)
    costs = [measure(case, 1 if options.quick else 5) for case in cases()]
    rows = MILLION // 20 if options.quick else MILLION
    million_s, peak_mb = _fresh([*command, ALONE])
    reduce_s, reduce_mb = _fresh([*command, REDUCE, str(rows)])
    _print(costs, million_s, peak_mb)
    print(f"Reducing a record of {rows:,} rows: {reduce_s:.1f} s of CPU, peak {reduce_mb:.0f} MB")
    if options.json:
        keys = {cost.case.key: round(cost.speedup, 2) for cost in costs if cost.case.key}
        others = {"peak_mb": peak_mb, "reduce_s": reduce_s, "reduce_peak_mb": reduce_mb}
        keys |= {name: round(value, 1) for name, value in others.items()}
        print(msgspec.json.encode({**keys, "reduced_rows": rows}).decode())
    return 0


def _fresh(command: list[str]) -> tuple[float, float]:
    """What a process of its own prints: seconds and MB."""
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    spent_s, peak_mb = map(float, said.split())
    return spent_s, peak_mb


def _print(costs: list[Cost], million_s: float, peak_mb: float) -> None:
    console = Console(width=120)
    table = Table(title=f"{RESAMPLES:,} resamples, CPU of one thread, milliseconds")
    for column in ("what", "ours", "scipy", "speedup", "our answer", "scipy's"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for cost in costs:
        answers = (" ".join(f"{value:.4g}" for value in found) for found in (cost.ours, cost.scipys))
        table.add_row(
            cost.case.name,
            f"{1e3 * cost.ours_s:,.2f}",
            f"{1e3 * cost.scipys_s:,.0f}",
            f"{cost.speedup:,.1f} x",
            *answers,
        )
    console.print(table)
    console.print(
        f"A million 0/1 rows of 100,000 clusters: {million_s:.2f} s. Peak of all ours: {peak_mb:.0f} MB"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="end with one JSON object on a line of its own")
    parser.add_argument("--quick", action="store_true", help="a smoke test: one round")
    return parser


if __name__ == "__main__":
    sys.exit(main())
