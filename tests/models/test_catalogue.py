"""From a model's name to its server, key and price."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crucible_ray.errors import SpecError
from crucible_ray.models.catalogue import ALIASES, rebase, resolve_model, resolve_simulated, with_base_url
from crucible_ray.models.prices import max_output_tokens, price_of
from crucible_ray.records import Limits
from crucible_ray.settings import Environment, ModelTable, RunSettings, Settings, find_key
from tests.experiment.plans import plan_of


def settings(env: dict[str, str] | None = None, **models: ModelTable) -> Settings:
    return Settings(models=models, env=Environment(env or {}))


def problems(name: str, where: Settings) -> str:
    with pytest.raises(SpecError) as caught:
        resolve_model(name, where)
    return str(caught.value)


def test_an_alias_stands_for_a_dated_id_with_a_key_and_a_price() -> None:
    ref = resolve_model("openai_gpt4o_mini", settings())
    assert (ref.provider, ref.model, ref.base_url, ref.api_key_env) == (
        "openai",
        "gpt-4o-mini-2024-07-18",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
    )
    assert (ref.input_price, ref.output_price, ref.max_output_tokens) == (0.15, 0.6, 16_384)
    assert ref.price_date is not None
    assert ref.limit_group == "gpt-4o-mini-2024-07-18"


def test_short_forms_stand_for_what_the_long_ones_do() -> None:
    assert ALIASES["gpt4o_mini"] == ALIASES["openai_gpt4o_mini"]
    assert ALIASES["claude_haiku"] == ALIASES["anthropic_haiku"]
    assert resolve_model("gpt4o", settings()).model == resolve_model("openai_gpt4o", settings()).model


def test_the_rest_of_a_name_after_its_provider_may_hold_slashes() -> None:
    ref = resolve_model("openrouter/openai/gpt-4o-mini", settings())
    assert (ref.provider, ref.model) == ("openai", "openai/gpt-4o-mini")
    assert (ref.base_url, ref.api_key_env) == ("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY")
    assert ref.input_price == 0.15


def test_an_unknown_price_is_unknown_and_never_zero() -> None:
    ref = resolve_model("openai/my-own-model", settings())
    assert (ref.input_price, ref.output_price, ref.price_date) == (None, None, None)
    assert price_of("no-such-provider", "x") is None
    assert max_output_tokens("my-own-model") is None


def test_a_table_overrides_the_catalogue_key_by_key() -> None:
    table = ModelTable(
        input_price=1.0, output_price=0.0, requests_per_minute=60, limit_group="tier", max_concurrency=4
    )
    ref = resolve_model("gpt4o", settings(gpt4o=table))
    assert (ref.input_price, ref.output_price, ref.price_date) == (1.0, 0.0, None)
    assert (ref.limits, ref.limit_group, ref.max_concurrency) == (Limits(requests_per_minute=60), "tier", 4)
    assert ref.model == "gpt-4o-2024-08-06"


def test_a_loopback_server_needs_no_key_unless_one_is_named() -> None:
    local = "http://127.0.0.1:9000/v1/"
    assert resolve_model("vllm/qwen", settings()).api_key_env is None
    assert resolve_model("gpt4o", settings({"OPENAI_BASE_URL": local})).base_url == "http://127.0.0.1:9000/v1"
    assert resolve_model("gpt4o", settings({"OPENAI_BASE_URL": local})).api_key_env is None
    named = ModelTable(base_url=local, model="m", api_key_env="MINE")
    assert resolve_model("own", settings(own=named)).api_key_env == "MINE"


def test_a_table_without_a_provider_is_a_compatible_server() -> None:
    ref = resolve_model("own", settings(own=ModelTable(base_url="https://gateway.example/v1", model="m")))
    assert (ref.provider, ref.model, ref.api_key_env) == ("openai", "m", "OPENAI_API_KEY")
    assert "its id is missing" in problems("own", settings(own=ModelTable(base_url="https://x/v1")))


@pytest.mark.parametrize(
    ("name", "provider", "model", "base_url", "key"),
    [
        (
            "anthropic_haiku",
            "anthropic",
            "claude-haiku-4-5-20251001",
            "https://api.anthropic.com",
            "ANTHROPIC_API_KEY",
        ),
        (
            "gemini_flash",
            "google",
            "gemini-3.5-flash-lite",
            "https://generativelanguage.googleapis.com",
            "GEMINI_API_KEY",
        ),
        (
            "google/gemini-x",
            "google",
            "gemini-x",
            "https://generativelanguage.googleapis.com",
            "GEMINI_API_KEY",
        ),
    ],
)
def test_anthropics_and_googles_models_are_called_in_their_own_formats(
    name: str, provider: str, model: str, base_url: str, key: str
) -> None:
    ref = resolve_model(name, settings())
    assert (ref.provider, ref.model, ref.base_url, ref.api_key_env) == (provider, model, base_url, key)


def test_each_provider_has_its_own_variable_for_its_address() -> None:
    env = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "GEMINI_BASE_URL": "https://gateway.example"}
    claude, gemini = (resolve_model(name, settings(env)) for name in ("claude_haiku", "gemini_pro"))
    assert (claude.base_url, claude.api_key_env) == ("http://127.0.0.1:9", None)
    assert (gemini.base_url, gemini.api_key_env) == ("https://gateway.example", "GEMINI_API_KEY")


def test_googles_key_is_found_under_both_of_its_names() -> None:
    ref = resolve_model("gemini_flash", settings())
    assert find_key(ref, {"GOOGLE_API_KEY": "g"}) == "g"
    assert find_key(ref, {"GOOGLE_API_KEY": "g", "GEMINI_API_KEY": "own"}) == "own"


def test_a_provider_with_a_format_of_its_own_works_behind_a_compatible_server() -> None:
    table = ModelTable(provider="openai", base_url="https://gateway.example/v1")
    ref = resolve_model("anthropic_haiku", settings(anthropic_haiku=table))
    assert (ref.provider, ref.model) == ("openai", "claude-haiku-4-5-20251001")
    assert ref.input_price == 1.0


def test_tokens_of_a_cache_have_the_price_that_the_table_knows() -> None:
    ref = resolve_model("anthropic_haiku", settings())
    assert (ref.cached_price, ref.cache_write_price) == (0.1, 1.25)
    assert resolve_model("openai_gpt35_turbo", settings()).cached_price is None
    own = resolve_model("anthropic_haiku", settings(anthropic_haiku=ModelTable(input_price=2.0)))
    assert (own.cached_price, own.cache_write_price) == (None, None)


def test_every_alias_has_a_price_and_a_largest_output() -> None:
    for alias in ALIASES:
        ref = resolve_model(alias, settings())
        assert ref.input_price is not None, alias
        assert ref.max_output_tokens is not None, alias


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4o-mini-2024-07-18", 16_384),
        ("gpt-4o-2024-05-13", 4_096),
        ("anthropic/claude-haiku-4.5", 64_000),
        ("claude-sonnet-4-20250514", 64_000),
        ("claude-opus-4-6", 128_000),
        ("claude-opus-4-7", 128_000),
        ("gemini-1.5-flash-002", 8_192),
        ("gemini-2.5-flash-preview-05-20", 65_536),
        ("gemini-3.5-flash-lite", 65_536),
    ],
)
def test_the_largest_output_is_found_however_an_id_is_dated(model: str, tokens: int) -> None:
    assert max_output_tokens(model) == tokens


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("gpt4o_min", "did you mean 'gpt4o_mini'?"),
        ("opnai/gpt-4o", "did you mean 'openai'?"),
        ("local/adapter", "not supported by this version"),
        ("azure/gpt-4o", "AZURE_BASE_URL"),
    ],
)
def test_a_name_that_leads_nowhere_says_what_to_do(name: str, part: str) -> None:
    assert part in problems(name, settings())


@pytest.mark.parametrize(
    ("table", "part"),
    [
        (ModelTable(model="m", base_url="localhost:9"), "not an http:// or https:// address"),
        (ModelTable(model="m", base_url="https://me:pw@x/v1"), "user or password"),
        (ModelTable(model="m", accuracy=0.5), 'provider = "simulated"'),
        (ModelTable(provider="simulated", base_url="http://127.0.0.1:1"), "starts the simulator"),
    ],
)
def test_a_table_that_does_not_hold_together_is_refused(table: ModelTable, part: str) -> None:
    assert part in problems("own", settings(own=table))


def test_a_simulated_model_has_no_key_no_address_and_the_price_it_is_given() -> None:
    table = ModelTable(provider="simulated", accuracy=0.8, input_price=1.0, output_price=2.0)
    ref = resolve_model("sim", settings(sim=table))
    assert (ref.provider, ref.model, ref.base_url, ref.api_key_env) == ("simulated", "sim", "", None)
    assert (ref.input_price, ref.output_price) == (1.0, 2.0)


def test_any_known_name_can_be_played_by_a_simulator() -> None:
    ref = resolve_simulated("anthropic_haiku", settings())
    assert (ref.provider, ref.model, ref.api_key_env) == ("simulated", "claude-haiku-4-5-20251001", None)
    assert ref.input_price == 1.0
    assert with_base_url(ref, "http://127.0.0.1:7/v1/").base_url == "http://127.0.0.1:7/v1"


def test_disabling_rate_limits_disables_those_of_tables_too() -> None:
    where = Settings(
        models={"gpt4o": ModelTable(requests_per_minute=5)}, run=RunSettings(disable_rate_limiting=True)
    )
    assert resolve_model("gpt4o", where).limits == Limits()


def _models(plan: Any) -> list[Any]:
    return [call.model for condition in plan.conditions for call in condition.calls]


def test_a_plan_keeps_its_id_wherever_its_simulator_listens() -> None:
    plan = plan_of(catalogue=resolve_simulated)
    moved = rebase(plan, "http://127.0.0.1:1/v1")
    assert {ref.base_url for ref in _models(moved)} == {"http://127.0.0.1:1/v1"}
    assert moved.experiment_id == plan.experiment_id == rebase(moved, "http://127.0.0.1:2/v1").experiment_id


def test_a_real_model_beside_a_simulated_one_stays_where_it_is() -> None:
    where = settings(gpt4o=ModelTable(provider="simulated"))
    moved = rebase(plan_of(settings=where), "http://127.0.0.1:1/v1")
    assert {ref.name: ref.base_url for ref in _models(moved)} == {
        "gpt4o_mini": "https://api.openai.com/v1",
        "gpt4o": "http://127.0.0.1:1/v1",
    }


def test_a_plan_of_real_models_becomes_another_one_at_another_address() -> None:
    plan = plan_of()
    moved = rebase(plan, "http://127.0.0.1:1/v1")
    assert {(ref.base_url, ref.api_key_env) for ref in _models(moved)} == {("http://127.0.0.1:1/v1", None)}
    assert moved.experiment_id != plan.experiment_id


def test_a_price_is_that_of_its_moment_with_the_date_of_the_table() -> None:
    at = datetime(2026, 6, 1, tzinfo=UTC)
    price = price_of("openai", "gpt-4o-mini-2024-07-18", at=at)
    assert price is not None
    assert price.date is not None
    assert price.date <= "2026-06-01"
    assert price_of("google", "gemini-2.5-pro", at=at) is not None, "a tiered price is its first tier's"
