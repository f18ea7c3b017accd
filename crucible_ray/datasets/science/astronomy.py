"""Astronomy: orbits, light and weight from rounded figures that the questions give."""

from __future__ import annotations

from fractions import Fraction

from crucible_ray.datasets.science.making import Draw, Made, Make, number, numbers

_GRAVITY = (("the Moon", 16), ("Mars", 37), ("Venus", 89), ("Jupiter", 248), ("Saturn", 104))
"""Surface gravity in tenths of m/s^2, rounded."""


def _orbit(draw: Draw, n: int) -> Made:
    root = draw.whole("root", 2, 7 + n // 2)
    years, distance = root**3, root**2
    if n % 2:
        question = (
            f"A planet's mean distance from the Sun is {distance} times the Earth's. "
            "How many years does one orbit take, by Kepler's third law?"
        )
        return Made(question, str(years), numbers(distance, distance**2, root, years + distance, years * 2))
    question = (
        f"A planet takes {years} years for one orbit of the Sun. "
        "How many times the Earth's is its mean distance, by Kepler's third law?"
    )
    return Made(question, str(distance), numbers(years, root, distance + root, distance * 2, distance - 1))


def _light(draw: Draw, n: int) -> Made:
    seconds = draw.whole("seconds", 2 + n, 20 + 15 * n)
    right = 3 * seconds
    if n % 2 == 0:
        question = (
            f"Light moves at 300,000 km/s. How far, in units of 100,000 km, does it move in {seconds} s?"
        )
        return Made(question, str(right), numbers(seconds, right * 10, seconds + 3, right - 3))
    question = (
        f"A radar echo from an asteroid comes back after {2 * seconds} s. "
        "How far away is it, in units of 100,000 km, at 300,000 km/s?"
    )
    return Made(question, str(right), numbers(2 * right, 2 * seconds, seconds, right + 3))


def _weight(draw: Draw, n: int) -> Made:
    name, tenths = _GRAVITY[draw.whole("where", 0, len(_GRAVITY) - 1)]
    mass = draw.whole("mass", 2 + n, 10 + 5 * n) * (10 if n < 10 else 1)
    right = mass * Fraction(tenths, 10)
    question = f"What is the weight, in newtons, of {mass} kg on {name}, where g = {number(Fraction(tenths, 10))} m/s^2?"
    slips = numbers(mass * 10, mass, right * 10, right + mass, right / 2)
    return Made(question, number(right), slips)


def _brightness(draw: Draw, n: int) -> Made:
    times = draw.whole("times", 2, 5 + n)
    if n % 2:
        question = (
            f"A star looks {times * times} times fainter than another of the same luminosity. "
            "How many times farther away is it?"
        )
        return Made(question, str(times), numbers(times * times, times * 2, times**4, times + 1))
    question = f"Two stars have the same luminosity; one is {times} times farther away. How many times fainter does it look?"
    return Made(question, str(times * times), numbers(times, 2 * times, times**3, times * times + times))


def _angle(draw: Draw, n: int) -> Made:
    hours = draw.whole("hours", 1, 4 + n)
    if n % 2 == 0:
        question = f"By how many degrees does the Earth turn about its axis in {hours} hours?"
        return Made(question, str(15 * hours), numbers(hours, 30 * hours, 24 * hours, 15 * hours + 15))
    question = f"How many hours does the Earth take to turn by {15 * hours} degrees about its axis?"
    return Made(question, str(hours), numbers(15 * hours, 2 * hours, hours + 1, hours - 1))


KINDS: dict[str, Make] = {
    "orbits": _orbit,
    "light": _light,
    "weight": _weight,
    "brightness": _brightness,
    "rotation": _angle,
}
