"""`check`, `estimate`, `simulate`: nothing is sent, or only to whoever asks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from crucible_ray.cli.main import main
from tests.cli.console import COMMAND, workplace

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace(tmp_path))


def _json(capsys: Capture, *words: str) -> Any:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_check_prints_what_an_experiment_resolves_to(capsys: Capture) -> None:
    assert main(["check", "exp.py:priced"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Real: valid, exp_")
    assert "  dataset demo: 3 items" in out
    assert "    mini" not in out
    assert (
        "gpt-4o-mini-2024-07-18 at https://api.openai.com/v1\n      max_tokens 20, 60 s, $0.15 in, $0.6 out"
        in out
    )
    assert "  key OPENAI_API_KEY: missing; a run would end with exit code 4" in out


def test_check_never_shows_a_key(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-123")
    assert main(["check", "exp.py:priced", "--show", "1"]) == 0
    out = capsys.readouterr().out
    assert "  key OPENAI_API_KEY: present" in out
    assert "canary" not in out


def test_check_says_that_a_simulated_request_has_one_format_for_all(capsys: Capture) -> None:
    told = "the simulator is asked in OpenAI's format; without --simulate each provider's own is shown"
    assert main(["check", "exp.py:priced", "--show", "1", "--simulate"]) == 0
    assert told in capsys.readouterr().out
    assert main(["check", "exp.py:priced", "--show", "1"]) == 0
    assert told not in capsys.readouterr().out


def test_check_reports_every_fault_at_once(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "bad.toml").write_text(
        'name = "x"\ndataset = "demo"\nrepeat = 0\nmetrics = ["acuracy"]\n[[conditions]]\ntype = "model"\nmodel = "gpt4"\n'
    )
    assert main(["check", "bad.toml"]) == 2
    _, first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("Error: ")
    assert first.endswith("bad.toml: repeat = 0: expected int >= 1.")
    assert second.endswith("bad.toml: metrics[0] = 'acuracy' does not exist: did you mean 'accuracy'?")


def test_check_shows_the_exact_request_what_it_costs_and_how_a_reply_is_read(capsys: Capture) -> None:
    shown = _json(capsys, "check", "exp.py:priced", "--show", "2")["shown"]
    assert [each["condition"] for each in shown] == ["mini", "mini"]
    first = shown[0]
    body = json.loads(first["calls"][0]["body"])
    assert (body["model"], body["max_tokens"]) == ("gpt-4o-mini-2024-07-18", 20)
    assert body["messages"] == first["calls"][0]["messages"]
    assert first["calls"][0]["url"] == "https://api.openai.com/v1/chat/completions"
    assert 0 < first["calls"][0]["prompt_tokens"] < first["calls"][0]["prompt_tokens_bound"]
    assert first["calls"][0]["cost_bound_usd"] == pytest.approx(
        (0.15 * first["calls"][0]["prompt_tokens_bound"] + 0.6 * 20) * 1e-6
    )
    (reading,) = first["readings"]
    assert reading["sample_reply"] == f"The answer is {first['expected']}."
    assert (reading["parsed"], reading["correct"]) == (first["expected"], 1)
    assert reading["wrong_parsed"] not in (None, first["expected"])
    assert reading["wrong_reply"] == f"The answer is {reading['wrong_parsed']}."
    assert reading["wrong_correct"] == 0
    call = first["calls"][0]
    assert (call["tokenizer"], call["input_price"], call["output_price"]) == ("o200k_base", 0.15, 0.6)
    assert main(["check", "exp.py:priced", "--show", "1"]) == 0
    out = capsys.readouterr().out
    assert "prompt tokens by o200k_base (at most " in out
    assert f"would be read as {reading['wrong_parsed']!r}: wrong" in out


@pytest.mark.parametrize(
    ("expected", "parse", "wrong"),
    [
        ("4", "number", "5"),
        ("yes", "boolean", "false"),
        ("Paris", "text", "not Paris"),
        ("0.5", "number", "1.5"),
    ],
)
def test_check_also_shows_how_a_wrong_reply_is_read(
    tmp_path: Path, capsys: Capture, expected: str, parse: str, wrong: str
) -> None:
    (tmp_path / "items.jsonl").write_text(json.dumps({"input": "?", "expected": expected}))
    (tmp_path / "one.toml").write_text(
        f'name = "x"\ndataset = "items.jsonl"\nparse = "{parse}"\n[[conditions]]\ntype = "model"\nmodel = "gpt4o"\n'
    )
    ((reading,),) = [each["readings"] for each in _json(capsys, "check", "one.toml", "--show", "1")["shown"]]
    assert (reading["correct"], reading["wrong_correct"]) == (1, 0)
    assert str(reading["wrong_parsed"]).lower() == wrong.lower()


def test_check_shows_what_each_member_is_asked_and_how_it_is_read(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "members.toml").write_text(
        """
        name = "m"
        dataset = "demo"
        sample_size = 2
        few_shot = { k = 1 }
        [[conditions]]
        type = "ensemble"
        name = "mixed"
        members = [
          "gpt4o",
          { model = "gpt4o_mini", system = "JSON", parse = "json:letter", few_shot = { k = 0 } },
        ]
        """
    )
    (first, _) = _json(capsys, "check", "members.toml", "--show", "2")["shown"]
    plain, own = (json.loads(call["body"])["messages"] for call in first["calls"])
    assert [turn["role"] for turn in plain] == ["user", "assistant", "user"]
    assert [turn["role"] for turn in own] == ["system", "user"]
    assert [each["parse"] for each in first["readings"]] == ["choice", "json:letter"]
    assert first["readings"][1]["sample_reply"] == f'{{"letter":"{first["expected"]}"}}'
    assert [each["correct"] for each in first["readings"]] == [1, 1]
    assert main(["check", "members.toml", "--show", "1"]) == 0
    out = capsys.readouterr().out
    assert "parse choice, 1 of 50 examples shown" in out
    assert "its own prompt, parse json:letter" in out
    assert " of gpt4o_mini (parse json:letter) would be read as " in out


def test_check_shows_every_member_of_an_ensemble(capsys: Capture) -> None:
    assert main(["check", "exp.py:voting", "--show", "1"]) == 0
    out = capsys.readouterr().out
    assert "  condition three: ensemble, majority of at least 2, parse choice" in out
    assert out.count("  POST http://simulator/v1/chat/completions") == 3
    assert out.count("  POST http://127.0.0.1:9/v1/chat/completions") == 1
    assert " would be read as " in out


def test_estimate_gives_cost_time_and_power(capsys: Capture) -> None:
    assert main(["estimate", "exp.py"]) == 0
    out = capsys.readouterr().out
    assert all(
        part in out for part in ("Total queries: 40", "Estimated cost: $", "Estimated time: ", "Power: ")
    )
    found = _json(capsys, "estimate", "exp.py", "--sample-size", "20")
    assert (found["trials"], found["calls"]) == (80, 80)
    assert found["total_cost"] == pytest.approx(sum(found["per_condition"].values()))


def test_simulate_prints_its_url_and_serves_until_it_is_stopped() -> None:
    words = ["simulate", "--port", "0", "--model", "m,accuracy=1", "--fault", "500=0", "--seed", "3"]
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            body = {"model": "m", "messages": [{"role": "user", "content": "What is 2 + 3?"}]}
            reply = httpx.post(f"{url}/chat/completions", json=body, trust_env=False).json()
            assert "5" in reply["choices"][0]["message"]["content"]
            assert httpx.get(url.removesuffix("/v1") + "/stats", trust_env=False).json()["requests"] == 1
        finally:
            server.terminate()
        assert server.wait(10.0) == 0


def test_simulate_refuses_unknown_words_in_one_line() -> None:
    done = subprocess.run([*COMMAND, "simulate", "--fault", "501=1"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no fault is called '501'" in done.stderr


def test_check_says_of_a_function_what_it_is_and_how_its_answer_is_read(
    tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "own.py").write_text(
        "from crucible_ray import Experiment\n"
        "async def twice(item, call):\n    return await call.model('gpt4o', item.input)\n"
        "experiment = Experiment(name='own', dataset='demo', sample_size=1, conditions=[twice])\n"
    )
    assert main(["check", "own.py", "--show", "1"]) == 0
    out = capsys.readouterr().out
    assert "condition twice: function twice, max_calls not declared, 60 s, parse choice" in out
    assert "its function decides what is sent" in out
    assert "would be read as " in out


def test_a_sample_larger_than_the_dataset_is_a_note_everywhere_before_a_run(capsys: Capture) -> None:
    said = "1,000 items are asked for; the dataset demo holds 100."
    assert main(["check", "exp.py:priced", "--limit", "1000"]) == 0
    assert f"  note: {said}" in capsys.readouterr().out.splitlines()
    assert _json(capsys, "check", "exp.py:priced", "--limit", "1000")["notes"] == [said]
    assert main(["estimate", "exp.py:priced", "--limit", "1000"]) == 0
    assert f"Note: {said}" in capsys.readouterr().out.splitlines()
    assert main(["check", "exp.py:priced", "--limit", "100"]) == 0
    assert "note" not in capsys.readouterr().out


@pytest.mark.parametrize("simulate", [(), ("--simulate",)])
def test_a_temperature_that_no_provider_takes_is_refused_and_one_that_its_own_refuses_is_noted(
    tmp_path: Path, capsys: Capture, simulate: tuple[str, ...]
) -> None:
    (tmp_path / "hot.py").write_text(
        "from crucible_ray import Experiment, Model\n"
        "def experiment(model: str, heat: float) -> Experiment:\n"
        '    return Experiment(name="Hot", dataset="demo", sample_size=2, max_tokens=9, '
        "conditions=[Model(model, name='a', temperature=heat)])\n"
    )

    def check(model: str, heat: float) -> tuple[int, str]:
        code = main(["check", "hot.py", "-P", f"model={model}", "-P", f"heat={heat}", *simulate])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    for model, most in (("openai_gpt4o_mini", 2), ("gemini_flash", 2), ("anthropic_haiku", 1)):
        code, said = check(model, 7.0)
        assert code == 2
        assert f"Condition 'a': temperature = 7: {model} takes at most {most}." in said
    assert "note" not in check("openai_gpt4o_mini", 2.0)[1]
    code, said = check("anthropic_haiku", 1.5)
    assert code == 0
    assert (
        "  note: Condition 'a': temperature = 1.5: anthropic_haiku takes 0 to 1 and will refuse it." in said
    )
    assert "note" not in check("anthropic_haiku", 1.0)[1]
    assert check("vllm/own", 7.0)[0] == 0


def test_a_file_of_another_kind_is_told_what_an_experiment_is(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "README.md").write_text("# Mine")
    assert main(["check", "README.md"]) == 2
    assert "README.md is no experiment: one is a .py or a .toml file." in capsys.readouterr().err
