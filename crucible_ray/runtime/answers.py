"""What a trial's calls came to, as whoever asked a question by hand wants to have it."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

from msgspec.structs import replace

from crucible_ray.errors import ModelError, ServerError
from crucible_ray.experiment.plan import ConditionPlan
from crucible_ray.records import EnsembleResult, Reply, Row
from crucible_ray.runtime.trial import CallResult


def reply_of(result: CallResult) -> Reply | None:
    """The reply with what it cost and how long it took, lost attempts included; None: there is none."""
    if result.reply is None:
        return None
    return replace(result.reply, cost_usd=_cost_usd(result), latency_ms=_latency_ms(result))


def error_of(result: CallResult) -> ModelError:
    """Why a call brought no reply: what its last attempt failed of."""
    last = result.calls[-1]
    kind = _KINDS.get(result.error or "", ServerError)
    return kind(last.detail or f"no answer ({result.error})", last.status)


def ensemble_result(condition: ConditionPlan, row: Row, results: Sequence[CallResult]) -> EnsembleResult:
    """The vote of a trial's calls; of a single model as of an ensemble of one."""
    replies = tuple(reply_of(each) for each in results)
    voted = row.votes if row.votes is not None else {} if row.prediction is None else {row.prediction: 1}
    consensus = row.consensus if row.votes is not None else None if row.prediction is None else 1.0
    return EnsembleResult(
        answer=row.prediction,
        votes=voted,
        consensus=consensus,
        cost_usd=row.cost_usd,
        models_used=tuple(call.model.name for call in condition.calls),
        successes=sum(each is not None for each in replies),
        failures=sum(each is None for each in replies),
        latency_ms=None if row.latency_us is None else row.latency_us / 1000,
        replies=replies,
        error=row.error,
    )


def _cost_usd(result: CallResult) -> float | None:
    costs = [call.cost_usd for call in result.calls]
    return None if None in costs else fsum(cost for cost in costs if cost is not None)


def _latency_ms(result: CallResult) -> float:
    return sum(call.ended_us - call.started_us for call in result.calls) / 1000


def _subclasses(kind: type[ModelError]) -> list[type[ModelError]]:
    return [each for child in kind.__subclasses__() for each in (child, *_subclasses(child))]


_KINDS = {each.kind: each for each in reversed(_subclasses(ModelError))}
