"""The provider without its sockets: a request and the time go in, what to answer comes out.

Every decision about a request is made as it arrives; the connection only carries it out. Which answer and
which fault it is depends on (seed, body, nth equal body admitted) alone, never on what else was asked
meanwhile. Only the limit looks at the clock, and what it refuses counts as no repetition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import IO

import msgspec
from msgspec import Struct

from crucible_ray.records import Item
from crucible_ray.simulator.answers import AnswerKey
from crucible_ray.simulator.config import SimulatedModel, SimulatorConfig
from crucible_ray.simulator.draws import FAULT, body_key, draws
from crucible_ray.simulator.faults import STATUS, FaultMix
from crucible_ray.simulator.limits import Arrivals, Limits
from crucible_ray.simulator.population import Answer, Population, latency_s
from crucible_ray.simulator.recorded import RecordedReply, Recordings
from crucible_ray.simulator.wire import Request, Said, Trouble, Wire

_LOG_FLUSH_S = 1.0
_TROUBLES: dict[int, tuple[Trouble, str]] = {
    401: ("refused_key", "this key is refused"),
    400: ("refused_parameter", "this parameter is not supported"),
    500: ("failed", "the server failed"),
    529: ("overloaded", "overloaded"),
}
"""What a fault that is an answer of its own says, by its status."""


class Planned(Struct):
    """One answer, decided: when, what, and what goes wrong with it on the way."""

    status: int
    body: bytes
    headers: str = ""
    """Header lines of its own, each ended by CRLF."""
    delay_s: float = 0.0
    fault: str | None = None


class Stats(Struct, kw_only=True):
    """What `GET /stats` says. `requests` is the sum of `statuses`, `resets`, `cancelled` and `in_flight`."""

    simulated: bool = True
    requests: int
    """Requests for a completion, refused ones included."""
    statuses: dict[str, int]
    """Answers begun, by HTTP status."""
    faults: dict[str, int]
    """Faults injected, by kind; a cancelled request's fault counts as well."""
    models: dict[str, int]
    """Requests by model."""
    limited: int
    """Refusals by the limit."""
    resets: int
    """Connections reset in place of an answer."""
    cancelled: int
    """Clients gone before their answer began."""
    cut_short: int
    """Clients gone inside an answer's body."""
    in_flight: int
    """Requests whose answer has not begun."""
    peak_in_flight: int
    connections: int
    peak_connections: int
    densest_total: int
    """The most requests within any `window_s`."""
    densest_admitted: int
    """The most requests that the limit admitted within any `window_s`."""
    window_s: float
    total_times: list[float] | None = None
    """Seconds from the server's start to each request (`?arrivals=1`)."""
    admitted_times: list[float] | None = None


