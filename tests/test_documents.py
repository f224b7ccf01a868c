"""What the README and the documentation say is true: their examples run, and what they tell one to type exists."""

from __future__ import annotations

import json
import linecache
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

from ohmgrad.cli import app
from ohmgrad.lab.studies import STUDIES
from ohmgrad.presets.algorithms import ALGORITHMS
from pictures.__main__ import PICTURES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The code blocks of a page in one language, each with the number of lines before it."""
    text = page.read_text(encoding="utf-8")
    found = [match for match in FENCE.finditer(text) if match[1] == language]
    return [(text.count("\n", 0, match.start(2)), match[2]) for match in found]


def commands(program: str) -> set[str]:
    """Every command line in the pages that starts a program, without comments."""
    lines = [line for page in PAGES for _, block in blocks(page, "bash") for line in block.splitlines()]
    return {line.split("#")[0].strip() for line in lines if line.startswith(program + " ")}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: str(page.relative_to(ROOT))
)
def test_examples_of_a_page_run_one_after_the_other(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("example")  # what a page defines must be found again, by pickle for instance
    monkeypatch.setitem(sys.modules, "example", module)
    for above, code in blocks(page, "python"):
        # The empty lines make a traceback point at the line of the page. As in a notebook, the text can be looked up.
        text, cell = "\n" * above + code, f"{page}, line {above}"
        monkeypatch.setitem(linecache.cache, cell, (len(text), None, text.splitlines(True), cell))
        exec(compile(text, cell, "exec", dont_inherit=True), vars(module))


def test_the_first_example_of_the_readme_fits_on_a_screen() -> None:
    _, example = blocks(ROOT / "README.md", "python")[0]
    statements = [line for line in example.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(statements) <= 12


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_to_files(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("command", sorted(commands("make")))
def test_makefile_has_every_target_that_is_named(command: str) -> None:
    target = command.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", sorted(commands("ohmgrad")))
def test_command_line_understands_every_command_that_is_named(command: str) -> None:
    _, name, *options = shlex.split(command)
    get_command(app).commands[name].make_context(name, options)


def test_every_picture_of_the_pages_to_learn_from_is_drawn_by_a_script_and_shown() -> None:
    images = ROOT / "docs" / "images"
    drawn = {f"{name}.png" for name in PICTURES}
    kept = {str(path.relative_to(images)) for folder in ("rules", "understand") for path in (images / folder).iterdir()}
    assert kept == drawn
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in sorted(drawn) if f"images/{name})" not in text] == []


def test_every_learning_rule_has_a_page_that_states_its_recursion() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "rules").glob("*.md"))
    rules = {rule.rule.__name__ for rule in ALGORITHMS.values() if rule.name != "sgd"}
    assert [name for name in sorted(rules) if f"::: ohmgrad.configs.{name}\n" not in text] == []


def test_reproductions_of_the_page_are_whole_ones_with_a_picture() -> None:
    named = re.findall(r"^<!-- study: (\S+) -->$", (ROOT / "docs/reproductions.md").read_text("utf-8"), re.MULTILINE)
    assert named
    assert set(named) <= set(STUDIES)
    for name in named:
        found = json.loads((ROOT / "docs/reproductions" / f"{name}.json").read_text("utf-8"))
        assert (found["study"], found["quick"]) == (name, False)
        assert found["trials"] == len(STUDIES[name].trials(quick=False))
        assert (ROOT / "docs/images/reproductions" / f"{name}.png").stat().st_size < 150_000
