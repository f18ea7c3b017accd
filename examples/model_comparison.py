"""Three small models on the same questions. Example 2 of the guide.

    crucible-ray run examples/model_comparison.py --simulate --yes

Every pair is compared on the items that both answered, and Holm's correction keeps the family's error rate.
`-P dataset=mmlu_stem` asks the guide's own questions, from a folder that holds them.
"""

from __future__ import annotations

from crucible_ray import Experiment, Model

experiment = Experiment(
    name="GPT-4o mini, Claude Haiku and Gemini Flash",
    dataset="science",
    sample_size=100,
    conditions=[Model("gpt4o_mini"), Model("claude_haiku"), Model("gemini_flash")],
    metrics=["accuracy", "latency_p99", "cost_per_query"],
    max_tokens=200,
    repeat=5,
    seed=2,
)
