"""One driver's life as a process of its own: says how many rows it has, until it is done or killed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from crucible_ray import api
from tests.integration.lab import prepared


def say(*words: object) -> None:
    """A line that the parent can wait for."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rpm", type=float)
    parser.add_argument("--runtime", default="ray")
    options = parser.parse_args()
    result = api.run(
        prepared(options.folder, options.url, repeat=options.repeat, requests_per_minute=options.rpm),
        output_dir=options.folder,
        runtime=options.runtime,
        clients=options.clients,
        max_concurrent_queries=64,
        progress_every_s=0.02,
        on_progress=lambda progress: say(progress.phase, progress.done),
    )
    say("ended", result.status)


if __name__ == "__main__":
    main()
