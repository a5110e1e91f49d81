"""Asset and model pages in a real browser: what is drawn, what pointer and keys show, in every light and width."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from datadriver.reporting.asset_page import render_asset
from datadriver.reporting.model_page import render_model

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

INKED = """(id) => { // share of a canvas that is not like its corner
  const canvas = document.querySelector(`#${id} canvas`);
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let inked = 0;
  for (let i = 3; i < pixels.length; i += 4) inked += pixels[i] > 0 ? 1 : 0;
  return inked / (pixels.length / 4);
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, asset_facts, model_facts) -> Path:
    """A report of thirty assets and a model; the fleet page is an empty one."""
    tmp_path = tmp_path_factory.mktemp("report")
    (tmp_path / "assets").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>fleet</title>")
    for number in range(1, 31):
        name = f"PL-{number:03d}"
        (tmp_path / "assets" / f"{name}.html").write_text(render_asset(asset_facts(name)))
    (tmp_path / "models" / "motor_temperature.html").write_text(render_model(model_facts(30)))
    return tmp_path


@pytest.fixture
def asset(report: Path, open_page: Callable[..., Page]) -> Callable[..., Page]:
    return lambda **options: drawn(open_page(report / "assets" / "PL-015.html", **options))


@pytest.fixture
def model(report: Path, open_page: Callable[..., Page]) -> Callable[..., Page]:
    return lambda **options: drawn(open_page(report / "models" / "motor_temperature.html", **options))


def drawn(page: Page) -> Page:
    page.wait_for_selector("html[data-plots]")
    page.wait_for_timeout(50)
    return page


def plot_of(page: Page, label: str):
    return page.locator("figure.plot", has=page.get_by_role("slider", name=f"{label}: values over", exact=False))


def test_every_plot_is_drawn(asset):
    page = asset()
    ids = page.eval_on_selector_all("figure.plot:not(.empty)", "all => all.map((one) => one.id)")
    assert len(ids) == int(page.locator("html").get_attribute("data-plots")) >= 9
    assert all(page.evaluate(INKED, name) > 0.02 for name in ids)


def test_the_pointer_shows_the_same_instant_in_all_plots(asset):
    page = asset()
    box = plot_of(page, "motor_temperature: Residual").locator(".u-over")
    box.scroll_into_view_if_needed()
    box.hover(position={"x": 600, "y": 40})
    shown = [one for one in page.locator("[data-plot-read]").all_inner_texts() if one]
    assert len(shown) >= 8
    assert shown[0].startswith("2025-04-2")
    assert len({one.split(": ")[0] for one in shown if one.startswith("2025")}) == 1


def test_arrow_keys_read_values_aloud(asset):
    page = asset()
    slider = page.get_by_role("slider", name="vibration: values over time")
    slider.focus()
    page.keyboard.press("Home")
    first = slider.get_attribute("aria-valuetext")
    assert first.startswith("2025-04-17 00:00 UTC: mean 0.6")
    assert re.search(r", 0\.\d+ to 1\.\d+ g$", first)
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext").startswith("2025-04-17 01:00 UTC: mean 0.")
    page.keyboard.press("PageUp")
    assert slider.get_attribute("aria-valuetext").startswith("2025-04-17 18:00 UTC")
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuenow") == slider.get_attribute("aria-valuemax")


def test_times_are_those_of_the_use_cases_zone(asset_facts, heading, tmp_path, open_page):
    path = tmp_path / "page.html"
    path.write_text(render_asset(asset_facts(heading=replace(heading, timezone="Europe/Paris"))))
    page = drawn(open_page(path))
    slider = page.get_by_role("slider", name="vibration: values over time")
    slider.focus()
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext").startswith("2025-04-17 02:00 Europe/Paris: mean 0.6")


def test_steps_stay_numbers(asset_facts, heading, tmp_path, open_page):
    facts = asset_facts()
    steps = replace(heading, index="step", end="2336", window="24 steps")
    tag = replace(facts.tags[0], at=np.arange(2000, 2336))
    own = replace(facts, heading=steps, start=2000, end=2336, tags=(tag,), scores=(), checks=(), events=())
    path = tmp_path / "page.html"
    path.write_text(render_asset(own))
    page = drawn(open_page(path))
    slider = page.get_by_role("slider", name="motor_temperature: values over steps")
    slider.focus()
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext").startswith("step 2,000: mean 9")
    assert page.locator("[data-plot-range]").inner_text() == "step 2,000 to step 2,336"


def test_a_gap_is_read_as_no_value(asset):
    page = asset()
    slider = page.get_by_role("slider", name="vibration: values over time")
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(125):
        page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "2025-04-22 05:00 UTC: mean no value"


def test_an_event_near_the_pointer_is_named(asset):
    page = asset()
    slider = page.get_by_role("slider", name="vibration: values over time")
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(5 * 24):
        page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext").endswith("maintenance: kind: inspection")


