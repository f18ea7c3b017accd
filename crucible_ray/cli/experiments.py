"""From the words of a command line to a prepared experiment."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from crucible_ray.errors import UsageError

if TYPE_CHECKING:
    from crucible_ray.api import Prepared
    from crucible_ray.experiment.spec import Experiment


def asked_formats(text: str | None) -> tuple[str, ...] | None:
    """The formats of a comma list; None: nothing was asked for. Raises UsageError."""
    if text is None:
        return None
    from crucible_ray.experiment.formats import check_formats

    return check_formats([name.strip() for name in text.split(",") if name.strip()])


def load(
    ref: str | Experiment,
    *,
    sample_size: int | None = None,
    repeat: int | None = None,
    seed: int | None = None,
    max_cost: float | None = None,
    params: Sequence[str] | None = None,
    profile: str | None = None,
    simulate: bool = False,
) -> Prepared:
    """Find the experiment (or take it as it is), change what the command line says, resolve everything. Raises UsageError."""
    from crucible_ray.api import prepare
    from crucible_ray.experiment.adjusting import override, set_fields
    from crucible_ray.experiment.loading import load_experiment

    if max_cost is not None and max_cost <= 0:
        raise UsageError("--max-cost has to be above zero.")

    def changed(found: Experiment) -> Experiment:
        return override(found, sample_size=sample_size, repeat=repeat, seed=seed, max_cost=max_cost)

    values = pairs(params or ())
    if not isinstance(ref, str):
        return prepare(changed(set_fields(ref, values)), profile=profile, simulate=simulate)
    loaded = load_experiment(ref, values)
    said = {"--sample-size": sample_size, "--repeat": repeat, "--seed": seed, "--max-cost": max_cost}
    flags = {name: str(value) for name, value in said.items() if value is not None}
    whole = dataclasses.replace(loaded, experiment=changed(loaded.experiment), flags=flags)
    return prepare(whole, profile=profile, simulate=simulate)


def asked(
    ref: str | None,
    dataset: str | None,
    models: Sequence[str] | None,
    prompt: str | None,
    metrics: Sequence[str] | None,
) -> str | Experiment:
    """The experiment's reference, or one made of a dataset and models. Raises UsageError."""
    parts = {"--dataset": dataset, "--model": models, "--prompt": prompt, "--metric": metrics}
    given = [name for name, value in parts.items() if value]
    if ref is not None:
        if given:
            raise UsageError(
                f"{', '.join(given)}: with {ref} it is the experiment that says so; leave one out."
            )
        return ref
    if dataset is None or not models:
        raise UsageError(
            "name an experiment (file.py), or a dataset and models: --dataset FILE --model NAME. "
            "See crucible-ray run --help."
        )
    from crucible_ray.experiment.spec import Experiment, Model

    return Experiment(
        name=f"{dataset}: {', '.join(models)}",
        dataset=dataset,
        conditions=[Model(name) for name in models],
        prompt=prompt,
        metrics=list(metrics or ("accuracy", "latency_p95", "cost_per_query")),
    )


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """`name=value` each. Raises UsageError."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"-P {text}: write -P name=value.")
        if name in found:
            raise UsageError(f"-P {name} is given twice.")
        found[name] = value
    return found
