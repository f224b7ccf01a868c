"""An extension of Griffe: the few reST roles that docstrings use, put into the Markdown that mkdocstrings reads."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from griffe import Extension, Object

_MATH_BLOCK = re.compile(r"^([ ]*)\.\. math::[ ]?(.*(?:\n(?:\1[ ]+.*|[ ]*(?=\n\1[ ]{2,}\S)))*)", re.MULTILINE)
_MATH = re.compile(r":math:`([^`]+)`")
_REFERENCE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`(~?)([\w.]+)`")
_LITERAL_BLOCK = re.compile(r"::[ ]*$", re.MULTILINE)
_FIELDS = re.compile(r"[;,]\s+(?=:param )")
_ITEM = re.compile(r"(\d\.|[-*]) ")


def _block(match: re.Match[str]) -> str:
    indent, formula = match.groups()
    lines = textwrap.dedent(formula).strip()
    return f"{indent}\\[\n{textwrap.indent(lines, indent)}\n{indent}\\]"


def _link(match: re.Match[str]) -> str:
    short, target = match.groups()
    label = target.rpartition(".")[2] if short else target
    # Optional: what is named need not have a place in the documentation.
    return f'<autoref optional identifier="{target}"><code>{label}</code></autoref>'


def _lists(text: str) -> str:
    """Indent what belongs to an item of a list by four columns, as Markdown wants it."""
    lines, width = [], 0
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip())
        item = _ITEM.match(line)
        if item:
            width = len(item[0])
        elif width and line.strip():
            if indent >= width:
                line = " " * (4 - width) + line
            else:
                width = 0
        lines.append(line)
    return "\n".join(lines)


def to_markdown(text: str) -> str:
    """The text of a docstring with formulas, references and literal blocks in Markdown's way."""
    text = _MATH_BLOCK.sub(_block, _lists(text))
    text = _MATH.sub(r"\\(\1\\)", text)
    text = _REFERENCE.sub(_link, text)
    text = _FIELDS.sub("\n", text)
    return _LITERAL_BLOCK.sub(":", text)


class Roles(Extension):
    """Translates every docstring as it is loaded."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Translate the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
