"""A key is in the memory of those who need it, in the environment it came from, and nowhere else."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from crucible_ray import api
from crucible_ray.errors import RefusedKey
from tests.conftest import Simulate
from tests.integration.driver import SINGLE
from tests.integration.lab import POPULATION, prepared, rows_of

KEY = "LAB_API_KEY"


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> str:
    """A key that stands nowhere else in the world."""
    key = f"sk-canary-{secrets.token_hex(12)}"
    monkeypatch.setenv(KEY, key)
    return key


def files_with(secret: str, folder: Path) -> list[Path]:
    """Files that hold it, compressed tables read as well."""
    return [path for path in folder.rglob("*") if path.is_file() and _holds(path, secret)]


def _holds(path: Path, secret: str) -> bool:
    if secret.encode() in path.read_bytes():
        return True
    if path.suffix != ".parquet":
        return False
    return secret in str(pq.read_table(path).to_pylist()) or secret in str(pq.read_metadata(path).metadata)


@pytest.mark.ray
@pytest.mark.slow
def test_a_run_on_ray_leaves_its_key_in_no_file_no_output_and_no_command_line(
    tmp_path: Path, simulate: Simulate, canary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRUCIBLE_STATE_DIR", str(tmp_path / "state"))
    provider = simulate(models=POPULATION, faults={"500": 0.05, "429": 0.01, "reset-body": 0.02})
    folder = tmp_path / "lab"
    folder.mkdir()
    words = [sys.executable, "-m", "tests.integration.driver", str(folder), provider.url, "--key", KEY]
    words += ["--rpm", "6000", "--kill-at", "0.4"]
    with (
        (tmp_path / "stderr").open("wb") as stderr,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=stderr, text=True) as child,
    ):
        assert child.stdout is not None
        said: list[str] = []
        seen: dict[int, str] = {}
        for line in child.stdout:
            said.append(line)
            if len(said) % 10 == 0:
                seen |= {
                    p.pid: " ".join(p.cmdline()) for p in psutil.Process(child.pid).children(recursive=True)
                }
    assert said[-1] == "ended complete\n"
    # Nothing but our own lines, although an actor died: Ray says so in its logs alone.
    assert {line.split()[0] for line in said} <= {"starting", "running", "finishing", "ended"}
    (session,) = {
        Path(part[10:]).parent for line in seen.values() for part in line.split() if part[:10] == "--log_dir="
    }
    assert list((session / "logs").glob("worker-*"))
    assert any("ClientActor" in line for line in seen.values())
    assert list((tmp_path / "state" / "limits").iterdir())

    assert files_with(canary, session) == []
    assert files_with(canary, tmp_path) == []
    assert canary not in "".join(said)
    assert not any(canary in line for line in seen.values())


class _Echo(BaseHTTPRequestHandler):
    """A provider that answers with the key that it was shown."""

    status = 400

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        text = f'{{"error": {{"message": "bad: {self.headers["Authorization"]}", "type": "invalid_request_error"}}}}'
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        """Quiet."""


class _EchoRefused(_Echo):
    status = 401


@contextmanager
def echo(handler: type[_Echo]) -> Iterator[str]:
    """Such a provider; its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


def test_a_key_that_the_provider_says_back_is_not_recorded(
    tmp_path: Path, canary: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with echo(_Echo) as url:
        ready = prepared(tmp_path, url, api_key_env=KEY, sample_size=5, **SINGLE)
        assert canary not in repr(ready)
        result = api.run(ready, runtime="in-process", output_dir=tmp_path)
    assert {row["error"] for row in rows_of(result.results_dir)} == {"bad_request"}
    details = pq.read_table(result.results_dir / "calls.parquet")["detail"].to_pylist()
    assert all("bad: " in detail for detail in details)
    assert files_with(canary, tmp_path) == []
    assert canary not in "".join(capfd.readouterr())


def test_a_key_that_the_provider_refuses_is_not_said(
    tmp_path: Path, canary: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with echo(_EchoRefused) as url:
        ready = prepared(tmp_path, url, api_key_env=KEY, sample_size=5, **SINGLE)
        with pytest.raises(RefusedKey, match="bad: ") as refused:
            api.run(ready, runtime="in-process", output_dir=tmp_path)
    assert canary not in str(refused.value) + repr(refused.value)
    assert files_with(canary, tmp_path) == []
    assert canary not in "".join(capfd.readouterr())


def test_a_functions_exception_shows_no_key(
    tmp_path: Path, simulate: Simulate, canary: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async def leaks(item: Any, call: Any) -> Any:
        await call.model("small", "?")
        raise RuntimeError(f"refused with {os.environ[KEY]}")

    url = simulate(models=POPULATION).url
    ready = prepared(tmp_path, url, conditions=[leaks], sample_size=2, hypotheses=[], api_key_env=KEY)
    result = api.run(ready, runtime="in-process", output_dir=tmp_path / "out", on_note=print)
    assert {row["error"] for row in rows_of(result.results_dir)} == {"exception"}
    said = capfd.readouterr()
    assert "refused with [key]" in said.out + said.err
    assert canary not in said.out + said.err
    assert files_with(canary, tmp_path) == []


def test_a_parsers_exception_shows_no_key(
    tmp_path: Path, simulate: Simulate, canary: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def leaks(text: str) -> str:
        raise RuntimeError(f"refused with {os.environ[KEY]}")

    url = simulate(models=POPULATION).url
    ready = prepared(tmp_path, url, parse=leaks, sample_size=2, hypotheses=[], api_key_env=KEY)
    result = api.run(ready, runtime="in-process", output_dir=tmp_path / "out", on_note=print)
    assert {row["error"] for row in rows_of(result.results_dir)} == {"exception"}
    said = capfd.readouterr()
    assert "refused with [key]" in said.out + said.err
    assert canary not in said.out + said.err
    assert files_with(canary, tmp_path) == []
