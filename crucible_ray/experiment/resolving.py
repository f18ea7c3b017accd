"""From an experiment to its plan: names resolved, defaults filled in, the nearest setting winning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeVar

from msgspec.structs import replace

from crucible_ray.errors import SpecError
from crucible_ray.experiment.defaults import default_parse
from crucible_ray.experiment.fitting import check_items
from crucible_ray.experiment.hypothesis import plan_hypothesis
from crucible_ray.experiment.identity import dataset_checksum, identify
from crucible_ray.experiment.own import OwnMetric, own_metrics
from crucible_ray.experiment.plan import (
    AnalysisPlan,
    BudgetPlan,
    CallPlan,
    ConditionPlan,
    DatasetPlan,
    FunctionPlan,
    HypothesisPlan,
    Plan,
    PromptPlan,
)
from crucible_ray.experiment.prompting import Level, most_shots, prompt_plan
from crucible_ray.experiment.reading import parse_text
from crucible_ray.experiment.sources import described, source_hash
from crucible_ray.experiment.spec import (
    Analysis,
    Dataset,
    Ensemble,
    Experiment,
    Function,
    Model,
    condition_name,
    conditions_of,
    datasets_of,
    has_several,
)
from crucible_ray.experiment.stopping import stop_plan
from crucible_ray.experiment.validation import Catalogue, referenced_models, validate
from crucible_ray.records import Item, Limits, ModelRef
from crucible_ray.settings import Settings, is_loopback

_T = TypeVar("_T")


def resolve(
    experiment: Experiment,
    items: Sequence[Item],
    settings: Settings,
    *,
    catalogue: Catalogue,
    datasets: Sequence[DatasetPlan] = (),
    source: str | None = None,
    params: Mapping[str, str] | None = None,
    simulate: bool = False,
    simulated: Mapping[str, Any] | None = None,
    examples: Sequence[Item] = (),
) -> Plan:
    """The plan of an experiment over these items.

    catalogue: how models are found: `models.resolve_model`, or `models.resolve_simulated` for `--simulate`.
    datasets: where the items are from, in their order.
    source: the experiment's file as it was named; params: what `-P` bound. simulate: whether the catalogue plays
    every model, those that functions name as they run among them. simulated: settings of the simulator that the run itself
    starts for simulated models, beside what their tables say.
    examples: what `few_shot` draws from.
    Raises SpecError with every fault.
    """
    validate(experiment, settings, catalogue=catalogue)
    check_items(experiment, items)
    asked = _Asked(tuple(items), seed_of(experiment, settings), tuple(examples))
    refs = {name: catalogue(name, settings) for name in referenced_models(experiment)}
    played = refs | _nameable(experiment, settings, catalogue, simulate)
    any_model = simulate and any(isinstance(each, Function) for each in conditions_of(experiment))
    conditions = tuple(
        _function(each, experiment, settings, items, simulate)
        if isinstance(each, Function)
        else _condition(each, experiment, refs, settings, asked)
        for each in conditions_of(experiment)
    )
    hypotheses = tuple(plan_hypothesis(each) for each in experiment.hypotheses)
    run, ensemble = settings.run, settings.ensemble
    rate_limit = _first(experiment.rate_limit, run.global_rate_limit)
    return identify(
        Plan(
            experiment_id="",
            name=experiment.name,
            description=experiment.description,
            hypotheses=hypotheses,
            dataset=_dataset_name(experiment.dataset),
            dataset_checksum=dataset_checksum(items),
            datasets=tuple(datasets),
            items=len(items),
            repeats=1 if experiment.dataset is None else experiment.repeat,
            conditions=conditions,
            metrics=_metrics(experiment, hypotheses),
            own_metrics=tuple(each.plan() for each in own_metrics(experiment.metrics)),
            randomize=experiment.randomize,
            seed=asked.seed,
            rate_limit=None if run.disable_rate_limiting else _float(rate_limit),
            max_retries=_or(experiment.max_retries, ensemble.max_retries),
            retry_delay_s=ensemble.retry_delay_s,
            checkpoint_every=_or(experiment.checkpoint_every, run.checkpoint_interval),
            max_concurrent_queries=run.max_concurrent_queries,
            max_failed=float(experiment.max_failed),
            blind=experiment.blind,
            share_replies=experiment.share_replies,
            budget=_budget(experiment, settings),
            stop_when=stop_plan(experiment.stop_when),
            analysis=_analysis(experiment, settings),
            source=source,
            params=dict(params or {}),
            simulated=_simulated(played, settings, simulated, any_model=any_model),
        )
    )


def seed_of(experiment: Experiment, settings: Settings) -> int:
    """The experiment's seed, else the configured one, else 0."""
    return _or(_first(experiment.seed, settings.run.seed), 0)


