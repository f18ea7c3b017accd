"""What an experiment may name, and what it gets where it says nothing.

Names live here, left of the rooms that implement them, so that an experiment is checked without loading those
rooms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from json import dumps
from typing import Final

from crucible_ray.records import Item

DEFAULT_TEMPLATE: Final = "{{ input }}"
"""The user's turn for an item without choices."""

DEFAULT_CHOICE_TEMPLATE: Final = (
    "{{ input }}\n\n"
    "{% for letter, text in options %}{{ letter }}. {{ text }}\n{% endfor %}\n"
    "Answer with the letter of the correct choice only."
)
"""The user's turn for an item with choices."""

DEFAULT_NUMBER_TEMPLATE: Final = "{{ input }}\n\nEnd your reply with the answer as a number."
"""The user's turn for an item of a dataset whose answers are numbers."""

PARSE_KINDS: Final = ("choice", "number", "boolean", "text", "json", "first_letter")
"""Beside these, `json:FIELD` and a regular expression with one group: `is_pattern`."""
PARSE_BESIDE: Final = "json:FIELD, a regular expression with one group, or a function of your own"
"""In words, what else `parse` may be."""
JSON_FIELD: Final = "json:"
_FUNCTION: Final = "function:"
_OWN: Final = re.compile(r"function:([\w<>.]*):[0-9a-f]{64}")
_METACHARACTERS: Final = frozenset("()[]{}.*+?|^$\\")
NORMALIZE_KINDS: Final = ("none", "lowercase_trim", "numeric", "boolean")
VOTE_KINDS: Final = ("majority",)
METRIC_NAMES: Final = (
    "accuracy",
    "latency_p50",
    "latency_p95",
    "latency_p99",
    "latency_mean",
    "cost_per_query",
    "cost_per_correct",
    "consensus",
)
SHORT_ANSWER: Final = (
    r"(?is)^\s*\*{0,2}(?:(?:the\s+)?(?:(?:final|correct)\s+)?answer(?:\s+is\b:?|:)\s*\*{0,2}\s*)?"
    r"((?:[^.\n]|\.(?=\S))+?(?=\*{0,2}\.?\*{0,2}\s{0,8}$)|.+)"
)
"""The `parse` of a question asked by itself: `Answer: 4`, `The answer is 4.`, `**4**` and `4` are one vote. A reply of
several sentences is left whole. The bounded repeats keep it quick on hostile replies."""
BY_ITEM: Final = "by_item"
"""Each item's replies are read in its own way: what several datasets of different kinds come to."""
DATASET_NAMES: Final = ("demo", "science", "test_dataset", "gsm8k", "mmlu", "mmlu_stem")
MMLU_SUBJECTS: Final = (
    "abstract_algebra",
    "anatomy",
    "astronomy",
    "business_ethics",
    "clinical_knowledge",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_medicine",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "econometrics",
    "electrical_engineering",
    "elementary_mathematics",
    "formal_logic",
    "global_facts",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_european_history",
    "high_school_geography",
    "high_school_government_and_politics",
    "high_school_macroeconomics",
    "high_school_mathematics",
    "high_school_microeconomics",
    "high_school_physics",
    "high_school_psychology",
    "high_school_statistics",
    "high_school_us_history",
    "high_school_world_history",
    "human_aging",
    "human_sexuality",
    "international_law",
    "jurisprudence",
    "logical_fallacies",
    "machine_learning",
    "management",
    "marketing",
    "medical_genetics",
    "miscellaneous",
    "moral_disputes",
    "moral_scenarios",
    "nutrition",
    "philosophy",
    "prehistory",
    "professional_accounting",
    "professional_law",
    "professional_medicine",
    "professional_psychology",
    "public_relations",
    "security_studies",
    "sociology",
    "us_foreign_policy",
    "virology",
    "world_religions",
)
"""The 57 subjects that MMLU was published with."""


def parse_of(item: Item) -> str:
    """How replies to an item are read where nobody says: as its dataset says, `choice` where there are choices."""
    return item.parse or ("choice" if item.choices else "text")


def function_parse(name: str, source: str) -> str:
    """How a plan writes an author's own parser: its name, and the SHA-256 of its source."""
    plain = re.sub(r"[^\w<>.]", "_", name)
    return f"{_FUNCTION}{plain}:{source}"


def own_parser(parse: str) -> str | None:
    """The name of the function that a plan's `parse` stands for; None: it is none of the author's own."""
    # Most are told by their first letters; a regular expression with a group has brackets.
    found = _OWN.fullmatch(parse) if parse.startswith(_FUNCTION) else None
    return None if found is None else found[1]


def parse_words(parse: str) -> str:
    """A `parse` for people: of an author's own the function's name."""
    name = own_parser(parse)
    return parse if name is None else f"{name}()"


def is_pattern(parse: str) -> bool:
    """Whether `parse` is no bare word: a field of a JSON object, or a regular expression."""
    return parse.startswith(JSON_FIELD) or not _METACHARACTERS.isdisjoint(parse)


def pattern_problem(parse: str) -> str | None:
    """What is wrong with a `parse` that is no bare word; None: nothing."""
    if parse.startswith(JSON_FIELD):
        return None if parse != JSON_FIELD else "name the field: 'json:answer'."
    try:
        groups = re.compile(parse).groups
    except (re.error, OverflowError, RecursionError) as error:
        return f"this is neither one of {', '.join(PARSE_KINDS)} nor a valid regular expression: {error}."
    if groups != 1:
        return f"a regular expression needs one group, which holds the answer; this one has {groups}."
    return None


def default_parse(items: Sequence[Item]) -> str:
    """How replies are read where neither experiment nor condition says; `by_item` where items differ."""
    kinds = {parse_of(item) for item in items}
    return kinds.pop() if len(kinds) == 1 else BY_ITEM


def default_template(items: Sequence[Item]) -> str:
    """The template of a condition that brings none; it branches by dataset where these differ in kind."""
    kinds = {item.dataset or "": parse_of(item) for item in items}
    if len(set(kinds.values())) == 1:
        return _template(next(iter(kinds.values())))
    branches = [f"{{% if dataset == {dumps(name)} %}}{_template(kind)}" for name, kind in kinds.items()]
    return "{% else %}".join(branches) + "{% endif %}" * len(branches)


def _template(kind: str) -> str:
    return {"choice": DEFAULT_CHOICE_TEMPLATE, "number": DEFAULT_NUMBER_TEMPLATE}.get(kind, DEFAULT_TEMPLATE)
