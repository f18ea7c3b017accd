"""What kept a run from being faster, judged by what was measured."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

_REFUSED: Final = 0.02
"""Of all calls, from which refusals are what holds a run up."""
_WAITING: Final = 0.5
"""Calls that wait for a send slot, on average over the run, from which the limit is what holds it up."""
_BUSY: Final = 0.8
_TAIL: Final = 0.25
_IDLE: Final = 0.5
"""Calls in flight, on average over the run, below which it is not they that take its time."""
_SHORT_S: Final = 1.0


class Load(Struct, frozen=True, kw_only=True):
    """What a session measured. Seconds of wall clock, unless said otherwise."""

    driven_s: float
    """From the first exchange with a client to the end of the last trial."""
    calls: int
    cut_short: bool = False
    """It ended before everything was asked."""
    throttled: int = 0
    """429s."""
    quota_wait_s: float = 0.0
    """Waiting for send slots, summed over calls."""
    call_s: float = 0.0
    """From send to answer, summed over calls."""
    clients: int = 1
    in_process: bool = False
    """Clients share one process, so that more of them gain nothing."""
    cores: int | None = None
    """CPU cores of the one machine on which all clients live; None: there may be several machines."""
    client_cpu_s: float = 0.0
    """CPU time, summed over clients."""
    peak: int = 0
    """Trials in flight at most."""
    tail_s: float = 0.0
    """At the end, with fewer than half as many in flight."""
    finishing_s: float = 0.0
    """Results, scores and analysis, after the last trial."""
    own_rate: float | None = None
    """The experiment's `rate_limit`, requests per second."""
    at_once: tuple[str, ...] = ()
    """Models that have a `max_concurrency`, whose calls wait in the same way."""
    limited: bool = True
    """Whether a provider's limit is known; a refusal teaches one."""


def bound_by(load: Load) -> str:
    """The one thing that held the run up most, with the numbers that say so."""
    if not load.calls and load.cut_short:
        return "nothing was asked yet"
    if not load.calls or load.driven_s <= 0:
        return "nothing: no call was needed"
    if load.driven_s < _SHORT_S:
        return f"nothing that so short a run would show ({load.driven_s:.2g} s of asking)"
    if load.throttled > _REFUSED * load.calls:
        return f"the provider's refusals ({load.throttled:,} x 429 in {load.calls:,} calls)"
    waiting = load.quota_wait_s / load.driven_s
    if waiting >= _WAITING:
        return f"{_whose(load)} ({waiting:.3g} calls waited for a slot on average)"
    busy = load.client_cpu_s / (load.driven_s * max(1, load.clients))
    if busy >= _BUSY:
        return (
            f"our CPU (clients were busy {100 * min(busy, 1.0):.0f} % of the time): {_more(load)} would help"
        )
    if load.finishing_s > load.driven_s:
        return (
            f"scoring and writing results ({load.finishing_s:.1f} s, against {load.driven_s:.1f} s of asking)"
        )
    if load.tail_s > _TAIL * load.driven_s:
        return (
            f"the tail (the last {load.tail_s:.1f} s of {load.driven_s:.1f} s with fewer than half of {load.peak:,} trials "
            "in flight)"
        )
    at_once = load.call_s / load.driven_s
    if at_once < _IDLE:
        return (
            "what stands around calls, as starting clients and recording "
            f"(all calls together took {load.call_s:.2g} s of {load.driven_s:.1f} s)"
        )
    many = f"{at_once:,.0f}" if at_once >= 10 else f"{at_once:.2g}"
    return (
        f"calls in flight (about {many} at a time) and how long each takes ({load.call_s / load.calls:.2g} s)"
    )


def _whose(load: Load) -> str:
    """What calls may have waited for; a wait is recorded without its reason."""
    whose = []
    if load.own_rate is not None:
        whose.append(f"the experiment's rate limit ({load.own_rate:g} a second)")
    if load.at_once:
        whose.append(f"max_concurrency of {', '.join(load.at_once)}")
    if load.limited or load.throttled or not whose:
        whose.append("the provider's limit")
    return " or ".join(whose)


def _more(load: Load) -> str:
    """What gives clients more CPU."""
    if load.cores is not None and load.cores <= (1 if load.in_process else load.clients):
        return "another machine"
    return "Ray with more clients (no --in-process)" if load.in_process else "more clients (--clients)"
