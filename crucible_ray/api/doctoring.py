"""What a run needs of this machine, looked at one by one before it is needed. No key is ever shown."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from msgspec import Struct

from crucible_ray.api.fleet import state_dir
from crucible_ray.api.preparing import DEFAULT_CONCURRENCY
from crucible_ray.datasets.registry import default_cache
from crucible_ray.errors import SettingsError
from crucible_ray.models.catalogue import SERVERS
from crucible_ray.runtime.live import SPARE_FILES
from crucible_ray.settings import Settings, find_file, is_loopback, load_settings

MANY_CALLS = 10_000
"""What the largest runs have in flight."""
_ROOM_BYTES = 1 << 30
_JOIN_S = 60.0


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    says: str
    mend: str | None = None
    """What to do; None where it is well."""


def examine(
    folder: Path, env: Mapping[str, str], *, profile: str | None = None, address: str | None = None
) -> Iterator[Finding]:
    """Every finding for runs that start in `folder`, as it is made; the cluster's comes last and may take a minute."""
    yield _python()
    yield _ray()
    try:
        settings = load_settings(folder, env, profile)
    except SettingsError as error:
        yield Finding(name="settings", ok=False, says=str(error), mend="Correct what is named here.")
        return
    yield _configuration(folder, settings)
    yield _dotenv(folder)
    yield _keys(settings)
    yield _disk(folder / settings.run.results_dir)
    yield _writable("results folder", folder / settings.run.results_dir, "Choose another by RESULTS_DIR.")
    if settings.run.checkpoint_dir is not None and "://" not in settings.run.checkpoint_dir:
        yield _writable(
            "checkpoint folder", folder / settings.run.checkpoint_dir, "Choose another by CHECKPOINT_DIR."
        )
    cache = settings.datasets.cache_dir or default_cache()
    yield _writable("dataset cache", Path(cache).expanduser(), "Choose another by [datasets] cache_dir.")
    yield _writable("state folder", state_dir(settings.env), "Choose another by CRUCIBLE_STATE_DIR.")
    yield _files(settings)
    address = address or settings.run.address
    if address is not None:
        yield _cluster(address, settings.env)


def _python() -> Finding:
    wanted = sys.version_info >= (3, 11)
    says = f"Python {platform.python_version()}, crucible-ray {metadata.version('crucible-ray')}, {platform.system()}"
    mend = None if wanted else "Install Python 3.11 or newer."
    return Finding(name="python", ok=wanted, says=says, mend=mend)


def _ray() -> Finding:
    try:
        found = metadata.version("ray")
    except metadata.PackageNotFoundError:
        return Finding(
            name="ray", ok=False, says="Ray is not installed", mend='Run: pip install "ray>=2.60,<3".'
        )
    major, minor = (int(part) for part in found.split(".")[:2])
    fits = (2, 60) <= (major, minor) < (3, 0)
    mend = None if fits else 'Run: pip install "ray>=2.60,<3".'
    return Finding(name="ray", ok=fits, says=f"Ray {found}", mend=mend)


def _configuration(folder: Path, settings: Settings) -> Finding:
    where = find_file(folder)
    says = f"{where}" if where is not None else "no crucible.toml: the defaults hold"
    if settings.profile is not None:
        says += f", profile {settings.profile}"
    return Finding(name="settings", ok=True, says=says)


def _dotenv(folder: Path) -> Finding:
    path = next((each / ".env" for each in (folder, *folder.parents) if (each / ".env").is_file()), None)
    if path is None:
        return Finding(name=".env", ok=True, says="none: keys come from the environment")
    if _is_ignored(path):
        return Finding(name=".env", ok=True, says=f"{path}")
    return Finding(
        name=".env",
        ok=False,
        says=f"{path} is in a git repository that does not ignore it",
        mend=f"Run: echo .env >> {path.parent / '.gitignore'}",
    )


def _is_ignored(path: Path) -> bool:
    """Whether git would leave the file alone, or there is no repository."""
    try:
        words = ["git", "-C", str(path.parent), "check-ignore", "--quiet", path.name]
        return subprocess.run(words, capture_output=True, timeout=10).returncode != 1
    except (OSError, subprocess.TimeoutExpired):
        return True


