"""All members at once, one after the other, or the cheap one first? Example 7 of the guide.

crucible-ray run examples/execution_strategies.py --simulate --yes
"""

from __future__ import annotations

from crucible_ray import Ensemble, Experiment

MODELS = ["gemini_flash", "gpt4o_mini", "claude_haiku"]

experiment = Experiment(
    name="Parallel, sequential and cascading ensembles",
    dataset="science",
    sample_size=100,
    conditions=[Ensemble(MODELS, name=how, execution=how) for how in ("parallel", "sequential", "cascade")],
    metrics=["accuracy", "latency_p50", "cost_per_query"],
    max_tokens=200,
    repeat=3,
    seed=7,
)
