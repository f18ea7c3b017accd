"""From a model's name to where it is served, how it is called, what it costs.

A name is an alias (no slash) of `crucible.toml` or of this file, or `provider/model-id`. `ModelRef.provider` is the
wire format: `openai` (they or any compatible server), `anthropic`, `google`, or `simulated`.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.errors import SpecError
from crucible_ray.experiment.identity import identify
from crucible_ray.experiment.plan import CallPlan, Plan
from crucible_ray.models.prices import max_output_tokens, price_of
from crucible_ray.records import Limits, ModelRef
from crucible_ray.settings import Environment, ModelTable, RunSettings, Settings, did_you_mean, is_loopback

_LONG: Final = {
    "gemini_flash": "google/gemini-3.5-flash-lite",
    "gemini_pro": "google/gemini-3.1-pro-preview",
    "openai_gpt35_turbo": "openai/gpt-3.5-turbo-0125",
    "openai_gpt4o_mini": "openai/gpt-4o-mini-2024-07-18",
    "openai_gpt4o": "openai/gpt-4o-2024-08-06",
    "anthropic_haiku": "anthropic/claude-haiku-4-5-20251001",
    "anthropic_sonnet": "anthropic/claude-sonnet-4-6",
    "anthropic_opus": "anthropic/claude-opus-4-6",
}

ALIASES: Final[dict[str, str]] = {
    **_LONG,
    "gpt35_turbo": _LONG["openai_gpt35_turbo"],
    "gpt4o_mini": _LONG["openai_gpt4o_mini"],
    "gpt4o": _LONG["openai_gpt4o"],
    "claude_haiku": _LONG["anthropic_haiku"],
    "claude_sonnet": _LONG["anthropic_sonnet"],
    "claude_opus": _LONG["anthropic_opus"],
}
"""Which `provider/model-id` each alias stands for: dated, but where a provider's ids have no date.

Where an alias names a family, it is the successor that the provider names at a like price, or else the newest
that takes a `temperature`; none of them had an announced end in 2026-11.
"""

SERVERS: Final[dict[str, str | None]] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "google": "https://generativelanguage.googleapis.com",
    "openrouter": "https://openrouter.ai/api/v1",
    "groq": "https://api.groq.com/openai/v1",
    "together": "https://api.together.xyz/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "mistral": "https://api.mistral.ai/v1",
    "azure": None,
    "ollama": "http://127.0.0.1:11434/v1",
    "vllm": "http://127.0.0.1:8000/v1",
}
"""Base URLs, by the habit of each one's own client; None: each user's own. `<NAME>_BASE_URL` overrides.

All but Anthropic and Google speak OpenAI's format.
"""

_OWN_FORMAT: Final = ("anthropic", "google")
_VARIABLES: Final = {"google": "GEMINI"}
"""How variables call a provider, where it is not by its name."""
_LATER: Final = ("local", "replay")
_KEYLESS: Final = (*_LATER, "simulated")
_PROVIDERS: Final = (*SERVERS, *_LATER, "simulated")


class _Target(Struct, frozen=True, kw_only=True):
    """What a name stands for, before it is known how to reach it."""

    name: str
    provider: str
    model: str
    vendor: str
    """Whose price list counts."""
    table: ModelTable


def resolve_model(name: str, settings: Settings) -> ModelRef:
    """The model of that name. Raises SpecError, with the nearest name and every fault of its table."""
    target = _target(name, settings)
    if target.provider == "simulated":
        return _simulated(target, settings)
    problems = _format_problems(target)
    base_url = (target.table.base_url or _server(target.provider, settings) or "").rstrip("/")
    if not problems:
        problems = _address_problems(target, base_url)
    if said := target.table.simulation():
        problems.append(f'Model {name!r}: {", ".join(said)} needs provider = "simulated".')
    if problems:
        raise SpecError(tuple(problems))
    key_env = None if is_loopback(base_url) else f"{_variable(target.provider)}_API_KEY"
    return _ref(
        target,
        settings,
        provider=target.provider if target.provider in _OWN_FORMAT else "openai",
        base_url=base_url,
        key_env=target.table.api_key_env or key_env,
    )


class Directory(Struct, frozen=True, kw_only=True):
    """What finds models that functions name as they run, anywhere; holds no secret."""

    models: dict[str, ModelTable] = {}
    urls: dict[str, str] = {}
    """The `*_BASE_URL` variables."""
    unlimited: bool = False
    """Whether no limits are kept."""
    simulated: bool = False
    """Whether every model is played by the run's own simulator."""
    simulator_url: str | None = None

    def find(self, name: str) -> ModelRef:
        """The model of that name. Raises SpecError with the nearest name."""
        settings = Settings(
            models=self.models,
            env=Environment(self.urls),
            run=RunSettings(disable_rate_limiting=self.unlimited),
        )
        ref = resolve_simulated(name, settings) if self.simulated else resolve_model(name, settings)
        if ref.provider != "simulated":
            return ref
        if self.simulator_url is None:
            raise SpecError((f"Model {name!r} is simulated, and this run has started no simulator.",))
        return with_base_url(ref, self.simulator_url)


def directory(settings: Settings, *, simulated: bool = False) -> Directory:
    """What `settings` know of models. simulated: see Directory."""
    return Directory(
        models=settings.models,
        urls={name: url for name, url in settings.env.items() if name.endswith("_BASE_URL")},
        unlimited=settings.run.disable_rate_limiting,
        simulated=simulated,
    )


