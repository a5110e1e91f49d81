"""Cron with real data intervals and a start of its own for each DAG, cheap to decode.

Airflow makes intervals of zero width of a plain cron text, and decodes a DAG's timetable 16 times whenever it looks at
the file; each time croniter and a describer of cron texts parse the text anew.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Any

import pendulum
from airflow._shared.timezones.timezone import coerce_datetime, utcnow
from airflow.serialization.encoders import encode_timezone
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import DateTime


class OffsetCronTimetable(CronDataIntervalTimetable):
    """Data intervals of a cron text; the run of an interval starts `offset` seconds after its end.

    Intervals touch, whatever the offset: two DAGs of one cron text have the same intervals and start apart.

    The first run of a DAG without `catchup` is of the interval that is open when Airflow first sees the DAG, so nothing
    runs at once, and no DAG of a thousand new ones; every later run is as Airflow has it.

    Attributes:
        clock: tells the time.

    Args:
        cron: five fields or a preset.
        timezone: IANA name of the zone that the text is meant in.
        offset: seconds.
        dag_id: of the one DAG that it is for.
    """

    clock = staticmethod(utcnow)

    def __init__(self, cron: str, timezone: str = "UTC", *, offset: int = 0, dag_id: str = "") -> None:
        # All attributes of the base class come from its two arguments, and take a millisecond.
        self._cron = _base(cron, timezone)
        self.__dict__.update(vars(self._cron))
        self._offset = timedelta(seconds=offset)
        self._dag_id = dag_id
        self._first: DateTime | None = None

    def serialize(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            "cron": self._expression,
            "timezone": encode_timezone(self._timezone),
            "offset": int(self._offset.total_seconds()),
            "dag_id": self._dag_id,
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> OffsetCronTimetable:
        """Return the timetable of these arguments: always the same one in a process, as it remembers its first run."""
        return _known(data["cron"], data["timezone"], data["offset"], data["dag_id"])

    @property
    def summary(self) -> str:
        """The cron text, and the offset as hours and minutes."""
        return f"{self._expression} (+{self._offset})" if self._offset else self._expression

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next interval, and the start of its run."""
        if last_automated_data_interval is None and not restriction.catchup:
            info = self._first_run(restriction)
        else:
            info = super().next_dagrun_info(
                last_automated_data_interval=last_automated_data_interval, restriction=restriction
            )
        return info and info._replace(run_after=info.run_after + self._offset)

    def _first_run(self, restriction: TimeRestriction) -> DagRunInfo | None:
        """Return the interval that is open, and keep to it until it is over and one more.

        Airflow asks at every look at the file until the run is there. An answer that follows the clock would pass over
        an interval that has ended and whose run is only just due, and do so again and again.
        """
        now = self._now()
        if self._first is None or self._get_next(self._get_next(self._first)) <= now:
            self._first = self._align_to_prev(now)
        start = self._not_before(restriction.earliest, self._first)
        if restriction.latest is not None and start > restriction.latest:
            return None
        return DagRunInfo.interval(start=start, end=self._get_next(start))

    def _skip_to_latest(self, earliest: DateTime | None) -> DateTime:
        """Return the start of the latest interval whose run is due.

        With the clock itself, an offset longer than an interval would pass over each of them before its run is due.
        """
        return self._not_before(earliest, self._get_prev(self._align_to_prev(self._now())))

    def _not_before(self, earliest: DateTime | None, start: DateTime) -> DateTime:
        return self._align_to_next(earliest) if earliest is not None and start < earliest else start

    def _now(self) -> DateTime:
        """Return the minute on a clock that is late by the offset: what ends by it is due."""
        return coerce_datetime(self.clock() - self._offset).replace(second=0, microsecond=0)

    def _get_next(self, current: DateTime) -> DateTime:
        return _next(self._cron, current.timestamp())

    def _get_prev(self, current: DateTime) -> DateTime:
        return _previous(self._cron, current.timestamp())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OffsetCronTimetable):
            return NotImplemented
        return self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self._expression, self._offset, self._dag_id))


@lru_cache(maxsize=1024)
def _base(cron: str, timezone: str) -> CronDataIntervalTimetable:
    return CronDataIntervalTimetable(cron, timezone)


@lru_cache(maxsize=100_000)  # all DAGs of a process that looks at them again and again, about 500 bytes each
def _known(cron: str, timezone: str, offset: int, dag_id: str) -> OffsetCronTimetable:
    return OffsetCronTimetable(cron, timezone, offset=offset, dag_id=dag_id)


# The DAGs of a cron text ask for the same few instants: croniter needs 0.1 ms for each, and six of them for a next run.
# An instant is a number here, as of two equal wall times of a day with 25 hours Python takes one for the other.
@lru_cache(maxsize=10_000)
def _next(cron: CronDataIntervalTimetable, current: float) -> DateTime:
    return cron._get_next(pendulum.from_timestamp(current))


@lru_cache(maxsize=10_000)
def _previous(cron: CronDataIntervalTimetable, current: float) -> DateTime:
    return cron._get_prev(pendulum.from_timestamp(current))
