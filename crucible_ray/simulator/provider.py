"""The provider without its sockets: a request and the time go in, what to answer comes out.

Every decision about a request is made as it arrives; the connection only carries it out. Which answer and
which fault it is depends on (seed, body, nth equal body admitted) alone, never on what else was asked
meanwhile. Only the limit looks at the clock, and what it refuses counts as no repetition.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import IO

import msgspec
from msgspec import Struct

from crucible_ray.records import Item
from crucible_ray.simulator import wire
from crucible_ray.simulator.answers import AnswerKey
from crucible_ray.simulator.config import SimulatedModel, SimulatorConfig
from crucible_ray.simulator.draws import FAULT, body_key, draws
from crucible_ray.simulator.faults import STATUS, FaultMix
from crucible_ray.simulator.limits import Arrivals, Limits
from crucible_ray.simulator.population import Answer, Population, latency_s
from crucible_ray.simulator.recorded import RecordedReply, Recordings

_LOG_FLUSH_S = 1.0


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

    def chat(self, body: bytes, authorization: str, *, now_s: float) -> Planned:
        """The answer to one request for a completion that arrived at `now_s`."""
        self._requests += 1
        self._total.add(now_s)
        try:
            request = wire.read_chat(body)
        except ValueError as error:  # msgspec's DecodeError and ValidationError are ValueErrors
            return Planned(400, wire.error(f"not a chat request: {error}", "invalid_request_error"))
        self._model_counts[request.model] += 1
        refused, headers = self._limit(request.model, authorization, now_s)
        if refused is not None:
            self._record(now_s, authorization, request.model, None, None, refused)
            return refused
        self._admitted.add(now_s)
        key = body_key(self._config.seed, body)
        nth = self._seen.get(key, 0)
        self._seen[key] = nth + 1
        planned, item = self._answer(request, key, nth)
        planned.headers += headers
        self._record(now_s, authorization, request.model, item, nth, planned)
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

    def _limit(self, model: str, authorization: str, now_s: float) -> tuple[Planned | None, str]:
        """The refusal by the limit or None, and the headers that tell about it."""
        if self._limits is None:
            return None, ""
        scope = self._config.limit_per
        who = "" if scope == "global" else authorization if scope == "key" else f"{authorization}\n{model}"
        limit = self._limits.of(who)
        wait_s = limit.admit(now_s)
        headers = (
            f"x-ratelimit-limit-requests: {self._limits.rpm:g}\r\n"
            f"x-ratelimit-remaining-requests: {limit.remaining(now_s)}\r\n"
        )
        if wait_s <= 0.0:
            return None, headers
        self._limited += 1
        if self._config.limit_retry_after:
            headers += _retry_after(math.ceil(wait_s), wait_s)
        return Planned(429, _rate_error(), headers), headers

    def _answer(self, request: wire.ChatRequest, key: bytes, nth: int) -> tuple[Planned, str | None]:
        """What is said and what goes wrong, and the id of the item that was asked about."""
        u = draws(key, nth)
        fault = self._faults.draw(u[FAULT])
        if fault is not None:
            self._fault_counts[fault] += 1
            if fault in STATUS:
                return self._refusal(fault), None
        if request.stream or request.n not in (None, 1):
            return _unsupported("stream" if request.stream else "n"), None
        question = self._key.find(request.asked())
        model = self._model(request.model)
        said: Answer | None = None
        if request.model in self._recordings.models:
            text = self._recordings.reply(request.model, question.id, nth)
            if text is not None:
                said = Answer(text, False, max(1, len(text) // 4))
        elif model is not None:
            said = self.population.answer(model, question, u, max_tokens=request.cap())
        if said is None or model is None:
            return _unknown(request.model, known=request.model in self._recordings.models), question.id
        planned = Planned(200, self._body(request, said, fault, key, nth), "", latency_s(model, u), fault)
        if fault == "truncated":
            planned.body = planned.body[: len(planned.body) * 2 // 3]
        return planned, question.id

    def _body(
        self, request: wire.ChatRequest, said: Answer, fault: str | None, key: bytes, nth: int
    ) -> bytes:
        if fault == "error-200":
            return wire.error("the server failed inside a success", "server_error", code="server_error")
        text, tokens, finish_reason = said.text, said.output_tokens, "stop"
        if fault == "empty":
            text, tokens, finish_reason = "", request.cap() or tokens, "length"
        return wire.completion(
            f"chatcmpl-simulated-{key[:6].hex()}-{nth}",
            request.model,
            text,
            input_tokens=request.input_tokens(),
            output_tokens=tokens,
            finish_reason=finish_reason,
        )

    def _model(self, name: str) -> SimulatedModel | None:
        """Who plays a name: its model; the default for recordings or where none are named; or nobody."""
        model = self._models.get(name)
        if model is None and (
            name in self._recordings.models or not (self._models or self._recordings.models)
        ):
            return self._config.default
        return model

    def _refusal(self, fault: str) -> Planned:
        status = STATUS[fault]
        if status == 429:
            wait_s = self._config.fault_retry_after_s
            headers = "" if fault == "429-bare" else _retry_after(wait_s, wait_s)
            return Planned(429, _rate_error(), headers, 0.0, fault)
        body = {
            401: wire.error("this key is refused", "invalid_request_error", code="invalid_api_key"),
            400: wire.error(
                "this parameter is not supported",
                "invalid_request_error",
                param="temperature",
                code="unsupported_parameter",
            ),
            500: wire.error("the server failed", "server_error"),
            529: wire.error("overloaded", "overloaded_error"),
        }[status]
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


def _retry_after(seconds: float, exact_s: float) -> str:
    return f"retry-after: {seconds:g}\r\nretry-after-ms: {math.ceil(exact_s * 1000)}\r\n"


def _rate_error() -> bytes:
    return wire.error("rate limit reached", "requests", code="rate_limit_exceeded")


def _unsupported(param: str) -> Planned:
    body = wire.error(
        f"{param} is not supported here", "invalid_request_error", param=param, code="unsupported_parameter"
    )
    return Planned(400, body)


def _unknown(model: str, *, known: bool) -> Planned:
    if known:
        message = f"no reply of {model} to this item was recorded"
        return Planned(404, wire.error(message, "invalid_request_error", code="reply_not_recorded"))
    message = f"the model {model} does not exist"
    return Planned(404, wire.error(message, "invalid_request_error", param="model", code="model_not_found"))
