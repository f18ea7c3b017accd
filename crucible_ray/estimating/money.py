"""Amounts of money in words."""

from __future__ import annotations


def dollars(amount: float | None) -> str:
    """`$0.66`, `$0.0014`, `unknown`: two digits that count where the amount is small."""
    if amount is None:
        return "unknown"
    if amount == 0 or amount >= 0.1:
        return f"${amount:,.2f}"
    return f"${float(f'{amount:.2g}'):.10f}".rstrip("0")
