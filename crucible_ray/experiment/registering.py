"""Preregistration: hypotheses and analysis plan, hashed into the run's log before the first trial; what deviates from them.

What is registered is all that may change without asking anything anew; the rest is in the experiment's id.

| who | role | lifetime |
| --- | --- | --- |
| `Registration` | one plan, its SHA-256, and how many trials had a row when it was written | an entry of the log |
| the first one, or the last before any trial had a row | the preregistered plan | for ever, whatever is voided later |
| a later one | a plan that was changed after trials had been seen | each of its changes is a `Deviation` |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Struct

from crucible_ray.experiment.defaults import parse_words
from crucible_ray.experiment.plan import AnalysisPlan, ConditionPlan, Plan

_encoder = msgspec.json.Encoder(order="sorted")
_READING: Final = ("parse", "normalize", "vote", "quorum")
_SOURCES: Final = frozenset({"custom", "source"})
"""Values that are hashes of an author's functions: that they changed is told, not what they are."""


def _plain(value: Any) -> dict[str, Any]:
    """As it is read back from a log: a list has no tuples in it."""
    return msgspec.json.decode(msgspec.json.encode(value), type=dict[str, Any])


_DEFAULTS: Final[dict[str, Any]] = _plain(AnalysisPlan())


class Registration(Struct, frozen=True, kw_only=True):
    """A plan of analysis as the log has it."""

    sha256: str
    """Of `plan` as JSON with sorted keys, hexadecimal."""
    plan: dict[str, Any]
    """`hypotheses`, `metrics`, `analysis`, `readings`, `stop_when`: see `registered_part`."""
    after_trials: int
    """Trials that had a row when it was written; 0: before the first one."""
    at: str
    """ISO 8601."""
    unblinded: bool = False
    """From here on a blind run's conditions have their names, whatever is left to run."""


class Deviation(Struct, frozen=True, kw_only=True):
    """One thing that is not as it was registered."""

    what: str
    """`hypotheses`, `metrics`, `analysis.alpha`, `single.parse`, ..."""
    was: str | None
    """None: it was added."""
    now: str | None
    """None: it was dropped."""
    after_trials: int
    """Trials that had a row when it was changed."""

    @property
    def told(self) -> str:
        """A sentence without its end."""
        when = f"after {self.after_trials:,} trials"
        if self.was is None:
            return f"{self.what}: {self.now} was added {when}"
        if self.now is None:
            return f"{self.what}: {self.was} was dropped {when}"
        return f"{self.what}: was {self.was}, is {self.now}, changed {when}"


class Preregistration(Struct, frozen=True, kw_only=True):
    """The plan that stood before the first trial, and how the analysis deviates from it."""

    sha256: str
    deviations: tuple[Deviation, ...] = ()


def registered_part(plan: Plan) -> dict[str, Any]:
    """What of a plan is registered, as plain values."""
    found: dict[str, Any] = {
        "hypotheses": {each.text: msgspec.to_builtins(each) for each in plan.hypotheses},
        "metrics": dict.fromkeys(plan.metrics, "ours")
        | {each.name: msgspec.to_builtins(each) for each in plan.own_metrics},
        "analysis": msgspec.to_builtins(plan.analysis),
        "readings": {each.name: _readings(each) for each in plan.conditions},
    }
    if plan.stop_when is not None:
        found["stop_when"] = msgspec.to_builtins(plan.stop_when)
    return _plain(found)


def _readings(condition: ConditionPlan) -> dict[str, Any]:
    found = {name: getattr(condition, name) for name in _READING}
    members = [call.parse for call in condition.calls]
    return {**found, "members": members} if any(members) else found


def registration(plan: Plan, *, after_trials: int, at: str, unblinded: bool = False) -> Registration:
    """A plan's registration."""
    part = registered_part(plan)
    return Registration(sha256=digest(part), plan=part, after_trials=after_trials, at=at, unblinded=unblinded)


