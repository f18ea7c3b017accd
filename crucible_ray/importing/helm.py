"""HELM's run folders: `per_instance_stats.json`, with `run_spec.json` and `scenario_state.json` beside it.

The scenario is the stratum, the training trial (`train_trial_index`) the repeat. Perturbed instances are left out: they
are versions of items that stand there already. HELM scores a failed request as an empty answer; here it is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from crucible_ray.errors import UsageError
from crucible_ray.importing.log import Asked, Log, Row, columns, content_hash, finite, known_of_item, once

SCORES: Final = "per_instance_stats.json"


class _Name(Struct):
    name: str
    perturbation: Any = None


class _Stat(Struct):
    name: _Name
    count: int = 0
    sum: float | None = None


class _Scored(Struct):
    instance_id: str
    train_trial_index: int = 0
    perturbation: Any = None
    stats: list[_Stat] = field(default_factory=list)


class _Adapter(Struct):
    model: str = ""
    model_deployment: str = ""


class _Run(Struct):
    name: str
    adapter_spec: _Adapter = field(default_factory=_Adapter)


class _Result(Struct):
    success: bool = True


class _Request(Struct):
    instance: dict[str, Any]
    train_trial_index: int = 0
    result: _Result | None = None


class _State(Struct):
    request_states: list[_Request] = field(default_factory=list)


class _Asked(Struct):
    """What is recorded of the requests of a run."""

    instances: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id, as far as they are known."""
    failed: set[tuple[str, int]] = field(default_factory=set)
    """Instance and training trial of requests that brought no answer."""


def read(folder: Path, asked: Asked) -> Log:
    """One run: a model and a scenario. Raises UsageError."""
    run = _decoded(folder / "run_spec.json", _Run)
    requests = _requests(folder)
    found = _decoded(folder / SCORES, list[_Scored])
    original = [each for each in found if each.perturbation is None]
    rows = _rows(original, run, requests, asked, folder.name)
    labels, values = columns(once(rows, folder.name))
    if not values:
        raise UsageError(f"{folder} has no score of an instance.")
    notes = []
    if len(found) > len(original):
        notes.append(
            f"{folder.name}: {len(found) - len(original)} scores of perturbed instances are left out: "
            "they are versions of the same items"
        )
    if requests.failed:
        notes.append(
            f"{folder.name}: {len(requests.failed)} requests failed; HELM scores them as empty answers, here they are missing"
        )
    return Log(
        name=folder.name,
        tool="HELM",
        labels=labels,
        values=values,
        same_content=bool(requests.instances),
        notes=tuple(notes),
    )


def _rows(found: list[_Scored], run: _Run, requests: _Asked, asked: Asked, where: str) -> Iterator[Row]:
    model = run.adapter_spec.model or run.adapter_spec.model_deployment or where
    scenario = _scenario(run.name)
    for each in found:
        known = requests.instances.get(each.instance_id, {})
        lost = (each.instance_id, each.train_trial_index) in requests.failed
        yield Row(
            item=each.instance_id,
            condition=model,
            values={
                stat.name.name: None if lost or not stat.count or stat.sum is None else stat.sum / stat.count
                for stat in each.stats
                if stat.name.perturbation is None
            },
            repeat=each.train_trial_index,
            stratum=known_of_item(known, asked.strata, where) or scenario,
            cluster=known_of_item(known, asked.cluster, where),
            content=_content(known),
        )


def _scenario(name: str) -> str:
    """A run's name without the model: `mmlu:subject=anatomy,model=a` is `mmlu:subject=anatomy`."""
    scenario, _, arguments = name.partition(":")
    kept = [
        each for each in arguments.split(",") if each.partition("=")[0] not in ("model", "model_deployment")
    ]
    return f"{scenario}:{','.join(kept)}" if any(kept) else scenario


def _requests(folder: Path) -> _Asked:
    """Of each request its instance, and whether it failed; nothing where the file is not there."""
    path = folder / "scenario_state.json"
    if not path.is_file():
        return _Asked()
    state: _State = _decoded(path, _State)
    originals = [each for each in state.request_states if each.instance.get("perturbation") is None]
    return _Asked(
        instances={str(each.instance.get("id")): each.instance for each in originals},
        failed={
            (str(each.instance.get("id")), each.train_trial_index)
            for each in originals
            if each.result is not None and not each.result.success
        },
    )


def _content(known: dict[str, Any]) -> str:
    if not known:
        return ""
    return content_hash([known.get(name) for name in ("input", "references")])


def _decoded(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(finite(path.read_bytes()), type=kind)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} is none of HELM's: {error}.") from error
