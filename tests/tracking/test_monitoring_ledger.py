"""What the ledger keeps of monitoring, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from datadriver.tracking import history
from datadriver.tracking.announcements import announce
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import Alarm, CheckState, RetrainRequest
from datadriver.tracking.monitoring import (
    CheckKey,
    MonitorResult,
    alarms,
    check_keys,
    check_states,
    open_requests,
    record_monitoring,
)
from datadriver.tracking.records import Key, Outcome

KEY = CheckKey("15/9-F-1 C", "type=ESP", "failure[horizon=3d]", "drift")


def day(number: int) -> str:
    return f"2026-03-{number:02}T00:00:00.000000+00:00"


def state(batch: str, number: int = 5, **changes: object) -> CheckState:
    found = CheckState(
        *KEY, "alarm", "breach", "warning", day(number - 1), day(number), value=0.31, rows=144, batch=batch
    )
    return replace(found, recent="bbb", since=day(number), version=2, **changes)


def alarm(batch: str, opened: int = 5, **changes: object) -> Alarm:
    return replace(Alarm(0, *KEY, "warning", day(opened), "PSI 0.31", batch=batch), **changes)


def request(batch: str) -> RetrainRequest:
    return RetrainRequest(KEY.unit, KEY.model, "PSI 0.31", KEY.asset, KEY.check, day(5), batch)


@pytest.fixture
def batch(ledger: Ledger) -> str:
    return ledger.start_batch("monitor").id


def test_the_same_again_changes_nothing(ledger: Ledger, batch: str) -> None:
    result = MonitorResult(batch, [KEY.asset], [state(batch)], [alarm(batch)], {}, {}, [request(batch)])
    first = record_monitoring(ledger, result)
    assert [one.reason for one in first.opened] == ["PSI 0.31"]
    assert first.opened == alarms(ledger)
    before = check_states(ledger), alarms(ledger), open_requests(ledger)
    again = record_monitoring(ledger, result)
    assert (again.opened, again.closed, again.requests) == ((), (), ())
    assert alarms(ledger) == before[1]
    assert open_requests(ledger) == before[2]
    assert replace(check_states(ledger)[KEY], at="") == state(batch) == replace(before[0][KEY], at="")
    assert {key.asset: one.window_end for key, one in check_states(ledger).items()} == {KEY.asset: day(5)}
    assert check_keys(ledger) == (KEY,)


def test_an_alarm_gets_its_end_and_loses_it_when_judged_again(ledger: Ledger, batch: str) -> None:
    record_monitoring(ledger, MonitorResult(batch, alarms=[alarm(batch)]))
    ended = alarm(batch, reason="", closed=day(8), close_reason="calm")
    closed = record_monitoring(ledger, MonitorResult(batch, alarms=[ended])).closed
    assert [(one.reason, one.closed, one.close_reason) for one in closed] == [("PSI 0.31", day(8), "calm")]
    assert closed[0].closed_at is not None
    assert alarms(ledger, only_open=True) == ()
    record_monitoring(ledger, MonitorResult(batch, alarms=[alarm(batch)]))
    assert [(one.closed, one.close_reason, one.closed_at) for one in alarms(ledger)] == [(None, "", None)]


def test_judged_again_an_alarm_without_a_reason_is_withdrawn_and_those_before_stay(ledger: Ledger, batch: str) -> None:
    record_monitoring(ledger, MonitorResult(batch, alarms=[alarm(batch, 3), alarm(batch, 9)]))
    found = record_monitoring(ledger, MonitorResult(batch, judged_again={KEY: day(5)}))
    assert [(one.opened, one.closed) for one in found.closed] == [(day(9), day(9))]
    assert record_monitoring(ledger, MonitorResult(batch, judged_again={KEY: day(5)})).closed == ()
    assert [one.opened for one in alarms(ledger, only_open=True)] == [day(3)]


def test_a_retired_check_closes_its_alarm_in_its_newest_window_and_its_state_goes(ledger: Ledger, batch: str) -> None:
    record_monitoring(ledger, MonitorResult(batch, states=[state(batch, 7)], alarms=[alarm(batch)]))
    found = record_monitoring(ledger, MonitorResult(batch, retired={KEY: "gone"}))
    assert [(one.closed, one.close_reason) for one in found.closed] == [(day(7), "gone")]
    assert check_states(ledger) == {}


def test_any_outcome_answers_a_request(ledger: Ledger, batch: str) -> None:
    record_monitoring(ledger, MonitorResult(batch, requests=[request(batch)]))
    key = Key(KEY.unit, KEY.model)
    assert [one.reason for one in open_requests(ledger)[key]] == ["PSI 0.31"]
    ledger.record_result(Outcome(batch, key.unit, "other", "trained"))
    assert key in open_requests(ledger)
    ledger.record_result(Outcome(batch, key.unit, key.model, "rejected", "too few rows", 3))
    assert open_requests(ledger) == {}


def test_the_ledger_knows_when_an_asset_was_first_looked_at(ledger: Ledger, batch: str) -> None:
    record_monitoring(ledger, MonitorResult(batch, ["P-1"]))
    first = history.looks(ledger)["P-1"]
    record_monitoring(ledger, MonitorResult(batch, ["P-1", "P-2"]))
    found = history.looks(ledger)
    assert found["P-1"].first == first.first < found["P-1"].last
    assert set(found) == {"P-1", "P-2"}


def test_steps_are_ordered_as_numbers(ledger: Ledger, batch: str) -> None:
    early, late = (replace(alarm(batch), opened=one) for one in ("900", "1000"))
    record_monitoring(ledger, MonitorResult(batch, alarms=[early, late]))
    found = record_monitoring(ledger, MonitorResult(batch, judged_again={KEY: "950"}))
    assert [one.opened for one in found.closed] == ["1000"]


def test_a_request_is_announced_once_and_to_the_same_asker_again(ledger: Ledger, batch: str) -> None:
    record_monitoring(ledger, MonitorResult(batch, requests=[request(batch)]))
    keys = {request(batch).key}
    assert [one.reason for one in announce(ledger, "run-1", keys)] == ["PSI 0.31"]
    assert announce(ledger, "run-2", keys) == ()
    assert [one.reason for one in announce(ledger, "run-1", keys)] == ["PSI 0.31"]
    assert [one.announced for one in open_requests(ledger)[request(batch).key]] == [1]


def test_what_stays_open_is_announced_again_ever_later_and_at_last_no_more(ledger: Ledger, batch: str) -> None:
    record_monitoring(ledger, MonitorResult(batch, requests=[request(batch)]))
    start = datetime.now(UTC)
    hours = [
        hour
        for hour in range(0, 60 * 24, 6)
        if announce(
            ledger, f"run-{hour}", {request(batch).key},
            at=(start + timedelta(hours=hour)).isoformat(timespec="microseconds"),
        )
    ]  # fmt: skip
    assert hours == [0, 24, 72, 168, 360]


def test_an_answered_request_is_not_announced_any_more_and_a_new_one_is(ledger: Ledger, batch: str) -> None:
    record_monitoring(ledger, MonitorResult(batch, requests=[request(batch)]))
    key = request(batch).key
    announce(ledger, "run-1", {key})
    ledger.record_result(Outcome(batch, *key, "failed", "no rows", 3))
    assert announce(ledger, "run-1", {key}) == ()
    record_monitoring(ledger, MonitorResult(batch, requests=[replace(request(batch), opened=day(9))]))
    assert [one.opened for one in announce(ledger, "run-2", {key})] == [day(9)]


def test_of_two_askers_at_once_one_gets_the_request(ledger: Ledger, batch: str) -> None:
    record_monitoring(ledger, MonitorResult(batch, requests=[request(batch)]))
    with ThreadPoolExecutor(4) as crew:
        answers = list(crew.map(lambda name: announce(ledger, name, {request(batch).key}), ["a", "b", "c", "d"]))
    assert [len(one) for one in sorted(answers, key=len)] == [0, 0, 0, 1]


def test_requests_of_what_is_not_asked_for_wait(ledger: Ledger, batch: str) -> None:
    record_monitoring(ledger, MonitorResult(batch, requests=[request(batch)]))
    assert announce(ledger, "run-1", {Key("P-9", "load")}) == ()
    assert len(announce(ledger, "run-2", {request(batch).key})) == 1
