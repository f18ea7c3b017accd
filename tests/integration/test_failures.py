"""What goes wrong at a provider or on a disk, and how a run ends then."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crucible_ray import api
from crucible_ray.api import Progress, RunResult
from crucible_ray.errors import MissingKey, ParameterRefused, RefusedKey, StorageFailed
from crucible_ray.simulator.faults import KINDS
from tests.conftest import Simulate
from tests.integration.driver import SINGLE
from tests.integration.lab import AT_ONCE, CALLS_PER_BLOCK, MODELS, POPULATION, prepared, rows_of

KEY = "LAB_API_KEY"
WINDOW = 8


def run(folder: Path, url: Any, *, on_progress: Any = None, **changes: Any) -> RunResult:
    return api.run(
        prepared(folder, url, **changes),
        runtime="in-process",
        output_dir=folder / "out",
        clients=2,
        max_concurrent_queries=2 * WINDOW,
        progress_every_s=0.01,
        on_progress=on_progress,
    )


def results_of(folder: Path) -> Path:
    (found,) = (folder / "out").iterdir()
    return found


def test_a_missing_key_stops_before_anything_is_sent_or_written(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=AT_ONCE)
    elsewhere = dict.fromkeys(MODELS, provider.url) | {"large": "http://models.invalid/v1"}
    with pytest.raises(MissingKey, match=f"set {KEY}") as missing:
        run(tmp_path, elsewhere, api_key_env=KEY)
    assert missing.value.exit_code == 4
    assert missing.value.model == "large"
    assert provider.stats().requests == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("fault", "error", "code", "says"),
    [
        ("refuse-key", RefusedKey, 4, f"refuses the key in {KEY}"),
        ("refuse-param", ParameterRefused, 2, "this parameter is not supported"),
    ],
)
def test_a_refusal_stops_the_run_at_once_and_its_trials_stay_pending(
    tmp_path: Path,
    simulate: Simulate,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    error: type[RefusedKey | ParameterRefused],
    code: int,
    says: str,
) -> None:
    monkeypatch.setenv(KEY, "sk-not-yours")
    provider = simulate(models=AT_ONCE, faults={fault: 1.0})
    with pytest.raises(error, match=says) as refused:
        run(tmp_path, provider.url, api_key_env=KEY)
    assert refused.value.exit_code == code
    assert "sk-not-yours" not in str(refused.value)
    assert provider.stats().requests <= 2 * WINDOW * CALLS_PER_BLOCK
    plan, state = api.status(results_of(tmp_path))
    assert state.kept.count == 0
    assert state.status == "refused"
    assert plan.trials == 200


def test_a_refusal_in_the_middle_keeps_what_was_answered_and_a_resume_finishes(
    tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=AT_ONCE, faults={"refuse-param": 0.02})
    with pytest.raises(ParameterRefused):
        run(tmp_path, provider.url)
    before = api.status(results_of(tmp_path))[1].kept.count
    assert 0 < before < 200
    for _ in range(50):
        try:
            done = run(tmp_path, provider.url)
        except ParameterRefused:
            continue
        assert (done.status, done.pending) == ("complete", 0)
        assert len({row["trial"] for row in rows_of(done.results_dir)}) == 200
        return
    pytest.fail("never complete")


def test_an_unreachable_server_ends_in_failed_rows_and_says_so(tmp_path: Path) -> None:
    with socket.socket() as taken:
        # Bound and not listening: nobody else can answer here, and every connection is refused.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        result = run(tmp_path, url, **SINGLE, max_retries=1, sample_size=20)
    assert (result.status, result.failed, result.completed, result.pending) == ("complete", 20, 0, 0)
    assert {row["error"] for row in rows_of(result.results_dir)} == {"connection"}
    assert result.too_many_failed
    assert result.cost_usd == 0.0
    report = (result.results_dir / "report.md").read_text()
    assert "connection" in report


def test_with_five_percent_of_every_fault_the_run_completes_and_its_counts_are_the_servers(
    tmp_path: Path, simulate: Simulate
) -> None:
    kinds = sorted(KINDS.keys() - {"refuse-key", "refuse-param"})
    provider = simulate(
        models=AT_ONCE, faults=dict.fromkeys(kinds, 0.05), fault_retry_after_s=0.05, slow_body_s=0.1
    )
    result = run(
        tmp_path, provider.url, sample_size=50, attempt_timeout_s=3.0, timeout_s=90.0, max_retries=12
    )
    assert (result.status, result.planned, result.pending) == ("complete", 100, 0)
    stats = provider.stats()
    assert set(stats.faults) == set(kinds)

    calls = pq.read_table(result.results_dir / "calls.parquet").to_pylist()
    outcomes = [call["outcome"] for call in calls]
    assert len(calls) == result.calls_made
    assert len(calls) == stats.requests
    assert len(calls) - 50 * CALLS_PER_BLOCK == result.facts.retries
    assert result.facts.throttled == outcomes.count("rate_limit") == stats.statuses["429"]
    assert outcomes.count("overloaded") == stats.statuses["529"]
    assert outcomes.count("server_error") == stats.statuses["500"] + stats.faults["error-200"]
    assert outcomes.count("timeout") == stats.faults["stall"]
    assert outcomes.count("malformed") == stats.faults["truncated"]
    lost = sum(stats.faults[kind] for kind in ("reset", "reset-body", "truncate-length"))
    assert outcomes.count("connection_lost") == lost
    assert sum(int(row["retries"]) for row in rows_of(result.results_dir)) == result.facts.retries
    assert api.reproduce(result.results_dir, clients=4).same


def test_a_results_folder_that_vanishes_ends_in_one_clear_line(tmp_path: Path, simulate: Simulate) -> None:
    provider = simulate(models=POPULATION)

    def vanish(progress: Progress) -> None:
        if progress.done >= 50 and (tmp_path / "out").exists():
            (tmp_path / "out").rename(tmp_path / "elsewhere")

    with pytest.raises(StorageFailed) as failed:
        run(tmp_path, provider.url, on_progress=vanish, repeat=3)
    assert failed.value.exit_code == 5
    assert str(failed.value).count("\n") == 0
    assert "the folder is gone" in str(failed.value)
    assert str(tmp_path / "out") in str(failed.value)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs may be mounted here: a run on a full disk is NOT tested")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_in_one_clear_line_and_keeps_what_was_durable(
    small_disk: Path, tmp_path: Path, simulate: Simulate
) -> None:
    provider = simulate(models=POPULATION)
    filler = small_disk / "filler"
    ready = prepared(tmp_path, provider.url, repeat=3)
    results = small_disk / ready.plan.experiment_id

    def fill(progress: Progress) -> None:
        if progress.done < 50 or filler.exists() or not api.status(results)[1].kept.count:
            return
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(b"x" * 4096)
                    file.flush()
            except OSError:
                return  # full

    with pytest.raises(StorageFailed, match="No space left on device") as failed:
        api.run(
            ready, runtime="in-process", output_dir=small_disk, max_concurrent_queries=16, progress_every_s=0.01,
            on_progress=fill,
        )  # fmt: skip
    assert str(failed.value).count("\n") == 0
    before = api.status(results)[1].kept.count
    assert 0 < before < 600
    filler.unlink()
    moved = tmp_path / ready.plan.experiment_id
    shutil.copytree(results, moved)
    # The full disk took no farewell either; in this process nobody can tell that the first driver is dead.
    done = api.resume(moved, runtime="in-process", take_over=True)
    assert (done.status, done.completed + done.failed) == ("complete", 600)
