"""`stop_when` as it is written, in Python and TOML, and what is refused with its mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crucible_ray import metric
from crucible_ray.experiment.declarative import read_toml
from crucible_ray.experiment.plan import StopPlan
from crucible_ray.experiment.spec import Analysis, Experiment, Looks, Model
from crucible_ray.experiment.stopping import BOUNDED_KINDS, BOUNDED_METRICS, stop_plan, stopping_problems
from crucible_ray.metrics.registry import METRICS

BETTER = ["accuracy: a > b"]


def experiment(stop_when: Any = "decided", hypotheses: Any = BETTER, **how: Any) -> Experiment:
    conditions = [Model("m", name="a"), Model("n", name="b")]
    return Experiment("Stops", conditions=conditions, stop_when=stop_when, hypotheses=hypotheses, **how)


@pytest.mark.parametrize(
    ("python", "toml", "plan"),
    [
        ("decided", '"decided"', StopPlan(rule="decided")),
        (Looks(4), "{ looks = 4 }", StopPlan(rule="looks", looks=(0.25, 0.5, 0.75, 1.0))),
        (Looks([0.5, 1]), "{ looks = [0.5, 1] }", StopPlan(rule="looks", looks=(0.5, 1.0))),
    ],
)
def test_a_rule_reads_the_same_in_python_and_toml(
    tmp_path: Path, python: Any, toml: str, plan: StopPlan
) -> None:
    path = tmp_path / "e.toml"
    path.write_text(
        f'name = "e"\nstop_when = {toml}\nhypotheses = ["accuracy: a > b"]\n'
        '[[conditions]]\nname = "a"\nmodel = "m"\n[[conditions]]\nname = "b"\nmodel = "n"\n'
    )
    assert stop_plan(read_toml(path).stop_when) == stop_plan(python) == plan
    assert stopping_problems(experiment(python)) == []


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"stop_when": "soon"}, "it is 'decided', or Looks"),
        ({"stop_when": Looks(0)}, "plan from 1 to 50"),
        ({"stop_when": Looks([0.5, 0.4])}, "rising to 1"),
        ({"hypotheses": []}, "there is none: declare one"),
        ({"randomize": False}, "leave out randomize = false"),
        ({"analysis": Analysis(cluster="topic")}, "leave out one of them"),
        ({"hypotheses": ["latency_mean: a > b"]}, "no bounds: it stops on accuracy"),
    ],
)
def test_what_cannot_stop_a_run_is_refused_with_the_mend(how: dict[str, Any], told: str) -> None:
    (problem,) = stopping_problems(experiment(**how))
    assert told in problem


def test_metrics_of_ones_own_stop_a_run_where_they_have_bounds() -> None:
    @metric(kind="proportion")
    def share(reply: Any, item: Any) -> float:
        return 0.5

    @metric(kind="count")
    def words(reply: Any, item: Any) -> float:
        return 3

    both = experiment(hypotheses=["share: a > b", "words: a > b"], metrics=[share, words])
    (problem,) = stopping_problems(both)
    assert "hypotheses[1] is about words" in problem


def test_every_metric_with_bounds_may_stop_a_run() -> None:
    bounded = {each.name for each in METRICS.values() if each.per_trial and each.kind in BOUNDED_KINDS}
    assert bounded == set(BOUNDED_METRICS)
