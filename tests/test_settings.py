"""Where defaults come from, and which wins."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from crucible_ray.errors import SettingsError
from crucible_ray.records import ModelRef
from crucible_ray.settings import (
    Environment,
    Settings,
    find_key,
    find_variable,
    is_loopback,
    keys,
    load_settings,
)


def test_without_any_file_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {})
    assert settings.ensemble == Settings().ensemble
    assert (settings.run.results_dir, settings.run.checkpoint_interval, settings.ensemble.rate_limit) == (
        "results",
        50,
        50.0,
    )


def test_a_file_in_a_parent_folder_counts(tmp_path: Path) -> None:
    (tmp_path / "crucible.toml").write_text("[run]\nclients = 3\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert load_settings(inner, {}).run.clients == 3


def test_files_may_begin_with_a_byte_order_mark_as_some_editors_write_it(tmp_path: Path) -> None:
    (tmp_path / "crucible.toml").write_text("[run]\nclients = 3\n", "utf-8-sig")
    assert load_settings(tmp_path, {}).run.clients == 3
    (tmp_path / "key").write_text("secret\n", "utf-8-sig")
    assert find_variable("OPENAI_API_KEY", {"OPENAI_API_KEY_FILE": str(tmp_path / "key")}) == "secret"


def test_the_tool_table_of_a_project_counts_and_a_project_without_one_does_not(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.crucible.stats]\nalpha = 0.01\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert load_settings(inner, {}).stats.alpha == 0.01


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    def level(env: dict[str, str], profile: str | None = None) -> str:
        return load_settings(tmp_path, env, profile).logging.level

    assert level({}, "dev") == "debug"
    (tmp_path / "crucible.toml").write_text(
        '[logging]\nlevel = "warning"\n[profile.test.logging]\nlevel = "error"\n'
    )
    assert level({}, "dev") == "warning"
    assert level({"CRUCIBLE_PROFILE": "test"}) == "error"
    (tmp_path / ".env").write_text("LOG_LEVEL=INFO\n")
    assert level({}, "test") == "info"
    assert level({"LOG_LEVEL": "DEBUG"}, "test") == "debug"


def test_the_environment_is_read_by_the_types_of_its_keys(tmp_path: Path) -> None:
    env = {
        "EXPERIMENT_SEED": "7",
        "RESULTS_DIR": "out",
        "CHECKPOINT_DIR": "c",
        "DISABLE_RATE_LIMITING": "True",
    }
    run = load_settings(tmp_path, env).run
    assert (run.seed, run.results_dir, run.checkpoint_dir, run.disable_rate_limiting) == (7, "out", "c", True)


def test_an_empty_variable_says_nothing(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {"RESULTS_DIR": "", "EXPERIMENT_SEED": ""}).run == Settings().run


def test_every_fault_is_named_at_once_with_the_nearest_known_key(tmp_path: Path) -> None:
    (tmp_path / "crucible.toml").write_text(
        """
        [run]
        result_dir = "x"
        clients = 0
        report_formats = ["latex"]
        [stast]
        alpha = 1
        [hedging]
        fixed_delay_ms = 1
        [ensemble]
        default_models = []
        default_vote = "weighted"
        [datasets]
        auto_download = true
        [stats.power]
        desird = 0.9
        [models.a]
        modle = "x"
        tail = 1.5
        [profile.prod.budget]
        max_totl = 1
        """
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, {"EXPERIMENT_SEED": "x"}, "pord")
    text = str(caught.value)
    for part in (
        "[run] result_dir is not a setting: did you mean 'results_dir'?",
        "[run] clients = 0: expected int >= 1.",
        "[run] report_formats = ['latex']: 'latex' is not supported by this version; it must be 'markdown' or 'html'.",
        "[stast] is not a setting: did you mean 'stats'?",
        "[hedging] is not supported by this version.",
        "[ensemble] default_models = []: expected array of length >= 1.",
        "[ensemble] default_vote = 'weighted': 'weighted' is not supported by this version; it must be 'majority'.",
        "[datasets] auto_download is not supported by this version.",
        "[stats.power] desird is not a setting: did you mean 'desired'?",
        "[models.a] modle is not a setting: did you mean 'model'?",
        "[models.a] tail = 1.5: expected array | null, got float; it is two numbers, the share of slow requests",
        "max_totl is not a setting: did you mean 'max_total'?",
        "EXPERIMENT_SEED",
        "There is no profile 'pord': did you mean 'prod'?",
    ):
        assert part in text


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "crucible.toml").write_text("run = [")
    with pytest.raises(SettingsError, match=r"crucible\.toml cannot be read"):
        load_settings(tmp_path, {})


def test_a_dotenv_that_is_no_text_is_named_without_its_content(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"OPENAI_API_KEY=sk-\xff\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, {})
    assert ".env cannot be read" in str(caught.value)
    assert "sk-" not in str(caught.value)


def test_values_of_the_wrong_shape_are_refused_and_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "crucible.toml").write_text('run = 3\nmodels = 3\nprofile = "x"\n')
    with pytest.raises(SettingsError, match="must be a table"):
        load_settings(tmp_path, {})


def test_dotenv_reaches_the_settings_and_not_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / ".env").write_text("OPENAI_API_KEY='se$HOME-cret'\n")
    settings = load_settings(tmp_path, {})
    assert settings.env["OPENAI_API_KEY"] == "se$HOME-cret"
    assert "OPENAI_API_KEY" not in os.environ


def test_no_secret_shows_or_leaves(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {"OPENAI_API_KEY": "sk-secret"})
    assert "sk-secret" not in repr(settings)
    assert "sk-secret" not in repr(settings.public())
    with pytest.raises(TypeError, match="holds keys"):
        pickle.dumps(settings.env)


def _ref(variable: str | None) -> ModelRef:
    return ModelRef(
        name="m", provider="openai", model="m", base_url="https://x", api_key_env=variable, limit_group="m"
    )


def test_a_key_is_found_in_its_variable_or_in_the_file_that_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("  from-file\n")
    cases: list[tuple[str | None, dict[str, str], str | None]] = [
        ("K", {"K": "plain", "K_FILE": str(path)}, "plain"),
        ("K", {"K_FILE": str(path)}, "from-file"),
        ("K", {"K": "  "}, None),
        ("K", {}, None),
        (None, {"K": "plain"}, None),
        ("GEMINI_API_KEY", {"GOOGLE_API_KEY": "g"}, "g"),
    ]
    for variable, env, expected in cases:
        assert find_key(_ref(variable), Environment(env)) == expected


def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="K_FILE names"):
        find_key(_ref("K"), {"K_FILE": str(tmp_path / "gone")})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:8/v1", True),
        ("http://127.0.0.1.example.org", False),
        ("https://api.openai.com/v1", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_alone(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


def test_every_key_that_has_a_default_is_listed_once() -> None:
    listed: dict[tuple[str, str], Any] = {(key.table, key.name): key.default for key in keys()}
    assert len(listed) == len(keys())
    assert listed["run", "report_formats"] == ("markdown", "html")
    assert {key.env for key in keys()} >= {"EXPERIMENT_SEED", "RESULTS_DIR", "CHECKPOINT_DIR", "LOG_LEVEL"}
