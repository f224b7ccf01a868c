"""The page of a reproduction."""

from __future__ import annotations

import inspect
import shlex
import sys
from pathlib import Path

from ohmgrad.lab.plots.panels import look_of
from ohmgrad.lab.report.environment import environment
from ohmgrad.lab.report.figures import figure
from ohmgrad.lab.report.page import Page, as_text, write_page
from ohmgrad.lab.report.tables import from_terminal
from ohmgrad.lab.studies.console import SMALL_VERSION, panel_table
from ohmgrad.lab.studies.reproduction import Reproduction, verdict
from ohmgrad.lab.studies.study import Study


def report_reproduction(reproduction: Reproduction) -> Path:
    """Write the page of a reproduction into its folder; gives the file."""
    study, results = reproduction.study, reproduction.results()
    panels, claims = study.panels(results), study.claims(results)
    look = look_of(panels)
    words = ["ohmgrad", "reproduce", study.name, *(["--quick"] if reproduction.quick else [])]
    small = reproduction.quick
    page = Page(
        title=study.title,
        subtitle=study.paper,
        command=shlex.join([*words, "--out", str(reproduction.folder.parent)]),
        paragraphs=[study.setting],
        verdict=verdict(claims, small),
        claims=claims,
        figures=[figure(panel, look) for panel in panels],
        tables=[from_terminal(panel_table(panel)) for panel in panels if panel.markers],
        notes=[
            "Lines are means over the seeds, bands go from the lowest to the highest seed, circles are the numbers of "
            f"the paper ({study.source}).",
            *([SMALL_VERSION] if small else [study.differences] if study.differences else []),
        ],
        details={
            "Trials": as_text(
                [
                    {key: record[key] for key in ("series", "at", "seed", "value", "seconds")}
                    for record in results.records
                ]
            ),
            "How it is computed: the source of the study, with its configurations": _source(study),
        },
        environment=environment(),
    )
    return write_page(page, reproduction.folder)


def _source(study: Study) -> str:
    """The module of a study; its text says more than a list of its configurations, which differ from trial to trial."""
    return inspect.getsource(sys.modules[type(study).__module__])
