"""Rules: votes open an alarm, calm windows close it, known work silences it, a new version starts anew."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.monitor_section import Monitor
from datadriver.config.values import Votes
from datadriver.data.window import Window
from datadriver.monitoring.facts import Fact, Subject
from datadriver.monitoring.rules import Memory, Terms, fold, is_watched, terms

SUBJECT = Subject("P-1", "P-1", "wear")
OUTCOMES = {"o": "ok", "n": "ok", "b": "breach", "u": "unknown"}


def window(place):
    return Window(100 * place, 100 * (place + 1))


def facts(letters, *, first=0, versions=None):
    """One fact per letter: o ok, n ok but near the limit, b breach, u unknown."""
    return [
        Fact(
            SUBJECT,
            "drift",
            window(first + place),
            OUTCOMES[letter],
            value=0.3,
            limit=0.2,
            reason="PSI 0.3" if letter == "b" else "no rows" if letter == "u" else "",
            version=1 if versions is None else versions[place],
            spare={"o": 0.5, "n": 0.05, "b": -0.5, "u": None}[letter],
        )
        for place, letter in enumerate(letters)
    ]


def states(letters, rule=None, silent=()):
    silences = {window(place): "maintenance" for place in silent}
    return [one.state for one in fold(facts(letters), rule or Terms(), silent=silences).judged]


def spans(letters, rule=None, *, silent=(), versions=None):
    """Alarms as (window that opened, window that closed)."""
    silences = {window(place): "maintenance" for place in silent}
    found = fold(facts(letters, versions=versions), rule or Terms(), silent=silences).alarms
    return [(one.opened // 100 - 1, None if one.closed is None else one.closed // 100 - 1) for one in found]


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("bb", []),
        ("bbb", [(2, None)]),
        ("boboob", []),
        ("bobob", [(4, None)]),
        ("bbbo", [(2, None)]),
        ("bbboo", [(2, 4)]),
        ("bbbobo", [(2, None)]),
        ("bbbnn", [(2, None)]),
        ("bbbon", [(2, None)]),
        ("bbbnoo", [(2, 5)]),
        ("bubub", [(4, None)]),
        ("bbbouo", [(2, 5)]),
        ("uuuuu", []),
        ("bbooob", []),
    ],
)
def test_three_of_five_open_an_alarm_and_two_calm_windows_in_a_row_close_it(letters, expected):
    assert spans(letters) == expected


def test_unknown_windows_take_no_place_among_the_votes_and_break_no_row():
    assert spans("b" + "u" * 40 + "b" + "u" * 40 + "b") == [(82, None)]
    assert states("buo") == ["pending", "unknown", "ok"]
    assert states("bbbu")[-1] == "alarm"


def test_after_a_close_the_breaches_before_it_still_vote():
    # Two windows of calm do not make a machine that breaches every third day a quiet one.
    assert spans("bbboob") == [(2, 4), (5, None)]


def test_known_work_opens_nothing_and_closes_nothing():
    assert spans("bbb", silent=(2,)) == []
    assert states("bbb", silent=(2,))[-1] == "silenced"
    assert spans("bbboo", silent=(3, 4)) == [(2, None)]
    assert states("bbboo", silent=(3, 4))[-2:] == ["silenced", "silenced"]
    assert spans("bbbb", silent=(2,)) == [(3, None)]
    assert states("o", silent=(0,)) == ["ok"]


def test_a_new_champion_starts_the_votes_anew_and_closes_the_alarm():
    found = fold(facts("bbbb", versions=[1, 1, 1, 2]), Terms())
    assert [(one.opened, one.closed, one.close_reason) for one in found.alarms] == [
        (300, 400, "version 2 is champion now")
    ]
    assert found.judged[-1].state == "pending"
    assert found.judged[-1].memory == Memory("b", None, 2)
    assert spans("bbb", versions=[1, 1, 2]) == []
    # Even while known work goes on: the version that the alarm was about does not serve any more.
    assert spans("bbbb", versions=[1, 1, 1, 2], silent=(3,)) == [(2, 3)]


def test_reasons_carry_the_figure_and_the_votes():
    found = fold(facts("bbbo"), Terms())
    assert [one.reason for one in found.judged[:3]] == [
        "PSI 0.3 (1 of the 3 windows that make an alarm)",
        "PSI 0.3 (2 of the 3 windows that make an alarm)",
        "PSI 0.3",
    ]
    assert found.alarms[0].reason == "PSI 0.3 (3 of the last 3 windows)"
    assert "the alarm closes after 2 windows in a row with 10% to spare" in found.judged[3].reason
    silent = fold(facts("b"), Terms(), silent={window(0): "maintenance, 2026-03-01 06:00 UTC"})
    assert silent.judged[0].reason == "PSI 0.3 (silenced: maintenance, 2026-03-01 06:00 UTC)"
    once = fold(facts("b"), Terms(votes=Votes(1, 1)))
    assert once.alarms[0].reason == "PSI 0.3"


def test_checks_say_for_themselves_what_the_section_says_for_all():
    monitor = Monitor.model_validate(
        {
            "checks": {
                "freshness": {"when": "1 of 1", "owner": "field", "then": ["notify", "retrain"]},
                "drift": {"severity": "info"},
            },
            "alarm": {"when": "4 of 6", "owner": "lab", "runbook": "https://wiki/x"},
        }
    )
    assert terms(monitor, "freshness") == Terms(
        Votes(1, 1), severity="critical", owner="field", runbook="https://wiki/x", then=("notify", "retrain")
    )
    drift = terms(monitor, "drift")
    assert (drift.votes, drift.severity, drift.owner, drift.then) == (
        Votes(4, 6),
        "info",
        "lab",
        ("retrain", "notify"),
    )
    assert terms(monitor, "completeness").then == ("notify",)
    assert terms(monitor, "alarms").then == ("notify",)


def test_a_check_may_be_for_some_models_only_and_a_grid_stands_for_its_variants():
    monitor = Monitor.model_validate({"checks": {"drift": {"models": ["failure", "wear"]}, "alarms": None}})
    assert is_watched(monitor, "drift", "failure[horizon=3d]")
    assert is_watched(monitor, "drift", "wear")
    assert not is_watched(monitor, "drift", "behaviour")
    assert is_watched(monitor, "score_drift", "behaviour")
    assert not is_watched(monitor, "alarms", "wear")
    assert not is_watched(monitor, "gaps", "")


histories = st.text("onbu", min_size=1, max_size=60)
rules = st.builds(
    lambda needed, more, clear, margin: Terms(Votes(needed, needed + more), clear, margin),
    st.integers(1, 4),
    st.integers(0, 4),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.1]),
)
works = st.sets(st.integers(0, 59))
versions = st.lists(st.sampled_from([1, 1, 1, 2]), min_size=60, max_size=60).map(sorted)


@given(histories, rules, works, versions, st.integers(0, 60))
def test_folding_in_parts_equals_folding_at_once(letters, rule, silent, champion, cut):
    all_facts = facts(letters, versions=champion)
    silences = {window(place): "work" for place in silent}
    whole = fold(all_facts, rule, silent=silences)
    first = fold(all_facts[:cut], rule, silent=silences)
    memory = first.judged[-1].memory if first.judged else Memory()
    second = fold(all_facts[cut:], rule, memory, silences)
    assert first.judged + second.judged == whole.judged
    # The alarm that is open at the cut is in both parts; the second says how it ended.
    again = memory.since is not None
    joined = list(first.alarms)
    if again:
        joined[-1] = replace(second.alarms[0], reason=joined[-1].reason)
    assert [*joined, *second.alarms[again:]] == list(whole.alarms)


@given(histories, rules, works, versions)
def test_alarms_never_overlap_open_on_a_breach_and_close_on_calm_or_a_new_version(letters, rule, silent, champion):
    all_facts = facts(letters, versions=champion)
    found = fold(all_facts, rule, silent={window(place): "work" for place in silent})
    ends = {fact.window.end: place for place, fact in enumerate(all_facts)}
    before = None
    for span in found.alarms:
        opened = ends[span.opened]
        assert letters[opened] == "b"
        assert opened not in silent
        assert before is None or before <= span.opened
        before = span.closed
        if span.closed is None:
            assert span is found.alarms[-1]
            continue
        closed = ends[span.closed]
        if "champion" in span.close_reason:
            assert champion[closed] != champion[closed - 1]
            continue
        assert closed not in silent
        near = "n" if rule.margin else ""
        said = [
            letters[place] for place in range(opened, closed + 1) if place not in silent and letters[place] in "onb"
        ]
        assert len(said) > rule.clear
        assert all(one != "b" and one not in near for one in said[-rule.clear :])


@given(histories, rules, works)
def test_a_state_is_an_alarm_exactly_while_one_is_open_and_not_silenced(letters, rule, silent):
    found = fold(facts(letters), rule, silent={window(place): "work" for place in silent})
    for place, one in enumerate(found.judged):
        end = one.fact.window.end
        is_open = any(span.opened <= end and (span.closed is None or span.closed > end) for span in found.alarms)
        assert (one.memory.since is not None) == is_open
        if place in silent:
            assert one.state == ("silenced" if is_open or letters[place] == "b" else OUTCOMES[letters[place]])
        elif is_open:
            assert one.state == "alarm"
        else:
            assert one.state == {"b": "pending", "u": "unknown"}.get(letters[place], "ok")


@given(st.text("onbus", max_size=2000), rules)
def test_what_is_remembered_stays_small(letters, rule):
    places = {place for place, letter in enumerate(letters) if letter == "s"}
    found = fold(facts(letters.replace("s", "b")), rule, silent={window(place): "work" for place in places})
    assert all(len(one.memory.recent) <= 14 + max(rule.votes.of, rule.clear) for one in found.judged)


def test_windows_may_be_times():
    day = Window(pd.Timestamp("2026-03-01", tz="UTC"), pd.Timestamp("2026-03-02", tz="UTC"))
    fact = replace(facts("b")[0], window=day)
    assert fold([fact], Terms(votes=Votes(1, 1))).alarms[0].opened == day.end
