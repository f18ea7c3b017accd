"""What a run gives back, and what `load` makes of a folder: figures at once, rows as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from crucible_ray.errors import StorageFailed, UsageError
from crucible_ray.reduction.analysis import Completeness, Condition, HypothesisResult, Member, Metric, Spend
from crucible_ray.settings import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from crucible_ray.experiment.plan import Plan
    from crucible_ray.records import Item
    from crucible_ray.reduction import Analysis
    from crucible_ray.reduction.analysis import Comparison
    from crucible_ray.reduction.gates import GateResult
    from crucible_ray.reports import RunFacts
    from crucible_ray.reports.plot import Plot

_BATCH = 1024


class ConditionResult:
    """One condition's figures: `result["name"].accuracy.value`, `.ci`; a metric is an attribute."""

    def __init__(self, name: str, found: Condition) -> None:
        self.name, self._found = name, found

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Every metric by its name."""
        return self._found.metrics

    @property
    def completeness(self) -> Completeness:
        """What was answered, what failed, what is pending."""
        return self._found.completeness

    @property
    def spend(self) -> Spend:
        """US dollars of its rows."""
        return self._found.spend

    @property
    def members(self) -> Mapping[str, Member]:
        """Of an ensemble: each member by its own answers."""
        return self._found.members

    def __getattr__(self, name: str) -> Metric:
        if name.startswith("_"):  # what copy and pickle look for before there is anything
            raise AttributeError(name)
        metrics = self._found.metrics
        if name in metrics:
            return metrics[name]
        raise AttributeError(f"{self.name} has no metric {name!r}: {did_you_mean(name, metrics)}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._found.metrics})

    def __repr__(self) -> str:
        from crucible_ray.reports.words import printable, with_interval

        shown = [f"{name} {with_interval(name, found)}" for name, found in self._found.metrics.items()]
        return printable(f"{self.name}: {', '.join(shown)}")


@dataclass(frozen=True, kw_only=True, repr=False)
class RunResult:
    """A run and where its results are. Failed trials and a spent budget are a `status`, not an exception."""

    results_dir: Path
    status: str
    """`complete`, `budget`, `interrupted`, `stopped`, `refused` or `broken`; of a folder also `running`, `killed`, `new`."""
    completed: int
    """Trials with an answer."""
    failed: int
    calls_made: int = 0
    """By this session; what earlier ones paid for is not called again. 0 for a folder that was loaded."""
    cost_usd: float | None
    """All money spent, lost attempts included; None: a price is unknown."""
    duration_s: float | None = None
    """Of this session; None for a folder that was loaded."""
    reports: dict[str, Path] = field(default_factory=dict)
    """By format."""
    analysis: Analysis
    plan: Plan
    session: RunFacts | None = None
    """How the session went; None for a folder that was loaded."""
    tables: Path | None = None
    """The folder of `results.parquet` and `calls.parquet`, where that is not `results_dir`."""
    gates: tuple[GateResult, ...] = ()
    """How what was asked by `fail_if` and `baseline` came out."""
    exception: str | None = None
    """The first failure of the author's own functions, their frames and what it says; None: there is none."""

    @property
    def experiment_id(self) -> str:
        """Of the plan: what can change an answer, as a hash."""
        return self.plan.experiment_id

    @property
    def planned(self) -> int:
        """Trials of the whole grid."""
        return self.plan.trials

    @property
    def pending(self) -> int:
        """Trials without a row: `completed + failed + pending = planned`."""
        return self.planned - self.completed - self.failed

    @property
    def facts(self) -> RunFacts:
        """How the session went. Raises UsageError for a folder that was loaded: no session belongs to it."""
        if self.session is None:
            raise UsageError(f"{self.results_dir} was loaded: what happened in its sessions is in run.log.")
        return self.session

    @property
    def too_many_failed(self) -> bool:
        """Whether more trials failed than the experiment allows."""
        ran = self.completed + self.failed
        return ran > 0 and self.failed > self.plan.max_failed * ran

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """What `run --json` prints."""
        gates = {"gates": [to_builtins(gate) for gate in self.gates]} if self.gates else {}
        failure = {"exception": self.exception} if self.exception is not None else {}
        return {
            "experiment_id": self.experiment_id,
            "results_dir": str(self.results_dir),
            "status": self.status,
            "trials": self.planned,
            "completed": self.completed,
            "failed": self.failed,
            "pending": self.pending,
            "calls": self.calls_made,
            "cost_usd": self.cost_usd,
            "duration_s": self.duration_s,
            "reports": {name: str(path) for name, path in self.reports.items()},
            **gates,
            **failure,
        }

    @property
    def hypotheses(self) -> tuple[HypothesisResult, ...]:
        """The verdicts on what was declared."""
        return self.analysis.hypotheses

    def __getitem__(self, condition: str) -> ConditionResult:
        """One condition by its name. Raises KeyError, with the nearest name."""
        found = self.analysis.conditions.get(condition)
        if found is None:
            raise KeyError(
                f"no condition is called {condition!r}: {did_you_mean(condition, self.analysis.conditions)}"
            )
        return ConditionResult(condition, found)

    def trials(self) -> Iterator[dict[str, Any]]:
        """The rows of `results.parquet` one by one, in memory that does not grow."""
        return _rows(self.table("results.parquet"))

    def calls(self) -> Iterator[dict[str, Any]]:
        """The rows of `calls.parquet` one by one: every attempt at every call."""
        return _rows(self.table("calls.parquet"))

    def to_pandas(self) -> pd.DataFrame:
        """`results.parquet` as a table, one row per trial."""
        import pandas as pd

        return pd.read_parquet(self.table("results.parquet"))

    def compare(self, a: str, b: str, metric: str = "accuracy") -> Comparison:
        """a - b, paired by item and repeat: what the report decides, either way round; a pair that it does not list is
        computed by the same rules, by itself, and is exploratory.

        Raises UsageError for a name that does not exist.
        """
        from crucible_ray.reduction.comparisons import compare_two
        from crucible_ray.reduction.stored import stored_table
        from crucible_ray.reduction.turning import turned

        if self.analysis.blind is not None and self.analysis.blind.hidden:
            raise UsageError("the run is blind until all its trials are in: nothing is compared before.")
        for name in (a, b):
            if name not in self.analysis.conditions:
                near = did_you_mean(name, self.analysis.conditions)
                raise UsageError(f"no condition is called {name!r}: {near}")
        held = {(each.metric, each.a, each.b): each for each in self.analysis.comparisons}
        if (metric, a, b) in held:
            return held[metric, a, b]
        items: tuple[Item, ...] = ()
        if self.plan.analysis.cluster is not None:
            from crucible_ray.api.places import read_config

            whole = (self.results_dir / "dataset.jsonl").is_file()
            items = read_config(self.results_dir if whole else self.results_dir.parents[1])[
                1
            ]  # of a revision
        table = stored_table(self.plan, self.table("results.parquet"), items)
        found = compare_two(self.plan, table, metric, a, b)
        listed = held.get((metric, b, a))
        return found if listed is None else turned(listed, found)

    def plot(self, metric: str = "accuracy") -> Plot:
        """A figure of one metric, a dot and an interval for each condition; a notebook draws it. Raises UsageError."""
        from crucible_ray.reports.plot import plot

        return plot(self.analysis, metric)

    def write_junit(self, path: str | Path) -> None:
        """JUnit XML: a test case for each gate, hypothesis and condition. Raises StorageFailed."""
        from crucible_ray.reports.junit import junit_xml

        text = junit_xml(self.summary, self.analysis, self.gates, max_failed=self.plan.max_failed)
        try:
            Path(path).write_bytes(text)
        except OSError as error:
            raise StorageFailed(str(path), error.strerror or str(error)) from error

    def table(self, name: str) -> Path:
        """Where `results.parquet` or `calls.parquet` lies. Raises UsageError where it does not."""
        path = (self.tables or self.results_dir) / name
        if not path.is_file():
            raise UsageError(f"{path} is missing: resume writes it again.")
        return path

    def __repr__(self) -> str:
        from crucible_ray.reports.result import result_lines

        return "\n".join(result_lines(self.summary, self.analysis))

    def _repr_html_(self) -> str:
        from crucible_ray.reports.result import result_html

        return result_html(self.summary, self.analysis)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH):
            yield from batch.to_pylist()
