"""The fleet page as text: what is on it, in what order, and that nothing from outside gets out of its place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.reporting.facts import ATTENTION, FleetFacts
from datadriver.reporting.fleet_page import SHOWN, render_fleet
from datadriver.reporting.pages import embedded, source
from datadriver.tracking.monitor_records import CheckState

HOSTILE = '</script><script>alert("id")</script>'
MakeFleet = Callable[..., FleetFacts]


class Reader(HTMLParser):
    """Collects scripts, links and handlers as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.rows = 0
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script"
        self.rows += tag == "tr"
        self.scripts += [""] if tag == "script" else []
        self.links += [value or "" for name, value in attributes if name == "href"]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data


def data_of(page: str) -> Mapping[str, Any]:
    return json.loads(Reader(page).scripts[0])  # type: ignore[no-any-return]


def rows_of(page: str) -> list[list[Any]]:
    """Read the rows back from the numbers of their texts."""
    data = data_of(page)

    def texts(value: Any) -> Any:
        return data["texts"][value] if isinstance(value, int) else [texts(item) for item in value]

    return [texts(row) for row in data["rows"]]


def test_all_assets_are_in_the_data_worst_first(make_fleet: MakeFleet) -> None:
    facts = make_fleet(300)
    rows = rows_of(render_fleet(facts))
    assert [row[0] for row in rows] == [line.id for line in facts.assets]
    states = [ATTENTION.index(row[2]) for row in rows]
    assert states == sorted(states)
    assert states[0] == 0


def test_within_a_state_the_graver_and_further_beyond_comes_first(make_fleet: MakeFleet) -> None:
    alarms = [line.worst for line in make_fleet(300).assets if line.state == "alarm"]
    assert all(isinstance(one, CheckState) for one in alarms)
    order = [(one.severity != "critical", -(one.value or 0)) for one in alarms if one is not None]
    assert order == sorted(order)


def test_without_javascript_the_worst_hundred_are_a_table(make_fleet: MakeFleet) -> None:
    facts = make_fleet(300)
    body = render_fleet(facts).split('<tbody id="rows" role="rowgroup">')[1].split("</tbody>")[0]
    assert Reader(body).rows == SHOWN
    assert re.findall(r'role="rowheader"><a href="[^"]+">([^<]+)<', body) == [line.id for line in facts.assets[:SHOWN]]


def test_tiles_count_assets_by_state(make_fleet: MakeFleet) -> None:
    page = render_fleet(make_fleet(300))
    counts = dict(re.findall(r'data-kind="state" data-value="(\w+)"[^>]*>\s*<b>([\d,]+)</b>', page))
    assert counts == {"alarm": "18", "pending": "6", "unknown": "0", "silenced": "6", "ok": "270"}
    assert "12 critical · 6 warning" in page


def test_news_are_counted_and_link_to_assets_that_have_a_page(make_fleet: MakeFleet) -> None:
    facts = make_fleet(30)
    page = render_fleet(facts)
    assert "Since yesterday" in page
    assert '<span class="opened">1 alarm opened</span> · <span class="gone">1 asset gone</span>' in page
    assert "<b>P-gone</b> not in the fleet table any more" in page
    assert "nothing to compare with" in render_fleet(replace(facts, first=True))
    assert "nothing changed" in render_fleet(replace(facts, news=()))


def test_names_and_reasons_cannot_leave_their_place(make_fleet: MakeFleet) -> None:
    page = render_fleet(make_fleet(30, rename={0: HOSTILE, 1: '"><img src=x onerror=alert(1)>'}, reason=HOSTILE))
    seen = Reader(page)
    assert len(seen.scripts) == 2
    assert json.loads(seen.scripts[0])["rows"]
    assert seen.scripts[1] == source("templates/fleet.js")
    assert seen.handlers == []
    assert "<img" not in page
    assert HOSTILE in [row[0] for row in rows_of(page)]


def test_a_runbook_that_is_no_link_is_text(make_fleet: MakeFleet) -> None:
    facts = make_fleet(10)
    line = facts.assets[0]
    checks = tuple(replace(check, runbook="javascript:alert(1)") for check in line.checks)
    page = render_fleet(replace(facts, assets=(replace(line, checks=checks), *facts.assets[1:])))
    assert not any(link.startswith("javascript") for link in Reader(page).links)
    assert '<span class="runbook">javascript:alert(1)</span>' in page


@pytest.mark.parametrize("count", [0, 1])
def test_small_fleets_have_a_page_too(make_fleet: MakeFleet, count: int) -> None:
    page = render_fleet(make_fleet(1) if count else replace(make_fleet(1), assets=(), models=(), news=()))
    assert f"{count} asset{'' if count == 1 else 's'}" in page


def test_attributes_with_few_values_are_chosen_others_are_written(make_fleet: MakeFleet) -> None:
    page = render_fleet(make_fleet(60))
    assert '<select data-attribute="0"><option value="">any</option><option>BR</option><option>GB</option>' in page
    assert 'data-attribute="1" data-kind="text"' in page
    assert 'data-attribute="2" data-kind="number"' in page


def test_ten_thousand_assets_stay_small(make_fleet: MakeFleet) -> None:
    assert len(render_fleet(make_fleet(10_000)).encode()) < 3_000_000


@given(st.text())
def test_json_in_a_page_is_what_went_in(text: str) -> None:
    written = embedded({"a": [text, None, 1.5]})
    assert json.loads(written) == {"a": [text, None, 1.5]}
    assert not set("<>&'") & set(written)
