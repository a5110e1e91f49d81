"""`datadriver monitor`, `run` and `status` on the command line: what they print, and the whole of it as JSON."""

from __future__ import annotations

import json

import pytest

from datadriver.cli.boundary import run


@pytest.fixture
def silent(served):
    """P-1 has no readings of the last four days; nothing was monitored since."""
    data = served.data()
    served.write(data[(data["pump"] != "P-1") | (data["ts"] < "2026-03-05")])
    return served


def tell(case, capsys, *arguments):
    code = run([*arguments, "--project", str(case.root)])
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return code, told.out


def test_a_person_reads_counts_alarms_with_reasons_and_what_comes_next(silent, capsys):
    code, said = tell(silent, capsys, "monitor", "--start", "2026-03-01", "--workers", "1")
    assert code == 0, said
    assert "monitored 24 windows of [2026-03-01T00:00:00+00:00, 2026-03-09T00:00:00+00:00)" in said
    assert "new alarms:\n  P-1  freshness  [critical]\n    newest reading is" in said
    assert said.index("freshness  [critical]") < said.index("completeness  [warning]")
    assert "days ago" in said
    assert "facts: " in said
    assert "next:   datadriver" in said
    code, said = tell(silent, capsys, "monitor", "--workers", "1")
    assert code == 0
    assert "no new window" in said
    assert "new alarms" not in said


def test_a_program_reads_one_whole_document(silent, capsys):
    code, said = tell(silent, capsys, "monitor", "--start", "2026-03-01", "--assets", "P-1", "--workers", "1", "--json")
    document = json.loads(said)
    assert code == 0
    assert document["windows"] == {"looked_at": 8, "written": 4}  # those of the days that were not there
    assert document["start"] == "2026-03-01T00:00:00+00:00"
    assert document["end"] == "2026-03-09T00:00:00+00:00"
    assert sum(document["counts"].values()) == len(document["states"])
    alarm = next(one for one in document["opened"] if one["check"] == "freshness")
    assert (alarm["asset"], alarm["severity"], alarm["opened"][:10]) == ("P-1", "critical", "2026-03-08")
    assert alarm["id"] > 0
    assert {"closed", "requests", "failed", "not_handed_on", "messages", "batch", "path"} <= set(document)
    assert "error" not in document


def test_status_shows_health_and_which_data_are_not_well(silent, capsys):
    tell(silent, capsys, "monitor", "--start", "2026-03-01", "--workers", "1")
    _, said = tell(silent, capsys, "status")
    assert "health" in said.splitlines()[0]
    assert "P-1  [alarm] freshness: newest reading is" in said
    _, said = tell(silent, capsys, "status", "--json")
    document = json.loads(said)
    assert {line["health"] for line in document["instances"]} <= {"alarm", "pending", "silenced", "unknown", "ok"}
    assert all(line["health_reason"] for line in document["instances"])
    health = {one["asset"]: one["health"] for one in document["assets"]}
    assert health == {"P-1": "alarm", "P-2": "ok", "15/9-F-1 C": "ok"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--start", "2026-03-05", "--end", "2026-03-01"), "is empty"),
        (("--start", "2026-03-05", "--until", "2026-03-05T12:00"), "no whole window of 1d lies in"),
        (("--start", "2026-04-01"), "no whole window of 1d lies in"),
        (("--end", "2026-03-05", "--until", "2026-03-06"), "mean the same for monitor"),
        (("--where", 'country == "BR"'), "matches none of the 3 assets"),
        (("--assets", "P-11"), "there is no asset 'P-11'; did you mean 'P-1'"),
        (("--models", "temprature"), "there is no model 'temprature'; did you mean 'temperature'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_monitored_is_said_in_a_sentence(tiny, capsys, arguments, said):
    assert run(["monitor", *arguments, "--workers", "1", "--project", str(tiny.root)]) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert "Traceback" not in told.err
    assert not (tiny.root / ".datadriver" / "monitor").exists()


def test_a_run_ends_with_monitoring(tiny, capsys):
    code, said = tell(tiny, capsys, "run", "--assets", "P-1", "--workers", "1", "--json")
    document = json.loads(said)
    assert code == 0
    assert document["monitor"]["windows"]["looked_at"] == 8
    assert document["monitor"]["failed"] == []
