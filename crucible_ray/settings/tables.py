"""The one table of every key: its type, default, meaning, and the environment variable which sets it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NoReturn, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Natural = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]


def _says(meaning: str, env: str | None = None) -> Meta:
    """What a key means, for documentation, and the environment variable that sets it."""
    return Meta(description=meaning, extra=None if env is None else {"env": env})


class EnsembleSettings(Struct, frozen=True, kw_only=True):
    """`[ensemble]`"""

    default_models: Annotated[
        tuple[str, ...], Meta(min_length=1), _says("whom `predict` asks where it names no models")
    ] = ("gemini_flash", "openai_gpt4o_mini", "anthropic_haiku")
    default_vote: Annotated[Literal["majority"], _says("the vote of ensembles that name none")] = "majority"
    default_execution: Annotated[Literal["parallel"], _says("the execution of ensembles that name none")] = (
        "parallel"
    )
    default_timeout_s: Annotated[Positive, _says("seconds that `predict` and `call_model` wait")] = 5.0
    rate_limit: Annotated[
        Positive,
        _says(
            "requests a second and model, for members of ensembles without `requests_per_minute`; "
            "a loopback or simulated model has none"
        ),
    ] = 50.0
    max_retries: Annotated[Natural, _says("further attempts after a failed one")] = 3
    retry_delay_s: Annotated[NotNegative, _says("seconds before the first retry at most; it doubles")] = 1.0
    default_normalization: Annotated[
        Literal["none", "lowercase_trim", "numeric", "boolean"], _says("when two answers are the same one")
    ] = "lowercase_trim"


class DatasetSettings(Struct, frozen=True, kw_only=True):
    """`[datasets]`"""

    cache_dir: Annotated[str | None, _says("where datasets are kept; unset: the platform's cache folder")] = (
        None
    )
    versions: Annotated[
        dict[str, str], _says("a dataset's name to the version it must have; another one is refused")
    ] = {}


class RunSettings(Struct, frozen=True, kw_only=True):
    """`[run]`"""

    results_dir: Annotated[str, _says("parent of the results folders", "RESULTS_DIR")] = "results"
    checkpoint_dir: Annotated[
        str | None, _says("where the record goes instead of the results folder", "CHECKPOINT_DIR")
    ] = None
    checkpoint_interval: Annotated[Count, _says("rows between two marked checkpoints")] = 50
    auto_resume: Annotated[bool, _says("go on with what is recorded; false: as by `--no-resume`")] = True
    confirm_costs: Annotated[bool, _says("ask before money is spent")] = True
    max_concurrent_queries: Annotated[Count | None, _says("trials in flight; unset: 256")] = None
    clients: Annotated[Count | None, _says("client actors; unset: one a node")] = None
    address: Annotated[
        str | None, _says("a Ray cluster, `auto` or `host:port`; unset: a private local one", "RAY_ADDRESS")
    ] = None
    global_rate_limit: Annotated[
        Positive | None, _says("requests a second: the default of an experiment's `rate_limit`")
    ] = None
    disable_rate_limiting: Annotated[
        bool,
        _says("no limit of ours at all; providers' refusals are still obeyed", "DISABLE_RATE_LIMITING"),
    ] = False
    seed: Annotated[int | None, _says("of experiments that name none", "EXPERIMENT_SEED")] = None
    report_formats: Annotated[tuple[Literal["markdown", "html"], ...], _says("reports to write")] = (
        "markdown",
        "html",
    )
    progress_update_interval_s: Annotated[Positive, _says("seconds between two reports of progress")] = 1.0
    show_progress_bar: Annotated[bool, _says("show how a run goes")] = True


class BudgetSettings(Struct, frozen=True, kw_only=True):
    """`[budget]`, US dollars: of experiments that name none."""

    max_total: Annotated[Positive | None, _says("US dollars over the whole run")] = None
    max_per_condition: Annotated[Positive | None, _says("US dollars for each condition")] = None
    warn_threshold: Annotated[Share, _says("share of the budget at which a warning is given")] = 0.8
    abort_on_exceed: Annotated[bool, _says("stop at the budget; false: warn and go on")] = False


class PowerSettings(Struct, frozen=True, kw_only=True):
    """`[stats.power]`"""

    enable: Annotated[bool, _says("say before a run what its design can find")] = True
    desired: Annotated[float, Meta(gt=0, lt=1), _says("the power that items are counted for")] = 0.8
    min_detectable_effect: Annotated[
        float,
        Meta(gt=0),
        _says("smallest effect of interest, in standard deviations of an item's difference"),
    ] = 0.2


EffectSize = Literal[
    "cohens_d",
    "hedges_g",
    "glass_delta",
    "cohens_dz",
    "rank_biserial",
    "cliffs_delta",
    "vargha_delaney_a",
    "eta_squared",
    "omega_squared",
    "epsilon_squared",
    "kendalls_w",
    "cramers_v",
    "odds_ratio",
    "risk_ratio",
    "cohens_h",
]
"""Functions of `crucible_ray.stats` that an experiment's comparisons may show."""
EFFECT_SIZES: Final[tuple[str, ...]] = get_args(EffectSize)


