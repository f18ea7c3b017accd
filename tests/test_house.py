"""The rules of the house that a program can check: who imports whom, at what cost, what the tree holds."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "crucible_ray"

_GROUND = {"errors", "records", "ports", "settings"}
_CALLING = {"datasets", "prompts", "models", "calls", "ensemble", "metrics"}
_RECORDING = _GROUND | {"experiment"} | _CALLING | {"journal"}
_RUNNING = _RECORDING | {"runtime"}
_INFERRING = _RECORDING | {"stats", "importing", "reduction"}
_FRONT = _RUNNING | _INFERRING | {"reports", "estimating", "simulator", "actors"}

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "records": {"errors"},
    "ports": {"errors", "records"},
    "settings": {"errors", "records"},
    "stats": {"errors"},
    "experiment": _GROUND,
    **{room: _GROUND | {"experiment"} for room in _CALLING},
    # It scores replies as a trial does: it reads and matches them first.
    "metrics": _GROUND | {"experiment", "prompts", "ensemble", "stats"},
    "journal": _GROUND | {"experiment"} | _CALLING,
    "runtime": _RECORDING,
    # Arrays to resample are shipped to workers; `stats` knows nothing of anybody.
    "actors": _RUNNING | {"stats"},
    "importing": {"errors", "settings"},
    "reduction": _RECORDING | {"stats", "importing"},
    "reports": _INFERRING,
    "estimating": _GROUND | {"experiment", "models", "calls", "stats"},
    "simulator": {"errors", "records", "datasets", "prompts"},
    "testing": _FRONT - {"actors"},
    "api": _FRONT,
    "cli": _FRONT | {"api"},
    "__init__": _FRONT - {"actors"} | {"api"},
    "__main__": {"cli"},
}
"""What each room may know: the rooms to its left. A new room takes its place here."""

_LATE = {"ray", "pandas", "scipy", "torch", "transformers", "duckdb", "genai_prices"}
"""Slow to import: imported inside the functions that use them."""
_LATE_EXCEPT = {"actors": {"ray"}, "lora": {"torch", "transformers"}}

MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imported(nodes: Iterator[ast.AST]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything imported; `from x import y` counts as `x.y`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _at_module_level(tree: ast.AST) -> Iterator[ast.AST]:
    """Statements that run on import: not those of functions, nor those that only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not typing_only and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from _at_module_level(node)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_room_knows_only_the_rooms_to_its_left(path: Path) -> None:
    room = _room(path)
    assert room in ALLOWED, f"{room} is a new room: give it its place in ALLOWED"
    allowed = ALLOWED[room] | {room}
    for line, name in _imported(ast.walk(ast.parse(path.read_text("utf-8")))):
        package, _, rest = name.partition(".")
        if package == "crucible_ray":
            first = rest.partition(".")[0]
            # What is no room is a public name of the front door.
            known = first if first in ALLOWED or first in ROOMS else "api"
            assert known in allowed, f"{_name(path)}, line {line}: {room} must not import {known}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_slow_libraries_are_imported_late(path: Path) -> None:
    banned = _LATE - _LATE_EXCEPT.get(_room(path), set())
    if path == PACKAGE / "models" / "local.py":
        banned = banned - {"torch", "transformers"}
    for line, name in _imported(_at_module_level(ast.parse(path.read_text("utf-8")))):
        assert name.partition(".")[0] not in banned, (
            f"{_name(path)}, line {line}: import {name} inside a function"
        )


def test_the_library_imports_nothing_slow_even_by_way_of_others() -> None:
    library = [f"crucible_ray.{room}" for room in ROOMS if room not in ("actors", "lora")]
    code = (
        f"import sys, importlib\nfor name in {library}: importlib.import_module(name)\n"
        f"print(*(set({sorted(_LATE)}) & sys.modules.keys()))"
    )
    assert _python(code).split() == []


def test_importing_the_package_is_quick_and_light() -> None:
    code = (
        "import sys, time\nstart = time.process_time()\nimport crucible_ray\n"
        "print(time.process_time() - start, *({'ray', 'pandas', 'scipy', 'torch'} & set(sys.modules)))"
    )
    seconds = []
    for _ in range(3):
        spent, *loaded = _python(code).split()
        assert not loaded
        seconds.append(float(spent))
    assert min(seconds) < 0.3


def _python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT, timeout=60
    ).stdout


@pytest.mark.parametrize("room", ["", *(room for room in ROOMS if room != "actors")])
def test_all_names_what_a_package_exports_and_nothing_else(room: str) -> None:
    path = PACKAGE / room / "__init__.py"
    tree = ast.parse(path.read_text("utf-8"))
    bound = {name for name in _bound(tree, f"crucible_ray.{room}") if not name.startswith("_")}
    module = importlib.import_module(f"crucible_ray.{room}" if room else "crucible_ray")
    exported = list(getattr(module, "__all__", []))
    assert len(set(exported)) == len(exported), "a name stands twice in __all__"
    assert bound <= set(exported), f"not in __all__: {sorted(bound - set(exported))}"
    missing = [name for name in exported if not hasattr(module, name)]
    assert not missing, f"in __all__ and not there: {missing}"


def _bound(tree: ast.Module, package: str) -> Iterator[str]:
    """What a package defines, or takes from its own modules; what it imports from others it merely uses."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("name", ["actors", "cli"])
def test_the_root_shows_a_room_through_a_relative_link(name: str) -> None:
    link = ROOT / name
    assert link.is_symlink()
    assert os.readlink(link) == f"crucible_ray/{name}"
    assert link.is_dir()


def test_nothing_that_can_be_a_script_hides_a_module_of_the_standard_library() -> None:
    folders = [ROOT, *(ROOT / name for name in ("benchmarks", "examples", "scripts", "cluster"))]
    names = {path.stem for folder in folders for path in folder.glob("*.py")}
    assert not names & set(sys.stdlib_module_names)


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert not [_name(folder) for folder in folders if not (folder / "__init__.py").is_file()]


def _repository_files() -> list[Path]:
    """What git tracks or would track."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    return [ROOT / os.fsdecode(name) for name in sorted(set(listed.stdout.split(b"\0"))) if name]


def test_no_path_of_somebodys_machine_is_in_the_repository() -> None:
    # A path stands alone: what follows a word or a host is none. `ray` is the user of Ray's own images.
    personal = re.compile(
        rb"(?<![\w.-])/(?:wor" rb"k/|roo" rb"t/\.|Users/\w|home/(?!ray\b)\w)|[A-Z]:\\\\?Users\\"
    )
    found = []
    for path in _repository_files():
        if path.is_file() and not path.is_symlink():
            match = personal.search(path.read_bytes())
            if match:
                found.append(f"{_name(path)}: {match[0].decode()}")
    assert not found


def test_the_linter_sees_every_module() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--show-files", "."],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    ).stdout.splitlines()
    seen = {Path(line).resolve() for line in shown}
    unseen = [_name(path) for path in (*MODULES, *sorted((ROOT / "tests").rglob("*.py"))) if path not in seen]
    assert not unseen


def test_no_public_function_is_hidden_by_a_module_of_its_name() -> None:
    import crucible_ray

    functions = set(crucible_ray.__all__) - {"datasets", "metrics"}
    rooms = {path.stem for path in Path(crucible_ray.__file__).parent.iterdir()}
    # Importing such a module would put it in the function's place, for whoever asks the second time.
    assert not functions & rooms
