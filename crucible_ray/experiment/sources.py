"""What an author's function is, as text: so that an experiment whose code changed is another experiment.

Counted are the function's own source without comments and docstring, the plain values that it closes over or refers
to, and, in turn, the functions, classes and modules of its author's own files that it names. What comes from an
installed package counts by its name alone. Where there is no source (code made by `exec`), its pickled bytes count.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import cloudpickle

from crucible_ray.experiment.modules import is_theirs
from crucible_ray.experiment.spec import function_name

_PLAIN: Final = (str, bytes, int, float, complex, bool, type(None))
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
            yield _module_text(value)
        elif _is_their_class(type(value)):
            yield from self._class(type(value))
            yield from self._collection(getattr(value, "__dict__", {}))
        else:
            yield _name_of(type(value))

    def _collection(self, value: Any) -> Iterator[str]:
        yield f"{type(value).__name__} {len(value)}"
        if len(value) > _MOST_ITEMS:
            return
        if isinstance(value, set | frozenset):
            yield from sorted("\n".join(self.parts(each)) for each in value)
            return
        for each in value.items() if isinstance(value, dict) else value:
            if isinstance(each, tuple):
                for inner in each:
                    yield from self.parts(inner)
            else:
                yield from self.parts(each)

    def _class(self, cls: type) -> Iterator[str]:
        if not _is_their_class(cls):
            yield _name_of(cls)
            return
        try:
            yield inspect.getsource(cls)
        except (OSError, TypeError):
            yield _name_of(cls)
        for each in vars(cls).values():
            inner = getattr(each, "__func__", each)
            if isinstance(inner, FunctionType):
                yield from self._references(inner)

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


def _module_text(module: ModuleType) -> str:
    """A module of the author's own counts whole; any other by its name."""
    file = getattr(module, "__file__", None)
    if not is_theirs(file) or file is None:
        return module.__name__
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return module.__name__


def _is_their_class(cls: type) -> bool:
    try:
        return is_theirs(inspect.getfile(cls))
    except (OSError, TypeError):
        return False


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
