"""`run`, `resume`, `retry`, `status`, `reproduce`: from a file to a report and back, in this process."""

from __future__ import annotations

import json
import logging
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from crucible_ray.cli.main import main
from crucible_ray.cli.running import checkpoint_number
from crucible_ray.errors import UsageError
from crucible_ray.simulator import SimulatedModel
from tests.cli.console import console, crucible, workplace
from tests.conftest import Simulate

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(workplace(tmp_path))
    return tmp_path


def _facts(capsys: Capture, code: int, *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == code
    facts = json.loads(capsys.readouterr().out)
    assert isinstance(facts, dict)
    return facts


def test_a_run_says_what_the_contract_lists_and_leaves_its_files(here: Path, capsys: Capture) -> None:
    facts = _facts(capsys, 0, "run", "exp.py", "--in-process")
    assert list(facts) == [
        "experiment_id", "results_dir", "status", "trials", "completed", "failed", "pending", "calls", "cost_usd",
        "duration_s", "reports",
    ]  # fmt: skip
    assert (facts["status"], facts["trials"], facts["completed"], facts["calls"]) == ("complete", 40, 40, 40)
    names = {path.name for path in Path(facts["results_dir"]).iterdir()}
    assert names == {
        "config.json", "environment.json", "dataset.jsonl", "results.csv", "results.parquet", "calls.parquet",
        "prompts.parquet", "analysis.json", "report.md", "report.html", "run.json", "run.log", "checkpoints",
    }  # fmt: skip


def test_people_read_facts_on_stdout_and_progress_on_stderr(here: Path, capsys: Capture) -> None:
    assert main(["run", "exp.py", "--in-process"]) == 0
    out, err = capsys.readouterr()
    for part in (
        "Estimated cost: $",
        "Power: ",
        "Trials 40/40",
        "Results saved to: ",
        "Next: crucible-ray reproduce",
    ):
        assert part in out
    assert err.startswith("Loading exp.py ...\n")
    assert "Simulated: no money is spent, so nothing is asked." in out


def test_the_last_lines_name_the_report_to_open_and_then_what_to_do_next(here: Path, capsys: Capture) -> None:
    assert main(["run", "exp.py", "--in-process"]) == 0
    report, after = capsys.readouterr().out.splitlines()[-2:]
    assert re.fullmatch(r"Report: results/exp_[0-9a-f]{12}/report\.html", report)
    assert after.startswith("Next: ")
    assert main(["run", "exp.py", "--in-process", "--format", "markdown", "--output-dir", "other"]) == 0
    assert capsys.readouterr().out.splitlines()[-2].endswith("/report.md")


def test_the_command_that_a_report_prints_asks_the_same_experiment(here: Path, capsys: Capture) -> None:
    words = ["--limit", "4", "--epochs", "2", "--seed", "5", "--max-cost", "0.5"]
    facts = _facts(capsys, 0, "run", "exp.py", "--in-process", *words)
    report = (Path(facts["results_dir"]) / "report.md").read_text()
    (command,) = re.findall(r"`crucible-ray (run [^`]*)`", report)
    assert all(part in command for part in ("--sample-size 4", "--repeat 2", "--seed 5", "--max-cost 0.5"))
    again = _facts(capsys, 0, *shlex.split(command), "--in-process", "--output-dir", "anew")
    assert again["experiment_id"] == facts["experiment_id"]


def test_quiet_says_nothing(here: Path, capsys: Capture) -> None:
    assert main(["run", "exp.py", "--in-process", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_flags_change_the_experiment(here: Path, capsys: Capture) -> None:
    words = (
        "run",
        "exp.py",
        "--in-process",
        "--limit",
        "3",
        "--epochs",
        "1",
        "--seed",
        "5",
        "-P",
        "model=slow",
    )
    facts = _facts(capsys, 0, *words, "--output-dir", "elsewhere")
    assert facts["trials"] == 6
    assert facts["results_dir"].startswith("elsewhere/exp_")
    config = json.loads((Path(facts["results_dir"]) / "config.json").read_text())
    assert (config["seed"], config["repeats"], config["items"]) == (5, 1, 3)
    assert config["conditions"][1]["calls"][0]["model"]["name"] == "slow"


def test_a_finished_run_is_not_asked_again(here: Path, capsys: Capture) -> None:
    first = _facts(capsys, 0, "run", "exp.py", "--in-process")
    again = _facts(capsys, 0, "run", "exp.py", "--in-process")
    assert (again["calls"], again["completed"]) == (0, 40)
    assert again["results_dir"] == first["results_dir"]


def test_no_resume_refuses_what_could_be_resumed_and_force_starts_anew(here: Path, capsys: Capture) -> None:
    _facts(capsys, 0, "run", "exp.py", "--in-process")
    assert main(["run", "exp.py", "--in-process", "--no-resume"]) == 2
    assert "already holds 40 trials" in capsys.readouterr().err
    assert _facts(capsys, 0, "run", "exp.py", "--in-process", "--force", "--no-resume")["calls"] == 40


def test_a_run_that_spends_money_is_confirmed_or_refused(here: Path, capsys: Capture) -> None:
    done = crucible("run", "exp.py:priced", "--in-process", cwd=here, env={"OPENAI_API_KEY": "sk-test"})
    assert done.returncode == 2
    assert "Estimated cost: $" in done.stdout
    assert done.stderr.splitlines()[-1] == (
        "Error: this is no terminal, so nobody can be asked: add --yes to run it at this cost."
    )
    assert not (here / "results").exists()


def test_no_is_the_answer_of_whoever_just_presses_return(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with console("run", "exp.py:priced", "--in-process", cwd=here) as terminal:
        terminal.expect(r"Estimated cost: \$")
        terminal.expect(r"Continue\? \[y/N\]: ")
        terminal.type("\n")
        assert terminal.wait() == 2
        assert "not confirmed: nothing was run and nothing was spent." in terminal.seen


def test_a_budget_stops_with_exit_3_and_a_larger_one_goes_on(here: Path, capsys: Capture) -> None:
    facts = _facts(capsys, 3, "run", "exp.py", "--in-process", "-P", "n=25", "--max-cost", "0.003")
    assert facts["status"] == "budget"
    assert facts["pending"] > 0
    assert facts["cost_usd"] <= 0.003
    assert facts["completed"] + facts["failed"] + facts["pending"] == facts["trials"]
    standing = _facts(capsys, 0, "status", facts["experiment_id"])
    assert (standing["status"], standing["alive"], standing["done"]) == ("budget", False, facts["completed"])
    assert main(["resume", facts["experiment_id"], "--in-process", "--max-cost", "-1"]) == 2
    rest = _facts(capsys, 0, "resume", facts["experiment_id"], "--in-process", "--max-cost", "5")
    assert rest["completed"] == rest["trials"]
    assert rest["calls"] == facts["pending"]


def test_a_budget_stop_names_the_command_that_goes_on(here: Path, capsys: Capture) -> None:
    assert main(["run", "exp.py", "--in-process", "-P", "n=25", "--max-cost", "0.003", "--quiet"]) == 3
    out, err = capsys.readouterr()
    assert not out
    assert "Go on with a larger one: crucible-ray resume results/exp_" in err
    assert re.search(r"no room for another trial \(at most \$0\.000\d+\): \$0\.00\d+ of \$0\.003 spent;", err)


def test_a_budget_without_room_for_one_trial_is_refused_before_anything_is_left(
    here: Path, capsys: Capture
) -> None:
    assert main(["run", "exp.py", "--in-process", "--max-cost", "0.000001"]) == 2
    err = capsys.readouterr().err
    assert "may cost up to $0.000" in err
    assert "more than the budget's max_total of $1e-06." in err
    assert "Raise it (--max-cost sets max_total), or set max_tokens" in err
    assert not (here / "results").exists()


def test_too_many_failures_are_exit_1_and_retry_runs_them_again(here: Path, capsys: Capture) -> None:
    assert main(["run", "exp.py", "--in-process", "--yes", "-P", "n=3", "-P", "model=failing"]) == 1
    out, err = capsys.readouterr()
    assert re.search(r"6 of 6 failed: 6 x connection\n    the first was told: .*(refused|connect)", out, re.I)
    assert "Error: 6 of 12 trials failed, more than the 5 % allowed." in err
    assert "Run them again with: crucible-ray retry results/exp_" in err
    folder = str(next((here / "results").iterdir()))
    again = _facts(capsys, 1, "retry", folder, "--in-process")
    assert (again["failed"], again["completed"]) == (6, 6)
    assert again["calls"] >= 6
    standing = _facts(capsys, 0, "status", folder)
    assert (standing["failed"], standing["pending"]) == (6, 0)


def test_a_checkpoint_can_be_gone_back_to(here: Path, capsys: Capture) -> None:
    facts = _facts(capsys, 0, "run", "exp.py", "--in-process", "-P", "n=3", "-P", "model=slow")
    marked = _facts(capsys, 0, "status", facts["results_dir"])["checkpoints"]
    assert [each["rows"] // 4 for each in marked] == sorted({each["rows"] // 4 for each in marked})
    name = f"checkpoint_{marked[0]['number']:06d}.parquet"
    assert (Path(facts["results_dir"]) / "checkpoints" / name).is_file()
    again = _facts(capsys, 0, "resume", facts["results_dir"], "--in-process", "--checkpoint", name)
    assert again["calls"] == 12 - marked[0]["rows"]
    assert main(["resume", facts["results_dir"], "--in-process", "--checkpoint", "checkpoint_000999"]) == 2
    assert "There is no checkpoint 999; marked are: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["checkpoint_000004.parquet", "checkpoint_000004", "4", "x/checkpoint_000004.parquet"]
)
def test_a_checkpoint_is_named_in_any_way(name: str) -> None:
    assert checkpoint_number(name) == 4


def test_what_is_no_checkpoint_is_refused() -> None:
    with pytest.raises(UsageError, match="write checkpoint_000004"):
        checkpoint_number("results.csv")


def test_status_shows_checkpoints_and_the_next_command(here: Path, capsys: Capture) -> None:
    facts = _facts(capsys, 3, "run", "exp.py", "--in-process", "-P", "n=25", "--max-cost", "0.003")
    assert main(["status", facts["results_dir"]]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Two models ({facts['experiment_id']}): budget\n")
    assert f"({facts['completed']}/100 trials)" in out
    assert "    checkpoint_0000" in out
    assert f"  go on with: crucible-ray resume {facts['results_dir']} --max-cost USD\n" in out


def test_reproduce_says_same_and_names_the_file_that_differs(here: Path, capsys: Capture) -> None:
    facts = _facts(capsys, 0, "run", "exp.py", "--in-process")
    for clients in ("1", "4"):
        same = _facts(capsys, 0, "reproduce", facts["results_dir"], "--clients", clients)
        assert same == {
            "same": True,
            "trials": 40,
            "identical": {"results.csv": True, "analysis.json": True},
            "notes": [],
        }
    csv = Path(facts["results_dir"]) / "results.csv"
    csv.write_text(csv.read_text().replace(",A,", ",B,", 1))
    assert main(["reproduce", facts["results_dir"]]) == 1
    out, err = capsys.readouterr()
    assert "  results.csv: DIFFERENT\n  analysis.json: identical\n" in out
    assert "Error: the replay gives another results.csv than the one in " in err


def test_the_log_is_json_lines_without_a_key_and_the_root_logger_is_left_alone(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "sk-canary-1234567890")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    toml = (here / "crucible.toml").read_text()
    (here / "crucible.toml").write_text(
        toml.replace('model = "anything"', 'api_key_env = "SECRET_KEY"\nmodel = "a"')
    )
    before = list(logging.getLogger().handlers), logging.getLogger().level
    facts = _facts(capsys, 0, "run", "exp.py:voting", "--in-process", "--yes")
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == before
    text = (Path(facts["results_dir"]) / "run.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines if line["level"] == "info"] == ["start", "end"]
    assert {"event", "level", "timestamp"} <= lines[0].keys()
    assert any(line["event"] == "progress" for line in lines)
    for path in Path(facts["results_dir"]).rglob("*"):
        assert not path.is_file() or b"sk-canary" not in path.read_bytes()


@pytest.mark.parametrize(("fault", "code"), [("refuse-param", 2), ("refuse-key", 4)])
def test_a_refused_run_prints_its_facts_once_and_says_why(
    fault: str, code: int, here: Path, capsys: Capture, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = simulate(models=[SimulatedModel(name="m")], faults={fault: 1.0})
    monkeypatch.setenv("REAL_KEY", "sk-test")
    with (here / "crucible.toml").open("a") as settings:
        settings.write(
            f'[models.real]\nprovider = "openai"\nmodel = "m"\nbase_url = "{provider.url}"\n'
            'api_key_env = "REAL_KEY"\n'
        )
    (here / "one.py").write_text(
        "from crucible_ray import Experiment, Model\n"
        'experiment = Experiment(name="One", dataset="demo", sample_size=5, conditions=[Model("real")])\n'
    )
    assert main(["run", "one.py", "--in-process", "--yes", "--json"]) == code
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert (facts["status"], facts["trials"], facts["pending"]) == ("refused", 5, 5)
    assert err.count("Error: ") == 1


def test_gates_judge_what_is_resumed_retried_rescored_and_reported_too(here: Path, capsys: Capture) -> None:
    where = _facts(capsys, 0, "run", "exp.py", "--in-process")["results_dir"]
    fails = ("--fail-if", "accuracy[quick] < 2", "--junit", "out.xml")
    # Read as text every reply is wrong, so only the rescoring is worse than the run, whatever the replies were.
    for verb in (("resume",), ("retry",), ("rescore", "--parse", "text"), ("report",)):
        (here / "out.xml").unlink(missing_ok=True)
        assert main([verb[0], where, *verb[1:], *fails]) == 1
        assert "a gate failed: accuracy[quick] < 2: it is" in capsys.readouterr().err
        assert 'message="it is' in (here / "out.xml").read_text()
        assert main([verb[0], where, *verb[1:], "--baseline", where]) == int(verb[0] == "rescore")
    asked = _facts(capsys, 0, "report", where, "--fail-if", "latency_p99[other] < 0")
    assert [gate["passed"] for gate in asked["gates"]] == [True]
    assert main(["report", where, "--fail-if", "acuracy[quick] < 1"]) == 2


def test_gates_decide_the_exit_code_and_stand_in_facts_and_junit(here: Path, capsys: Capture) -> None:
    words = ("run", "exp.py", "--in-process", "--junit", "out.xml")
    facts = _facts(capsys, 0, *words, "--fail-if", "accuracy[quick] < 0.1")
    assert [gate["passed"] for gate in facts["gates"]] == [True]
    again = ("--fail-if", "accuracy[quick] < 0.1", "--fail-if", "latency_p50[other] > 0", "--json")
    assert main([*words, *again]) == 1
    out, err = capsys.readouterr()
    assert [gate["passed"] for gate in json.loads(out)["gates"]] == [True, False]
    assert "Error: a gate failed: latency_p50[other] > 0: it is " in err
    assert "a gate passed: accuracy[quick] < 0.1: it is " in err
    assert 'classname="gates" name="latency_p50[other] &gt; 0"' in (here / "out.xml").read_text()


def test_a_faulty_gate_is_told_before_anything_runs(here: Path, capsys: Capture) -> None:
    assert main(["run", "exp.py", "--in-process", "--fail-if", "acuracy[quick] < 1"]) == 2
    assert "did you mean 'accuracy'?" in capsys.readouterr().err
    assert main(["run", "exp.py", "--in-process", "--baseline", "nowhere"]) == 2
    assert not (here / "results").exists()


def test_a_run_is_held_against_an_earlier_one(here: Path, capsys: Capture) -> None:
    first = _facts(capsys, 0, "run", "exp.py", "--in-process", "-P", "n=40")
    same = _facts(
        capsys, 0, "run", "exp.py", "--in-process", "-P", "n=40", "--baseline", first["results_dir"]
    )
    assert [gate["value"] for gate in same["gates"]] == [0.0, 0.0]
    settings = (here / "crucible.toml").read_text().replace("accuracy = 0.8", "accuracy = 0.1")
    (here / "crucible.toml").write_text(settings)
    worse = _facts(
        capsys, 1, "run", "exp.py", "--in-process", "-P", "n=40", "--baseline", first["results_dir"]
    )
    quick = next(gate for gate in worse["gates"] if "[quick]" in gate["text"])
    assert not quick["passed"]
    assert quick["value"] < -0.3
    assert "40 items in both" in quick["detail"]


@pytest.mark.parametrize("chosen", ["", "ray.util.rpdb._driver_set_trace"])
def test_breakpoint_in_a_function_condition_has_the_terminal_to_itself(
    here: Path, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    monkeypatch.setenv("PYTHONBREAKPOINT", chosen)
    (here / "own.py").write_text(
        "from crucible_ray import Experiment\n"
        "async def ask(item, call):\n"
        "    if item.id == '1':\n"
        "        breakpoint()\n"
        "    return await call.model('quick', item.input, max_tokens=9)\n"
        "items = [{'id': str(n), 'input': f'{n} + {n}?', 'expected': str(2 * n)} for n in range(3)]\n"
        "experiment = Experiment(name='Own', dataset=items, conditions=[ask], parse='number')\n"
    )
    with console("run", "own.py", "--simulate", "--in-process", cwd=here) as terminal:
        terminal.expect(r"\(Pdb\) ")
        terminal.type("p item.id\n")
        terminal.expect(r"'1'\r\n")
        asked = terminal.seen.partition("(Pdb) ")[2]
        assert "starting" not in asked, "nothing is drawn over it"
        terminal.type("c\n")
        assert terminal.wait() == 0
        assert "Trials 3/3" in terminal.seen


def test_a_dataset_and_models_are_enough(here: Path, capsys: Capture) -> None:
    (here / "items.csv").write_text(
        "id,input,expected\n" + "".join(f"{n},{n} + {n}?,{2 * n}\n" for n in range(6))
    )
    words = ("--dataset", "items.csv", "--model", "quick", "--model", "slow", "--prompt", "Say {{ input }}")
    facts = _facts(capsys, 0, "run", *words, "--in-process", "--metric", "accuracy")
    assert (facts["trials"], facts["completed"]) == (12, 12)
    plan = json.loads((Path(facts["results_dir"]) / "config.json").read_text())
    assert [condition["name"] for condition in plan["conditions"]] == ["quick", "slow"]
    assert plan["metrics"] == ["accuracy"]
    assert plan["conditions"][0]["prompt"]["template"] == "Say {{ input }}"
    assert main(["run", "--dataset", "items.csv"]) == 2
    assert "--dataset FILE --model NAME" in capsys.readouterr().err
    assert main(["run", "exp.py", "--model", "quick"]) == 2
    assert "leave one out" in capsys.readouterr().err


def test_reuse_says_what_it_found_and_makes_no_call_twice(here: Path, capsys: Capture) -> None:
    first = _facts(capsys, 0, "run", "exp.py", "--in-process")
    assert main(["run", "exp.py", "--in-process", "-P", "n=15", "--reuse", "auto", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "Total queries: 20 of 60" in err
    assert f"Replies paid for already: 40 from {first['experiment_id']};" in err
    assert "reused: 40 calls that are paid for, 40 trials whole (looked at 1 results folder," in err
    facts = json.loads(out)
    assert (facts["trials"], facts["completed"], facts["calls"]) == (60, 60, 20)
    assert main(["reproduce", facts["results_dir"]]) == 0
    assert facts["experiment_id"] != first["experiment_id"]


def test_rescore_says_what_came_out_otherwise(here: Path, capsys: Capture) -> None:
    first = _facts(capsys, 0, "run", "exp.py", "--in-process")
    facts = _facts(capsys, 0, "rescore", first["results_dir"], "--parse", "text")
    assert facts["calls"] == 0
    assert facts["revision"]["changed"]["quick.parse"] == ["choice", "text"]
    assert main(["rescore", first["results_dir"], "--metric", "consensus"]) == 0
    out = capsys.readouterr().out
    assert "Revision 2 of" in out
    assert "metrics: ['accuracy'] -> ['consensus', 'accuracy']" in out
    assert main(["status", first["results_dir"]]) == 0
    assert "revisions: " in capsys.readouterr().out


def test_one_condition_of_an_experiment_is_run_alone(here: Path, capsys: Capture) -> None:
    facts = _facts(capsys, 0, "run", "exp.py", "--in-process", "--condition", "quick")
    assert [facts[name] for name in ("status", "completed", "pending", "calls")] == ["stopped", 20, 20, 20]
    assert main(["run", "exp.py", "--in-process", "--condition", "quik"]) == 2
    assert "did you mean 'quick'?" in capsys.readouterr().err
    shown = _facts(capsys, 0, "check", "exp.py", "--show", "1", "--condition", "other")["shown"]
    assert [each["condition"] for each in shown] == ["other"]


def test_a_record_with_nothing_to_run_is_answered_without_ray(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = _facts(capsys, 0, "run", "exp.py", "--in-process", "-P", "n=3")

    def never(*given: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr("crucible_ray.actors.cluster.RayThread", never)
    for verb in ("resume", "retry"):
        assert main([verb, str(facts["results_dir"]), "--json"]) == 0
        out, err = capsys.readouterr()
        again = json.loads(out)
        assert (again["status"], again["completed"], again["calls"]) == ("complete", 12, 0)
        assert "Nothing has failed and nothing is pending" in err
    for verb, where, said in (
        (
            "resume",
            [facts["results_dir"], "--checkpoint", "9999"],
            "There is no checkpoint 9999; marked are:",
        ),
        ("resume", ["nowhere"], "neither a results folder nor an experiment"),
    ):
        assert main([verb, *where]) == 2
        assert said in capsys.readouterr().err


def test_status_shows_several_runs_and_what_is_none(here: Path, capsys: Capture) -> None:
    runs = [
        _facts(capsys, 0, "run", "exp.py", "--in-process", "-P", f"n={count}")["results_dir"]
        for count in (2, 3)
    ]
    assert main(["status", *runs]) == 0
    out = capsys.readouterr().out
    assert out.count("Two models (exp_") == 2
    assert "(8/8 trials)" in out
    assert "(12/12 trials)" in out
    capsys.readouterr()
    assert main(["status", *runs, "nowhere", "--json"]) == 2
    out, err = capsys.readouterr()
    assert [each["done"] for each in json.loads(out)] == [8, 12]
    assert "nowhere is neither a results folder" in err
    assert _facts(capsys, 0, "status", runs[0])["done"] == 8
