"""Ratios against the bare engine and against peers, one command each: `python benchmarks/NAME.py [--json] [--quick]`."""
