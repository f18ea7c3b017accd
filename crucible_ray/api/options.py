"""What a caller of `run` and its kin may choose, and what it is told while it waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from crucible_ray.errors import UsageError
from crucible_ray.settings import did_you_mean

if TYPE_CHECKING:
    from crucible_ray.actors.cluster import RayThread
    from crucible_ray.api.earlier import Earlier
    from crucible_ray.estimating import Estimate
    from crucible_ray.experiment.plan import Plan


class Progress(Struct, frozen=True, kw_only=True):
    """Where a run stands."""

    phase: str
    """`starting` (Ray, clients), `running`, `stopping`, `finishing` (results, analysis, reports)."""
    trials: int
    done: int
    """Trials with a row, earlier runs' included."""
    failed: int
    rate: float
    """Trials a second, of late."""
    eta_s: float | None
    spent_usd: float | None
    """None: a price is unknown."""
    retries: int
    throttled: int
    clients: int
    elapsed_s: float
    hypotheses: int = 0
    """With `stop_when`: how many are to be decided; 0: the run ends when everything is asked."""
    decided: int = 0
    """How many of them are."""
    counted: int = 0
    """Items that count so far, in the order fixed before the run."""


class Note(Struct, frozen=True, kw_only=True):
    """Something that happened and should be said."""

    name: str
    facts: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run; none of it changes an answer."""

    output_dir: str | Path | None = None
    """Parent of the results folder; None: the settings'."""
    runtime: str = "ray"
    """`ray` or `in-process`."""
    address: str | None = None
    """A Ray cluster, from one of its nodes; None: a private local one."""
    clients: int | None = None
    max_concurrent_queries: int | None = None
    take_over: bool = False
    force: bool = False
    """Void every earlier row."""
    resume: bool = True
    """False: refuse where there is anything to resume."""
    checkpoint: int | None = None
    """Go back to this entry of the journal first."""
    beyond_stop: bool = False
    """Ask everything, although the experiment's `stop_when` says that its hypotheses are decided."""
    retry: bool = False
    """Run the failed trials again."""
    formats: str | Sequence[str] | None = None
    """Reports to write: `markdown`, `html`; None: the settings'."""
    items: str | Sequence[str] = ()
    """Run these items' trials alone (ids); the others stay pending. None named: all."""
    conditions: str | Sequence[str] = ()
    """Run these conditions' trials alone; the others stay pending. None named: all."""
    reuse: str | Path | None = None
    """Take every reply already paid for whose request and repeat are the same: from a results folder, a folder of
    them, or `auto` (all under the same output folder); `none`: none; None: none, or what the run that is gone on
    with took."""
    earlier: Earlier | None = None
    """What `reuse` found, where that was looked up ahead; None: it is looked up."""
    confirm: Callable[[Plan, Estimate], bool] | bool = False
    """Asked before any money is spent; True: the terminal is asked; False: go on."""
    progress: Callable[[Progress], None] | bool | str = "auto"
    """`auto`: a bar on a terminal, a block in a notebook, else lines, unless `on_progress` or `on_note` listens; True:
    the same in any case; False: nothing; or whom to tell."""
    on_progress: Callable[[Progress], None] | None = None
    on_note: Callable[[Note], None] | None = None
    progress_every_s: float = 1.0
    ray: RayThread | None = None
    """A Ray that was started ahead; None: one is started."""
    kill_client_at: float | None = None
    """Kill client 0 on purpose at this share of the trials: the demo's way to show that nothing is lost."""
    handle_signals: bool = True
    fail_if: str | Sequence[str] = ()
    """Gates, `accuracy[a] < 0.8` each: how they come out is `result.gates`."""
    baseline: str | Path | None = None
    """An earlier run's folder or id: this one is judged against it, paired by item id and repeat."""

    def __post_init__(self) -> None:
        """One text where several may stand is one of them, not its letters."""
        for name in ("formats", "items", "conditions", "fail_if"):
            if isinstance(given := getattr(self, name), str):
                object.__setattr__(self, name, (given,))


def options_of(choices: Mapping[str, Any], *beside: str) -> Options:
    """Options by their names. beside: parameters that are none, to suggest. Raises UsageError for one that is none."""
    known = [each.name for each in fields(Options)]
    for name in choices:
        if name == "max_cost":
            raise UsageError("max_cost is the experiment's: budget=Budget(max_total=...), and resume's.")
        if name not in known:
            raise UsageError(f"there is no option {name!r}: {did_you_mean(name, [*known, *beside])}")
    return Options(**choices)
