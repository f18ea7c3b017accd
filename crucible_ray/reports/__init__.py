"""Inference to paper: the reports, the final screen, and what a terminal says at the end."""

from crucible_ray.reports.facts import KillFact, RunFacts
from crucible_ray.reports.html import write_html
from crucible_ray.reports.markdown import write_markdown
from crucible_ray.reports.page import Page
from crucible_ray.reports.questions import Questions, read_questions
from crucible_ray.reports.screen import final_screen, summary_lines
from crucible_ray.reports.sections import Source, page
from crucible_ray.reports.visible import visible

__all__ = [
    "KillFact",
    "Page",
    "Questions",
    "RunFacts",
    "Source",
    "final_screen",
    "page",
    "read_questions",
    "summary_lines",
    "visible",
    "write_html",
    "write_markdown",
]
