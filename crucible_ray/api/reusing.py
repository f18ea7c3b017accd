"""`--reuse`: replies that earlier runs paid for take the place of calls, wherever request and repeat are the same.

| a trial of which | becomes |
| --- | --- |
| every call is found | a row at once, before any client starts: no slot, no money |
| some calls are found (a new member of an ensemble) | a grant that brings those calls along |

A reply of the same item comes first, then one of an item that this run does not have; the latter is used once for each
call of a condition, so that two items never stand on one reply. Function conditions make their calls anew: what they
ask is not known beforehand.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.api.places import journal_store, read_config
from crucible_ray.api.preparing import Prepared
from crucible_ray.errors import CannotContinue, UsageError
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.log import Journal
from crucible_ray.journal.paid import Paid, question, server, word
from crucible_ray.journal.rows import RowBuffer, read_rows
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.models.catalogue import addressed
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.prompts import Renderer, prompt_text
from crucible_ray.records import Call, Item
from crucible_ray.runtime.code import Functions
from crucible_ray.runtime.driver import ALIVE_S
from crucible_ray.runtime.known import KNOWN_SCHEMA, Known, known_table
from crucible_ray.runtime.reading import unread
from crucible_ray.runtime.trial import Condition, Prompt, recorded_result

AUTO = "auto"
MOST_FOLDERS = 1000
"""Results folders that `auto` looks at, the newest first."""
_BATCH = 2048
"""Trials whose rows are made and written together."""


class ReuseFacts(Struct, frozen=True, kw_only=True):
    """What was looked for and found."""

    folders: int
    """Results folders looked at."""
    matching: int
    """Those of them that asked one of this run's models."""
    unreadable: tuple[str, ...]
    """Folders that could not be read, each with the reason."""
    replies: int
    """Replies that they hold, of these models or others."""
    trials: int
    """Trials of this run that needed no call."""
    partly: int
    """Trials that need fewer calls."""
    calls: int
    """Calls that are not made again."""


class _Trial(Struct):
    """A trial with what was found for its calls."""

    number: int
    condition: int
    item: Item
    prompts: list[Prompt]
    """By call."""
    chains: list[tuple[Call, ...] | None]


class _Asked(Struct):
    """What an item is asked under one condition; lists by repeat, and in each by call."""

    prompts: list[list[Prompt]]
    requests: list[list[str]]
    low: np.ndarray
    high: np.ndarray
    """From `low` to `high`: the ranks of what answers it; shape [repeats, calls]."""


def sources(reuse: str | Path, parent: Path, own: Path) -> list[Path]:
    """The results folders to take replies from, the newest first. Raises UsageError.

    reuse: `auto` (every results folder in `parent`), a results folder, or a folder of them. own: never taken.
    """
    where = parent if str(reuse) == AUTO else Path(reuse)
    if str(reuse) != AUTO and not where.is_dir() and (parent / str(reuse)).is_dir():
        where = parent / str(reuse)
    if (where / "config.json").is_file():
        found = [where]
    else:
        found = [path.parent for path in where.glob("*/config.json")] if where.is_dir() else []
        if not found and str(reuse) != AUTO:
            raise UsageError(f"--reuse {reuse}: that is neither a results folder nor a folder of them.")
    mine = own.resolve()
    others = [path for path in found if path.resolve() != mine]
    return sorted(others, key=lambda path: (path / "config.json").stat().st_mtime, reverse=True)[
        :MOST_FOLDERS
    ]


