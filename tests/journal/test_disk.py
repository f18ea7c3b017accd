"""What only a disk does: it fills up, it goes away, its writers are killed."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crucible_ray.errors import StorageFailed
from crucible_ray.journal.disk import DiskLog, publish
from crucible_ray.journal.entries import decode_entry
from tests.journal.making import opened, row, table

ROOT = Path(__file__).resolve().parents[2]


def test_a_writer_killed_at_any_moment_leaves_whole_entries_and_all_that_it_confirmed(tmp_path: Path) -> None:
    confirmed: list[int] = []
    for round_number in range(4):
        command = [sys.executable, "-m", "tests.journal.writer", str(tmp_path / "log"), f"w{round_number}"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said = [int(writer.stdout.readline()) for _ in range(3 + 5 * round_number)]
            writer.kill()
            said += [int(line) for line in writer.stdout if line.endswith("\n")]
        confirmed += said
    log = DiskLog(tmp_path / "log")
    numbers = log.numbers_now()
    assert set(confirmed) <= set(numbers)
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) <= len(confirmed) + 4
    for number in numbers:
        assert decode_entry(log.read_now(number), number, "log").table().num_rows == 500


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs may be mounted here: a full disk is NOT tested")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_in_one_clear_line_and_keeps_what_was_written(tiny_disk: Path) -> None:
    log = DiskLog(tiny_disk / "log")
    assert log.create_now(1, os.urandom(100_000))
    with pytest.raises(StorageFailed, match="No space left on device"):
        log.create_now(2, os.urandom(300_000))
    assert log.numbers_now() == [1]
    assert sorted(path.name for path in log.folder.iterdir()) == ["checkpoint_000001.parquet"]
    assert log.create_now(2, b"small")


def test_a_file_size_limit_ends_in_one_clear_line(tmp_path: Path) -> None:
    log = DiskLog(tmp_path / "log")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StorageFailed, match="File too large"):
            log.create_now(1, b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log.numbers_now() == []


def test_a_folder_that_vanished_is_said_and_not_made_anew(tmp_path: Path) -> None:
    async def write() -> None:
        journal = await opened(DiskLog(tmp_path / "results" / "log"))
        await journal.append_rows([table(row(0))], 0.1)
        shutil.rmtree(tmp_path / "results")
        with pytest.raises(StorageFailed, match="the folder is gone"):
            await journal.append_rows([table(row(1))], 0.2)
        with pytest.raises(StorageFailed, match="the folder is gone"):
            await journal.keep_alive()

    asyncio.run(write())
    assert not (tmp_path / "results").exists()


def test_a_folder_that_is_a_file_is_no_number_taken(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    with pytest.raises(StorageFailed):
        DiskLog(tmp_path / "log").create_now(1, b"x")


def test_what_a_killed_writer_left_aside_is_no_entry_and_is_cleared_once_it_is_old(tmp_path: Path) -> None:
    old, young = tmp_path / ".aside_old", tmp_path / ".aside_young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1.0, 1.0))
    log = DiskLog(tmp_path)
    assert log.numbers_now() == []
    log.create_now(1, b"x")
    assert not old.exists()
    assert young.exists()


def test_names_that_only_look_like_entries_are_passed_over(tmp_path: Path) -> None:
    for name in ("checkpoint_1.parquet", "checkpoint_0000001.parquet", "checkpoint_000001.parquet.bak"):
        (tmp_path / name).write_text("")
    assert DiskLog(tmp_path).numbers_now() == []


def _no_links(source: Path, target: Path) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_file_system_without_hard_links_gets_a_rename_that_spares_what_is_there(tmp_path: Path) -> None:
    first, second, final = tmp_path / "1", tmp_path / "2", tmp_path / "final"
    first.write_text("first")
    second.write_text("second")
    publish(first, final, link=_no_links)
    with pytest.raises(FileExistsError):
        publish(second, final, link=_no_links)
    assert final.read_text() == "first"
    assert second.exists()
