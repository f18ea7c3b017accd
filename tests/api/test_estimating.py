"""An estimate of real prompts: counted, not guessed, where a tokenizer is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from crucible_ray import Ensemble, Experiment, Model, api
from crucible_ray.models import tokens
from crucible_ray.models.tokens import tokenizer
from crucible_ray.prompts import Renderer

pytest.importorskip("bpe_openai")
EXPERIMENT = Experiment(
    name="Counted",
    dataset="demo",
    sample_size=20,
    max_tokens=1,
    conditions=[Model("gpt4o_mini", name="one"), Ensemble(["gpt4o", "openrouter/x/y"], name="two")],
)


def test_prompt_tokens_are_those_of_the_models_tokenizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared = api.prepare(EXPERIMENT)
    own = tokenizer("gpt-4o")
    assert own is not None
    renderer = Renderer(prepared.plan.conditions[0].prompt)
    texts = [turn.content for item in prepared.items for turn in renderer.render(item)]
    counted = sum(own.count(text) for text in texts)
    guessed = sum(len(text.encode()) for text in texts) / 4
    found = prepared.estimate()
    assert found.tokens.input == pytest.approx(2 * counted + guessed + 3 * 8 * 20, abs=2)
    assert any("o200k_base for gpt4o_mini, gpt4o;" in words for words in found.assumptions)
    assert any("for openrouter/x/y" in words for words in found.assumptions)


def test_without_the_tokenizer_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tokens, "_load", lambda _encoding: None)
    assert any(
        "the extra `tokens` would count" in words for words in api.prepare(EXPERIMENT).estimate().assumptions
    )
    simulated = api.prepare(EXPERIMENT, simulate=True).estimate()
    assert not any("extra" in words for words in simulated.assumptions)
