"""What pages learn from elsewhere than the ledger: limits of the contract, tables of events, trends over the fleet."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datadriver.config.fleet import Asset
from datadriver.config.sections import Contract, UseCase
from datadriver.data.window import Window
from datadriver.errors import ConfigError
from datadriver.reporting.bands import Bound, contract_bounds
from datadriver.reporting.events import event_sources, read_marks
from datadriver.reporting.trends import trends

ASSETS = (Asset("P-1", {"country": "NO"}), Asset("007", {}), Asset("15/9-F-1 C", {}))
MARCH = Window(pd.Timestamp("2026-03-01", tz="UTC"), pd.Timestamp("2026-04-01", tz="UTC"))


def suite(root: Path, *expectations: dict) -> Contract:
    (root / "suite.json").write_text(json.dumps({"name": "s", "expectations": list(expectations)}))
    return Contract(suite="suite.json", parameters={"hottest": 165})


def expected(kind: str, **kwargs: object) -> dict:
    return {"type": kind, "kwargs": kwargs, "severity": "warning"}


def test_limits_of_values_come_from_the_suite_with_parameters_filled_in(tmp_path):
    contract = suite(
        tmp_path,
        expected(
            "expect_column_values_to_be_between",
            column="t",
            min_value=20,
            max_value={"$PARAMETER": "hottest"},
            mostly=0.99,
        ),
        expected("expect_column_max_to_be_between", column="t", min_value=1, max_value=170),
        expected("expect_column_mean_to_be_between", column="t", min_value=50, max_value=60),
    )
    assert contract_bounds(contract, tmp_path)["t"] == (
        Bound(20.0, "below", "warning", 0.99),
        Bound(165.0, "above", "warning", 0.99),
        Bound(170.0, "above", "warning"),
    )


def test_a_cohort_with_other_parameters_has_other_limits(tmp_path):
    contract = suite(
        tmp_path, expected("expect_column_max_to_be_between", column="t", max_value={"$PARAMETER": "hottest"})
    )
    other = contract.model_copy(update={"parameters": {"hottest": 172}})
    assert contract_bounds(contract, tmp_path)["t"][0].at == 165
    assert contract_bounds(other, tmp_path)["t"][0].at == 172


def test_a_suite_that_changed_is_read_again(tmp_path):
    contract = suite(tmp_path, expected("expect_column_max_to_be_between", column="t", max_value=1))
    assert contract_bounds(contract, tmp_path)["t"][0].at == 1
    suite(tmp_path, expected("expect_column_max_to_be_between", column="t", max_value=2))
    file = tmp_path / "suite.json"

    os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + 1))
    assert contract_bounds(contract, tmp_path)["t"][0].at == 2


def test_a_broken_suite_is_an_error_of_configuration(tmp_path):
    with pytest.raises(ConfigError, match="no such suite file"):
        contract_bounds(Contract(suite="nowhere.json"), tmp_path)


def usecase(**sources: dict) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "tiny",
            "fleet": {"assets": "fleet.csv"},
            "data": {"sources": {"sensors": {"path": "{asset_id}.parquet", "index": "ts"}, **sources}},
            "models": {
                "failure": {
                    "problem": "classification",
                    "target": {"events": "failures", "horizon": "1d"},
                    "estimator": "m:e",
                    "baseline": "m:b",
                }
            },
            "monitor": {"silence": [{"source": "work", "lasting": "1d"}]},
        }
    )


FAILURES = {"path": "failures.csv", "asset": "pump", "index": "at", "join": "none"}
WORK = {"path": "work.csv", "asset": "pump", "index": "at", "join": "asof", "tags": {"kind": {"type": "text"}}}


def test_events_are_tables_outside_of_the_frame_and_those_that_silence():
    assert event_sources(usecase(failures=FAILURES, work=WORK)) == {"failures": True, "work": False}


def test_events_come_by_asset_oldest_first_and_ids_stay_as_they_are(tmp_path):
    (tmp_path / "failures.csv").write_text(
        "at,pump,mode,hours\n2026-03-09T00:00:00Z,007,seal,\n2026-03-02T00:00:00Z,007,bearing,12.5\n"
        "2026-03-03T00:00:00Z,15/9-F-1 C,shaft,1\n2026-02-01T00:00:00Z,P-1,seal,1\n2026-03-03T00:00:00Z,other,seal,1\n"
    )
    marks = read_marks(usecase(failures=FAILURES), ASSETS, tmp_path, MARCH)
    assert marks.notes == ()
    assert {asset: [mark.text for mark in some] for asset, some in marks.of.items()} == {
        "007": ["mode: bearing, hours: 12.5", "mode: seal"],
        "15/9-F-1 C": ["mode: shaft, hours: 1"],
    }
    first = marks.of["007"][0]
    assert (first.at, first.source, first.grave) == (1772409600 * 10**6, "failures", True)


def test_only_declared_tags_of_a_table_are_told(tmp_path):
    (tmp_path / "failures.csv").write_text("at,pump\n")
    (tmp_path / "work.csv").write_text("at,pump,kind,cost\n2026-03-02T00:00:00Z,P-1,visit,900\n")
    marks = read_marks(usecase(failures=FAILURES, work=WORK), ASSETS, tmp_path, MARCH)
    assert [mark.text for mark in marks.of["P-1"]] == ["kind: visit"]
    assert not marks.of["P-1"][0].grave


def test_a_table_that_cannot_be_read_costs_its_marks_and_is_noted(tmp_path):
    (tmp_path / "work.csv").write_text("at,pump,kind\n2026-03-02T00:00:00Z,P-1,visit\n")
    marks = read_marks(usecase(failures=FAILURES, work=WORK), ASSETS, tmp_path, MARCH)
    assert [mark.source for mark in marks.of["P-1"]] == ["work"]
    (note,) = marks.notes
    assert note.startswith("Events of 'failures' are not shown: ")


def test_events_in_a_file_per_asset_are_read_where_there_is_one(tmp_path):
    (tmp_path / "P-1.events.csv").write_text("at,mode\n2026-03-05T00:00:00Z,seal\n")
    own = {"path": "{asset_id}.events.csv", "index": "at", "join": "none"}
    marks = read_marks(usecase(failures=own), ASSETS, tmp_path, MARCH)
    assert {asset: [mark.text for mark in some] for asset, some in marks.of.items()} == {"P-1": ["mode: seal"]}


def rows(*outcomes: tuple[str, float]) -> pd.DataFrame:
    start = pd.Timestamp("2026-03-01", tz="UTC")
    return pd.DataFrame(
        {
            "asset_id": [f"P-{number}" for number in range(len(outcomes))],
            "model": "wear",
            "check": "drift",
            "window_start": start,
            "window_end": start + pd.Timedelta(days=1),
            "outcome": [outcome for outcome, _ in outcomes],
            "value": [value for _, value in outcomes],
            "limit": 0.2,
            "measure": "PSI",
        }
    )


def test_trends_count_the_judged_the_breaches_and_the_unknown():
    (trend,) = trends(rows(("ok", 0.1), ("breach", 0.3), ("unknown", np.nan), ("ok", 0.2)))["wear"]
    assert (trend.judged.tolist(), trend.breaches.tolist(), trend.unknown.tolist()) == ([3], [1], [1])
    assert trend.middle.tolist() == [pytest.approx(0.2)]
    assert (trend.at - trend.start).tolist() == [86400 * 10**6]


def test_trends_of_steps_count_in_steps():
    facts = rows(("ok", 0.1)).assign(window_start=100, window_end=200)
    (trend,) = trends(facts)["wear"]
    assert (trend.start.tolist(), trend.at.tolist()) == ([100], [200])


def test_assets_with_different_limits_are_compared_relative_to_them():
    facts = rows(("ok", 0.1), ("breach", 0.8), ("ok", 1.0)).assign(limit=[0.2, 0.4, 2.0])
    (trend,) = trends(facts)["wear"]
    assert trend.relative
    assert (trend.middle.tolist(), trend.limit.tolist(), trend.side) == ([0.5], [1.0], "above")


def test_a_metric_that_is_better_when_greater_breaches_below():
    facts = rows(("ok", 0.9), ("breach", 0.3)).assign(limit=[0.6, 0.5])
    (trend,) = trends(facts)["wear"]
    assert trend.side == "below"


def test_checks_of_data_have_no_trend():
    assert trends(rows(("ok", 0.1)).assign(model="")) == {}
