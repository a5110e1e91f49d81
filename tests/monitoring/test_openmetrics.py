"""How the fleet stands as OpenMetrics text: what is counted, what gets a series, and what a scraper gets to read."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.monitoring.fleet_state import FleetState
from datadriver.monitoring.openmetrics import exposition, metrics_path, write_metrics
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import HEALTHS, Alarm, CheckState, RetrainRequest
from datadriver.tracking.monitoring import MonitorResult, record_monitoring

END = "2026-03-02T00:00:00.000000+00:00"
NASTY = '15/9-F-1 "C"\\\n'


@pytest.fixture
def usecase() -> UseCase:
    return UseCase.model_validate(
        {
            "name": "pumps",
            "fleet": {"assets": "fleet.csv"},
            "data": {"sources": {"sensors": {"path": "sensors.parquet", "index": "ts"}}},
            "models": {
                "wear": {"problem": "regression", "estimator": "pumps.models:ridge", "baseline": "pumps.models:mean"}
            },
        }
    )


@pytest.fixture
def ledger(usecase: UseCase, tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(usecase, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def record(ledger: Ledger) -> Callable[..., None]:
    def record_(*states: CheckState, alarms: Sequence[Alarm] = (), requests: Sequence[RetrainRequest] = ()) -> None:
        batch = ledger.start_batch("monitor").id
        result = MonitorResult(
            batch,
            sorted({state.asset for state in states}),
            [replace(state, batch=batch) for state in states],
            [replace(alarm, batch=batch) for alarm in alarms],
            requests=[replace(request, batch=batch) for request in requests],
        )
        record_monitoring(ledger, result)
        ledger.finish_batch(batch)

    return record_


def state(asset: str, check: str = "freshness", health: Any = "ok", **changes: Any) -> CheckState:
    begin = "2026-03-01T00:00:00.000000+00:00"
    given = {"unit": "", "model": "", "outcome": "ok", "severity": "critical", "window_start": begin, "window_end": END}
    return CheckState(**{**given, "asset": asset, "check": check, "state": health, **changes})


def alarm(asset: str, check: str = "freshness", severity: str = "critical", **changes: Any) -> Alarm:
    given = {"id": 0, "unit": "", "model": "", "opened": END, "reason": "no data for 9 h"}
    return Alarm(**{**given, "asset": asset, "check": check, "severity": severity, **changes})


def samples(text: bytes) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Read an exposition: value by labels, by name of the sample; the label `usecase` is left out."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in parse_openmetrics(text.decode()):
        found.setdefault(family.name, {})
        for sample in family.samples:
            labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "usecase"))
            found[family.name][labels] = sample.value
    return found


def by(found: dict[tuple[tuple[str, str], ...], float], label: str) -> dict[str, float]:
    return {dict(labels)[label]: value for labels, value in found.items()}


def test_assets_and_checks_are_counted_by_state_and_only_what_is_not_well_has_a_series(
    ledger: Ledger, usecase: UseCase, record: Callable[..., None]
) -> None:
    record(
        state("P-1", health="alarm", value=32400.0, limit=21600.0, measure="s"),
        state("P-1", "completeness"),
        state("P-2", "drift", "pending", unit="P-2", model="wear", severity="warning"),
        state("P-3", "performance", "unknown", unit="P-3", model="wear"),
        alarms=[alarm("P-1"), alarm("P-1", "drift", "warning", unit="P-1", model="wear", closed=END)],
    )
    found = samples(exposition(ledger, usecase, ["P-1", "P-2", "P-3", "P-4"]))
    assert by(found["datadriver_assets"], "state") == {
        "alarm": 1,
        "silenced": 0,
        "pending": 1,
        "unknown": 2,  # P-3, which nothing could be judged of, and P-4, which was never looked at
        "ok": 0,
    }
    assert by(found["datadriver_instances"], "state")["pending"] == 1
    shown = [dict(labels) for labels in found["datadriver_check_state"]]
    assert [(one["asset"], one["check"], one["state"]) for one in shown] == [
        ("P-1", "freshness", "alarm"),
        ("P-2", "drift", "pending"),
    ]
    assert by(found["datadriver_check_value"], "measure") == {"s": 32400.0}
    assert by(found["datadriver_check_limit"], "asset") == {"P-1": 21600.0}
    opened = {labels: value for labels, value in found["datadriver_alarms_open"].items() if value}
    assert opened == {(("check", "freshness"), ("severity", "critical")): 1}


def test_what_left_the_fleet_is_not_shown(ledger: Ledger, usecase: UseCase, record: Callable[..., None]) -> None:
    record(state("P-1"), state("gone", health="alarm"), alarms=[alarm("gone")])
    found = samples(exposition(ledger, usecase, ["P-1"]))
    assert not found["datadriver_check_state"]
    assert sum(found["datadriver_alarms_open"].values()) == 0
    assert sum(found["datadriver_assets"].values()) == 1


def test_labels_from_the_plant_survive_both_text_formats(
    ledger: Ledger, usecase: UseCase, record: Callable[..., None]
) -> None:
    record(state(NASTY, health="alarm", measure='m³/h "dry"\n', value=1.0))
    text = exposition(ledger, usecase, [NASTY]).decode()
    for parse in (parse_openmetrics, parse_text):
        [family] = [family for family in parse(text) if family.name == "datadriver_check_value"]
        assert family.samples[0].labels["asset"] == NASTY
        assert family.samples[0].labels["measure"] == 'm³/h "dry"\n'


def test_instants_tell_how_far_monitoring_and_data_reach(
    ledger: Ledger, usecase: UseCase, record: Callable[..., None]
) -> None:
    record(
        state("P-1", value=600.0, measure="s"),
        state("P-2", value=1200.0, measure="s"),
        state("P-3", value=-7200.0, measure="s"),  # its clock is wrong, which must not make the others look fresh
        state("P-2", "completeness"),
    )
    found = samples(exposition(ledger, usecase, ["P-1", "P-2", "P-3"]))
    midnight = 1772409600.0
    assert found["datadriver_newest_window_timestamp_seconds"] == {(): midnight}
    assert found["datadriver_data_newest_timestamp_seconds"] == {(): midnight - 600}
    assert by(found["datadriver_last_run_timestamp_seconds"], "command")["monitor"] > midnight
    assert by(found["datadriver_last_run_failed"], "command") == {"monitor": 0}


def test_an_index_of_steps_has_steps_and_no_times(
    ledger: Ledger, usecase: UseCase, record: Callable[..., None]
) -> None:
    record(
        state("E-9", window_start="200", window_end="300", value=4.0, measure="steps"), state("E-10", window_end="90")
    )
    found = samples(exposition(ledger, usecase, ["E-9", "E-10"]))
    assert found["datadriver_newest_window_step"] == {(): 300}
    assert found["datadriver_data_newest_step"] == {(): 296}
    assert "datadriver_newest_window_timestamp_seconds" not in found


def test_the_newest_run_of_a_command_decides_whether_it_failed(ledger: Ledger, usecase: UseCase) -> None:
    ledger.finish_batch(ledger.start_batch("monitor").id)
    ledger.finish_batch(ledger.start_batch("monitor").id, "failed")
    found = samples(exposition(ledger, usecase, []))
    assert by(found["datadriver_last_run_failed"], "command") == {"monitor": 1}
    assert "monitor" in by(found["datadriver_last_run_timestamp_seconds"], "command")
    ledger.finish_batch(ledger.start_batch("monitor").id)
    assert by(samples(exposition(ledger, usecase, []))["datadriver_last_run_failed"], "command") == {"monitor": 0}


def test_requests_to_train_again_are_counted_by_instance(
    ledger: Ledger, usecase: UseCase, record: Callable[..., None]
) -> None:
    asked = [RetrainRequest("P-1", "wear", "drift", "P-1", check, END, "") for check in ("drift", "performance")]
    record(state("P-1"), requests=asked)
    assert samples(exposition(ledger, usecase, ["P-1"]))["datadriver_retrain_requests_open"] == {(): 1}


def test_nothing_monitored_yet_is_a_valid_exposition_with_zeros(ledger: Ledger, usecase: UseCase) -> None:
    found = samples(exposition(ledger, usecase, ["P-1"]))
    assert by(found["datadriver_assets"], "state") == {**dict.fromkeys(HEALTHS, 0), "unknown": 1}
    assert found["datadriver_newest_window_timestamp_seconds"] == {}
    assert sum(found["datadriver_alarms_open"].values()) == 0


@given(
    healths=st.dictionaries(
        st.tuples(st.sampled_from(["A", "B", "C", "D"]), st.sampled_from(["", "wear", "flow"])),
        st.sampled_from(HEALTHS),
    ),
    fleet=st.sets(st.sampled_from(["A", "B", "C", "D", "E"])),
)
def test_every_asset_of_the_fleet_is_in_exactly_one_state(healths: dict[tuple[str, str], str], fleet: set[str]) -> None:
    checks = tuple(
        state(asset, "drift" if model else "freshness", health, unit=asset if model else "", model=model)
        for (asset, model), health in healths.items()
        if asset in fleet
    )
    found = FleetState(frozenset(fleet), checks, {}, {}, {}, 0)
    assert sum(found.assets().values()) == len(fleet)
    assert sum(found.instances().values()) == sum(bool(check.model) for check in checks)


def test_a_thousand_assets_with_ten_models_stay_small_and_take_few_statements(
    ledger: Ledger, usecase: UseCase, record: Callable[..., None]
) -> None:
    fleet = [f"P-{number}" for number in range(1000)]
    record(
        *(state(asset, check) for asset in fleet for check in ("freshness", "completeness")),
        *(state(asset, "drift", unit=asset, model=f"m{number}") for asset in fleet for number in range(10)),
        *(state(asset, "gaps", "alarm", value=1.0, limit=2.0) for asset in fleet[:30]),
    )
    asked: list[str] = []
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    text = exposition(ledger, usecase, fleet)
    assert len([statement for statement in asked if statement.lstrip().startswith("SELECT")]) <= 4
    series = [line for line in text.decode().splitlines() if not line.startswith("#")]
    assert len(series) < 3 * 30 + 200


def test_the_file_is_replaced_whole_and_can_be_read_by_others(
    ledger: Ledger, usecase: UseCase, tmp_path: Path, record: Callable[..., None]
) -> None:
    path = tmp_path / "collector" / "pumps.prom"
    write_metrics(path, ledger, usecase, ["P-1"])
    before = path.stat()
    record(state("P-1", health="alarm"))
    write_metrics(path, ledger, usecase, ["P-1"])
    assert path.stat().st_ino != before.st_ino  # a new file in its place: nobody sees half of it
    assert path.stat().st_mode & 0o044 == 0o666 & ~_umask() & 0o044
    assert path.read_bytes().endswith(b"# EOF\n")
    assert [one.name for one in path.parent.iterdir()] == ["pumps.prom"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_file_that_cannot_be_written_is_said_and_the_old_one_stays(
    ledger: Ledger, usecase: UseCase, tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(UnavailableError, match=r"monitor\.metrics: .*taken cannot be written"):
        write_metrics(tmp_path / "taken", ledger, usecase, [])
    assert not list(tmp_path.glob(".taken*"))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(".datadriver/metrics.txt", "here/.datadriver/metrics.txt"), ("/var/lib/x.prom", "/var/lib/x.prom"), (None, None)],
)
def test_the_path_is_relative_to_the_use_case(
    usecase: UseCase, tmp_path: Path, asked: str | None, expected: str | None
) -> None:
    changed = usecase.model_copy(update={"monitor": usecase.monitor.model_copy(update={"metrics": asked})})
    found = metrics_path(changed, tmp_path / "here")
    assert found == (None if expected is None else tmp_path / expected)


def test_a_url_is_no_place_for_the_file(usecase: UseCase, tmp_path: Path) -> None:
    changed = usecase.model_copy(update={"monitor": usecase.monitor.model_copy(update={"metrics": "s3://plant/m"})})
    with pytest.raises(ConfigError, match="is a URL; name a file on this machine"):
        metrics_path(changed, tmp_path)


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_prints_the_exposition(tiny: Any) -> None:
    ended = tiny.run("metrics")
    assert ended.returncode == 0, ended.stderr
    assert by(samples(ended.stdout.encode())["datadriver_assets"], "state")["unknown"] == 3


@contextmanager
def listening(root: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `datadriver metrics --listen` on a free port; yields the process and the address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "datadriver", "metrics", "--listen", "127.0.0.1:0", *options],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = next((line for line in process.stdout if "http" in line), "")
        address = re.search(r"http://[^/]+", found)
        assert address, process.communicate(timeout=10)
        yield process, address[0]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def get(url: str, **headers: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_the_server_speaks_both_formats_reads_the_ledger_at_each_scrape_and_ends_on_sigterm(tiny: Any) -> None:
    with listening(tiny.root) as (process, address):
        status, kind, text = get(f"{address}/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert (status, kind.split(";")[0]) == (200, "application/openmetrics-text")
        assert by(samples(text)["datadriver_assets"], "state")["unknown"] == 3
        status, kind, text = get(f"{address}/metrics")
        assert (status, kind.split(";")[0]) == (200, "text/plain")
        assert b"# EOF" not in text
        assert get(f"{address}/-/healthy")[::2] == (200, b"alive\n")
        assert get(f"{address}/")[0] == 404

        tiny.edit("P-2,GB\n", "", "fleet.csv")
        text = get(f"{address}/metrics", Accept="application/openmetrics-text")[2]
        assert by(samples(text)["datadriver_assets"], "state")["unknown"] == 2
        (tiny.root / "fleet.csv").unlink()
        status, _, text = get(f"{address}/metrics")
        assert status == 503
        assert b"fleet.csv" in text
        assert get(f"{address}/-/healthy")[0] == 200

        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert process.communicate()[1] == ""


def test_ctrl_c_ends_the_server_without_a_complaint(tiny: Any) -> None:
    with listening(tiny.root, "--json") as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert process.communicate()[1] == ""


def test_a_port_that_is_taken_is_said(tiny: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = tiny.run("metrics", "--listen", f"127.0.0.1:{port}")
    assert ended.returncode == 5
    assert f"cannot serve at 127.0.0.1:{port}: Address already in use; choose another port" in ended.stderr


@pytest.mark.parametrize(("address", "said"), [("9108", "is not HOST:PORT"), ("nowhere.invalid:9108", "is not a host")])
def test_an_address_that_is_none_is_said(tiny: Any, address: str, said: str) -> None:
    ended = tiny.run("metrics", "--listen", address)
    assert ended.returncode == 2
    assert said in ended.stderr
