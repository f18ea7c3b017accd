"""`docs/configuration.md` lists every key as it is: made from the one table in the code, and held to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from crucible_ray.settings import PROFILES, Key, keys

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"


def row(key: Key) -> str:
    env = f"`{key.env}`" if key.env else ""
    return f"| `{key.name}` | {shown(key.default)} | {env} | {key.meaning} |"


def shown(value: Any) -> str:
    """A default as TOML writes it."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(shown(each).strip('`') for each in value)}]`"
    if isinstance(value, dict | Struct):
        return "`{}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:g}`"


@pytest.mark.parametrize("table", list(dict.fromkeys(key.table for key in keys())))
def test_the_page_lists_every_key_of_a_table_with_default_variable_and_meaning(table: str) -> None:
    wanted = ["| key | default | environment | says |", "| --- | --- | --- | --- |"]
    wanted += [row(key) for key in keys() if key.table == table]
    section = PAGE.read_text().partition(f"### `[{table}]`")[2].partition("\n### ")[0].partition("\n## ")[0]
    found = [line for line in section.splitlines() if line.startswith("|")]
    assert found == wanted, "the table should read:\n" + "\n".join(wanted)


def test_every_key_says_what_it_means() -> None:
    assert [f"{key.table}.{key.name}" for key in keys() if not key.meaning] == []


def test_the_page_says_what_each_profile_sets() -> None:
    text = PAGE.read_text().partition("## Profiles")[2]
    for name, tables in PROFILES.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        for table, values in tables.items():
            for key, value in values.items():
                assert f"`[{table}] {key} = {shown(value).strip('`')}`" in line
