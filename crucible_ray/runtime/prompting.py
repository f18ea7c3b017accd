"""What the trials of a plan ask: each prompt made once for all calls, and repeats, that ask the same of an item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crucible_ray.experiment.plan import Plan
from crucible_ray.prompts import Renderer
from crucible_ray.records import Item
from crucible_ray.runtime.trial import Prompt

PromptKey = tuple[int, int, int]
"""(item, repeat, which prompt); the repeat is 0 where it changes nothing."""


class Prompts:
    """Renders what a plan's trials ask; keeps nothing, so that whoever asks decides how long a prompt lives."""

    def __init__(self, plan: Plan, items: Sequence[Item]) -> None:
        self._items, self._repeats = items, plan.repeats
        self._renderers = [Renderer(prompt) for prompt in plan.prompts]
        varies = [renderer.varies for renderer in self._renderers]
        asked = [map(plan.prompts.index, condition.prompts) for condition in plan.conditions]
        self._variants = [tuple((k, varies[k]) for k in places) for places in asked]

    def keys(self, trial: int) -> list[PromptKey]:
        """The prompt of each of a trial's calls."""
        block, condition = divmod(trial, len(self._variants))
        item, repeat = divmod(block, self._repeats)
        return [(item, repeat if varies else 0, variant) for variant, varies in self._variants[condition]]

    def render(self, trials: Iterable[int]) -> dict[PromptKey, Prompt]:
        """Every prompt of these trials, by its key."""
        rendered: dict[PromptKey, Prompt] = {}
        for trial in trials:
            for key in self.keys(trial):
                if key not in rendered:
                    item, repeat, variant = key
                    rendered[key] = Prompt(self._renderers[variant].render(self._items[item], repeat))
        return rendered
