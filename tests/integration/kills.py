"""A 600-trial run on real Ray whose processes are killed with `kill -9`, victims and moments drawn by a seed.

`python -m tests.integration.kills --kills 40 --seed 0` plays runs of ten kills each and prints what became of them.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from crucible_ray import api
from crucible_ray.simulator import SimulatorConfig, SimulatorProcess, Stats
from tests.integration.lab import POPULATION, rows_of

VICTIMS = ("driver", "client", "limiter", "everything")
TRIALS = 600
_LAST_MOMENT = 520
_RPM = 3000.0
_GONE_WITHIN_S = 60.0
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    # Ray's agents look for a dead control store for a minute before they follow it; here it never comes back.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
}
_TITLES = {"client": "ray::ClientActor", "limiter": "ray::RateLimiterActor"}


@dataclass(frozen=True)
class Kill:
    """Whom to kill, and from how many rows on."""

    victim: str
    moment: int

    @property
    def ends_the_driver(self) -> bool:
        return self.victim in ("driver", "everything")


@dataclass
class Outcome:
    """What became of one run."""

    seed: int
    kills: list[Kill]
    lives: int = 0
    seconds: float = 0.0
    started: dict[int, psutil.Process] = field(default_factory=dict)
    """Every process that a driver was seen to have started."""
    orphans: list[str] = field(default_factory=list)
    """Those that outlived their driver for too long."""
    results: Path = Path()
    rows: int = 0
    unique: int = 0
    failed: int = 0
    doubled: int = 0
    """Rows in the log that another of the same trial came before."""
    same: dict[int, bool] = field(default_factory=dict)
    """Whether a replay gave the same bytes, by its number of clients."""
    stats: Stats | None = None
    recorded_calls: int = 0


def drawn(seed: int, count: int) -> list[Kill]:
    """So many kills in order of their moments; every kind of victim is among them where there is room."""
    rng = random.Random(seed)
    victims = [*VICTIMS, *rng.choices(VICTIMS, k=max(0, count - len(VICTIMS)))][:count]
    rng.shuffle(victims)
    moments = sorted(rng.randrange(_LAST_MOMENT) for _ in victims)
    return [Kill(victim, moment) for victim, moment in zip(victims, moments, strict=True)]


def play(folder: Path, seed: int, count: int) -> Outcome:
    """One run: killed, resumed, killed again, and at last let finish. Raises RuntimeError where a life ends badly."""
    outcome = Outcome(seed, drawn(seed, count))
    began_s = time.monotonic()
    config = SimulatorConfig(
        models=POPULATION,
        rpm=_RPM,
        limit_per="model",
        faults={"500": 0.01, "429": 0.005},
        fault_retry_after_s=0.1,
    )
    with SimulatorProcess(config) as simulator:
        pending = list(outcome.kills)
        while True:
            outcome.lives += 1
            if _live(folder, simulator.url, pending, outcome):
                break
        outcome.stats = simulator.stats()
    _judge(folder, outcome)
    _, left = psutil.wait_procs(outcome.started.values(), _GONE_WITHIN_S)
    outcome.orphans = [_title(process) for process in left]
    outcome.seconds = time.monotonic() - began_s
    return outcome


def _live(folder: Path, url: str, pending: list[Kill], outcome: Outcome) -> bool:
    """One driver until it is killed (False) or complete (True)."""
    with _driver(folder, url) as (child, tree):
        assert child.stdout is not None
        words: list[str] = []
        for line in child.stdout:
            words = line.split()
            if words[0] == "ended":
                break
            if pending and int(words[1]) >= pending[0].moment:
                found = _strike(child.pid, pending[0].victim, tree)
                if found and pending.pop(0).ends_the_driver:
                    break
        finished = words == ["ended", "complete"]
        code = child.wait(_GONE_WITHIN_S)
        if code != (0 if finished else -signal.SIGKILL):
            raise RuntimeError(f"seed {outcome.seed}: driver {outcome.lives} ended with {code} after {words}")
    outcome.started |= tree
    return finished


@contextmanager
def _driver(folder: Path, url: str) -> Iterator[tuple[subprocess.Popen[str], dict[int, psutil.Process]]]:
    """A driver, and whatever it was seen to have started. A driver that lives when the block ends is killed with it all."""
    command = [sys.executable, "-m", "tests.integration.driver", str(folder), url, "--rpm", str(_RPM)]
    tree: dict[int, psutil.Process] = {}
    environment = os.environ | _ENVIRONMENT
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        try:
            yield child, tree
        finally:
            if child.poll() is None:
                _look(child.pid, tree)
                child.kill()
                for process in tree.values():
                    _kill(process)


def _strike(driver: int, victim: str, tree: dict[int, psutil.Process]) -> bool:
    """Kill the victim, if it is there already."""
    _look(driver, tree)
    if victim == "driver":
        os.kill(driver, signal.SIGKILL)
        return True
    if victim == "everything":
        os.kill(driver, signal.SIGKILL)
        for process in tree.values():
            _kill(process)
        return True
    for process in tree.values():
        if _title(process).startswith(_TITLES[victim]):
            _kill(process)
            return True
    return False


def _look(driver: int, tree: dict[int, psutil.Process]) -> None:
    tree.update({process.pid: process for process in psutil.Process(driver).children(recursive=True)})


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return  # psutil knows a number that was given to somebody else


def _title(process: psutil.Process) -> str:
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else " ".join(process.cmdline()).strip()
    except psutil.NoSuchProcess:
        return ""


def _judge(folder: Path, outcome: Outcome) -> None:
    (outcome.results,) = [path.parent for path in folder.glob("*/results.csv")]
    rows = rows_of(outcome.results)
    outcome.rows, outcome.unique = len(rows), len({row["trial"] for row in rows})
    outcome.failed = sum(1 for row in rows if row["error"] not in ("", "parse_failed"))
    outcome.recorded_calls = sum(int(row["calls"]) for row in rows)
    outcome.doubled = api.status(outcome.results)[1].duplicates
    outcome.same = {clients: api.reproduce(outcome.results, clients=clients).same for clients in (1, 4)}


def main() -> int:
    """Play and print; the exit code is the number of runs that broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    broken, killed = 0, Counter[str]()
    print(
        f"{'seed':>4} {'kills':>5} {'lives':>5} {'rows':>5} {'unique':>6} {'doubled':>7} {'asked':>6} {'kept':>6}  same bytes"
    )
    for run, first in enumerate(range(0, options.kills, 10)):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["CRUCIBLE_STATE_DIR"] = f"{folder}/state"
            out = play(Path(folder), options.seed + run, min(10, options.kills - first))
        good = out.rows == out.unique == TRIALS and all(out.same.values()) and not out.orphans
        broken += not good
        killed.update(kill.victim for kill in out.kills)
        assert out.stats is not None
        print(
            f"{out.seed:>4} {len(out.kills):>5} {out.lives:>5} {out.rows:>5} {out.unique:>6} {out.doubled:>7} "
            f"{out.stats.requests:>6} {out.recorded_calls:>6}  {out.same} {out.seconds:.0f} s"
            f"{'' if good else '  BROKEN'}{out.orphans or ''}",
            flush=True,
        )
    print(", ".join(f"{victim} {killed[victim]}" for victim in VICTIMS), f"- {broken} runs broken")
    return broken


if __name__ == "__main__":
    sys.exit(main())
