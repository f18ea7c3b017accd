"""A design without an experiment: of items, effect and power two are given, the third follows.

What is known of the outcome may be a guess (one number, or two ends of a range), a pilot, or a prior. Where the
default rule can be counted out (one repeat of a 0/1 outcome in pairs) it is; elsewhere a formula stands, and beside
it, for repeated pairs of a 0/1 outcome, a simulation of the rule with its Monte Carlo error.
"""

from __future__ import annotations

import math
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.errors import StatsError
from crucible_ray.stats import (
    assurance,
    detectable_effect,
    exact_support,
    items_for_assurance,
    items_for_support,
    least_cost,
    normal_prior,
    simulated_support,
    support_power,
)
from crucible_ray.stats.planning import DESIGNS, discordant_share
from crucible_ray.stats.prospects import MOST_EXACT, RELATIONS

DEFAULT_POWER = 0.8
_CURVE = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Items of the power curve, over those of the answer."""


class Question(Struct, frozen=True, kw_only=True):
    """A design, and two of n, effect and power."""

    design: str = "paired_binary"
    relation: str = "superiority"
    margin: float = 0.0
    n: int | None = None
    """Items: pairs, or items in each group."""
    effect: float | None = None
    power: float | None = None
    alpha: float = 0.05
    repeats: int = 1
    p: float | None = None
    discordant: tuple[float, ...] = ()
    """Shares of items that differ at one repeat: one, or both ends of a range."""
    sd: float | None = None
    icc: float | None = None
    rho: float | None = None
    effect_sd: float | None = None
    """Of a normal prior around `effect`: power becomes assurance."""
    item_cost: float = 0.0
    """US dollars of one item, however often it is asked."""
    repeat_cost: float | None = None
    """US dollars of asking one item once more, under both conditions; None: only counts of calls are compared."""
    max_items: int | None = None
    """How many items there are."""
    max_repeats: int = 20
    simulations: int = 2_000
    seed: int = 0


class Row(Struct, frozen=True, kw_only=True):
    """The answer at one discordant share (or at none, where the design has none)."""

    discordant: float | None
    n: int
    effect: float
    power: float
    """At n and effect; under a prior the assurance."""
    how: str
    """`counted out`, `formula` or `assurance`."""
    simulated: float | None = None
    """The same through the default rule, simulated; None: nothing to add."""
    simulated_error: float | None = None
    """Its Monte Carlo standard error."""
    curve: tuple[tuple[int, float], ...] = ()
    """Items and power around the answer."""
    items: int | None = None
    """Of the design that costs least."""
    item_repeats: int | None = None
    cost_usd: float | None = None
    cost_note: str | None = None
    """Why no design within the limits reaches the power."""


class Answer(Struct, frozen=True, kw_only=True):
    """A question, what was solved for, and a row for each discordant share."""

    question: Question
    solved: str
    """`n`, `effect` or `power`."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def answer(asked: Question) -> Answer:
    """Solve for what is left out of n, effect and power. Raises StatsError, naming what is missing."""
    question, solved = _complete(asked)
    shares = question.discordant or (None,)
    if question.design == "paired_binary" and shares == (None,) and question.p is None:
        raise StatsError(
            "paired_binary needs --discordant, the share of items on which the two differ, "
            "or --p, the control's share of right answers"
        )
    rows = tuple(_row(question, solved, share) for share in shares)
    return Answer(question=question, solved=solved, rows=rows, notes=_notes(question))


def _complete(asked: Question) -> tuple[Question, str]:
    if asked.design not in DESIGNS:
        raise StatsError(f"there is no design {asked.design!r}: {', '.join(DESIGNS)}")
    if asked.relation not in RELATIONS:
        raise StatsError(f"there is no relation {asked.relation!r}: {', '.join(RELATIONS)}")
    if asked.margin < 0:
        raise StatsError("margin is never negative: relation says on which side it lies")
    given = [name for name in ("n", "effect", "power") if getattr(asked, name) is not None]
    if given in (["n"], ["effect"]):
        asked = replace(asked, power=DEFAULT_POWER)
        given.append("power")
    if len(given) != 2:
        raise StatsError(
            "give two of --n, --effect and --power (or one of the first two, for a power of .80): the third is solved"
        )
    (solved,) = {"n", "effect", "power"} - set(given)
    if solved == "effect" and (asked.relation == "equivalence" or asked.effect_sd is not None):
        raise StatsError("with an equivalence or a prior, give --effect, and --n or --power")
    return asked, solved


def _row(question: Question, solved: str, share: float | None) -> Row:
    how = _how(question, share)
    n, effect = question.n, question.effect
    if n is None:
        assert effect is not None
        n = _items(question, effect, how)
    if effect is None:
        effect = _effect(question, n, how)
    row = Row(
        discordant=how.get("discordant", share),
        n=n,
        effect=effect,
        power=_power(question, n, effect, how),
        how=_kind(question, n, how),
        curve=tuple(
            (size, _power(question, size, effect, how))
            for size in sorted({max(2, round(part * n)) for part in _CURVE})
        ),
    )
    return _with_cost(_with_simulation(row, question), question, how, solved)


def _how(question: Question, share: float | None) -> dict[str, Any]:
    """What the planning functions take of the outcome; a discordant share alone where one repeat says it all."""
    how = {
        name: getattr(question, name)
        for name in ("p", "sd", "icc", "rho")
        if getattr(question, name) is not None
    }
    if share is not None:
        how["discordant"] = share
    if question.design == "paired_binary" and question.effect is not None and question.effect_sd is None:
        how["discordant"] = discordant_share(question.effect, share, question.p, question.icc, question.rho)
        if question.repeats == 1 or question.icc is None or question.rho is None:
            return {"discordant": how["discordant"]}
    return {**how, "repeats": question.repeats}