def test_dragging_zooms_every_plot_and_escape_shows_all_again(asset):
    page = asset()
    everything = page.locator("[data-plot-range]").inner_text()
    over = plot_of(page, "vibration").locator(".u-over")
    over.scroll_into_view_if_needed()
    place = over.bounding_box()
    page.mouse.move(place["x"] + 300, place["y"] + 30)
    page.mouse.down()
    page.mouse.move(place["x"] + 600, place["y"] + 30, steps=5)
    page.mouse.up()
    assert page.locator("[data-plot-range]").inner_text() != everything
    ranges = page.evaluate("[...document.querySelectorAll('.uplot')].length")
    assert ranges >= 9
    page.keyboard.press("Tab")
    page.get_by_role("slider", name="vibration: values over time").focus()
    page.keyboard.press("Escape")
    assert page.locator("[data-plot-range]").inner_text() == everything


def test_a_button_shows_the_last_day(asset):
    page = asset()
    page.get_by_role("button", name="Last day").click()
    assert page.locator("[data-plot-range]").inner_text() == "2025-04-30 00:00 UTC to 2025-05-01 00:00 UTC"
    page.get_by_role("button", name="All", exact=True).click()
    assert page.locator("[data-plot-range]").inner_text() == "2025-04-17 00:00 UTC to 2025-05-01 00:00 UTC"


def test_values_are_in_a_table_on_demand(asset):
    page = asset()
    figure = plot_of(page, "vibration")
    figure.locator("summary").click()
    assert figure.locator("thead th").all_inner_texts() == ["time", "mean (g)", "smallest (g)", "largest (g)"]
    rows = figure.locator("tbody tr")
    assert rows.count() == 336 - 20
    assert rows.first.locator("th").inner_text() == "2025-04-17 00:00 UTC"


def test_links_lead_to_fleet_neighbour_and_model(asset, report):
    page = asset()
    page.get_by_role("link", name="PL-016 →").click()
    assert page.locator("h1").inner_text().startswith("PL-016")
    page.go_back()
    page.get_by_role("link", name="motor_temperature", exact=True).first.click()
    assert page.locator("h1").inner_text() == "motor_temperature"
    page.get_by_role("link", name="pumps: all assets").click()
    assert page.title() == "fleet"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["asset", "model"])
def test_pages_are_usable_for_everybody(kind, scheme, request, violations):
    page = request.getfixturevalue(kind)(color_scheme=scheme)
    plot_of(page, "Drift" if kind == "model" else "motor_temperature: Drift").locator("summary").click()
    assert violations(page) == []


@pytest.mark.parametrize("kind", ["asset", "model"])
def test_nothing_is_wider_than_a_telephone(kind, request):
    page = request.getfixturevalue(kind)(viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    widths = page.eval_on_selector_all(".uplot canvas", "all => all.map((one) => one.getBoundingClientRect().width)")
    assert widths
    assert max(widths) <= 360


def test_plots_follow_the_width_of_the_window(asset, until):
    page = asset()
    wide = page.locator("#plot-0 canvas").bounding_box()["width"]
    page.set_viewport_size({"width": 700, "height": 900})
    until(page, "document.querySelector('#plot-0 canvas').getBoundingClientRect().width < 690")
    assert wide > 1000


def test_plots_change_their_colours_with_the_scheme(asset, until):
    page = asset(color_scheme="light")
    page.evaluate("window.before = document.querySelector('#plot-0 canvas').toDataURL()")
    page.emulate_media(color_scheme="dark")
    until(page, "document.querySelector('#plot-0 canvas').toDataURL() !== window.before")


def test_a_dark_page_prints_light_and_fits_the_paper(asset, until):
    page = asset(color_scheme="dark")
    page.emulate_media(media="print")
    until(page, "document.querySelector('#plot-0 canvas').getBoundingClientRect().width <= 680")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".steering").is_hidden()
    assert page.locator("#plot-0 .said").is_visible()
    assert page.evaluate(INKED, "plot-0") > 0.02
    page.emulate_media(media="screen")
    until(page, "document.querySelector('#plot-0 canvas').getBoundingClientRect().width > 1000")


def test_text_from_outside_never_runs(asset_facts, tmp_path, open_page):
    hostile = "</script><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    facts = asset_facts()
    tag = replace(facts.tags[0], tag=hostile, unit=hostile)
    mark = replace(facts.events[0], source=hostile, text=hostile)
    path = tmp_path / "page.html"
    path.write_text(render_asset(replace(facts, line=replace(facts.line, id=hostile), tags=(tag,), events=(mark,))))
    page = drawn(open_page(path))
    page.locator("figure.plot").last.locator("summary").click()
    assert page.title().startswith("</script>")
    assert page.locator("img").count() == 0


def test_models_stand_beside_their_baselines_and_lead_to_the_asset(model):
    page = model()
    assert page.evaluate(INKED, "ranks") > 0.01
    slider = page.get_by_role("slider", name="mae: the model beside its baseline")
    slider.focus()
    page.keyboard.press("ArrowRight")
    told = slider.get_attribute("aria-valuetext")
    assert "model 0." in told
    assert "baseline " in told
    assert told.endswith("%)")
    page.keyboard.press("Enter")
    page.wait_for_url("**/assets/*.html")
    assert page.locator("h1").inner_text().startswith(told.split(":")[0])


def test_instances_of_a_model_can_be_found(model):
    page = model()
    page.get_by_label("Find").fill("rejected nulls")
    assert page.locator("#instances-table tbody tr:visible").count() == 2
    assert page.locator("[data-found]").inner_text() == "2 of 30"
    page.get_by_label("Find").fill("")
    assert page.locator("#instances-table tbody tr:visible").count() == 30
