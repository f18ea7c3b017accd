"""Where defaults come from, in rising precedence: profile, crucible.toml, `.env`, environment.

The structs below are the one table of every key: its type, default, meaning, and the environment variable
which sets it. The experiment and the command line stand above all of this.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn, get_type_hints
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values
from msgspec import Meta, Struct

from crucible_ray.errors import SettingsError
from crucible_ray.records import ModelRef

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


class StatsSettings(Struct, frozen=True, kw_only=True):
    """`[stats]`"""

    alpha: Annotated[float, Meta(gt=0, lt=1), _says("level of significance")] = 0.05
    confidence_level: Annotated[float, Meta(gt=0, lt=1), _says("of intervals")] = 0.95
    multiple_testing_correction: Annotated[
        Literal["none", "bonferroni", "holm", "fdr"], _says("for several hypotheses")
    ] = "holm"
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
    tail: tuple[Share, Annotated[float, Meta(ge=1)]] | None = None
    """Share of slow requests, and how many times slower they are."""
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
        tables: dict[str, Any] = {name: msgspec.to_builtins(getattr(self, name)) for name in _tables()}
        models = {name: msgspec.to_builtins(table) for name, table in self.models.items()}
        return {**tables, "models": models, "profile": self.profile}


_TABLES: Final[dict[str, type[Struct]]] = {
    "ensemble": EnsembleSettings,
    "datasets": DatasetSettings,
    "run": RunSettings,
    "budget": BudgetSettings,
    "stats": StatsSettings,
    "stats.power": PowerSettings,
    "logging": LoggingSettings,
}
"""A table within a table stands after it, under a dotted name."""

_LATER: Final[dict[str, frozenset[str]]] = {
    "": frozenset({"hedging", "telemetry", "latency_budget", "trace", "lora"}),
    "datasets": frozenset({"auto_download", "download_timeout_s"}),
    "stats": frozenset(
        {"auto_select_test", "check_assumptions", "effect_size_measures", "bootstrap_iterations"}
    ),
    "stats.power": frozenset({"min_detectable_effect"}),
}
"""Tables (under the empty name) and keys that later versions bring."""

_LATER_WORDS: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("ensemble", "default_vote"): frozenset({"weighted", "best_confidence", "unanimous"}),
    ("ensemble", "default_execution"): frozenset({"sequential", "hedged", "cascade"}),
    ("run", "report_formats"): frozenset({"latex", "jupyter"}),
}
"""Values of keys that later versions bring."""


def _tables() -> list[str]:
    return [name for name in _TABLES if "." not in name]


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
    """In words; empty for keys of `[models.NAME]`."""


def keys() -> tuple[Key, ...]:
    """Every key of every table but `[models.NAME]`."""
    return tuple(key for table, struct in _TABLES.items() for key in _keys_of(table, struct).values())


def load_settings(start: Path, env: Mapping[str, str], profile: str | None = None) -> Settings:
    """The settings that hold in the folder `start`.

    `crucible.toml` (or `[tool.crucible]` of `pyproject.toml`) and `.env` may also stand in a parent of it.
    Raises SettingsError, naming every unknown key and wrong value at once.
    """
    merged = Environment({**_dotenv(start), **env})
    chosen = profile or merged.get("CRUCIBLE_PROFILE") or None
    loader = _Loader()
    where, content = _read_file(start)
    tables = loader.table(content, where)
    own_profiles = loader.table(tables.pop("profile", {}), f"{where}: [profile]")
    loader.check_profile(chosen, own_profiles)
    loader.add(PROFILES.get(chosen or "", {}), "profile")
    loader.add(tables, where)
    for name, overrides in own_profiles.items():
        label = f"{where}: [profile.{name}]"
        # Every profile is checked, the chosen one is used: a fault must not wait for its day.
        (loader if name == chosen else loader.aside()).add(loader.table(overrides, label), label)
    loader.add_environment(merged)
    if loader.problems:
        raise SettingsError("\n".join(loader.problems))
    return Settings(
        **{name: loader.made(name) for name in _tables()},
        models={name: ModelTable(**table) for name, table in loader.models.items()},
        profile=chosen,
        env=merged,
    )


class _Loader:
    """Collects values of rising precedence, and every fault in them."""

    def __init__(self, problems: list[str] | None = None) -> None:
        self.values: dict[str, dict[str, Any]] = {table: {} for table in _TABLES}
        self.models: dict[str, dict[str, Any]] = {}
        self.problems: list[str] = [] if problems is None else problems

    def aside(self) -> _Loader:
        """A loader whose faults count and whose values do not."""
        return _Loader(self.problems)

    def table(self, value: object, where: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.problems.append(f"{where} must be a table.")
        return {}

    def check_profile(self, chosen: str | None, own: Mapping[str, Any]) -> None:
        known = (*PROFILES, *own)
        if chosen is not None and chosen not in known:
            self.problems.append(f"There is no profile {chosen!r}: {did_you_mean(chosen, known)}")

    def made(self, name: str) -> Any:
        """A table with those that stand in it."""
        inner = {each.rpartition(".")[2]: self.made(each) for each in _inner(name)}
        return _TABLES[name](**self.values[name], **inner)

    def add(self, tables: Mapping[str, Any], where: str) -> None:
        for name, content in tables.items():
            label = f"{where}: [{name}]"
            if name == "models":
                for model, table in self.table(content, label).items():
                    place = f"{where}: [models.{model}]"
                    target = self.models.setdefault(model, {})
                    self._fill(target, "models", ModelTable, self.table(table, place), place)
            elif name in _tables():
                self._table(name, self.table(content, label), where)
            else:
                self.problems.append(_unknown("", name, (*_tables(), "models", "profile"), label))

    def _table(self, name: str, content: Mapping[str, Any], where: str) -> None:
        label = f"{where}: [{name}]"
        inner = {each.rpartition(".")[2]: each for each in _inner(name)}
        plain = {key: value for key, value in content.items() if key not in inner}
        self._fill(self.values[name], name, _TABLES[name], plain, label)
        for key, table in inner.items():
            if key in content:
                self._table(table, self.table(content[key], f"{where}: [{table}]"), where)

    def add_environment(self, env: Mapping[str, str]) -> None:
        for key in keys():
            if key.env and (text := env.get(key.env)):
                value = text.lower() if key.env in _CASELESS else text
                where = f"{key.env} (environment or .env)"
                self._set(self.values[key.table], key, value, where, strict=False)

    def _fill(
        self, target: dict[str, Any], table: str, struct: type[Struct], content: Mapping[str, Any], where: str
    ) -> None:
        known = _keys_of(table, struct)
        inner = [each.rpartition(".")[2] for each in _inner(table)]
        for name, value in content.items():
            if name in known:
                self._set(target, known[name], value, f"{where} {name}", strict=True)
            else:
                self.problems.append(_unknown(table, name, (*known, *inner), f"{where} {name}"))

    def _set(self, target: dict[str, Any], key: Key, value: Any, where: str, *, strict: bool) -> None:
        try:
            target[key.name] = msgspec.convert(value, key.type, strict=strict)
        except msgspec.ValidationError as error:
            said = value if isinstance(value, list) else [value]
            later = {each for each in said if isinstance(each, str)} & _LATER_WORDS.get(
                (key.table, key.name), frozenset()
            )
            told = f"{', '.join(map(repr, sorted(later)))} is not supported by this version; it "
            self.problems.append(f"{where} = {value!r}: {told if later else ''}{explain(error, key.type)}")


_CASELESS: Final = frozenset({"LOG_LEVEL", "DISABLE_RATE_LIMITING", "LOG_HTTP_REQUESTS"})


def find_key(model: ModelRef, env: Mapping[str, str]) -> str | None:
    """The key for a model: its variable's value, or the content of the file that `<VARIABLE>_FILE` names.

    None where no key is needed or none is there. Raises SettingsError for a file that cannot be read.
    """
    return None if model.api_key_env is None else find_variable(model.api_key_env, env)


def find_variable(variable: str, env: Mapping[str, str]) -> str | None:
    """The key that a variable, or the file that `<VARIABLE>_FILE` names, holds. Raises SettingsError."""
    for name in _SAME_KEY.get(variable, (variable,)):
        if value := env.get(name, "").strip():
            return value
        if path := env.get(f"{name}_FILE", ""):
            try:
                value = Path(path).expanduser().read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{name}_FILE names {path}, which cannot be read: {error}") from error
            if value:
                return value
    return None


_SAME_KEY: Final = {"GEMINI_API_KEY": ("GEMINI_API_KEY", "GOOGLE_API_KEY")}


def is_loopback(url: str) -> bool:
    """Whether a URL names this very machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a question, or else all of them."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}."


