"""What a run gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from crucible_ray.reduction import Analysis
    from crucible_ray.reports import RunFacts


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A run and where its results are. Failed trials and a spent budget are a `status`, not an exception."""

    experiment_id: str
    results_dir: Path
    status: str
    """`complete`, `budget`, `interrupted`, `stopped`, `refused` or `broken`."""
    trials: int
    completed: int
    failed: int
    pending: int
    """`completed + failed + pending = trials`."""
    calls: int
    """Made by this session; what earlier ones paid for is not called again."""
    cost_usd: float | None
    """All money spent, lost attempts included; None: a price is unknown."""
    duration_s: float
    reports: dict[str, Path]
    """By format."""
    analysis: Analysis = field(repr=False)
    facts: RunFacts = field(repr=False)
    max_failed: float = field(default=0.05, repr=False)

    @property
    def too_many_failed(self) -> bool:
        """Whether more trials failed than the experiment allows."""
        ran = self.completed + self.failed
        return ran > 0 and self.failed > self.max_failed * ran

    def summary(self) -> dict[str, Any]:
        """What `run --json` prints."""
        return {
            "experiment_id": self.experiment_id,
            "results_dir": str(self.results_dir),
            "status": self.status,
            "trials": self.trials,
            "completed": self.completed,
            "failed": self.failed,
            "pending": self.pending,
            "calls": self.calls,
            "cost_usd": self.cost_usd,
            "duration_s": self.duration_s,
            "reports": {name: str(path) for name, path in self.reports.items()},
        }

    def to_pandas(self) -> pd.DataFrame:
        """`results.parquet` as a table, one row per trial."""
        import pandas as pd

        return pd.read_parquet(self.results_dir / "results.parquet")
