"""Tokens by the model's own tokenizer, where one is at hand."""

from __future__ import annotations

import importlib

import pytest

from crucible_ray.models import tokens
from crucible_ray.models.catalogue import ALIASES
from crucible_ray.models.tokens import encoding_of, tokenizer

bpe_openai = pytest.importorskip("bpe_openai")


def test_a_text_has_as_many_tokens_as_openai_counts() -> None:
    # OpenAI's cookbook, "How to count tokens with tiktoken": 6 tokens in both.
    for model in ("gpt-4o-mini-2024-07-18", "gpt-3.5-turbo-0125"):
        found = tokenizer(model)
        assert found is not None
        assert found.count("tiktoken is great!") == 6


def test_models_from_gpt_4o_on_have_another_tokenizer_than_those_before() -> None:
    for model in (
        "gpt-4o",
        "gpt-4o-mini-2024-07-18",
        "gpt-4.1-nano",
        "gpt-5-mini",
        "o3-mini",
        "openai/gpt-4o",
    ):
        assert encoding_of(model) == "o200k_base", model
    for model in ("gpt-4", "gpt-4-turbo-2024-04-09", "gpt-3.5-turbo-0125"):
        assert encoding_of(model) == "cl100k_base", model


def test_the_library_says_the_same_of_every_chat_model_that_it_knows() -> None:
    known = [model for model in bpe_openai.list_supported_models() if encoding_of(model) is not None]
    assert {"gpt-4o", "gpt-4"} <= set(known)
    assert {model: encoding_of(model) for model in known} == {
        model: bpe_openai.encoding_name_for_model(model) for model in known
    }


def test_others_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = [model for alias, model in ALIASES.items() if not model.startswith("openai/")]
    assert [tokenizer(model.partition("/")[2]) for model in foreign] == [None] * len(foreign)
    assert tokenizer("mistral/gpt-4o-clone") is None


def test_what_looks_like_a_special_token_is_plain_text() -> None:
    found = tokenizer("gpt-4o")
    assert found is not None
    assert found.count("<|endoftext|>") > 1


def test_without_the_extra_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(tokens, "import_module", refuse)
    tokens._load.cache_clear()
    try:
        assert tokenizer("gpt-4o") is None
    finally:
        tokens._load.cache_clear()
    assert importlib.import_module("bpe_openai") is bpe_openai
