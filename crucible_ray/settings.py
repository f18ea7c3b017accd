"""Where defaults come from, in rising precedence: profile, crucible.toml, `.env`, environment.

The structs below are the one table of every key: its type, default, meaning, and the environment variable
which sets it. The experiment and the command line stand above all of this.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
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


def _env(name: str) -> Meta:
    return Meta(extra={"env": name})


class EnsembleSettings(Struct, frozen=True, kw_only=True):
    """`[ensemble]`"""

    default_timeout_s: Positive = 5.0
    """Of `predict`."""
    rate_limit: Positive = 50.0
    """Requests per second and model, for members without `requests_per_minute`.

    A loopback or simulated model has none.
    """
    max_retries: Natural = 3
    retry_delay_s: NotNegative = 1.0
    default_normalization: Literal["none", "lowercase_trim"] = "lowercase_trim"


class RunSettings(Struct, frozen=True, kw_only=True):
    """`[run]`"""

    results_dir: Annotated[str, _env("RESULTS_DIR")] = "results"
    checkpoint_dir: Annotated[str | None, _env("CHECKPOINT_DIR")] = None
    """Where the journal's entries go instead of the results folder."""
    checkpoint_interval: Count = 50
    """Rows."""
    auto_resume: bool = True
    confirm_costs: bool = True
    max_concurrent_queries: Count | None = None
    """None: adaptive."""
    clients: Count | None = None
    """None: as needed."""
    global_rate_limit: Positive | None = None
    """Requests per second: the default of an experiment's `rate_limit`."""
    disable_rate_limiting: Annotated[bool, _env("DISABLE_RATE_LIMITING")] = False
    """No limit of ours at all; providers' refusals are still obeyed."""
    seed: Annotated[int | None, _env("EXPERIMENT_SEED")] = None
    """Of experiments that name none."""
    report_formats: tuple[Literal["markdown"], ...] = ("markdown",)
    progress_update_interval_s: Positive = 1.0
    show_progress_bar: bool = True


class BudgetSettings(Struct, frozen=True, kw_only=True):
    """`[budget]`, US dollars: of experiments that name none."""

    max_total: Positive | None = None
    max_per_condition: Positive | None = None
    warn_threshold: Share = 0.8
    abort_on_exceed: bool = False


class StatsSettings(Struct, frozen=True, kw_only=True):
    """`[stats]`"""

    alpha: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    confidence_level: Annotated[float, Meta(gt=0, lt=1)] = 0.95
    multiple_testing_correction: Literal["none", "bonferroni", "holm", "fdr"] = "holm"


class LoggingSettings(Struct, frozen=True, kw_only=True):
    """`[logging]`"""

    level: Annotated[Literal["debug", "info", "warning", "error"], _env("LOG_LEVEL")] = "info"


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
        tables: dict[str, Any] = {name: msgspec.to_builtins(getattr(self, name)) for name in _TABLES}
        models = {name: msgspec.to_builtins(table) for name, table in self.models.items()}
        return {**tables, "models": models, "profile": self.profile}


_TABLES: Final[dict[str, type[Struct]]] = {
    "ensemble": EnsembleSettings,
    "run": RunSettings,
    "budget": BudgetSettings,
    "stats": StatsSettings,
    "logging": LoggingSettings,
}

_LATER: Final[dict[str, frozenset[str]]] = {
    "": frozenset({"hedging", "datasets", "telemetry", "latency_budget", "trace", "lora"}),
    "ensemble": frozenset({"default_models", "default_vote", "default_execution"}),
    "stats": frozenset(
        {"auto_select_test", "check_assumptions", "effect_size_measures", "bootstrap_iterations", "power"}
    ),
    "logging": frozenset({"format", "truncate", "fields"}),
}
"""Tables (under the empty name) and keys that later versions bring."""

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
    name: str
    type: Any
    default: Any
    env: str | None


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
    tables_by_name: dict[str, Any] = {name: struct(**loader.values[name]) for name, struct in _TABLES.items()}
    return Settings(
        **tables_by_name,
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

    def add(self, tables: Mapping[str, Any], where: str) -> None:
        for name, content in tables.items():
            label = f"{where}: [{name}]"
            if name == "models":
                for model, table in self.table(content, label).items():
                    place = f"{where}: [models.{model}]"
                    target = self.models.setdefault(model, {})
                    self._fill(target, "models", ModelTable, self.table(table, place), place)
            elif name in _TABLES:
                self._fill(self.values[name], name, _TABLES[name], self.table(content, label), label)
            else:
                self.problems.append(_unknown("", name, (*_TABLES, "models", "profile"), label))

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
        for name, value in content.items():
            if name in known:
                self._set(target, known[name], value, f"{where} {name}", strict=True)
            else:
                self.problems.append(_unknown(table, name, known, f"{where} {name}"))

    def _set(self, target: dict[str, Any], key: Key, value: Any, where: str, *, strict: bool) -> None:
        try:
            target[key.name] = msgspec.convert(value, key.type, strict=strict)
        except msgspec.ValidationError as error:
            self.problems.append(f"{where} = {value!r}: {explain(error, key.type)}")


_CASELESS: Final = frozenset({"LOG_LEVEL", "DISABLE_RATE_LIMITING"})


def find_key(model: ModelRef, env: Mapping[str, str]) -> str | None:
    """The key for a model: its variable's value, or the content of the file that `<VARIABLE>_FILE` names.

    None where no key is needed or none is there. Raises SettingsError for a file that cannot be read.
    """
    if model.api_key_env is None:
        return None
    for name in _SAME_KEY.get(model.api_key_env, (model.api_key_env,)):
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


def _keys_of(table: str, struct: type[Struct]) -> dict[str, Key]:
    hints = get_type_hints(struct, include_extras=True)
    return {
        name: Key(table=table, name=name, type=hints[name], default=field.default, env=_env_of(hints[name]))
        for field in msgspec.structs.fields(struct)
        for name in (field.name,)
    }


def _env_of(hint: Any) -> str | None:
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, Meta) and meta.extra and "env" in meta.extra:
            return str(meta.extra["env"])
    return None


def _folders(start: Path) -> tuple[Path, ...]:
    folder = start.resolve()
    return (folder, *folder.parents)


def _read_file(start: Path) -> tuple[str, Any]:
    """The nearest configuration file's name and tables; empty where there is none."""
    for folder in _folders(start):
        own = folder / "crucible.toml"
        if own.is_file():
            return str(own), _toml(own)
        project = folder / "pyproject.toml"
        if project.is_file() and "crucible" in (tool := _toml(project).get("tool", {})):
            return f"{project}: [tool.crucible]", tool["crucible"]
    return "", {}


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
