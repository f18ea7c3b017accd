"""An experiment as its author writes it: frozen values that are cheap to make and checked later, all at once.

Only unknown and missing options are refused on the spot; `validation` checks every value and reports all
faults together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal, TypeVar, dataclass_transform, overload

from msgspec import Meta

from crucible_ray.errors import SpecError
from crucible_ray.experiment.hypothesis import Hypothesis
from crucible_ray.experiment.own import OwnMetric
from crucible_ray.records import Item, Message
from crucible_ray.settings import Count, EffectSize, Natural, NotNegative, Positive, Share, did_you_mean

Text = Annotated[str, Meta(min_length=1)]
_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])

DEFAULT_TIMEOUT_S: Final = 60.0
"""Of a trial; an attempt has half of its trial's."""

LATER_NAMES: Final = frozenset({"Hedge", "LatencyBudget", "LoraExperiment"})
"""What one may want to import and a later version brings."""

LATER_OPTIONS: Final[dict[str, frozenset[str]]] = {
    "Experiment": frozenset({"cache", "latency_budget", "tail_hedging"}),
    "Model": frozenset({"hedge_delay_s"}),
    "Ensemble": frozenset({"confidence", "hedge_delay_s", "normalization", "threshold", "weights"}),
}
"""Options of the contract that a later version brings."""


def option_problems(kind: type, names: Iterable[str]) -> list[str]:
    """What is wrong with these options of a value: the unknown with the nearest known, the later by name."""
    known = [each.name for each in fields(kind)]
    later = LATER_OPTIONS.get(kind.__name__, frozenset())
    return [
        f"{kind.__name__}: option {name!r} is not supported by this version."
        if name in later
        else f"{kind.__name__}: there is no option {name!r}: {did_you_mean(name, known)}"
        for name in names
        if name not in known
    ]


def not_supported(name: str) -> SpecError | None:
    """The refusal of a name that a later version brings; None for any other name."""
    return SpecError((f"{name} is not supported by this version.",)) if name in LATER_NAMES else None


@dataclass_transform(frozen_default=True)
def _value(cls: type[_T]) -> type[_T]:
    """A frozen dataclass that refuses unknown and missing options by SpecError."""
    made: Any = dataclass(frozen=True)(cls)
    plain: Callable[..., None] = made.__init__
    required = [each.name for each in fields(made) if each.default is MISSING]

    @functools.wraps(plain)
    def checked(self: _T, *args: Any, **options: Any) -> None:
        problems = option_problems(made, options)
        given = {*options, *(each.name for each in fields(made)[: len(args)])}
        problems += [f"{made.__name__}: {name} is missing." for name in required if name not in given]
        if problems:
            raise SpecError(tuple(problems))
        plain(self, *args, **options)

    made.__init__ = checked
    return made  # type: ignore[no-any-return]


def _freeze(value: object, *names: str) -> None:
    for name in names:
        given = getattr(value, name)
        if isinstance(given, list):
            object.__setattr__(value, name, tuple(given))


@_value
class FewShot:
    """Examples before the question: other items of the dataset with their answers, as earlier turns."""

    k: Natural
    """How many; 0 takes away what a farther level says."""
    seed: int | None = None
    """Which ones; default: the experiment's."""
    answer: Text = "{{ expected }}"
    """The assistant's turn: a jinja2 template over the example's fields and `expected`."""


Messages = Sequence[Mapping[str, str] | Message]
"""A prompt of several turns: `{"role": ..., "content": ...}`, each content a jinja2 template."""


@_value
class Model:
    """A condition, or a member of an ensemble: one model."""

    model: Text
    """An alias or `provider/model-id`."""
    name: Text | None = None
    """Default: the model's name."""
    temperature: NotNegative | None = None
    max_tokens: Count | None = None
    timeout_s: Positive | None = None
    attempt_timeout_s: Positive | None = None
    prompt: Text | None = None
    """A jinja2 template over the item's fields."""
    system: Text | None = None
    messages: Messages | None = None
    """Several turns in place of `prompt`."""
    few_shot: FewShot | None = None
    parse: str | Callable[..., Any] | None = None
    """How replies are read: a name, a regular expression, or the author's own `f(text)` or `f(text, item)`."""
    normalize: str | None = None
    extra: Mapping[str, Any] | None = None
    """What the provider has beyond the options above, sent as it is."""
    fallback: str | Model | Sequence[str | Model] | None = None
    """Who is asked the same where a call fails for good: one model, or several in turn."""
    description: str = ""
    """For the report and `check`; it changes nothing that is asked."""

    def __post_init__(self) -> None:
        _freeze(self, "messages", "fallback")

    @property
    def spares(self) -> tuple[Model, ...]:
        """The models of `fallback`, in the order in which they are asked."""
        given = self.fallback if isinstance(self.fallback, tuple) else (self.fallback,)
        return tuple(
            Model(each) if isinstance(each, str) else each for each in given if isinstance(each, str | Model)
        )


