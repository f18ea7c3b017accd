"""Reports from what lies in a results folder, at the end of a run or long after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.api.blinding import hides, shown_facts, shown_plan
from crucible_ray.api.places import REVISION, read_config
from crucible_ray.errors import UsageError
from crucible_ray.experiment.formats import FORMATS, check_formats
from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.artifacts import written_aside
from crucible_ray.records import Item
from crucible_ray.reduction import Analysis, decode
from crucible_ray.reports import Page, RunFacts, Source, page, read_questions, write_html, write_markdown

FACTS: Final = "run.json"
_WRITERS: Final[dict[str, tuple[str, Callable[[Page], str]]]] = {
    "markdown": ("report.md", write_markdown),
    "html": ("report.html", write_html),
}


def reports_in(folder: Path) -> dict[str, Path]:
    """The reports that lie in a folder, by format."""
    return {name: path for name, (file, _) in _WRITERS.items() if (path := folder / file).is_file()}


def write_outcome(
    folder: Path, analysis: bytes, facts: RunFacts | None, revision: Struct | None = None
) -> None:
    """`analysis.json`, encoded already, and beside it what is told of the run and the revision. Raises StorageFailed."""
    with written_aside(folder) as aside:
        (aside / "analysis.json").write_bytes(analysis)
        for name, told in ((FACTS, facts), (REVISION, revision)):
            if told is not None:
                (aside / name).write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")


def read_facts(folder: Path) -> RunFacts | None:
    """How a run went, as `run.json` has it; None where it says nothing. Raises UsageError."""
    try:
        facts = msgspec.json.decode((folder / FACTS).read_bytes(), type=RunFacts)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise UsageError(f"{folder / FACTS} cannot be read: {error}.") from error
    return facts


def read_analysis(folder: Path) -> Analysis:
    """`analysis.json` of a results folder. Raises UsageError."""
    try:
        return decode((folder / "analysis.json").read_bytes())
    except FileNotFoundError as error:
        raise UsageError(f"{folder} has no analysis.json yet: resume the run to get one.") from error
    except (msgspec.DecodeError, KeyError, AttributeError) as error:
        raise UsageError(f"{folder / 'analysis.json'} cannot be read: {error}.") from error


def rebuild(folder: Path, formats: str | Sequence[str] | None = None) -> dict[str, Path]:
    """Write the reports of a finished folder again; returns their paths by format. Raises UsageError, StorageFailed."""
    wanted = FORMATS if formats is None else check_formats(formats)
    plan, items = read_config(folder)
    if not (folder / "results.parquet").is_file():
        raise UsageError(f"{folder / 'results.parquet'} is missing: resume writes it again.")
    facts = read_facts(folder)
    if facts is not None:  # the folder may have moved since
        again = (*facts.reproduce[:-1], f"crucible-ray reproduce {folder}")
        facts = replace(facts, results_dir=str(folder), reproduce=again)
    return write_reports(
        folder, plan=plan, items=items, analysis=read_analysis(folder), facts=facts, formats=wanted
    )


def write_reports(
    folder: Path,
    *,
    plan: Plan,
    items: tuple[Item, ...],
    analysis: Analysis,
    facts: RunFacts | None,
    formats: Sequence[str],
) -> dict[str, Path]:
    """Write the formats asked for into a results folder; returns their paths. Raises StorageFailed."""
    made = page(
        Source(
            plan=shown_plan(plan, analysis),
            analysis=analysis,
            facts=facts and shown_facts(facts, analysis),
            questions=None if hides(analysis) else read_questions(folder / "results.parquet", plan),
            items=items,
        )
    )
    with written_aside(folder) as aside:
        for name in formats:
            file, write = _WRITERS[name]
            (aside / file).write_text(write(made), encoding="utf-8", newline="\n")
    return {name: folder / _WRITERS[name][0] for name in formats}
