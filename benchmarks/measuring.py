"""What processes cost: CPU (user and system) and memory, ours apart from Ray's daemons."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterable

import psutil
from msgspec import Struct

_WORKER = "ray::"
"""How Ray titles the processes in which our actors live, its spare ones among them; its agents as well."""
_AGENTS = frozenset({"ray::DashboardAgent", "ray::RuntimeEnvAgent"})
_MB = 1e6


class Sample(Struct, frozen=True, kw_only=True):
    """What had been done, and what it had cost, at one moment."""

    at_s: float
    """On the machine's monotonic clock."""
    done: int
    """Trials with a row."""
    driver_s: float
    """CPU of this process."""
    workers_s: float
    """CPU of Ray's workers: clients and limiter."""
    daemons_s: float
    """CPU of Ray's own daemons."""
    memory_mb: float
    """Resident, this process and workers; pages that they share count in each."""

    @property
    def ours_s(self) -> float:
        """CPU of all our processes."""
        return self.driver_s + self.workers_s


class Tree:
    """This process and its descendants, but for those that are named as strangers (a server under test)."""

    def __init__(self, strangers: Iterable[int]) -> None:
        self._me = psutil.Process()
        self._strangers = set(strangers)
        self.workers: list[psutil.Process] = []
        self.daemons: list[psutil.Process] = []
        self.look()

    def look(self) -> None:
        """Find out who is there now."""
        others = [each for each in self._me.children(recursive=True) if each.pid not in self._strangers]
        self.workers = [each for each in others if _is_worker(_title(each))]
        self.daemons = [each for each in others if each not in self.workers]

    def sample(self, done: int) -> Sample:
        """The cost so far of whoever was there at the last look."""
        own = resource.getrusage(resource.RUSAGE_SELF)
        return Sample(
            at_s=time.monotonic(),
            done=done,
            driver_s=own.ru_utime + own.ru_stime,
            workers_s=sum(map(_cpu_s, self.workers)),
            daemons_s=sum(map(_cpu_s, self.daemons)),
            memory_mb=sum(_read(each, _resident) for each in (self._me, *self.workers)) / _MB,
        )


def cpu_here_s() -> float:
    """CPU of this process, seconds."""
    times = os.times()
    return times.user + times.system


def _is_worker(title: str) -> bool:
    return title.startswith(_WORKER) and title not in _AGENTS


def _title(process: psutil.Process) -> str:
    try:
        return str(next(iter(process.cmdline()), ""))
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def _read(process: psutil.Process, what: Callable[[psutil.Process], float]) -> float:
    """0 for a process that has ended: nothing that is measured ends inside a measurement."""
    try:
        return what(process)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0.0


def _cpu_s(process: psutil.Process) -> float:
    return _read(process, lambda each: sum(each.cpu_times()[:2]))


def _resident(process: psutil.Process) -> float:
    return float(process.memory_info().rss)
