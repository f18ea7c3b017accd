"""From an experiment to everything that a run needs before it costs anything."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import msgspec.structs

from crucible_ray.api.noting import long_timeouts, shortfalls, tight_limits, unexpected, unfilled_prompts
from crucible_ray.api.own import Own, code_of, own_of
from crucible_ray.calls.budget import DUST_USD
from crucible_ray.errors import DatasetError, MissingKey, SpecError, UsageError
from crucible_ray.estimating import Assumptions, Estimate, Left, Measured
from crucible_ray.estimating import estimate as forecast
from crucible_ray.estimating.money import dollars_up
from crucible_ray.estimating.pilots import Pilot
from crucible_ray.estimating.power import PowerForecast, power_of
from crucible_ray.experiment.defaults import default_parse, parse_words
from crucible_ray.experiment.loading import Loaded, load_experiment
from crucible_ray.experiment.plan import DatasetPlan, FewShotPlan, Plan
from crucible_ray.experiment.resolving import dataset_arguments, resolve
from crucible_ray.experiment.spec import Experiment, datasets_of
from crucible_ray.experiment.validation import validate
from crucible_ray.models.catalogue import (
    Directory,
    addressed,
    directory,
    key_variables,
    resolve_model,
    resolve_simulated,
)
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.models.temperatures import temperature_notes
from crucible_ray.models.tokens import tokenizer
from crucible_ray.prompts import Renderer, answer_key, example_answer, parser
from crucible_ray.records import Item, Message, ModelRef
from crucible_ray.runtime.code import Code, Functions
from crucible_ray.runtime.reading import own_reader
from crucible_ray.settings import Settings, find_key, find_variable, is_loopback, load_settings
from crucible_ray.simulator import SimulatedModel, SimulatorConfig

DEFAULT_CONCURRENCY = 256
_TOKENIZED_ITEMS = 100
"""So many prompts tell how many bytes a token has."""


@dataclass(frozen=True)
class Prepared:
    """A plan with its items, its keys (never shown) and what the prompts weigh."""

    plan: Plan
    items: tuple[Item, ...]
    settings: Settings
    longest: tuple[tuple[tuple[Message, ...], ...], ...]
    """By condition and call: its longest prompt."""
    base: Path | None
    """The experiment's folder; None: not known, since the run is gone on with from its record alone."""
    own: Own = field(default_factory=Own)
    """The author's functions that read results."""
    code: Code = field(default_factory=lambda: Code({}))
    """The author's functions."""
    notes: tuple[str, ...] = ()
    """What should be known before a run, in words."""
    available: int | None = None
    """Items that a larger sample could have; None: not known."""
    pilots: dict[str, Pilot] = field(default_factory=dict)
    """By a hypothesis' text: what an earlier run says of its spread."""

    def directory(self) -> Directory:
        """Where the models are that functions name."""
        functions = [each.function for each in self.plan.conditions if each.function is not None]
        return directory(self.settings, simulated=any(each.simulated for each in functions))

    def keys(self) -> dict[str, str]:
        """Every key that the plan's models need, and where functions may name others, every key that is there.

        Raises MissingKey for the first that is needed and not there.
        """
        found = {}
        if not self.plan.only_simulated and any(each.function is not None for each in self.plan.conditions):
            for variable in key_variables(self.settings):
                if (value := find_variable(variable, self.settings.env)) is not None:
                    found[variable] = value
        found |= self.keys_there()
        for name, model in keyed_models(self.plan).items():
            if name not in found and not is_loopback(model.base_url):
                raise MissingKey(model.name, name)
        return found

    def keys_there(self) -> dict[str, str]:
        """The keys of the plan's models that are there."""
        keys = {name: find_key(model, self.settings.env) for name, model in keyed_models(self.plan).items()}
        return {name: key for name, key in keys.items() if key is not None}

    def bounds_usd(self) -> tuple[float, ...]:
        """By condition, what one trial's first attempts cost at most; empty where a price is unknown.

        Raises UsageError where a budget has to hold and cannot be promised.
        """
        bounds: list[float] = []
        dearest = 0.0
        for condition, longest in zip(addressed(self.plan).conditions, self.longest, strict=True):
            total = 0.0
            asked = zip(condition.calls, longest, strict=True)
            for call, messages in (
                (each, turns) for whole, turns in asked for each in (whole, *whole.fallback)
            ):
                bound = Endpoint(call, None).cost_bound_usd(messages)
                if bound is None:
                    if self.plan.budget.abort_on_exceed:
                        raise UsageError(unpriced(call.model.name))
                    return ()
                total += bound
                dearest = max(dearest, bound)
            bounds.append(total)
        # What a function will ask is not known: each of its calls sets aside what this falls short of.
        for index, condition in enumerate(self.plan.conditions):
            if condition.function is not None:
                bounds[index] = (condition.function.max_calls or 0) * dearest
        return tuple(bounds)

    def afford(self, conditions: Collection[int]) -> None:
        """Check that one trial of each of these conditions fits the budget. Raises UsageError."""
        budget, bounds = self.plan.budget, self.bounds_usd()
        if not budget.abort_on_exceed or not bounds:
            return
        limits = {"max_total": budget.max_total, "max_per_condition": budget.max_per_condition}
        problems = [
            f"One trial of {self.plan.conditions[index].name!r} may cost up to {dollars_up(bounds[index])}, more than "
            f"the budget's {name} of ${limit:.4g}."
            for index in sorted(conditions)
            for name, limit in limits.items()
            if limit is not None and bounds[index] > limit + DUST_USD
        ]
        if problems:
            mend = (
                "Raise it (--max-cost sets max_total), or set max_tokens, which bounds what a reply may cost"
            )
            called = any(self.plan.conditions[index].function is not None for index in conditions)
            mend += ", or max_calls, which bounds what a function asks." if called else "."
            raise UsageError("\n".join([*problems, mend]))

    def estimate(self, left: Left | None = None) -> Estimate:
        """Cost, duration, tokens and power, before anything is spent. left: what is still to be sent; None: all."""
        renderers = [Renderer(prompt) for prompt in self.plan.prompts]

        def prompt_bytes(prompt: int, item: int) -> int:
            return _weight(renderers[prompt].render(self.items[item]))

        found = forecast(
            self.plan,
            prompt_bytes,
            assume=self._assumptions(),
            with_power=self.settings.stats.power.enable,
            left=left,
        )
        return msgspec.structs.replace(found, notes=self.notes)

    def power(self) -> tuple[PowerForecast, ...]:
        """What the design can find, hypothesis by hypothesis; nothing where `[stats.power]` is off."""
        if not self.settings.stats.power.enable:
            return ()
        assume = self._known()
        return tuple(power_of(self.plan, asked, assume) for asked in self.plan.hypotheses)

    def _known(self) -> Assumptions:
        """What can be said without looking at prompts and models."""
        power = self.settings.stats.power
        return Assumptions(
            concurrency=self.plan.max_concurrent_queries or DEFAULT_CONCURRENCY,
            target_power=power.desired,
            smallest=power.min_detectable_effect,
            available=self.available,
            pilots=self.pilots,
        )

    def _assumptions(self) -> Assumptions:
        known = self._known()
        if self.plan.simulated is None:
            return msgspec.structs.replace(known, measured=measured(self.plan, self.items))
        config = simulator_config(self.plan)
        models = {model.name: model for model in config.models}
        used = [
            models.get(call.model.model, config.default)
            for condition in self.plan.conditions
            for call in condition.calls
        ]
        used = used or [config.default]
        mean = [_mean_latency_s(model) for model in used]
        tokens = [model.output_tokens for model in used]
        return msgspec.structs.replace(
            known, latency_s=sum(mean) / len(mean), output_tokens=sum(tokens) / len(tokens)
        )


