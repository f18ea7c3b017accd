"""The simulator as a child process and as a program."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from crucible_ray.errors import CannotContinue
from crucible_ray.simulator import SimulatedModel, SimulatorConfig, SimulatorProcess
from crucible_ray.simulator.command import main
from tests.simulator.raw import ask

_ROOT = Path(__file__).resolve().parents[2]


def test_a_child_serves_its_configuration_and_logs_each_request(tmp_path: Path) -> None:
    items, replies, log = (tmp_path / name for name in ("items.jsonl", "replies.jsonl", "log.jsonl"))
    items.write_text('{"id": "q", "input": "Which?", "expected": "A", "choices": ["x", "y"]}\n')
    replies.write_text('{"model": "b", "id": "q", "reply": "It is B"}\n')
    config = SimulatorConfig(models=(SimulatedModel(name="a", accuracy=1.0),), faults={"529": 0.01})
    with SimulatorProcess(config, items=items, replies=replies, log=log) as process:
        assert "A" in asyncio.run(ask(process.url, "Which?", key="secret")).text
        assert asyncio.run(ask(process.url, "Which?", "b")).text == "It is B"
        assert process.stats().models == {"a": 1, "b": 1}
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["model"], line["item"], line["nth"], line["status"]) for line in lines] == [
        ("a", "q", 0, 200),
        ("b", "q", 0, 200),
    ]
    assert all(line["simulated"] for line in lines)
    assert "secret" not in log.read_text()


def test_a_file_named_like_the_standard_library_does_not_keep_a_child_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "types.py").write_text("raise SystemExit('this is no standard library')\n")
    monkeypatch.chdir(tmp_path)
    with SimulatorProcess(SimulatorConfig()) as process:
        assert asyncio.run(ask(process.url, "?")).status == 200


def test_a_child_outlives_the_thread_that_started_it_but_not_its_stop() -> None:
    process = SimulatorProcess(SimulatorConfig())
    thread = threading.Thread(target=process.start)
    thread.start()
    thread.join()
    assert asyncio.run(ask(process.url, "?")).status == 200
    assert process.stats().requests == 1
    pid = process.pid
    assert pid is not None
    process.stop()
    process.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_child_dies_with_a_parent_that_is_killed() -> None:
    program = (
        "import sys, time\n"
        "from crucible_ray.simulator import SimulatorConfig, SimulatorProcess\n"
        "process = SimulatorProcess(SimulatorConfig())\n"
        "process.start()\n"
        "print(process.url, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        parent.send_signal(signal.SIGKILL)

    async def until_refused() -> None:
        while True:
            try:
                await ask(url, "?")
            except ConnectionRefusedError:
                return

    asyncio.run(asyncio.wait_for(until_refused(), 10.0))


def test_a_child_that_cannot_start_is_an_error_not_a_silence(tmp_path: Path) -> None:
    with (
        pytest.raises(CannotContinue, match="exit code 2"),
        SimulatorProcess(SimulatorConfig(), items=tmp_path / "absent.jsonl"),
    ):
        pass


def test_the_program_takes_the_words_of_the_contract(tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    items.write_text('{"input": "Which?", "expected": "B", "choices": ["x", "y"]}\n')
    words = (
        f"--port 0 --items {items} --rpm 3 --limit-kind bucket --bucket-size 2 --seed 9 "
        f"--fault empty=1 --model a,accuracy=1,tail=0.1:5,output_tokens=3 --log {tmp_path / 'log'}"
    )
    command = [sys.executable, "-m", "crucible_ray.simulator", *words.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        seen = [asyncio.run(ask(url, "Which?")) for _ in range(3)]
        child.send_signal(signal.SIGTERM)
        assert child.wait(5.0) == 0
    assert [s.status for s in seen] == [200, 200, 429]
    assert seen[0].text == ""
    assert len((tmp_path / "log").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--config {", "--config"),
        ('--config {"rmp":5}', "rmp"),
        ("--fault 500=0.7 --fault 529=0.7", "sum to at most 1"),
        ("--items /nowhere/items.jsonl", "Cannot read /nowhere/items.jsonl"),
    ],
)
def test_wrong_words_end_in_one_line_and_exit_code_2(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_an_unknown_fault_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--fault", "flood=0.1"])
    assert caught.value.code == 2
    assert "slow-body" in capsys.readouterr().err
