"""Settings from profile, `crucible.toml`, `.env` and environment, in rising precedence, with every fault at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from dotenv import dotenv_values
from msgspec import Struct

from crucible_ray.errors import SettingsError
from crucible_ray.settings.tables import (
    PROFILES,
    TABLES,
    Environment,
    Key,
    ModelTable,
    Settings,
    inner_tables,
    keys,
    keys_of,
    outer_tables,
)
from crucible_ray.settings.words import did_you_mean, explain

_LATER: Final[dict[str, frozenset[str]]] = {
    "": frozenset({"hedging", "telemetry", "latency_budget", "trace", "lora"}),
    "datasets": frozenset({"auto_download", "download_timeout_s"}),
}
"""Tables (under the empty name) and keys that later versions bring."""

_LATER_WORDS: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("ensemble", "default_vote"): frozenset({"weighted", "best_confidence", "unanimous"}),
    ("ensemble", "default_execution"): frozenset({"sequential", "hedged", "cascade"}),
    ("run", "report_formats"): frozenset({"latex", "jupyter"}),
}
"""Values of keys that later versions bring."""


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
        **{name: loader.made(name) for name in outer_tables()},
        models={name: ModelTable(**table) for name, table in loader.models.items()},
        profile=chosen,
        env=merged,
    )


class _Loader:
    """Collects values of rising precedence, and every fault in them."""

    def __init__(self, problems: list[str] | None = None) -> None:
        self.values: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
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
        inner = {each.rpartition(".")[2]: self.made(each) for each in inner_tables(name)}
        return TABLES[name](**self.values[name], **inner)

    def add(self, tables: Mapping[str, Any], where: str) -> None:
        for name, content in tables.items():
            label = f"{where}: [{name}]"
            if name == "models":
                for model, table in self.table(content, label).items():
                    place = f"{where}: [models.{model}]"
                    target = self.models.setdefault(model, {})
                    self._fill(target, "models", ModelTable, self.table(table, place), place)
            elif name in outer_tables():
                self._table(name, self.table(content, label), where)
            else:
                self.problems.append(_unknown("", name, (*outer_tables(), "models", "profile"), label))

    def _table(self, name: str, content: Mapping[str, Any], where: str) -> None:
        label = f"{where}: [{name}]"
        inner = {each.rpartition(".")[2]: each for each in inner_tables(name)}
        plain = {key: value for key, value in content.items() if key not in inner}
        self._fill(self.values[name], name, TABLES[name], plain, label)
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
        known = keys_of(table, struct)
        inner = [each.rpartition(".")[2] for each in inner_tables(table)]
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
            why = explain(error, key.type)
            if key.table == "models" and key.meaning:
                why = f"{why.removesuffix('.')}; it is {key.meaning}."
            self.problems.append(f"{where} = {value!r}: {told if later else ''}{why}")


_CASELESS: Final = frozenset({"LOG_LEVEL", "DISABLE_RATE_LIMITING", "LOG_HTTP_REQUESTS"})


def _unknown(table: str, name: str, known: Iterable[str], where: str) -> str:
    if name in _LATER.get(table, ()):
        return f"{where} is not supported by this version."
    return f"{where} is not a setting: {did_you_mean(name, known)}"


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
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
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
