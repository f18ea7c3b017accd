"""Prints the shipped file."""

from __future__ import annotations

import sys

from crucible_ray.datasets.science import science_items
from crucible_ray.datasets.storing import to_jsonl

sys.stdout.buffer.write(to_jsonl(science_items()))
