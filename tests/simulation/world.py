"""The whole runtime in one process under virtual time, with everything that can go wrong drawn from one seed.

| part | real | drawn from the seed |
| --- | --- | --- |
| driver, frontier, ledger, journal, clients, limiter, slots, retries | yes | when they are killed, or stopped |
| provider | a model of one: sliding-window limit, charges on arrival | latency, faults, outages |
| network between driver and clients | calls | delay, a repeated message, rows delivered twice, a lost answer |
| storage | the log in memory | delay, failed writes, writes of which the answer is lost |
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa

from crucible_ray.api.watching import LEAVES_WITHIN_S
from crucible_ray.calls.budget import Ledger
from crucible_ray.calls.limit_state import MemoryStates
from crucible_ray.errors import (
    AlreadyRunning,
    CrucibleError,
    NeverSent,
    OutcomeUnknown,
    StaleConnection,
    StorageFailed,
    Superseded,
)
from crucible_ray.experiment.grid import order_of
from crucible_ray.experiment.plan import BudgetPlan, CallPlan, ConditionPlan, Plan, PromptPlan
from crucible_ray.journal.log import Journal
from crucible_ray.journal.memory import MemoryLog
from crucible_ray.journal.rows import read_rows
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.journal.store import inline
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.models.transport import Response
from crucible_ray.ports import AmbiguousWrite, Client, ClientLost, Limiter
from crucible_ray.records import Exchange, Item, Limits, Message, ModelRef, Report
from crucible_ray.reduction.peeking import Sequence
from crucible_ray.runtime.client import ClientCore, Setup
from crucible_ray.runtime.driver import Driver
from crucible_ray.runtime.frontier import Frontier
from crucible_ray.runtime.lanes import lanes_of
from crucible_ray.runtime.limiter import LimiterService
from crucible_ray.runtime.live import live_client
from crucible_ray.runtime.local import LocalClient
from crucible_ray.runtime.supervision import RestartBudget

LETTERS = "ABCD"
INPUT_PRICE, OUTPUT_PRICE = 1000.0, 2000.0  # US dollars per million tokens: large, so that cents matter
MAX_TOKENS = 8
WINDOW_S = 60.0
LEAD = 4
"""Blocks that one lane may be ahead of another where a run may stop early."""


@dataclass
class Weather:
    """What goes wrong in one world, and how often."""

    items: int
    repeats: int
    clients: int
    window: int
    rpm: float | None
    tpm: float | None
    """Tokens a minute that the provider admits."""
    run_rate: float | None
    """The experiment's own `rate_limit`, requests a second."""
    mixed_lengths: bool
    """Whether prompts differ in length."""
    latency_s: float
    fault: float
    stall: float
    client_kills: float
    """Mean kills a minute."""
    driver_kills: int
    rivals: bool
    """Whether a second driver takes over now and then, while the first still runs."""
    lost_answers: float
    repeats_of_messages: float
    repeats_of_rows: float
    storage_faults: float
    outages: int
    budget_share: float | None

    @classmethod
    def drawn(cls, rng: random.Random) -> Weather:
        return cls(
            items=rng.randrange(3, 40),
            repeats=rng.choice([1, 1, 2, 3]),
            clients=rng.choice([1, 1, 2, 4]),
            window=rng.choice([1, 4, 16, 64]),
            rpm=rng.choice([None, None, 60.0, 600.0, 3000.0]),
            tpm=rng.choice([None, None, None, 6000.0, 60_000.0]),
            run_rate=rng.choice([None, None, None, 2.0, 20.0]),
            mixed_lengths=rng.random() < 0.5,
            latency_s=rng.choice([0.0, 0.05, 0.3, 2.0]),
            fault=rng.choice([0.0, 0.0, 0.05, 0.3]),
            stall=rng.choice([0.0, 0.0, 0.02]),
            client_kills=rng.choice([0.0, 0.0, 2.0, 10.0]),
            driver_kills=rng.choice([0, 0, 1, 3]),
            rivals=rng.random() < 0.15,
            lost_answers=rng.choice([0.0, 0.0, 0.02]),
            repeats_of_messages=rng.choice([0.0, 0.2]),
            repeats_of_rows=rng.choice([0.0, 0.0, 0.1]),
            storage_faults=rng.choice([0.0, 0.0, 0.1]),
            outages=rng.choice([0, 0, 1]),
            budget_share=rng.choice([None, None, 0.5, 2.0]),
        )


