"""Pages in a real browser: what is drawn, what is fetched, and how they look to readers who prefer other things."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from plotly.graph_objects import Figure

from ohmgrad.lab.compare import Comparison
from ohmgrad.lab.plots.panels import look_of
from ohmgrad.lab.recipes import RECIPES
from ohmgrad.lab.report import report_comparison, report_reproduction, report_sweep
from ohmgrad.lab.report.figures import figure
from ohmgrad.lab.settings import Setting
from ohmgrad.lab.studies.reproduction import Reproduction
from ohmgrad.lab.studies.study import At, Claim, Line, Outcome, Panel, Results, Step, Study, Trial
from ohmgrad.lab.sweep.search import Sweep
from ohmgrad.lab.training import record_of

REMEDY = (
    "No browser could be started. Install what the tests need (pip install 'ohmgrad[dev]') and the libraries of the "
    "system that Chromium links to (Debian and Ubuntu: apt install libnss3 libasound2 libegl1 libgl1 libxkbcommon0 "
    "libdbus-1-3 libfontconfig1 libxcomposite1 libxdamage1 libxrandr2 libxtst6 libxkbfile1). It said:\n"
)
LIGHT, DARK = "1", "0"
"""What Chromium calls the preferences of a reader."""
TRACES = "[...document.querySelectorAll('.figure')].map((f) => f.querySelectorAll('.scatterlayer .trace').length)"
CELLS = "[...document.querySelectorAll('td')].map((cell) => cell.textContent)"
VISIBLE = "document.querySelector('.figure')._fullData.filter((trace) => trace.visible === true).length"
CLICK = """{
  const entry = document.querySelector('.figure .legendtoggle'), box = entry.getBoundingClientRect();
  for (const kind of ['mousedown', 'mouseup'])
    entry.dispatchEvent(new MouseEvent(kind, {bubbles: true, clientX: box.x + 5, clientY: box.y + 5}));
}"""
TEXT = "document.body.innerText"
SPILLED = "document.documentElement.scrollWidth - window.innerWidth"
PAPER = "getComputedStyle(document.body).backgroundColor"


class Tripling(Study):
    """A paper on a number and its triple, with a title that means something in HTML."""

    name = "tripling"
    title = "Numbers & <i>their</i> triples"
    paper = "A. Nobody (1900)"
    setting = "A number is tripled."
    source = "by heart"
    measure = "number"
    coordinates = ("number",)
    series: ClassVar[dict[str, str]] = {"one": "itself", "three": "<b>tripled</b>"}
    core_minutes = 1.0

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        return [self.trial(name, (at,), seed, 1) for seed in (0, 1) for at in (1.0, 2.0) for name in self.series]

    def run(self, trial: Trial) -> Iterator[Step | Outcome]:
        """See :meth:`Study.run`."""
        yield Outcome(trial.at[0] * (3.0 if trial.series == "three" else 1.0) + 0.1 * trial.seed)

    def published(self, series: str, at: At) -> float | None:
        """See :meth:`Study.published`."""
        return 6.0 if (series, at) == ("three", (2.0,)) else None

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`."""
        return [Claim("a triple is larger", "", True), Claim("a triple is smaller", "", False)]

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        return [Panel("all", "number", "value", results.lines(0), log_x=True, log_y=True)]


