"""A plan: an experiment with every name resolved and every default filled in.

Driver, clients and reduction read plans alone; `config.json` holds one. No secret, no clock and no path is in it.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from crucible_ray.records import Item, Message, ModelRef


class FewShotPlan(Struct, frozen=True, kw_only=True):
    """Which examples stand before an item's own turns."""

    k: int
    seed: int
    """Together with item and repeat it decides which are drawn."""
    answer: str
    """A jinja2 template over an example's fields and `expected`: the assistant's turn."""
    pool: tuple[Item, ...]
    """What they are drawn from: no two ask the same question."""


class PromptPlan(Struct, frozen=True, kw_only=True):
    """How an item becomes messages."""

    template: str | None = None
    """A jinja2 template over the item's fields: the user's turn. None: see `messages`."""
    system: str | None = None
    messages: tuple[Message, ...] = ()
    """Turns of user and assistant, each content a template."""
    few_shot: FewShotPlan | None = None

    @property
    def turns(self) -> tuple[Message, ...]:
        """What asks about an item, after the system's turn and the examples."""
        return self.messages if self.template is None else (Message("user", self.template),)


class CallPlan(Struct, frozen=True, kw_only=True):
    """One model call of a condition."""

    model: ModelRef
    temperature: float | None = None
    max_tokens: int | None = None
    timeout_s: float
    """On the trial's clock: waiting for quota and back-off does not count."""
    attempt_timeout_s: float
    extra: dict[str, Any] = {}
    prompt: PromptPlan | None = None
    """A member's own; None: the condition's."""
    parse: str | None = None
    """How a member's reply is read; None: as the condition says."""
    fallback: tuple[CallPlan, ...] = ()
    """Who is asked the same where this call fails for good, in turn."""


class FunctionPlan(Struct, frozen=True, kw_only=True):
    """The author's function of a condition, and what its calls get that say nothing else."""

    name: str
    """Module and name, for people."""
    source: str
    """SHA-256 of its source and of what it refers to among its author's own files and values."""
    description: str = ""
    """Its docstring."""
    max_calls: int | None = None
    """Calls that one trial makes at most; None: unknown."""
    temperature: float | None = None
    max_tokens: int | None = None
    timeout_s: float
    """Of the whole function, on the trial's clock."""
    attempt_timeout_s: float
    simulated: bool = False
    """Whether every model that it names is played by the run's own simulator."""


class ConditionPlan(Struct, frozen=True, kw_only=True):
    """One condition: a single model, or several with a vote."""

    name: str
    kind: str
    """`model`, `ensemble` or `function`."""
    calls: tuple[CallPlan, ...]
    """In member order; a single one for a model, none for a function."""
    prompt: PromptPlan
    parse: str
    """`choice`, `number`, `boolean`, `text`, `json`, `json:FIELD`, `first_letter`, a regular expression, or what
    `defaults.function_parse` makes of an author's own function."""
    normalize: str = "lowercase_trim"
    vote: str | None = None
    """`majority`; None for a model."""
    quorum: int = 1
    """Answers that a vote needs; fewer is `no_quorum`."""
    function: FunctionPlan | None = None
    description: str = ""
    """The author's words about it; no part of the identity."""

    @property
    def prompts(self) -> tuple[PromptPlan, ...]:
        """The prompt of each call."""
        return tuple(call.prompt or self.prompt for call in self.calls)

    @property
    def everybody(self) -> tuple[CallPlan, ...]:
        """Every call that may be made, fallbacks included."""
        return tuple(each for call in self.calls for each in (call, *call.fallback))

    def spares(self, index: int) -> range:
        """The numbers, among a trial's calls, of what stands in for call `index`."""
        first = len(self.calls) + sum(len(call.fallback) for call in self.calls[:index])
        return range(first, first + len(self.calls[index].fallback))

    @property
    def parses(self) -> tuple[str, ...]:
        """How each call's reply is read."""
        return tuple(call.parse or self.parse for call in self.calls)


class StopPlan(Struct, frozen=True, kw_only=True):
    """When a run ends before everything is asked."""

    rule: str
    """`decided`: a betting sequence, looked at all the time; `looks`: planned ones, by O'Brien-Fleming spending."""
    looks: tuple[float, ...] = ()
    """Of `looks`: the shares of the items at which it looks, rising to 1."""


class BudgetPlan(Struct, frozen=True, kw_only=True):
    """US dollars."""

    max_total: float | None = None
    max_per_condition: float | None = None
    warn_threshold: float = 0.8
    abort_on_exceed: bool = False


