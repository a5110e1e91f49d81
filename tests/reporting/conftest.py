"""A real browser for the pages of the report: what a test opens must ask nobody for anything, and not complain."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, Request

from datadriver.config.sections import UseCase
from datadriver.config.slugs import slug
from datadriver.data.window import Window
from datadriver.fleet.status import InstanceStatus
from datadriver.monitoring.facts import MODEL_CHECKS
from datadriver.monitoring.standing import reason_of, state_of
from datadriver.reporting.facts import AssetLine, FleetFacts, InstanceLine, ModelFacts, News
from datadriver.reporting.fleet_page import render_fleet
from datadriver.reporting.heading import make_heading
from datadriver.reporting.order import by_attention, by_gravity
from datadriver.tracking.monitor_records import CheckState, Health

AXE = Path(__file__).parent / "axe" / "axe.min.js"


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


MONITOR = """
monitor:
  alarm: {when: 2 of 3, owner: "ops@example.com", runbook: "https://wiki.example.com/pumps"}
scores:"""


@pytest.fixture(scope="session")
def _monitored(_served: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three pumps, trained on 8 days and watched for 20: P-1 falls silent on day 17, and P-2 gets hot."""
    from datadriver.project import Project  # noqa: PLC0415 - most tests here need none of it

    case = type(_served)(tmp_path_factory.mktemp("monitored") / "tiny")
    shutil.copytree(_served.root, case.root)
    case.edit("\nscores:", MONITOR)
    known = case.data()
    after = known["ts"].max() + pd.Timedelta(hours=1)
    new = pd.concat([case.rows(asset, rows=280, start=after.isoformat(), seed=1) for asset in case.assets])
    late = new["ts"] >= pd.Timestamp("2026-03-18", tz="UTC")
    new.loc[late & (new["pump"] == "P-2"), ["temperature", "current"]] += 15.0
    case.write(pd.concat([known, new[~(late & (new["pump"] == "P-1"))]]))
    project = Project.open(case.root)
    project.score(workers=1)
    assert project.monitor(workers=1).failure is None
    return case


@pytest.fixture(scope="session")
def reported(_monitored: Any) -> Path:
    """Folder of its report, for tests that only look."""
    from datadriver.project import Project  # noqa: PLC0415

    return Project.open(_monitored.root).report(workers=1).path.parent


@pytest.fixture
def monitored(_monitored: Any, tmp_path: Path) -> Any:
    """The same in a copy, so that tests may change it."""
    shutil.copytree(_monitored.root, tmp_path / "tiny")
    return type(_monitored)(tmp_path / "tiny")


COUNTRIES = ("NO", "GB", "BR")
MOODS: tuple[tuple[Health, str, str], ...] = (
    ("alarm", "freshness", "newest reading is 9 h old at the window's end (current), limit 6 h"),
    ("alarm", "drift", "current has a median of 31.2, 20.3 in training: PSI 0.61, limit 0.2"),
    ("pending", "performance", "mae 2.9 on 24 rows, 2.02 on the holdout (43% worse); limit 2.2"),
    ("unknown", "completeness", "there are no readings"),
    ("silenced", "alarms", "residual above 4.1 degC in 31% of 24 scores"),
)


def _check(asset: str, mood: tuple[Health, str, str], place: int) -> CheckState:
    state, check, reason = mood
    of_model = check in MODEL_CHECKS
    opened = state in ("alarm", "silenced")
    return CheckState(
        asset,
        asset if of_model else "",
        "wear" if of_model else "",
        check,
        state,
        {"unknown": "unknown", "ok": "ok"}.get(state, "breach"),
        "critical" if check in ("freshness", "alarms") else "warning",
        "2026-03-20T00:00:00.000000+00:00",
        "2026-03-21T00:00:00.000000+00:00",
        value=2.0 + place / 1000,
        limit=1.0,
        reason=reason,
        since=f"2026-03-{21 if place % 2 else 18}T00:00:00.000000+00:00" if opened else None,
        recent="oobb",
        owner="ops@example.com",
        runbook="https://wiki.example.com/pumps",
    )


def _fleet(count: int, *, rename: Mapping[int, str] = MappingProxyType({}), reason: str | None = None) -> FleetFacts:
    heading = make_heading(
        UseCase.model_validate(
            {
                "name": "tiny",
                "fleet": {"assets": "fleet.csv"},
                "data": {"sources": {"sensors": {"path": "a.csv", "index": "ts"}}},
                "models": {"wear": {"problem": "regression", "estimator": "a.b:c", "baseline": "a.b:c"}},
            }
        ),
        "2026-03-21T00:00:00.000000+00:00",
        now=datetime(2026, 3, 21, 6, tzinfo=UTC),
    )
    lines = []
    for place in range(count):
        name = rename.get(place, f"P-{place:04d}")
        # Every tenth pump is in trouble, of one kind after the other, and has a second finding of the next kind.
        at = place // 10 % len(MOODS)
        moods = (MOODS[at], MOODS[(at + 1) % len(MOODS)]) if place % 10 == 0 else ()
        checks = tuple(sorted((_check(name, (m[0], m[1], reason or m[2]), place) for m in moods), key=by_gravity))
        fine = CheckState(name, "", "", "contract", "ok", "ok", "critical", "", "2026-03-21T00:00:00.000000+00:00")
        state = state_of((*checks, fine))
        status = InstanceStatus(name, "wear", 1, "failed" if place % 25 == 0 else "champion", "it raised KeyError")
        attributes = {"country": COUNTRIES[place % 3], "serial": f"S{place:05d}", "depth_m": 1000 + place}
        why = reason_of(state, (*checks, fine))
        one = InstanceLine(status, "regression", (name,))
        lines.append(AssetLine(name, f"{slug(name)}.html", attributes, state, why, (*checks, fine), (one,)))
    shown = tuple(sorted(lines, key=by_attention))
    instances = tuple(line.instances[0] for line in shown)
    model = ModelFacts(heading, "wear", "wear.html", "regression", None, None, instances)
    end = pd.Timestamp("2026-03-21", tz="UTC")
    news = (
        News("opened", heading.end, f"freshness: {reason or 'newest reading is 9 h old'}", shown[0].id, "", "critical"),
        News("gone", heading.end, "not in the fleet table any more", "P-gone"),
    )
    period = Window(end - pd.Timedelta(days=14), end)
    return FleetFacts(heading, period, shown, ("country", "serial", "depth_m"), (model,), news)


@pytest.fixture(scope="session")
def make_fleet() -> Callable[..., FleetFacts]:
    """Make the facts of a fleet of so many pumps, every tenth in trouble; `rename` by place, `reason` for all."""
    return _fleet


@pytest.fixture
def open_fleet(open_page: Callable[..., Page], tmp_path: Path) -> Callable[..., Page]:
    """Open the fleet page of some facts; keywords are those of Playwright's `new_context`."""

    def opened(facts: FleetFacts, **options: Any) -> Page:
        path = tmp_path / "index.html"
        path.write_text(render_fleet(facts), "utf-8")
        return open_page(path, **options)

    return opened
