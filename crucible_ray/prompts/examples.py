"""Which examples stand before an item: drawn by (seed, item, repeat), so the same under every condition.

They come from a pool: those items of the source that a sample would take last. So a larger sample keeps the
examples of a smaller one, and while the sample leaves half of the source, none of its items is shown.
"""

from __future__ import annotations

from crucible_ray.errors import SpecError
from crucible_ray.experiment.grid import derive
from crucible_ray.experiment.plan import FewShotPlan
from crucible_ray.experiment.prompting import question_of
from crucible_ray.records import Item


class Draw:
    """Draws the examples of one prompt."""

    def __init__(self, plan: FewShotPlan) -> None:
        self._plan = plan
        self._questions = [(item.dataset, question_of(item)) for item in plan.pool]

    def places(self, item: Item, repeat: int) -> list[int]:
        """Places in the pool, in the order in which they are shown; fewer shown are the first of more.

        Raises SpecError where there are too few that ask something else than the item.
        """
        own = question_of(item)
        left = [
            place
            for place, (dataset, question) in enumerate(self._questions)
            if question != own and dataset == item.dataset
        ]
        k = self._plan.k
        if len(left) < k:
            raise SpecError((f"Item {item.id!r}: few_shot shows {k} examples, {_too_few(len(left))}",))
        for n in range(k):
            at = n + derive(self._plan.seed, "few_shot", item.id, repeat, n) % (len(left) - n)
            left[n], left[at] = left[at], left[n]
        return left[:k]


def _too_few(count: int) -> str:
    return (
        f"but the dataset holds {count} other item{'' if count == 1 else 's'} with an expected answer and "
        "another question: take a smaller k, or give more items an 'expected'."
    )
