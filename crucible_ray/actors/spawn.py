"""The one place where classes become actors: every `ray.remote(cls)` uploads the class again, so it is done once."""

from __future__ import annotations

import functools
from typing import Any

import ray

NAMESPACE = "crucible"


@functools.cache
def _remote(cls: type) -> Any:
    return ray.remote(cls)


def spawn(cls: type, *args: object, **options: object) -> Any:
    """A new actor of `cls`; needs no CPU of its own, since its work is waiting for the network."""
    return _remote(cls).options(num_cpus=0, **options).remote(*args)
