"""`environment.json`: with what a run was made. No secret and no path is in it."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGE = "crucible-ray"


def environment(
    *,
    experiment_folder: Path | None,
    model_versions: dict[str, list[str]],
    earlier: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Package, Python, system, dependencies, the experiment's git commit, the models' reported versions.

    earlier: what was noted when the run began: its commit stands where the experiment's folder is not known now.
    """
    git = (earlier or {}).get("git") if experiment_folder is None else _git(experiment_folder)
    return {
        "package": {"name": _PACKAGE, "version": _version(_PACKAGE)},
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "os": {"system": platform.system(), "release": platform.release(), "machine": platform.machine()},
        "ray": _version("ray"),
        "dependencies": _dependencies(),
        "git": git,
        "model_versions": model_versions,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _dependencies() -> dict[str, str]:
    """Every installed package that ours asks for, extras included."""
    try:
        required = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        return {}
    names = sorted({_name(requirement) for requirement in required})
    return {name: version for name in names if (version := _version(name)) is not None}


def _name(requirement: str) -> str:
    """`ray` of `ray[default]>=2.60,<3; extra == "cluster"` (PEP 508)."""
    for k, letter in enumerate(requirement):
        if not (letter.isalnum() or letter in "-_."):
            return requirement[:k].lower()
    return requirement.lower()


def _git(folder: Path) -> dict[str, Any] | None:
    """Commit of the folder's repository, and whether anything there differs from it; None outside of one."""
    commit = _ask_git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    status = _ask_git(folder, "status", "--porcelain")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def _ask_git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
