"""Majority, weights by confidence, or the most confident alone? Example 5 of the guide.

crucible-ray run examples/voting_strategies.py --simulate --yes
"""

from __future__ import annotations

from crucible_ray import Ensemble, Experiment

MODELS = ["gpt4o_mini", "claude_haiku", "gemini_flash"]

experiment = Experiment(
    name="Voting strategies: majority, weighted, best confidence",
    dataset="science",
    sample_size=100,
    conditions=[
        Ensemble(MODELS, name=vote, vote=vote) for vote in ("majority", "weighted", "best_confidence")
    ],
    metrics=["accuracy", "consensus"],
    max_tokens=200,
    repeat=3,
    seed=5,
)
