"""`metrics.evaluate`: replies that somebody has, scored against a dataset as an experiment would score them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from msgspec import Struct

from crucible_ray.ensemble import normalizer
from crucible_ray.errors import UsageError
from crucible_ray.experiment.defaults import default_parse
from crucible_ray.experiment.reading import parse_text
from crucible_ray.metrics.scoring import score_accuracy
from crucible_ray.prompts import answer_key, parser
from crucible_ray.prompts.own import OwnReader
from crucible_ray.records import Item
from crucible_ray.stats import wilson


class Scored(Struct, frozen=True, kw_only=True):
    """One item's reply."""

    id: str
    prediction: str | None
    """What was read from the reply; None: nothing could be."""
    expected: str | None
    correct: int | None
    """1 or 0; None where there is no reply, or nothing is expected."""


class Evaluation(Struct, frozen=True, kw_only=True):
    """How good replies are."""

    accuracy: float | None
    """Share of right answers among those scored; None: nothing was."""
    ci_low: float | None
    """Wilson's 95 % interval."""
    ci_high: float | None
    n: int
    """Items scored."""
    correct: int
    unreadable: int
    """Replies without an answer in them: wrong, and counted."""
    missing: int
    """Items without a reply: not counted."""
    by_topic: dict[str, float]
    """Accuracy by topic, where items have one."""
    items: tuple[Scored, ...]


def evaluate(
    predictions: Mapping[str, Any] | Iterable[Any],
    dataset: Any,
    *,
    parse: str | Callable[..., Any] | None = None,
    normalize: str = "lowercase_trim",
) -> Evaluation:
    """Score replies against a dataset.

    predictions: replies by item id; or one for each item in order; or mappings with `predicted` (or
    `prediction`) and, where they are not in order, `id`. A reply is a text or has one (`.text`); None is no
    reply. dataset: what `datasets.load` gives, or a list of Items. parse: as in an experiment; None: as the
    items say. Raises UsageError where predictions and items do not fit together.
    """
    items: Sequence[Item] = dataset if isinstance(dataset, list | tuple) else dataset.items
    if not items:
        raise UsageError("evaluate: the dataset holds no items.")
    replies = _by_id(predictions, items)
    kind = parse_text(parse or default_parse(items))
    read = OwnReader(parse, "parse").answer if callable(parse) else parser(kind)
    match = normalizer(normalize)
    scored = []
    for item in items:
        text = replies.get(item.id)
        prediction = None if text is None else read(text, item)
        expected = answer_key(kind, item)
        correct = None if text is None else score_accuracy(prediction, expected, match)
        scored.append(Scored(id=item.id, prediction=prediction, expected=expected, correct=correct))
    return _summary(items, scored, replies)


def _summary(items: Sequence[Item], scored: Sequence[Scored], replies: Mapping[str, str]) -> Evaluation:
    counted = [each.correct for each in scored if each.correct is not None]
    low, high = wilson(sum(counted), len(counted)) if counted else (None, None)
    topics: dict[str, list[int]] = {}
    for item, each in zip(items, scored, strict=True):
        if item.topic is not None and each.correct is not None:
            topics.setdefault(item.topic, []).append(each.correct)
    return Evaluation(
        accuracy=sum(counted) / len(counted) if counted else None,
        ci_low=low,
        ci_high=high,
        n=len(counted),
        correct=sum(counted),
        unreadable=sum(each.id in replies and each.prediction is None for each in scored),
        missing=len(items) - len(replies),
        by_topic={topic: sum(values) / len(values) for topic, values in topics.items()},
        items=tuple(scored),
    )


def _by_id(predictions: Mapping[str, Any] | Iterable[Any], items: Sequence[Item]) -> dict[str, str]:
    """Texts by item id, without those that are None."""
    if isinstance(predictions, Mapping):
        given = [(str(name), reply) for name, reply in predictions.items()]
    else:
        rows = list(predictions)
        named = [row.get("id", row.get("item_id")) if isinstance(row, Mapping) else None for row in rows]
        if any(name is None for name in named):
            if len(rows) != len(items):
                raise UsageError(
                    f"evaluate: {len(rows)} predictions for {len(items)} items. Give one for each item, in order, "
                    "or a mapping by item id."
                )
            named = [item.id for item in items]
        given = list(zip(map(str, named), rows, strict=True))
    known = {item.id for item in items}
    for name, _ in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"evaluate: the dataset holds no item {name!r}.{hint}")
    if len({name for name, _ in given}) < len(given):
        raise UsageError("evaluate: two predictions are about the same item.")
    texts = {name: _text(reply, name) for name, reply in given}
    return {name: text for name, text in texts.items() if text is not None}


def _text(reply: Any, name: str) -> str | None:
    if isinstance(reply, Mapping):
        if not {"predicted", "prediction"} & reply.keys():
            raise UsageError(
                f"evaluate: item {name!r} has no 'predicted'; it holds {', '.join(map(repr, reply))}."
            )
        reply = reply.get("predicted", reply.get("prediction"))
    reply = getattr(reply, "text", reply)
    if reply is None or isinstance(reply, str):
        return reply
    if isinstance(reply, int | float):
        return str(reply)
    raise UsageError(
        f"evaluate: the prediction of item {name!r} is a {type(reply).__name__}; it must be text."
    )