@_value
class Ensemble:
    """A condition: several models, one vote."""

    members: Sequence[str | Model]
    """In the order in which ties are broken."""
    name: Text = "ensemble"
    vote: str | None = None
    """Default: `[ensemble] default_vote`."""
    execution: str | None = None
    """Default: `[ensemble] default_execution`."""
    quorum: Count | None = None
    """Answers that a vote needs; default: more than half of the members."""
    temperature: NotNegative | None = None
    max_tokens: Count | None = None
    timeout_s: Positive | None = None
    attempt_timeout_s: Positive | None = None
    prompt: Text | None = None
    system: Text | None = None
    messages: Messages | None = None
    few_shot: FewShot | None = None
    parse: str | Callable[..., Any] | None = None
    normalize: str | None = None
    description: str = ""
    """For the report and `check`; it changes nothing that is asked."""

    def __post_init__(self) -> None:
        _freeze(self, "members", "messages")


@_value
class Function:
    """A condition: the author's own `f(item, call)`, async or plain."""

    function: Callable[..., Any]
    """`call.model(...)` and `call.ensemble(...)` make its calls; what it returns is the answer."""
    name: Text | None = None
    """Default: the function's own name."""
    max_calls: Count | None = None
    """Model calls that one trial makes at most; None: unknown, and so is its cost beforehand."""
    temperature: NotNegative | None = None
    """This, `max_tokens` and `attempt_timeout_s`: of its calls that say nothing else."""
    max_tokens: Count | None = None
    timeout_s: Positive | None = None
    """Of the whole function."""
    attempt_timeout_s: Positive | None = None
    parse: str | Callable[..., Any] | None = None
    normalize: str | None = None
    description: str = ""
    """For the report and `check`; default: the first line of the function's docstring."""


@_value
class Budget:
    """US dollars."""

    max_total: Positive | None = None
    max_per_condition: Positive | None = None
    warn_threshold: Share | None = None
    """Default: `[budget] warn_threshold`, 0.8 as it comes."""
    abort_on_exceed: bool | None = None
    """False: warn and go on. Default: `[budget] abort_on_exceed`, false as it comes."""


@_value
class Looks:
    """`stop_when`: planned looks at the results, by O'Brien-Fleming spending."""

    looks: int | Sequence[float]
    """How many, evenly spread; or the shares of the items at which to look, rising to 1."""

    def __post_init__(self) -> None:
        _freeze(self, "looks")


@_value
class Analysis:
    """How results become inference; what is unset comes from `[stats]`."""

    alpha: Annotated[float, Meta(gt=0, lt=1)] | None = None
    confidence: Annotated[float, Meta(gt=0, lt=1)] | None = None
    correction: Literal["none", "bonferroni", "holm", "fdr"] | None = None
    baseline: str | None = None
    """A condition's name; default: the first."""
    effect_sizes: Sequence[EffectSize] | None = None
    """Names in `crucible_ray.stats`; default: `[stats] effect_size_measures`, else what suits the outcome."""
    pairs: Literal["baseline", "all"] = "baseline"
    """Which conditions are compared: every one with the baseline, or every two."""
    cluster: Text | None = None
    """The field of the items whose values are units above them: a passage with several questions, a conversation."""
    custom: Callable[..., Any] | None = None
    """`def f(results) -> dict`: the author's own, into `analysis.json["custom"]`; `@experiment.analysis` sets it."""

    def __post_init__(self) -> None:
        _freeze(self, "effect_sizes")

    @overload
    def __call__(self, function: _F, /) -> _F: ...
    @overload
    def __call__(self, /) -> Analysis: ...
    def __call__(self, function: Any = None, /) -> Any:
        """Register the decorated `def f(results) -> dict`, and leave it as it is; `@experiment.analysis()` works too."""
        if function is None:
            return self
        object.__setattr__(self, "custom", function)
        return function


@_value
class Dataset:
    """What is asked about, where a name or a path does not say enough."""

    source: Any
    """A name, a path relative to the experiment's file, a list of mappings or Items, a pandas or Arrow table."""
    path: str | PurePath | None = None
    """The local folder of a named dataset."""
    split: Text | None = None
    """Which part of a dataset that has several; default: `test`."""
    filter: Any = None
    """A field to the wanted value or values, or a function of the item: which items there are to sample from."""
    fields: Mapping[str, str] | None = None
    """A field of ours to the source's name for it."""
    sample_size: Count | None = None
    seed: int | None = None
    """Of the sample; default: the experiment's."""
    name: Text | None = None
    """What it is called beside other datasets; default: its source's name."""


