"""Which experiment this is: a hash of what can change an answer or the set of trials, and of nothing else.

Metrics, hypotheses, analysis, budget, limits, prices and formats stay out: a run that its budget stopped
continues with a larger one, and a changed question never mixes with old results.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import replace

from crucible_ray.experiment.plan import CallPlan, ConditionPlan, FunctionPlan, Plan, PromptPlan
from crucible_ray.records import Item

_encoder = msgspec.json.Encoder(order="sorted")


def dataset_checksum(items: Sequence[Item]) -> str:
    """SHA-256, hexadecimal, of the items as JSON lines with sorted keys: of `dataset.jsonl`'s bytes."""
    return sha256(_encoder.encode_lines(items)).hexdigest()


def experiment_id(plan: Plan, items: Sequence[Item]) -> str:
    """`exp_` and 12 hexadecimal digits for a plan (whose own id is not read) over these items."""
    return _digest(plan, dataset_checksum(items))


def identify(plan: Plan) -> Plan:
    """The plan under the id that it deserves, by its own checksum of the items."""
    return replace(plan, experiment_id=_digest(plan, plan.dataset_checksum))


def _digest(plan: Plan, items: str) -> str:
    text = _encoder.encode(
        {
            "name": plan.name,
            "items": items,
            "repeats": plan.repeats,
            "order": {"randomize": plan.randomize, "seed": plan.seed},
            "conditions": [_condition(each) for each in plan.conditions],
            "simulated": plan.simulated,
            # What came later counts only where it is used, so that an older experiment keeps its id.
            **({"share_replies": True} if plan.share_replies else {}),
        }
    )
    return f"exp_{sha256(text).hexdigest()[:12]}"


def _condition(condition: ConditionPlan) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": condition.name,
        "kind": condition.kind,
        "calls": [_call(each) for each in condition.calls],
        **_prompt(condition.prompt),
        "parse": condition.parse,
        "normalize": condition.normalize,
        "vote": condition.vote,
        "quorum": condition.quorum,
    }
    if condition.function is not None:
        found["function"] = _function(condition.function)
    return found


def _function(function: FunctionPlan) -> dict[str, Any]:
    return {
        "source": function.source,
        "temperature": function.temperature,
        "max_tokens": function.max_tokens,
        "timeout_s": function.timeout_s,
        "attempt_timeout_s": function.attempt_timeout_s,
        "simulated": function.simulated,
    }


def _call(call: CallPlan) -> dict[str, Any]:
    found = _one_call(call)
    if call.fallback:
        found["fallback"] = [_one_call(each) for each in call.fallback]
    return found


def _one_call(call: CallPlan) -> dict[str, Any]:
    # A simulator that the run itself starts listens elsewhere each time: it counts as its settings.
    own = call.model.provider == "simulated"
    return {
        "provider": call.model.provider,
        "model": call.model.model,
        "base_url": None if own else call.model.base_url,
        "temperature": call.temperature,
        "max_tokens": _max_tokens(call),
        "timeout_s": call.timeout_s,
        "attempt_timeout_s": call.attempt_timeout_s,
        "extra": call.extra,
        **({} if call.prompt is None else {"prompt": _prompt(call.prompt)}),
        **({} if call.parse is None else {"parse": call.parse}),
    }


def _prompt(prompt: PromptPlan) -> dict[str, Any]:
    # What came later counts only where it is used, so that an older experiment keeps its id.
    later = {"messages": prompt.messages, "few_shot": prompt.few_shot}
    used = {name: value for name, value in later.items() if value}
    return {"template": prompt.template, "system": prompt.system, **used}


def _max_tokens(call: CallPlan) -> int | None:
    """Anthropic's format has to have one: where none is set, the catalogue's is sent, and counts."""
    unset = call.max_tokens is None and call.model.provider == "anthropic"
    return call.model.max_output_tokens if unset else call.max_tokens
