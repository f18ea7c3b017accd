from __future__ import annotations

from typing import Any

import pytest

import crucible_ray
from crucible_ray.errors import UsageError
from crucible_ray.metrics import evaluate
from crucible_ray.records import Item, Reply
from crucible_ray.stats import wilson

ITEMS = [
    Item(id="a", input="2 + 2?", expected="B", choices=("3", "4"), topic="sums"),
    Item(id="b", input="1 + 1?", expected="A", choices=("2", "3"), topic="sums"),
    Item(id="c", input="Rome?", expected="B", choices=("no", "yes"), topic="cities"),
]


@pytest.mark.parametrize(
    "predictions",
    [
        ["The answer is B.", "B", "I cannot say."],
        {"c": "I cannot say.", "a": "B", "b": "B"},
        [{"predicted": "B"}, {"predicted": "B"}, {"predicted": "I cannot say."}],
        [{"id": "b", "prediction": "B"}, {"id": "c", "prediction": "?"}, {"id": "a", "prediction": "(B)"}],
        [Reply(text="B"), Reply(text="B"), Reply(text="no idea")],
    ],
)
def test_replies_are_read_and_scored_as_in_an_experiment(predictions: Any) -> None:
    found = evaluate(predictions, ITEMS)
    assert (found.accuracy, found.correct, found.n, found.unreadable, found.missing) == (1 / 3, 1, 3, 1, 0)
    assert [each.correct for each in found.items] == [1, 0, 0]
    assert [each.prediction for each in found.items] == ["B", "B", None]
    assert found.by_topic == {"sums": 0.5, "cities": 0.0}
    assert (found.ci_low, found.ci_high) == wilson(1, 3)


def test_an_item_without_a_reply_is_missing_and_not_wrong() -> None:
    found = evaluate({"a": "B", "b": None}, ITEMS)
    assert (found.accuracy, found.n, found.missing) == (1.0, 1, 2)
    assert evaluate({}, ITEMS).accuracy is None


def test_a_loaded_dataset_brings_its_own_way_to_read_replies() -> None:
    sums = crucible_ray.datasets.load("test_dataset", sample_size=5)
    right = [f"That makes {item.expected}.0" for item in sums.items]
    assert crucible_ray.metrics.evaluate(right, sums).accuracy == 1.0
    assert evaluate(right, sums, parse="text").accuracy == 0.0


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (["B"], "1 predictions for 3 items"),
        ({"aa": "B"}, r"no item 'aa'. Did you mean 'a'\?"),
        ([{"id": "a", "predicted": "A"}, {"id": "a", "predicted": "B"}], "about the same item"),
        ([{"x": 1}, {"x": 1}, {"x": 1}], "item 'a' has no 'predicted'; it holds 'x'"),
        ({"a": ["B"]}, "is a list; it must be text"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(predictions: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(predictions, ITEMS)
    with pytest.raises(UsageError, match="holds no items"):
        evaluate(predictions, [])
