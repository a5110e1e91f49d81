"""How long the report of 1,000 monitored assets takes, how large its first page is, and when that can be used.

The fleet is made up (see report_fleet.py) but its ledger and Parquet files are real; what is measured is the command
`datadriver report`, from start to end. The page is opened in Chromium: usable means painted, with its script run, so
that a press on a tile filters; and how long that press takes until the filtered list is painted.

    python benchmarks/report.py --assets 1000
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from report_fleet import make_report_fleet  # noqa: E402 - beside this file
from results import merge_results  # noqa: E402 - beside this file

from datadriver.project import Project  # noqa: E402

TRIALS = 5
USABLE = """() => new Promise(done => requestAnimationFrame(() => setTimeout(() => {
    const [page] = performance.getEntriesByType("navigation");
    const painted = performance.getEntriesByName("first-contentful-paint")[0];
    done(Math.max(page.loadEventEnd, painted ? painted.startTime : 0));
})))"""
PRESS = """() => new Promise(done => {
    const began = performance.now();
    document.querySelector(".tile[data-value=ok]").click();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
})"""


def report(root: Path, workers: int) -> tuple[float, Mapping[str, Any]]:
    """Run the command and return its seconds, from start to end, and what it said."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "datadriver", "report", "--json", "--workers", str(workers), "--project", str(root)],
        check=True,
        capture_output=True,
        text=True,
    )
    return time.perf_counter() - began, json.loads(done.stdout)


def page_times(browser: Browser, page: Path) -> tuple[float, float]:
    """Return the milliseconds until the page can be used and until a press shows, each in a new window."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    window = context.new_page()
    window.goto(page.as_uri())
    times = window.evaluate(USABLE), window.evaluate(PRESS)
    context.close()
    return times


def measure(assets: int, workers: int) -> dict[str, float]:
    """Return the figures."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        made = make_report_fleet(Path(folder) / "pumps", assets)
        _ = Project.open(made.root).tracker  # its tables are there, as they are after the first training
        seconds, said = report(made.root, workers)
        page = Path(said["path"])
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page_times(browser, page)  # the first start of a browser is no part of a page
            times = [page_times(browser, page) for _ in range(TRIALS)]
            browser.close()
        usable, press = (statistics.median(values) for values in zip(*times, strict=True))
        return {
            "seconds": round(seconds, 1),
            "pages": said["pages"],
            "megabytes": round(said["bytes"] / 1e6, 1),
            "fleet_page_kb": round(page.stat().st_size / 1000),
            "usable_ms": round(usable),
            "press_ms": round(press),
        }


def main() -> None:
    """Measure, print and merge the figures of 1,000 assets into the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results.json")
    chosen = parser.parse_args()
    figures = measure(chosen.assets, chosen.workers)
    print(f"{chosen.assets:,} assets: " + ", ".join(f"{name} {value:,}" for name, value in figures.items()))
    if chosen.assets == 1000:
        kept = {f"report.{name}": value for name, value in figures.items() if name == "fleet_page_kb"}
        kept |= {f"report.{name}_1k": figures[name] for name in ("seconds", "usable_ms", "press_ms", "megabytes")}
        merge_results(chosen.results, kept)


if __name__ == "__main__":
    main()
