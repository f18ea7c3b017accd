"""Ray itself: started in a thread of its own at the first keystroke, beside everything else that a run begins with."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time

import ray

from crucible_ray.actors.spawn import NAMESPACE
from crucible_ray.errors import RayUnavailable

_OBJECT_STORE_BYTES = 200 << 20


class RayThread:
    """A private local Ray, or a connection to a cluster.

    Ray's processes die with the thread that started them, so the thread lives until `stop`.
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
        if self._failure is not None:
            raise RayUnavailable(f"Ray could not be started: {self._failure}") from self._failure
        return True

    def stop(self) -> None:
        """End the private Ray, or leave the cluster."""
        self._over.set()
        self._thread.join(timeout=20.0)

    def _live(self) -> None:
        try:
            self._init()
        except (OSError, RuntimeError, ValueError, ConnectionError, ray.exceptions.RayError) as error:
            self._failure = error
            self._ready.set()
            return
        self._ready.set()
        self._over.wait()
        ray.shutdown()

    def _init(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Workers run at nice 15 by default, which falsifies every latency on a busy machine.
        os.environ.setdefault("RAY_worker_niceness", "0")
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "namespace": NAMESPACE}
        if self._address is not None:
            ray.init(address=self._address, **quiet)
            return
        if "RAY_AUTH_MODE" not in os.environ:
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        # Plain `ray.init()` would join whatever cluster already runs on the machine.
        ray.init(
            address="local", include_dashboard=False, num_cpus=0, object_store_memory=_OBJECT_STORE_BYTES, **quiet
        )


def alive_nodes() -> int:
    """How many machines the cluster has now."""
    return sum(1 for node in ray.nodes() if node["Alive"])
