"""Does a second request after a long wait shorten the slowest answers? Example 4 of the guide.

crucible-ray run examples/hedging_latency.py --simulate --yes
"""

from __future__ import annotations

from crucible_ray import Experiment, Hedge, Model

experiment = Experiment(
    name="Request hedging for the tail of latency",
    dataset="science",
    conditions=[
        Model("claude_haiku", name="baseline"),
        Hedge("claude_haiku", name="hedged_p95", strategy="percentile", percentile=95),
        Hedge("claude_haiku", name="hedged_p99", strategy="percentile", percentile=99),
    ],
    metrics=["latency_p50", "latency_p95", "latency_p99", "cost_per_query"],
    max_tokens=200,
    seed=4,
)
