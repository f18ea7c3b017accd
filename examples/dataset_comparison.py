"""One model on datasets of different kinds, each read and scored in its own way. Example 8 of the guide.

    crucible-ray run examples/dataset_comparison.py --simulate --yes

The guide's own, from folders that hold them: `dataset=["mmlu_stem", "gsm8k"]`.
"""

from __future__ import annotations

from crucible_ray import Dataset, Experiment, Model

experiment = Experiment(
    name="One model on different datasets",
    dataset=[
        Dataset("science", sample_size=100),
        Dataset("data/word_problems.jsonl", sample_size=50),
    ],
    conditions=[Model("gpt4o_mini", temperature=0.0, max_tokens=400)],
    metrics=["accuracy"],
    repeat=3,
    seed=8,
)