def visit(folder: Path, preference: str, visits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a browser saw, whose reader has a preference."""
    out = folder / "seen.json"
    environment = {
        "QT_QPA_PLATFORM": "offscreen",
        "QTWEBENGINE_DISABLE_SANDBOX": "1",
        "QTWEBENGINE_CHROMIUM_FLAGS": f"--blink-settings=preferredColorScheme={preference}",
    }
    ended = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "browser.py"), str(out)],
        input=json.dumps(visits), text=True, capture_output=True, env=os.environ | environment, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, REMEDY + ended.stderr
    return json.loads(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a <b>folder")


@pytest.fixture(scope="module")
def comparison(folder: Path) -> Comparison:
    """Of floating point and TTv1."""
    knobs = {"lr": 0.2, "transfer_every": 2.0, "transfer_lr": 0.3}
    setting = Setting(task="wine", algorithms=("fp", "ttv1"), epochs=2, seeds=2)
    tuned = {"setting": setting.plain(), "best": {name: {k: knobs[k] for k in RECIPES[name].space} for name in RECIPES
             if "gamma" not in RECIPES[name].space}}  # fmt: skip
    made = Comparison.start(setting, tuned, folder / "compare")
    for job in made.jobs:
        made.save(job, record_of(job))
    made.write_summary()
    return made


@pytest.fixture(scope="module")
def reproduction(folder: Path) -> Reproduction:
    made = Reproduction.start(Tripling(), False, folder / "tripling", resume=False, overwrite=False)
    for trial in made.trials:
        *_, record = trial.run()
        made.save(trial, record)
    made.write_results()
    return made


@pytest.fixture(scope="module")
def sweep(folder: Path) -> Sweep:
    """Of analog SGD, as if the accuracy were the learning rate."""
    setting = Setting(task="wine", algorithms=("sgd",), epochs=1, seeds=1)
    made = Sweep.start(setting, ["lr=0.1..1:log", "dw_min_std=0.1,0.2"], 6, 1, folder / "sweep")
    for job in made.first_round():
        made.keep_proposal(job, {"diverged": False, "epochs": [{"accuracy": job.knobs["lr"]}]})
    made.write_results()
    return made


@pytest.fixture(scope="module")
def pages(comparison: Comparison, reproduction: Reproduction, sweep: Sweep) -> dict[str, str]:
    """All pages by name."""
    written = {
        "comparison": report_comparison(comparison),
        "reproduction": report_reproduction(reproduction),
        "sweep": report_sweep(sweep),
    }
    return {name: str(path) for name, path in written.items()}


@pytest.fixture(scope="module")
def seen(folder: Path, pages: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What a reader of a telephone sees of each page, who then hides the first line."""
    steps = [TRACES, CELLS, TEXT, SPILLED, PAPER, VISIBLE, CLICK, 600, VISIBLE]
    reports = visit(folder, LIGHT, [{"page": page, "width": 390, "steps": steps} for page in pages.values()])
    names = ("traces", "cells", "text", "spilled", "paper", "visible", "clicked", "left")
    return {
        name: report | dict(zip(names, report["answers"], strict=True))
        for name, report in zip(pages, reports, strict=True)
    }


@pytest.mark.parametrize("name", ["comparison", "reproduction", "sweep"])
def test_a_page_fetches_nothing_and_complains_of_nothing(name: str, seen: dict[str, Any], pages: Any) -> None:
    assert [Path(address.removeprefix("file://")).name for address in seen[name]["requests"]] == ["report.html"]
    assert seen[name]["console"] == []
    assert Path(pages[name]).stat().st_size < 2_500_000


def test_every_line_is_drawn_with_its_band_and_the_numbers_of_the_paper(seen: dict[str, Any]) -> None:
    assert seen["comparison"]["traces"] == [4, 4]  # two panels: band and mean of two rules
    assert seen["reproduction"]["traces"] == [5]  # two bands, two means, one set of circles
    assert seen["sweep"]["traces"] == [2, 2]  # for each hyperparameter the proposals and the winner


def test_tables_say_the_numbers_of_the_results(
    seen: dict[str, Any], comparison: Comparison, reproduction: Reproduction, sweep: Sweep
) -> None:
    summary = json.loads((comparison.folder / "summary.json").read_text(encoding="utf-8"))
    for row in summary["algorithms"]:
        assert any(cell.startswith(f"{100 * row['accuracy']:.1f} ±") for cell in seen["comparison"]["cells"])
    results = json.loads((reproduction.folder / "results.json").read_text(encoding="utf-8"))
    for line in results["panels"][0]["lines"]:
        for value in (*line["y"], *filter(None, line["published"])):
            assert f"{value:.3g}" in seen["reproduction"]["cells"]
    results = json.loads((sweep.folder / "results.json").read_text(encoding="utf-8"))
    assert f"{100 * results['scores']['sgd']:.1f} %" in seen["sweep"]["cells"]
    for name, share in results["importances"].items():
        assert {name, f"{100 * share:.0f} %"} <= set(seen["sweep"]["cells"])


def test_the_claims_and_the_verdict_are_on_the_page(seen: dict[str, Any]) -> None:
    text = seen["reproduction"]["text"]
    assert "not reproduced in full: 1 of 2 claims hold" in text
    assert "a triple is smaller" in text


def test_texts_of_users_are_texts(seen: dict[str, Any]) -> None:
    assert "Numbers & <i>their</i> triples" in seen["reproduction"]["text"]
    assert "<b>tripled</b>" in seen["reproduction"]["text"]
    assert "a <b>folder" in seen["comparison"]["text"]


@pytest.mark.parametrize(("name", "hidden"), [("comparison", 2), ("reproduction", 2), ("sweep", 1)])
def test_a_click_on_the_legend_hides_a_line_with_its_band(name: str, hidden: int, seen: dict[str, Any]) -> None:
    assert seen[name]["visible"] - seen[name]["left"] == hidden


@pytest.mark.parametrize("name", ["comparison", "reproduction", "sweep"])
def test_nothing_sticks_out_of_a_telephone(name: str, seen: dict[str, Any]) -> None:
    assert seen[name]["spilled"] <= 0


def test_a_page_is_dark_to_who_prefers_that(folder: Path, pages: dict[str, str], seen: dict[str, Any]) -> None:
    ink = "document.querySelector('.figure')._fullData.find((trace) => trace.mode === 'lines').line.color"
    (report,) = visit(folder, DARK, [{"page": pages["comparison"], "width": 1200, "steps": [PAPER, ink]}])
    paper, line = report["answers"]
    assert seen["comparison"]["paper"] == "rgb(255, 255, 255)"
    assert max(map(int, paper.removeprefix("rgb(").rstrip(")").split(","))) < 64
    assert line == "#e6e6e6"


def test_the_command_computes_it_again(comparison: Comparison, seen: dict[str, Any]) -> None:
    text = " ".join(seen["comparison"]["text"].split())
    assert "ohmgrad compare --task wine --algorithms fp,ttv1 --device soft-bounds --states 10 --epochs 2" in text


def test_what_is_drawn_is_what_plotly_knows() -> None:
    lines = [
        Line("one", "one", [1.0, 2.0], [0.0, 1.0], [0.0, 0.5], [0.5, 1.5], [None, 1.0]),
        Line("two", "two", [], []),
    ]
    panel = Panel("panel", "x", "y", lines, log_y=True)
    drawn = Figure(figure(panel, look_of([panel])))  # refuses what it does not know
    assert [trace.mode for trace in drawn.data] == ["none", "lines+markers", "markers", "lines+markers"]
    assert min(drawn.data[0].y) > 0.0  # a band ends where a logarithmic axis can show it
