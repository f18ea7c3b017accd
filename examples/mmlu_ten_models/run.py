"""Which of ten models is better at MMLU, and is it better on these subjects, or on subjects like them?

    python examples/mmlu_ten_models/run.py --data ../shared/data

Ten real models answered the same 14,015 questions of 57 subjects. Each pair is compared twice, by
`crucible_ray.stats.compare`:

- by strata: the 57 subjects are all the subjects there are. What lies between subjects does not count as noise. The
  answer is about new questions of these subjects, in these shares.
- by clusters: the 57 subjects are a sample of subjects that might have been asked. A subject is one observation. The
  answer is about new subjects, and needs more to be sure of.

All 45 pairs are one family: p is corrected by Holm's method, and each interval is the one at the level at which Holm's
method reads its pair, so that the two agree. What an unpaired z-test of two shares would have said, which takes the
questions of the two models for different ones, is counted beside them. Nothing is called: the answers were recorded.

`--data` names a folder with `recorded/mmlu_helm10.jsonl`, of which a line is `{"subject", "index", "answer",
"preds": {model: letter}}`. `--out` writes the same as a Markdown file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crucible_ray.errors import CrucibleError, DatasetError
from crucible_ray.stats import TestResult, compare, correct, two_proportion_z, wilson

ALPHA = 0.05


ALIKE = 0.99
"""Two models that agree on more of the questions are hardly two."""


class Recorded(NamedTuple):
    """What each model answered, and which questions rightly."""

    models: tuple[str, ...]
    """The best first."""
    correct: NDArray[np.float64]
    """1 or 0, shape [questions, models]."""
    answers: NDArray[np.str_]
    """Letters, shape [questions, models]."""
    subjects: NDArray[np.str_]
    """Shape [questions]."""


class Pair(NamedTuple):
    """One pair of models: the better one on all questions, less the other; both answers, and p by Holm's method."""

    better: str
    worse: str
    strata: TestResult
    clusters: TestResult
    strata_p: float
    clusters_p: float

    @property
    def verdict(self) -> str:
        """What one may say of the pair, the family of all pairs held to .05."""
        if self.clusters_p <= ALPHA and self.strata_p <= ALPHA:
            return "better, also on subjects like these"
        if self.strata_p <= ALPHA:
            return "better on these subjects; of others nothing is shown"
        if self.clusters_p <= ALPHA:
            return "better on subjects like these; on these shares of subjects nothing is shown"
        return "no difference is shown"


def read_recorded(data: Path) -> Recorded:
    """Every recorded question. Raises DatasetError."""
    source = data / "recorded" / "mmlu_helm10.jsonl"
    try:
        lines = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise DatasetError(
            f"{source} cannot be read: {error.strerror}. Name its folder by --data."
        ) from error
    models = list(lines[0]["preds"])
    answers = np.array([[line["preds"][name] for name in models] for line in lines])
    right = (answers == np.array([line["answer"] for line in lines])[:, None]).astype(np.float64)
    order = np.argsort(-right.sum(axis=0), kind="stable")
    return Recorded(
        models=tuple(models[place] for place in order),
        correct=right[:, order],
        answers=answers[:, order],
        subjects=np.array([line["subject"] for line in lines]),
    )


def all_pairs(recorded: Recorded) -> list[Pair]:
    """Every pair of models, by strata and by clusters."""
    places = list(combinations(range(len(recorded.models)), 2))
    strata, strata_p = _family([partial(_compared, recorded, pair, "strata") for pair in places])
    clusters, clusters_p = _family([partial(_compared, recorded, pair, "clusters") for pair in places])
    return [
        Pair(recorded.models[a], recorded.models[b], fixed, drawn, p, q)
        for (a, b), fixed, drawn, p, q in zip(places, strata, clusters, strata_p, clusters_p, strict=True)
    ]


def _compared(recorded: Recorded, pair: tuple[int, int], way: str, alpha: float) -> TestResult:
    better, worse = (recorded.correct[:, place] for place in pair)
    if way == "strata":
        return compare(worse, better, paired=True, strata=recorded.subjects, alpha=alpha)
    return compare(worse, better, paired=True, clusters=recorded.subjects, alpha=alpha)


def _family(tests: Sequence[Callable[[float], TestResult]]) -> tuple[list[TestResult], list[float]]:
    """Each test at the level at which Holm's method reads it, and Holm's p."""
    plain = [_p(test(ALPHA)) for test in tests]
    adjusted = correct(plain, "holm").tolist()
    kept = sum(p <= ALPHA for p in adjusted)
    ranks = np.argsort(np.argsort(plain))
    levels = [ALPHA / (len(tests) - min(int(rank), kept)) for rank in ranks]
    return [test(level) for test, level in zip(tests, levels, strict=True)], adjusted


