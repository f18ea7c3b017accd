"""What the whole runtime costs beside the bare engine, and what it adds to the time that a provider takes.

Real Ray, limits, money, journal on disk, parsing and metrics: everything on. CPU is user and system of the driver and
of all Ray workers, between an early and a late moment of a run, so that starting Ray and writing results stay out;
the baselines send the same bodies to the same server, their connections open already. Rounds alternate, medians count.

    python benchmarks/overhead.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from benchmarks import baselines
from benchmarks.measuring import Sample, Tree
from crucible_ray import api
from crucible_ray.actors.cluster import RayThread
from crucible_ray.api import Options, Prepared, Progress, prepare
from crucible_ray.experiment.spec import Experiment, Model
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.prompts import Renderer
from crucible_ray.runtime.live import raise_file_limit
from crucible_ray.settings import Environment, ModelTable, Settings
from crucible_ray.simulator import SimulatedModel, SimulatorConfig, SimulatorProcess

MODEL = "busy"
REPLY_TOKENS = 70
"""Makes bodies of about 600 bytes."""
REQUESTS_PER_MINUTE = 1e7
"""A limit that asks for slots and never makes anybody wait."""
SAMPLE_EVERY_S = 0.25
SETTLED, WANING = 0.15, 0.97
"""Shares of a run between which its rate is steady."""
LEAST_RATE = 1000.0
"""Trials a second from which on a ratio is stated: what Ray costs when idle is per second."""


class Scale(Struct, frozen=True):
    """How much is run."""

    rounds: int
    trials: int
    """Of a round at full speed."""
    patient_rounds: int
    """Of the rounds that wait 200 ms for each answer."""
    patient_trials: int
    latency_bound: tuple[tuple[float, int, int], ...]
    """(latency, seconds; in flight; rounds of answers)"""


FULL = Scale(5, 30_000, 3, 10_000, ((0.2, 256, 60), (1.0, 2_000, 20), (4.0, 10_000, 20)))
QUICK = Scale(1, 12_000, 1, 4_000, ((0.2, 256, 8), (1.0, 2_000, 3)))


class Drive(Struct, frozen=True, kw_only=True):
    """One run of ours, as it was seen from outside."""

    trials: int
    first: Sample
    last: Sample
    peak_mb: float
    wall_s: float
    """From the first request that the server saw to the last row in the journal."""
    errors: int

    @property
    def rate(self) -> float:
        """Trials a second while steady."""
        return (self.last.done - self.first.done) / (self.last.at_s - self.first.at_s)

    def cpu_ms(self, of: Callable[[Sample], float]) -> float:
        """CPU per trial of some of the processes while steady, milliseconds."""
        return 1e3 * (of(self.last) - of(self.first)) / (self.last.done - self.first.done)


class Comparison(Struct, frozen=True):
    """Rounds of us and of the baselines against one server."""

    name: str
    ours: list[Drive]
    stock: list[baselines.Cost]
    raw: list[baselines.Cost]
    server_ms: float

    def cpu_ms(self, of: Callable[[Sample], float] = lambda sample: sample.ours_s) -> float:
        """CPU per trial, milliseconds."""
        return median(drive.cpu_ms(of) for drive in self.ours)

    def rate(self) -> float:
        """Trials a second."""
        return median(drive.rate for drive in self.ours)


class Bench:
    """One Ray and one folder for all runs."""

    def __init__(self, folder: Path, ray: RayThread) -> None:
        self._folder, self._ray = folder, ray
        self._runs = 0

    @contextmanager
    def server(self, latency_s: float) -> Iterator[SimulatorProcess]:
        """A provider that takes as long for every answer."""
        model = SimulatedModel(name=MODEL, latency_s=latency_s, spread=0.0, output_tokens=REPLY_TOKENS)
        with SimulatorProcess(SimulatorConfig(models=(model,))) as process:
            yield process

    def prepare(self, url: str, items: int, repeat: int) -> Prepared:
        """A grid of one condition, so that no prompt is shared between conditions."""
        table = ModelTable(
            provider="openai",
            model=MODEL,
            base_url=url,
            requests_per_minute=REQUESTS_PER_MINUTE,
            input_price=1.0,
            output_price=2.0,
        )
        experiment = Experiment(
            name=f"overhead {self._runs}",
            dataset=[_item(k) for k in range(items)],
            conditions=[Model(MODEL, max_tokens=2 * REPLY_TOKENS, temperature=0.0)],
            repeat=repeat,
        )
        self._runs += 1
        env = Environment({"CRUCIBLE_STATE_DIR": str(self._folder / "state")})
        return prepare(experiment, settings=Settings(models={MODEL: table}, env=env))

    def drive(self, server: SimulatorProcess, in_flight: int, items: int, repeat: int = 1) -> Drive:
        """Run a grid to its end."""
        assert server.pid is not None
        prepared = self.prepare(server.url, items, repeat)
        before = server.stats().requests
        marked_s = _marker(server.url)
        watch = _Watch(Tree({server.pid}), prepared.plan.trials)
        result = api.run(
            prepared,
            options=Options(
                output_dir=self._folder,
                clients=1,
                max_concurrent_queries=in_flight,
                ray=self._ray,
                on_progress=watch,
                progress_every_s=SAMPLE_EVERY_S,
            ),
        )
        stats = server.stats(arrivals=True)
        assert stats.total_times is not None
        # The marker ties the server's clock to ours.
        began_s = marked_s + stats.total_times[before + 1] - stats.total_times[before]
        refused = sum(count for status, count in stats.statuses.items() if status != "200")
        return Drive(
            trials=prepared.plan.trials,
            first=watch.samples[0],
            last=watch.samples[-1],
            peak_mb=watch.peak_mb,
            wall_s=watch.ended_s - began_s,
            errors=result.failed + result.pending + refused + stats.resets + stats.cancelled,
        )


class _Watch:
    """Takes samples of a run as it is told of its progress."""

    def __init__(self, tree: Tree, trials: int) -> None:
        self._tree, self._trials = tree, trials
        self.samples: list[Sample] = []
        self.peak_mb = 0.0
        self.ended_s = 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.phase == "finishing":
            self.ended_s = time.monotonic()
            return
        if progress.done < SETTLED * self._trials or progress.done > WANING * self._trials:
            return
        if not self.samples:
            self._tree.look()
        self.samples.append(self._tree.sample(progress.done))
        self.peak_mb = max(self.peak_mb, self.samples[-1].memory_mb)


def _item(number: int) -> dict[str, object]:
    return {
        "id": f"item-{number}",
        "input": f"A train leaves at {number % 24}:00 and goes {number} km further than the one before it. Which one?",
        "choices": [f"the train of {hour}:{number % 60:02}" for hour in range(number % 20, number % 20 + 4)],
        "expected": "ABCD"[number % 4],
    }


def _marker(url: str) -> float:
    """Make one request; returns when it was made, on the machine's monotonic clock."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30.0)
    connection.connect()
    at_s = time.monotonic()
    connection.request("POST", f"{parts.path}/chat/completions", b'{"model":"busy","messages":[]}')
    connection.getresponse().read()
    connection.close()
    return at_s


