"""`python -m crucible_ray.simulator`."""

from __future__ import annotations

from crucible_ray.simulator.command import main

if __name__ == "__main__":
    raise SystemExit(main())
