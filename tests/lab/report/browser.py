"""A browser without a window, in a process of its own: opens pages, does what it is told, and reports what it saw.

It reads a list of visits as JSON from standard input and writes their reports to standard output. A visit is a ``page``
(path), a ``width`` in pixels, ``steps`` (JavaScript, whose values are reported; or a number: milliseconds to wait) and,
for people, ``picture``: a path for what is seen.
"""

import json
import sys
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QTimer, QUrl
from PyQt6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile, QWebEngineUrlRequestInterceptor
from PyQt6.QtWebEngineWidgets import QWebEngineView
from PyQt6.QtWidgets import QApplication

READY = (
    "location.protocol === 'file:' && document.readyState === 'complete' && "
    "(!document.querySelector('.figure') || !!document.body.dataset.drawn)"
)
PATIENCE = 60_000
"""Milliseconds after which a page counts as hung; the report then says what it said so far."""


class Interceptor(QWebEngineUrlRequestInterceptor):
    """Notes every request, and lets only files pass."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def interceptRequest(self, info: Any) -> None:
        address = info.requestUrl()
        if address.scheme() not in ("data", "blob"):
            self.seen.append(address.toString())
        info.block(address.scheme() not in ("file", "data", "blob"))


class Page(QWebEnginePage):
    """A page that keeps what it writes to its console."""

    def __init__(self, profile: QWebEngineProfile) -> None:
        super().__init__(profile)
        self.said: list[str] = []

    def javaScriptConsoleMessage(self, level: Any, message: str | None, line: int, source: str | None) -> None:
        self.said.append(f"{level.name}: {message} (line {line})")


class Browser:
    """Goes through the visits one by one."""

    def __init__(self, visits: list[dict[str, Any]]) -> None:
        self.todo, self.reports = list(visits), []
        self.view = QWebEngineView()
        self.view.show()

    def next(self) -> None:
        if not self.todo:
            QApplication.exit(0)
            return
        self.visit = self.todo.pop(0)
        self.profile = QWebEngineProfile()
        self.interceptor = Interceptor()
        self.profile.setUrlRequestInterceptor(self.interceptor)
        self.page, self.answers, self.steps = Page(self.profile), [], list(self.visit["steps"])
        self.view.setPage(self.page)
        self.view.resize(self.visit["width"], self.visit.get("height", 900))
        self.page.load(QUrl.fromLocalFile(self.visit["page"]))
        self.waited = 0
        self.await_ready()

    def await_ready(self) -> None:
        self.waited += 50
        if self.waited > PATIENCE:
            self.finish()
        else:
            QTimer.singleShot(
                50, lambda: self.page.runJavaScript(READY, lambda yes: self.step() if yes else self.await_ready())
            )

    def step(self) -> None:
        if not self.steps:
            self.finish()
        elif isinstance(todo := self.steps.pop(0), int):
            QTimer.singleShot(todo, self.step)
        else:
            self.page.runJavaScript(todo, self.answered)

    def answered(self, value: Any) -> None:
        self.answers.append(value)
        self.step()

    def finish(self) -> None:
        if self.visit.get("picture"):
            self.view.grab().save(self.visit["picture"])
        self.reports.append({"answers": self.answers, "console": self.page.said, "requests": self.interceptor.seen})
        self.next()


def main() -> None:
    """Visit all pages."""
    application = QApplication([sys.argv[0], "--no-sandbox", "--disable-gpu"])
    browser = Browser(json.load(sys.stdin))
    QTimer.singleShot(0, browser.next)
    application.exec()
    Path(sys.argv[1]).write_text(json.dumps(browser.reports), encoding="utf-8")


if __name__ == "__main__":
    main()
