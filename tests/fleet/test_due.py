"""What is due: the unseen change is found when asked for, the same is not fitted, a failure is not tried for ever."""

from __future__ import annotations

import os

import pytest

from datadriver.fleet.plan import MOST_TRIES
from datadriver.project import Project
from datadriver.tracking import queries

RAISING = """

usual = load

def load(frame, asset):
    if asset["country"] == "GB":
        raise ValueError("no such pump")
    return usual(frame)
"""


@pytest.fixture(params=["one table", "a file each"])
def csv(tiny, request):
    """The same three assets as text, in one table or a file each."""
    data = tiny.data()
    (tiny.root / "sensors.parquet").unlink()
    if request.param == "one table":
        tiny.edit("{format: parquet, path: sensors.parquet, ", "{path: sensors.csv, ")
        data.to_csv(tiny.root / "sensors.csv", index=False)
        return tiny, lambda asset: tiny.root / "sensors.csv"
    tiny.edit("{format: parquet, path: sensors.parquet, index: ts, asset: pump}", "{path: '{asset_id}.csv', index: ts}")
    names = {"P-1": "P-1", "P-2": "P-2", "15/9-F-1 C": "15-9-F-1-C-525d4a6b"}
    for asset, rows in data.groupby("pump"):
        rows.to_csv(tiny.root / f"{names[asset]}.csv", index=False)
    return tiny, lambda asset: tiny.root / f"{names[asset]}.csv"


def change_unseen(path, asset):
    """Change a digit in the asset's last row; size and time of the file stay as they are."""
    stat, lines = path.stat(), path.read_text().splitlines(keepends=True)
    place = max(number for number, line in enumerate(lines) if line.startswith(f"{asset},"))
    head, _, tail = lines[place].rpartition(".")
    lines[place] = f"{head}.{'1' if tail[0] != '1' else '2'}{tail[1:]}"
    path.write_text("".join(lines))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size


def test_verify_finds_a_value_that_changed_behind_an_unchanged_size_and_time(csv):
    case, path_of = csv
    assert Project.open(case.root).train(workers=1).failure is None
    change_unseen(path_of("P-2"), "P-2")
    project = Project.open(case.root)
    assert not any(item.due for item in project.plan())
    report = project.train(workers=1, verify=True)
    states = {one.unit: one.state for one in report.outcomes}
    assert states == {"P-1": "unchanged", "P-2": "trained", "15/9-F-1 C": "unchanged"}
    assert {one.reason for one in report.outcomes if one.state == "unchanged"} == {
        "read again; nothing that decides the result has changed"
    }
    assert not any(item.due for item in project.plan())
    assert {key.unit: version.version for key, version in queries.latest_versions(project.ledger).items()} == {
        "P-1": 1,
        "P-2": 2,
        "15/9-F-1 C": 1,
    }


def test_an_asset_whose_own_file_was_only_touched_is_read_but_not_fitted(csv):
    case, path_of = csv
    assert Project.open(case.root).train(workers=1).failure is None
    os.utime(path_of("P-1"), ns=(1, 1))
    project = Project.open(case.root)
    due = [item.instance.unit.key for item in project.plan() if item.due]
    assert due == ([] if path_of("P-1") == path_of("P-2") else ["P-1"])
    report = project.train(workers=1)
    assert [(one.unit, one.state, one.seconds) for one in report.outcomes] == [(unit, "unchanged", 0.0) for unit in due]
    assert not any(item.due for item in project.plan())


def test_what_fails_in_the_use_cases_code_is_tried_a_few_times_and_then_left_until_something_changes(tiny):
    raising = tiny.read("src/tiny/features.py") + RAISING
    tiny.edit(tiny.read("src/tiny/features.py"), raising, "src/tiny/features.py")
    for turn in range(MOST_TRIES):
        report = Project.open(tiny.root).train(workers=1)
        assert [one.unit for one in report.outcomes if one.state == "failed"] == ["P-2"], turn
    plan = {item.instance.unit.key: item for item in Project.open(tiny.root).plan()}
    assert not plan["P-2"].due
    assert plan["P-2"].reason.startswith("failed 3 times, and nothing has changed since (--force tries again): P-2")
    assert Project.open(tiny.root).plan(force=True)[1].due
    tiny.edit("no such pump", "still no such pump", "src/tiny/features.py")
    assert {item.reason for item in Project.open(tiny.root).plan() if item.due} == {"code changed"}