def _items(question: Question, effect: float, how: dict[str, Any]) -> int:
    assert question.power is not None
    options: dict[str, Any] = {
        "relation": question.relation,
        "margin": question.margin,
        "power": question.power,
        "design": question.design,
        "alpha": question.alpha,
    }
    if question.effect_sd is not None:
        return items_for_assurance(normal_prior(effect, question.effect_sd), **options, **how)
    found = items_for_support(effect=effect, **options, **how)
    if found is None:
        raise StatsError(
            f"a true difference of {effect:g} does not clear a margin of {question.margin:g} "
            f"({question.relation.replace('_', '-')}): no number of items supports it; change --effect or --margin"
        )
    return found


def _effect(question: Question, n: int, how: dict[str, Any]) -> float:
    """The smallest true difference that n items support with the power."""
    assert question.power is not None
    sign = -1 if question.relation == "non_inferiority" else 1
    start = detectable_effect(
        question.design, n=n, power=question.power, alpha=question.alpha, margin=sign * question.margin, **how
    )
    share = how.get("discordant")
    if _kind(question, n, how) != "counted out" or share is None:
        return start
    from scipy.optimize import brentq

    def short(effect: float) -> float:
        return _power(question, n, effect, how) - (question.power or 0.0)

    if short(share) < 0:
        raise StatsError(
            f"{n} items of which {share:g} differ are too few to decide: no difference has a power of "
            f"{question.power:g}"
        )
    low = sign * question.margin if question.margin else 0.0
    return float(brentq(short, min(max(low, -share), start), share, xtol=1e-6))


def _power(question: Question, n: int, effect: float, how: dict[str, Any]) -> float:
    options: dict[str, Any] = {"design": question.design, "alpha": question.alpha}
    if question.effect_sd is not None:
        prior = normal_prior(effect, question.effect_sd)
        return assurance(prior, n=n, relation=question.relation, margin=question.margin, **options, **how)
    if _kind(question, n, how) == "counted out":
        return exact_support(
            question.relation,
            question.margin,
            n=n,
            effect=effect,
            discordant=how["discordant"],
            alpha=question.alpha,
        )
    return support_power(question.relation, question.margin, n=n, effect=effect, **options, **how)


def _kind(question: Question, n: int, how: dict[str, Any]) -> str:
    if question.effect_sd is not None:
        return "assurance"
    repeated = how.get("repeats", 1) > 1 and "icc" in how and "rho" in how
    alone = question.design == "paired_binary" and "discordant" in how and not repeated
    return "counted out" if alone and n <= MOST_EXACT else "formula"


def _with_simulation(row: Row, question: Question) -> Row:
    """Beside a formula for repeated pairs of a 0/1 outcome: the rule itself."""
    known = (question.p, question.icc, question.rho)
    if question.design != "paired_binary" or question.repeats == 1 or None in known or row.how != "formula":
        return row
    p, icc, rho = (float(value) for value in known if value is not None)
    if not 0 <= p + row.effect <= 1 or rho < 0:
        return row
    found = simulated_support(
        question.relation,
        question.margin,
        n=row.n,
        repeats=question.repeats,
        effect=row.effect,
        p=p,
        icc=icc,
        rho=rho,
        alpha=question.alpha,
        simulations=question.simulations,
        seed=question.seed,
    )
    return replace(row, simulated=found.power, simulated_error=found.error)


def _with_cost(row: Row, question: Question, how: dict[str, Any], solved: str) -> Row:
    """The cheapest design that reaches the power asked for (or the one found), where money was spoken of."""
    asked = question.item_cost or question.repeat_cost is not None or question.max_items is not None
    if not asked or question.effect_sd is not None:
        return row
    spread = {**how, "icc": question.icc, "rho": question.rho}
    spread.pop("repeats", None)
    try:
        best = least_cost(
            effect=row.effect,
            relation=question.relation,
            margin=question.margin,
            power=question.power if question.power is not None else min(row.power, 0.999),
            design=question.design,
            alpha=question.alpha,
            item_cost=question.item_cost,
            repeat_cost=question.repeat_cost or 1.0,
            max_items=question.max_items,
            max_repeats=question.max_repeats,
            **spread,
        )
    except StatsError as nothing:
        return replace(row, cost_note=str(nothing))
    priced = question.repeat_cost is not None
    return replace(row, items=best.items, item_repeats=best.repeats, cost_usd=best.cost if priced else None)


def _notes(question: Question) -> tuple[str, ...]:
    notes = []
    paired = question.design.startswith("paired")
    if question.repeats > 1 and (question.icc is None or (paired and question.rho is None)):
        missing = "--icc and --rho" if paired else "--icc"
        notes.append(
            f"{question.repeats} repeats carry the information of 1 here, the safe end: {missing} (or a pilot) say what "
            "they bring"
        )
    if question.design == "paired_binary" and not question.discordant:
        notes.append(
            "the share of items that differ follows from p"
            + (
                ""
                if question.icc is not None and question.rho is not None
                else ", as if answers were independent"
            )
        )
    if question.effect_sd is not None:
        notes.append(
            f"assurance: the mean power over true differences around {question.effect:g} "
            f"with a standard deviation of {question.effect_sd:g}"
        )
    if not math.isclose(question.alpha, 0.05):
        notes.append(f"alpha is {question.alpha:g}")
    return tuple(notes)
