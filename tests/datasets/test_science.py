"""Every answer of the science set is computed again here, from the question's text alone."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import pytest

from crucible_ray.datasets import load_items, to_jsonl
from crucible_ray.datasets.science import science_items
from crucible_ray.records import Item

ITEMS = science_items()
N = r"(-?\d+(?:\.\d+)?)"
F = Fraction


def test_the_shipped_file_is_what_the_generator_makes_byte_for_byte() -> None:
    shipped = (files("crucible_ray.datasets") / "science.jsonl").read_bytes()
    assert shipped == to_jsonl(ITEMS)
    # Version 1 stays as it is: another content is another version.
    assert load_items("science", base=Path()).version == "science-1"
    assert sha256(shipped).hexdigest()[:16] == "4e0790ef8a633da2"


def test_items_are_different_and_well_formed() -> None:
    assert len(ITEMS) == len({item.input for item in ITEMS}) == len({item.id for item in ITEMS}) == 700
    assert {item.topic for item in ITEMS} == {"arithmetic", "physics", "chemistry", "biology", "astronomy"}
    for item in ITEMS:
        assert item.choices is not None
        assert len(set(item.choices)) == 4
        assert item.expected in ("A", "B", "C", "D")
        assert item.difficulty is not None
        assert 0 < item.difficulty < 1


def test_no_letter_is_right_much_more_often_than_another() -> None:
    letters = [item.expected for item in ITEMS]
    assert all(140 <= letters.count(letter) <= 210 for letter in "ABCD")


def test_the_right_choice_is_not_told_by_its_length_or_its_place_in_size() -> None:
    longest = largest = numeric = 0
    for item in ITEMS:
        choices = item.choices or ()
        right = choices["ABCD".index(item.expected or "")]
        longest += max(choices, key=len) == right
        try:
            values = [Fraction(choice) for choice in choices]
        except ValueError:
            continue
        numeric += 1
        largest += max(values) == Fraction(right)
    assert longest / len(ITEMS) < 0.4
    assert largest / numeric < 0.4


def _lcm(a: str, b: str) -> int:
    return math.lcm(int(a), int(b))


def _next(text: str) -> int:
    terms = [int(term) for term in text.split(", ")]
    steps = [b - a for a, b in pairwise(terms)]
    return terms[-1] + steps[-1] + (steps[-1] - steps[-2])


def _mass(formula: str, table: str) -> Fraction:
    """Brackets are written out first, then symbols are read from the left."""
    masses = dict(part.split(" = ") for part in table.split(", "))
    while "(" in formula:
        formula = re.sub(r"\((\w+)\)(\d*)", lambda m: m[1] * int(m[2] or 1), formula)
    total, rest = F(0), formula
    while rest:
        symbol = rest[:2] if rest[:2] in masses else rest[0]
        rest = rest[len(symbol) :]
        digits = re.match(r"\d*", rest)
        assert digits is not None
        total += int(masses[symbol]) * int(digits[0] or 1)
        rest = rest[len(digits[0]) :]
    return total


def _atoms(count: str, formula: str) -> Fraction:
    symbols = re.findall(r"[A-Z][a-z]?", formula)
    return (1 if count == "one" else int(count)) * _mass(formula, ", ".join(f"{s} = 1" for s in set(symbols)))


def _pairs(strand: str, to: str) -> str:
    return strand.translate(str.maketrans("ACGT", to))


def _offspring(count: str, one: str, other: str, sign: str) -> Fraction:
    children = [a + b for a in one for b in other]
    recessive = sum(child == "aa" for child in children)
    return F(int(count) * (recessive if sign == "recessive" else 4 - recessive), 4)


def _ions(low: str, high: str) -> int:
    return round(float(10 ** -int(low)) / float(10 ** -int(high)))


def _bases(share: str, given: str, asked: str) -> Fraction:
    same = {given, asked} in ({"A", "T"}, {"G", "C"})
    return F(share) if same else (100 - 2 * F(share)) / 2


_FACTORS = {
    "metres of kilometres": 1000, "minutes of hours": 60, "grams of kilograms": 1000,
    "centimetres of metres": 100, "millilitres of litres": 1000, "hours of days": 24,
    "square centimetres of square metres": 100**2, "joules of kilojoules": 1000,
    "litres of cubic metres": 10**3, "seconds of hours": 60 * 60,
}  # fmt: skip

RULES: list[tuple[str, Callable[..., object]]] = [
    (rf"What is {N} \+ {N}\?", lambda a, b: F(a) + F(b)),
    (rf"What is {N} - {N}\?", lambda a, b: F(a) - F(b)),
    (rf"What is {N} \* {N}\?", lambda a, b: F(a) * F(b)),
    (rf"What is the remainder when {N} is divided by {N}\?", lambda a, b: math.fmod(int(a), int(b))),
    (rf"What is {N} % of {N}\?", lambda p, a: F(p) / 100 * F(a)),
    (rf"A price of {N} rises by {N} %.*", lambda a, p: F(a) * (100 + F(p)) / 100),
    (rf"A price of {N} falls by {N} %.*", lambda a, p: F(a) * (100 - F(p)) / 100),
    (r"What is (\S+) \+ (\d+/\d+), in lowest terms\?", lambda a, b: F(a) + F(b)),
    (r"What is (\S+) \* (\d+/\d+), in lowest terms\?", lambda a, b: F(a) * F(b)),
    (rf"What is the square root of {N}\?", lambda a: math.isqrt(int(a))),
    (rf"What is {N} to the power of {N}\?", lambda a, b: math.prod([int(a)] * int(b))),
    (rf"What is {N} \+ {N} \* {N}\?", lambda a, b, c: F(a) + (F(b) * F(c))),
    (rf"What is {N} \* {N} - {N} \* {N}\?", lambda a, b, c, d: (F(a) * F(b)) - (F(c) * F(d))),
    (r"What is the mean of ([\d, -]+)\?", lambda text: fmean(map(int, text.split(", ")))),
    (r"Which number continues the sequence ([\d, ]+), \.\.\.\?", _next),
    (rf"What is the greatest common divisor of {N} and {N}\?", lambda a, b: int(a) * int(b) // _lcm(a, b)),
    (rf"What is the least common multiple of {N} and {N}\?", _lcm),
    (rf"How many ([a-z ]+) are {N} ([a-z ]+)\?", lambda to, a, of: F(a) * _FACTORS[f"{to} of {of}"]),
    (rf"How far, in metres, does something move in {N} s at a constant {N} m/s\?", lambda t, v: F(t) * F(v)),
    (
        rf"Something moves at {N} m/s and then accelerates at {N} m/s\^2 for {N} s\..*",
        lambda v, a, t: F(t) * (F(v) + F(v) + F(a) * F(t)) / 2,
    ),
    (rf"What net force, in newtons, accelerates {N} kg at {N} m/s\^2\?", lambda m, a: F(m) * F(a)),
    (
        rf"A body of {N} kg accelerates at {N} m/s\^2 against a friction of {N} N\..*",
        lambda m, a, f: F(m) * F(a) + F(f),
    ),
    (
        rf"What is the kinetic energy, in joules, of {N} kg moving at {N} m/s\?",
        lambda m, v: F(m) / 2 * F(v) ** 2,
    ),
    (
        rf"By how many joules .* of {N} kg .* raised by {N} m, with g = 10 m/s\^2\?",
        lambda m, h: F(m) * F(h) * 10,
    ),
    (rf"What voltage, in volts, drives a current of {N} A through {N} ohm\?", lambda i, r: F(i) * F(r)),
    (rf"What power, in watts, does a resistor of {N} ohm .* at {N} A\?", lambda r, i: F(i) ** 2 * F(r)),
    (
        rf"What is the resistance, in ohm, of {N} ohm and {N} ohm in parallel\?",
        lambda a, b: 1 / (1 / F(a) + 1 / F(b)),
    ),
    (rf"What is the density, in kg per litre, of {N} kg that fill {N} litres\?", lambda m, v: F(m) / F(v)),
    (rf"How many kilograms do {N} litres weigh at a density of {N} kg per litre\?", lambda v, d: F(v) * F(d)),
    (rf"A wave moves at {N} m/s, {N} m from crest to crest\..*", lambda v, w: F(v) / F(w)),
    (rf"How fast, in m/s, does a wave of {N} Hz and a wavelength of {N} m move\?", lambda f, w: F(f) * F(w)),
    (r"How many atoms are in (\w+) formula units? of (\S+)\?", _atoms),
    (r"What is the molar mass of (\S+), in g/mol, with (.*)\?", _mass),
    (rf"How many moles are {N} g of (\S+), with (.*)\?", lambda g, f, table: F(g) / _mass(f, table)),
    (rf"How many grams are {N} mol of (\S+), with (.*)\?", lambda n, f, table: F(n) * _mass(f, table)),
    (
        rf"An atom of \w+ has {N} protons and a mass number of {N}\. How many neutrons.*",
        lambda z, a: F(a) - F(z),
    ),
    (
        rf"An atom of \w+ has {N} protons and a mass number of {N}\. .* ion of charge {N}\+ have\?",
        lambda z, _, q: F(z) - F(q),
    ),
    (
        r"What is the pH of a solution with 10\^-(\d) mol/l of hydrogen ions\?",
        lambda p: -math.log10(10 ** -int(p)),
    ),
    (
        r"What is the pH at 25 degrees of a solution with 10\^-(\d) mol/l of hydroxide ions\?",
        lambda p: 14 + math.log10(10 ** -int(p)),
    ),
    (r"How many times more hydrogen ions are in a litre of pH (\d+) than in a litre of pH (\d+)\?", _ions),
    (
        rf"A litre of a strong acid of pH {N} is filled up with water to {N} litres\..*",
        lambda p, v: -math.log10(10 ** -int(p) / int(v)),
    ),
    (
        rf"{N} ml of a solution of {N} mol/l are filled up with water to {N} ml\..*",
        lambda v, c, full: F(v) * F(c) / F(full),
    ),
    (
        rf"To how many millilitres must {N} ml of a solution of {N} mol/l be filled up to give {N} mol/l\?",
        lambda v, c, after: F(v) * F(c) / F(after),
    ),
    (r"Which DNA strand pairs with ([ACGT]+), .*", lambda strand: _pairs(strand, "TGCA")),
    (r"Which RNA is transcribed from the DNA template ([ACGT]+), .*", lambda strand: _pairs(strand, "UGCA")),
    (
        rf"How many bases of messenger RNA code for {N} amino acids and one stop codon\?",
        lambda a: 3 * F(a) + 3,
    ),
    (rf"A coding sequence of {N} bases ends with a stop codon\..*", lambda b: (F(b) - 3) / 3),
    (rf"{N} % of the bases of a double-stranded DNA are (\w)\. How many per cent are (\w)\?", _bases),
    (rf"Of {N} offspring of the parents (\w\w) and (\w\w) .* show the (\w+) trait\?", _offspring),
    (
        rf"Bacteria double every {N} minutes\. How many are there after {N} minutes if there were {N} at the start\?",
        lambda every, after, start: int(start) << (int(after) // int(every)),
    ),
    (rf"A body cell of the [\w ]+ has {N} chromosomes\..* gametes\?", lambda c: F(c) / 2),
    (rf"A gamete of the [\w ]+ has {N} chromosomes\. How many chromatids.*", lambda c: 4 * F(c)),
    (
        rf"Each level of a food chain .* plants hold {N} kJ, .* \({N} levels .*",
        lambda e, levels: F(e) * F(1, 10) ** (int(levels) - 1),
    ),
    (rf"A planet's mean distance from the Sun is {N} times .*", lambda a: math.sqrt(int(a) ** 3)),
    (rf"A planet takes {N} years for one orbit .*", lambda t: round(math.cbrt(int(t)) ** 2, 9)),
    (rf"Light moves at 300,000 km/s\. .* does it move in {N} s\?", lambda t: F(300_000) * F(t) / 100_000),
    (rf"A radar echo from an asteroid comes back after {N} s\..*", lambda t: F(300_000) * F(t) / 2 / 100_000),
    (
        rf"What is the weight, in newtons, of {N} kg on [\w ]+, where g = {N} m/s\^2\?",
        lambda m, g: F(m) * F(g),
    ),
    (rf"A star looks {N} times fainter .*", lambda b: math.sqrt(int(b))),
    (rf"Two stars .* one is {N} times farther away\..*", lambda d: F(d) ** 2),
    (rf"By how many degrees does the Earth turn about its axis in {N} hours\?", lambda h: 360 * F(h) / 24),
    (rf"How many hours does the Earth take to turn by {N} degrees .*", lambda d: F(d) * 24 / 360),
]


def _solve(item: Item) -> object:
    solved = [rule(*found.groups()) for form, rule in RULES if (found := re.fullmatch(form, item.input))]
    assert len(solved) == 1, (item.id, item.input, solved)
    return solved[0]


@pytest.mark.parametrize("topic", ["arithmetic", "physics", "chemistry", "biology", "astronomy"])
def test_every_answer_is_right_and_every_other_choice_wrong(topic: str) -> None:
    for item in ITEMS:
        if item.topic != topic:
            continue
        right = _solve(item)
        same = [choice for choice in item.choices or () if _equal(choice, right)]
        assert same == [(item.choices or ())["ABCD".index(item.expected or "")]], (item.id, item.input, right)


def _equal(choice: str, right: object) -> bool:
    if isinstance(right, str):
        return choice == right
    value = Fraction(choice) if "/" in choice else Fraction(Decimal(choice))
    assert isinstance(right, int | float | Fraction)
    return math.isclose(value, right, rel_tol=1e-9)
