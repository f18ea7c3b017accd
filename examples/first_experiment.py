"""Does a vote of three models beat one of them? The first experiment, over the hundred questions that are shipped.

    crucible-ray run examples/first_experiment.py --simulate --yes

needs no key and no network: a simulator on this machine plays every model. `first_experiment.toml` says the same
declaratively.
"""

from __future__ import annotations

from crucible_ray import Budget, Ensemble, Experiment, Model

experiment = Experiment(
    name="Ensemble vs single model",
    description="Does the majority of three small models answer more questions rightly than one of them?",
    hypotheses=[
        "accuracy: ensemble_3model > single_model",
        "accuracy: ensemble_3model > single_model + 0.05",
    ],
    dataset="demo",
    conditions=[
        Model("openai_gpt4o_mini", name="single_model"),
        Ensemble(["gemini_flash", "openai_gpt4o_mini", "anthropic_haiku"], name="ensemble_3model"),
    ],
    metrics=["accuracy", "consensus", "cost_per_query", "latency_p50", "latency_p95", "latency_p99"],
    temperature=0.0,
    max_tokens=100,
    repeat=3,
    seed=42,
    timeout_s=10.0,
    rate_limit=50,
    checkpoint_every=25,
    budget=Budget(max_total=1.0, max_per_condition=0.8, warn_threshold=0.8, abort_on_exceed=True),
)
