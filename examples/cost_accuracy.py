"""What does a point of accuracy cost, with cheap models, dear ones and mixtures? Example 6 of the guide.

    crucible-ray run examples/cost_accuracy.py --simulate --yes

The analysis of our own at the end stands in `analysis.json` under `custom`, and in the report.
"""

from __future__ import annotations

from typing import Any

from crucible_ray import Ensemble, Experiment, Model

experiment = Experiment(
    name="Cost and accuracy: cheap and expensive models",
    dataset="science",
    sample_size=100,
    conditions=[
        Model("gemini_flash", name="cheap_single"),
        Ensemble(["gemini_flash", "gpt4o_mini", "claude_haiku"], name="cheap_ensemble"),
        Model("gpt4o", name="expensive_single"),
        Ensemble(["gemini_flash", "gpt4o_mini", "gpt4o"], name="mixed_ensemble"),
    ],
    metrics=["accuracy", "cost_per_query"],
    max_tokens=200,
    repeat=3,
    seed=6,
)


@experiment.analysis
def efficiency(results: Any) -> dict[str, Any]:
    """Right answers for a dollar, by condition."""
    return {
        name: {"right_per_dollar": results[name].accuracy.value / results[name].cost_per_query.value}
        for name in ("cheap_single", "cheap_ensemble", "expensive_single", "mixed_ensemble")
    }
