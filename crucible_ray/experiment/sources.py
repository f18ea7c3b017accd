"""What an author's function is, as text: so that an experiment whose code changed is another experiment.

Counted are the function's own source without comments and docstring, the plain values that it closes over or refers
to, and, in turn, the functions, classes and modules of its author's own files that it names. What comes from an
installed package counts by its name alone. Where there is no source (code made by `exec`), its pickled bytes count.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import cloudpickle
import msgspec

from crucible_ray.experiment.modules import is_theirs
from crucible_ray.experiment.spec import function_name

_PLAIN: Final = (str, bytes, int, float, complex, bool, type(None))
_EXACT: Final = (Decimal, Fraction, date, time, timedelta, range, slice)
"""Whose repr is what they are."""
_MOST_ITEMS: Final = 100_000


def source_hash(function: Callable[..., Any]) -> str:
    """SHA-256, hexadecimal, of a function and of what it refers to."""
    return sha256("\n".join(_Reader().parts(function)).encode()).hexdigest()


def described(function: Callable[..., Any]) -> tuple[str, str]:
    """(name, docstring) of a function, for people."""
    name = function_name(function) or type(function).__name__
    own_doc = function if hasattr(function, "__code__") else type(function)
    doc = (
        inspect.getdoc(own_doc)
        if not isinstance(function, functools.partial)
        else inspect.getdoc(function.func)
    )
    return name, doc or ""


class _Reader:
    """Walks from a function over what it refers to, each thing once."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._files: set[str] = set()

    def parts(self, value: Any) -> Iterator[str]:
        """The texts that stand for a value, in an order that depends on the source alone."""
        if isinstance(value, _PLAIN):
            yield repr(value)
        elif isinstance(value, re.Pattern):
            yield f"{value.pattern!r} {value.flags}"
        elif id(value) in self._seen:
            yield "seen"
        else:
            self._seen.add(id(value))
            yield from self._object(value)

    def _object(self, value: Any) -> Iterator[str]:
        if isinstance(value, FunctionType):
            yield from self._function(value)
        elif isinstance(value, MethodType):
            yield from self.parts(value.__func__)
            yield from self.parts(value.__self__)
        elif isinstance(value, functools.partial):
            yield "partial"
            for each in (value.func, value.args, value.keywords):
                yield from self.parts(each)
        elif isinstance(value, list | tuple | set | frozenset | dict):
            yield from self._collection(value)
        elif isinstance(value, type):
            yield from self._class(value)
        elif isinstance(value, ModuleType):
            yield from self._file(value.__name__, getattr(value, "__file__", None))
        elif (wrapped := inspect.getattr_static(value, "__wrapped__", None)) is not None:
            yield _name_of(type(value))
            yield from self.parts(wrapped)
        elif _is_their_class(type(value)):
            yield from self._class(type(value))
            yield from self._collection(getattr(value, "__dict__", {}))
        else:
            yield _name_of(type(value))
            if (fields := _fields(value)) is not None:
                yield from self._collection(fields)
            elif isinstance(value, _EXACT):
                yield repr(value)

    def _collection(self, value: Any) -> Iterator[str]:
        yield f"{type(value).__name__} {len(value)}"
        if len(value) > _MOST_ITEMS:
            return
        if isinstance(value, set | frozenset):
            yield from sorted("\n".join(self.parts(each)) for each in value)
            return
        for each in chain.from_iterable(value.items()) if isinstance(value, dict) else value:
            yield from self.parts(each)

    def _file(self, name: str, file: str | None) -> Iterator[str]:
        """A module of the author's own counts whole, with those of theirs that it imports; any other by its name."""
        if file is None or not is_theirs(file):
            yield name
            return
        if file in self._files:
            return
        self._files.add(file)
        try:
            text = Path(file).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            yield name
            return
        yield text
        yield from self._imports(text, name if Path(file).stem == "__init__" else name.rpartition(".")[0])

    def _imports(self, text: str, package: str) -> Iterator[str]:
        """The author's own modules that a text imports. package: what relative imports start from."""
        for name in _imported(text, package):
            spec = _spec(name)
            if spec is not None and is_theirs(spec.origin):
                yield from self._file(name, spec.origin)

    def _class(self, cls: type) -> Iterator[str]:
        if not _is_their_class(cls):
            yield _name_of(cls)
            return
        try:
            yield inspect.getsource(cls)
        except (OSError, TypeError):
            yield _name_of(cls)
        for base in cls.__bases__:
            yield from self.parts(base)
        for name, each in vars(cls).items():
            inner = getattr(each, "__func__", each)
            if isinstance(inner, FunctionType):
                yield from self._references(inner)
            elif not name.startswith("__"):
                yield name
                yield from self.parts(inner)

    def _function(self, function: FunctionType) -> Iterator[str]:
        code = function.__code__
        if not is_theirs(code.co_filename):
            yield f"{function.__module__}.{function.__qualname__}"
            if (wrapped := getattr(function, "__wrapped__", None)) is not None:
                yield from self.parts(wrapped)
            return
        text = _source(code)
        if text is None:
            yield sha256(cloudpickle.dumps(function)).hexdigest()
            return
        yield text
        yield from self._imports(text, str(function.__globals__.get("__package__") or ""))
        yield from self.parts(function.__defaults__)
        yield from self.parts(function.__kwdefaults__)
        yield from self._references(function)

    def _references(self, function: FunctionType) -> Iterator[str]:
        """What a function closes over, and what it names of its module."""
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            yield name
            try:
                yield from self.parts(cell.cell_contents)
            except ValueError:
                yield "empty"
        for name in sorted(_names(function.__code__)):
            if name in function.__globals__:
                yield name
                yield from self.parts(function.__globals__[name])