def key_variables(settings: Settings) -> list[str]:
    """Every variable that may hold the key of a model that can be named."""
    own = [table.api_key_env for table in settings.models.values() if table.api_key_env]
    return list(
        dict.fromkeys([*(f"{_variable(each)}_API_KEY" for each in _PROVIDERS if each not in _KEYLESS), *own])
    )


def resolve_simulated(name: str, settings: Settings) -> ModelRef:
    """The same name, played by a simulator that the run itself starts: no key, and no address yet."""
    return _simulated(_target(name, settings), settings)


def with_base_url(ref: ModelRef, url: str) -> ModelRef:
    """The model served at `url`, where no key is needed."""
    return replace(ref, base_url=url.rstrip("/"), api_key_env=None)


def rebase(plan: Plan, url: str) -> Plan:
    """Point the simulated models of a plan (every model of a plan that has none) at a running simulator.

    A simulator that the run itself starts counts as its settings, not its address: such a plan keeps its id.
    """
    has_simulated = any(
        call.model.provider == "simulated" for each in plan.conditions for call in each.everybody
    )
    conditions = tuple(
        replace(
            condition,
            calls=tuple(_moved(call, url, only_simulated=has_simulated) for call in condition.calls),
        )
        for condition in plan.conditions
    )
    return identify(replace(plan, conditions=conditions))


def addressed(plan: Plan) -> Plan:
    """The plan with some address for the simulator that a run itself starts: what is asked, and its price, stay the same."""
    return plan if plan.simulated is None else rebase(plan, "http://127.0.0.1/v1")


def _moved(call: CallPlan, url: str, *, only_simulated: bool) -> CallPlan:
    spares = tuple(_moved(each, url, only_simulated=only_simulated) for each in call.fallback)
    moves = call.model.provider == "simulated" or not only_simulated
    return replace(call, model=with_base_url(call.model, url) if moves else call.model, fallback=spares)


def _target(name: str, settings: Settings) -> _Target:
    table = settings.models.get(name, ModelTable())
    alias = ALIASES.get(name, name)
    known, slash, model_id = alias.partition("/")
    if not slash and name not in settings.models:
        names = (*ALIASES, *settings.models)
        hint = did_you_mean(name, names)
        raise SpecError((f"There is no model {name!r}: {hint} Or write provider/model-id.",))
    provider = table.provider or (known if slash else "openai")
    if provider not in _PROVIDERS:
        raise SpecError(
            (f"Model {name!r}: there is no provider {provider!r}: {did_you_mean(provider, _PROVIDERS)}",)
        )
    model = table.model or model_id or (name if provider == "simulated" else "")
    if not model:
        raise SpecError((f'Model {name!r}: its id is missing: write [models.{name}] model = "...".',))
    return _Target(
        name=name, provider=provider, model=model, vendor=known if slash else provider, table=table
    )


def _format_problems(target: _Target) -> list[str]:
    name, provider = target.name, target.provider
    if provider in _LATER:
        return [f"Model {name!r}: provider {provider!r} is not supported by this version."]
    return []


def _server(provider: str, settings: Settings) -> str | None:
    return settings.env.get(f"{_variable(provider)}_BASE_URL") or SERVERS.get(provider)


def _variable(provider: str) -> str:
    """The beginning of its variables' names."""
    return _VARIABLES.get(provider, provider.upper())


def _address_problems(target: _Target, base_url: str) -> list[str]:
    name, prefix = f"Model {target.name!r}", _variable(target.provider)
    parts = urlsplit(base_url)
    if not base_url:
        return [f"{name}: {target.provider} has no common address: set {prefix}_BASE_URL or its base_url."]
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return [f"{name}: base_url {base_url!r} is not an http:// or https:// address."]
    if parts.username is not None or parts.password is not None:
        return [f"{name}: its base_url holds a user or password; a key belongs into {prefix}_API_KEY."]
    return []


def _simulated(target: _Target, settings: Settings) -> ModelRef:
    if target.provider == "simulated" and target.table.base_url:
        raise SpecError(
            (
                f"Model {target.name!r}: the run itself starts the simulator of a simulated model. For one "
                'that already runs, write provider = "openai" with its base_url.',
            )
        )
    return _ref(target, settings, provider="simulated", base_url="", key_env=None)


def _ref(
    target: _Target, settings: Settings, *, provider: str, base_url: str, key_env: str | None
) -> ModelRef:
    table = target.table
    listed = price_of(target.vendor, target.model)
    asked = Limits(requests_per_minute=table.requests_per_minute, tokens_per_minute=table.tokens_per_minute)
    overridden = table.input_price is not None and table.output_price is not None
    return ModelRef(
        name=target.name,
        provider=provider,
        model=target.model,
        base_url=base_url,
        api_key_env=key_env,
        limit_group=table.limit_group or target.model,
        limits=Limits() if settings.run.disable_rate_limiting else asked,
        max_concurrency=table.max_concurrency,
        input_price=_first(table.input_price, listed.input_price if listed else None),
        output_price=_first(table.output_price, listed.output_price if listed else None),
        # A price of one's own for input is that of all input.
        cached_price=listed.cached_price if listed and table.input_price is None else None,
        cache_write_price=listed.cache_write_price if listed and table.input_price is None else None,
        price_date=listed.date if listed is not None and not overridden else None,
        max_output_tokens=table.max_output_tokens or max_output_tokens(target.model),
    )


def _first(own: float | None, listed: float | None) -> float | None:
    return listed if own is None else own
