"""`init` and `doctor`: what a newcomer types before the first run."""

from __future__ import annotations

import json
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from crucible_ray.actors.cluster import RayThread
from crucible_ray.api import doctoring
from crucible_ray.cli.main import main
from crucible_ray.cli.scaffold import EXPERIMENT
from crucible_ray.settings import Settings, keys, load_settings

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _findings(capsys: Capture, code: int, *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["doctor", *words, "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is (code == 0)
    return {each["name"]: each for each in found["findings"]}


def test_what_init_writes_runs(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert main(["init", "study"]) == 0
    monkeypatch.chdir(here / "study")
    assert main(["run", EXPERIMENT, "--simulate", "--yes", "--in-process", "--limit", "3", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out.partition("\n{")[2].join(("{", "")))
    assert (facts["status"], facts["trials"]) == ("complete", 18)
    assert (here / "study" / "research" / "output").is_dir()
    assert ".env" in (here / "study" / ".gitignore").read_text().splitlines()


def test_the_experiment_that_init_writes_needs_the_key_of_one_provider(here: Path, capsys: Capture) -> None:
    assert main(["init"]) == 0
    capsys.readouterr()
    assert main(["check", EXPERIMENT, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [key["variable"] for key in facts["keys"]] == ["OPENAI_API_KEY"]


def test_the_settings_that_init_writes_are_the_defaults_and_name_every_key(
    here: Path, capsys: Capture
) -> None:
    assert main(["init"]) == 0
    text = (here / "crucible.toml").read_text()
    settings = load_settings(here, {})
    assert {name: getattr(settings, name) for name in ("run", "ensemble", "stats", "logging")} == {
        name: getattr(Settings(), name) for name in ("run", "ensemble", "stats", "logging")
    }
    table = ""
    named = set()
    for line in text.splitlines():
        table = line.strip("[]") if line.startswith("[") else table
        named.add((table, line.removeprefix("# ").partition(" = ")[0]))
    assert {(key.table, key.name) for key in keys()} <= named


def test_every_default_that_init_writes_can_be_uncommented(here: Path, capsys: Capture) -> None:
    assert main(["init"]) == 0
    path = here / "crucible.toml"
    lines = path.read_text().partition("\n# A model of your own")[0].splitlines()
    bare = [line.removeprefix("# ") if " = " in line and " =  " not in line else line for line in lines]
    path.write_text("\n".join(bare))
    assert load_settings(here, {}).run == Settings().run


def test_init_overwrites_nothing(here: Path, capsys: Capture) -> None:
    (here / "crucible.toml").write_text("[run]\nclients = 2\n")
    assert main(["init"]) == 2
    assert "crucible.toml is there already, and nothing is overwritten" in capsys.readouterr().err
    (here / ".env.example").write_text("")
    assert main(["init"]) == 2
    assert "crucible.toml and .env.example are there already, and nothing" in capsys.readouterr().err
    (here / ".env.example").unlink()
    assert (here / "crucible.toml").read_text() == "[run]\nclients = 2\n"
    assert not (here / ".gitignore").exists()


def test_a_machine_that_is_ready_is_ok(here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-9")
    (here / ".env").write_text("GEMINI_API_KEY=AIza-canary\n")
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "ok    keys: GEMINI_API_KEY, OPENAI_API_KEY present; ANTHROPIC_API_KEY not set" in out
    assert f"ok    .env: {here / '.env'}" in out
    assert "canary" not in out
    found = _findings(capsys, 0)
    assert {
        "python",
        "ray",
        "settings",
        ".env",
        "keys",
        "disk",
        "results folder",
        "dataset cache",
        "state folder",
    } <= set(found)
    assert "open files" in found
    assert "cluster" not in found


def test_without_any_key_doctor_says_how_to_go_on(here: Path, capsys: Capture) -> None:
    keyless = _findings(capsys, 2)["keys"]
    assert "--simulate" in keyless["mend"]
    (here / "crucible.toml").write_text('[models.home]\nmodel = "x"\nbase_url = "http://127.0.0.1:8000/v1"\n')
    assert _findings(capsys, 0)["keys"]["ok"]


def test_a_key_with_a_quote_or_a_space_is_told_from_a_good_one(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", '"sk-canary"')
    found = _findings(capsys, 2)["keys"]
    assert found["mend"].startswith("OPENAI_API_KEY: a key holds no space, quote")
    assert "canary" not in json.dumps(found)


def test_a_dotenv_that_git_would_commit_is_to_mend(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    subprocess.run(["git", "init", "-q", str(here)], check=True)
    (here / ".env").write_text("A=1\n")
    assert "does not ignore it" in _findings(capsys, 2)[".env"]["says"]
    (here / ".gitignore").write_text(".env\n")
    assert _findings(capsys, 0)[".env"]["ok"]


def test_wrong_settings_are_named_and_end_the_examination(here: Path, capsys: Capture) -> None:
    (here / "crucible.toml").write_text("[run]\nclient = 1\n")
    found = _findings(capsys, 2)
    assert "did you mean 'clients'?" in found["settings"]["says"]
    assert "disk" not in found


def test_a_folder_that_cannot_be_written_to_is_to_mend(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "taken").write_text("a file")
    monkeypatch.setenv("RESULTS_DIR", "/proc/results")
    found = _findings(capsys, 2)
    assert not found["results folder"]["ok"]
    assert "RESULTS_DIR" in found["results folder"]["mend"]


@pytest.mark.parametrize(
    ("allowed", "window", "ok"),
    [(20_000, None, True), (1024, None, True), (1024, 2000, False), (300, None, False)],
)
def test_open_files_are_held_against_the_calls_in_flight(
    here: Path, monkeypatch: pytest.MonkeyPatch, allowed: int, window: int | None, ok: bool
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, allowed))
    (here / "crucible.toml").write_text(f"[run]\nmax_concurrent_queries = {window}\n" if window else "")
    (found,) = [each for each in doctoring.examine(here, {}) if each.name == "open files"]
    assert found.ok is ok
    assert (found.mend is None) is ok


def test_a_cluster_is_looked_at_before_ray_tries_it(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_MODE")
    tokenless = _findings(capsys, 2, "--address", "127.0.0.1:9")["cluster"]
    assert "RAY_AUTH_TOKEN" in tokenless["says"]
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    silent = _findings(capsys, 2, "--address", "127.0.0.1:9")["cluster"]
    assert "nothing answers at 127.0.0.1:9" in silent["says"]


@pytest.mark.ray
def test_a_cluster_that_answers_is_ok(
    here: Path, capsys: Capture, ray_session: RayThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    assert ray_session.ready(60.0)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    address = ray.get_runtime_context().gcs_address
    found = _findings(capsys, 0, "--address", address)["cluster"]
    assert found["says"] == f"{address} answers: 1 nodes"


def test_run_refuses_such_a_cluster_at_once(here: Path, capsys: Capture) -> None:
    (here / "exp.toml").write_text(
        'name = "x"\ndataset = "demo"\nsample_size = 1\n[[conditions]]\ntype = "model"\nmodel = "gpt4o"\n'
    )
    assert main(["run", "exp.toml", "--simulate", "--address", "127.0.0.1:9"]) == 5
    assert "nothing answers at 127.0.0.1:9" in capsys.readouterr().err
