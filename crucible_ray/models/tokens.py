"""How many tokens a text is, by the model's own tokenizer where one is at hand offline.

OpenAI's are: `bpe-openai`, the extra `tokens`. Others publish none that works offline.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from msgspec import Struct

BYTES_PER_TOKEN: Final = 4.0
"""Of English text, where no tokenizer is at hand."""

_ENCODINGS: Final = (
    (re.compile(r"(ft:)?(gpt-4o|gpt-4\.\d|gpt-[5-9]|chatgpt-4o|o\d)"), "o200k_base"),
    (re.compile(r"(ft:)?(gpt-4|gpt-3\.5)"), "cl100k_base"),
)
"""From gpt-4o on, and before; `tests/models/test_tokens.py` holds them to the library's own list."""


class Tokenizer(Struct, frozen=True):
    """A model's tokenizer."""

    name: str
    count: Callable[[str], int]
    """Tokens of a text, without what roles and separators add."""


def encoding_of(model: str) -> str | None:
    """The tokenizer of a model id, with or without a vendor in front; None: none is published."""
    vendor, _, name = model.lower().rpartition("/")
    if vendor not in ("", "openai"):
        return None
    return next((encoding for pattern, encoding in _ENCODINGS if pattern.match(name)), None)


def tokenizer(model: str) -> Tokenizer | None:
    """The tokenizer of a model id; None where none is published, or the extra `tokens` is not installed."""
    encoding = encoding_of(model)
    return None if encoding is None else _load(encoding)


@lru_cache(maxsize=4)
def _load(encoding: str) -> Tokenizer | None:
    with warnings.catch_warnings():
        # It opens its data by a function that Python has deprecated, already when it is imported.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            library: Any = import_module("bpe_openai")
        except ImportError:
            return None
        encode = library.get_encoding(encoding).encode_ordinary
    return Tokenizer(encoding, lambda text: len(encode(text)))
