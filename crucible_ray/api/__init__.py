"""The front door: run, estimate, resume, retry, rescore, reproduce, load, observe; each waits, or has an `a`-twin to await."""

from crucible_ray.api.asking import acall_model, apredict, call_model, predict
from crucible_ray.api.comparing import acompare, compare
from crucible_ray.api.conducting import Declined
from crucible_ray.api.doors import (
    aload,
    aobserve,
    areproduce,
    arescore,
    aresume,
    arun,
    astatus,
    estimate,
    load,
    observe,
    report,
    reproduce,
    rescore,
    resume,
    retry,
    run,
    show,
    status,
)
from crucible_ray.api.observing import Standing
from crucible_ray.api.options import Note, Options, Progress
from crucible_ray.api.places import find_results
from crucible_ray.api.preparing import Prepared, prepare
from crucible_ray.api.replaying import Reproduction
from crucible_ray.api.result import RunResult
from crucible_ray.api.showing import ShownAttempt, ShownTrial
from crucible_ray.reduction.logs import LogComparison

__all__ = [
    "Declined",
    "LogComparison",
    "Note",
    "Options",
    "Prepared",
    "Progress",
    "Reproduction",
    "RunResult",
    "ShownAttempt",
    "ShownTrial",
    "Standing",
    "acall_model",
    "acompare",
    "aload",
    "aobserve",
    "apredict",
    "areproduce",
    "arescore",
    "aresume",
    "arun",
    "astatus",
    "call_model",
    "compare",
    "estimate",
    "find_results",
    "load",
    "observe",
    "predict",
    "prepare",
    "report",
    "reproduce",
    "rescore",
    "resume",
    "retry",
    "run",
    "show",
    "status",
]
