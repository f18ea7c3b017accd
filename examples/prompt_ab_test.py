"""Which of two prompts gets more word problems right? Example 1 of the guide.

    crucible-ray run examples/prompt_ab_test.py --simulate --yes

On GSM8K, from a folder that holds it: `-P dataset=gsm8k` (see `docs/experiments.md`, Datasets).
"""

from __future__ import annotations

from crucible_ray import Experiment, Model

STEP_BY_STEP = "Solve this math problem step by step:\n{{ input }}\nEnd with the answer as a number."
TEACHER = (
    "You are a math teacher. Solve this problem showing your work:\n\n{{ input }}\n\n"
    "Solution, ending with the answer as a number:"
)

experiment = Experiment(
    name="Prompt engineering A/B test",
    hypotheses=["accuracy: teacher > step_by_step"],
    dataset="data/word_problems.jsonl",
    conditions=[
        Model("gpt4o_mini", name="step_by_step", prompt=STEP_BY_STEP),
        Model("gpt4o_mini", name="teacher", prompt=TEACHER),
    ],
    parse="number",
    normalize="numeric",
    metrics=["accuracy", "cost_per_query"],
    max_tokens=400,
    repeat=3,
    seed=1,
)
