"""`report.html`: the page as one file that asks for nothing else. Whatever is printed is escaped; no script is in it."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from crucible_ray.reports.page import Code, Page, Quoted, Strong
from crucible_ray.reports.visible import visible

_MARKS = (
    (Quoted, '<span class="quoted">{}</span>'),
    (Code, "<code>{}</code>"),
    (Strong, "<strong>{}</strong>"),
)


def write_html(page: Page) -> str:
    """A report as one self-contained page."""
    return _template().render(page=page, css=_style())


def cell(text: str) -> Markup:
    """Text with the tag of its kind around it."""
    for kind, mark in _MARKS:
        if isinstance(text, kind):
            return Markup(mark).format(visible(text))
    return Markup("{}").format(visible(text, spaces=True))


def slug(title: str) -> str:
    """The name of a section in the address of the page."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _finalize(value: Any) -> Any:
    return visible(value, spaces=True) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _style() -> Markup:
    return Markup((files("crucible_ray.reports") / "templates" / "report.css").read_text(encoding="utf-8"))


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("crucible_ray.reports"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": cell, "slug": slug, "kind": lambda block: type(block).__name__}
    return environment.get_template("report.html.jinja")
