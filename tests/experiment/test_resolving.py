"""From an experiment to its plan, and the plan's id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from crucible_ray.api.preparing import prepare
from crucible_ray.cli.checking import plan_lines
from crucible_ray.datasets import checksum
from crucible_ray.errors import SpecError
from crucible_ray.experiment.adjusting import override
from crucible_ray.experiment.defaults import (
    DEFAULT_CHOICE_TEMPLATE,
    DEFAULT_NUMBER_TEMPLATE,
    DEFAULT_TEMPLATE,
)
from crucible_ray.experiment.identity import dataset_checksum, experiment_id
from crucible_ray.experiment.loading import load_experiment
from crucible_ray.experiment.plan import Plan
from crucible_ray.experiment.resolving import dataset_arguments, seed_of
from crucible_ray.experiment.spec import Analysis, Budget, Dataset, Ensemble, Experiment, Model
from crucible_ray.models.catalogue import resolve_simulated
from crucible_ray.records import Item
from crucible_ray.settings import BudgetSettings, EnsembleSettings, ModelTable, RunSettings, Settings
from tests.experiment.plans import EXPERIMENT, ITEMS, plan_of

PLAIN = [Item(id="0", input="2 + 2?", expected="4")]


def test_defaults_follow_the_items() -> None:
    choice, text = plan_of().conditions[0], plan_of(items=PLAIN).conditions[0]
    assert (choice.parse, choice.prompt.template) == ("choice", DEFAULT_CHOICE_TEMPLATE)
    assert (text.parse, text.prompt.template) == ("text", DEFAULT_TEMPLATE)


def test_an_attempt_has_half_of_its_trial_unless_it_is_said() -> None:
    def times(**options: Any) -> list[tuple[float, float]]:
        return [(c.timeout_s, c.attempt_timeout_s) for c in plan_of(**options).conditions[0].calls]

    assert times() == [(60.0, 30.0)]
    assert times(timeout_s=10) == [(10.0, 5.0)]
    assert times(timeout_s=10, attempt_timeout_s=8) == [(10.0, 8.0)]
    assert times(conditions=[Model("gpt4o", timeout_s=4)], hypotheses=[]) == [(4.0, 2.0)]
    assert times(conditions=[Model("gpt4o", timeout_s=4)], attempt_timeout_s=8, hypotheses=[]) == [(4.0, 4.0)]


def test_the_nearest_option_wins() -> None:
    plan = plan_of(temperature=0.7, max_tokens=9, system="be brief", parse="first_letter")
    single, trio = plan.conditions
    assert [(c.temperature, c.max_tokens) for c in single.calls] == [(0.0, 9)]
    assert [(c.temperature, c.max_tokens) for c in trio.calls] == [(0.7, 100), (0.7, 5), (0.7, 100)]
    assert single.prompt.system == trio.prompt.system == "be brief"
    assert single.parse == "first_letter"


def test_unset_options_stay_unset() -> None:
    call = plan_of(conditions=[Model("gpt4o")], hypotheses=[]).conditions[0].calls[0]
    assert (call.temperature, call.max_tokens, call.extra) == (None, None, {})


@pytest.mark.parametrize(("members", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_vote_needs_more_than_half_of_the_members(members: int, quorum: int) -> None:
    plan = plan_of(conditions=[Ensemble(["gpt4o"] * members)], hypotheses=[])
    assert (plan.conditions[0].quorum, plan.conditions[0].vote) == (quorum, "majority")
    assert plan_of().conditions[0].vote is None


def test_members_are_paced_by_default_and_single_models_are_not() -> None:
    single, trio = plan_of().conditions
    assert single.calls[0].model.limits.requests_per_minute is None
    assert {c.model.limits.requests_per_minute for c in trio.calls} == {3000.0}
    own = Settings(models={"gpt4o": ModelTable(requests_per_minute=60)})
    assert plan_of(settings=own).conditions[1].calls[0].model.limits.requests_per_minute == 60
    home = Settings(models={"gpt4o": ModelTable(base_url="http://127.0.0.1:1/v1")})
    assert plan_of(settings=home).conditions[1].calls[0].model.limits.requests_per_minute is None
    simulated = plan_of(catalogue=resolve_simulated)
    assert simulated.conditions[1].calls[0].model.limits.requests_per_minute is None


def test_no_rate_is_limited_where_limits_are_disabled() -> None:
    off = Settings(run=RunSettings(disable_rate_limiting=True))
    plan = plan_of(settings=off, rate_limit=5)
    assert plan.rate_limit is None
    assert plan.conditions[1].calls[0].model.limits.requests_per_minute is None


def test_settings_fill_what_the_experiment_leaves_open() -> None:
    settings = Settings(
        run=RunSettings(seed=5, checkpoint_interval=7, global_rate_limit=2.0, max_concurrent_queries=3),
        ensemble=EnsembleSettings(max_retries=1, retry_delay_s=0.5, default_normalization="none"),
        budget=BudgetSettings(max_total=3.0, abort_on_exceed=True),
    )
    plan = plan_of(settings=settings)
    assert (plan.seed, plan.checkpoint_every, plan.rate_limit, plan.max_concurrent_queries) == (5, 7, 2.0, 3)
    assert (plan.max_retries, plan.retry_delay_s, plan.conditions[0].normalize) == (1, 0.5, "none")
    assert (plan.budget.max_total, plan.budget.abort_on_exceed) == (3.0, True)
    own = plan_of(
        settings=settings,
        seed=0,
        checkpoint_every=1,
        rate_limit=9,
        max_retries=0,
        budget=Budget(max_total=1),
        normalize="lowercase_trim",
    )
    assert (own.seed, own.checkpoint_every, own.rate_limit, own.max_retries) == (0, 1, 9.0, 0)
    assert (own.budget.max_total, own.budget.abort_on_exceed) == (1.0, True)
    assert own.conditions[0].normalize == "lowercase_trim"


def test_a_hypothesis_brings_its_metric() -> None:
    plan = plan_of(hypotheses=["latency_mean: trio > single"])
    assert plan.metrics == ("accuracy", "latency_mean")


def test_a_plan_survives_json() -> None:
    plan = plan_of(catalogue=resolve_simulated, simulated={"seed": 3}, source="exp.py")
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_items_that_do_not_fit_the_parser_are_named() -> None:
    with pytest.raises(SpecError, match="some items have choices and some not"):
        plan_of(items=[*ITEMS, *PLAIN])
    with pytest.raises(SpecError, match="item '0' has none"):
        plan_of(items=PLAIN, parse="choice")
    with pytest.raises(SpecError, match="holds no items"):
        plan_of(items=[])


def test_a_simulator_is_described_by_the_tables_of_its_models() -> None:
    tail = (0.1, 20.0)
    where = Settings(models={"gpt4o": ModelTable(provider="simulated", model="big", accuracy=0.9, tail=tail)})
    assert plan_of().simulated is None
    assert plan_of(catalogue=resolve_simulated).simulated == {}
    assert plan_of(settings=where, simulated={"seed": 3}).simulated == {
        "models": [{"name": "big", "accuracy": 0.9, "tail": [0.1, 20.0]}],
        "seed": 3,
    }


def test_one_simulated_model_cannot_behave_in_two_ways() -> None:
    where = Settings(
        models={
            "gpt4o": ModelTable(provider="simulated", model="m", accuracy=0.9),
            "gpt4o_mini": ModelTable(provider="simulated", model="m", accuracy=0.8),
        }
    )
    with pytest.raises(SpecError, match="behaves otherwise"):
        plan_of(settings=where)


def test_the_dataset_is_asked_for_by_the_experiments_seed_unless_it_has_its_own() -> None:
    plain = Experiment(name="x", dataset="demo", sample_size=3, seed=4)
    assert dataset_arguments(plain, Settings())[0] == {
        "source": "demo",
        "sample_size": 3,
        "seed": 4,
        "fields": None,
        "path": None,
        "split": None,
        "filter": None,
        "repeat": 1,
        "examples": 0,
    }
    own = Experiment(name="x", dataset=Dataset("mmlu", path="p", sample_size=5, seed=9), seed=4)
    (arguments,) = dataset_arguments(own, Settings())
    assert (arguments["sample_size"], arguments["seed"], arguments["path"]) == (5, 9, "p")
    assert seed_of(Experiment(name="x"), Settings()) == 0


def test_the_checksum_is_that_of_the_dataset_file() -> None:
    assert dataset_checksum(ITEMS) == checksum(ITEMS) == plan_of().dataset_checksum


def test_the_id_is_a_function_of_the_plan_and_its_items() -> None:
    plan = plan_of()
    assert plan.experiment_id == experiment_id(msgspec.structs.replace(plan, experiment_id=""), ITEMS)
    assert plan.experiment_id.startswith("exp_")
    assert len(plan.experiment_id) == 16
    assert experiment_id(plan, ITEMS[:2]) != plan.experiment_id


def test_the_id_never_changes_between_versions() -> None:
    # A changed id orphans every result on disk: only a change of the contract may change this.
    condition = Model("openai/gpt-4o", name="one", temperature=0.0, max_tokens=10, extra={"top_p": 1})
    plan = plan_of(items=PLAIN, name="pinned", conditions=[condition], hypotheses=[], seed=1)
    assert plan.experiment_id == "exp_ba2bcd8a9b01"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"repeat": 2},
        {"seed": 1},
        {"randomize": False},
        {"timeout_s": 9},
        {"attempt_timeout_s": 9},
        {"temperature": 0.5},
        {"max_tokens": 7},
        {"prompt": "{{ input }}"},
        {"system": "x"},
        {"parse": "first_letter"},
        {"normalize": "none"},
        {"items": ITEMS[:2]},
        {"conditions": EXPERIMENT.conditions[::-1]},
        {"settings": Settings(models={"gpt4o": ModelTable(base_url="https://other.example/v1")})},
        {"settings": Settings(models={"gpt4o": ModelTable(model="gpt-4o-2024-11-20")})},
    ],
    ids=str,
)
def test_what_can_change_an_answer_changes_the_id(changes: dict[str, Any]) -> None:
    assert plan_of(**changes).experiment_id != plan_of().experiment_id


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": ["latency_p50"]},
        {"hypotheses": []},
        {"description": "x"},
        {"budget": Budget(max_total=1)},
        {"rate_limit": 1},
        {"checkpoint_every": 1},
        {"max_failed": 0.5},
        {"max_retries": 9},
        {"analysis": Analysis(alpha=0.01)},
        {"analysis": Analysis(pairs="all", effect_sizes=["cohens_d"], cluster="input")},
        {"hypotheses": ["latency_p95: trio > single", "cost_per_correct: trio > single"]},
        {"source": "other.py"},
        {"settings": Settings(models={"gpt4o": ModelTable(input_price=9.0, requests_per_minute=1)})},
        {"settings": Settings(models={"gpt4o": ModelTable(api_key_env="OTHER", max_concurrency=3)})},
    ],
    ids=str,
)
def test_what_cannot_change_an_answer_leaves_the_id(changes: dict[str, Any]) -> None:
    assert plan_of(**changes).experiment_id == plan_of().experiment_id


def test_a_simulator_counts_by_its_settings() -> None:
    first, second = (plan_of(catalogue=resolve_simulated, simulated={"seed": seed}) for seed in (1, 2))
    assert first.experiment_id != second.experiment_id != plan_of().experiment_id


def test_a_dataset_may_say_how_its_replies_are_read() -> None:
    numbers = plan_of(items=[Item(id="0", input="2 + 2?", expected="4", parse="number")]).conditions[0]
    assert (numbers.parse, numbers.prompt.template) == ("number", DEFAULT_NUMBER_TEMPLATE)


def test_without_a_dataset_each_repeat_is_an_item_of_its_own_and_the_prompt_must_ask_something() -> None:
    def plan(prompt: str | None) -> Plan:
        empty = [Item(id=str(number), input="") for number in range(4)]
        return plan_of(items=empty, dataset=None, repeat=4, prompt=prompt)

    asked = plan("Name a prime number.")
    assert (asked.items, asked.repeats, asked.trials) == (4, 1, 8)
    with pytest.raises(SpecError, match="without a dataset there is nothing to ask: set prompt, or dataset"):
        plan(None)
    with pytest.raises(SpecError, match="its prompt uses input, and there is no dataset to take it from"):
        plan("Answer: {{ input }}")


def test_a_sample_size_on_the_command_line_wins_over_a_datasets_own() -> None:
    own = Experiment(name="x", dataset=Dataset("mmlu", sample_size=5), sample_size=7)
    assert dataset_arguments(own, Settings())[0]["sample_size"] == 5
    assert dataset_arguments(override(own, sample_size=9), Settings())[0]["sample_size"] == 9


def test_a_cluster_is_a_field_that_every_item_has_and_that_tells_them_apart() -> None:
    def plan(*passages: str | None) -> Plan:
        items = [
            Item(id=str(k), input="?", expected="A", metadata={} if each is None else {"passage": each})
            for k, each in enumerate(passages)
        ]
        return plan_of(items=items, analysis=Analysis(cluster="passage"))

    assert plan("p", "p", "q").analysis.cluster == "passage"
    with pytest.raises(SpecError, match="1 items have no 'passage', the first of them '1'"):
        plan("p", None, "q")
    with pytest.raises(SpecError, match="no item has a field 'passage'"):
        plan(None, None)
    with pytest.raises(SpecError, match="'passage' is the same for all items"):
        plan("p", "p")
    with pytest.raises(SpecError, match="no item has a field 'pasage': did you mean 'passage'"):
        plan_of(
            items=[Item(id="0", input="?", metadata={"passage": "p"})], analysis=Analysis(cluster="pasage")
        )


def test_a_conditions_description_is_in_the_plan_and_changes_no_identity(tmp_path: Path) -> None:
    file = tmp_path / "exp.toml"
    table = 'name = "x"\ndataset = "demo"\n[[conditions]]\nmodel = "gpt4o"\n{}[[conditions]]\nmembers = ["gpt4o"]\n{}'
    file.write_text(table.format("", ""))
    plain = prepare(load_experiment(str(file))).plan
    file.write_text(table.format('description = "One alone"\n', 'description = "All together"\n'))
    told = prepare(load_experiment(str(file))).plan
    assert [each.description for each in told.conditions] == ["One alone", "All together"]
    assert told.experiment_id == plain.experiment_id
    assert "    One alone" in plan_lines(told)
    experiment = Experiment(name="x", dataset="demo")
    experiment.condition("own", description="Twice")(lambda item, call: None)
    assert prepare(experiment).plan.conditions[0].description == "Twice"
