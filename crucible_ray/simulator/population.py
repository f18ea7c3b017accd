"""A population of simulated models whose truth is known before anybody measures it.

Model m answers item i rightly with probability `p = logistic(a_m - slope * (difficulty_i - 1/2))`, where
`a_m` is set so that the mean of `p` over the answer key is the stated accuracy. Whether it does is a
Gaussian copula: right where `sqrt(r_m) * z_i + sqrt(1 - r_m) * e < quantile(p)`, with one latent `z_i` per
item, shared by all models and repeats, and an own `e` per request, both standard normal. So `p` holds for
every item whatever the correlation, and two models' latents correlate by `sqrt(r_a * r_b)`. Wrong answers
fall on the item's main distractor, the same one for every model, with probability `concentration`, else
evenly on the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from statistics import NormalDist

from msgspec import Struct

from crucible_ray.simulator.answers import Question
from crucible_ray.simulator.config import SimulatedModel
from crucible_ray.simulator.draws import LATENCY, LENGTH, OWN, STYLE, TAIL, WRONG, named_draw, normal

_NORMAL = NormalDist()
_LENGTH_SPREAD = 0.3
_LETTER_FORMS = ("{}", "The answer is {}.", "({})", "{}.", "Answer: {}", "The correct answer is {}.")
_OPEN_FORMS = ("{}", "The answer is {}.", "Answer: {}")
_PADDING = (
    "Let us look at what the question says and at what follows from it. "
    "Some of what is offered does not fit, so it can be ruled out first. "
    "What is left agrees with what is known, and nothing speaks against it. "
)
_PADDED_FROM = 20
_SENTENCE_TOKENS = 8
_CHARACTERS_PER_TOKEN = 4


class Answer(Struct, frozen=True):
    """What a simulated model says to one request."""

    text: str
    right: bool
    output_tokens: int


class Truth(Struct, frozen=True):
    """What was planted."""

    accuracy: dict[str, float]
    """Each member's share of right answers."""
    majority: float
    """The share of items that their majority gets right; a tie goes to the answer voted first."""


class Population:
    """Simulated models over one answer key. No random state: draws come in or are keyed by item."""

    def __init__(
        self, questions: Iterable[Question], *, seed: int, difficulty_slope: float, concentration: float
    ) -> None:
        self._questions = list(questions)
        self._seed, self._slope, self._concentration = seed, difficulty_slope, concentration
        self._levels = Counter(self._difficulty(question) for question in self._questions)
        self._intercepts: dict[float, float] = {}
        self.latent = lru_cache(maxsize=50_000)(self._draw_latent)

    def answer(
        self, model: SimulatedModel, question: Question, u: Sequence[float], *, max_tokens: int | None = None
    ) -> Answer:
        """The reply of a model to one request whose eight uniform numbers are `u` (`draws.py`).

        A model keeps its answer within `max_tokens`: less prose, and the bare answer where there is no room
        for more.
        """
        r = model.correlation
        probability = self.probability(model, question)
        latent = math.sqrt(r) * self.latent(question.id) + math.sqrt(1.0 - r) * normal(u[OWN])
        right = probability >= 1.0 or (probability > 0.0 and latent < normal(probability))
        said = question.right if right else self._mistake(question, u[WRONG])
        forms: Sequence[str] = _LETTER_FORMS if len(said) == 1 and said.isupper() else _OPEN_FORMS
        tokens = max(1, round(model.output_tokens * math.exp(_LENGTH_SPREAD * normal(u[LENGTH]))))
        if max_tokens is not None:
            tokens = min(tokens, max_tokens)
            forms = forms if max_tokens >= _SENTENCE_TOKENS else forms[:1]
        return Answer(_padded(forms[int(u[STYLE] * len(forms))].format(said), tokens), right, tokens)

    def probability(self, model: SimulatedModel, question: Question) -> float:
        """How often a model is right on an item; its accuracy itself on one outside the key."""
        if not question.keyed or not 0.0 < model.accuracy < 1.0:
            return model.accuracy
        intercept = self._intercepts.get(model.accuracy)
        if intercept is None:
            intercept = self._intercepts[model.accuracy] = self._calibrated(model.accuracy)
        return _logistic(intercept - self._slope * (self._difficulty(question) - 0.5))

    def truth(
        self,
        members: Sequence[SimulatedModel],
        *,
        items: Iterable[str] | None = None,
        given_latents: bool = False,
    ) -> Truth:
        """The members' true accuracies and that of their majority vote, by numerical integration.

        `items` are ids (None: the whole key). By default the items' shared latents are integrated out: the
        truth of which these items are a sample. `given_latents` takes them as this seed drew them: the
        truth of these very items, to which endless repeats converge. Raises ValueError without items, or
        with more than seven members.
        """
        wanted = None if items is None else set(items)
        asked = [q for q in self._questions if wanted is None or q.id in wanted]
        if not asked or not 1 <= len(members) <= 7:
            raise ValueError("a truth needs items of the answer key and one to seven members")
        cases: Counter[tuple[float, int, float | None]] = Counter(
            (self._difficulty(q), len(q.wrong), self.latent(q.id) if given_latents else None) for q in asked
        )
        sample = {self._difficulty(q): q for q in asked}
        totals = [0.0] * (len(members) + 1)
        for (difficulty, mistakes, latent), count in cases.items():
            p = [self.probability(model, sample[difficulty]) for model in members]
            nodes = _nodes() if latent is None else [(latent, 1.0)]
            for z, weight in nodes:
                given = [_given(q, model.correlation, z) for q, model in zip(p, members, strict=True)]
                voted = self._vote(given, mistakes)
                for index, value in enumerate([*given, voted]):
                    totals[index] += count * weight * value
        means = [total / len(asked) for total in totals]
        return Truth(dict(zip([model.name for model in members], means, strict=False)), means[-1])

    def _vote(self, right: Sequence[float], mistakes: int) -> float:
        """The probability that the majority is right where members are with these, independently."""
        main = self._concentration if mistakes > 1 else 1.0
        total = 0.0
        for pattern, ways in _winning(len(right), mistakes).items():
            chance = float(ways)
            for kind, p in zip(pattern, right, strict=True):
                other = (1.0 - main) / (mistakes - 1) if mistakes > 1 else 0.0
                chance *= (p, (1.0 - p) * main, (1.0 - p) * other)[kind]
            total += chance
        return total

    def _mistake(self, question: Question, u: float) -> str:
        main = int(named_draw(self._seed, "distractor", question.id) * len(question.wrong))
        others = question.wrong[:main] + question.wrong[main + 1 :]
        if u < self._concentration or not others:
            return question.wrong[main]
        rest = (u - self._concentration) / (1.0 - self._concentration)
        return others[min(int(rest * len(others)), len(others) - 1)]

    def _difficulty(self, question: Question) -> float:
        if question.difficulty is not None:
            return question.difficulty
        return round(named_draw(self._seed, "difficulty", question.id), 3)

    def _draw_latent(self, item: str) -> float:
        """The standard normal number that all models share on an item; high makes them fail."""
        return normal(named_draw(self._seed, "latent", item))

    def _calibrated(self, accuracy: float) -> float:
        """The intercept at which the mean over the key is `accuracy`, by bisection."""
        low, high = -60.0 - self._slope, 60.0 + self._slope
        total = sum(self._levels.values())
        for _ in range(80):
            middle = (low + high) / 2
            mean = math.fsum(
                count * _logistic(middle - self._slope * (level - 0.5))
                for level, count in self._levels.items()
            )
            low, high = (middle, high) if mean < accuracy * total else (low, middle)
        return (low + high) / 2


