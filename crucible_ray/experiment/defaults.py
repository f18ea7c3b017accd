"""What an experiment may name, and what it gets where it says nothing.

Names live here, left of the rooms that implement them, so that an experiment is checked without loading those
rooms.
"""

from __future__ import annotations

from typing import Final

DEFAULT_TEMPLATE: Final = "{{ input }}"
"""The user's turn for an item without choices."""

DEFAULT_CHOICE_TEMPLATE: Final = (
    "{{ input }}\n\n"
    "{% for letter, text in options %}{{ letter }}. {{ text }}\n{% endfor %}\n"
    "Answer with the letter of the correct choice only."
)
"""The user's turn for an item with choices."""

PARSE_KINDS: Final = ("choice", "number", "text", "first_letter")
NORMALIZE_KINDS: Final = ("none", "lowercase_trim")
VOTE_KINDS: Final = ("majority",)
METRIC_NAMES: Final = (
    "accuracy",
    "latency_p50",
    "latency_p95",
    "latency_p99",
    "latency_mean",
    "cost_per_query",
    "consensus",
)
DATASET_NAMES: Final = ("demo", "mmlu", "mmlu_stem")


def default_template(*, has_choices: bool) -> str:
    """The template of a condition that brings none."""
    return DEFAULT_CHOICE_TEMPLATE if has_choices else DEFAULT_TEMPLATE


def default_parse(*, has_choices: bool) -> str:
    """How replies are read where neither experiment nor condition says: `choice` where items have choices."""
    return "choice" if has_choices else "text"
