"""Hypotheses: `metric: a > b`, `a > b + margin`, `a >= b - margin`, `a == b +- margin`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from crucible_ray.errors import SpecError
from crucible_ray.experiment.plan import HypothesisPlan

_FORMS: Final = "metric: a > b | a > b + margin | a >= b - margin | a == b +- margin"
_RELATIONS: Final = {">": "superiority", ">=": "non_inferiority", "==": "equivalence"}
_SIGNS: Final = {"superiority": "+", "non_inferiority": "-", "equivalence": "+-"}
_SPLIT: Final = re.compile(r"\s*(>=|<=|==|!=|>|<|=)\s*")
# A sign needs a space before it: `gpt-4` is a name.
_RIGHT: Final = re.compile(
    r"(?P<b>.+?)(?:\s+(?P<sign>\+-|\+/-|±|\+|-)\s*(?P<margin>\d+\.?\d*|\.\d+)(?P<percent>\s*%)?)?\s*"
)


@dataclass(frozen=True)
class Hypothesis:
    """A hypothesis by its parts; the margin is in the metric's own unit and never negative."""

    metric: str
    a: str
    b: str
    relation: str = "superiority"
    margin: float = 0.0

    def __str__(self) -> str:
        sign = {name: symbol for symbol, name in _RELATIONS.items()}.get(self.relation, self.relation)
        margin = f" {_SIGNS.get(self.relation, '+')} {self.margin!r}" if self.margin else ""
        return f"{self.metric}: {self.a} {sign} {self.b}{margin}"


def plan_hypothesis(hypothesis: str | Hypothesis) -> HypothesisPlan:
    """A hypothesis in its resolved form. Raises SpecError, saying how to write it."""
    return parse_hypothesis(hypothesis) if isinstance(hypothesis, str) else _from_parts(hypothesis)


def parse_hypothesis(text: str) -> HypothesisPlan:
    """Read `metric: a > b + margin` and its kin. Raises SpecError, saying how to write it."""
    metric, colon, claim = text.partition(":")
    parts = _SPLIT.split(claim.strip())
    if not colon or not metric.strip() or len(parts) != 3 or not all(parts):
        raise _refusal(text, f"write it as {_FORMS}")
    a, symbol, right = parts
    found = _RIGHT.fullmatch(right)
    if found is None:
        raise _refusal(text, f"write it as {_FORMS}")
    b, sign, margin = found["b"], found["sign"], found["margin"]
    if percent := found["percent"]:
        share = float(margin) / 100
        raise _refusal(
            text, f"a margin is in the metric's own unit: {margin}{percent} of a share is written {share:g}"
        )
    if symbol not in _RELATIONS:
        raise _refusal(text, _turned(metric.strip(), a, symbol, b))
    relation = _RELATIONS[symbol]
    wanted = _SIGNS[relation]
    if sign is None and relation != "superiority":
        raise _refusal(text, f"a margin is missing: {a} {symbol} {b} {wanted} margin")
    if sign is not None and sign.replace("+/-", "+-").replace("±", "+-") != wanted:
        raise _refusal(
            text, f"{symbol!r} takes its margin after {wanted!r}: {a} {symbol} {b} {wanted} {margin}"
        )
    return HypothesisPlan(
        text=text.strip(), metric=metric.strip(), a=a, b=b, relation=relation, margin=float(margin or 0.0)
    )


def _from_parts(hypothesis: Hypothesis) -> HypothesisPlan:
    text = str(hypothesis)
    if hypothesis.relation not in _SIGNS:
        raise _refusal(text, f"relation is one of {', '.join(_SIGNS)}")
    if not hypothesis.margin >= 0:
        raise _refusal(text, "its margin must not be negative")
    if hypothesis.margin == 0 and hypothesis.relation == "equivalence":
        raise _refusal(text, "equivalence needs a margin above 0")
    return HypothesisPlan(
        text=text,
        metric=hypothesis.metric,
        a=hypothesis.a,
        b=hypothesis.b,
        relation=hypothesis.relation,
        margin=float(hypothesis.margin),
    )


def _turned(metric: str, a: str, symbol: str, b: str) -> str:
    if symbol == "<":
        return f"turn it round: {metric}: {b} > {a}"
    if symbol == "<=":
        return f"turn it round, with a margin: {metric}: {b} >= {a} - margin"
    if symbol == "=":
        return f"equivalence is written with a margin: {metric}: {a} == {b} +- margin"
    return "a difference in either direction is what every comparison reports; a hypothesis has a direction"


def _refusal(text: str, mend: str) -> SpecError:
    return SpecError((f"Hypothesis {text.strip()!r}: {mend}.",))
