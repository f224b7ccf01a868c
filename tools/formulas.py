"""Formulas of the documentation as MathML, which browsers draw by themselves: no script, no font, no network.

A hook of MkDocs: the arithmatex extension marks the formulas, this puts MathML in their place.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

_MARKED = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def _mathml(match: re.Match[str]) -> str:
    tag, formula = match.groups()
    display = "block" if tag == "div" else "inline"
    return convert(html.unescape(formula).strip(), display=display)


def on_page_content(content: str, **_: Any) -> str:
    """Replace every formula of a page."""
    return _MARKED.sub(_mathml, content)
