"""What makes a function another one, and what does not."""

from __future__ import annotations

import functools
import importlib
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crucible_ray.experiment.loading import load_experiment
from crucible_ray.experiment.modules import load_function
from crucible_ray.experiment.sources import source_hash
from crucible_ray.experiment.spec import Function

FILE = """
    import re
    LIMIT = 3
    WORDS = {"b": 1, "a": re.compile("x+")}

    class Memory:
        size = 4

        def last(self):
            return helper(self.size)

    def helper(x):
        return x + LIMIT

    def f(item, call):
        '''Says little.'''
        # and explains it
        return helper(1), WORDS, Memory().last()
"""


def digest(folder: Path, text: str = FILE) -> str:
    file = folder / "own.py"
    file.write_text(textwrap.dedent(text))
    return source_hash(load_function("own.py:f", folder))


def test_comments_docstrings_and_layout_are_no_part_of_a_function(tmp_path: Path) -> None:
    first = digest(tmp_path)
    assert digest(tmp_path) == first
    assert digest(tmp_path, FILE.replace("# and explains it", "# otherwise")) == first
    assert digest(tmp_path, FILE.replace("Says little.", "Says a lot.")) == first
    assert digest(tmp_path, FILE.replace("helper(1), WORDS", "helper( 1 ),WORDS")) == first


def test_what_a_function_refers_to_among_its_authors_own_is_part_of_it(tmp_path: Path) -> None:
    changes = [
        ("x + LIMIT", "x - LIMIT"),
        ("LIMIT = 3", "LIMIT = 4"),
        ('"x+"', '"y+"'),
        ("size = 4", "size = 5"),
    ]
    found = [digest(tmp_path, FILE.replace(*change)) for change in changes]
    assert len({digest(tmp_path), *found}) == 5


def test_members_cached_helpers_bases_and_class_values_are_part_of_a_function(tmp_path: Path) -> None:
    text = """
        import functools
        from crucible_ray import Model
        MEMBERS = [Model("small", temperature=0.0), Model("large")]
        PAIRS = [("a", "b"), ("c",)]
        PROMPT = "Say it."

        class Base:
            def shape(self):
                return 1

        class Shown(Base):
            prompt = PROMPT

        @functools.cache
        def helper(x):
            return x + 1

        def f(item, call):
            return call.ensemble(MEMBERS, helper(1)), PAIRS, Shown().prompt
    """
    changes = [
        ("temperature=0.0", "temperature=1.0"),
        ('[("a", "b"), ("c",)]', '[("a",), ("b", "c")]'),
        ("Say it.", "Say nothing."),
        ("return 1\n", "return 2\n"),
        ("x + 1", "x + 2"),
    ]
    found = [digest(tmp_path, text.replace(*change)) for change in changes]
    assert len({digest(tmp_path, text), *found}) == 6
    assert digest(tmp_path, text) == digest(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "import near_part\n\ndef f(item, call):\n    return near_part.asked(1)\n",
        "def f(item, call):\n    from near_part import asked\n    return asked(1)\n",
    ],
)
def test_modules_that_a_module_of_ones_own_imports_are_part_of_a_function(tmp_path: Path, text: str) -> None:
    def found(word: str) -> str:
        (tmp_path / "deep_part.py").write_text(f"WORD = {word!r}\n")
        (tmp_path / "near_part.py").write_text(
            "from deep_part import WORD\n\ndef asked(x):\n    return WORD\n"
        )
        try:
            return digest(tmp_path, text)
        finally:
            importlib.invalidate_caches()
            for name in ("near_part", "deep_part"):
                sys.modules.pop(name, None)

    assert found("one") != found("two")
    assert found("one") == found("one")


def test_closures_defaults_and_bound_arguments_are_part_of_a_function() -> None:
    def make(word: str, *, other: str = "x") -> Callable[..., Any]:
        def inner(item: Any, call: Any, more: str = other) -> str:
            return word + more

        return inner

    def bound(word: str, item: Any, call: Any) -> str:
        return word

    found = [source_hash(make("a")), source_hash(make("b")), source_hash(make("a", other="y"))]
    found += [source_hash(functools.partial(bound, word)) for word in ("a", "b")]
    assert len(set(found)) == 5
    assert source_hash(make("a")) == found[0]


def test_lambdas_of_one_line_are_told_apart() -> None:
    first, second = (lambda item, call: "A"), (lambda item, call: "B")
    assert source_hash(first) != source_hash(second)


def test_the_registration_is_no_part_of_a_function(tmp_path: Path) -> None:
    text = """
        from crucible_ray import Experiment
        experiment = Experiment(name="x", dataset="demo")

        @experiment.condition("c", max_calls=1)
        def f(item, call):
            return "A"
    """

    def registered(changed: str) -> Function:
        file = tmp_path / "exp.py"
        file.write_text(textwrap.dedent(changed))
        (condition,) = load_experiment(str(file)).experiment.conditions
        assert isinstance(condition, Function)
        return condition

    one, two = registered(text), registered(text.replace("max_calls=1", "max_calls=2"))
    assert (one.max_calls, two.max_calls) == (1, 2)
    assert source_hash(one.function) == source_hash(two.function)
