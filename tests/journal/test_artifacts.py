"""The files of a results folder: their columns, their bytes, and nothing that a spreadsheet would run."""

from __future__ import annotations

import asyncio
import csv
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crucible_ray.errors import DamagedEntry, StorageFailed
from crucible_ray.experiment.grid import Order
from crucible_ray.journal import cells
from crucible_ray.journal.artifacts import write_inputs, write_results
from crucible_ray.journal.disk import DiskLog
from crucible_ray.journal.memory import MemoryLog
from crucible_ray.journal.store import BlockingLog
from crucible_ray.records import Row
from tests.journal.making import call, items, opened, plan, row, state_of, table

COLUMNS = (
    "trial,condition,item_id,repeat,position,prediction,expected,correct,latency_ms,cost_usd,input_tokens,"
    "output_tokens,reasoning_tokens,finish_reason,calls,retries,hedges,hedge_wins,consensus,votes,error"
)
FILES = ("results.csv", "results.parquet", "calls.parquet", "prompts.parquet", "environment.json")


def written(folder: Path, log: BlockingLog, *, count: int = 20) -> Path:
    """The results of a log over `count` items, two conditions."""
    order = Order(blocks=count, conditions=2, seed=1)
    write_results(
        folder,
        plan=plan(items=count),
        items=items(count),
        log=log,
        state=state_of(log),
        positions=order.positions_of,
    )
    return folder


def log_of(*entries: list[Row], prompts: tuple[tuple[str, str] | None, ...] = ()) -> MemoryLog:
    """A log with one entry of rows after the other; `prompts` come with each."""
    log = MemoryLog()

    async def write() -> None:
        journal = await opened(log)
        for rows in entries:
            await journal.append_rows([table(*rows, prompts=prompts)], 0.0)

    asyncio.run(write())
    return log


def cell(folder: Path, trial: int = 0) -> dict[str, str]:
    """One line of `results.csv`, as a CSV reader sees it."""
    with (folder / "results.csv").open(newline="") as file:
        return next(line for line in csv.DictReader(file) if line["trial"] == str(trial))


def test_results_have_the_promised_columns_one_row_per_trial_in_order(tmp_path: Path) -> None:
    folder = written(tmp_path, log_of([row(3), row(0)], [row(2), row(1), row(3)]))
    lines = (folder / "results.csv").read_text().splitlines()
    assert lines[0] == COLUMNS
    assert [line.split(",")[:4] for line in lines[1:]] == [
        ["0", "a", "i0", "0"],
        ["1", "b", "i0", "0"],
        ["2", "a", "i1", "0"],
        ["3", "b", "i1", "0"],
    ]
    assert pq.read_schema(folder / "results.parquet").names == COLUMNS.split(",")


def test_positions_are_the_planned_ranks(tmp_path: Path) -> None:
    folder = written(tmp_path, log_of([row(k) for k in range(40)]))
    order = Order(blocks=20, conditions=2, seed=1)
    found = pq.read_table(folder / "results.parquet")
    assert found["position"].to_pylist() == order.positions_of(found["trial"].to_numpy()).tolist()
    assert sorted(found["position"].to_pylist()) == list(range(40))


def test_the_same_rows_give_the_same_bytes_however_they_lay_in_the_log(tmp_path: Path) -> None:
    rows = [row(k, latency_us=k * 37, prediction=f"p{k}", calls=(call(), call(call=1))) for k in range(2000)]
    shuffled = random.Random(3).sample(rows, len(rows))
    doubled = [shuffled[k : k + 300] for k in range(0, 2000, 300)] + [rows[:50]]
    prompt = (("p0", "[]"),)
    one = written(tmp_path / "one", log_of(rows, prompts=prompt), count=1000)
    many = written(tmp_path / "many", log_of(*doubled, prompts=prompt), count=1000)
    for name in FILES:
        assert (one / name).read_bytes() == (many / name).read_bytes(), name


