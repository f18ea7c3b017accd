"""Every statistic beside an independent answer: what `docs/validation.md` is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One function on one set of data, and what somebody else's program or paper says of them."""

    function: str
    """Its public name in `crucible_ray.stats`."""
    source: str
    """Who says so: the call in R, the paper and page, the package."""
    call: Callable[[], ArrayLike]
    """Our numbers, in the order of `expected`."""
    expected: tuple[float, ...]
    tolerance: float
    """Relative; absolute where the expected number is 0."""
    remark: str = ""
    """What explains a tolerance wider than 1e-9."""


class Agreement(NamedTuple):
    """A line of the validation table."""

    function: str
    source: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    tolerance: float
    remark: str

    @property
    def error(self) -> float:
        """The largest relative difference (absolute where theirs is 0)."""
        gaps = (abs(a - b) / (abs(b) or 1.0) for a, b in zip(self.ours, self.theirs, strict=True))
        return max(gaps)


def agreement(reference: Reference) -> Agreement:
    """Our numbers beside theirs."""
    ours = tuple(float(value) for value in np.ravel(np.asarray(reference.call(), np.float64)))
    return Agreement(
        reference.function, reference.source, ours, reference.expected, reference.tolerance, reference.remark
    )


HELD_OTHERWISE = {
    "assurance": "the mean of `power` over drawn effects, in `tests/stats/test_splits.py`",
    "best_split": "its power against the other splits', in `tests/stats/test_splits.py`",
    "betting_sequence": "its level under a look after every item, by simulation, in `tests/stats/test_sequential.py`",
    "cluster_bootstrap_ci": "the interval of Cochran's ratio of totals, in `tests/stats/test_intervals.py`",
    "compare": "chooses among the functions here; CR2 against its matrix formulas, in `tests/stats/test_comparing.py`",
    "compare_groups": "chooses among the functions here, in `tests/stats/test_comparing.py`",
    "exact_support": "simulated runs through the default rule, in `tests/stats/test_prospects.py`",
    "items_for_assurance": "`assurance` at its answer and below it, in `tests/stats/test_splits.py`",
    "items_for_support": "`exact_support` at its answer, in `tests/stats/test_prospects.py`",
    "least_cost": "a search through every design, and Cochran's optimum, in `tests/stats/test_splits.py`",
    "normal_prior": "drawn effects, in `tests/stats/test_splits.py`",
    "quantile_difference": "coverage by simulation, in `tests/stats/test_intervals.py`",
    "simulated_quantile_power": "its level at no difference, in `tests/stats/test_splits.py`",
    "simulated_support": "the default rule run by run, and `exact_support`, in `tests/stats/test_splits.py`",
    "support_power": "`power`, and simulated two one-sided tests, in `tests/stats/test_prospects.py`",
}
"""What no single number of others can hold, and what does instead."""

_HEAD = """# What every statistic is held to

Each function of `crucible_ray.stats` beside an independent answer: R 4.2.2, a published example, NIST. The test
`tests/stats/test_references.py` computes ours and fails where a number is further from theirs than the fourth column
says, relative to theirs. This page is made from the same list: `python -m tests.stats.validation`.

| function | who says so | their numbers | agreement within | why not closer |
| --- | --- | --- | ---: | --- |
"""


def page(references: tuple[Reference, ...]) -> str:
    """The validation table as Markdown, by function."""
    lines = []
    for reference in sorted(references, key=lambda each: each.function):
        numbers = ", ".join(f"{value:.7g}" for value in reference.expected)
        source = reference.source.replace("|", "\\|")
        lines.append(
            f"| `{reference.function}` | {source} | {numbers} | {reference.tolerance:.0e} | {reference.remark} |\n"
        )
    rest = "".join(f"- `{name}`: {how}.\n" for name, how in sorted(HELD_OTHERWISE.items()))
    return f"{_HEAD}{''.join(lines)}\nHeld in another way:\n\n{rest}"
