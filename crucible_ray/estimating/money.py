"""Amounts of money in words."""

from __future__ import annotations

from math import ceil, floor, log10


def dollars(amount: float | None) -> str:
    """`$0.66`, `$0.0014`, `unknown`: two digits that count where the amount is small."""
    if amount is None:
        return "unknown"
    if amount == 0 or amount >= 0.1:
        return f"${amount:,.2f}"
    return f"${float(f'{amount:.2g}'):.10f}".rstrip("0")


def dollars_up(amount: float) -> str:
    """Rounded up to three significant digits: what is at most this much must not look like less."""
    if amount <= 0:
        return "$0"
    unit = 10.0 ** (floor(log10(amount)) - 2)
    return f"${ceil(amount / unit - 1e-9) * unit:.3g}"
