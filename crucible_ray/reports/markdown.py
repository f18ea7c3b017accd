"""`report.md`: the page as CommonMark with tables. Whatever is printed is escaped, unless marked as safe."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from crucible_ray.reports.page import Code, Page, Quoted, Strong
from crucible_ray.reports.visible import visible

_SPECIAL = re.compile(r"([\\`*\[\]|~#]|(?<!\w)_|_(?!\w))")
_LIST = re.compile(r"(\d{1,9})([.)] )|([-+] |[=>])")
"""What makes a list or a heading of a paragraph, at its beginning."""


def write_markdown(page: Page) -> str:
    """A report as Markdown."""
    text = _template().render(page=page)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


def escape(text: str) -> str:
    """Text that means itself in Markdown and HTML, on one line, without control characters and links."""
    flat = visible(text, spaces=True).replace("&", "&amp;")
    flat = re.sub(
        r"<(?! )", "&lt;", flat
    )  # one before a space opens nothing (CommonMark 6.6), and reads as it is
    flat = _SPECIAL.sub(r"\\\1", flat).replace("://", "&#58;//").replace("www.", "www&#46;")
    start = _LIST.match(flat)
    if start is None:
        return flat
    mark = f"{start[1]}\\{start[2]}" if start[1] else f"\\{start[3]}"
    return mark + flat[start.end() :]


def code(text: str) -> Markup:
    """Text as a code span, whatever backticks it holds (CommonMark 6.1); a bar would end a table's cell."""
    flat = visible(text).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") or not flat.strip() else ""
    return Markup(f"{fence}{pad}{flat}{pad}{fence}")


def _finalize(value: Any) -> Any:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    if isinstance(value, Code | Quoted):
        return code(value)
    return f"**{escape(value)}**" if isinstance(value, Strong) else escape(value)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("crucible_ray.reports"),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": code, "heading": lambda section: Markup("#" * section.level)}
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment.get_template("report.md.jinja")
