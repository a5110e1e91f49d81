"""The fleet page in a real browser: filters, search, keyboard, links, print; nobody is asked for anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from datadriver.reporting.facts import FleetFacts

pytestmark = pytest.mark.browser

Open = Callable[..., Page]
MakeFleet = Callable[..., FleetFacts]
HOSTILE = '</script><script>document.title = "broken"</script>'


@pytest.fixture
def page(open_fleet: Open, make_fleet: MakeFleet) -> Page:
    return open_fleet(make_fleet(300))


def ids(page: Page) -> list[str]:
    return page.locator("#rows th a").all_inner_texts()


def hits(page: Page) -> str:
    return page.locator("#hits").inner_text()


def test_pressed_tiles_filter_by_state(page: Page) -> None:
    page.get_by_role("button", name="pending").click()
    expect(page.locator("#hits")).to_have_text("6 of 300 assets: pending")
    assert len(ids(page)) == 6
    page.get_by_role("button", name="alarm", exact=False).first.click()
    expect(page.locator("#hits")).to_have_text("24 of 300 assets: alarm, pending")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#hits")).to_have_text("300 assets, those that need attention first")


def test_trainings_and_new_alarms_are_filters_too(page: Page, make_fleet: MakeFleet) -> None:
    page.locator("[data-value=failed]").click()
    expect(page.locator("#hits")).to_have_text("12 of 300 assets: failed")
    page.locator("[data-value=new]").click()
    expect(page.locator("#hits")).to_have_text("0 of 300 assets: new alarms, failed")


def test_search_finds_ids_attributes_and_reasons(page: Page) -> None:
    search = page.get_by_role("searchbox")
    search.fill("p-0120")
    expect(page.locator("#hits")).to_have_text("1 of 300 assets: “p-0120”")
    assert ids(page) == ["P-0120"]
    search.fill("PSI br")
    expect(page.locator("#hits")).to_contain_text("4 of 300 assets")


def test_every_attribute_is_a_filter(page: Page) -> None:
    page.get_by_label("country").select_option("GB")
    expect(page.locator("#hits")).to_have_text("100 of 300 assets: country GB")
    page.get_by_label("depth_m").fill("1200..1250")
    expect(page.locator("#hits")).to_contain_text("17 of 300 assets")
    page.get_by_label("depth_m").fill("> 1290")
    expect(page.locator("#hits")).to_contain_text("3 of 300 assets")
    page.get_by_label("serial").fill("s00292")
    expect(page.locator("#hits")).to_contain_text("1 of 300 assets")
    page.get_by_label("serial").fill("")
    page.get_by_label("depth_m").fill("")
    page.get_by_label("Check").select_option("freshness")
    expect(page.locator("#hits")).to_have_text("4 of 300 assets: check freshness, country GB")


def test_the_address_keeps_filters(open_fleet: Open, make_fleet: MakeFleet) -> None:
    facts = make_fleet(300)
    page = open_fleet(facts)
    page.locator("[data-value=alarm]").click()
    page.get_by_label("country").select_option("NO")
    page.get_by_role("searchbox").fill("limit")
    expect(page.locator("#hits")).to_contain_text("“limit”")
    shown, said, address = ids(page), hits(page), page.url
    assert "state=alarm" in address
    other = open_fleet(facts)
    other.goto("about:blank")
    other.goto(address)
    assert (ids(other), hits(other)) == (shown, said)
    assert other.get_by_label("country").input_value() == "NO"
    expect(other.locator("[data-value=alarm]")).to_have_attribute("aria-pressed", "true")


def test_rows_made_by_the_script_are_those_of_the_template(open_fleet: Open, make_fleet: MakeFleet) -> None:
    page = open_fleet(make_fleet(300, rename={0: "15/9-F-1 C", 1: HOSTILE}))
    read = """[...document.querySelectorAll("#rows tr")].map(row =>
        row.outerHTML.replace(/\\s+/g, " ").replace(/> </g, "><"))"""
    before = page.evaluate(read)
    page.locator("[data-value=ok]").click()
    page.locator("[data-value=ok]").click()
    assert len(before) == 100
    assert page.evaluate(read) == before


def test_the_rest_is_a_press_away_and_focus_follows(page: Page) -> None:
    assert len(ids(page)) == 100
    page.get_by_role("button", name="Show 200 more of 200").click()
    assert len(ids(page)) == 300
    assert page.evaluate("document.activeElement.textContent") == ids(page)[100]
    expect(page.locator("#more")).to_be_hidden()


def test_it_can_be_used_without_a_mouse(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("#hits")).to_have_text("18 of 300 assets: alarm")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY" and page.evaluate(
            "document.activeElement.closest('#rows') !== null"
        ):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#rows details[open]")).to_have_count(1)


def test_hits_are_announced(page: Page) -> None:
    expect(page.get_by_role("status")).to_have_text(hits(page))


@pytest.mark.parametrize(("scheme", "width"), [("light", 390), ("light", 1280), ("dark", 390), ("dark", 1280)])
def test_nothing_grave_for_axe_and_no_sideways_scrolling(
    open_fleet: Open, make_fleet: MakeFleet, violations: Callable[[Page], list[str]], scheme: str, width: int
) -> None:
    facts = make_fleet(120, rename={0: "W" * 60})
    page = open_fleet(facts, viewport={"width": width, "height": 900}, color_scheme=scheme)
    for summary in page.locator("#rows summary").all()[:3]:
        summary.click()
    page.locator("[data-value=alarm]").click()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_without_javascript_the_worst_are_there_and_nothing_else_pretends(
    open_fleet: Open, make_fleet: MakeFleet
) -> None:
    page = open_fleet(make_fleet(300), java_script_enabled=False)
    assert page.locator("#rows tr").count() == 100
    expect(page.locator("#filters")).to_be_hidden()
    expect(page.locator("#more")).to_be_hidden()
    expect(page.get_by_text("Without JavaScript there are no filters")).to_be_visible()


def test_print_shows_all_that_is_filtered_and_no_controls(page: Page) -> None:
    page.locator("[data-value=ok]").click()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(ids(page)) == 270
    expect(page.locator("#filters")).to_be_hidden()
    expect(page.locator("#hits")).to_have_text("270 of 300 assets: ok")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(ids(page)) == 100


def test_hostile_names_do_nothing_but_look_odd(open_fleet: Open, make_fleet: MakeFleet) -> None:
    page = open_fleet(make_fleet(30, rename={0: HOSTILE}, reason='<img src=x onerror="document.title=1">'))
    page.get_by_role("searchbox").fill("script")
    expect(page.locator("#hits")).to_contain_text("1 of 30 assets")
    assert ids(page) == [HOSTILE]
    assert page.title().startswith("tiny: 30 assets")


def test_links_of_a_real_report_lead_to_its_pages_and_back(open_page: Open, reported: Path) -> None:
    page = open_page(reported / "index.html")
    page.get_by_role("link", name="15/9-F-1 C").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("15/9-F-1 C")
    page.get_by_role("link", name="all assets").first.click()
    page.get_by_role("link", name="temperature").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("temperature")
