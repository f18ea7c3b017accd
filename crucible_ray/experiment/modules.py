"""An author's own Python files: run as modules, asked for functions, and blamed with their own frames alone."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

from crucible_ray.errors import SpecError
from crucible_ray.settings import did_you_mean

_T = TypeVar("_T")


def split_reference(ref: str) -> tuple[str, str | None]:
    """`file.py:name` or `package.module:name` as its two parts; the second is None where it is not said."""
    place, colon, name = ref.rpartition(":")
    if colon and name.isidentifier() and len(place) > 1:
        return place, name
    return ref, None


def names_function(text: str) -> bool:
    """Whether a `parse` is `file.py:name` or `package.module:name`: no name of a parser, and no regular expression.

    Of these `json:FIELD` alone looks like it, and a regular expression with a group has brackets.
    """
    place, name = split_reference(text)
    if name is None or place == "json" or not {"(", ")"}.isdisjoint(text):
        return False
    return place.endswith(".py") or all(part.isidentifier() for part in place.split("."))


def existing_file(place: str, folder: Path | None = None) -> Path:
    """The file, absolute; `folder` is where relative paths start. Raises SpecError with the nearest name."""
    path = ((folder or Path.cwd()) / Path(place).expanduser()).resolve()
    if not path.is_file():
        beside = path.parent.glob(f"*{path.suffix}") if path.parent.is_dir() else ()
        there = {each.name: str(Path(place).with_name(each.name)) for each in sorted(beside)}
        near = get_close_matches(path.name, there, n=1)
        hint = f" Did you mean {there[near[0]]!r}?" if near else f" Known: {', '.join(there.values())}."
        raise SpecError((f"{place} does not exist.{hint if there else ''}",))
    return path


def file_module(path: Path) -> ModuleType:
    """Run a file as a module of its own, with its folder on the path as `python file.py` has it."""
    name = f"crucible_experiment_{blake2b(str(path).encode(), digest_size=6).hexdigest()}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError((f"{path} cannot be run as Python.",))
    module = importlib.util.module_from_spec(spec)
    _on_path(path.parent)
    # Dataclasses and pickle look their module up by name, so it is there before it runs.
    sys.modules[name] = module
    run_theirs(lambda: spec.loader.exec_module(module) if spec.loader else None, str(path))
    return module


def named_module(place: str, ref: str, folder: Path | None = None) -> ModuleType:
    """Import `package.module`; `folder` is searched first. Raises SpecError."""
    if not all(part.isidentifier() for part in place.split(".")):
        raise SpecError((f"{ref}: write file.py, file.py:name, package.module:name or file.toml.",))
    _on_path(folder or Path.cwd())
    try:
        there = importlib.util.find_spec(place) is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        raise SpecError((f"{ref}: there is no module {place!r} here or among the installed packages.",))
    return run_theirs(lambda: importlib.import_module(place), place)


def load_function(ref: str, folder: Path) -> Callable[..., Any]:
    """The function that `file.py:name` (relative to `folder`) or `package.module:name` names. Raises SpecError."""
    place, name = split_reference(ref)
    if name is None:
        raise SpecError((f"{ref}: name the function, as in file.py:name or package.module:name.",))
    if place.endswith(".py"):
        module = file_module(existing_file(place, folder))
    else:
        module = named_module(place, ref, folder)
    found = getattr(module, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
    what = f"{name} is no function" if hasattr(module, name) else f"there is no {name!r}"
    raise SpecError((f"{ref}: {what}: {did_you_mean(name, functions)}" if functions else f"{ref}: {what}.",))


def run_theirs(run: Callable[[], _T], place: str) -> _T:
    """Run an author's code; what it raises becomes a SpecError with their frames alone."""
    try:
        return run()
    except SpecError as error:
        frames = own_frames(error)
        where = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else place
        raise SpecError(tuple(f"{where}: {each}" for each in error.problems)) from error
    except SyntaxError as error:
        text = f"\n    {error.text.strip()}" if error.text else ""
        raise SpecError((f"{error.filename or place}, line {error.lineno}: {error.msg}{text}",)) from error
    except Exception as error:
        raise SpecError((f"{place} failed:\n{shown(error)}",)) from error


def shown(error: BaseException) -> str:
    """An error of an author's code as Python would print it, with their frames alone."""
    frames = "".join(traceback.format_list(own_frames(error)))
    return frames + "".join(traceback.format_exception_only(error)).rstrip()


_NOT_THEIRS: Final = (
    str(Path(__file__).resolve().parents[1]),
    "<frozen ",
    *(sysconfig.get_path(each) for each in ("stdlib", "purelib", "platlib")),
)


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of an error in its author's files: not the import system's, a library's or ours."""
    frames = traceback.extract_tb(error.__traceback__)
    return [each for each in frames if not each.filename.startswith(_NOT_THEIRS)]


def is_theirs(file: str | None) -> bool:
    """Whether a file is an author's: neither a library's nor ours."""
    return file is not None and not file.startswith(_NOT_THEIRS)


_ADDED: Final[list[str]] = []
"""Folders of experiments that were put on the path, the newest last."""


def _on_path(folder: Path) -> None:
    """The folder first, as a process of its own would have it; modules that it has too are forgotten for its own."""
    place = str(folder)
    if place not in sys.path:
        sys.path.insert(0, place)
        _ADDED.append(place)
    elif place in _ADDED and place != _ADDED[-1]:
        sys.path.remove(place)
        sys.path.insert(0, place)
        _ADDED.remove(place)
        _ADDED.append(place)
    for name in [each for each in list(sys.modules) if _of_another(each, folder)]:
        del sys.modules[name]


def _of_another(name: str, folder: Path) -> bool:
    """Whether a module was imported from another experiment's folder, and this one has one of the same name."""
    file = getattr(sys.modules[name], "__file__", None)
    if not is_theirs(file) or file is None:
        return False
    top = name.partition(".")[0]
    others = (each for each in _ADDED if Path(each) != folder)
    if not any(Path(each) in Path(file).parents for each in others) or folder in Path(file).parents:
        return False
    return (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file()
