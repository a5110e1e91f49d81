"""The timetable beside brute force: a cron text is matched minute by minute, on every clock change, too."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pendulum
import pytest
from airflow.exceptions import AirflowTimetableInvalid
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from hypothesis import given
from hypothesis import strategies as st

from datadriver.orchestration.airflow.timetables import OffsetCronTimetable

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ZONES = ["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Sydney"]
CRONS = ["* * * * *", "*/15 * * * *", "30 * * * *", "@hourly", "0 */6 * * *", "15,45 1-4 * * *", "30 2 * * *"]
CRONS += ["0 3 * * 0", "@daily", "@weekly", "0 3 * * 1,4"]
DAYS = st.one_of(  # clocks change on the last Sundays of March and October, and about there elsewhere
    st.dates(date(2024, 3, 8), date(2024, 4, 8)),
    st.dates(date(2024, 10, 4), date(2024, 11, 5)),
    st.dates(date(2021, 1, 1), date(2027, 12, 31)),
)
INSTANTS = st.builds(
    lambda day, minutes: datetime(day.year, day.month, day.day, tzinfo=UTC) + minutes * MINUTE,
    DAYS,
    st.integers(0, 24 * 60 - 1),
)
OFFSETS = st.one_of(st.just(0), st.integers(0, 3600), st.integers(0, 100_000))
PRESETS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0"}


def values(field: str, highest: int) -> set[int]:
    """Read one field of a cron text."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = ("0", "", str(highest)) if span == "*" else span.partition("-")
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


def ticks(cron: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """Return the instants that a cron text means in `[start, end)`.

    An hour that is there twice counts once, unless the text means every hour; of one that is left out, what would be
    in it is an hour later.
    """
    fields = PRESETS.get(cron, cron).split(" ")
    every_hour = fields[1] == "*"
    minutes, hours, weekdays = values(fields[0], 59), values(fields[1], 23), values(fields[4], 6)
    found = set()
    for number in range(int((end - start + 2 * DAY) / MINUTE)):
        instant = start - DAY + number * MINUTE
        if every_hour:
            local = instant.astimezone(ZoneInfo(zone))
        else:
            local = instant.replace(tzinfo=ZoneInfo(zone))  # a wall clock without changes
            instant = local.astimezone(UTC)
        if (
            local.minute in minutes
            and local.hour in hours
            and local.isoweekday() % 7 in weekdays
            and start <= instant < end
        ):
            found.add(instant)
    return sorted(found)


def same_hour_twice(one: datetime, zone: str) -> datetime:
    """Return the earlier of the two instants that a wall clock shows alike, else the instant."""
    return one.astimezone(ZoneInfo(zone)).replace(fold=0).astimezone(UTC)


def chain(
    timetable: OffsetCronTimetable, earliest: datetime, latest: datetime, *, last: DataInterval | None = None
) -> Iterator[DagRunInfo]:
    """Return the runs of a backfill, as Airflow asks for them."""
    restriction = TimeRestriction(pendulum.instance(earliest), pendulum.instance(latest), catchup=True)
    while info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction):
        assert info.data_interval is not None
        last = info.data_interval
        yield info


@given(cron=st.sampled_from(CRONS), zone=st.sampled_from(ZONES), start=INSTANTS, days=st.integers(1, 4), offset=OFFSETS)
def test_a_backfill_has_the_intervals_of_the_cron_text_each_once(
    cron: str, zone: str, start: datetime, days: int, offset: int
) -> None:
    span = 6 * HOUR if cron.startswith("*") else days * DAY
    timetable = OffsetCronTimetable(cron, zone, offset=offset)
    runs = list(chain(timetable, start, start + span))
    intervals = [run.data_interval for run in runs if run.data_interval]
    assert all(one.end == after.start for one, after in itertools.pairwise(intervals))
    assert all(one.start < one.end for one in intervals)
    assert all(run.run_after - one.end == timedelta(seconds=offset) for run, one in zip(runs, intervals, strict=True))
    every_hour = PRESETS.get(cron, cron).split(" ")[1] == "*"
    starts = [one.start if every_hour else same_hour_twice(one.start, zone) for one in intervals]
    expected = ticks(cron, zone, start, start + span + MINUTE)
    assert starts == (expected if every_hour else [same_hour_twice(one, zone) for one in expected])


