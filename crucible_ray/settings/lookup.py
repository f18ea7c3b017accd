"""What is looked up in the environment while a run is made: keys of providers; and whether an address is at home."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from crucible_ray.errors import SettingsError
from crucible_ray.records import ModelRef


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
                value = Path(path).expanduser().read_text(encoding="utf-8-sig").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{name}_FILE names {path}, which cannot be read: {error}") from error
            if value:
                return value
    return None


_SAME_KEY: Final = {"GEMINI_API_KEY": ("GEMINI_API_KEY", "GOOGLE_API_KEY")}


def is_loopback(url: str) -> bool:
    """Whether a URL names this very machine."""
    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Whether a host's name or number is this very machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
