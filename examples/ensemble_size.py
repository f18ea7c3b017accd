"""How many models should vote: one, three, five or seven? Example 3 of the guide.

    crucible-ray run examples/ensemble_size.py --simulate --yes

The votes share their members' questions, so `share_replies` asks each model once per item and repeat.
"""

from __future__ import annotations

from crucible_ray import Ensemble, Experiment, Model

MODELS = [
    "gpt4o_mini",
    "claude_haiku",
    "gemini_flash",
    "gpt35_turbo",
    "claude_sonnet",
    "gpt4o",
    "gemini_pro",
]

experiment = Experiment(
    name="Best ensemble size (1, 3, 5, 7 models)",
    dataset="science",
    sample_size=150,
    conditions=[
        Model(MODELS[0], name="single"),
        *(Ensemble(MODELS[:size], name=f"ensemble_{size}") for size in (3, 5, 7)),
    ],
    metrics=["accuracy", "cost_per_query", "latency_p99"],
    max_tokens=200,
    repeat=3,
    seed=3,
    share_replies=True,
)