@dataclass
class Provider:
    """A provider under virtual time; satisfies Transport. Keeps what it charged and when requests arrived."""

    rng: random.Random
    weather: Weather
    arrivals: list[float] = field(default_factory=list)
    admitted: deque[tuple[float, int]] = field(default_factory=deque)
    most_tokens: int = 0
    """In any sliding minute."""
    charged_usd: float = 0.0
    refused: int = 0
    open: int = 0
    down_until_s: float = -1.0
    asked: dict[bytes, int] = field(default_factory=lambda: defaultdict(int))

    async def aclose(self) -> None:
        return None

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, deadline_s: float | None = None
    ) -> Response:
        loop, rng = asyncio.get_running_loop(), self.rng
        self.open += 1
        try:
            await asyncio.sleep(rng.uniform(0.0, 0.02))
            now = loop.time()
            if now < self.down_until_s:
                raise NeverSent("connection refused")
            self.arrivals.append(now)
            request = msgspec.json.decode(body)
            if not self._admit(now, len(request["messages"][-1]["content"]) // 4 + MAX_TOKENS):
                self.refused += 1
                return _answer(429, {"error": {"message": "slow down"}}, {"retry-after": "1"})
            nth = self.asked[body]
            self.asked[body] += 1
            draw = random.Random(f"{body!r}{nth}")
            answer = self.answer(request, draw)
            fault = rng.choice(_FAULTS) if rng.random() < self.weather.fault else None
            if fault in (None, "lost", "stale", "malformed"):
                prompt = request["messages"][-1]["content"]
                self.charged_usd += (len(prompt) // 4 * INPUT_PRICE + 2 * OUTPUT_PRICE) * 1e-6
            if rng.random() < self.weather.stall:
                await asyncio.sleep(1e6)
            await asyncio.sleep(
                self.weather.latency_s * rng.lognormvariate(0.0, 0.7) * self.slowness(request, answer)
            )
            if fault is not None:
                return _fault(fault)
            usage = {"prompt_tokens": len(request["messages"][-1]["content"]) // 4, "completion_tokens": 2}
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": answer},
                "finish_reason": "stop",
            }
            return _answer(200, {"id": "x", "model": "m-1", "choices": [choice], "usage": usage}, {})
        finally:
            self.open -= 1

    def answer(self, request: dict[str, Any], draw: random.Random) -> str:
        """What a model says to a request."""
        return LETTERS[draw.randrange(4)]

    def slowness(self, request: dict[str, Any], answer: str) -> float:
        """How much longer than usual it takes to say so."""
        return 1.0

    def _admit(self, now: float, tokens: int) -> bool:
        while self.admitted and self.admitted[0][0] <= now - WINDOW_S:
            self.admitted.popleft()
        held = sum(each for _, each in self.admitted) + tokens
        too_many = self.weather.rpm is not None and len(self.admitted) >= self.weather.rpm
        if too_many or (self.weather.tpm is not None and held > self.weather.tpm):
            return False
        self.most_tokens = max(self.most_tokens, held)
        self.admitted.append((now, tokens))
        return True


_FAULTS = ("500", "529", "lost", "stale", "malformed", "429")


def _fault(kind: str) -> Response:
    if kind == "lost":
        raise OutcomeUnknown("connection reset")
    if kind == "stale":
        raise StaleConnection("closed while idle")
    if kind == "malformed":
        return Response(200, {}, b'{"choices": [{"mess')
    if kind == "429":
        return _answer(429, {"error": {"message": "now and then"}}, {})
    return _answer(int(kind), {"error": {"message": "broken"}}, {})


def _answer(status: int, body: object, headers: Mapping[str, str]) -> Response:
    return Response(status, headers, msgspec.json.encode(body))


class Storage(MemoryLog):
    """The log, with delays and failures; each driver has a door of its own, which its death closes."""

    def __init__(self, rng: random.Random, weather: Weather) -> None:
        super().__init__(clock=asyncio.get_running_loop().time)
        self.rng, self.weather = rng, weather
        self.overwrite = False

    def create_now(self, number: int, data: bytes) -> bool:
        if self.overwrite:
            self.entries[number] = data
            return True
        return super().create_now(number, data)


class Door:
    """One driver's access to the storage: satisfies LogStore."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.closed = False

    @property
    def where(self) -> str:
        return "simulated"

    async def _pass(self) -> None:
        rng = self._storage.rng
        await asyncio.sleep(rng.choice([0.0, 0.0, 0.01, 0.3]))
        if self.closed:
            await asyncio.sleep(1e9)

    async def create(self, number: int, data: bytes) -> bool:
        await self._pass()
        rng, faults = self._storage.rng, self._storage.weather.storage_faults
        if rng.random() < faults * 0.2:
            raise StorageFailed("simulated", "no space left")
        if rng.random() < faults:
            raise AmbiguousWrite("no answer")
        made = await self._storage.create(number, data)
        if rng.random() < faults:
            raise AmbiguousWrite("the answer was lost")
        await self._pass()
        return made

    async def read(self, number: int) -> bytes:
        await self._pass()
        return await self._storage.read(number)

    async def numbers(self) -> list[int]:
        await self._pass()
        return await self._storage.numbers()

    async def say_alive(self, text: str) -> None:
        await self._pass()
        await self._storage.say_alive(text)

    async def read_alive(self) -> tuple[str, float] | None:
        await self._pass()
        return await self._storage.read_alive()


def _joined(before: bytes, rows: bytes) -> bytes:
    """Rows that were delivered already, and new ones after them."""
    table = pa.concat_tables([read_rows(before), read_rows(rows)])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


class Wire:
    """A client behind a network that delays, repeats and loses; now and then it delivers rows twice."""

    def __init__(self, client: LocalClient, world: World) -> None:
        self._client, self._world = client, world
        self._rows = b""

    async def exchange(self, message: Exchange) -> Report:
        if message.grants:
            self._world.granted()
        rng, weather, before = self._world.rng, self._world.weather, self._rows
        await asyncio.sleep(rng.choice([0.0, 0.001, 0.05]))
        report = await self._client.exchange(message)
        if rng.random() < weather.repeats_of_messages:
            report = await self._client.exchange(message)
        if rng.random() < weather.lost_answers:
            raise ClientLost("the answer was lost")
        rows, self._rows = report.rows, report.rows or self._rows
        if rows and rng.random() < weather.repeats_of_rows:
            return msgspec.structs.replace(report, rows=_joined(before or rows, rows))
        return report

    async def beat(self) -> float:
        return await self._client.beat()


class Spawner:
    """Local clients behind wires; the world may kill them."""

    def __init__(self, world: World, setup: Setup) -> None:
        self._world, self._setup = world, setup
        self.clients: dict[int, LocalClient] = {}

    async def spawn(self, index: int, generation: int) -> Client:
        setup = msgspec.structs.replace(self._setup, generation=generation)
        client = self.clients[index] = LocalClient(self._world.core(setup, index + 100 * generation))
        return Wire(client, self._world)

    async def kill(self, index: int) -> None:
        client = self.clients.pop(index, None)
        if client is not None:
            await client.kill()

    async def close(self) -> None:
        for index in list(self.clients):
            await self.kill(index)


def _decided(sequence: Sequence, rows: pa.Table) -> bool:
    sequence.add(rows)
    return sequence.over


class World:
    """One seed's world."""

    def __init__(self, seed: int, weather: Weather | None = None) -> None:
        self.rng = random.Random(seed)
        self.weather = weather or Weather.drawn(self.rng)
        self.provider = self._provider()
        self.storage = Storage(self.rng, self.weather)
        self.limiter = LimiterService(MemoryStates(asyncio.get_running_loop().time))
        self.items = tuple(
            Item(id=str(k), input=self._question(k), expected=LETTERS[k % 4], choices=("1", "2", "3", "4"))
            for k in range(self.weather.items)
        )
        self.plan = self._plan(seed)
        self.lanes = lanes_of(self.plan.conditions)
        self.bounds = self._bounds()
        self.notes: list[str] = []
        self.last: Attempt | None = None
        """The driver that began last."""
        # Drawn apart, so that worlds without a stop are what they would be without this.
        self.hand = random.Random(f"hand {seed}")
        self.stops = self.hand.choice([0, 0, 1, 3])
        """How often somebody stops a driver in good order."""

    def _provider(self) -> Provider:
        return Provider(self.rng, self.weather)

    def sequence(self, state: JournalState) -> Sequence | None:
        """What may stop a run, told the rows that the log holds; None: it ends when everything is asked."""
        return None

    def granted(self) -> None:
        """Trials are on their way to a client."""

    def _question(self, k: int) -> str:
        return f"Question {k}?" + " And why?" * (7 * (k % 5) if self.weather.mixed_lengths else 0)

    def _plan(self, seed: int) -> Plan:
        limits = Limits(requests_per_minute=self.weather.rpm, tokens_per_minute=self.weather.tpm)

        def call(name: str, group: str) -> CallPlan:
            model = ModelRef(
                name=name, provider="openai", model=name, base_url="http://provider/v1", limit_group=group, limits=limits,
                input_price=INPUT_PRICE, output_price=OUTPUT_PRICE,
            )  # fmt: skip
            return CallPlan(model=model, max_tokens=MAX_TOKENS, timeout_s=20.0, attempt_timeout_s=10.0)

        prompt = PromptPlan(template="{{ input }}")
        return Plan(
            experiment_id="exp_000000000000",
            name="simulated",
            dataset="simulated",
            dataset_checksum="",
            items=self.weather.items,
            repeats=self.weather.repeats,
            seed=seed,
            metrics=("accuracy",),
            retry_delay_s=0.5,
            rate_limit=self.weather.run_rate,
            conditions=(
                ConditionPlan(name="one", kind="model", calls=(call("m", "g"),), prompt=prompt, parse="choice"),
                ConditionPlan(
                    name="three", kind="ensemble", calls=(call("m", "g"), call("n", "g"), call("o", "g")),
                    prompt=prompt, parse="choice", vote="majority", quorum=2,
                ),
            ),
            budget=BudgetPlan(max_total=self._budget(), abort_on_exceed=self.weather.budget_share is not None),
        )  # fmt: skip

    def _budget(self) -> float | None:
        if self.weather.budget_share is None:
            return None
        return self.weather.budget_share * self.weather.items * self.weather.repeats * 4 * 0.009

    def _bounds(self) -> tuple[float, ...]:
        longest = (Message("user", max((item.input for item in self.items), key=len)),)
        bounds = []
        for condition in self.plan.conditions:
            each = [Endpoint(call, None).cost_bound_usd(longest) for call in condition.calls]
            bounds.append(sum(bound for bound in each if bound is not None))
        return tuple(bounds)

    def core(self, setup: Setup, seed: int) -> ClientCore:
        async def limiter() -> Limiter:
            return self.limiter

        return live_client(
            setup,
            keys={},
            limiter=limiter,
            seed=seed,
            cpu_clock=lambda: 0.0,
            transport=self.provider,
            clock=asyncio.get_running_loop().time,
        )

    async def drive(self, *, take_over: bool = False, budget: float | None = None) -> Attempt:
        """Start one driver: the same steps as a real run's."""
        attempt = Attempt(self, take_over=take_over, budget=budget)
        attempt.task = asyncio.ensure_future(attempt.run())
        return attempt

    async def weather_of_clients(self, attempt: Attempt) -> None:
        """Kill clients at random moments for as long as the driver lives."""
        rate = self.weather.client_kills / 60.0
        while rate:
            await asyncio.sleep(self.rng.expovariate(rate))
            if attempt.spawner is not None and attempt.spawner.clients:
                index = self.rng.choice(sorted(attempt.spawner.clients))
                await attempt.spawner.clients[index].kill()

    async def hand_on_the_keys(self, attempt: Attempt) -> None:
        """Stop a driver, mostly a second time as well, and now and then do not wait for it to end."""
        await asyncio.sleep(self.hand.uniform(0.1, 15.0))
        if attempt.driver is None:
            return
        self.stops -= 1
        attempt.driver.stop("interrupted")
        await asyncio.sleep(self.hand.uniform(0.0, 3.0))
        impatience = self.hand.random()
        if impatience < 0.7:
            attempt.driver.leave()
            await asyncio.wait([attempt.task], timeout=LEAVES_WITHIN_S)
        if impatience < 0.3 and not attempt.task.done():
            await attempt.kill()

    async def weather_of_provider(self) -> None:
        """Take the provider down now and then."""
        for _ in range(self.weather.outages):
            await asyncio.sleep(self.rng.uniform(0.5, 20.0))
            self.provider.down_until_s = asyncio.get_running_loop().time() + self.rng.uniform(1.0, 10.0)


class Attempt:
    """One driver's life."""

    def __init__(self, world: World, *, take_over: bool, budget: float | None) -> None:
        self.world, self.take_over, self.budget = world, take_over, budget
        self.door = Door(world.storage)
        self.spawner: Spawner | None = None
        self.driver: Driver | None = None
        self.task: asyncio.Task[str]

    async def run(self) -> str:
        """Its status, or the name of the error that ended it."""
        try:
            return await self._run()
        except (AlreadyRunning, Superseded, StorageFailed, CrucibleError) as error:
            self.world.notes.append(f"{type(error).__name__}: {error}")
            return type(error).__name__
        finally:
            if self.spawner is not None:
                await self.spawner.close()

    async def _run(self) -> str:
        world, plan = self.world, self.world.plan
        writer = f"driver-{world.rng.getrandbits(64):x}"
        journal = await Journal.open(
            self.door, writer=writer, checkpoint_every=10, take_over=self.take_over, offload=inline
        )
        state = await read_state(self.door, conditions=len(plan.conditions))
        order = order_of(plan)
        sequence = world.sequence(state)
        if sequence is not None and sequence.over:
            return "stopped"
        limit = self.budget if self.budget is not None else plan.budget.max_total
        ledger = Ledger(
            limit_usd=limit if limit is not None else float("inf"),
            conditions=len(plan.conditions),
            scale_usd=limit if limit is not None and limit < float("inf") else 1.0,
            spent_usd=state.paid_usd,
            other_usd=state.other_usd,
        )
        windows = tuple(world.weather.window for _ in world.lanes)
        setup = Setup(
            plan=plan, items=world.items, lanes=world.lanes, windows=windows, bounds_usd=world.bounds
        )  # fmt: skip
        self.spawner = Spawner(world, setup)
        self.driver = Driver(
            frontier=Frontier(
                order=order, lanes=world.lanes, done=state.kept, lead=None if sequence is None else LEAD
            ),
            ledger=ledger,
            journal=journal,
            spawner=self.spawner,
            clients=world.weather.clients,
            windows=windows,
            bounds_usd=world.bounds,
            restarts=RestartBudget(max_restarts=10_000, window_s=60.0),
            decides=None if sequence is None else partial(_decided, sequence),
        )
        return await self.driver.run()

    async def kill(self) -> None:
        """As kill -9 does: nothing that this driver still tries reaches anybody."""
        self.door.closed = True
        if self.spawner is not None:
            await self.spawner.close()
        self.task.cancel()
        await asyncio.wait([self.task])