class HypothesisPlan(Struct, frozen=True, kw_only=True):
    """`metric: a > b + margin` and its kin."""

    text: str
    metric: str
    a: str
    b: str
    relation: str
    """`superiority` (a > b + margin), `non_inferiority` (a >= b - margin), `equivalence` (a == b +- margin)."""
    margin: float = 0.0


class OwnMetricPlan(Struct, frozen=True, kw_only=True):
    """A metric of the author's own; its function is found again in the experiment's file."""

    name: str
    kind: str
    """`binary`, `proportion`, `count`, `continuous`, `ordinal` or `cost`."""
    better: str = "higher"
    missing: str = "drop"
    """What None stands for: `zero` or `drop`."""
    source: str = ""
    """SHA-256 of its source."""


class AnalysisPlan(Struct, frozen=True, kw_only=True):
    """How results become inference."""

    alpha: float = 0.05
    confidence: float = 0.95
    correction: str = "holm"
    baseline: str | None = None
    """A condition's name; None: the first."""
    custom: str | None = None
    """SHA-256 of the source of the author's own analysis."""
    effect_sizes: tuple[str, ...] = ()
    """Names in `crucible_ray.stats`; none: what suits the outcome."""
    pairs: str = "baseline"
    """`baseline`: every condition is compared with it; `all`: every two."""
    cluster: str | None = None
    """The field of the items whose values are units above them; None: items are the unit."""
    auto_select_test: bool = True
    """False: t on item means, whatever the outcome."""
    check_assumptions: bool = True
    bootstrap_iterations: int = 10_000
    desired_power: float = 0.8
    """Of the detectable effect and the items that would be needed."""


class DatasetPlan(Struct, frozen=True, kw_only=True):
    """Where some of the items are from; they stand together, in the order of the datasets."""

    name: str
    version: str
    """What was read, before filter and sample."""
    checksum: str
    """SHA-256 of the items used."""
    items: int
    parse: str = "text"
    """How replies to its items are read where nobody says."""


class Plan(Struct, frozen=True, kw_only=True):
    """The whole resolved experiment. `trial = (item * repeats + repeat) * len(conditions) + condition`."""

    experiment_id: str
    """`exp_` and 12 hexadecimal digits."""
    name: str
    description: str = ""
    hypotheses: tuple[HypothesisPlan, ...] = ()
    dataset: str
    """How the experiment names its dataset."""
    dataset_checksum: str
    """SHA-256 of the items used, in canonical order."""
    datasets: tuple[DatasetPlan, ...] = ()
    """More than one: the dataset is a factor, and each is reported apart."""
    items: int
    """How many items are used."""
    repeats: int
    conditions: tuple[ConditionPlan, ...]
    metrics: tuple[str, ...]
    own_metrics: tuple[OwnMetricPlan, ...] = ()
    """Those of `metrics` that the author wrote."""
    randomize: bool = True
    seed: int = 0
    rate_limit: float | None = None
    """Requests per second over the whole experiment."""
    max_retries: int = 3
    retry_delay_s: float = 1.0
    checkpoint_every: int = 50
    max_concurrent_queries: int | None = None
    max_failed: float = 0.05
    blind: bool = False
    """Conditions are shown under neutral labels until all trials are in."""
    share_replies: bool = False
    """An identical request for the same item and repeat is made once, whichever conditions ask it."""
    budget: BudgetPlan = BudgetPlan()
    stop_when: StopPlan | None = None
    """None: the run ends when everything is asked. With one, an item's repeats are asked one after the other."""
    analysis: AnalysisPlan = AnalysisPlan()
    source: str | None = None
    """The experiment's file, as it was named; for `resume`."""
    params: dict[str, str] = {}
    """What `-P` bound; for `resume`."""
    flags: dict[str, str] = {}
    """What else a command line said about the experiment, by option; for the command that asks it anew."""
    simulated: dict[str, Any] | None = None
    """Settings of a simulator that the run itself starts."""

    @property
    def only_simulated(self) -> bool:
        """Whether no call of this plan can reach a real model."""
        calls = [call for condition in self.conditions for call in condition.everybody]
        functions = [each.function for each in self.conditions if each.function is not None]
        return all(call.model.provider == "simulated" for call in calls) and all(
            each.simulated for each in functions
        )

    @property
    def trials(self) -> int:
        """How many trials the grid holds."""
        return self.items * self.repeats * len(self.conditions)

    @property
    def prompts(self) -> tuple[PromptPlan, ...]:
        """Every prompt that a call of the experiment has, once each."""
        found: list[PromptPlan] = []
        for condition in self.conditions:
            for prompt in condition.prompts:
                if prompt not in found:
                    found.append(prompt)
        return tuple(found)
