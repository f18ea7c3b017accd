"""The demo set: 100 multiple-choice items on arithmetic and science, made here and shipped as `demo.jsonl`.

Ten topics of ten items; within a topic, difficulty rises from 0.05 to 0.95. Computed topics take their
numbers, and their wrong choices from common slips; the others draw on small tables, well known facts first.
`python -m crucible_ray.datasets.demo` prints the file, byte for byte.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from string import ascii_uppercase

from crucible_ray.datasets.storing import to_jsonl
from crucible_ray.experiment.grid import derive
from crucible_ray.records import Item

_Made = tuple[str, str, tuple[str, ...]]
"""A question, its answer, and candidates for wrong choices, the best first."""

_ELEMENTS = (
    "oxygen O 8,hydrogen H 1,carbon C 6,sodium Na 11,iron Fe 26,gold Au 79,potassium K 19,"
    "tin Sn 50,tungsten W 74,antimony Sb 51"
)
_CELL = (
    ("stores most of a human cell's DNA", "nucleus"),
    ("carries out photosynthesis in plants", "chloroplast"),
    ("produces most of a cell's ATP", "mitochondrion"),
    ("assembles proteins from amino acids", "ribosome"),
    ("gives a plant cell its rigid outer layer", "cell wall"),
    ("controls which substances enter and leave a cell", "plasma membrane"),
    ("breaks down worn-out parts with digestive enzymes", "lysosome"),
    ("modifies, sorts and packages proteins", "Golgi apparatus"),
    ("breaks down fatty acids and makes hydrogen peroxide", "peroxisome"),
    ("organises the spindle in a dividing animal cell", "centrosome"),
)
_PLANETS = (
    ("is closest to the Sun", "Mercury"),
    ("is known for its bright, wide rings", "Saturn"),
    ("is called the Red Planet", "Mars"),
    ("has the largest mass", "Jupiter"),
    ("has the hottest surface on average", "Venus"),
    ("is farthest from the Sun", "Neptune"),
    ("rotates on its side, with an axial tilt of about 98 degrees", "Uranus"),
    ("has the moons Phobos and Deimos", "Mars"),
    ("has the moon Triton, which orbits backwards", "Neptune"),
    ("has a mean density below that of water", "Saturn"),
)
_UNITS = (
    ("force", "newton"),
    ("energy", "joule"),
    ("power", "watt"),
    ("electric resistance", "ohm"),
    ("pressure", "pascal"),
    ("frequency", "hertz"),
    ("electric charge", "coulomb"),
    ("capacitance", "farad"),
    ("magnetic flux density", "tesla"),
    ("inductance", "henry"),
)


def demo_items() -> list[Item]:
    """The 100 items, the same on every machine; ids are `topic/number`."""
    return [_item(topic, number, make(number)) for topic, make in _TOPICS.items() for number in range(10)]


def _item(topic: str, number: int, made: _Made) -> Item:
    question, answer, candidates = made
    wrong = [text for text in dict.fromkeys(candidates) if text != answer][:3]
    if len(wrong) < 3:
        raise ValueError(f"{topic}/{number}: fewer than three wrong choices")
    choices = sorted([answer, *wrong], key=lambda text: derive(0, "demo", topic, number, text))
    return Item(
        id=f"{topic}/{number}",
        input=question,
        expected=ascii_uppercase[choices.index(answer)],
        choices=tuple(choices),
        topic=topic,
        difficulty=(2 * number + 1) / 20,
    )


def _draw(topic: str, number: int, what: str, low: int, high: int) -> int:
    """A number from `low` to `high`, both included."""
    return low + derive(0, "demo", topic, number, what) % (high - low + 1)


def _numbers(*values: int) -> tuple[str, ...]:
    return tuple(map(str, values))


def _addition(n: int) -> _Made:
    size = 10 * (n + 2) ** 2
    a, b = _draw("addition", n, "a", size, 3 * size), _draw("addition", n, "b", size, 2 * size)
    right = a + b
    return f"What is {a} + {b}?", str(right), _numbers(right + 10, right - 1, right + 100, right - 10)


def _multiplication(n: int) -> _Made:
    a, b = (
        _draw("multiplication", n, "a", 3 + 3 * n, 9 + 5 * n),
        _draw("multiplication", n, "b", 3 + n, 9 + 3 * n),
    )
    right = a * b
    return f"What is {a} * {b}?", str(right), _numbers(right + a, right - b, right + 10, right - 2)


def _percentages(n: int) -> _Made:
    percent, base = (
        (50, 10, 25, 20, 5, 75, 15, 35, 45, 85)[n],
        20 * _draw("percentages", n, "base", 2 + n, 10 + 4 * n),
    )
    right = percent * base // 100
    return (
        f"What is {percent} % of {base}?",
        str(right),
        _numbers(right + base // 10, base - right, right + 5, right * 2, right + 1),
    )


def _fractions(n: int) -> _Made:
    b, d = 2 + n // 2, 3 + (n + 1) // 2
    a, c = _draw("fractions", n, "a", 1, b - 1), _draw("fractions", n, "c", 1, d - 1)
    right = Fraction(a, b) + Fraction(c, d)
    added_apart, not_widened = Fraction(a + c, b + d), Fraction(a + c, b * d)
    slips = (added_apart, not_widened, right + Fraction(1, d), right - Fraction(1, 2 * b), right + 1)
    return f"What is {a}/{b} + {c}/{d}, in lowest terms?", str(right), tuple(map(str, slips))


def _sequences(n: int) -> _Made:
    start, step, growth = (
        _draw("sequences", n, "start", 1, 9),
        _draw("sequences", n, "step", 2, 5 + n),
        n // 2,
    )
    terms = [start + step * k + growth * k * (k - 1) // 2 for k in range(6)]
    right = terms[5]
    shown = ", ".join(map(str, terms[:5]))
    return (
        f"Which number continues the sequence {shown}, ...?",
        str(right),
        _numbers(2 * terms[4] - terms[3] - 1, right + step, right + 2, right - 3),
    )


def _mechanics(n: int) -> _Made:
    mass, rate = _draw("mechanics", n, "mass", 2 + n, 5 + 2 * n), _draw("mechanics", n, "rate", 2, 4 + n)
    if n < 5:
        right = mass * rate
        question = f"What net force, in newtons, accelerates {mass} kg at {rate} m/s^2?"
        return question, str(right), _numbers(mass + rate, right + mass, 10 * right, right + 1)
    speed = 2 * rate
    right = mass * speed * speed // 2
    question = f"What is the kinetic energy, in joules, of {mass} kg moving at {speed} m/s?"
    return question, str(right), _numbers(mass * speed, 2 * right, mass * speed // 2, right + speed)


def _chemistry(n: int) -> _Made:
    rows = [row.split() for row in _ELEMENTS.split(",")]
    name, symbol, protons = rows[n]
    if n % 2 == 0:
        others = tuple(
            row[0] for row in sorted(rows, key=lambda row: derive(0, "demo", "chemistry", n, row[0]))
        )
        return f"Which element has the chemical symbol {symbol}?", name, others
    number = int(protons)
    return (
        f"How many protons does an atom of {name} have?",
        protons,
        _numbers(number + 1, 2 * number + 1, number + 3, number + 8),
    )


def _from_table(topic: str, question: str, table: tuple[tuple[str, str], ...]) -> Callable[[int], _Made]:
    def make(n: int) -> _Made:
        clue, answer = table[n]
        others = sorted(
            {text for _, text in table}, key=lambda text: derive(0, "demo", topic, n, text, "other")
        )
        return question.format(clue), answer, tuple(others)

    return make


_TOPICS: dict[str, Callable[[int], _Made]] = {
    "addition": _addition,
    "multiplication": _multiplication,
    "percentages": _percentages,
    "fractions": _fractions,
    "sequences": _sequences,
    "mechanics": _mechanics,
    "chemistry": _chemistry,
    "cell biology": _from_table("cell biology", "Which part of a cell {}?", _CELL),
    "astronomy": _from_table("astronomy", "Which planet of the solar system {}?", _PLANETS),
    "units": _from_table("units", "What is the SI unit of {}?", _UNITS),
}


if __name__ == "__main__":
    sys.stdout.buffer.write(to_jsonl(demo_items()))
