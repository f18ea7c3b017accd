"""`scripts/bootstrap.sh`: a wrong Python is refused in one line, and a .venv that is there is not built again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("sh", "dirname", "cksum", "tr", "touch", "rm")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone with nothing on its PATH but a Python that is too old."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "bootstrap.sh", tmp_path / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    old = tmp_path / "bin" / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2 || exit 1\n')
    old.chmod(0o755)
    return tmp_path


def _bootstrap(checkout: Path, kind: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "scripts/bootstrap.sh", kind],
        cwd=checkout,
        env={"PATH": str(checkout / "bin")},
        capture_output=True,
        text=True,
        timeout=30,
    )


def _stamped(checkout: Path, kind: str) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
    text = (checkout / "pyproject.toml").read_text()
    sums = subprocess.run(["cksum"], input=text, capture_output=True, text=True, check=True).stdout
    (checkout / ".venv" / f".crucible-{kind}-{'-'.join(sums.split())}").touch()


def test_a_wrong_python_is_refused_in_one_line_that_names_the_one_wanted(checkout: Path) -> None:
    done = _bootstrap(checkout, "base")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "crucible-ray needs Python 3.11 or later on PATH; python3 here is Python 3.9.2.\n"
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(("built", "asked"), [("base", "base"), ("dev", "dev"), ("dev", "base")])
def test_what_is_built_is_not_built_again(built: str, asked: str, checkout: Path) -> None:
    _stamped(checkout, built)
    done = _bootstrap(checkout, asked)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_users_venv_is_not_enough_for_tests_nor_one_whose_python_is_gone(checkout: Path) -> None:
    _stamped(checkout, "base")
    assert _bootstrap(checkout, "dev").returncode == 2
    (checkout / ".venv" / "bin" / "python").unlink()
    assert _bootstrap(checkout, "base").returncode == 2