def latency_s(model: SimulatedModel, u: Sequence[float]) -> float:
    """Seconds until the answer: lognormal about the median, a share of it times slower."""
    seconds = model.latency_s
    if seconds and model.spread:
        seconds *= math.exp(model.spread * normal(u[LATENCY]))
    share, factor = model.tail
    return seconds * factor if u[TAIL] < share else seconds


def _padded(text: str, tokens: int) -> str:
    """The text, after as much prose as makes it about `tokens` long."""
    missing = tokens * _CHARACTERS_PER_TOKEN - len(text)
    if tokens < _PADDED_FROM or missing < len(_PADDING) // 4:
        return text
    prose = (_PADDING * (missing // len(_PADDING) + 1))[:missing]
    return prose[: prose.rfind(" ")].rstrip(" .,") + f".\n\n{text}"


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0


def _given(p: float, r: float, z: float) -> float:
    """The probability of a right answer once the shared latent is known."""
    if not 0.0 < p < 1.0:
        return p
    return _NORMAL.cdf((normal(p) - math.sqrt(r) * z) / math.sqrt(1.0 - r))


@lru_cache(maxsize=1)
def _nodes() -> list[tuple[float, float]]:
    """Points and weights for the standard normal: the trapezoid rule, all but exact for smooth functions."""
    step = 0.125
    points = [step * index for index in range(-52, 53)]
    return [(z, step * _NORMAL.pdf(z)) for z in points]


@lru_cache(maxsize=64)
def _winning(members: int, mistakes: int) -> Mapping[tuple[int, ...], int]:
    """Which votes the right answer wins, with their count: 0 right, 1 main distractor, 2 another mistake.

    `mistakes` counts the wrong answers in all. The other mistakes are alike, so that their labels are
    counted.
    """
    patterns: Counter[tuple[int, ...]] = Counter()
    for votes in product(range(mistakes + 1), repeat=members):
        counts = Counter(votes)
        best = max(counts.values())
        if next(vote for vote in votes if counts[vote] == best) == 0:
            patterns[tuple(min(vote, 2) for vote in votes)] += 1
    return patterns
