"""One answer, one score."""

from __future__ import annotations

from collections.abc import Callable


def score_accuracy(
    prediction: str | None, expected: str | None, normalize: Callable[[str], str]
) -> int | None:
    """1 where the answer is the expected one after `normalize`, else 0.

    prediction: None is a reply that could not be read: an answer, and wrong. expected: None is nothing to
    compare with, no score. Both come from the same parser (`prompts.answer_key`). A failed trial is not
    scored at all.
    """
    if expected is None:
        return None
    if prediction is None:
        return 0
    return int(prediction == expected or normalize(prediction) == normalize(expected))
