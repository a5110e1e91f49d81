"""A real browser for the pages of the report: what a test opens must ask nobody for anything, and not complain."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

AXE = Path(__file__).parent / "axe" / "axe.min.js"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's Chromium; without one the tests that need it are skipped."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Open a file in a new window; keywords are those of Playwright's `new_context`.

    When the test ends, not one request may have left for anything but files, and the console must be empty.
    """
    contexts, trouble = [], []

    def asked(request: Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            trouble.append(f"asked for {request.url}")

    def opened(path: Path, **options: Any) -> Page:
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("request", asked)
        page.on("console", lambda message: trouble.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert trouble == []


@pytest.fixture
def until() -> Callable[[Page, str], None]:
    """Wait until an expression of JavaScript is true; Playwright's own waiting would break the page's policy."""

    def wait(page: Page, expression: str) -> None:
        for _ in range(200):
            if page.evaluate(expression):
                return
            page.wait_for_timeout(50)
        raise AssertionError(f"never true: {expression}")

    return wait


@pytest.fixture
def violations() -> Callable[[Page], list[str]]:
    """Ask axe-core what is wrong with a page: rule and place of every serious or critical violation."""

    def found(page: Page) -> list[str]:
        page.evaluate(AXE.read_text("utf-8"))
        result = page.evaluate("axe.run()")
        grave = [one for one in result["violations"] if one["impact"] in ("serious", "critical")]
        return [f"{one['id']}: {node['target'][0]}: {node['failureSummary']}" for one in grave for node in one["nodes"]]

    return found
