"""Chemistry: counting atoms, masses, amounts, particles of an atom, and acids."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction

from crucible_ray.datasets.science.making import Draw, Made, Make, number, numbers

_MASSES = {
    "H": 1,
    "C": 12,
    "N": 14,
    "O": 16,
    "Na": 23,
    "Mg": 24,
    "Al": 27,
    "P": 31,
    "S": 32,
    "K": 39,
    "Ca": 40,
}
"""Relative atomic masses, rounded to whole numbers as the questions say."""
_FORMULAS = (
    "H2O", "CO2", "NH3", "CH4", "NaOH", "SO2", "MgO", "CaO", "H2S", "KOH",
    "H2SO4", "CaCO3", "C2H6O", "HNO3", "Na2CO3", "C6H12O6", "H3PO4", "K2SO4", "Al2O3", "C3H8O3",
)  # fmt: skip
_GROUPED = (
    "Ca(OH)2", "Mg(OH)2", "Al(OH)3", "Ca(NO3)2", "Mg(NO3)2", "Al(NO3)3", "Ca3(PO4)2", "Mg3(PO4)2", "Al2(SO4)3",
    "Ca(HCO3)2",
)  # fmt: skip
_ISOTOPES = (
    ("carbon", 6, 14), ("oxygen", 8, 18), ("sodium", 11, 23), ("chlorine", 17, 37), ("iron", 26, 56),
    ("cobalt", 27, 60), ("iodine", 53, 131), ("gold", 79, 197), ("lead", 82, 208), ("uranium", 92, 238),
)  # fmt: skip


def _count(formula: str) -> Counter[str]:
    """Atoms by element; at most one bracket, at the end."""
    outside, _, rest = formula.partition("(")
    inside, _, times = rest.partition(")")
    found: Counter[str] = Counter()
    for text, factor in ((outside, 1), (inside, int(times or 1))):
        for symbol, many in re.findall(r"([A-Z][a-z]?)(\d*)", text):
            found[symbol] += factor * int(many or 1)
    return found


def _mass(formula: str) -> int:
    return sum(_MASSES[symbol] * many for symbol, many in _count(formula).items())


def _known(formula: str) -> str:
    return ", ".join(f"{symbol} = {_MASSES[symbol]}" for symbol in _count(formula))


def _atoms(draw: Draw, n: int) -> Made:
    formula = _FORMULAS[n] if n < 10 else _GROUPED[n - 10]
    found = _count(formula)
    units = draw.whole("units", 1, 2 + n // 4)
    total = units * found.total()
    what = "one formula unit" if units == 1 else f"{units} formula units"
    flat = sum(int(digit) for digit in re.findall(r"\d+", formula)) + len(found)
    slips = numbers(units * flat, total - units, units * len(found), total + units, total + 1, total + 2)
    return Made(f"How many atoms are in {what} of {formula}?", str(total), slips)


def _molar_mass(draw: Draw, n: int) -> Made:
    formula = (_FORMULAS[10:] + _GROUPED)[n]
    right = _mass(formula)
    once = sum(_MASSES[symbol] for symbol in _count(formula))
    lightest = min(_MASSES[symbol] for symbol in _count(formula))
    question = f"What is the molar mass of {formula}, in g/mol, with {_known(formula)}?"
    return Made(
        question, str(right), numbers(once, right + lightest, right - lightest, right + 16, right - 16)
    )


def _moles(draw: Draw, n: int) -> Made:
    formula = _FORMULAS[n]
    mass, halves = _mass(formula), draw.whole("halves", 1 if n > 5 else 2, 8 + n)
    amount = Fraction(halves if n > 5 else halves // 2 * 2, 2)
    grams = amount * mass
    if n % 2:
        question = f"How many moles are {number(grams)} g of {formula}, with {_known(formula)}?"
        slips = numbers(amount * 2, amount + 1, amount / 2, grams / 10, amount * 10)
        return Made(question, number(amount), slips)
    question = f"How many grams are {number(amount)} mol of {formula}, with {_known(formula)}?"
    slips = numbers(mass + amount, grams / 2, grams + mass, grams * 2, mass)
    return Made(question, number(grams), slips)


def _particles(draw: Draw, n: int) -> Made:
    name, protons, nucleons = _ISOTOPES[n // 2]
    known = f"An atom of {name} has {protons} protons and a mass number of {nucleons}."
    if n % 2 == 0:
        right = nucleons - protons
        slips = numbers(nucleons, protons, nucleons + protons, right + 1)
        return Made(f"{known} How many neutrons does it have?", str(right), slips)
    charge = draw.whole("charge", 1, 3)
    right = protons - charge
    slips = numbers(protons + charge, protons, nucleons - protons - charge, nucleons - charge, right - 1)
    return Made(f"{known} How many electrons does its ion of charge {charge}+ have?", str(right), slips)


def _acid(draw: Draw, n: int) -> Made:
    power, factor = draw.whole("power", 1, 6), draw.whole("factor", 1, 3)
    if n < 10 and n % 2 == 0:
        question = f"What is the pH of a solution with 10^-{power} mol/l of hydrogen ions?"
        return Made(question, str(power), numbers(14 - power, power + 1, power - 1, 10 * power, power + 2))
    if n < 10:
        right = 14 - power
        question = f"What is the pH at 25 degrees of a solution with 10^-{power} mol/l of hydroxide ions?"
        return Made(question, str(right), numbers(power, right + 1, right - 1, 7 + power, 7))
    if n % 2 == 0:
        question = f"How many times more hydrogen ions are in a litre of pH {power} than in a litre of pH {power + factor}?"
        return Made(question, str(10**factor), numbers(factor, 2**factor, 10 ** (factor + 1), 5 * factor + 1))
    power = (power + 1) // 2
    right = power + factor
    question = f"A litre of a strong acid of pH {power} is filled up with water to {10**factor} litres. What is its pH then?"
    return Made(
        question, str(right), numbers(power, power - factor, power * factor, 10 * power, right + 1, 7)
    )


def _dilution(draw: Draw, n: int) -> Made:
    factor, millilitres = draw.whole("factor", 2, 4 + n // 3), 10 * draw.whole("volume", 2 + n // 2, 10 + n)
    tenths = factor * draw.whole("tenths", 1, 3 + n // 2)
    before, after = Fraction(tenths, 10), Fraction(tenths, 10 * factor)
    full = millilitres * factor
    if n < 10:
        question = (
            f"{millilitres} ml of a solution of {number(before)} mol/l are filled up with water to {full} ml. "
            "What is the concentration then, in mol/l?"
        )
        slips = numbers(before * factor, before, after / 2, after * 2, after * 10)
        return Made(question, number(after), slips)
    question = (
        f"To how many millilitres must {millilitres} ml of a solution of {number(before)} mol/l "
        f"be filled up to give {number(after)} mol/l?"
    )
    return Made(question, str(full), numbers(full - millilitres, full + millilitres, millilitres, full * 10))


KINDS: dict[str, Make] = {
    "atoms": _atoms,
    "molar mass": _molar_mass,
    "moles": _moles,
    "particles": _particles,
    "acids": _acid,
    "dilution": _dilution,
}