@given(
    cron=st.sampled_from([text for text in CRONS if not text.startswith("*")]),
    zone=st.sampled_from(ZONES),
    deployed=INSTANTS,
    offset=OFFSETS,
    steps=st.lists(st.tuples(st.integers(1, 90), st.booleans()), min_size=1, max_size=60),
)
def test_whenever_airflow_looks_each_interval_has_one_run_when_it_is_due(
    cron: str, zone: str, deployed: datetime, offset: int, steps: list[tuple[int, bool]]
) -> None:
    """The DAG processor asks at every look at the file, the scheduler after each run: in any order, at any time."""
    timetable, now, planned = OffsetCronTimetable(cron, zone, offset=offset), deployed, None
    restriction = TimeRestriction(pendulum.datetime(2000, 1, 1), None, catchup=False)
    done: list[DataInterval] = []
    timetable.clock = lambda: now

    def ask() -> DagRunInfo:
        found = timetable.next_dagrun_info(
            last_automated_data_interval=done[-1] if done else None, restriction=restriction
        )
        assert found is not None
        return found

    planned = ask()
    assert planned.run_after > deployed, "nothing runs at once"
    for minutes, processor_first in steps:
        now += minutes * MINUTE
        if processor_first:
            planned = ask()
        while planned.run_after <= now:
            assert planned.data_interval is not None
            done.append(planned.data_interval)
            planned = ask()
    assert all(one.end + timedelta(seconds=offset) <= now for one in done)
    # Nobody was away for longer than the shortest of these intervals, so none was passed over.
    longest = max(minutes for minutes, _ in steps) * MINUTE
    for one, after in itertools.pairwise(done):
        assert one.end <= after.start
        assert one.end == after.start or longest > after.end - after.start


def test_a_first_run_that_is_due_is_not_passed_over_before_the_scheduler_has_made_it() -> None:
    timetable, now = OffsetCronTimetable("0 3 * * 0", "UTC"), datetime(2026, 3, 4, 12, tzinfo=UTC)
    timetable.clock = lambda: now
    restriction = TimeRestriction(pendulum.datetime(2000, 1, 1), None, catchup=False)
    answers = []
    for later in (timedelta(0), 4 * DAY, 5 * DAY, 12 * DAY):
        now = datetime(2026, 3, 4, 12, tzinfo=UTC) + later
        answers.append(timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction))
    due = datetime(2026, 3, 8, 3, tzinfo=UTC)
    assert [one.run_after for one in answers if one] == [due, due, due, due + 14 * DAY], "then it had been paused"


def test_the_first_run_is_not_before_the_start_of_the_dag_and_none_is_after_its_end() -> None:
    timetable = OffsetCronTimetable("@daily", "Europe/Paris", offset=600)
    timetable.clock = lambda: datetime(2026, 3, 4, 12, tzinfo=UTC)
    start = pendulum.datetime(2026, 5, 1, tz="Europe/Paris")
    first = timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(start, None, catchup=False)
    )
    assert first == DagRunInfo(start.add(days=1, minutes=10), DataInterval(start, start.add(days=1)))
    ended = TimeRestriction(None, pendulum.datetime(2026, 1, 1), catchup=False)
    assert timetable.next_dagrun_info(last_automated_data_interval=None, restriction=ended) is None


def test_after_a_pause_only_the_latest_interval_is_made_up_for() -> None:
    timetable = OffsetCronTimetable("@hourly", "UTC", offset=1200)
    timetable.clock = lambda: datetime(2026, 3, 4, 12, 10, tzinfo=UTC)
    last = DataInterval(pendulum.datetime(2026, 3, 1, 4), pendulum.datetime(2026, 3, 1, 5))
    restriction = TimeRestriction(pendulum.datetime(2000, 1, 1), None, catchup=False)
    info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
    assert info is not None
    assert info.data_interval == (pendulum.datetime(2026, 3, 4, 10), pendulum.datetime(2026, 3, 4, 11))
    assert info.run_after == pendulum.datetime(2026, 3, 4, 11, 20), "that of 11 to 12 is due at 12:20"


def test_a_run_by_hand_has_the_last_interval_that_is_over() -> None:
    timetable = OffsetCronTimetable("@hourly", "UTC", offset=1200)
    interval = timetable.infer_manual_data_interval(run_after=pendulum.datetime(2026, 3, 4, 12, 10))
    assert interval == (pendulum.datetime(2026, 3, 4, 11), pendulum.datetime(2026, 3, 4, 12))


def test_airflow_stores_and_restores_it_as_the_same_object_each_time() -> None:
    timetable = OffsetCronTimetable("0 3 * * 0", "Europe/Paris", offset=90, dag_id="pumps__P-1__train")
    stored = encode_timetable(timetable)
    restored = decode_timetable(stored)
    assert restored == timetable
    assert encode_timetable(restored) == stored
    assert decode_timetable(stored) is restored
    other = OffsetCronTimetable("0 3 * * 0", "Europe/Paris", offset=91, dag_id="pumps__P-1__train")
    assert other != timetable
    assert decode_timetable(encode_timetable(other)) != restored


def test_it_says_its_text_and_offset() -> None:
    timetable = OffsetCronTimetable("0 3 * * 0", "UTC", offset=754)
    assert timetable.summary == "0 3 * * 0 (+0:12:34)"
    assert OffsetCronTimetable("@daily").summary == "0 0 * * *"
    assert timetable.description == "At 03:00, only on Sunday"


def test_a_text_that_is_no_cron_is_an_error_of_its_dag() -> None:
    with pytest.raises(AirflowTimetableInvalid, match="columns"):
        OffsetCronTimetable("every day").validate()
