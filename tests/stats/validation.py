"""Writes `docs/validation.md` from the references: `python -m tests.stats.validation`."""

from __future__ import annotations

from pathlib import Path

from tests.stats import references_effects, references_judging, references_tests
from tests.stats.references import page

REFERENCES = (*references_tests.REFERENCES, *references_effects.REFERENCES, *references_judging.REFERENCES)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "validation.md"

if __name__ == "__main__":
    PAGE.write_text(page(REFERENCES), "utf-8")
