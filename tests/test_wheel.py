"""What `pip install crucible-ray` brings."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this tree, built by the backend that pyproject.toml names."""
    pytest.importorskip("uv_build", reason="needs the build backend: pip install uv_build")
    folder = tmp_path_factory.mktemp("wheel")
    # The backend's shim looks for its program on PATH.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            folder,
            ROOT,
        ],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("crucible_ray-*.whl")
    return zipfile.ZipFile(path)


def test_the_package_is_all_that_lands_in_the_global_namespace(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"crucible_ray"}


def test_every_module_of_the_tree_is_in_it_the_linked_rooms_too(wheel: zipfile.ZipFile) -> None:
    packed = {name for name in wheel.namelist() if name.endswith(".py")}
    tree = {str(path.relative_to(ROOT)) for path in (ROOT / "crucible_ray").rglob("*.py")}
    assert packed == tree
    assert "crucible_ray/actors/__init__.py" in packed
    assert "crucible_ray/cli/__init__.py" in packed


def test_data_types_and_licence_travel_along(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {"crucible_ray/py.typed", "crucible_ray/datasets/demo.jsonl"} <= set(names)
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "crucible_ray/reports/templates").iterdir()}
    assert len(templates) >= 4
    assert templates <= set(names)
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


def test_it_brings_the_command(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "crucible-ray = crucible_ray.cli.main:main" in wheel.read(name).decode()


def test_it_holds_nothing_of_the_work_on_it(wheel: zipfile.ZipFile) -> None:
    assert not [name for name in wheel.namelist() if "__pycache__" in name or name.endswith(".pyc")]
