"""An author's functions on their way to clients: by value, so that a file, a notebook and a shell all will do."""

from __future__ import annotations

import inspect
import io
import pickle
import sys
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, ClassVar

import cloudpickle

from crucible_ray.errors import SpecError
from crucible_ray.experiment.defaults import parse_words
from crucible_ray.experiment.modules import is_theirs

Functions = Mapping[str, Callable[..., Any]]
"""By what they are for: `function NAME`, NAME being the condition's, or `parse TEXT`, as the plan has it."""


class Code:
    """Functions as they are; pickled, they are bytes until `load` is called where they arrived."""

    def __init__(self, functions: Functions, folders: tuple[str, ...] = ()) -> None:
        """`folders`: where modules beside the experiment are imported from."""
        self._functions: Functions | None = dict(functions)
        self._folders = folders
        self._packed: bytes | None = None

    def __bool__(self) -> bool:
        return self._functions is None or bool(self._functions)

    def pack(self) -> bytes:
        """The functions by value. Raises SpecError, naming what cannot travel."""
        if self._packed is None:
            assert self._functions is not None
            with _by_value(self._functions.values()):
                problems = [
                    problem
                    for place, each in self._functions.items()
                    for problem in _problems(_shown_place(place), each)
                ]
                if problems:
                    raise SpecError(tuple(problems))
                self._packed = _pickled(dict(self._functions))
        return self._packed

    def load(self) -> Functions:
        """The functions. Raises SpecError where they cannot be made again here."""
        if self._functions is None:
            assert self._packed is not None
            for folder in self._folders:
                if folder not in sys.path and Path(folder).is_dir():
                    sys.path.insert(0, folder)
            try:
                self._functions = pickle.loads(self._packed)
            except Exception as error:
                raise SpecError(
                    (
                        "The experiment's functions cannot be made again in a client's process: "
                        f"{type(error).__name__}: {error}.",
                    )
                ) from error
        assert self._functions is not None
        return self._functions

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (self.pack(), self._folders)


def _code_of(make: Callable[..., CodeType], parts: tuple[Any, ...], file: str) -> CodeType:
    return make(*parts).replace(co_filename=file)


def _with_file(code: CodeType) -> tuple[Any, ...]:
    make, parts, *_ = _REDUCED[CodeType](code)
    return _code_of, (make, parts, code.co_filename)


_REDUCED: Any = cloudpickle.Pickler.dispatch_table


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Keeps the file that code came from, which newer cloudpickles drop: errors are told with its frames."""

    dispatch_table: ClassVar[Any] = ChainMap({CodeType: _with_file}, _REDUCED)


def _pickled(functions: dict[str, Callable[..., Any]]) -> bytes:
    file = io.BytesIO()
    _Pickler(file).dump(functions)
    return file.getvalue()


def _unpacked(packed: bytes, folders: tuple[str, ...]) -> Code:
    code = Code({}, folders)
    code._functions, code._packed = None, packed
    return code


@contextmanager
def _by_value(functions: Any) -> Iterator[None]:
    """While it lasts, the modules that these functions come from travel with them."""
    with ExitStack() as stack:
        for module in {id(each): each for each in map(_module_of, functions) if each is not None}.values():
            if module.__name__ not in cloudpickle.list_registry_pickle_by_value():
                cloudpickle.register_pickle_by_value(module)
                stack.callback(cloudpickle.unregister_pickle_by_value, module)
        yield


def _module_of(function: Any) -> ModuleType | None:
    """The author's module that a function comes from; None: a library's, or `__main__`, which always travels."""
    inner = getattr(function, "func", function)
    name = getattr(inner, "__module__", None) or type(inner).__module__
    module = sys.modules.get(name)
    if module is None or name == "__main__" or not is_theirs(getattr(module, "__file__", None)):
        return None
    return module


def _shown_place(place: str) -> str:
    """For people: `parse read()` without the hash of its source."""
    kind, _, name = place.partition(" ")
    return f"{kind} {parse_words(name)}" if kind == "parse" else place


def _problems(place: str, function: Callable[..., Any]) -> list[str]:
    try:
        cloudpickle.dumps(function)
    except Exception as error:  # noqa: BLE001 - whatever a foreign __reduce__ raises, the answer is the same
        names = [name for name, value in _referenced(function).items() if not _travels(value)]
        culprit = f": {', '.join(names)}" if names else ""
        return [
            f"{place} cannot be sent to a client's process{culprit} ({type(error).__name__}: {error}). "
            "Make it inside the function, or run with --in-process."
        ]
    return []


def _travels(value: Any) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:  # noqa: BLE001 - see above
        return False
    return True


def _referenced(function: Any) -> dict[str, Any]:
    """What a function closes over and names, by name."""
    inner = getattr(function, "func", function)
    try:
        found = inspect.getclosurevars(inner)
    except (TypeError, ValueError):
        return dict(getattr(function, "__dict__", {}))
    return {**found.globals, **found.nonlocals}
