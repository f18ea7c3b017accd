"""What an experiment says about how replies are read, as its plan writes it; authors' own parsers by that text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from crucible_ray.experiment.defaults import function_parse
from crucible_ray.experiment.sources import described, source_hash
from crucible_ray.experiment.spec import Ensemble, Experiment, Model, conditions_of


def parse_text(parse: str | Callable[..., Any]) -> str:
    """A `parse` as a plan has it: a function of the author's own by its name and its source."""
    return parse if isinstance(parse, str) else function_parse(described(parse)[0], source_hash(parse))


def own_parsers(experiment: Experiment) -> Mapping[str, Callable[..., Any]]:
    """The author's own parsers of an experiment, by what its plan writes for them."""
    return {parse_text(each): each for each in _said(experiment) if callable(each)}


def _said(experiment: Experiment) -> Iterator[Any]:
    """Every `parse` that is set somewhere."""
    yield experiment.parse
    for condition in conditions_of(experiment):
        yield condition.parse
        members = condition.members if isinstance(condition, Ensemble) else ()
        yield from (member.parse for member in members if isinstance(member, Model))
