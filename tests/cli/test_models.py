"""`models list`, `models test`, `check --live`: whether a model can be had, before a run depends on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crucible_ray.cli.main import main
from crucible_ray.models.catalogue import ALIASES
from crucible_ray.simulator import SimulatedModel
from tests.conftest import Simulate

Capture = pytest.CaptureFixture[str]
TABLE = """
[models.{name}]
provider = "openai"
model = "{name}"
base_url = "{url}"
api_key_env = "SOME_API_KEY"
requests_per_minute = 60000
limit_group = "shared"
input_price = 1.0
output_price = 2.0
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _json(capsys: Capture, code: int, *words: str) -> Any:
    capsys.readouterr()
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_every_alias_says_which_id_it_stands_for_what_it_costs_and_since_when(
    here: Path, capsys: Capture
) -> None:
    found = {each["name"]: each for each in _json(capsys, 0, "models", "list")}
    assert {name: found[name]["stands_for"] for name in ALIASES} == ALIASES
    mini = found["gpt4o_mini"]
    assert (mini["id"], mini["input_price"], mini["output_price"]) == ("gpt-4o-mini-2024-07-18", 0.15, 0.6)
    assert mini["price_date"].startswith("20")
    assert (mini["max_output_tokens"], mini["key"], mini["key_present"]) == (16384, "OPENAI_API_KEY", False)


def test_the_models_of_crucible_toml_are_listed_with_their_limits(here: Path, capsys: Capture) -> None:
    (here / "crucible.toml").write_text(TABLE.format(name="mine", url="https://models.invalid/v1"))
    assert main(["models", "list"]) == 0
    out = capsys.readouterr().out
    assert "mine: of crucible.toml" in out
    assert "  mine at https://models.invalid/v1, key SOME_API_KEY missing\n" in out
    assert "  $1 in, $2 out per million tokens, 60000 requests a minute\n" in out


def test_a_model_with_two_names_is_listed_once_with_both_on_lines_that_fit(
    here: Path, capsys: Capture
) -> None:
    assert main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "openai_gpt4o_mini, gpt4o_mini: openai/gpt-4o-mini-2024-07-18" in lines
    assert sum("gpt-4o-mini-2024-07-18 at " in line for line in lines) == 1
    assert max(map(len, lines[:-1])) <= 110
    (here / "crucible.toml").write_text("[models.gpt4o_mini]\nrequests_per_minute = 7\n")
    assert main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "openai_gpt4o_mini: openai/gpt-4o-mini-2024-07-18" in lines
    assert "gpt4o_mini: openai/gpt-4o-mini-2024-07-18" in lines


def test_a_model_that_answers_is_shown_with_time_tokens_cost_version_and_reply(
    here: Path, capsys: Capture, simulate: Simulate
) -> None:
    provider = simulate(models=(SimulatedModel(name="mine", accuracy=1.0),))
    (here / "crucible.toml").write_text(TABLE.format(name="mine", url=provider.url))
    (found,) = _json(capsys, 0, "models", "test", "mine")
    assert found["ok"]
    assert "4" in found["reply"]
    assert found["latency_ms"] > 0
    tokens = found["input_tokens"] + 2 * found["output_tokens"]
    assert found["cost_usd"] == pytest.approx(tokens * 1e-6)
    assert found["cost_usd"] <= found["cost_bound_usd"]
    assert found["model_version"] == "simulated/mine"
    assert provider.stats().requests == 1
    assert main(["models", "test", "mine"]) == 0
    out, err = capsys.readouterr()
    assert "answered in" in out
    assert "for at most $0.0005" in err


@pytest.mark.parametrize(
    ("fault", "error", "code", "mend"),
    [
        ("refuse-key", "authentication", 4, "Put a valid key into SOME_API_KEY."),
        ("refuse-param", "refused", 2, "drop the option"),
        ("500", "server_error", 1, "Try again later."),
    ],
)
def test_a_model_that_refuses_is_named_with_the_mend_and_without_the_key(
    here: Path,
    capsys: Capture,
    simulate: Simulate,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    error: str,
    code: int,
    mend: str,
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-canary-1")
    bad, good = simulate(faults={fault: 1.0}), simulate()
    tables = TABLE.format(name="bad", url=bad.url) + TABLE.format(name="good", url=good.url)
    (here / "crucible.toml").write_text(tables)
    found = _json(capsys, code, "models", "test", "bad", "good")
    assert [(each["ok"], each["error"]) for each in found] == [(False, error), (True, None)]
    assert mend in found[0]["mend"]
    assert bad.stats().requests == 1
    assert "sk-canary" not in json.dumps(found)


def test_a_missing_key_is_said_and_nothing_is_sent(here: Path, capsys: Capture) -> None:
    (found,) = _json(capsys, 4, "models", "test", "gpt4o_mini")
    assert found["error"] == "missing_key"
    assert "Set OPENAI_API_KEY" in found["mend"]


def test_a_reply_cannot_move_the_cursor(here: Path, capsys: Capture, simulate: Simulate) -> None:
    from crucible_ray.api.probing import LiveFact
    from crucible_ray.cli.models import live_lines
    from crucible_ray.cli.terminal import printable

    fact = LiveFact(
        model="m",
        id="m",
        url="http://x",
        cost_bound_usd=None,
        ok=True,
        latency_ms=1.0,
        reply="\x1b[2J\u202egnp" + "x" * 9999,
    )
    lines = live_lines([fact])
    assert all(printable(line) == line for line in lines)
    assert max(map(len, lines)) < 400


def test_the_question_stands_before_the_reply_and_a_simulated_reply_is_called_so(
    here: Path, capsys: Capture
) -> None:
    assert main(["models", "test", "gemini_flash", "--simulate"]) == 0
    asked, reply = capsys.readouterr().out.splitlines()[-2:]
    assert asked == "  asked 'What is 2+2? Answer with the number only.'"
    assert reply.startswith("  reply '")
    assert reply.endswith("by the built-in simulator, which errs on purpose")


def test_an_unknown_model_is_a_wrong_word(here: Path, capsys: Capture) -> None:
    assert main(["models", "test", "gpt4o_mni"]) == 2
    assert "did you mean 'gpt4o_mini'" in capsys.readouterr().err


def test_check_live_sends_one_request_to_each_model_of_an_experiment(
    here: Path, capsys: Capture, simulate: Simulate
) -> None:
    provider = simulate()
    (here / "crucible.toml").write_text(
        TABLE.format(name="one", url=provider.url) + TABLE.format(name="two", url=provider.url)
    )
    (here / "exp.toml").write_text(
        'name = "x"\ndataset = "demo"\nsample_size = 5\nmax_tokens = 20\n'
        '[[conditions]]\ntype = "model"\nmodel = "one"\n'
        '[[conditions]]\ntype = "ensemble"\nname = "three"\nmembers = ["one", "two", "one"]\n'
    )
    found = _json(capsys, 0, "check", "exp.toml", "--live")["live"]
    assert [each["model"] for each in found] == ["one", "two"]
    assert all(each["ok"] for each in found)
    assert provider.stats().requests == 2
    assert main(["check", "exp.toml"]) == 0
    assert provider.stats().requests == 2


def test_models_alone_prints_how_it_is_used(capsys: Capture) -> None:
    assert main(["models"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Usage: crucible-ray models")
    assert "list" in out
    assert err == ""
