"""The command as its users meet it: as a process, on a pipe or on a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

COMMAND = [sys.executable, "-m", "crucible_ray"]

EXPERIMENTS = """
from crucible_ray import Budget, Ensemble, Experiment, Model

def experiment(n: int = 10, model: str = "quick") -> Experiment:
    return Experiment(
        name="Two models", dataset="demo", sample_size=n, repeat=2, checkpoint_every=4, max_tokens=20,
        hypotheses=["accuracy: other > quick"], conditions=[Model("quick"), Model(model, name="other")],
    )

priced = Experiment(
    name="Real", dataset="demo", sample_size=3, conditions=[Model("openai_gpt4o_mini", name="mini", max_tokens=20)]
)
voting = Experiment(
    name="Voting", dataset="demo", sample_size=3,
    conditions=[Model("quick", name="single"), Ensemble(["quick", "slow", "failing"], name="three")],
)
"""

SETTINGS = """
[run]
max_concurrent_queries = 4
progress_update_interval_s = 0.1
[ensemble]
retry_delay_s = 0.01
[models.quick]
provider = "simulated"
accuracy = 0.8
input_price = 1.0
output_price = 2.0
[models.slow]
provider = "simulated"
latency_s = 0.3
[models.stuck]
provider = "simulated"
latency_s = 25.0
input_price = 1.0
output_price = 2.0
[models.failing]
provider = "openai"
model = "anything"
base_url = "http://127.0.0.1:9/v1"
"""


def workplace(folder: Path) -> Path:
    """A folder with experiments and settings in it."""
    (folder / "exp.py").write_text(EXPERIMENTS)
    (folder / "crucible.toml").write_text(SETTINGS)
    return folder


def crucible(
    *words: str, cwd: Path, timeout_s: float = 60.0, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run to the end without a terminal."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


class Console:
    """A process on a pseudo-terminal."""

    def __init__(self, pid: int, master: int) -> None:
        self.pid, self._master = pid, master
        self.seen = ""
        self._code: int | None = None

    def expect(self, pattern: str, *, within_s: float = 30.0) -> re.Match[str]:
        """Read until the pattern has been on the screen."""
        until_s = time.monotonic() + within_s
        while (found := re.search(pattern, self.seen)) is None:
            assert self._read(until_s - time.monotonic()), f"no {pattern!r} on the screen:\n{self.seen}"
        return found

    def type(self, text: str) -> None:
        """Press keys; `\\x03` is Ctrl-C."""
        os.write(self._master, text.encode())

    def wait(self, *, within_s: float = 30.0) -> int:
        """Read to the end; the exit code."""
        until_s = time.monotonic() + within_s
        while self._read(until_s - time.monotonic()):
            pass
        _, status = os.waitpid(self.pid, 0)
        self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def _read(self, within_s: float) -> bool:
        """More of the screen; False: the end, or nothing in time."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, within_s))
        if not ready:
            return False
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # Linux says EIO when the other end is closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._master)


@contextlib.contextmanager
def console(*words: str, cwd: Path) -> Iterator[Console]:
    """The command on a terminal of its own."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.environ.update(TERM="xterm", COLUMNS="120", LINES="40")
        os.execv(COMMAND[0], [*COMMAND, *words])
    found = Console(pid, master)
    try:
        yield found
    finally:
        found.close()