def dataset_arguments(experiment: Experiment, settings: Settings) -> list[dict[str, Any]]:
    """By dataset of the experiment, what `datasets.load_items` is asked for, beside folders."""
    shots = most_shots(experiment)
    return [
        {
            "source": dataset.source,
            "sample_size": _first(dataset.sample_size, experiment.sample_size),
            "seed": _or(dataset.seed, seed_of(experiment, settings)),
            "fields": dataset.fields,
            "path": dataset.path,
            "split": dataset.split,
            "filter": dataset.filter,
            "repeat": experiment.repeat,
            "examples": shots,
        }
        for dataset in datasets_of(experiment)
    ]


def _function(
    condition: Function, experiment: Experiment, settings: Settings, items: Sequence[Item], simulate: bool
) -> ConditionPlan:
    levels = (condition, experiment)
    timeout_s, attempt_timeout_s = _timeouts(levels)
    normalize = _first(condition.normalize, experiment.normalize)
    name, description = described(condition.function)
    return ConditionPlan(
        name=condition_name(condition),
        kind="function",
        calls=(),
        prompt=PromptPlan(template=""),
        parse=parse_text(_or(_nearest("parse", levels), default_parse(items))),
        normalize=_or(normalize, settings.ensemble.default_normalization),
        function=FunctionPlan(
            name=name,
            source=source_hash(condition.function),
            description=description,
            max_calls=condition.max_calls,
            temperature=_float(_nearest("temperature", levels)),
            max_tokens=_nearest("max_tokens", levels),
            timeout_s=timeout_s,
            attempt_timeout_s=attempt_timeout_s,
            simulated=simulate,
        ),
        description=condition.description,
    )


def _nameable(
    experiment: Experiment, settings: Settings, catalogue: Catalogue, simulate: bool
) -> dict[str, ModelRef]:
    """The models with tables of their own that functions may name and a simulator has to play."""
    if not any(isinstance(each, Function) for each in conditions_of(experiment)):
        return {}
    played = [name for name, table in settings.models.items() if simulate or table.provider == "simulated"]
    return {name: catalogue(name, settings) for name in played}


def _timeouts(levels: Sequence[Any]) -> tuple[float, float]:
    """Seconds of a trial, and of one attempt."""
    timeout_s = float(_nearest("timeout_s", levels))
    attempt_s = _nearest("attempt_timeout_s", levels)
    return timeout_s, timeout_s / 2 if attempt_s is None else min(float(attempt_s), timeout_s)


def _condition(
    condition: Model | Ensemble,
    experiment: Experiment,
    refs: Mapping[str, ModelRef],
    settings: Settings,
    asked: _Asked,
) -> ConditionPlan:
    members: Sequence[Model] = (condition,) if isinstance(condition, Model) else _members(condition)
    is_ensemble = isinstance(condition, Ensemble)
    prompt, parse = asked.prompt(condition, experiment), asked.parse(condition, experiment)
    calls = []
    for member in members:
        levels = (member, condition, experiment)
        served = {
            each.model: _paced(refs[each.model], settings) if is_ensemble else refs[each.model]
            for each in (member, *member.spares)
        }
        call = _call(levels, served[member.model])
        spares = tuple(_call((spare, *levels), served[spare.model]) for spare in member.spares)
        own_prompt, own_parse = asked.prompt(*levels), asked.parse(*levels)
        calls.append(
            replace(
                call,
                fallback=spares,
                prompt=None if own_prompt == prompt else own_prompt,
                parse=None if own_parse == parse else own_parse,
            )
        )
    normalize = _first(condition.normalize, experiment.normalize)
    return ConditionPlan(
        name=condition_name(condition),
        kind="ensemble" if is_ensemble else "model",
        calls=tuple(calls),
        prompt=prompt,
        parse=parse,
        normalize=_or(normalize, settings.ensemble.default_normalization),
        vote=_or(condition.vote, settings.ensemble.default_vote) if isinstance(condition, Ensemble) else None,
        quorum=_quorum(condition),
        description=condition.description,
    )


@dataclass(frozen=True)
class _Asked:
    """What prompts and parsers depend on beside what the levels of an experiment say."""

    items: tuple[Item, ...]
    seed: int
    examples: tuple[Item, ...]

    def prompt(self, *levels: Level) -> PromptPlan:
        return prompt_plan(levels, items=self.items, seed=self.seed, examples=self.examples)

    def parse(self, *levels: Level) -> str:
        return parse_text(_or(_nearest("parse", levels), default_parse(self.items)))


def _members(ensemble: Ensemble) -> list[Model]:
    return [Model(each) if isinstance(each, str) else each for each in ensemble.members]