def _names(code: CodeType) -> set[str]:
    """What a function's code, and that of the functions inside it, may look up in its module."""
    names = set(code.co_names)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            names |= _names(each)
    return names


def _source(code: CodeType) -> str | None:
    """A function's source as Python writes it: no comments, no docstring, no registration as a condition."""
    try:
        text = textwrap.dedent(inspect.getsource(code))
    except (OSError, TypeError):
        return None
    if code.co_name == "<lambda>":
        return _lambda(code)
    try:
        node = ast.parse(text).body[0]
    except (SyntaxError, IndexError):
        return text
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return text
    node.decorator_list = [each for each in node.decorator_list if not _registers(each)]
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(node)


def _registers(decorator: ast.expr) -> bool:
    """Whether a decorator is `@experiment.condition(...)`: its name and its options count elsewhere."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Attribute) and called.attr == "condition"


def _lambda(code: CodeType) -> str | None:
    """The lambda alone, out of the lines that it stands in; None where it cannot be told from others."""
    try:
        lines, _ = inspect.findsource(code)
        tree = ast.parse("".join(lines))
    except (OSError, SyntaxError):
        return None
    spans = [each for each in code.co_positions() if None not in each and each[2] != each[3]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno:
            body = node.body
            start = (body.lineno, body.col_offset)
            stop = (body.end_lineno or 0, body.end_col_offset or 0)
            if all(start <= (at[0] or 0, at[2] or 0) and (at[1] or 0, at[3] or 0) <= stop for at in spans):
                return ast.unparse(node)
    return None


def _imported(text: str, package: str) -> list[str]:
    """Modules that a text may import, in its order."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:
        return []
    found: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            steps = (
                package.split(".")[: max(0, len(package.split(".")) + 1 - node.level)] if node.level else []
            )
            base = ".".join([*steps, *([node.module] if node.module else [])])
            found += [each for each in (base, *(f"{base}.{each.name}" for each in node.names)) if base]
    return list(dict.fromkeys(found))


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is; None: nowhere, or in a package that is none of the author's."""
    top = name.partition(".")[0]
    try:
        spec = find_spec(top)
        if spec is None or top == name or not is_theirs(spec.origin):
            return spec if top == name else None
        return find_spec(name)
    except (ImportError, ValueError):
        return None


def _fields(value: Any) -> dict[str, Any] | None:
    """What a value of a library's data class or struct holds, by name; None: it is neither."""
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value):
        return {each.name: getattr(value, each.name, None) for each in dataclasses.fields(value)}
    return None


def _is_their_class(cls: type) -> bool:
    try:
        return is_theirs(inspect.getfile(cls))
    except (OSError, TypeError):
        return False


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