@_value
class Experiment:
    """What is asked, of whom, how often, and within which means."""

    name: Text
    dataset: Any = None
    """A name, a path, a list of mappings or Items, a table, or a Dataset; several of them; None: an empty item a repeat."""
    conditions: Sequence[Model | Ensemble | Function | Callable[..., Any]] = ()
    """A bare function stands for `Function(function)`."""
    metrics: Sequence[str | OwnMetric] = ("accuracy",)
    hypotheses: Sequence[str | Hypothesis] = ()
    description: str = ""
    sample_size: Count | None = None
    repeat: Count = 1
    randomize: bool = True
    seed: int | None = None
    """Default: `EXPERIMENT_SEED`, or 0."""
    timeout_s: Positive = DEFAULT_TIMEOUT_S
    attempt_timeout_s: Positive | None = None
    """Default: half of the trial's timeout."""
    rate_limit: Positive | None = None
    """Requests per second over the whole experiment."""
    checkpoint_every: Count | None = None
    """Rows."""
    budget: Budget | None = None
    stop_when: Literal["decided"] | Looks | None = None
    """End the run as soon as every hypothesis is decided: "decided" looks all the time, `Looks(5)` five times."""
    max_failed: Share = 0.05
    blind: bool = False
    """Whether conditions are shown under neutral labels until all trials are in; see `unblind`."""
    share_replies: bool = False
    """An identical request for the same item and repeat is made once, whichever conditions ask it."""
    max_retries: Natural | None = None
    temperature: NotNegative | None = None
    max_tokens: Count | None = None
    prompt: Text | None = None
    system: Text | None = None
    messages: Messages | None = None
    few_shot: FewShot | None = None
    parse: str | Callable[..., Any] | None = None
    normalize: str | None = None
    analysis: Analysis = Analysis()
    """Options of the analysis; as a decorator, `@experiment.analysis`, it registers an analysis of one's own."""

    def __post_init__(self) -> None:
        _freeze(self, "conditions", "metrics", "hypotheses", "messages")
        given: Any = self.analysis
        if given is None or isinstance(given, Analysis):
            # Its own copy: what `@experiment.analysis` registers is of this experiment alone.
            object.__setattr__(self, "analysis", Analysis() if given is None else replace(given))
        if isinstance(self.conditions, tuple):
            wrapped = tuple(_wrapped(each, number) for number, each in enumerate(self.conditions, 1))
            object.__setattr__(self, "conditions", wrapped)

    def condition(
        self, name: str | Callable[..., Any] | None = None, *, max_calls: int | None = None, **options: Any
    ) -> Any:
        """Register the decorated function as a further condition, and leave it as it is.

        name: default: the function's own. max_calls, options: fields of Function. `@experiment.condition` alone
        works too.
        """
        if callable(name):
            return self.condition()(name)

        def register(function: _F) -> _F:
            made = Function(function, name=name, max_calls=max_calls, **options)
            object.__setattr__(self, "conditions", (*self.conditions, made))
            return function

        return register


def _wrapped(condition: Any, number: int) -> Any:
    """A bare function as a condition; one without a name of its own is called by its place."""
    if not callable(condition) or isinstance(condition, type):
        return condition
    unnamed = function_name(condition) in ("<lambda>", "")
    return Function(condition, name=f"function_{number}" if unnamed else None)


def function_name(function: Any) -> str:
    """What a function is called; empty where it has no name."""
    inner = function
    while not hasattr(inner, "__name__") and hasattr(inner, "func"):
        inner = inner.func
    return str(getattr(inner, "__name__", ""))


Condition = Model | Ensemble | Function


def conditions_of(experiment: Experiment) -> tuple[Condition, ...]:
    """Its conditions, functions wrapped; what is no condition is left out, for `validation` to refuse."""
    given: object = experiment.conditions
    return tuple(each for each in given if isinstance(each, Condition)) if isinstance(given, tuple) else ()


Source = str | PurePath | Sequence[Mapping[str, Any] | Item] | Dataset | None
"""What an experiment's dataset may be."""


def datasets_of(experiment: Experiment) -> list[Dataset]:
    """The datasets that an experiment asks; a list of records is one."""
    given = experiment.dataset
    parts = given if has_several(given) else [given]
    return [each if isinstance(each, Dataset) else Dataset(each) for each in parts]


def has_several(dataset: object) -> bool:
    """Whether it is a list of datasets, and not of records."""
    return isinstance(dataset, list | tuple) and any(
        isinstance(each, str | PurePath | Dataset | list | tuple) or hasattr(each, "columns")
        for each in dataset
    )


def condition_name(condition: Condition) -> str:
    """Its name, or what it is called where it has none."""
    if isinstance(condition, Ensemble):
        return condition.name
    if isinstance(condition, Function):
        return condition.name or function_name(condition.function) or type(condition.function).__name__
    return condition.name or condition.model
