"""What a trial's calls came to, as whoever asked a question by hand wants to have it."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

from msgspec.structs import replace

from crucible_ray.errors import ModelError, ServerError
from crucible_ray.experiment.plan import ConditionPlan
from crucible_ray.records import EnsembleResult, ModelRef, Reply, Row
from crucible_ray.runtime.trial import CallResult

_MENDS = {
    "authentication": "Put a valid key into {key}.",
    "missing_key": "Set {key} (environment, .env, or a file named by {key}_FILE).",
    "refused": "Correct the model's id, or drop the option that it names (models list shows the ids).",
    "bad_request": "Shorten the prompt, or correct what the provider names.",
    "content_filter": "Ask something else: the provider withheld the answer.",
    "rate_limit": "Wait, or set requests_per_minute in [models.NAME] to what the provider allows.",
    "overloaded": "Try again later: the provider has no capacity.",
    "server_error": "Try again later.",
    "timeout": "Try again, or raise timeout_s.",
    "connection": "Check base_url ({url}), the network and the proxy.",
    "connection_lost": "Try again.",
    "malformed": "Check base_url ({url}): what answers there does not speak this format.",
}
"""By the `kind` of a ModelError."""


def mend(kind: str, model: ModelRef, url: str) -> str:
    """What can be done about a call that ended so. url: where the model is asked."""
    key = model.api_key_env or "the key's variable"
    return _MENDS.get(kind, "Try again.").format(key=key, url=url)


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