def unpaired(recorded: Recorded) -> int:
    """How many pairs differ to a z-test that takes the questions of two models for different ones."""
    tests = [
        two_proportion_z(recorded.correct[:, b], recorded.correct[:, a])
        for a, b in combinations(range(len(recorded.models)), 2)
    ]
    return int((correct([_p(test) for test in tests], "holm") <= ALPHA).sum())


def hardly_two(recorded: Recorded) -> Iterator[str]:
    """A sentence for each pair of models that gave almost the same answers."""
    for a, b in combinations(range(len(recorded.models)), 2):
        same = float((recorded.answers[:, a] == recorded.answers[:, b]).mean())
        if same > ALIKE:
            yield (
                f"{recorded.models[a]} and {recorded.models[b]} gave the same answer to {100 * same:.2f} % of the "
                "questions: read them as one model, or ask whoever recorded them."
            )


def _p(result: TestResult) -> float:
    assert result.p_value is not None  # any two models differ on some questions
    return result.p_value


def report(recorded: Recorded, pairs: Sequence[Pair]) -> Iterator[str]:
    """The findings as lines of Markdown, which also read well on a terminal."""
    questions, subjects = len(recorded.correct), len(np.unique(recorded.subjects))
    yield "# Ten models on MMLU, pair by pair"
    yield ""
    yield f"{questions:,} questions of {subjects} subjects, recorded answers. `crucible_ray.stats.compare`; see `run.py`."
    yield ""
    yield f"| {'model':38} | accuracy | 95 % interval (Wilson) |"
    yield f"| {'-' * 38} | -------: | ---------------------: |"
    for name, right in zip(recorded.models, recorded.correct.T, strict=True):
        low, high = wilson(int(right.sum()), questions)
        yield f"| {name:38} | {100 * right.mean():7.2f}% | {100 * low:13.2f} to {100 * high:.2f} |"
    yield ""
    yield from _meaning(pairs)
    yield f"- An unpaired z-test of two shares, for contrast: {unpaired(recorded)} of {len(pairs)} pairs differ."
    yield from (f"- {told}" for told in hardly_two(recorded))
    yield ""
    yield (
        f"Differences in points, first model less second; all {len(pairs)} pairs are one family, p and intervals by "
        "Holm's method."
    )
    yield ""
    yield "| first | second | by strata | p | by clusters | p | verdict |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | --- |"
    for pair in pairs:
        yield (
            f"| {pair.better} | {pair.worse} | {_points(pair.strata)} | {_shown(pair.strata_p)} "
            f"| {_points(pair.clusters)} | {_shown(pair.clusters_p)} | {pair.verdict} |"
        )


def _meaning(pairs: Sequence[Pair]) -> Iterator[str]:
    """What the two answers say, and where they part."""
    by_strata = sum(pair.strata_p <= ALPHA for pair in pairs)
    by_clusters = sum(pair.clusters_p <= ALPHA for pair in pairs)
    wider = np.median([_width(pair.clusters) / _width(pair.strata) for pair in pairs])
    yield "- **By strata** the subjects are fixed: would this model be ahead on new questions of *these* subjects?"
    yield f"  {by_strata} of {len(pairs)} pairs differ."
    yield "- **By clusters** the subjects are a sample: would it be ahead on *other* subjects, drawn like these?"
    yield f"  {by_clusters} of {len(pairs)} pairs differ; the median interval is {wider:.1f} times as wide."
    parted = sum((pair.strata_p <= ALPHA) != (pair.clusters_p <= ALPHA) for pair in pairs)
    yield f"- They part in {parted} pairs: there the lead rests on which subjects were asked."


def _width(result: TestResult) -> float:
    assert result.ci_low is not None
    assert result.ci_high is not None
    return result.ci_high - result.ci_low


def _points(result: TestResult) -> str:
    assert result.estimate is not None
    assert result.ci_low is not None
    assert result.ci_high is not None
    return f"{100 * result.estimate:+.1f} [{100 * result.ci_low:.1f}, {100 * result.ci_high:.1f}]"


def _shown(p_value: float) -> str:
    return "< .0001" if p_value < 1e-4 else f"{p_value:.4f}".removeprefix("0")


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare all pairs, print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with recorded/")
    parser.add_argument("--out", type=Path, help="a Markdown file to write as well")
    options = parser.parse_args(arguments)
    try:
        recorded = read_recorded(options.data)
        lines = list(report(recorded, all_pairs(recorded)))
    except CrucibleError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("\n".join(lines))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
