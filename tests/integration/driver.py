"""One driver's life as a process of its own: says how many rows it has, until it is done or killed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from crucible_ray import api
from crucible_ray.api import Prepared
from crucible_ray.experiment.spec import Model
from tests.integration.lab import prepared

SINGLE: dict[str, Any] = {"conditions": [Model("small", name="single")], "hypotheses": []}
"""One call a trial."""


def say(*words: object) -> None:
    """A line that the parent can wait for."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("url")
    parser.add_argument("--runtime", default="ray")
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--sample", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rpm", type=float)
    parser.add_argument("--key", help="the name of the variable that holds it")
    parser.add_argument("--single", action="store_true")
    parser.add_argument(
        "--kill-at", type=float, help="share of the trials at which client 0 is killed on purpose"
    )
    options = parser.parse_args()
    result = api.run(
        _prepared(options),
        output_dir=options.folder,
        runtime=options.runtime,
        clients=options.clients,
        max_concurrent_queries=64,
        kill_client_at=options.kill_at,
        progress_every_s=0.02,
        on_progress=lambda progress: say(progress.phase, progress.done),
    )
    say("ended", result.status)


def _prepared(options: argparse.Namespace) -> Prepared:
    return prepared(
        options.folder,
        options.url,
        sample_size=options.sample,
        repeat=options.repeat,
        requests_per_minute=options.rpm,
        api_key_env=options.key,
        **(SINGLE if options.single else {}),
    )


if __name__ == "__main__":
    main()