def _keys(settings: Settings) -> Finding:
    names = {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"}
    names |= {table.api_key_env for table in settings.models.values() if table.api_key_env}
    names |= {
        f"{server.upper()}_API_KEY" for server in SERVERS if settings.env.get(f"{server.upper()}_API_KEY")
    }
    present = {name for name in names if _is_present(name, settings.env)}
    odd = sorted(name for name in present if _is_odd(settings.env.get(name, "")))
    said = [f"{', '.join(sorted(present))} present"] if present else []
    said += [f"{', '.join(sorted(names - present))} not set"] if names - present else []
    at_home = any(
        table.provider == "simulated" or (table.base_url and is_loopback(table.base_url))
        for table in settings.models.values()
    )
    if odd:
        mend = f"{', '.join(odd)}: a key holds no space, quote or line break; copy it again."
        return Finding(name="keys", ok=False, says="; ".join(said), mend=mend)
    if not present and not at_home:
        mend = "Set one in the environment or in .env; until then runs need --simulate."
        return Finding(name="keys", ok=False, says="; ".join(said), mend=mend)
    return Finding(name="keys", ok=True, says="; ".join(said))


def _is_present(name: str, env: Mapping[str, str]) -> bool:
    also = ("GOOGLE_API_KEY",) if name == "GEMINI_API_KEY" else ()
    return any(env.get(each, "").strip() or env.get(f"{each}_FILE") for each in (name, *also))


def _is_odd(key: str) -> bool:
    key = key.strip()
    return any(character.isspace() or character in "\"'" or not character.isascii() for character in key)


def _disk(folder: Path) -> Finding:
    there = _existing(folder)
    free = shutil.disk_usage(there).free
    says = f"{free / 1e9:,.1f} GB free at {there}"
    mend = None if free >= _ROOM_BYTES else "Free some: a run of a million trials takes about a gigabyte."
    return Finding(name="disk", ok=free >= _ROOM_BYTES, says=says, mend=mend)


def _writable(name: str, folder: Path, otherwise: str) -> Finding:
    there = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        why = error.strerror or str(error)
        return Finding(name=name, ok=False, says=f"{folder} cannot be written to: {why}", mend=otherwise)
    says = f"{folder}" if there == folder else f"{folder}, not there yet; it can be made"
    return Finding(name=name, ok=True, says=says)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.is_dir())


def _files(settings: Settings) -> Finding:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    window = settings.run.max_concurrent_queries or DEFAULT_CONCURRENCY
    if allowed == resource.RLIM_INFINITY or allowed >= MANY_CALLS + SPARE_FILES:
        return Finding(name="open files", ok=True, says=f"enough for {MANY_CALLS:,} calls in flight")
    calls = max(0, allowed - SPARE_FILES)
    says = f"{allowed:,} allowed: enough for {calls:,} calls in flight, of {window:,} trials at once"
    mend = (
        f"Raise it for more: ulimit -Hn {MANY_CALLS + SPARE_FILES}, or `nofile` in /etc/security/limits.conf."
    )
    return Finding(name="open files", ok=calls >= window, says=says, mend=None if calls >= window else mend)


def _cluster(address: str, env: Mapping[str, str]) -> Finding:
    from crucible_ray.actors.joining import TOKEN_MEND, join_problem

    if (problem := join_problem(address, env)) is not None:
        return Finding(name="cluster", ok=False, says=problem, mend="Mend that, then run doctor again.")
    said = _joined(address, env)
    if said.startswith("nodes "):
        return Finding(
            name="cluster", ok=True, says=f"{address} answers: {said.removeprefix('nodes ')} nodes"
        )
    return Finding(
        name="cluster", ok=False, says=f"{address} could not be joined: {said}", mend=f"Perhaps {TOKEN_MEND}."
    )


_JOIN = """
import sys
from crucible_ray.actors.cluster import RayThread, alive_nodes
ray = RayThread(sys.argv[1])
ray.start()
ray.ready(%s)
print("nodes", alive_nodes())
ray.stop()
"""


def _joined(address: str, env: Mapping[str, str]) -> str:
    """`nodes N`, or why not; in a process of its own, since Ray fills the screen when it fails."""
    ray_env = {name: value for name, value in env.items() if name.startswith("RAY_")}
    words = [sys.executable, "-c", _JOIN % _JOIN_S, address]
    try:
        done = subprocess.run(
            words, env={**os.environ, **ray_env}, capture_output=True, text=True, timeout=_JOIN_S + 10
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_JOIN_S:.0f} s"
    return _last(done.stdout.splitlines() if done.returncode == 0 else done.stderr.splitlines())


def _last(lines: Iterable[str]) -> str:
    return next((line.strip() for line in reversed(list(lines)) if line.strip()), "it said nothing")