def test_numbers_have_one_form(tmp_path: Path) -> None:
    made = row(0, latency_us=12_300, cost_usd=0.1 + 0.2, consensus=2 / 3, votes={"B": 2, "A": 1})
    folder = written(
        tmp_path, log_of([made, row(1, latency_us=None, cost_usd=None, error="timeout", calls=())])
    )
    found = cell(folder)
    assert [found[n] for n in ("latency_ms", "cost_usd", "consensus", "votes", "calls")] == [
        "12.300",
        "0.3",
        "0.6666666666666666",
        '{"B":2,"A":1}',
        "1",
    ]
    failed = cell(folder, 1)
    assert [failed[n] for n in ("latency_ms", "cost_usd", "calls", "error")] == ["", "", "0", "timeout"]
    assert pq.read_table(folder / "results.parquet")["latency_ms"].to_pylist() == [12.3, None]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-x", "'-x"),
        ("-3.5e2", "-3.5e2"),
        ("+4", "+4"),
        ("\tx", "'\tx"),
        ("\rx", "'\\x0dx"),
        ("a\x00b\x1b", "a\\x00b\\x1b"),
        ('say "hi", twice\n', 'say "hi", twice\n'),
        ("a\x85b\x9bc", "a\\x85b\\x9bc"),
        ("yes \u202eon\u202c", "yes \\u202eon\\u202c"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\u05e9\u200f \u200e1", "\u05e9\u200f \u200e1"),
        ("naïve é", "naïve é"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_text_is_whole_in_parquet_and_harmless_in_csv(text: str, shown: str, tmp_path: Path) -> None:
    folder = written(tmp_path, log_of([row(0, prediction=text)]))
    assert cell(folder)["prediction"] == shown
    assert pq.read_table(folder / "results.parquet")["prediction"].to_pylist() == [text]


def test_milliseconds_keep_their_zeros() -> None:
    import pyarrow as pa

    assert cells.milliseconds(pa.array([0, 7, 1_000, 61_050, None])).to_pylist() == [
        "0.000",
        "0.007",
        "1.000",
        "61.050",
        None,
    ]


def test_calls_of_rows_that_count_are_there_with_their_waits_and_no_others(tmp_path: Path) -> None:
    lost = call(attempt=0, outcome="timeout", text=None, ended_us=2500, cost_usd=None)
    won = call(attempt=1, started_us=3000, ended_us=4000, quota_wait_us=250, backoff_wait_us=500)
    folder = written(tmp_path, log_of([row(1, calls=(lost, won)), row(0)], [row(1, calls=(call(call=9),))]))
    found = pq.read_table(folder / "calls.parquet").to_pylist()
    assert [(c["trial"], c["condition"], c["call"], c["attempt"], c["outcome"]) for c in found] == [
        (0, "a", 0, 0, "ok"),
        (1, "b", 0, 0, "timeout"),
        (1, "b", 0, 1, "ok"),
    ]
    assert [(c["latency_ms"], c["quota_wait_ms"], c["backoff_wait_ms"]) for c in found[1:]] == [
        (2.5, 0.0, 0.0),
        (1.0, 0.25, 0.5),
    ]


def test_a_prompt_is_there_once_even_if_it_came_with_a_row_that_does_not_count(tmp_path: Path) -> None:
    log = MemoryLog()

    async def write() -> None:
        journal = await opened(log)
        brought = [("p1", '["one"]'), ("unused", "[]")]
        await journal.append_rows([table(row(0, calls=(call(prompt="p1"),)), row(1), prompts=brought)], 0.0)
        await journal.append_reset(0)
        rows = [row(k, calls=(call(prompt="p1"),)) for k in range(2)]
        await journal.append_rows([table(*rows, prompts=[None, ("p1", '["one"]')])], 0.0)

    asyncio.run(write())
    folder = written(tmp_path, log)
    assert pq.read_table(folder / "prompts.parquet").to_pylist() == [{"prompt": "p1", "messages": '["one"]'}]


def test_an_empty_log_leaves_headers(tmp_path: Path) -> None:
    folder = written(tmp_path, MemoryLog())
    assert (folder / "results.csv").read_text() == COLUMNS + "\n"
    assert pq.read_table(folder / "calls.parquet").num_rows == 0


def test_a_damaged_entry_is_named_and_earlier_results_stay(tmp_path: Path) -> None:
    log = log_of([row(0)], [row(1)])
    written(tmp_path, log)
    before = (tmp_path / "results.csv").read_bytes()
    state, body = state_of(log), bytearray(log.entries[2])
    body[100] ^= 0xFF
    log.entries[2] = bytes(body)
    with pytest.raises(DamagedEntry, match="checkpoint_000002"):
        write_results(
            tmp_path,
            plan=plan(items=2),
            items=items(2),
            log=log,
            state=state,
            positions=lambda trials: trials,
        )
    assert (tmp_path / "results.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


def test_results_that_cannot_be_written_end_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="file"):
        write_inputs(tmp_path / "file", plan=plan(items=1), items=items(1))


def test_config_dataset_and_environment_say_what_ran(tmp_path: Path) -> None:
    write_inputs(tmp_path, plan=plan(items=2), items=items(2))
    written(tmp_path, log_of([row(0)]))
    config: dict[str, Any] = json.loads((tmp_path / "config.json").read_text())
    assert config["experiment_id"] == "exp_0123456789ab"
    assert list(config) == sorted(config)
    lines = (tmp_path / "dataset.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["i0", "i1"]
    facts = json.loads((tmp_path / "environment.json").read_text())
    assert facts["model_versions"] == {"m": ["m-2026-01-01"]}
    assert facts["dependencies"]["pyarrow"]
    assert str(tmp_path) not in json.dumps(facts)


def test_a_run_that_is_gone_on_with_keeps_the_commit_that_it_began_with(tmp_path: Path) -> None:
    repository, results = tmp_path / "study", tmp_path / "results"
    repository.mkdir()
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(repository), *who, *words], check=True)
    write_inputs(results, plan=plan(items=2), items=items(2), experiment_folder=repository)
    began = json.loads((results / "environment.json").read_text())["git"]
    assert len(began["commit"]) == 40
    written(results, log_of([row(0)]))
    assert json.loads((results / "environment.json").read_text())["git"] == began


def test_results_are_made_from_a_log_on_disk_as_from_any(tmp_path: Path) -> None:
    log = DiskLog(tmp_path / "checkpoints")

    async def write() -> None:
        await (await opened(log)).append_rows([table(row(1), row(0))], 0.0)

    asyncio.run(write())
    on_disk = written(tmp_path / "disk", log)
    in_memory = written(tmp_path / "memory", log_of([row(0), row(1)]))
    assert (on_disk / "results.csv").read_bytes() == (in_memory / "results.csv").read_bytes()
