"""Does temperature cost accuracy? Example 9 of the guide.

crucible-ray run examples/temperature.py --simulate --yes
"""

from __future__ import annotations

from crucible_ray import Experiment, Model

experiment = Experiment(
    name="Effect of temperature on accuracy",
    dataset="science",
    sample_size=100,
    conditions=[Model("gpt4o_mini", name=f"temp_{t}", temperature=t) for t in (0.0, 0.3, 0.7, 1.0)],
    metrics=["accuracy"],
    max_tokens=200,
    repeat=5,
    seed=9,
)
