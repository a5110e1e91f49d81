"""Figures that are added to runs later, in MLflow's tables, of many runs at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import sqlalchemy as sa
from mlflow.store.tracking.dbmodels import models

from datadriver.tracking.bulk_database import Row, insert
from datadriver.tracking.bulk_rows import table
from datadriver.tracking.writer import Figure

_RUNS, _METRICS, _LATEST = table(models.SqlRun), table(models.SqlMetric), table(models.SqlLatestMetric)
_NEWER = ("step", "timestamp", "value")
_AT_ONCE = 500  # runs in one statement


def add_figures(connection: sa.Connection, figures: Mapping[str, Sequence[Figure]]) -> frozenset[str]:
    """Add figures to runs and return those that were there to take them; what a run has already stays once.

    As in MLflow, the latest value of a metric is the one of the greatest step, then time, then value.
    """
    there = _active(connection, figures)
    rows = [row for run_id in sorted(there) for row in _rows(run_id, figures[run_id])]
    latest: dict[tuple[object, object], Row] = {}
    for row in rows:
        key = row["run_uuid"], row["key"]
        if key not in latest or _order(latest[key]) < _order(row):
            latest[key] = row
    insert(connection, _METRICS, rows, skip=True)
    insert(connection, _LATEST, list(latest.values()), replace=(*_NEWER, "is_nan"), newer=_NEWER)
    return there


def _active(connection: sa.Connection, runs: Collection[str]) -> frozenset[str]:
    statement = sa.select(_RUNS.c.run_uuid).where(_RUNS.c.lifecycle_stage == "active")
    found: set[str] = set()
    for some in _chunks(runs):
        found.update(connection.execute(statement.where(_RUNS.c.run_uuid.in_(some))).scalars())
    return frozenset(found)


def _chunks(runs: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(runs)
    return (ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE))


def _rows(run_id: str, figures: Iterable[Figure]) -> Iterator[Row]:
    for figure in figures:
        yield {
            "key": figure.name,
            "value": figure.value,
            "timestamp": figure.at,
            "step": figure.step,
            "is_nan": False,
            "run_uuid": run_id,
        }


def _order(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in _NEWER)
