"""A simulator in a process of its own, so that a run does not share its event loop with its server."""

from __future__ import annotations

import os
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import msgspec

from crucible_ray.errors import CannotContinue
from crucible_ray.simulator.config import SimulatorConfig
from crucible_ray.simulator.provider import Stats

_STOP_WITHIN_S = 5.0
_ROOT = Path(__file__).resolve().parents[2]


class SimulatorProcess:
    """A child process that serves `config` while the `with` block lasts, and dies with this process.

    Raises CannotContinue on entry where the child does not come up; what it said is on stderr.
    """

    def __init__(
        self,
        config: SimulatorConfig,
        *,
        items: Path | None = None,
        replies: Path | None = None,
        log: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        # A `types.py` beside an experiment must not stand in for the standard library's; a clone that is run without
        # being installed is found in the working folder alone.
        alone = () if Path.cwd() == _ROOT else ("-P",)
        self._command = [
            *(sys.executable, *alone, "-m", "crucible_ray.simulator", "--parent", str(os.getpid())),
            *("--host", host, "--port", str(port), "--config", msgspec.json.encode(config).decode()),
        ]
        for flag, path in (("--items", items), ("--replies", replies), ("--log", log)):
            if path is not None:
                self._command += [flag, str(path)]
        self._child: subprocess.Popen[str] | None = None
        self.url = ""
        """Ends in `/v1`; empty until started."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The child's process id, while it runs."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Start the child and wait until it listens. Raises CannotContinue."""
        # A session of its own: Ctrl-C ends the run, which then ends the server.
        self._child = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._child.stdout is not None
        self.url = self._child.stdout.readline().strip()
        if not self.url:
            code = self._child.wait()
            self.stop()
            raise CannotContinue(f"The simulator did not start (exit code {code}).")

    def stop(self) -> None:
        """Let the child finish its log and end; harmless when it is dead."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        try:
            child.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()

    def stats(self, *, arrivals: bool = False) -> Stats:
        """What the child's `GET /stats` says. Raises OSError where it is gone."""
        address = urlsplit(self.url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=10.0)
        try:
            connection.request("GET", f"/stats?arrivals={int(arrivals)}")
            return msgspec.json.decode(connection.getresponse().read(), type=Stats)
        finally:
            connection.close()
