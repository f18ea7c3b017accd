"""Physics: formulas with whole or short decimal results, and conversions of units."""

from __future__ import annotations

from fractions import Fraction

from crucible_ray.datasets.science.making import Draw, Made, Make, number, numbers

_UNITS = (
    ("kilometres", "metres", 1000),
    ("hours", "minutes", 60),
    ("kilograms", "grams", 1000),
    ("metres", "centimetres", 100),
    ("litres", "millilitres", 1000),
    ("days", "hours", 24),
    ("square metres", "square centimetres", 10_000),
    ("kilojoules", "joules", 1000),
    ("cubic metres", "litres", 1000),
    ("hours", "seconds", 3600),
)


def _units(draw: Draw, n: int) -> Made:
    big, small, factor = _UNITS[n // 2]
    amount = Fraction(draw.whole("amount", 2 + n, 20 + 4 * n), 1 if n % 4 < 2 else 2)
    right = amount * factor
    slips = numbers(right / 10, right * 10, amount / factor, amount * 100, right / 2)
    return Made(f"How many {small} are {number(amount)} {big}?", number(right), slips)


def _motion(draw: Draw, n: int) -> Made:
    speed, seconds = draw.whole("speed", 2 + n, 10 + 2 * n), draw.whole("seconds", 3 + n // 2, 8 + n)
    if n < 8:
        right = speed * seconds
        question = f"How far, in metres, does something move in {seconds} s at a constant {speed} m/s?"
        return Made(question, str(right), numbers(speed + seconds, right + speed, right * 10, right // 2))
    rate = 2 * draw.whole("rate", 1, 2 + n // 5)
    right = speed * seconds + rate * seconds * seconds // 2
    question = (
        f"Something moves at {speed} m/s and then accelerates at {rate} m/s^2 for {seconds} s. "
        "How far, in metres, does it move in that time?"
    )
    slips = numbers(
        speed * seconds, speed * seconds + rate * seconds * seconds, speed + rate * seconds, right + speed
    )
    return Made(question, str(right), slips)


def _force(draw: Draw, n: int) -> Made:
    mass, rate = draw.whole("mass", 2 + n, 8 + 3 * n), draw.whole("rate", 2, 5 + n // 2)
    right = mass * rate
    if n < 10:
        question = f"What net force, in newtons, accelerates {mass} kg at {rate} m/s^2?"
        return Made(question, str(right), numbers(mass + rate, right * 10, right + mass, right - rate))
    friction = draw.whole("friction", 3, right // 2)
    question = (
        f"A body of {mass} kg accelerates at {rate} m/s^2 against a friction of {friction} N. "
        "What force, in newtons, pushes it?"
    )
    slips = numbers(right, right - friction, mass + rate + friction, right + 2 * friction)
    return Made(question, str(right + friction), slips)


def _energy(draw: Draw, n: int) -> Made:
    mass, size = 2 * draw.whole("mass", 1 + n // 3, 5 + n), draw.whole("size", 2 + n // 4, 6 + n // 2)
    if n % 2:
        right = mass * size * size // 2
        question = f"What is the kinetic energy, in joules, of {mass} kg moving at {size} m/s?"
        return Made(question, str(right), numbers(mass * size, 2 * right, mass * size // 2, right + size))
    right = mass * 10 * size
    question = f"By how many joules does the potential energy of {mass} kg grow when it is raised by {size} m, with g = 10 m/s^2?"
    return Made(question, str(right), numbers(mass * size, right // 2, right * size, right + 10))


def _circuit(draw: Draw, n: int) -> Made:
    current, ohms = draw.whole("current", 2, 4 + n // 2), draw.whole("ohms", 3 + n, 9 + 3 * n)
    volts = current * ohms
    if n < 7:
        question = f"What voltage, in volts, drives a current of {current} A through {ohms} ohm?"
        return Made(question, str(volts), numbers(current + ohms, volts * current, ohms, volts + 10))
    if n < 14:
        watts = volts * current
        question = f"What power, in watts, does a resistor of {ohms} ohm turn into heat at {current} A?"
        return Made(question, str(watts), numbers(volts, ohms * volts, watts // 2, watts + ohms))
    share = draw.whole("share", 2, 6)
    one, other = share * ohms, share * ohms * (share - 1)
    right = Fraction(one * other, one + other)
    question = f"What is the resistance, in ohm, of {one} ohm and {other} ohm in parallel?"
    slips = numbers(one + other, Fraction(one + other, 2), right / 2, abs(one - other), right + 1)
    return Made(question, number(right), slips)


def _density(draw: Draw, n: int) -> Made:
    litres, per_litre = draw.whole("litres", 2 + n // 2, 6 + n), Fraction(draw.whole("density", 5, 15 + n), 5)
    mass = litres * per_litre
    if n % 2:
        question = f"What is the density, in kg per litre, of {number(mass)} kg that fill {litres} litres?"
        slips = numbers(mass * litres, per_litre + 1, per_litre / 2, per_litre * 10, mass - litres)
        return Made(question, number(per_litre), slips)
    question = (
        f"How many kilograms do {litres} litres weigh at a density of {number(per_litre)} kg per litre?"
    )
    slips = numbers(litres + per_litre, mass * 10, mass / 2, mass + per_litre)
    return Made(question, number(mass), slips)


def _wave(draw: Draw, n: int) -> Made:
    hertz, tenths = draw.whole("hertz", 2 + n, 12 + 5 * n), draw.whole("tenths", 2, 10 + n)
    length = Fraction(tenths, 10)
    speed = hertz * length
    if n % 2:
        question = (
            f"A wave moves at {number(speed)} m/s, {number(length)} m from crest to crest. "
            "What is its frequency, in hertz?"
        )
        return Made(question, str(hertz), numbers(speed * length, hertz * 10, hertz + 1, hertz - 1, speed))
    question = f"How fast, in m/s, does a wave of {hertz} Hz and a wavelength of {number(length)} m move?"
    slips = numbers(hertz / length, speed * 10, hertz + length, speed / 2, speed + 1)
    return Made(question, number(speed), slips)


KINDS: dict[str, Make] = {
    "units": _units,
    "motion": _motion,
    "forces": _force,
    "energy": _energy,
    "circuits": _circuit,
    "density": _density,
    "waves": _wave,
}
