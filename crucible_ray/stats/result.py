"""What a test and an interval look like from outside: frozen, plain, the same for every test."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crucible_ray.stats.distributions import check_level, critical, tail_p

Floats = NDArray[np.float64]
Alternative = Literal["two-sided", "less", "greater"]


class Interval(NamedTuple):
    """A confidence interval, both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """The outcome of one test; the estimate is always treatment minus control, unless `measure` says otherwise."""

    __test__: ClassVar[bool] = False  # not a test case, whatever pytest reads into the name

    test: str
    """`mcnemar_score`, `clustered_t`, `welch_t`, ..."""
    statistic: float | None
    """What `symbol` says; None where the test has no statistic or it is undefined."""
    df: float | None
    p_value: float | None
    """Two-sided unless `alternative` says otherwise; None where the test is undefined (`notes` says why)."""
    estimate: float | None
    """None where the test estimates nothing, as a test of normality does."""
    ci_low: float | None
    ci_high: float | None
    """The interval is two-sided, whatever `alternative` is."""
    effect_sizes: Mapping[str, float] = field(default_factory=dict)
    n: int
    """Independent units: items, pairs, or values where nothing is paired."""
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    alpha: float = 0.05
    """The interval covers at 1 - alpha."""
    symbol: str | None = None
    """What the statistic is called: `F`, `U`, ...; None: t where `df` is given, else z."""
    df_error: float | None = None
    """The second degrees of freedom, of an F statistic."""
    measure: str = "difference"
    """What the estimate is of: `difference`, `odds ratio`, ..."""
    alternative: Alternative = "two-sided"
    says: tuple[str, str] | None = None
    """What p below alpha says, and what a larger one does, for tests that are no comparison of two."""

    def __post_init__(self) -> None:
        check_level(self.alpha)

    @property
    def interpretation(self) -> str:
        """One sentence in words."""
        if self.p_value is None:
            found = "" if self.estimate is None else f"The {self.measure} is {_signed(self)}; "
            text = f"{found}the test is undefined on these data."
            return text[0].upper() + text[1:]
        significant = self.p_value < self.alpha
        p, interval, found = format_p(self.p_value), "", ""
        if self.ci_low is not None and self.ci_high is not None:
            low, high = (f"{end:{_sign(self)}.4g}" for end in (self.ci_low, self.ci_high))
            interval = f"{_percent(self.alpha)} % interval {low} to {high}"
        if self.estimate is not None:
            found = ", ".join(part for part in (f"{self.measure} {_signed(self)}", interval) if part)
        if self.says is not None:
            said = self.says[0] if significant else self.says[1]
            return f"{said}: {found}, {p}." if found else f"{said}, {p}."
        if self.estimate is None:
            return f"{self.test}: {p}."
        if not significant:
            return f"The data do not tell the two apart: {found}, {p}."
        if self.measure != "difference":
            return f"The two differ: {found}, {p}."
        side = "higher" if self.estimate > 0 else "lower"
        return f"Treatment is {side} by {abs(self.estimate):.4g}{f' ({interval})' if interval else ''}, {p}."

    def apa(self) -> str:
        """The result as the APA's manual writes it: `t(99) = 2.10, p = .038, 95% CI [0.01, 0.08]`."""
        parts = []
        if self.statistic is not None:
            degrees = ", ".join(f"{df:.6g}" for df in (self.df, self.df_error) if df is not None)
            name = self.symbol or ("z" if self.df is None else "t")
            parts.append(
                f"{name}({degrees}) = {self.statistic:.2f}" if degrees else f"{name} = {self.statistic:.2f}"
            )
        if self.p_value is not None:
            parts.append(format_p(self.p_value))
        known = [each for each in (self.estimate, self.ci_low, self.ci_high) if each is not None]
        digits = ".3f" if max(map(abs, known), default=1.0) >= 0.01 else ".3g"
        if self.estimate is not None:
            parts.append(f"{self.measure} = {self.estimate:{digits}}")
        if self.ci_low is not None and self.ci_high is not None:
            parts.append(f"{_percent(self.alpha)}% CI [{self.ci_low:{digits}}, {self.ci_high:{digits}}]")
        return ", ".join(parts)

    def __str__(self) -> str:
        return f"{self.test}: {self.apa()}, n = {self.n}"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold; an infinite end of an interval is None."""
        found: dict[str, Any] = plain(asdict(self))
        return found | {"interpretation": self.interpretation}

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)


def over_error(
    test: str,
    estimate: float,
    se: float,
    df: float | None,
    *,
    alpha: float,
    alternative: Alternative = "two-sided",
    **rest: Any,
) -> TestResult:
    """An estimate over its standard error: t where `df` is given, else z, and the interval that decides alike.

    rest: the other fields of the result.
    """
    half = critical(alpha, df) * se
    return TestResult(
        test=test,
        statistic=estimate / se,
        df=df,
        p_value=tail_p(estimate / se, df, alternative=alternative),
        estimate=estimate,
        ci_low=estimate - half,
        ci_high=estimate + half,
        alpha=alpha,
        alternative=alternative,
        **rest,
    )


def undefined(
    test: str, *, estimate: float | None, n: int, note: str, alpha: float, measure: str = "difference"
) -> TestResult:
    """The result where the data leave a test undefined: no p-value and no interval, and why."""
    return TestResult(
        test=test,
        statistic=None,
        df=None,
        p_value=None,
        estimate=estimate,
        ci_low=None,
        ci_high=None,
        n=n,
        notes=(note,),
        alpha=alpha,
        measure=measure,
    )


def format_p(p_value: float) -> str:
    """`p = .038`, `p < .001`: three digits, no leading zero, never rounded up to 1 or down to 0."""
    if p_value < 0.001:
        return "p < .001"
    if p_value > 0.999:
        return "p > .999"
    return f"p = {p_value:.3f}".replace("0.", ".", 1)


def _percent(alpha: float) -> str:
    return f"{100 * (1 - alpha):.4g}"


def _sign(result: TestResult) -> str:
    return "+" if result.measure == "difference" else ""


def _signed(result: TestResult) -> str:
    return f"{result.estimate:{_sign(result)}.4g}"


def plain(value: Any) -> Any:
    """What JSON can hold of a value; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
