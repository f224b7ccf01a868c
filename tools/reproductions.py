"""Published results in the documentation: tables and claims from the numbers that were measured, none typed.

A hook of MkDocs: ``<!-- study: NAME -->`` becomes what ``docs/reproductions/NAME.json`` holds. As a program, it
takes the folders of finished reproductions over into ``docs/``::

    python tools/reproductions.py ohmgrad-reproduce/wu2025-fig2
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

MARK = re.compile(r"^<!-- study: (\S+) -->$", re.MULTILINE)
DOCS = Path(__file__).parents[1] / "docs"
NUMBERS, PICTURES = DOCS / "reproductions", DOCS / "images" / "reproductions"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the results of a study in the place of its mark."""
    return MARK.sub(lambda mark: _section(mark[1]), markdown)


def _section(name: str) -> str:
    try:
        found = json.loads((NUMBERS / f"{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        from mkdocs.exceptions import PluginError

        raise PluginError(f"{error.filename} is missing: python tools/reproductions.py FOLDER makes it.") from None
    took = f"{_counted(found['seeds'], 'seed')}, about {_counted(round(found['core_minutes']), 'minute')} on one core"
    picture = f"images/reproductions/{name}.png"
    parts = [
        f"## {found['title']} {{#{name}}}",
        f"{found['paper']}. {took}:",
        f"```bash\nohmgrad reproduce {name}\n```",
        found["setting"],
        f"[![{found['title']}]({picture})]({picture})",  # to its full size
        *(_table(panel) for panel in found["panels"] if panel["markers"]),
    ]
    if any(_known(line) for panel in found["panels"] for line in panel["lines"]):
        parts.append(f"After the slash: the paper, {found['source']}.")
    holds = {True: "yes", False: "**no**"}
    claims = [f"| {claim['text']} | {claim['measured']} | {holds[claim['holds']]} |" for claim in found["claims"]]
    parts.append("\n".join(["| claim | measured | holds |", "| --- | --- | --- |", *claims]))
    parts.append(f"**{found['verdict'].capitalize()}.** {found['differences']}")
    return "\n\n".join(parts)


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _known(line: dict[str, Any]) -> bool:
    return any(value is not None for value in line["published"])


def _table(panel: dict[str, Any]) -> str:
    places = sorted({x for line in panel["lines"] for x in line["x"]})
    title = f"{panel['y_label']}, {panel['title']}" if panel["title"] else panel["y_label"]
    rows = [
        f"| {title}; {panel['x_label']}: | {' | '.join(f'{x:g}' for x in places)} |",
        "| --- |" + " --: |" * len(places),
    ]
    for line in panel["lines"]:
        ours = dict(zip(line["x"], line["y"], strict=True))
        theirs = dict(zip(line["x"], line["published"] or [None] * len(ours), strict=True))
        cells = [_cell(ours.get(x), theirs.get(x)) for x in places]
        rows.append(f"| {line['title']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(ours: float | None, theirs: float | None) -> str:
    if ours is None:
        return ""
    return f"{ours:.3g}" if theirs is None else f"{ours:.3g} / {theirs:.3g}"


def publish(folder: Path) -> None:
    """Take a finished reproduction over: its numbers, without curves, and its picture, drawn anew."""
    from PIL import Image

    from ohmgrad.lab.plots import draw_reproduction
    from ohmgrad.lab.storage import read_json, write_json
    from ohmgrad.lab.studies import find_study
    from ohmgrad.lab.studies.reproduction import Reproduction

    setting = read_json(folder / "setting.json")
    done = Reproduction(find_study(setting["study"]), setting["quick"], folder)
    if done.quick or done.remaining():
        raise SystemExit(f"{folder} is a small version, or not finished: finish it with --resume.")
    found = read_json(done.write_results())
    found["panels"] = [panel for panel in found["panels"] if panel["markers"]]
    for place in (NUMBERS, PICTURES):
        place.mkdir(parents=True, exist_ok=True)
    write_json(NUMBERS / f"{done.study.name}.json", found)
    picture = (
        Image.open(draw_reproduction(done))
        .convert("RGB")
        .quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    )
    picture.save(PICTURES / f"{done.study.name}.png", optimize=True)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        publish(Path(argument))
