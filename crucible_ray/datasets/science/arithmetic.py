"""Arithmetic: whole numbers, shares and sequences."""

from __future__ import annotations

from fractions import Fraction
from math import gcd

from crucible_ray.datasets.science.making import Draw, Made, Make, numbers


def _sum(draw: Draw, n: int) -> Made:
    size = 10 * (n + 2) ** 2
    a, b = draw.whole("a", size, 3 * size), draw.whole("b", size // 2, size)
    if n % 2:
        right = a - b
        return Made(f"What is {a} - {b}?", str(right), numbers(right + 10, a + b, right - 1, right - 100))
    right = a + b
    return Made(f"What is {a} + {b}?", str(right), numbers(right - 10, right + 100, right + 1, right + 10))


def _product(draw: Draw, n: int) -> Made:
    a, b = draw.whole("a", 4 + 3 * n, 12 + 5 * n), draw.whole("b", 3 + n, 9 + 2 * n)
    right = a * b
    return Made(f"What is {a} * {b}?", str(right), numbers(right + a, right - b, right + 10, right - 2))


def _remainder(draw: Draw, n: int) -> Made:
    divisor = draw.whole("divisor", 4 + n // 2, 7 + n)
    quotient = draw.whole("quotient", 5 + 2 * n, 12 + 5 * n)
    rest = draw.whole("rest", 1, divisor - 1)
    total = divisor * quotient + rest
    return Made(
        f"What is the remainder when {total} is divided by {divisor}?",
        str(rest),
        numbers(divisor - rest, quotient, rest + 1, rest - 1, rest + 2),
    )


def _percent(draw: Draw, n: int) -> Made:
    percent = draw.one("percent", (10, 20, 25, 50, 75) if n < 7 else (15, 30, 35, 45, 60, 85))
    base = 20 * draw.whole("base", 2 + n, 12 + 4 * n)
    part = percent * base // 100
    if n < 10:
        return Made(
            f"What is {percent} % of {base}?",
            str(part),
            numbers(base - part, part * 10, part + 5, part + base // 10),
        )
    right = base + part if n % 2 else base - part
    word = "rises" if n % 2 else "falls"
    return Made(
        f"A price of {base} {word} by {percent} %. What is the new price?",
        str(right),
        numbers(part, 2 * base - right, base + percent, right + 5),
    )


def _fraction(draw: Draw, n: int) -> Made:
    b, d = draw.whole("b", 2 + n // 4, 5 + n // 2), draw.whole("d", 3 + n // 4, 6 + n // 2)
    a, c = draw.whole("a", 1, b - 1), draw.whole("c", 1, d - 1)
    one, other = Fraction(a, b), Fraction(c, d)
    if n % 2:
        right = one * other
        slips = (Fraction(a * d, b * c), Fraction(a + c, b + d), one + other, right / 2, right + 1)
        return Made(f"What is {a}/{b} * {c}/{d}, in lowest terms?", str(right), tuple(map(str, slips)))
    right = one + other
    slips = (Fraction(a + c, b + d), Fraction(a + c, b * d), one * other, right + Fraction(1, d), right + 1)
    return Made(f"What is {a}/{b} + {c}/{d}, in lowest terms?", str(right), tuple(map(str, slips)))


def _power(draw: Draw, n: int) -> Made:
    if n % 2:
        root = draw.whole("root", 5 + n, 15 + 3 * n)
        return Made(
            f"What is the square root of {root * root}?",
            str(root),
            numbers(root + 10, root - 1, root * root // 2, root + 2),
        )
    base, exponent = draw.whole("base", 2, 3 + n // 4), draw.whole("exponent", 3, 4 + n // 5)
    right = base**exponent
    return Made(
        f"What is {base} to the power of {exponent}?",
        str(right),
        numbers(base * exponent, right * base, right // base, exponent**base, right + base),
    )


def _order(draw: Draw, n: int) -> Made:
    a, b, c = (draw.whole(name, 2 + n // 3, 9 + n) for name in "abc")
    if n < 10:
        right = a + b * c
        slips = numbers((a + b) * c, a * b + c, right + a, right - b)
        return Made(f"What is {a} + {b} * {c}?", str(right), slips)
    d = draw.whole("d", 2, 5)
    right = a * b - c * d
    slips = numbers((a * b - c) * d, a * (b - c) * d, right + c, a * b + c * d, right - d)
    return Made(f"What is {a} * {b} - {c} * {d}?", str(right), slips)


def _mean(draw: Draw, n: int) -> Made:
    size = 3 + n // 6
    right = draw.whole("mean", 8 + 2 * n, 15 + 4 * n)
    spread = [draw.whole(f"off {place}", -5 - n // 2, 5 + n // 2) for place in range(size - 1)]
    values = [right + off for off in (*spread, -sum(spread))]
    middle = sorted(values)[size // 2]
    slips = numbers(sum(values), middle, (max(values) + min(values)) // 2, right + 1, right - 1, right + 2)
    return Made(f"What is the mean of {', '.join(map(str, values))}?", str(right), slips)


def _sequence(draw: Draw, n: int) -> Made:
    start, step, growth = draw.whole("start", 1, 9), draw.whole("step", 2, 5 + n), n // 4
    terms = [start + step * k + growth * k * (k - 1) // 2 for k in range(6)]
    right = terms[5]
    slips = numbers(2 * terms[4] - terms[3] - 1, right + step, right + 2, right - 3, right - 1)
    shown = ", ".join(map(str, terms[:5]))
    return Made(f"Which number continues the sequence {shown}, ...?", str(right), slips)


def _divisor(draw: Draw, n: int) -> Made:
    common = draw.whole("common", 2 + n // 4, 4 + n // 2)
    times = draw.whole("a", 2, 5 + n)
    a, b = common * times, common * (times + draw.whole("b", 1, 4 + n))
    right = gcd(a, b)
    if n % 2:
        multiple = a * b // right
        slips = numbers(a * b, right, multiple * 2, a + b, multiple + right, multiple + a)
        return Made(f"What is the least common multiple of {a} and {b}?", str(multiple), slips)
    slips = numbers(a * b // right, 1, right * 2, right + 1, abs(a - b), right + 2)
    return Made(f"What is the greatest common divisor of {a} and {b}?", str(right), slips)


KINDS: dict[str, Make] = {
    "sums": _sum,
    "products": _product,
    "remainders": _remainder,
    "percentages": _percent,
    "fractions": _fraction,
    "powers": _power,
    "order of operations": _order,
    "means": _mean,
    "sequences": _sequence,
    "divisors": _divisor,
}
