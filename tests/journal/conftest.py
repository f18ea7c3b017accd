"""The three kinds of log, each under the same tests."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import IO

import pytest

from crucible_ray.journal.cloud import ObjectLog
from crucible_ray.journal.disk import DiskLog
from crucible_ray.journal.memory import MemoryLog
from crucible_ray.journal.store import BlockingLog

_SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"}
_ONE_AT_A_TIME = """
from moto import server
threaded = server.run_simple
server.run_simple = lambda *where, **how: threaded(*where, **how | {"threaded": False})
server.main(["-H", "127.0.0.1", "-p", "0"])
"""
"""S3 looks whether a key is there and creates it in one step; moto in two, between which another thread may come."""
_fresh = count()


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """The address of a real S3 protocol server on loopback, with an empty bucket `journals`."""
    for package in ("obstore", "moto", "flask"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: the journal is NOT tested on S3's protocol")
    command = [sys.executable, "-c", _ONE_AT_A_TIME]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        assert server.stderr is not None
        try:
            url = _address(server.stderr)
            threading.Thread(target=server.stderr.read, daemon=True).start()
            made = urllib.request.Request(f"{url}/journals", method="PUT", headers=_SIGNED)
            with urllib.request.urlopen(made):
                yield url
        finally:
            server.kill()


def _address(lines: IO[str]) -> str:
    for line in lines:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found[0]
    raise AssertionError("the S3 server said no address")


def on_s3(url: str, bucket: str = "journals", folder: str = "x", *, retries: int = 10) -> ObjectLog:
    """A log on a server of S3's protocol."""
    options = {
        "config": {
            "aws_endpoint": url,
            "aws_access_key_id": "x",
            "aws_secret_access_key": "x",
            "aws_region": "us-east-1",
        },
        "client_options": {"allow_http": True},
        "retry_config": {"max_retries": retries},
    }
    return ObjectLog(f"s3://{bucket}/{folder}", options=options)


@pytest.fixture(params=["disk", "memory", "s3"])
def handles(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], BlockingLog]:
    """Makes handles of one log, as every process that uses it has its own."""
    if request.param == "disk":
        return lambda: DiskLog(tmp_path / "checkpoints")
    if request.param == "memory":
        log = MemoryLog()
        return lambda: log
    url, folder = request.getfixturevalue("s3_url"), f"log{next(_fresh)}"
    return lambda: on_s3(url, folder=folder)
