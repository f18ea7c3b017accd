"""What `init` writes."""

from __future__ import annotations

from typing import Any, Final

from crucible_ray.settings import Key, keys

EXPERIMENT: Final = "research/experiments/ensemble_vs_single.py"
FOLDERS: Final = ("research/experiments", "research/output")

_EXPERIMENT = '''"""Does a vote of three models beat one of them? Change the questions, the models and the claim.

    crucible-ray run research/experiments/ensemble_vs_single.py --simulate

needs no key: a simulator on this machine plays every model. Without --simulate it needs OPENAI_API_KEY alone; models of
other providers (crucible-ray models list) need theirs.
"""

from crucible_ray import Budget, Ensemble, Experiment, Model

experiment = Experiment(
    name="Ensemble vs single model",
    description="Does voting beat one model on factual questions?",
    hypotheses=["accuracy: ensemble_3model > single_model + 0.05"],
    dataset="demo",  # or the path of a JSONL, CSV or Parquet file with id, input, expected (and choices)
    sample_size=100,
    conditions=[
        Model("openai_gpt4o_mini", name="single_model"),
        Ensemble(["openai_gpt35_turbo", "openai_gpt4o_mini", "openai_gpt4o"], name="ensemble_3model"),
    ],
    metrics=["accuracy", "latency_p50", "latency_p95", "cost_per_query"],
    temperature=0.0,
    max_tokens=100,
    repeat=3,
    seed=42,
    budget=Budget(max_total=1.0, abort_on_exceed=True),
)
'''

_ENV = """# Copy this to .env and fill in what you have. One provider is enough: the experiment
# that init wrote asks OpenAI alone; for another key change its models. .env is never committed (see .gitignore).
OPENAI_API_KEY=
ANTHROPIC_API_KEY=
GEMINI_API_KEY=
"""

_IGNORED = """.env
results/
checkpoints/
__pycache__/
"""

_HEAD = """# What is configured outside the experiments. Every key is here with its default; take the # away to change it.
# A profile (--profile dev, test, prod or one of your own) sets several at once: [profile.NAME.run] and so on.
"""

_MODEL = """
# A model of your own, or what differs for a known name (see `crucible-ray models list`):
# [models.local]
# base_url = "http://127.0.0.1:8000/v1"   # any server that speaks OpenAI's format
# model = "my-model"
# requests_per_minute = 600
# input_price = 0.0                       # US dollars per million tokens
# output_price = 0.0
"""


def files() -> dict[str, str]:
    """Paths within the new folder and what is in them."""
    return {
        "crucible.toml": _settings(),
        ".env.example": _ENV,
        ".gitignore": _IGNORED,
        EXPERIMENT: _EXPERIMENT,
    }


def _settings() -> str:
    lines = [_HEAD]
    table = ""
    for key in keys():
        if key.table != table:
            table = key.table
            lines.append(f"\n[{table}]")
        lines.append(_line(key))
    return "\n".join(lines) + "\n" + _MODEL


def _line(key: Key) -> str:
    variable = f" ({key.env})" if key.env else ""
    # TOML has no word for unset.
    value = "" if key.default is None else _toml(key.default)
    return f"# {key.name} = {value}   # {key.meaning}{variable}"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, dict):
        return "{}"
    return f'"{value}"' if isinstance(value, str) else f"{value}"
