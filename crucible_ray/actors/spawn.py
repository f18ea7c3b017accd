"""The one place where classes become actors: every `ray.remote(cls)` uploads the class again, so it is done once."""

from __future__ import annotations

import functools
from typing import Any

import ray


@functools.cache
def _remote(cls: type) -> Any:
    groups: dict[str, int] = getattr(cls, "CONCURRENCY_GROUPS", {})
    options: dict[str, Any] = {"concurrency_groups": groups} if groups else {"max_restarts": 0}
    return ray.remote(**options)(cls)


def spawn(cls: type, *args: object, **options: object) -> Any:
    """A new actor of `cls`; needs no CPU of its own, since its work is waiting for the network.

    A class attribute CONCURRENCY_GROUPS names groups of methods that run on threads of their own.
    """
    return _remote(cls).options(num_cpus=0, **options).remote(*args)
