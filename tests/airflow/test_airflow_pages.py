"""Airflow in a real browser, as people use it: find a DAG, read what it is, approve, see why something failed.

The pictures of the documentation are made here: `--screenshots docs/images`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest
from pages import Shoot, sign_in, take_picture
from playwright.sync_api import Browser, Page, expect
from stack_settings import PASSWORD

from datadriver.project import Project
from datadriver.tracking.queries import releases

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.browser,
    pytest.mark.postgres,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("airflow"),
]

SCHEDULE = """
schedule:
  train: null
  score: "@daily"
  release: null
  monitor: null
  approval: true
  start: 2026-03-01
  tags: [country]
  urls: {mlflow: "https://mlflow.example.com", report: "https://reports.example.com/tiny"}
scores:"""
DAYS = range(3, 7)


@pytest.fixture(scope="module")
def case(new_tiny: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three pumps are trained, one of them promoted; then the flow of another reads nonsense."""
    case = new_tiny(tmp_path_factory.mktemp("pages") / "tiny")
    case.guard()
    case.edit("\nscores:", SCHEDULE)
    assert case.run("train").returncode == 0
    assert case.run("promote", "--assets", "P-1").returncode == 0
    data = case.data()
    data.loc[data["pump"] == "P-2", "flow"] = 500.0
    case.write(data)
    assert case.run("dags", "build").returncode == 0
    return case


@pytest.fixture(scope="module")
def stack(
    airflow: ModuleType, airflow_database: Callable[[], str], case: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("airflow") / "home"
    with airflow.Stack(home, airflow_database(), {"tiny": case.root / "dags"}) as running:
        running.wait_for_dags(["tiny__P-1__score", "tiny__P-2__train", "tiny__release"])
        yield running


@pytest.fixture(scope="module")
def scored(stack: Any) -> list[str]:
    """Runs of a pump, for some days each of its own."""
    dag_id = "tiny__P-1__score"
    runs = [
        (dag_id, stack.trigger(dag_id, f"2026-03-0{day}T00:00:00Z", f"2026-03-0{day + 1}T00:00:00Z")) for day in DAYS
    ]
    assert set(stack.wait(runs, seconds=300).values()) == {"success"}
    return [run_id for _, run_id in runs]


@pytest.fixture
def page(chromium: Browser, stack: Any) -> Iterator[Page]:
    """A page of somebody who has signed in."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, color_scheme="light")
    page = context.new_page()
    sign_in(page, stack.address, "ada", PASSWORD)
    yield page
    context.close()


@pytest.fixture
def shoot(request: pytest.FixtureRequest, tmp_path: Path) -> Shoot:
    """Takes a picture for the documentation, by the end of its name."""
    folder = request.config.getoption("--screenshots") or tmp_path
    return lambda page, name: take_picture(page, folder / f"airflow-{name}.png")


def test_dags_are_found_by_the_tags_of_a_cohort(page: Page, stack: Any, shoot: Shoot) -> None:
    page.goto(f"{stack.address}/dags")
    for dag_id in ("tiny__P-1__score", "tiny__P-1__train", "tiny__P-2__score"):
        expect(page.get_by_role("link", name=dag_id, exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="8 Dags")).to_be_visible()
    shoot(page, "dags")
    page.get_by_role("link", name="country=GB", exact=True).first.click()
    expect(page.get_by_role("heading", name="2 Dags")).to_be_visible()
    expect(page.get_by_role("link", name="tiny__P-2__train", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="tiny__P-1__train", exact=True)).to_have_count(0)


def test_the_grid_of_a_score_dag_has_a_column_for_each_day(
    page: Page, stack: Any, scored: list[str], shoot: Shoot
) -> None:
    page.goto(f"{stack.address}/dags/tiny__P-1__score")
    expect(page.get_by_role("heading", name="tiny__P-1__score")).to_be_visible()
    for run_id in scored:
        column = page.locator(f"a[href*='{run_id}'], a[href*='{quote(run_id)}'], a[href*='{quote(run_id, safe=':')}']")
        expect(column.first).to_be_visible()
    shoot(page, "score")


def test_what_a_dag_is_stands_on_its_page_with_links_to_report_and_runs(page: Page, stack: Any, shoot: Shoot) -> None:
    page.goto(f"{stack.address}/dags/tiny__P-1__score")
    page.get_by_role("button", name="Dag Docs").click()
    said = page.get_by_role("dialog").filter(has_text="Dag Documentation")
    expect(said).to_contain_text("Scores P-1 with the champions of temperature.")
    links = {link.inner_text(): link.get_attribute("href") for link in said.get_by_role("link").all()}
    assert links == {
        "Report": "https://reports.example.com/tiny/assets/P-1.html",
        "Runs and versions of temperature": "https://mlflow.example.com/#/models/tiny.P-1.temperature",
    }


def test_a_failed_task_says_why(page: Page, stack: Any, shoot: Shoot) -> None:
    run = ("tiny__P-2__train", stack.trigger("tiny__P-2__train"))
    assert stack.wait([run]) == {run: "failed"}
    page.goto(f"{stack.address}/dags/{run[0]}/runs/{quote(run[1])}/tasks/validate")
    expect(page.get_by_text("rejected: P-2, contract: flow: 200 of 200 values")).to_be_visible()
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    page.keyboard.press("w")  # long lines are wrapped
    shoot(page, "rejected")


def test_who_approves_on_the_page_has_released(page: Page, stack: Any, case: Any, shoot: Shoot) -> None:
    run = ("tiny__release", stack.trigger("tiny__release"))
    stack.until(lambda: stack.questions(*run), "an approval is asked for", 120)
    page.goto(f"{stack.address}/required_actions")
    expect(page.get_by_text("tiny: release 2 new champions?").first).to_be_visible()
    page.goto(f"{stack.address}/dags/{run[0]}/runs/{quote(run[1])}/tasks/approve/required_actions")
    expect(page.get_by_role("cell", name="15/9-F-1 C")).to_be_visible()
    shoot(page, "approval")
    page.get_by_role("button", name="Approve").click()
    assert stack.wait([run]) == {run: "success"}
    with closing(Project.open(case.root).ledger) as ledger:
        newest, _ = releases(ledger)
    assert newest.by == "ada"
    assert {item.unit for item in newest.items} == {"P-2", "15/9-F-1 C"}
