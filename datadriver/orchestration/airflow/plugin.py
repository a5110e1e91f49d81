"""What Airflow's processes load of datadriver when they start."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from datadriver.orchestration.airflow.timetables import OffsetCronTimetable


class DatadriverPlugin(AirflowPlugin):
    """Makes our timetables known to Airflow."""

    name = "datadriver"
    timetables = [OffsetCronTimetable]  # noqa: RUF012 - so Airflow wants it
