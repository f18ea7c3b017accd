"""Experiments on language models as Ray actors: declared, estimated, run, analysed and reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crucible_ray import datasets, metrics
    from crucible_ray.api import (
        LogComparison,
        Options,
        RunResult,
        acall_model,
        acompare,
        apredict,
        arun,
        call_model,
        compare,
        estimate,
        load,
        predict,
        reproduce,
        rescore,
        resume,
        retry,
        run,
    )
    from crucible_ray.errors import CallFailed
    from crucible_ray.experiment.hypothesis import Hypothesis
    from crucible_ray.experiment.own import metric
    from crucible_ray.experiment.spec import (
        Analysis,
        Budget,
        Dataset,
        Ensemble,
        Experiment,
        FewShot,
        Function,
        Looks,
        Model,
    )
    from crucible_ray.records import Answer, EnsembleResult, Reply

__all__ = [
    "Analysis",
    "Answer",
    "Budget",
    "CallFailed",
    "Dataset",
    "Ensemble",
    "EnsembleResult",
    "Experiment",
    "FewShot",
    "Function",
    "Hypothesis",
    "LogComparison",
    "Looks",
    "Model",
    "Options",
    "Reply",
    "RunResult",
    "acall_model",
    "acompare",
    "apredict",
    "arun",
    "call_model",
    "compare",
    "datasets",
    "estimate",
    "load",
    "metric",
    "metrics",
    "predict",
    "reproduce",
    "rescore",
    "resume",
    "retry",
    "run",
]

_HOMES = dict.fromkeys(
    ("Analysis", "Budget", "Dataset", "Ensemble", "Experiment", "FewShot", "Function", "Looks", "Model"),
    "crucible_ray.experiment.spec",
)
_HOMES |= {"metric": "crucible_ray.experiment.own"}
_HOMES |= {"Hypothesis": "crucible_ray.experiment.hypothesis", "CallFailed": "crucible_ray.errors"}
_HOMES |= dict.fromkeys(("Answer", "EnsembleResult", "Reply"), "crucible_ray.records")


_ROOMS = ("datasets", "metrics")
"""With `datasets.load` and `metrics.evaluate`, short forms for scripts."""


def __getattr__(name: str) -> Any:
    """Public names are loaded when they are first used, so that importing the package costs next to nothing."""
    from importlib import import_module

    if name in _ROOMS:
        return import_module(f"crucible_ray.{name}")
    if name in __all__:
        return getattr(import_module(_HOMES.get(name, "crucible_ray.api")), name)
    if not name.startswith("_"):
        from crucible_ray.experiment.spec import not_supported

        if (error := not_supported(name)) is not None:
            raise error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
