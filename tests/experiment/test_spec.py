"""An experiment as its author writes it, and everything that can be wrong with it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from crucible_ray.errors import SpecError
from crucible_ray.experiment.hypothesis import Hypothesis
from crucible_ray.experiment.own import metric
from crucible_ray.experiment.spec import (
    Analysis,
    Budget,
    Dataset,
    Ensemble,
    Experiment,
    Model,
    condition_name,
    conditions_of,
    not_supported,
)
from crucible_ray.experiment.validation import problems_of, validate
from crucible_ray.models.catalogue import resolve_model
from crucible_ray.settings import Settings


def test_an_unknown_option_names_the_nearest_known_one() -> None:
    options: dict[str, Any] = {"temprature": 0.0}
    with pytest.raises(SpecError, match="there is no option 'temprature': did you mean 'temperature'"):
        Model("m", **options)


def test_an_option_of_a_later_version_is_refused_by_name() -> None:
    for make, option in (
        (lambda **o: Ensemble(["a"], **o), "weights"),
        (lambda **o: Ensemble(["a"], **o), "hedge_delay_s"),
        (lambda **o: Model("m", **o), "hedge_delay_s"),
    ):
        with pytest.raises(SpecError, match=f"option '{option}' is not supported by this version"):
            make(**{option: 1})
    assert not_supported("Hedge") is not None
    assert not_supported("Model") is None


def test_a_missing_option_is_named() -> None:
    options: dict[str, Any] = {"tmeout_s": 1}
    with pytest.raises(SpecError) as caught:
        Experiment(**options)
    assert caught.value.problems == (
        "Experiment: there is no option 'tmeout_s': did you mean 'timeout_s'?",
        "Experiment: name is missing.",
    )


def test_values_are_frozen_and_lists_become_tuples() -> None:
    experiment = Experiment(name="x", conditions=[Model("m")])
    assert experiment.conditions == (Model("m"),)
    with pytest.raises(dataclasses.FrozenInstanceError):
        experiment.name = "y"  # type: ignore[misc]


def test_a_condition_without_a_name_is_called_after_what_it_is() -> None:
    assert condition_name(Model("openai/gpt-4o")) == "openai/gpt-4o"
    assert condition_name(Ensemble(["a", "b"])) == "ensemble"


def test_a_sound_experiment_has_no_problems() -> None:
    experiment = Experiment(
        name="x",
        dataset=Dataset("mmlu", path="data", fields={"input": "q"}, sample_size=3, seed=1),
        conditions=[
            Model("gpt4o", extra={"top_p": 0.5}),
            Ensemble([Model("gpt4o", temperature=1), "gpt4o_mini"], quorum=1, parse="number"),
        ],
        metrics=["accuracy", "consensus"],
        hypotheses=[Hypothesis("accuracy", "ensemble", "gpt4o"), "latency_mean: ensemble >= gpt4o - 5"],
        budget=Budget(max_total=1),
        analysis=Analysis(alpha=0.1, correction="fdr", baseline="gpt4o"),
        prompt="{{ input }}",
    )
    validate(experiment, Settings(), catalogue=resolve_model)


def test_every_fault_is_reported_at_once() -> None:
    wrong: dict[str, Any] = {"sample_size": "3", "randomize": 1, "budget": {"max_total": 1}}
    experiment = Experiment(
        name="",
        conditions=[
            Model("gpt4o_min", temperature=-1, parse="choise", extra={"temperature": 1, "stream": True}),
            Ensemble(
                ["gpt4o", Model("b/x", normalize="none")], vote="weighted", execution="cascade", quorum=5
            ),
            Model("gpt4o_min"),
        ],
        metrics=["acuracy", "f1_score"],
        hypotheses=["accuracy: ensembl > gpt4o_min", "accuracy ?", "accurac: ensemble > ensemble"],
        repeat=0,
        timeout_s=float("inf"),
        analysis=Analysis(alpha=2, baseline="ensembl"),
        prompt="{{ x",
        normalize="lower",
        **wrong,
    )
    with pytest.raises(SpecError) as caught:
        validate(experiment, Settings(), catalogue=resolve_model)
    text = str(caught.value)
    for part in (
        "name = '': expected str of length >= 1.",
        "sample_size = '3': expected int | null, got str.",
        "randomize = 1: expected bool, got int.",
        "repeat = 0: expected int >= 1.",
        "timeout_s = inf: must be a finite number.",
        "budget is a dict: write Budget(...).",
        "prompt is not a valid jinja2 template",
        "normalize = 'lower' does not exist",
        "metrics[0] = 'acuracy' does not exist: did you mean 'accuracy'?",
        "metrics[1] = 'f1_score' is not supported by this version",
        "analysis.alpha = 2",
        "analysis.baseline: no condition is called 'ensembl': did you mean 'ensemble'?",
        "temperature = -1",
        "parse = 'choise' does not exist: did you mean 'choice'? Also: json:FIELD, a regular expression with one group, or",
        "extra.temperature: use the option temperature.",
        "extra.stream",
        "vote = 'weighted' is not supported by this version",
        "execution = 'cascade' is not supported by this version",
        "members[1]: normalize: a vote matches all answers alike",
        "quorum = 5: there are only 2 members.",
        "conditions[0] and conditions[2] are both called 'gpt4o_min'",
        "hypotheses[0]: no condition is called 'ensembl': did you mean 'ensemble'?",
        "hypotheses[1]: Hypothesis 'accuracy ?': write it as",
        "hypotheses[2]: metric = 'accurac' does not exist",
        "hypotheses[2]: it compares 'ensemble' with itself.",
        "There is no model 'gpt4o_min': did you mean 'gpt4o_mini'?",
        "there is no provider 'b'",
    ):
        assert part in text


def _problems(**options: Any) -> str:
    return "\n".join(problems_of(Experiment(**{"name": "x", "conditions": [Model("m")], **options})))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"conditions": []}, "there is none"),
        ({"analysis": Analysis(pairs="each")}, "analysis.pairs"),  # type: ignore[arg-type]
        ({"analysis": Analysis(effect_sizes=["cohens_q"])}, "'cohens_d'"),  # type: ignore[list-item]
        ({"conditions": Model("m")}, "must be a list"),
        ({"conditions": ["gpt4o"]}, "write Model('gpt4o')"),
        ({"conditions": [len]}, "has to take two arguments, item and call"),
        ({"conditions": [3]}, "int is not supported"),
        ({"conditions": [Ensemble([])]}, "at least one model"),
        ({"conditions": [Ensemble([""])]}, "must not be empty"),
        ({"conditions": [Model("m", extra={"x": object()})]}, "cannot be written as JSON"),
        ({"parse": lambda: None}, "a parser takes the reply's text, or text and item"),
        ({"parse": "\\d+"}, "needs one group"),
        ({"metrics": [len]}, "write @metric(...) above len"),
        ({"metrics": ["accuracy", 5]}, "metrics[1]: give a name"),
        ({"metrics": "accuracy"}, "expected array"),
        ({"hypotheses": "accuracy: a > b"}, "must be a list"),
        ({"hypotheses": [3]}, "write a text"),
        ({"hypotheses": ["accuracy: a > b + 5"]}, "lies between 0 and 1: 5 points are written 0.05"),
        ({"dataset": ["a.csv", {"input": "?"}]}, "either records or datasets"),
        ({"dataset": Dataset(Dataset("x"))}, "no Dataset"),
    ],
)
def test_what_is_no_experiment_of_this_version_is_refused(options: dict[str, Any], part: str) -> None:
    assert part in _problems(**options)


def test_decorators_work_with_and_without_parentheses() -> None:
    experiment = Experiment(name="Decorated", dataset="demo")

    @metric
    def bare(reply: object, item: object) -> float:
        return 1.0

    @metric()
    def called(reply: object, item: object) -> float:
        return 1.0

    @experiment.condition
    def plain(item: object, call: object) -> str:
        return "A"

    @experiment.condition()  # type: ignore[untyped-decorator]
    def brackets(item: object, call: object) -> str:
        return "B"

    @experiment.analysis()
    def own(results: object) -> dict[str, int]:
        return {}

    assert (bare.name, called.name) == ("bare", "called")
    assert [condition_name(each) for each in conditions_of(experiment)] == ["plain", "brackets"]
    assert experiment.analysis.custom is own


def test_a_metric_whose_kind_has_no_name_is_told_to_give_it_one() -> None:
    with pytest.raises(SpecError, match=r"@metric\('binary'\): its options go by name"):
        metric("binary")  # type: ignore[call-overload]