async def reuse_replies(
    prepared: Prepared,
    folders: Sequence[Path],
    journal: Journal,
    state: JournalState,
    scratch: Path,
    *,
    strict: bool,
) -> tuple[ReuseFacts, Known]:
    """Write the rows of trials that need no call; return what was found, and the calls known of other trials.

    strict: a folder that cannot be read is an error, else it is named in the facts. Raises CannotContinue, UsageError.
    """
    async with _alive(journal):
        paid = Paid(scratch)
        matching, unreadable = await _gather(paid, folders, prepared.plan, strict=strict)
        matcher = _Matcher(prepared.plan, prepared.items, paid, prepared.code.load())
        partly = _Partly(scratch)
        trials = calls = 0
        found = matcher.trials(state)
        while batch := await asyncio.to_thread(_take, found, _BATCH):
            calls += sum(chain is not None for trial in batch for chain in trial.chains)
            whole = [trial for trial in batch if None not in trial.chains]
            partly.add([trial for trial in batch if None in trial.chains])
            if whole:
                trials += len(whole)
                await journal.append_rows([await asyncio.to_thread(matcher.rows, whole)], state.spent_usd)
    facts = ReuseFacts(
        folders=len(folders),
        matching=matching,
        unreadable=unreadable,
        replies=len(paid),
        trials=trials,
        partly=partly.count,
        calls=calls,
    )
    return facts, partly.sealed()


async def _gather(
    paid: Paid, folders: Sequence[Path], plan: Plan, *, strict: bool
) -> tuple[int, tuple[str, ...]]:
    """(folders that asked one of this plan's models, those that could not be read)."""
    asked = {server(plan, call) for condition in plan.conditions for call in condition.calls}
    matching, unreadable = 0, []
    for folder in folders:
        try:
            matching += await _add(paid, folder, asked)
        except (CannotContinue, UsageError) as error:
            if strict:
                raise
            unreadable.append(f"{folder.name}: {error}")
    await asyncio.to_thread(paid.seal)
    return matching, tuple(unreadable)


async def _add(paid: Paid, folder: Path, asked: set[np.uint64]) -> bool:
    plan, items = await asyncio.to_thread(read_config, folder)
    if not asked & {server(plan, call) for condition in plan.conditions for call in condition.calls}:
        return False
    log = journal_store(folder, None, plan.experiment_id)
    state = await read_state(log, conditions=len(plan.conditions))
    await asyncio.to_thread(lambda: paid.add(plan, items, log, state, now_s=time.time()))
    return True


