"""Biology: what follows from small rules and tables: bases, codons, crosses, growth, chromosomes."""

from __future__ import annotations

from fractions import Fraction

from crucible_ray.datasets.science.making import Draw, Made, Make, numbers

_PAIRS = {"A": "T", "T": "A", "G": "C", "C": "G"}
_CHROMOSOMES = (
    ("human", 46), ("dog", 78), ("cat", 38), ("horse", 64), ("cattle", 60), ("chimpanzee", 48), ("mouse", 40),
    ("fruit fly", 8), ("pea", 14), ("maize", 20),
)  # fmt: skip


def _strand(draw: Draw, size: int) -> str:
    return "".join(draw.one(f"base {place}", "ACGT") for place in range(size))


def _complement(draw: Draw, n: int) -> Made:
    strand = _strand(draw, 4 + n // 2)
    right = "".join(_PAIRS[base] for base in strand)
    if n % 2 == 0:
        slips = (strand, right.replace("T", "U"), right[::-1], strand[::-1], right[1:] + right[0])
        question = f"Which DNA strand pairs with {strand}, base by base in the order written?"
        return Made(question, right, slips)
    right = right.replace("T", "U")
    slips = (right.replace("U", "T"), strand.replace("T", "U"), right[::-1], right[1:] + right[0], strand)
    return Made(f"Which RNA is transcribed from the DNA template {strand}, base by base?", right, slips)


def _codons(draw: Draw, n: int) -> Made:
    acids = draw.whole("acids", 5 + 4 * n, 20 + 12 * n)
    if n % 2:
        question = f"How many bases of messenger RNA code for {acids} amino acids and one stop codon?"
        right = 3 * (acids + 1)
        return Made(question, str(right), numbers(3 * acids, acids + 1, right + 3, 2 * (acids + 1)))
    bases = 3 * (acids + 1)
    question = (
        f"A coding sequence of {bases} bases ends with a stop codon. How many amino acids does it code for?"
    )
    return Made(question, str(acids), numbers(acids + 1, bases, acids - 1, bases // 2))


def _base_share(draw: Draw, n: int) -> Made:
    share = draw.whole("share", 12, 38)
    given = draw.one("given", "ACGT")
    asked = (
        _PAIRS[given]
        if n < 8
        else draw.one("other", [base for base in "ACGT" if base not in (given, _PAIRS[given])])
    )
    right = share if n < 8 else 50 - share
    question = f"{share} % of the bases of a double-stranded DNA are {given}. How many per cent are {asked}?"
    slips = (50 - share if n < 8 else share, 100 - share, 100 - 2 * share, 25, right + 2, right - 2)
    return Made(question, str(right), numbers(*slips))


_CROSSES: tuple[tuple[str, str, Fraction], ...] = (
    ("Aa", "Aa", Fraction(1, 4)),
    ("Aa", "aa", Fraction(1, 2)),
    ("AA", "Aa", Fraction(0)),
    ("AA", "aa", Fraction(0)),
)
"""Two parents, and the share of their offspring that is `aa`."""


def _cross(draw: Draw, n: int) -> Made:
    one, other, recessive = _CROSSES[draw.whole("cross", 0, 1 if n > 3 else 3)]
    children = 4 * draw.whole("children", 3 + 2 * n, 20 + 8 * n)
    dominant = n % 2 == 0
    share = 1 - recessive if dominant else recessive
    sign = "dominant" if dominant else "recessive"
    right = children * share
    question = (
        f"Of {children} offspring of the parents {one} and {other} (A dominant over a), "
        f"how many are expected to show the {sign} trait?"
    )
    quarters = tuple(children * Fraction(part, 4) for part in (3, 1, 2, 4, 0))
    return Made(question, str(right), numbers(*quarters))


def _growth(draw: Draw, n: int) -> Made:
    start, minutes, times = (
        draw.whole("start", 2 + n, 10 + 5 * n),
        draw.one("minutes", (20, 30, 40)),
        2 + n // 4,
    )
    right = start * 2**times
    question = (
        f"Bacteria double every {minutes} minutes. How many are there after {minutes * times} minutes "
        f"if there were {start} at the start?"
    )
    slips = numbers(start * 2 * times, right // 2, right * 2, start + minutes * times, start * times)
    return Made(question, str(right), slips)


def _chromosomes(draw: Draw, n: int) -> Made:
    name, diploid = _CHROMOSOMES[n // 2]
    half = diploid // 2
    if n % 2 == 0:
        question = f"A body cell of the {name} has {diploid} chromosomes. How many has one of its gametes?"
        return Made(question, str(half), numbers(diploid, 2 * diploid, half - 1, half // 2))
    question = (
        f"A gamete of the {name} has {half} chromosomes. How many chromatids has a body cell "
        "after it has copied its DNA and before it divides?"
    )
    return Made(question, str(2 * diploid), numbers(diploid, half, 4 * diploid, 3 * half))


def _energy_flow(draw: Draw, n: int) -> Made:
    steps, top = 1 + n // 7, draw.whole("top", 2 + n, 9 + 4 * n)
    base = top * 10**steps
    names = ("plants", "plant eaters", "predators", "top predators")
    question = (
        f"Each level of a food chain passes on 10 % of its energy. If the plants hold {base} kJ, "
        f"how many kJ reach the {names[steps]} ({steps + 1} levels counted with the plants)?"
    )
    slips = numbers(base // 10 if steps > 1 else base, top * 10, base * 9 // 10, top * 2, top * 100, top + 1)
    return Made(question, str(top), slips)


KINDS: dict[str, Make] = {
    "complements": _complement,
    "codons": _codons,
    "base shares": _base_share,
    "crosses": _cross,
    "growth": _growth,
    "chromosomes": _chromosomes,
    "food chains": _energy_flow,
}
