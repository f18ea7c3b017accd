"""`stop_when`: what it takes for a run to end before everything is asked, and what makes that impossible."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from crucible_ray.errors import SpecError
from crucible_ray.experiment.hypothesis import Hypothesis, plan_hypothesis
from crucible_ray.experiment.own import own_metrics
from crucible_ray.experiment.plan import HypothesisPlan, StopPlan
from crucible_ray.experiment.spec import Experiment, Looks

DECIDED: Final = "decided"
BOUNDED_METRICS: Final = ("accuracy", "consensus")
"""Metrics whose differences lie in [-1, 1] whatever a model answers."""
BOUNDED_KINDS: Final = ("binary", "proportion")
MOST_LOOKS: Final = 50
"""More planned looks cost boundaries next to nothing and take long to compute: `decided` looks all the time."""

_FORMS: Final = "'decided', or Looks(5)"


def stop_plan(given: Any) -> StopPlan | None:
    """`stop_when` in its resolved form; of an experiment that was checked."""
    if isinstance(given, Looks):
        return StopPlan(rule="looks", looks=_shares(given.looks))
    return None if given is None else StopPlan(rule=DECIDED)


def stopping_problems(experiment: Experiment) -> list[str]:
    """Every reason why this `stop_when` cannot be."""
    given: Any = experiment.stop_when
    if given is None:
        return []
    problems = _form_problems(given)
    if not experiment.randomize:
        problems.append(
            "stop_when: the first items have to be like the others, so their order has to be drawn: leave out "
            "randomize = false, or stop_when."
        )
    if getattr(experiment.analysis, "cluster", None) is not None:
        problems.append(
            "stop_when: what counts is one item, and analysis.cluster says that items are not independent: leave out one "
            "of them."
        )
    if experiment.hypotheses == ():
        problems.append("stop_when: it stops when hypotheses are decided, and there is none: declare one.")
    bounded = bounded_metrics(experiment)
    problems += [
        f"stop_when: hypotheses[{number}] is about {hypothesis.metric}, whose differences have no bounds: it stops on "
        "accuracy, consensus, and own metrics of kind binary or proportion. Declare that hypothesis in an experiment "
        "without stop_when."
        for number, hypothesis in _hypotheses(experiment)
        if hypothesis.metric not in bounded
    ]
    return problems


def bounded_metrics(experiment: Experiment) -> set[str]:
    """Metrics whose differences lie in [-1, 1], the author's own among them."""
    own = {each.name for each in own_metrics(experiment.metrics) if each.kind in BOUNDED_KINDS}
    return own.union(BOUNDED_METRICS)


def _form_problems(given: Any) -> list[str]:
    if isinstance(given, Looks):
        return _looks_problems(given.looks)
    if given == DECIDED:
        return []
    return [f"stop_when = {given!r}: it is {_FORMS}; in TOML 'decided', or {{ looks = 5 }}."]


def _looks_problems(looks: Any) -> list[str]:
    if isinstance(looks, int) and not isinstance(looks, bool):
        inside = 1 <= looks <= MOST_LOOKS
        return [] if inside else [f"stop_when: {looks} looks: plan from 1 to {MOST_LOOKS} of them."]
    shares = list(looks) if isinstance(looks, list | tuple) else []
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in shares)
    rising = numbers and all(a < b for a, b in pairwise(shares))
    if shares and rising and shares[0] > 0 and shares[-1] == 1 and len(shares) <= MOST_LOOKS:
        return []
    return [
        f"stop_when: looks = {looks!r}: give how many, or the shares of the items at which to look, rising to 1, "
        "such as [0.25, 0.5, 1]."
    ]


def _hypotheses(experiment: Experiment) -> list[tuple[int, HypothesisPlan]]:
    """Those that can be read, with their numbers; what cannot is reported elsewhere."""
    given: Any = experiment.hypotheses
    found = []
    for number, each in enumerate(given if isinstance(given, tuple) else ()):
        if isinstance(each, str | Hypothesis):
            try:
                found.append((number, plan_hypothesis(each)))
            except SpecError:
                continue
    return found


def _shares(looks: int | Sequence[float]) -> tuple[float, ...]:
    if isinstance(looks, int):
        return tuple((look + 1) / looks for look in range(looks))
    return tuple(map(float, looks))