@contextlib.asynccontextmanager
async def _alive(journal: Journal) -> AsyncIterator[None]:
    """Tell others that this driver lives while it is busy. Raises Superseded at the end of the block."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(ALIVE_S)
            await journal.keep_alive()

    task = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _take(found: Iterator[_Trial], most: int) -> list[_Trial]:
    return [trial for trial, _ in zip(found, range(most), strict=False)]


class _Matcher:
    """Finds for each trial of a plan the replies that are paid for."""

    def __init__(self, plan: Plan, items: tuple[Item, ...], paid: Paid, functions: Functions) -> None:
        """functions: the author's own parsers, which read replies here too."""
        self._plan, self._items, self._paid = plan, items, paid
        self._conditions = [Condition(k, condition, functions) for k, condition in enumerate(plan.conditions)]
        self._endpoints = [
            [Endpoint(call, None) for call in each.calls] for each in addressed(plan).conditions
        ]
        self._servers = [[server(plan, call) for call in each.calls] for each in plan.conditions]
        self._origins = [[word(each.name, k) for k in range(len(each.calls))] for each in plan.conditions]
        self._renderers = [Renderer(prompt) for prompt in plan.prompts]
        self._variants = [[plan.prompts.index(each) for each in c.prompts] for c in plan.conditions]
        self._words = [word(item.id) for item in items]
        self._index = {each: k for k, each in enumerate(self._words)}
        self._next: dict[tuple[int, int, int], int] = {}
        self._told: set[str] = set()

    def trials(self, state: JournalState) -> Iterator[_Trial]:
        """Those without a row of which at least one call is found, ascending."""
        if not len(self._paid):
            return
        count, repeats = len(self._conditions), self._plan.repeats
        for index, item in enumerate(self._items):
            asked = self._asked(item)
            first = index * repeats * count
            numbers = np.arange(first, first + repeats * count, dtype=np.int64)
            for number in numbers[~state.kept.contains(numbers)].tolist():
                repeat, condition = divmod(number - first, count)
                it = asked[condition]
                low, high = it.low[repeat], it.high[repeat]
                if (low == high).all():
                    continue
                chains = self._chains(index, condition, it.requests[repeat], low, high)
                if any(chains):
                    prompts = it.prompts[repeat]
                    labelled = self._labelled(chains, condition, prompts)
                    yield _Trial(number, condition, item, prompts, labelled)

    def _asked(self, item: Item) -> list[_Asked]:
        """What an item is asked, by condition."""
        rendered: dict[tuple[int, int], Prompt] = {}
        repeats = np.arange(self._plan.repeats, dtype=np.int64)
        asked = []
        for condition, servers in enumerate(self._servers):
            prompts: list[list[Prompt]] = []
            requests: list[list[str]] = []
            for repeat in range(self._plan.repeats):
                if repeat and not any(self._renderers[each].varies for each in self._variants[condition]):
                    prompts.append(prompts[0])
                    requests.append(requests[0])
                    continue
                shown = [self._prompt(rendered, v, item, repeat) for v in self._variants[condition]]
                prompts.append(shown)
                requests.append(
                    [
                        each.request_hash(each.body(prompt.messages))
                        for each, prompt in zip(self._endpoints[condition], shown, strict=True)
                    ]
                )
            words = [question(who, [each[k] for each in requests], repeats) for k, who in enumerate(servers)]
            table = np.stack(words, axis=1) if words else np.zeros((len(repeats), 0), np.uint64)
            low, high = self._paid.candidates(table)
            asked.append(_Asked(prompts, requests, low, high))
        return asked

    def _prompt(
        self, rendered: dict[tuple[int, int], Prompt], variant: int, item: Item, repeat: int
    ) -> Prompt:
        renderer = self._renderers[variant]
        key = (variant, repeat if renderer.varies else 0)
        if key not in rendered:
            rendered[key] = Prompt(renderer.render(item, repeat))
        return rendered[key]

    def _chains(
        self, item: int, condition: int, requests: list[str], low: np.ndarray, high: np.ndarray
    ) -> list[tuple[Call, ...] | None]:
        taken: set[int] = set()
        chains: list[tuple[Call, ...] | None] = []
        for place, request in enumerate(requests):
            span = (int(low[place]), int(high[place]))
            rank = self._choose(span, item, (condition, place), request, taken)
            calls = self._paid.calls(rank) if rank is not None else None
            chains.append(calls if calls and calls[-1].request == request else None)
        return chains

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
        asked = self._asked(self._items[index])
        return any(request in requests for each in asked for requests in each.requests)

    def _labelled(
        self, chains: list[tuple[Call, ...] | None], condition: int, prompts: list[Prompt]
    ) -> list[tuple[Call, ...] | None]:
        """The calls as calls of this plan."""
        names = [call.model.name for call in self._plan.conditions[condition].calls]
        return [
            chain
            and tuple(replace(call, call=k, model=names[k], prompt=prompts[k].key) for call in unread(chain))
            for k, chain in enumerate(chains)
        ]

    def rows(self, trials: list[_Trial]) -> pa.Table:
        """The rows of trials whose every call is found."""
        buffer = RowBuffer()
        for trial in trials:
            results = [recorded_result(list(chain)) for chain in trial.chains if chain is not None]
            row = self._conditions[trial.condition].row(trial.number, trial.item, results)
            new = {
                each.key: prompt_text(each.messages) for each in trial.prompts if each.key not in self._told
            }
            self._told.update(new)
            buffer.append(row, list(new.items()))
        return read_rows(buffer.take())


class _Partly:
    """The calls known of trials that still have some to make, gathered on disk."""

    def __init__(self, scratch: Path) -> None:
        self._path = scratch / "known.arrow"
        self._writer = pa.ipc.new_file(str(self._path), KNOWN_SCHEMA)
        self.count = 0

    def add(self, trials: list[_Trial]) -> None:
        """Take some more, in ascending order."""
        self.count += len(trials)
        chains = [[call for chain in trial.chains if chain for call in chain] for trial in trials]
        self._writer.write_table(known_table([trial.number for trial in trials], chains))

    def sealed(self) -> Known:
        """What was gathered."""
        self._writer.close()
        return Known(pa.ipc.open_file(pa.memory_map(str(self._path))).read_all())