def _quorum(condition: Model | Ensemble) -> int:
    """More than half of the members, unless it is said."""
    if isinstance(condition, Model):
        return 1
    return _or(condition.quorum, len(condition.members) // 2 + 1)


def _call(levels: tuple[Any, ...], ref: ModelRef) -> CallPlan:
    """One call; `levels` from the nearest to the farthest, the nearest a Model."""
    timeout_s, attempt_timeout_s = _timeouts(levels)
    return CallPlan(
        model=ref,
        temperature=_float(_nearest("temperature", levels)),
        max_tokens=_nearest("max_tokens", levels),
        timeout_s=timeout_s,
        attempt_timeout_s=attempt_timeout_s,
        extra=dict(levels[0].extra or {}),
    )


def _paced(ref: ModelRef, settings: Settings) -> ModelRef:
    """A member's model under the default rate of ensembles, unless it has its own limit or is at home."""
    at_home = ref.provider == "simulated" or is_loopback(ref.base_url)
    if at_home or ref.limits.requests_per_minute is not None or settings.run.disable_rate_limiting:
        return ref
    per_minute = 60.0 * settings.ensemble.rate_limit
    limits = Limits(requests_per_minute=per_minute, tokens_per_minute=ref.limits.tokens_per_minute)
    return replace(ref, limits=limits)


def _metrics(experiment: Experiment, hypotheses: Sequence[HypothesisPlan]) -> tuple[str, ...]:
    """What is asked for, and what a hypothesis is about."""
    named = [each.name if isinstance(each, OwnMetric) else each for each in experiment.metrics]
    return tuple(dict.fromkeys((*named, *(each.metric for each in hypotheses))))


def _budget(experiment: Experiment, settings: Settings) -> BudgetPlan:
    budget = settings.budget if experiment.budget is None else experiment.budget
    return BudgetPlan(
        max_total=_float(budget.max_total),
        max_per_condition=_float(budget.max_per_condition),
        warn_threshold=float(_or(budget.warn_threshold, settings.budget.warn_threshold)),
        abort_on_exceed=_or(budget.abort_on_exceed, settings.budget.abort_on_exceed),
    )


def _analysis(experiment: Experiment, settings: Settings) -> AnalysisPlan:
    analysis = experiment.analysis or Analysis()
    stats = settings.stats
    return AnalysisPlan(
        alpha=_or(analysis.alpha, stats.alpha),
        confidence=_or(analysis.confidence, stats.confidence_level),
        correction=_or(analysis.correction, stats.multiple_testing_correction),
        baseline=analysis.baseline,
        custom=None if analysis.custom is None else source_hash(analysis.custom),
        effect_sizes=tuple(_or(analysis.effect_sizes, stats.effect_size_measures)),
        pairs=analysis.pairs,
        cluster=analysis.cluster,
        auto_select_test=stats.auto_select_test,
        check_assumptions=stats.check_assumptions,
        bootstrap_iterations=stats.bootstrap_iterations,
        desired_power=stats.power.desired,
    )


def _simulated(
    refs: Mapping[str, ModelRef], settings: Settings, given: Mapping[str, Any] | None, *, any_model: bool
) -> dict[str, Any] | None:
    """The simulator's settings; None where no model is simulated.

    Its models are listed only where a table describes one: an empty list serves any name.
    """
    played = {name: ref.model for name, ref in refs.items() if ref.provider == "simulated"}
    if not played and not any_model:
        return None
    behaviour: dict[str, dict[str, Any]] = {}
    for name, model in played.items():
        said = settings.models[name].simulation() if name in settings.models else {}
        if behaviour.setdefault(model, said) != said:
            raise SpecError((f"Model {name!r}: {model!r} is already simulated, and behaves otherwise.",))
    models = [{"name": model, **said} for model, said in behaviour.items()] if any(behaviour.values()) else []
    listed: dict[str, Any] = {"models": models} if models else {}
    if models and any_model:
        listed["any_model"] = True  # a function may name models that no table describes
    return {**listed, **(given or {})}


def _dataset_name(dataset: Any) -> str:
    if has_several(dataset):
        return ", ".join(_dataset_name(each) for each in dataset)
    if isinstance(dataset, Dataset) and dataset.name is not None:
        return dataset.name
    source = dataset.source if isinstance(dataset, Dataset) else dataset
    if source is None:
        return "none"
    return str(source) if isinstance(source, str | PurePath) else "inline"


def _nearest(name: str, levels: Sequence[Any]) -> Any:
    return next((value for level in levels if (value := getattr(level, name)) is not None), None)


def _first(nearer: _T | None, farther: _T | None) -> _T | None:
    return farther if nearer is None else nearer


def _or(value: _T | None, default: _T) -> _T:
    return default if value is None else value


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
