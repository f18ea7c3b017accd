"""Whether the values of one part of an experiment are of the declared kind and range, and its words known."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import fields
from math import isfinite
from typing import Any, Final, get_type_hints

import msgspec

from crucible_ray.experiment.defaults import (
    NORMALIZE_KINDS,
    PARSE_BESIDE,
    PARSE_KINDS,
    is_pattern,
    pattern_problem,
)
from crucible_ray.experiment.modules import names_function
from crucible_ray.experiment.prompting import prompt_problems
from crucible_ray.experiment.spec import Condition, Experiment, FewShot, Function
from crucible_ray.settings import did_you_mean, explain

_LATER_WORDS: Final = frozenset(
    {"cascade", "hedged", "sequential", "unanimous", "weighted", "best_confidence"}
    | {"bleu", "code_bleu", "exact_match", "f1_score", "precision", "recall", "rouge_l", "token_f1"}
)


def value_problems(value: Any, where: str, *, skip: Iterable[str] = ()) -> list[str]:
    """Fields whose content is not of the declared kind or range."""
    problems = []
    hints = get_type_hints(type(value), include_extras=True)
    for field in fields(value):
        content = getattr(value, field.name)
        place, hint = f"{where}{field.name}", str if field.name == "parse" else hints[field.name]
        if field.name in skip or content is field.default:
            continue
        if field.name == "parse" and callable(content):
            problems += own_parser_problems(place, content)
        elif callable(content):
            problems.append(f"{place}: functions are not supported by this version.")
        elif isinstance(content, float) and not isfinite(content):
            problems.append(f"{place} = {content!r}: must be a finite number.")
        else:
            try:
                msgspec.convert(content, hint)
            except msgspec.ValidationError as error:
                problems.append(f"{place} = {content!r}: {explain(error, hint)}")
    return problems


def level_problems(value: Experiment | Condition, where: str) -> list[str]:
    """Names of parsers and normalisers, prompts and examples, of whoever may bring them."""
    problems = [
        *_parse_problems(f"{where}parse", value.parse),
        *word_problems(f"{where}normalize", value.normalize, NORMALIZE_KINDS),
        *([] if isinstance(value, Function) else prompt_problems(value, where)),
    ]
    few: object = getattr(value, "few_shot", None)
    if isinstance(few, FewShot):
        problems += value_problems(few, f"{where}few_shot.")
    elif few is not None:
        problems.append(f"{where}few_shot is a {type(few).__name__}: write FewShot(k).")
    return problems


def _parse_problems(place: str, parse: object) -> list[str]:
    """A kind, `json:FIELD`, or a regular expression with one group."""
    if not isinstance(parse, str) or parse in PARSE_KINDS:
        return []
    if not is_pattern(parse) and not names_function(parse):
        return [f"{each} Also: {PARSE_BESIDE}." for each in word_problems(place, parse, PARSE_KINDS)]
    if names_function(parse):
        return [
            f"{place} = {parse!r}: only a TOML file names a function so; in Python give the function itself."
        ]
    problem = pattern_problem(parse)
    return [] if problem is None else [f"{place} = {parse!r}: {problem}"]


def own_parser_problems(place: str, function: Callable[..., Any]) -> list[str]:
    """What is wrong with an author's own parser."""
    inner = getattr(function, "func", function)
    if inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(inner, "__call__", None)):  # noqa: B004
        return [f"{place}: a parser is no async function: it reads a text that is there, and asks nobody."]
    try:
        signature = inspect.signature(function)
    except ValueError:
        return []  # one without a signature, written in C
    for given in (("text", "item"), ("text",)):
        with contextlib.suppress(TypeError):
            signature.bind(*given)
            return []
    return [f"{place}: a parser takes the reply's text, or text and item; this one takes {signature}."]


def word_problems(place: str, word: object, known: Iterable[str]) -> list[str]:
    """A name that nothing has, with the nearest; one that a later version brings."""
    if not isinstance(word, str) or word in known:
        return []
    if word in _LATER_WORDS:
        return [f"{place} = {word!r} is not supported by this version; known: {', '.join(known)}."]
    return [f"{place} = {word!r} does not exist: {did_you_mean(word, known)}"]