class StatsSettings(Struct, frozen=True, kw_only=True):
    """`[stats]`"""

    alpha: Annotated[float, Meta(gt=0, lt=1), _says("level of significance")] = 0.05
    confidence_level: Annotated[float, Meta(gt=0, lt=1), _says("of intervals")] = 0.95
    multiple_testing_correction: Annotated[
        Literal["none", "bonferroni", "holm", "fdr"], _says("for several hypotheses")
    ] = "holm"
    auto_select_test: Annotated[
        bool, _says("choose the test by outcome and design; false: t on item means whatever the outcome")
    ] = True
    check_assumptions: Annotated[
        bool, _says("show tests of assumptions, and other tests of the same difference")
    ] = True
    effect_size_measures: Annotated[
        tuple[EffectSize, ...], _says("effect sizes of comparisons; empty: what suits the outcome")
    ] = ()
    bootstrap_iterations: Annotated[
        int, Meta(ge=100), _says("draws of a bootstrap: of quantiles and ratios")
    ] = 10_000
    power: PowerSettings = PowerSettings()


LOG_FIELDS: Final = ("experiment_id", "condition", "model", "query_id")


class LoggingSettings(Struct, frozen=True, kw_only=True):
    """`[logging]`: of `run.log`."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        _says("from which severity on; `debug`: every trial as well", "LOG_LEVEL"),
    ] = "info"
    format: Annotated[Literal["json", "text"], _says("JSON lines, or lines for people")] = "json"
    truncate: Annotated[Count | None, _says("characters of one value at most; unset: all")] = 8096
    fields: Annotated[
        tuple[Literal["experiment_id", "condition", "model", "query_id"], ...],
        _says("what each line says of its place, where it has one"),
    ] = LOG_FIELDS
    http_requests: Annotated[
        bool,
        _says("each request's method, URL without secrets, status and duration", "LOG_HTTP_REQUESTS"),
    ] = False


class ModelTable(Struct, frozen=True, kw_only=True):
    """`[models.NAME]`: a new model, or what differs for a known name."""

    provider: str | None = None
    model: str | None = None
    """The id sent to the provider."""
    base_url: str | None = None
    api_key_env: str | None = None
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    limit_group: str | None = None
    """Models that share one limit; default: the model id."""
    max_concurrency: Count | None = None
    input_price: NotNegative | None = None
    """US dollars per million tokens; overrides the catalogue."""
    output_price: NotNegative | None = None
    max_output_tokens: Count | None = None

    accuracy: Share | None = None
    """This and the rest: of a simulated model."""
    correlation: Annotated[float, Meta(ge=0, le=0.99)] | None = None
    latency_s: NotNegative | None = None
    """Median."""
    tail: Annotated[
        tuple[Share, Annotated[float, Meta(ge=1)]] | None,
        _says("two numbers, the share of slow requests and how many times slower they are: [0.05, 10]"),
    ] = None
    output_tokens: Count | None = None
    """Median."""

    def simulation(self) -> dict[str, Any]:
        """What is said of a simulated model's behaviour, as plain values."""
        values = msgspec.to_builtins(self)
        return {
            name: list(values[name]) if name == "tail" else values[name]
            for name in SIMULATION_KEYS
            if values[name] is not None
        }


