"""Which of the replies that are paid for answer which calls of a plan."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.paid import Paid, question, server, word
from crucible_ray.journal.trials import TrialSet
from crucible_ray.models.catalogue import addressed
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.records import Call, Item
from crucible_ray.runtime.prompting import PromptKey, Prompts
from crucible_ray.runtime.reading import unread
from crucible_ray.runtime.trial import Prompt

Ranks = list[int | None]
"""By call of a trial: the rank of the chain that answers it; None: it is to be made."""


class Match(Struct):
    """A trial of which at least one call is answered."""

    trial: int
    condition: int
    item: int
    prompts: list[Prompt]
    """By call."""
    requests: list[str]
    """By call: the hexadecimal hash of its body."""
    ranks: Ranks


class _Asked(Struct):
    """What an item is asked under one condition; lists by repeat, and in each by call."""

    prompts: list[list[Prompt]]
    requests: list[list[str]]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    """From `low` to `high`: the ranks of what answers it; shape [repeats, calls]."""


class Matcher:
    """Finds for each trial of a plan the replies that are paid for. The same plan and replies give the same matches."""

    def __init__(self, plan: Plan, items: tuple[Item, ...], paid: Paid) -> None:
        self._plan, self._items, self._paid = plan, items, paid
        self._endpoints = [
            [Endpoint(call, None) for call in each.calls] for each in addressed(plan).conditions
        ]
        self._servers = [[server(plan, call) for call in each.calls] for each in plan.conditions]
        self._origins = [[word(each.name, k) for k in range(len(each.calls))] for each in plan.conditions]
        self._prompts = Prompts(plan, items)
        self._words = [word(item.id) for item in items]
        self._index = {each: k for k, each in enumerate(self._words)}
        self._next: dict[tuple[int, int, int], int] = {}

    def matches(self, done: TrialSet) -> Iterator[Match]:
        """Of the trials that are not `done`, those of which at least one call is answered; ascending."""
        if not len(self._paid):
            return
        count, repeats = len(self._plan.conditions), self._plan.repeats
        for item in range(len(self._items)):
            first = item * repeats * count
            numbers = np.arange(first, first + repeats * count, dtype=np.int64)
            pending = numbers[~done.contains(numbers)].tolist()
            asked = self._asked(item) if pending else []
            for number in pending:
                repeat, condition = divmod(number - first, count)
                it = asked[condition]
                low, high = it.low[repeat], it.high[repeat]
                if (low == high).all():
                    continue
                ranks = self._ranks(item, condition, it.requests[repeat], low, high)
                if any(rank is not None for rank in ranks):
                    yield Match(number, condition, item, it.prompts[repeat], it.requests[repeat], ranks)

    def chains(self, match: Match) -> list[tuple[Call, ...] | None]:
        """The attempts of each call that is answered, as calls of this plan."""
        names = [call.model.name for call in self._plan.conditions[match.condition].calls]
        chains: list[tuple[Call, ...] | None] = []
        for place, rank in enumerate(match.ranks):
            calls = self._paid.calls(rank) if rank is not None else ()
            if not calls or calls[-1].request != match.requests[place]:
                chains.append(None)
                continue
            key = match.prompts[place].key
            chains.append(
                tuple(replace(call, call=place, model=names[place], prompt=key) for call in unread(calls))
            )
        return chains

    def _asked(self, item: int) -> list[_Asked]:
        """What an item is asked, by condition."""
        count, repeats = len(self._plan.conditions), self._plan.repeats
        first = item * repeats * count
        rendered = self._prompts.render(range(first, first + repeats * count))
        asked = []
        for condition, servers in enumerate(self._servers):
            made: dict[tuple[PromptKey, ...], tuple[list[Prompt], list[str]]] = {}
            keys = [tuple(self._prompts.keys(first + r * count + condition)) for r in range(repeats)]
            for each in keys:
                if each not in made:
                    shown = [rendered[key] for key in each]
                    made[each] = shown, self._requests(condition, shown)
            prompts, requests = [made[each][0] for each in keys], [made[each][1] for each in keys]
            low, high = self._paid.candidates(_questions(servers, requests))
            asked.append(_Asked(prompts, requests, low, high))
        return asked

    def _requests(self, condition: int, prompts: list[Prompt]) -> list[str]:
        return [
            each.request_hash(each.body(prompt.messages))
            for each, prompt in zip(self._endpoints[condition], prompts, strict=True)
        ]

    def _ranks(
        self,
        item: int,
        condition: int,
        requests: list[str],
        low: NDArray[np.int64],
        high: NDArray[np.int64],
    ) -> Ranks:
        taken: set[int] = set()
        return [
            self._choose((int(low[k]), int(high[k])), item, (condition, k), request, taken)
            for k, request in enumerate(requests)
        ]

    def _choose(
        self, span: tuple[int, int], item: int, place: tuple[int, int], request: str, taken: set[int]
    ) -> int | None:
        """The chain to use: of the same item, and best of the same condition's same call; each once in a trial."""
        own = [rank for rank in self._paid.of_item(span, self._words[item]) if rank not in taken]
        if own:
            condition, call = place
            origin = self._origins[condition][call]
            rank = next((each for each in own if self._paid.origin(each) == origin), own[0])
            taken.add(rank)
            return rank
        key = (span[0], *place)
        for rank in range(max(span[0], self._next.get(key, 0)), span[1]):
            self._next[key] = rank + 1
            if rank not in taken and not self._claimed(rank, request):
                taken.add(rank)
                return rank
        return None

    def _claimed(self, rank: int, request: str) -> bool:
        """Whether the item that a chain was made for is one of ours, and asks the same here."""
        index = self._index.get(self._paid.item(rank))
        if index is None:
            return False
        return any(request in requests for each in self._asked(index) for requests in each.requests)


def _questions(servers: list[np.uint64], requests: list[list[str]]) -> NDArray[np.uint64]:
    """One word for each call; shape [repeats, calls]."""
    repeats = np.arange(len(requests), dtype=np.int64)
    words = [question(who, [each[k] for each in requests], repeats) for k, who in enumerate(servers)]
    return np.stack(words, axis=1) if words else np.zeros((len(requests), 0), np.uint64)
