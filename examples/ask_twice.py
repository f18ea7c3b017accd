"""A condition as a function: the model answers, then checks itself. Needs more than a declared condition can say.

crucible-ray run examples/ask_twice.py --simulate --yes
"""

from __future__ import annotations

from typing import Any

from crucible_ray import Experiment, Model

experiment = Experiment(
    name="Does asking twice help?",
    hypotheses=["accuracy: ask_twice > ask_once"],
    dataset="science",
    sample_size=50,
    conditions=[Model("gpt4o_mini", name="ask_once")],
    max_tokens=200,
    seed=11,
)


@experiment.condition("ask_twice", max_calls=2)
async def ask_twice(item: Any, call: Any) -> Any:
    """The second answer counts."""
    choices = "\n".join(f"{letter}) {text}" for letter, text in zip("ABCDEF", item.choices, strict=False))
    question = f"{item.input}\n{choices}\nAnswer with one letter."
    first = await call.model("gpt4o_mini", question)
    return await call.model(
        "gpt4o_mini",
        [
            {"role": "user", "content": question},
            {"role": "assistant", "content": first.text},
            {"role": "user", "content": "Check your answer and give the letter again, with nothing else."},
        ],
    )