def digest(part: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal, of a registered part."""
    return sha256(_encoder.encode(part)).hexdigest()


def is_due(plan: Plan, before: Sequence[Registration], *, trials: int) -> bool:
    """Whether a plan has to be registered: the first one before any trial, and each one that is not as the last.

    trials: those that have a row. A run that began without one (an earlier version's) has none to deviate from.
    """
    if not before:
        return trials == 0
    return any(_differences(before[-1].plan, registered_part(plan)))


def preregistered(found: Sequence[Registration]) -> Registration | None:
    """The plan that stood when the first trial was seen; None: nothing was registered."""
    first = None
    for each in found:
        if each.after_trials:
            break
        first = each
    return first


def judged(plan: Plan, found: Sequence[Registration], *, trials: int) -> Preregistration | None:
    """How a plan deviates from what was registered; None: nothing was. trials: those that have a row by now."""
    first = preregistered(found)
    if first is None:
        return None
    now = registered_part(plan)
    deviations = [
        Deviation(what=what, was=was, now=is_now, after_trials=_since(path, now, found, trials))
        for path, what, was, is_now in _differences(first.plan, now)
    ]
    if digest(first.plan) != first.sha256:
        deviations.insert(
            0,
            Deviation(what="registration", was=first.sha256, now=digest(first.plan), after_trials=trials),
        )
    return Preregistration(sha256=first.sha256, deviations=tuple(deviations))


def _since(path: tuple[str, ...], now: Mapping[str, Any], found: Sequence[Registration], trials: int) -> int:
    """Trials that had a row when a value first became what it is now, after the last time that it was not."""
    since = trials
    for each in reversed(found):
        if _differs(_at(each.plan, path), _at(now, path), path):
            return since
        since = each.after_trials
    return since


def _at(part: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = part
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _differences(
    was: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, ...], str, str | None, str | None]]:
    """(path, what, was, now) of each value that is not the same."""
    for group in ("hypotheses", "metrics"):
        yield from _listed(group, was.get(group, {}), now.get(group, {}))
    for path in _paths(was, now):
        before, after = _at(was, path), _at(now, path)
        if _differs(before, after, path):
            what = ".".join(path).removeprefix("readings.")
            yield path, what, *_shown(path[-1], before, after)


def _paths(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Where single values stand in either."""
    yield from (("analysis", name) for name in _names(was.get("analysis", {}), now.get("analysis", {})))
    readings = was.get("readings", {}), now.get("readings", {})
    for condition in _names(*readings):
        parts = [each.get(condition, {}) for each in readings]
        yield from (("readings", condition, name) for name in _names(*parts))
    yield ("stop_when",)


def _listed(
    group: str, was: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, ...], str, str | None, str | None]]:
    """Hypotheses and metrics by name: dropped, added, or another thing of the same name."""
    for name in _names(was, now):
        path = (group, name)
        if name not in now:
            yield path, group, name, None
        elif name not in was:
            yield path, group, None, name
        elif was[name] != now[name]:
            yield path, f"{group}.{name}", *_shown("source", was[name], now[name])


def _names(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*was, *now]))


def _differs(was: Any, now: Any, path: Sequence[str]) -> bool:
    """What one of them lacks is at its default: a later version may have brought the option."""
    if path[0] == "analysis" and (was is None or now is None):
        was, now = (_DEFAULTS.get(path[-1]) if each is None else each for each in (was, now))
    return bool(was != now)


def _shown(name: str, was: Any, now: Any) -> tuple[str, str]:
    if name in _SOURCES:
        return ("one of the author's functions", "another") if was and now else (_told(was), _told(now))
    return _words(name, was), _words(name, now)


def _told(value: Any) -> str:
    return "none" if value is None else "one of the author's"


def _words(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if name == "parse" and isinstance(value, str):
        return parse_words(value)
    return value if isinstance(value, str) else _encoder.encode(value).decode()
