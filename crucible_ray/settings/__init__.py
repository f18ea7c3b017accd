"""Where defaults come from, in rising precedence: profile, crucible.toml, `.env`, environment.

The experiment and the command line stand above all of this.
"""

from crucible_ray.settings.loading import find_file, load_settings
from crucible_ray.settings.lookup import find_key, find_variable, is_loopback, is_loopback_host
from crucible_ray.settings.tables import (
    EFFECT_SIZES,
    LOG_FIELDS,
    PROFILES,
    BudgetSettings,
    Count,
    DatasetSettings,
    EffectSize,
    EnsembleSettings,
    Environment,
    Key,
    LoggingSettings,
    ModelTable,
    Natural,
    NotNegative,
    Positive,
    PowerSettings,
    RunSettings,
    Settings,
    Share,
    StatsSettings,
    keys,
)
from crucible_ray.settings.words import did_you_mean, explain

__all__ = [
    "BudgetSettings",
    "Count",
    "DatasetSettings",
    "EFFECT_SIZES",
    "EffectSize",
    "EnsembleSettings",
    "Environment",
    "Key",
    "LOG_FIELDS",
    "LoggingSettings",
    "ModelTable",
    "Natural",
    "NotNegative",
    "PROFILES",
    "Positive",
    "PowerSettings",
    "RunSettings",
    "Settings",
    "Share",
    "StatsSettings",
    "did_you_mean",
    "explain",
    "find_file",
    "find_key",
    "find_variable",
    "is_loopback",
    "is_loopback_host",
    "keys",
    "load_settings",
]