def _bodies(prepared: Prepared) -> list[bytes]:
    """What the runtime sends for these items."""
    condition = prepared.plan.conditions[0]
    renderer, endpoint = Renderer(condition.prompt), Endpoint(condition.calls[0], None)
    return [endpoint.body(renderer.render(item)) for item in prepared.items]


def compare(
    bench: Bench, name: str, latency_s: float, in_flight: int, rounds: int, trials: int
) -> Comparison:
    """Us, stock aiohttp and the raw client in turns, against one server."""
    ours: list[Drive] = []
    stock: list[baselines.Cost] = []
    raw: list[baselines.Cost] = []
    with bench.server(latency_s) as server:
        bodies = _bodies(bench.prepare(server.url, min(trials, 5_000), 1))
        url = f"{server.url}/chat/completions"
        assert server.pid is not None
        for _ in range(rounds):
            stock.append(baselines.measure("stock", url, in_flight, trials, bodies))
            ours.append(bench.drive(server, in_flight, trials))
            raw.append(baselines.measure("raw", url, in_flight, trials, bodies))
        ticks = os.sysconf("SC_CLK_TCK")
        fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
        spent_s = (int(fields[11]) + int(fields[12])) / ticks
        return Comparison(name, ours, stock, raw, 1e3 * spent_s / server.stats().requests)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where a trial failed."""
    options = _parser().parse_args(argv)
    scale = QUICK if options.quick else FULL
    raise_file_limit()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crucible-overhead-")))
        ray = RayThread()
        ray.start()
        stack.callback(ray.stop)
        bench = Bench(folder, ray)
        busy = compare(bench, "64 in flight, 0 ms", 0.0, 64, scale.rounds, scale.trials)
        patient = compare(
            bench, "256 in flight, 200 ms", 0.2, 256, scale.patient_rounds, scale.patient_trials
        )
        bound: list[tuple[float, int, int, Drive]] = []
        for latency_s, in_flight, rounds in scale.latency_bound:
            with bench.server(latency_s) as server:
                bound.append(
                    (latency_s, in_flight, rounds, bench.drive(server, in_flight, in_flight, rounds))
                )
    _print(busy, patient, bound)
    drives = [*busy.ours, *patient.ours, *(drive for *_, drive in bound)]
    if options.json:
        print(msgspec.json.encode(_result(busy, bound, drives)).decode())
    return 1 if any(drive.errors for drive in drives) else 0


def _result(
    busy: Comparison, bound: list[tuple[float, int, int, Drive]], drives: list[Drive]
) -> dict[str, object]:
    ours, rate = busy.cpu_ms(), busy.rate()
    return {
        "cpu_ratio": round(ours / _per_call_ms(busy.stock), 3) if rate >= LEAST_RATE else None,
        "raw_ratio": round(ours / _per_call_ms(busy.raw), 3) if rate >= LEAST_RATE else None,
        "cpu_ms_per_trial": round(ours, 4),
        "trials_per_s": round(rate, 1),
        "wall_over_ideal": [
            [latency_s, in_flight, round(drive.wall_s / (rounds * latency_s), 4)]
            for latency_s, in_flight, rounds, drive in bound
        ],
        "peak_mb": round(max(drive.peak_mb for drive in drives), 1),
    }


def _per_call_ms(costs: list[baselines.Cost]) -> float:
    return 1e3 * median(cost.cpu_s / cost.calls for cost in costs)


def _print(busy: Comparison, patient: Comparison, bound: list[tuple[float, int, int, Drive]]) -> None:
    console = Console(width=120)
    table = Table(title="CPU per call, microseconds (user and system)")
    for column in ("load", "who", "CPU", "driver", "workers", "Ray's daemons", "calls/s", "ours over it"):
        table.add_column(column, justify="left" if column in ("load", "who") else "right")
    for each in (busy, patient):
        ours = each.cpu_ms()
        for who, costs in (("raw asyncio", each.raw), ("stock aiohttp", each.stock)):
            cost, rate = _per_call_ms(costs), median(c.calls / c.wall_s for c in costs)
            table.add_row(
                each.name, who, f"{1e3 * cost:.0f}", "", "", "", f"{rate:,.0f}", f"{ours / cost:.2f}"
            )
        parts = [1e3 * each.cpu_ms(of) for of in (_driver, _workers, _daemons)]
        table.add_row(
            each.name, "ours", f"{1e3 * ours:.0f}", *(f"{p:.0f}" for p in parts), f"{each.rate():,.0f}", ""
        )
        table.add_row(
            each.name, "(the server)", f"{1e3 * each.server_ms:.0f}", "", "", "", "", "", end_section=True
        )
    console.print(table)
    table = Table(title="Latency-bound: wall over the ideal")
    for column in (
        "latency",
        "in flight",
        "answers each",
        "trials",
        "wall s",
        "over ideal",
        "CPU us/trial",
        "MB",
        "errors",
    ):
        table.add_column(column, justify="right")
    for latency_s, in_flight, rounds, drive in bound:
        cpu = drive.cpu_ms(lambda sample: sample.ours_s)
        table.add_row(
            f"{latency_s:g} s", f"{in_flight:,}", str(rounds), f"{drive.trials:,}", f"{drive.wall_s:.2f}",
            f"{drive.wall_s / (rounds * latency_s):.3f}", f"{1e3 * cpu:.0f}", f"{drive.peak_mb:.0f}", str(drive.errors),
        )  # fmt: skip
    console.print(table)


def _driver(sample: Sample) -> float:
    return sample.driver_s


def _workers(sample: Sample) -> float:
    return sample.workers_s


def _daemons(sample: Sample) -> float:
    return sample.daemons_s


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="end with one JSON object on a line of its own")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test: small grids, one round, no long waits"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
