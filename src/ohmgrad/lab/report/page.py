"""The page itself: what it holds, and how it is written into one file that fetches nothing."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ohmgrad.files import replacing
from ohmgrad.lab.report.tables import PageTable
from ohmgrad.lab.studies.study import Claim

FILE = "report.html"
"""Name of the page in the folder of a result."""


@dataclass(frozen=True)
class Page:
    """What a reader sees, from the top to the bottom. All texts are plain; the page escapes them."""

    title: str
    subtitle: str
    command: str
    """What computes it again."""
    paragraphs: Sequence[str] = ()
    verdict: str = ""
    claims: Sequence[Claim] = ()
    figures: Sequence[dict[str, Any]] = ()
    """See :func:`ohmgrad.lab.report.figures.figure`."""
    tables: Sequence[PageTable] = ()
    notes: Sequence[str] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    """Long texts by their titles, folded until they are asked for."""
    environment: Mapping[str, str] = field(default_factory=dict)


def write_page(page: Page, folder: Path) -> Path:
    """Write a page into a folder; gives the file, of some 2 MB, nearly all of which is the library that draws."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("ohmgrad.lab.report", "template")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    text = environment.get_template("page.html").render(page=page, library=_library())
    with replacing(folder / FILE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / FILE


def as_text(value: Any) -> str:
    """JSON values for people."""
    return json.dumps(value, indent=1, ensure_ascii=False)


def _library() -> str:
    """plotly.js, compressed to 30 % and in letters; the script of the page undoes both."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), compresslevel=9, mtime=0)).decode()
