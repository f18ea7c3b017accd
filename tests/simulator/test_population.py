"""Whether the population does what was planted."""

from __future__ import annotations

import math
import re
from itertools import product
from statistics import median

import pytest
from scipy.stats import multivariate_normal, norm

from crucible_ray.records import Item
from crucible_ray.simulator.answers import AnswerKey, Question
from crucible_ray.simulator.config import SimulatedModel
from crucible_ray.simulator.draws import body_key, draws
from crucible_ray.simulator.population import Population, latency_s

_MODELS = [
    SimulatedModel(name="a", accuracy=0.8, correlation=0.4),
    SimulatedModel(name="b", accuracy=0.7, correlation=0.4),
    SimulatedModel(name="c", accuracy=0.6, correlation=0.2),
]


def _questions(count: int) -> list[Question]:
    items = [
        Item(
            id=str(n),
            input=f"Question {n}?",
            expected="ABCD"[n % 4],
            choices=("p", "q", "r", "s"),
            difficulty=(n % 100) / 99,
        )
        for n in range(count)
    ]
    return list(AnswerKey(items).questions.values())


def _population(questions: list[Question], seed: int = 1) -> Population:
    return Population(questions, seed=seed, difficulty_slope=4.0, concentration=0.6)


def _letter(text: str) -> str:
    return str(re.findall(r"\b[A-D]\b", text)[-1])


def _said(population: Population, model: SimulatedModel, question: Question, nth: int = 0) -> str:
    u = draws(body_key(1, f"{model.name} {question.id}".encode()), nth)
    return _letter(population.answer(model, question, u).text)


def test_mean_probability_over_the_key_is_the_stated_accuracy() -> None:
    questions = _questions(300)
    population = _population(questions)
    for accuracy in (0.02, 0.5, 0.8, 0.99, 0.0, 1.0):
        model = SimulatedModel(name="m", accuracy=accuracy)
        p = [population.probability(model, question) for question in questions]
        assert math.fsum(p) / len(p) == pytest.approx(accuracy, abs=1e-9)
        if 0 < accuracy < 1:
            assert p[0] > p[50] > p[99]


def test_observed_accuracy_and_joint_success_equal_the_planted_within_sampling_error() -> None:
    questions = _questions(8_000)
    population = _population(questions)
    right = {m.name: [_said(population, m, q) == q.right for q in questions] for m in _MODELS}
    for model in _MODELS:
        error = math.sqrt(model.accuracy * (1 - model.accuracy) / len(questions))
        assert sum(right[model.name]) / len(questions) == pytest.approx(model.accuracy, abs=4 * error)
    for a, b in ((0, 1), (0, 2)):
        first, second = _MODELS[a], _MODELS[b]
        rho = math.sqrt(first.correlation * second.correlation)
        joint = multivariate_normal([0.0, 0.0], [[1.0, rho], [rho, 1.0]])
        planted = sum(
            joint.cdf([norm.ppf(population.probability(m, q)) for m in (first, second)])
            for q in questions[:100]
        )
        observed = sum(map(all, zip(right[first.name], right[second.name], strict=True))) / len(questions)
        assert observed == pytest.approx(planted / 100, abs=4 * 0.5 / math.sqrt(len(questions)))
        assert planted / 100 > first.accuracy * second.accuracy + 0.03  # a correlation that shows


def test_the_true_majority_is_what_endless_votes_come_to() -> None:
    questions = _questions(12_000)
    population = _population(questions)
    won = 0
    for question in questions:
        votes = [_said(population, model, question) for model in _MODELS]
        best = max(votes, key=lambda vote: (votes.count(vote), -votes.index(vote)))
        won += best == question.right
    truth = population.truth(_MODELS)
    assert truth.accuracy == pytest.approx({"a": 0.8, "b": 0.7, "c": 0.6}, abs=1e-6)
    error = math.sqrt(truth.majority * (1 - truth.majority) / len(questions))
    assert won / len(questions) == pytest.approx(truth.majority, abs=4 * error)
    # What this seed drew for these items is a truth of its own, near the one that it is a sample of.
    assert population.truth(_MODELS, given_latents=True).majority == pytest.approx(truth.majority, abs=0.02)


def test_a_majority_of_independent_models_has_its_textbook_value() -> None:
    models = [SimulatedModel(name=name, accuracy=0.7, correlation=0.0) for name in "abc"]
    questions = [Question(str(n), "A", ("B",), 0.5) for n in range(5)]
    truth = _population(questions).truth(models)
    condorcet = sum(
        math.prod(0.7 if right else 0.3 for right in votes)
        for votes in product((True, False), repeat=3)
        if sum(votes) >= 2
    )
    assert truth.majority == pytest.approx(condorcet, abs=1e-9)


def test_repeats_of_fixed_items_converge_to_the_truth_given_their_latents() -> None:
    questions = _questions(40)
    population, repeats = _population(questions), 400
    model = _MODELS[0]
    planted = population.truth([model], given_latents=True).accuracy["a"]
    right = sum(_said(population, model, q, nth) == q.right for q in questions for nth in range(repeats))
    assert right / (40 * repeats) == pytest.approx(planted, abs=4 * 0.5 / math.sqrt(40 * repeats))


def test_wrong_answers_concentrate_on_one_distractor_that_all_models_share() -> None:
    questions, repeats = _questions(4_000), 6
    population = _population(questions)
    weak = [SimulatedModel(name=name, accuracy=0.0) for name in "ab"]
    pairs = [
        (_said(population, weak[0], q, nth), _said(population, weak[1], q, nth), q.right)
        for nth in range(repeats)
        for q in questions
    ]
    assert all(right not in (a, b) for a, b, right in pairs)
    # Both on the main one, or both on the same of two others.
    expected = 0.6**2 + 0.4**2 / 2
    error = math.sqrt(expected * (1 - expected) / len(pairs))
    assert sum(a == b for a, b, _ in pairs) / len(pairs) == pytest.approx(expected, abs=4 * error)


def test_latency_has_its_median_and_its_tail() -> None:
    model = SimulatedModel(name="m", latency_s=2.0, spread=0.25, tail=(0.05, 20.0))
    seconds = sorted(latency_s(model, draws(body_key(0, b"x"), nth)) for nth in range(8_000))
    assert median(seconds) == pytest.approx(2.0 * math.exp(0.25 * norm.ppf(0.5 / 0.95)), rel=0.03)
    assert sum(s > 15.0 for s in seconds) / len(seconds) == pytest.approx(0.05, abs=0.01)
    constant = SimulatedModel(name="m", latency_s=4.0, spread=0.0)
    assert latency_s(constant, draws(body_key(0, b"x"), 0)) == 4.0


def test_long_answers_are_padded_to_their_length_and_keep_within_max_tokens() -> None:
    model = SimulatedModel(name="m", output_tokens=120)
    (question, *_), key = _questions(4), body_key(0, b"x")
    population = _population(_questions(4))
    answers = [population.answer(model, question, draws(key, nth)) for nth in range(400)]
    assert median(answer.output_tokens for answer in answers) == pytest.approx(120, rel=0.08)
    assert all(len(a.text) == pytest.approx(4 * a.output_tokens, abs=20) for a in answers)
    short = [population.answer(model, question, draws(key, nth), max_tokens=5) for nth in range(50)]
    assert {len(answer.text) for answer in short} == {1}
    assert {answer.output_tokens for answer in short} == {5}


def test_a_truth_without_items_is_refused() -> None:
    with pytest.raises(ValueError, match="needs items"):
        _population([]).truth(_MODELS)
