"""One bad asset never stops the fleet, and is never silently dropped."""

from __future__ import annotations

import numpy as np
import pandas as pd

from datadriver.fleet.selection import Selection
from datadriver.project import Project
from datadriver.tracking import queries

BAD_FEATURES = """
import os, signal
import pandas as pd

def load(frame: pd.DataFrame, asset: dict) -> pd.DataFrame:
    match asset["asset_id"] if "asset_id" in asset else asset["tag"]:
        case "RAISES": raise KeyError("flow_rate")
        case "SHAPE": return frame.head(3)
        case "TYPE": return "features"
        case "EXITS": os._exit(3)
        case "KILLED": os.kill(os.getpid(), signal.SIGKILL)
    return frame[["current", "flow"]]
"""

BAD = ("NO-DATA", "TOO-FEW", "FROZEN", "BREACH", "NO-TARGET", "RAISES", "SHAPE", "TYPE", "EXITS", "KILLED")


def test_one_bad_asset_of_each_kind_leaves_the_others_done_and_is_listed_with_its_reason(tiny):
    tiny.guard()
    tiny.edit(tiny.read("src/tiny/features.py"), BAD_FEATURES, "src/tiny/features.py")
    tiny.edit("lookback: 2h", "lookback: 0h")
    names = ("P-1", *BAD, "P-9")
    tiny.edit(tiny.read("fleet.csv"), "asset_id,tag\n" + "".join(f"{name},{name}\n" for name in names), "fleet.csv")
    frames = {name: tiny.rows(name) for name in names if name != "NO-DATA"}
    frames["TOO-FEW"] = frames["TOO-FEW"].head(10)
    frames["FROZEN"]["current"], frames["FROZEN"]["flow"] = 20.0, 5.0
    frames["BREACH"]["flow"] = 900.0
    frames["NO-TARGET"]["temperature"] = np.nan
    tiny.write(pd.concat(frames.values()))

    project = Project.open(tiny.root)
    report = project.run(workers=2)

    outcomes = {outcome.unit: outcome for outcome in report.trained.outcomes}
    assert set(outcomes) == set(names)
    assert {name: (outcome.state, outcome.exit_code) for name, outcome in outcomes.items()} == {
        "P-1": ("trained", 0),
        "P-9": ("trained", 0),
        "FROZEN": ("trained", 0),  # constant sensors are no error; the baseline serves, or a model as good
        "NO-DATA": ("rejected", 3),
        "TOO-FEW": ("rejected", 3),
        "BREACH": ("rejected", 3),
        "NO-TARGET": ("rejected", 3),
        "RAISES": ("failed", 4),
        "SHAPE": ("failed", 4),
        "TYPE": ("failed", 4),
        "EXITS": ("failed", 4),
        "KILLED": ("failed", 5),
    }
    assert report.failure is not None
    assert report.failure.exit_code == 6
    reasons = {name: outcome.reason for name, outcome in outcomes.items()}
    assert "no data" in reasons["NO-DATA"]
    assert "min_rows" in reasons["TOO-FEW"]
    assert "flow" in reasons["BREACH"]
    assert "KeyError" in reasons["RAISES"]
    assert "features.py" in reasons["RAISES"]
    assert "exit code 3" in reasons["EXITS"]
    assert "SIGKILL" in reasons["KILLED"]

    lines = {line.unit: line for line in project.status()}
    assert {name for name, line in lines.items() if line.state in ("champion", "baseline")} == {"P-1", "P-9", "FROZEN"}
    assert all(lines[name].reason == reasons[name] for name in BAD if name != "FROZEN")
    assert set(project.scores()["asset_id"]) == {"P-1", "P-9", "FROZEN"}
    verdicts = queries.last_verdicts(project.ledger, "train")
    assert verdicts["BREACH", "train"].action == "reject"
    assert verdicts["P-1", "train"].action == "pass"

    # What failed is tried again; what the data or the contract rejected waits until something changes.
    due = {item.instance.unit.key for item in project.plan() if item.due}
    assert {"RAISES", "SHAPE", "TYPE", "EXITS", "KILLED"} <= due
    assert not due & {"P-1", "P-9", "FROZEN", "TOO-FEW", "BREACH", "NO-TARGET"}


def test_a_pooled_fit_goes_on_without_the_members_that_cannot_be_used(tiny):
    tiny.guard()
    tiny.edit("problem: regression", "problem: regression\n    fit: fleet")
    data = tiny.data()
    data.loc[data["pump"] == "P-2", "flow"] = 900.0
    tiny.write(data)
    report = Project.open(tiny.root).train(workers=1)
    assert report.failure is None
    (outcome,) = report.outcomes
    assert outcome.state == "trained"
    assert "without P-2" in outcome.reason


def test_a_pooled_fit_with_no_usable_member_is_rejected(tiny):
    tiny.guard()
    tiny.edit("problem: regression", "problem: regression\n    fit: fleet")
    tiny.write(tiny.data().assign(flow=900.0))
    report = Project.open(tiny.root).train(workers=1)
    assert [(outcome.state, outcome.exit_code) for outcome in report.outcomes] == [("rejected", 3)]
    assert "none of its 3 assets" in report.outcomes[0].reason
    assert report.failure is not None
    assert report.failure.exit_code == 3


def test_an_asset_whose_data_are_rejected_at_scoring_is_skipped_and_listed(served):
    served.guard()
    served.edit("sensors.json}", "sensors.json, on_breach: {score: reject}}")
    data = pd.concat([served.rows(asset, rows=210) for asset in served.assets])
    data.loc[(data["pump"] == "P-2") & (data["ts"] >= "2026-03-09T08:00Z"), "flow"] = 900.0
    served.write(data)
    project = Project.open(served.root)
    report = project.score(workers=1)
    assert [miss.name for miss in report.misses] == ["P-2/temperature"]
    assert "flow" in report.misses[0].reason
    assert {record.asset for record in report.written} == {"P-1", "15/9-F-1 C"}
    assert report.failure is not None
    assert report.failure.exit_code == 6


def test_a_warning_at_scoring_goes_with_the_rows(served):
    served.guard()
    data = pd.concat([served.rows(asset, rows=210) for asset in served.assets])
    data.loc[(data["pump"] == "P-2") & (data["ts"] >= "2026-03-09T08:00Z"), "flow"] = 900.0
    served.write(data)
    project = Project.open(served.root)
    assert project.score(Selection(assets=("P-2",)), workers=1).failure is None
    newest = project.scores(Selection(assets=("P-2",)), start="2026-03-09T08:00Z")
    assert set(newest["verdict"]) == {"warn"}
    assert newest["reason"].str.contains("flow").all()


def test_a_champion_whose_file_was_changed_is_not_loaded(served):
    for file in (served.root / ".datadriver" / "artifacts").rglob("model.skops"):
        file.write_bytes(file.read_bytes() + b" ")
    project = Project.open(served.root)
    report = project.score(start="2026-03-09", workers=1)
    assert len(report.misses) == 3
    assert all("sha256" in miss.reason for miss in report.misses)
    assert report.failure is not None
    assert report.failure.exit_code == 3
