"""The models that have names: what each stands for, what it costs, which limits hold."""

from __future__ import annotations

from msgspec import Struct

from crucible_ray.errors import SpecError
from crucible_ray.models.catalogue import ALIASES, resolve_model
from crucible_ray.settings import Settings, find_key, is_loopback


class ModelFact(Struct, frozen=True, kw_only=True):
    """One name that an experiment may use."""

    name: str
    stands_for: str | None
    """`provider/model-id` of an alias; None: a name of `crucible.toml`."""
    provider: str | None = None
    """Whose format is spoken."""
    id: str | None = None
    """As the provider is asked for it."""
    base_url: str | None = None
    key: str | None = None
    """The variable that holds the key; None: none is needed."""
    key_present: bool | None = None
    input_price: float | None = None
    """US dollars per million tokens."""
    output_price: float | None = None
    price_date: str | None = None
    max_output_tokens: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    limit_group: str | None = None
    max_concurrency: int | None = None
    problem: str | None = None
    """Why this version cannot ask it."""


def list_models(settings: Settings) -> list[ModelFact]:
    """Every alias, then every other name of `crucible.toml`."""
    names = [*ALIASES, *(name for name in settings.models if name not in ALIASES)]
    return [_fact(name, settings) for name in names]


def _fact(name: str, settings: Settings) -> ModelFact:
    stands_for = ALIASES.get(name)
    try:
        ref = resolve_model(name, settings)
    except SpecError as error:
        return ModelFact(name=name, stands_for=stands_for, problem=" ".join(error.problems))
    needed = ref.api_key_env is not None and not is_loopback(ref.base_url)
    return ModelFact(
        name=name,
        stands_for=stands_for,
        provider=ref.provider,
        id=ref.model,
        base_url=ref.base_url or None,
        key=ref.api_key_env if needed else None,
        key_present=find_key(ref, settings.env) is not None if needed else None,
        input_price=ref.input_price,
        output_price=ref.output_price,
        price_date=ref.price_date,
        max_output_tokens=ref.max_output_tokens,
        requests_per_minute=ref.limits.requests_per_minute,
        tokens_per_minute=ref.limits.tokens_per_minute,
        limit_group=ref.limit_group,
        max_concurrency=ref.max_concurrency,
    )