SIMULATION_KEYS: Final = ("accuracy", "correlation", "latency_s", "tail", "output_tokens")


class Environment(Mapping[str, str]):
    """`.env` below the environment. Holds keys, so it never shows a value and never leaves the process."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Environment of {len(self)} variables>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("An Environment holds keys: hand over the one that is needed, not the whole.")


class Settings(Struct, frozen=True, kw_only=True):
    """Everything configured outside the experiment."""

    ensemble: EnsembleSettings = EnsembleSettings()
    datasets: DatasetSettings = DatasetSettings()
    run: RunSettings = RunSettings()
    budget: BudgetSettings = BudgetSettings()
    stats: StatsSettings = StatsSettings()
    logging: LoggingSettings = LoggingSettings()
    models: dict[str, ModelTable] = {}
    profile: str | None = None
    env: Environment = Environment({})
    """For the lookup of keys and base URLs; no part of `public`."""

    def public(self) -> dict[str, Any]:
        """Plain values for `config.json`: no secret is among them."""
        tables: dict[str, Any] = {name: msgspec.to_builtins(getattr(self, name)) for name in outer_tables()}
        models = {name: msgspec.to_builtins(table) for name, table in self.models.items()}
        return {**tables, "models": models, "profile": self.profile}


TABLES: Final[dict[str, type[Struct]]] = {
    "ensemble": EnsembleSettings,
    "datasets": DatasetSettings,
    "run": RunSettings,
    "budget": BudgetSettings,
    "stats": StatsSettings,
    "stats.power": PowerSettings,
    "logging": LoggingSettings,
}
"""A table within a table stands after it, under a dotted name."""


def outer_tables() -> list[str]:
    """The tables of a file, without those that stand in one of them."""
    return [name for name in TABLES if "." not in name]


PROFILES: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "dev": {"logging": {"level": "debug"}, "run": {"confirm_costs": False}},
    "test": {
        "logging": {"level": "warning"},
        "run": {"confirm_costs": False, "checkpoint_interval": 10},
        "ensemble": {"default_timeout_s": 1.0},
    },
    "prod": {"run": {"confirm_costs": True}, "budget": {"abort_on_exceed": True}},
}


class Key(Struct, frozen=True, kw_only=True):
    """One setting, for documentation and lookup."""

    table: str
    """Dotted where a table stands in a table."""
    name: str
    type: Any
    default: Any
    env: str | None
    meaning: str
    """In words; empty for keys of `[models.NAME]` that say it by their name."""


def keys() -> tuple[Key, ...]:
    """Every key of every table but `[models.NAME]`."""
    return tuple(key for table, struct in TABLES.items() for key in keys_of(table, struct).values())


def inner_tables(table: str) -> list[str]:
    """The tables that stand directly in a table, by their dotted names."""
    return [name for name in TABLES if name.rpartition(".")[0] == table]


@lru_cache(maxsize=16)
def keys_of(table: str, struct: type[Struct]) -> dict[str, Key]:
    """The keys that stand in a table, by name."""
    hints = get_type_hints(struct, include_extras=True)
    inner = {each.rpartition(".")[2] for each in inner_tables(table)}
    return {
        field.name: _key(table, field, hints[field.name])
        for field in msgspec.structs.fields(struct)
        if field.name not in inner
    }


def _key(table: str, field: msgspec.structs.FieldInfo, hint: Any) -> Key:
    metas = [meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, Meta)]
    env = next((str(meta.extra["env"]) for meta in metas if meta.extra and "env" in meta.extra), None)
    meaning = next((meta.description for meta in metas if meta.description), "")
    default = field.default
    if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return Key(table=table, name=field.name, type=hint, default=default, env=env, meaning=meaning)
