"""Inference to paper: the report, the final screen, and what a terminal says at the end."""

from crucible_ray.reports.facts import KillFact, RunFacts
from crucible_ray.reports.markdown import write_markdown
from crucible_ray.reports.screen import final_screen, summary_lines

__all__ = ["KillFact", "RunFacts", "final_screen", "summary_lines", "write_markdown"]