class Provider:
    """Models, faults and limits behind one address, and the counts of what happened to it."""

    def __init__(
        self,
        config: SimulatorConfig,
        *,
        items: Sequence[Item] = (),
        replies: Sequence[RecordedReply] = (),
        log: IO[bytes] | None = None,
    ) -> None:
        self._config, self._log, self._logged_s = config, log, 0.0
        self._recordings = Recordings(replies, items)
        self._key = AnswerKey([*items, *self._recordings.new_items])
        self.population = Population(
            self._key.questions.values(),
            seed=config.seed,
            difficulty_slope=config.difficulty_slope,
            concentration=config.concentration,
        )
        self._models = {model.name: model for model in config.models}
        self._faults = FaultMix(config.faults)
        self._limits = (
            None
            if config.rpm is None
            else Limits(
                config.rpm, config.limit_kind, bucket_size=config.bucket_size, window_s=config.window_s
            )
        )
        self._seen: dict[bytes, int] = {}
        self._requests = self._limited = 0
        self._fault_counts: Counter[str] = Counter()
        self._model_counts: Counter[str] = Counter()
        self._total, self._admitted = Arrivals(config.window_s), Arrivals(config.window_s)
        self.statuses: Counter[int] = Counter()
        self.resets = self.cancelled = self.cut_short = self.in_flight = self.peak_in_flight = 0
        self.connections = self.peak_connections = 0

    @property
    def slow_body_s(self) -> float:
        """How long a slow body takes."""
        return self._config.slow_body_s

    def names(self) -> list[str]:
        """The models served, sorted; any name is served where it is empty."""
        return sorted({*self._models, *self._recordings.models})

    def answer(self, wire: Wire, body: bytes, payer: str, *, now_s: float, model: str = "") -> Planned:
        """The answer to one request for a completion that arrived at `now_s`.

        payer: the header that holds the key. model: the one that the path names, if any.
        """
        self._requests += 1
        self._total.add(now_s)
        whole = model.encode() + body
        try:
            model, request = wire.read(body, model)
        except ValueError as error:  # msgspec's DecodeError and ValidationError are ValueErrors
            return _troubled(wire, "bad_request", f"not a request for a completion: {error}")
        self._model_counts[model] += 1
        refused, headers = self._limit(wire, model, payer, now_s)
        if refused is not None:
            self._record(now_s, payer, model, None, None, refused)
            return refused
        self._admitted.add(now_s)
        key = body_key(self._config.seed, whole)
        nth = self._seen.get(key, 0)
        self._seen[key] = nth + 1
        planned, item = self._answer(wire, model, request, key, nth)
        planned.headers += headers
        self._record(now_s, payer, model, item, nth, planned)
        return planned

    def stats(self, *, arrivals: bool = False) -> Stats:
        """The counts so far; with each arrival's time if asked."""
        return Stats(
            requests=self._requests,
            statuses={str(status): count for status, count in sorted(self.statuses.items())},
            faults=dict(sorted(self._fault_counts.items())),
            models=dict(sorted(self._model_counts.items())),
            limited=self._limited,
            resets=self.resets,
            cancelled=self.cancelled,
            cut_short=self.cut_short,
            in_flight=self.in_flight,
            peak_in_flight=self.peak_in_flight,
            connections=self.connections,
            peak_connections=self.peak_connections,
            densest_total=self._total.densest,
            densest_admitted=self._admitted.densest,
            window_s=self._config.window_s,
            total_times=self._total.times.tolist() if arrivals else None,
            admitted_times=self._admitted.times.tolist() if arrivals else None,
        )

    def _limit(self, wire: Wire, model: str, payer: str, now_s: float) -> tuple[Planned | None, str]:
        """The refusal by the limit or None, and the headers that tell about it."""
        if self._limits is None:
            return None, ""
        scope, rpm = self._config.limit_per, self._limits.rpm
        who = "" if scope == "global" else payer if scope == "key" else f"{payer}\n{model}"
        limit = self._limits.of(who)
        wait_s = limit.admit(now_s)
        headers = wire.limit_headers(rpm, limit.remaining(now_s))
        if wait_s <= 0.0:
            return None, headers
        self._limited += 1
        status, body, after = wire.refusal(wait_s if self._config.limit_retry_after else None, rpm)
        return Planned(status, body, headers + after), headers

    def _answer(
        self, wire: Wire, name: str, request: Request, key: bytes, nth: int
    ) -> tuple[Planned, str | None]:
        """What is said and what goes wrong, and the id of the item that was asked about."""
        u = draws(key, nth)
        fault = self._faults.draw(u[FAULT])
        if fault is not None:
            self._fault_counts[fault] += 1
            if fault in STATUS:
                return self._refusal(wire, fault), None
        if (param := request.unsupported()) is not None:
            return _troubled(wire, "refused_parameter", f"{param} is not supported here", param), None
        question = self._key.find(request.asked())
        model = self._model(name)
        said: Answer | None = None
        if name in self._recordings.models:
            text = self._recordings.reply(name, question.id, nth)
            if text is not None:
                said = Answer(text, False, max(1, len(text) // 4))
        elif model is not None:
            said = self.population.answer(model, question, u, max_tokens=request.cap())
        if said is None or model is None:
            return _unknown(wire, name, known=name in self._recordings.models), question.id
        whole = Said(
            f"simulated-{key[:6].hex()}-{nth}",
            name,
            said.text,
            request.input_tokens(),
            said.output_tokens,
            "stop",
        )
        return Planned(200, _body(wire, request, whole, fault), "", latency_s(model, u), fault), question.id

    def _model(self, name: str) -> SimulatedModel | None:
        """Who plays a name: its model; the default for recordings, for any name or where none are named; or nobody."""
        model = self._models.get(name)
        if model is None and (
            self._config.any_model
            or name in self._recordings.models
            or not (self._models or self._recordings.models)
        ):
            return self._config.default
        return model

    def _refusal(self, wire: Wire, fault: str) -> Planned:
        if STATUS[fault] == 429:
            wait_s = None if fault == "429-bare" else self._config.fault_retry_after_s
            status, body, headers = wire.refusal(wait_s, None)
            return Planned(status, body, headers, 0.0, fault)
        trouble, message = _TROUBLES[STATUS[fault]]
        status, body = wire.error(
            trouble, message, param="temperature" if trouble == "refused_parameter" else None
        )
        return Planned(status, body, "", 0.0, fault)

    def _record(
        self, now_s: float, authorization: str, model: str, item: str | None, nth: int | None, said: Planned
    ) -> None:
        if self._log is None:
            return
        line = {
            "simulated": True,
            "at_s": round(now_s, 6),
            "key": _key_name(authorization),
            "model": model,
            "item": item,
            "nth": nth,
            "status": said.status,
            "fault": said.fault,
            "delay_s": round(said.delay_s, 6),
        }
        self._log.write(msgspec.json.encode(line) + b"\n")
        if now_s - self._logged_s > _LOG_FLUSH_S:
            self._logged_s = now_s
            self._log.flush()


@lru_cache(maxsize=1_000)
def _key_name(authorization: str) -> str:
    """What the log calls a key: a hash, since the key is none of its business."""
    return blake2b(authorization.encode(), digest_size=4).hexdigest()


def _body(wire: Wire, request: Request, said: Said, fault: str | None) -> bytes:
    if fault == "error-200":
        return wire.error("failed_inside", "the server failed inside a success")[1]
    if fault == "empty":
        said.text, said.finish_reason = "", "length"
        said.output_tokens = request.cap() or said.output_tokens
    body = wire.completion(said)
    return body[: len(body) * 2 // 3] if fault == "truncated" else body


def _troubled(wire: Wire, trouble: Trouble, message: str, param: str | None = None) -> Planned:
    return Planned(*wire.error(trouble, message, param=param))


def _unknown(wire: Wire, model: str, *, known: bool) -> Planned:
    if known:
        return _troubled(wire, "not_recorded", f"no reply of {model} to this item was recorded")
    return _troubled(wire, "unknown_model", f"the model {model} does not exist", "model")
