"""Is an ensemble worth its price for sorting customers' tickets? Example 10 of the guide.

crucible-ray run examples/support_tickets.py --simulate --yes
"""

from __future__ import annotations

from typing import Any

from crucible_ray import Budget, Ensemble, Experiment, LatencyBudget, Model

PROMPT = """Classify this customer support ticket into one category:
- billing
- technical
- account
- general

Ticket: {{ text }}

Category:"""
COST_OF_A_MISTAKE_USD = 5.0

experiment = Experiment(
    name="Customer support ticket classification",
    description="Decides whether the ensemble replaces the single model in production.",
    hypotheses=["accuracy: proposed_ensemble > production_single"],
    dataset="data/support_tickets.jsonl",
    prompt=PROMPT,
    parse=r"(billing|technical|account|general)",
    conditions=[
        Model("gpt4o_mini", name="production_single", temperature=0.0),
        Ensemble(["gemini_flash", "gpt4o_mini", "claude_haiku"], name="proposed_ensemble", vote="weighted"),
    ],
    metrics=["accuracy", "precision", "recall", "f1_score", "latency_p95", "cost_per_query"],
    max_tokens=20,
    repeat=3,
    seed=10,
    budget=Budget(max_total=50.0, max_per_condition=25.0),
    latency_budget=LatencyBudget(p95_max_ms=2000),
)


@experiment.analysis
def return_on_cost(results: Any) -> dict[str, Any]:
    """What fewer mistakes save against what the ensemble adds, per 1,000 tickets."""
    single, ensemble = results["production_single"], results["proposed_ensemble"]
    saved = 1000 * COST_OF_A_MISTAKE_USD * (ensemble.accuracy.value - single.accuracy.value)
    added = 1000 * (ensemble.cost_per_query.value - single.cost_per_query.value)
    return {"saved_usd": saved, "added_usd": added, "net_usd": saved - added}
