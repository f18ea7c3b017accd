"""Small plans, callers that do as they are told, and drivers over them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import inf

from crucible_ray.calls.budget import Ledger, Purse
from crucible_ray.experiment.grid import Order
from crucible_ray.experiment.plan import CallPlan, ConditionPlan, Plan, PromptPlan
from crucible_ray.journal.log import Journal
from crucible_ray.journal.memory import MemoryLog
from crucible_ray.journal.rows import read_rows, rows_to_records
from crucible_ray.journal.store import inline
from crucible_ray.journal.trials import TrialSet
from crucible_ray.ports import Spawner
from crucible_ray.records import Call, Exchange, Item, ModelRef, Reply, Report, Row, Usage
from crucible_ray.runtime.client import ClientCore, Setup
from crucible_ray.runtime.driver import Driver
from crucible_ray.runtime.frontier import Frontier
from crucible_ray.runtime.lanes import Lanes, lanes_of
from crucible_ray.runtime.local import LocalSpawner
from crucible_ray.runtime.supervision import RestartBudget
from crucible_ray.runtime.trial import CallResult, Gauges, Prompt, TrialClock

LETTERS = "ABCD"
Answer = Callable[[int, int], Awaitable[CallResult]]
"""What becomes of call `index` of a trial."""


def model(
    name: str = "m", *, group: str | None = None, url: str = "http://127.0.0.1/v1", **changes: object
) -> ModelRef:
    """A model at no real address."""
    fields: dict[str, object] = {
        "name": name,
        "provider": "openai",
        "model": name,
        "base_url": url,
        "limit_group": group or name,
    }
    return ModelRef(**(fields | changes))  # type: ignore[arg-type]


def call_of(ref: ModelRef, **changes: object) -> CallPlan:
    """One call of that model."""
    fields: dict[str, object] = {"model": ref, "timeout_s": 20.0, "attempt_timeout_s": 10.0, "max_tokens": 8}
    return CallPlan(**(fields | changes))  # type: ignore[arg-type]


def condition(
    name: str,
    *calls: CallPlan,
    vote: str | None = None,
    quorum: int = 1,
    parse: str = "choice",
    template: str = "{{ input }}",
) -> ConditionPlan:
    """A condition of these calls; several vote."""
    return ConditionPlan(
        name=name,
        kind="ensemble" if vote else "model",
        calls=calls,
        prompt=PromptPlan(template=template),
        parse=parse,
        vote=vote,
        quorum=quorum,
    )


def items(count: int) -> tuple[Item, ...]:
    """So many questions with four choices; the answers go round."""
    return tuple(
        Item(id=f"i{k}", input=f"Question {k}?", expected=LETTERS[k % 4], choices=("1", "2", "3", "4"))
        for k in range(count)
    )


def plan(*conditions: ConditionPlan, count: int = 10, repeats: int = 1, **changes: object) -> Plan:
    """A plan over `items(count)`; without conditions, two that call one model each."""
    fields: dict[str, object] = {
        "experiment_id": "exp_000000000000",
        "name": "test",
        "dataset": "test",
        "dataset_checksum": "",
        "items": count,
        "repeats": repeats,
        "metrics": ("accuracy",),
        "conditions": conditions
        or (condition("a", call_of(model("m"))), condition("b", call_of(model("n", group="m")))),
        "retry_delay_s": 0.1,
    }
    return Plan(**(fields | changes))  # type: ignore[arg-type]


def attempt(**changes: object) -> Call:
    """One attempt that went well."""
    fields: dict[str, object] = {
        "call": 0,
        "attempt": 0,
        "model": "m",
        "request": "r",
        "prompt": "p",
        "started_us": 0,
        "ended_us": 1000,
        "outcome": "ok",
        "input_tokens": 10,
        "output_tokens": 2,
        "cost_usd": 0.01,
    }
    return Call(**(fields | changes))  # type: ignore[arg-type]


def said(
    text: str, *, finish_reason: str = "stop", calls: list[Call] | None = None, index: int = 0
) -> CallResult:
    """A call that ended with this reply."""
    usage = Usage(input_tokens=10, output_tokens=2)
    return CallResult(
        Reply(text=text, finish_reason=finish_reason, usage=usage), None, calls or [attempt(call=index)]
    )


def failed(error: str, *calls: Call, index: int = 0) -> CallResult:
    """A call that ended without a reply."""
    return CallResult(None, error, list(calls) or [attempt(call=index, outcome=error, cost_usd=0.0)])


async def at_once(trial: int, index: int) -> CallResult:
    """The answer A."""
    return said("A", index=index)


class ScriptedCaller:
    """Satisfies `Caller`: answers as it was told, and remembers what was asked."""

    def __init__(self, answer: Answer = at_once, *, conditions: int = 2) -> None:
        self._answer = answer
        self.purse, self.gauges = Purse(conditions), Gauges()
        self.asked: list[int] = []

    async def call(
        self, clock: TrialClock, condition: int, index: int, item: Item, prompt: Prompt
    ) -> CallResult:
        """See Caller. Every call is sent at once."""
        if clock.first_s is None:
            clock.first_s = asyncio.get_running_loop().time()
        self.asked.append(clock.trial)
        return await self._answer(clock.trial, index)

    def without_keys(self, text: str) -> str:
        """See Caller. It holds none."""
        return text

    def close(self) -> None:
        """See Caller."""


def core(
    of: Plan,
    answer: Answer = at_once,
    *,
    window: int = 4,
    lanes: Lanes | None = None,
    generation: int = 0,
    bounds_usd: tuple[float, ...] = (),
) -> tuple[ClientCore, ScriptedCaller]:
    """A client whose calls are scripted."""
    lanes = lanes or lanes_of(of.conditions)
    caller = ScriptedCaller(answer, conditions=len(of.conditions))
    setup = Setup(
        plan=of,
        items=items(of.items),
        lanes=lanes,
        windows=(window,) * len(lanes),
        bounds_usd=bounds_usd,
        generation=generation,
    )
    return ClientCore(setup, caller, cpu_clock=lambda: 0.0), caller


def rows_in(report: Report) -> list[Row]:
    """Its rows."""
    return list(rows_to_records(read_rows(report.rows))) if report.rows else []


class World:
    """A driver over scripted clients and a log in memory; made inside a loop."""

    def __init__(
        self,
        of: Plan,
        answer: Answer = at_once,
        *,
        clients: int = 1,
        window: int = 4,
        spawner: Spawner | None = None,
        log: MemoryLog | None = None,
        bounds_usd: tuple[float, ...] = (),
        limit_usd: float = inf,
        restarts: RestartBudget | None = None,
    ) -> None:
        self.plan = of
        self.log = log or MemoryLog(clock=asyncio.get_running_loop().time)
        self.callers: list[ScriptedCaller] = []
        self.events: list[tuple[str, dict[str, object]]] = []
        self.spawner = spawner or LocalSpawner(self._make(answer, window))
        self._clients, self._window, self._bounds, self._limit = clients, window, bounds_usd, limit_usd
        self._restarts = restarts

    def _make(self, answer: Answer, window: int) -> Callable[[int, int], ClientCore]:
        def make(index: int, generation: int) -> ClientCore:
            made, caller = core(
                self.plan, answer, window=window, generation=generation, bounds_usd=self._bounds
            )
            self.callers.append(caller)
            return made

        return make

    async def driver(self) -> Driver:
        """Ready to run."""
        lanes = lanes_of(self.plan.conditions)
        journal = await Journal.open(self.log, writer="test", checkpoint_every=10, offload=inline)
        count = len(self.plan.conditions)
        return Driver(
            frontier=Frontier(
                order=Order(
                    blocks=self.plan.items * self.plan.repeats,
                    conditions=count,
                    seed=self.plan.seed,
                    randomize=self.plan.randomize,
                ),
                lanes=lanes,
                done=TrialSet(),
            ),
            ledger=Ledger(
                limit_usd=self._limit, conditions=count, scale_usd=self._limit if self._limit < inf else 1.0
            ),
            journal=journal,
            spawner=self.spawner,
            clients=self._clients,
            windows=(self._window,) * len(lanes),
            bounds_usd=self._bounds,
            restarts=self._restarts,
            on_event=lambda name, facts: self.events.append((name, facts)),
        )


async def unreachable(trial: int, index: int) -> CallResult:
    """Never answers."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError


def exchange(number: int, **changes: object) -> Exchange:
    """A message of generation 0."""
    return Exchange(**({"number": number, "generation": 0} | changes))  # type: ignore[arg-type]