def explain(error: msgspec.ValidationError, wanted: Any) -> str:
    """What msgspec says of a value, with the allowed words where there is a list of them."""
    text = str(error).partition(" - at `$")[0].replace("Expected", "expected").replace("`", "")
    words = _words(wanted)
    return f"must be {' or '.join(words)}." if words and text.startswith("Invalid enum value") else f"{text}."


def _words(wanted: Any) -> list[str]:
    if getattr(wanted, "__origin__", None) is Literal:
        return [repr(word) for word in wanted.__args__]
    return [word for part in getattr(wanted, "__args__", ()) for word in _words(part)]


def _unknown(table: str, name: str, known: Iterable[str], where: str) -> str:
    if name in _LATER.get(table, ()):
        return f"{where} is not supported by this version."
    return f"{where} is not a setting: {did_you_mean(name, known)}"


def _inner(table: str) -> list[str]:
    """The tables that stand directly in a table, by their dotted names."""
    return [name for name in _TABLES if name.rpartition(".")[0] == table]


@lru_cache(maxsize=16)
def _keys_of(table: str, struct: type[Struct]) -> dict[str, Key]:
    hints = get_type_hints(struct, include_extras=True)
    inner = {each.rpartition(".")[2] for each in _inner(table)}
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


def _folders(start: Path) -> tuple[Path, ...]:
    folder = start.resolve()
    return (folder, *folder.parents)


def find_file(start: Path) -> Path | None:
    """The configuration file that holds in a folder: the nearest one, there or above. Raises SettingsError."""
    for folder in _folders(start):
        own, project = folder / "crucible.toml", folder / "pyproject.toml"
        if own.is_file():
            return own
        if project.is_file() and "crucible" in _toml(project).get("tool", {}):
            return project
    return None


def _read_file(start: Path) -> tuple[str, Any]:
    """The nearest configuration file's name and tables; empty where there is none."""
    path = find_file(start)
    if path is None:
        return "", {}
    content = _toml(path)
    if path.name == "crucible.toml":
        return str(path), content
    return f"{path}: [tool.crucible]", content["tool"]["crucible"]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error


def _dotenv(start: Path) -> dict[str, str]:
    """The nearest `.env`; not interpolated, so that a key with a dollar sign stays whole."""
    for folder in _folders(start):
        path = folder / ".env"
        if path.is_file():
            try:
                values = dotenv_values(path, interpolate=False, encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{path} cannot be read: {type(error).__name__}") from error
            return {name: value for name, value in values.items() if value is not None}
    return {}
