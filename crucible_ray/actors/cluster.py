"""Ray itself: started in a thread of its own at the first keystroke, beside everything else that a run begins with."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from crucible_ray.actors.joining import join_problem
from crucible_ray.errors import RayUnavailable

NAMESPACE = "crucible"
_OBJECT_STORE_BYTES = 200 << 20


class RayThread:
    """A private local Ray, or a connection to a cluster.

    Ray's processes die with the thread that started them, so the thread lives until `stop`. It also imports ray:
    half a second that nobody waits for, and the only moment at which Ray reads how it is to authenticate.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = address
        self._ready, self._over = threading.Event(), threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="ray", daemon=True)
        self.started_s = time.monotonic()

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def ready(self, timeout_s: float) -> bool:
        """Wait so long at most; whether actors can be made now. Raises RayUnavailable."""
        if not self._ready.wait(timeout_s):
            return False
        if isinstance(self._failure, RayUnavailable):
            raise self._failure
        if self._failure is not None:
            raise RayUnavailable(f"Ray could not be started: {_first_line(self._failure)}") from self._failure
        return True

    def stop(self) -> None:
        """End the private Ray, or leave the cluster."""
        self._over.set()
        self._thread.join(timeout=20.0)

    def _live(self) -> None:
        try:
            ray = self._started()
        except Exception as error:  # noqa: BLE001 - Ray raises plain Exceptions too, and whoever waits has to be told
            self._failure = error
            return
        finally:
            self._ready.set()
        self._over.wait()
        ray.shutdown()

    def _started(self) -> Any:
        if self._address is not None and (problem := join_problem(self._address, os.environ)) is not None:
            raise RayUnavailable(f"the cluster at {self._address} cannot be joined: {problem}.")
        os.environ.update(_environment(os.environ, private=self._address is None))
        import ray
        from ray._private import worker

        # `log_to_driver=False` leaves the deaths of workers, which Ray prints on our stdout; it has no switch for them.
        worker._worker_logs_enabled = False
        ray.init(**self._arguments())
        return ray

    def _arguments(self) -> dict[str, Any]:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": NAMESPACE}
        if self._address is not None:
            return {"address": self._address, **quiet}
        # Plain `ray.init()` would join whatever cluster already runs on the machine.
        return {
            "address": "local",
            "include_dashboard": False,
            "num_cpus": 0,
            "object_store_memory": _OBJECT_STORE_BYTES,
            **quiet,
        }


def _environment(now: Mapping[str, str], *, private: bool) -> dict[str, str]:
    """What Ray reads when it is imported and started, where nobody has said otherwise."""
    wanted = {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Workers run at nice 15 by default, which falsifies every latency on a busy machine.
        "RAY_worker_niceness": "0",
    }
    if private and "RAY_AUTH_MODE" not in now and "ray" not in sys.modules:
        # Without a token of its own a private Ray writes one to the home folder, for every later `ray start` to trip on.
        wanted |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return {name: value for name, value in wanted.items() if name not in now}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def alive_nodes() -> int:
    """How many machines the cluster has now."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return sum(bool(node["Alive"]) for node in nodes)