def measured(plan: Plan, items: Sequence[Item]) -> dict[str, Measured]:
    """By model: what its own tokenizer makes of some of the prompts, where one is at hand."""
    found: dict[str, Measured] = {}
    sample = items[:: max(1, len(items) // _TOKENIZED_ITEMS)]
    for condition in plan.conditions:
        for call, prompt in zip(condition.calls, condition.prompts, strict=True):
            own = tokenizer(call.model.model) if call.model.name not in found else None
            if own is None:
                continue
            renderer = Renderer(prompt)
            texts = [turn.content for item in sample for turn in renderer.render(item)]
            tokens = sum(own.count(text) for text in texts)
            size = sum(len(text.encode()) for text in texts)
            if tokens:
                found[call.model.name] = Measured(tokenizer=own.name, bytes_per_token=size / tokens)
    return found


def unpriced(model: str) -> str:
    """Why a budget cannot hold."""
    return (
        f"A budget that stops the run needs the price of {model} and the largest output it may give: set max_tokens, "
        f"and input_price and output_price in [models.{model}]."
    )


def _mean_latency_s(model: SimulatedModel) -> float:
    share, factor = model.tail
    return model.latency_s * (1.0 - share + share * factor)


def simulator_config(plan: Plan) -> SimulatorConfig:
    """The simulator that a plan starts by itself."""
    return msgspec.convert(plan.simulated or {}, SimulatorConfig)


def keyed_models(plan: Plan) -> dict[str, ModelRef]:
    """By variable: a model with that key, fallbacks included; where there is one, a model that cannot do without."""
    found: dict[str, ModelRef] = {}
    for model in (call.model for condition in plan.conditions for call in condition.everybody):
        name = model.api_key_env
        if name is not None and (name not in found or is_loopback(found[name].base_url)):
            found[name] = model
    return found


def prepare(
    experiment: Experiment | Loaded | str | Path,
    *,
    settings: Settings | None = None,
    profile: str | None = None,
    simulate: bool = False,
    simulated: Mapping[str, Any] | None = None,
) -> Prepared:
    """Load the items, resolve every name, render every prompt once. Raises UsageError, with every fault at once.

    experiment: the value, or where it is: `file.py`, `file.py:name`, `package.module:name`, `file.toml`.
    """
    found = _found(experiment)
    loaded = found if isinstance(found, Loaded) else None
    spec = found.experiment if isinstance(found, Loaded) else found
    base = loaded.path.parent if loaded is not None else Path.cwd()
    settings = settings or load_settings(Path.cwd(), os.environ, profile)
    catalogue = resolve_simulated if simulate else resolve_model
    validate(spec, settings, catalogue=catalogue)
    items, examples, datasets, available = _items(spec, settings, base)
    plan = resolve(
        spec,
        items,
        settings,
        catalogue=catalogue,
        datasets=datasets,
        source=_source(loaded),
        params=loaded.params if loaded is not None else None,
        simulate=simulate,
        simulated=simulated,
        examples=examples,
    )
    if loaded is not None:
        plan = msgspec.structs.replace(
            plan, flags={**loaded.flags, **({} if profile is None else {"--profile": profile})}
        )
    code = code_of(spec, base)
    _check_examples(plan, code.load())
    notes = shortfalls(dataset_arguments(spec, settings), datasets) + temperature_notes(plan, settings)
    longest = _longest(plan, items)
    notes += long_timeouts(plan) + tight_limits(plan, longest)
    notes += unfilled_prompts(plan, items) + unexpected(plan, items)
    return Prepared(plan, items, settings, longest, base, own_of(spec), code, notes, available)


def _found(experiment: object) -> Experiment | Loaded:
    """An experiment, read from its file where it is named. Raises UsageError for anything else."""
    if isinstance(experiment, str | Path):
        return load_experiment(str(experiment))
    if isinstance(experiment, Experiment | Loaded):
        return experiment
    raise UsageError(
        f"{type(experiment).__name__} is no experiment: give an Experiment, or where one is: file.py, file.py:name, "
        "package.module:name or file.toml."
    )


def prepared_again(
    plan: Plan,
    items: tuple[Item, ...],
    settings: Settings,
    base: Path | None,
    own: Own | None = None,
    code: Code | None = None,
) -> Prepared:
    """The same from a results folder, where plan and items are already resolved."""
    return Prepared(plan, items, settings, _longest(plan, items), base, own or Own(), code or Code({}))


def _items(
    spec: Experiment, settings: Settings, base: Path
) -> tuple[tuple[Item, ...], tuple[Item, ...], tuple[DatasetPlan, ...], int | None]:
    """The items, what `few_shot` draws from, where they are from, and how many there are."""
    from crucible_ray.datasets import combine, load_items

    given = settings.datasets
    cache = None if given.cache_dir is None else Path(given.cache_dir).expanduser()
    try:
        loaded = [
            load_items(base=base, cache=cache, versions=given.versions, **arguments)
            for arguments in dataset_arguments(spec, settings)
        ]
        if len(loaded) > 1:
            loaded = combine(loaded, [each.name for each in datasets_of(spec)])
    except DatasetError as error:
        raise SpecError((str(error),)) from error
    plans = [
        DatasetPlan(
            name=each.name,
            version=each.version,
            checksum=each.checksum,
            items=len(each.items),
            parse=default_parse(each.items),
        )
        for each in loaded
    ]
    items = tuple(item for each in loaded for item in each.items)
    examples = tuple(item for each in loaded for item in each.examples)
    available = (
        None if any(each.holds is None for each in loaded) else sum(each.holds or 0 for each in loaded)
    )
    return items, examples, tuple(plans), available


def _check_examples(plan: Plan, functions: Functions) -> None:
    """Refuse examples that teach a form of answer which `parse` cannot read. Raises SpecError."""
    problems: dict[str, None] = {}
    for condition in plan.conditions:
        for prompt, parse in zip(condition.prompts, condition.parses, strict=True):
            if prompt.few_shot is not None:
                problems |= dict.fromkeys(_unreadable(condition.name, prompt.few_shot, parse, functions))
    if problems:
        raise SpecError(tuple(problems))


def _unreadable(condition: str, few: FewShotPlan, parse: str, functions: Functions) -> list[str]:
    own, answer = own_reader(parse, functions), example_answer(few)
    read = parser(parse) if own is None else lambda text, item: own.read(text, item).answer
    wrong = [each for each in few.pool if read(answer(each), each) != answer_key(parse, each)]
    if 2 * len(wrong) <= len(few.pool):
        return []
    return [
        f"Condition {condition!r}: few_shot shows {answer(wrong[0])!r} as an answer, which parse = {parse_words(parse)!r} reads "
        f"as {read(answer(wrong[0]), wrong[0])!r}: set FewShot(answer=) to what a reply has to look like."
    ]


def _source(loaded: Loaded | None) -> str | None:
    if loaded is None:
        return None
    return f"{loaded.path.name}:{loaded.name}" if loaded.name else loaded.path.name


def _longest(plan: Plan, items: tuple[Item, ...]) -> tuple[tuple[tuple[Message, ...], ...], ...]:
    """By condition and call, its longest prompt; on the way every prompt is made once, so that none fails later."""
    prompts = plan.prompts
    found = []
    for prompt in prompts:
        renderer = Renderer(prompt)
        repeats = range(plan.repeats if renderer.varies else 1)
        found.append(max((renderer.render(item, r) for item in items for r in repeats), key=_weight))
    return tuple(
        tuple(found[prompts.index(prompt)] for prompt in condition.prompts) for condition in plan.conditions
    )


def _weight(messages: tuple[Message, ...]) -> int:
    return sum(len(message.content.encode()) for message in messages)
