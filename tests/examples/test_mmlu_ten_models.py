"""Ten recorded models compared pairwise, with subjects as strata and as clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from examples.mmlu_ten_models.run import ALPHA, Pair, Recorded, all_pairs, main, read_recorded, report

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".." / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not (DATA / "recorded" / "mmlu_helm10.jsonl").is_file(),
    reason="needs ../shared/data/recorded/mmlu_helm10.jsonl",
)


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return read_recorded(DATA)


@pytest.fixture(scope="module")
def pairs(recorded: Recorded) -> list[Pair]:
    return all_pairs(recorded)


def test_the_findings_in_the_repository_are_those_that_the_recordings_give(
    recorded: Recorded, pairs: list[Pair]
) -> None:
    kept = ROOT / "examples" / "mmlu_ten_models" / "findings.md"
    assert kept.read_text(encoding="utf-8").splitlines() == list(report(recorded, pairs))


def test_each_interval_says_what_its_p_says(pairs: list[Pair]) -> None:
    assert len(pairs) == 45
    for pair in pairs:
        for result, p in ((pair.strata, pair.strata_p), (pair.clusters, pair.clusters_p)):
            assert result.ci_low is not None
            assert result.ci_high is not None
            assert (result.ci_low > 0 or result.ci_high < 0) == (p <= ALPHA)


def test_one_pair_by_plain_arithmetic(recorded: Recorded, pairs: list[Pair]) -> None:
    """Strata: Cochran's stratified variance. Clusters: CR2 of a mean, as a weighted least squares of one column."""
    gap = recorded.correct[:, 0] - recorded.correct[:, 1]
    parts = [gap[recorded.subjects == name] for name in np.unique(recorded.subjects)]
    shares = np.array([len(part) for part in parts]) / len(gap)
    errors = np.array([part.var(ddof=1) / len(part) for part in parts])
    sums = np.array([(part - gap.mean()).sum() for part in parts])
    strata, clusters = pairs[0].strata, pairs[0].clusters
    assert strata.statistic == pytest.approx(gap.mean() / np.sqrt((shares**2 * errors).sum()), rel=1e-9)
    cr2 = np.sqrt((sums**2 / (1 - shares)).sum()) / len(gap)
    assert clusters.statistic == pytest.approx(gap.mean() / cr2, rel=1e-9)


def test_a_missing_folder_is_one_line_that_names_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path)]) == 2
    assert "Name its folder by --data." in capsys.readouterr().err
