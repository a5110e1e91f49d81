"""The files in deploy/, tried out: Prometheus scrapes a fleet, its rules alert, and every panel of Grafana has data."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from datadriver.config.load import load_usecase
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import Alarm, CheckState, RetrainRequest
from datadriver.tracking.monitoring import MonitorResult, record_monitoring

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "datadriver.json").read_text("utf-8"))
PANELS = DASHBOARD["panels"]
EXPRESSIONS = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
PROMTOOL = shutil.which("promtool")

YAML = """
name: tiny
fleet: {assets: fleet.csv}
data: {sources: {sensors: {format: parquet, path: sensors.parquet, index: ts, asset: pump}}}
models:
  wear: {problem: regression, target: {column: flow}, estimator: tiny.models:ridge, baseline: tiny.models:mean}
"""

needs_prometheus = [
    pytest.mark.prometheus,
    pytest.mark.skipif(not (PROMTOOL and shutil.which("prometheus")), reason="there is no Prometheus on the PATH"),
]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A use case whose ledger knows a fleet with something of everything."""
    root = tmp_path_factory.mktemp("plant")
    (root / "usecase.yaml").write_text(YAML)
    (root / "fleet.csv").write_text('asset_id\nP-1\nP-2\n"15/9-F-1 ""C"""\nnew\n')
    ledger = Ledger.open(load_usecase(root), root)
    begin, end = "2026-03-01T00:00:00.000000+00:00", "2026-03-02T00:00:00.000000+00:00"

    def state(asset: str, check: str, health: Any, severity: str, model: str = "") -> CheckState:
        unit, value = asset if model else "", 0.3 if model else 600.0
        return CheckState(
            asset,
            unit,
            model,
            check,
            health,
            "breach",
            severity,
            begin,
            end,
            value,
            0.2,
            "s",
            batch=batch,
            reason="why",
        )

    ledger.finish_batch(ledger.start_batch("train").id, "failed")
    batch = ledger.start_batch("monitor").id
    nasty = '15/9-F-1 "C"'
    states = [
        state("P-1", "freshness", "ok", "critical"),
        state("P-2", "freshness", "alarm", "critical"),
        state(nasty, "gaps", "alarm", "info"),
        state(nasty, "drift", "alarm", "warning", "wear"),
        state("P-1", "drift", "pending", "warning", "wear"),
        state("P-1", "performance", "unknown", "warning", "wear"),
    ]
    alarms = [
        Alarm(0, one.asset, one.unit, one.model, one.check, one.severity, end, "why", batch=batch)
        for one in states
        if one.state == "alarm"
    ]
    asked = [RetrainRequest(nasty, "wear", "drift", nasty, "drift", end, batch)]
    record_monitoring(ledger, MonitorResult(batch, ["P-1", "P-2", nasty], states, alarms, requests=asked))
    ledger.finish_batch(batch)
    ledger.close()
    return root


@pytest.fixture(scope="module")
def served(plant: Path) -> Iterator[str]:
    """Host and port at which `datadriver metrics` serves the plant."""
    command = [sys.executable, "-m", "datadriver", "metrics", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, cwd=plant, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://([^/]+)", process.stdout.readline())
            assert found
            yield found[1]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def query(served: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """A Prometheus with our configuration, scraping every second; asks its API and waits for its first scrape."""
    home = tmp_path_factory.mktemp("prometheus")
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8")
    (home / "prometheus.yml").write_text(text.replace("localhost:9108", served).replace("interval: 1m", "interval: 1s"))
    shutil.copy(DEPLOY / "prometheus" / "alerts.yml", home)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ["prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]

    def ask(place: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{port}/api/v1/{place}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 503:  # it is starting
                    raise ConnectionError(error.reason) from error
                pytest.fail(f"{parameters}: {error.read().decode()}")

    with (home / "log").open("w") as log, subprocess.Popen(command, cwd=home, stdout=log, stderr=log) as process:
        try:
            _wait(lambda: process.poll() is not None or ask("query", query="datadriver_build_info")["result"])
            assert process.poll() is None, (home / "log").read_text()
            yield ask
        finally:
            process.terminate()


def _wait(ready: Callable[[], Any]) -> None:
    for _ in range(600):
        try:
            if ready():
                return
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail("not ready within a minute")


def promtool(*arguments: str, given: str | None = None) -> str:
    assert PROMTOOL is not None
    ended = subprocess.run([PROMTOOL, *arguments], input=given, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


class TestPrometheus:
    """With Prometheus itself."""

    pytestmark = needs_prometheus

    def test_configuration_and_rules_are_sound(self) -> None:
        assert "rules found" in promtool("check", "config", str(DEPLOY / "prometheus" / "prometheus.yml"))

    def test_alerts_fire_when_they_should_and_only_then(self) -> None:
        promtool("test", "rules", str(Path(__file__).with_name("alert_cases.yml")))

    @pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
    def test_promtool_finds_nothing_to_complain_about(self, served: str, accept: str) -> None:
        request = urllib.request.Request(f"http://{served}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert promtool("check", "metrics", given=answer.read().decode()) == ""

    @pytest.mark.parametrize("expression", EXPRESSIONS)
    def test_every_panel_has_data(self, query: Callable[..., Any], expression: str) -> None:
        found = query("query", query=expression.replace("$usecase", ".*"))
        assert found["result"], f"{expression} finds nothing"

    def test_the_variable_of_the_dashboard_has_values(self, query: Callable[..., Any]) -> None:
        [variable] = [one for one in DASHBOARD["templating"]["list"] if one["name"] == "usecase"]
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
        assert query(f"label/{label}/values", **{"match[]": metric}) == ["tiny"]

    def test_names_from_the_plant_arrive_as_they_are(self, query: Callable[..., Any]) -> None:
        found = query("query", query='datadriver_check_state{check="gaps"}')["result"]
        assert found[0]["metric"]["asset"] == '15/9-F-1 "C"'

    def test_the_rules_run_and_see_what_is_wrong(self, query: Callable[..., Any]) -> None:
        def wrong() -> set[str]:
            rules = query("rules")["groups"][0]["rules"]
            assert not [rule["lastError"] for rule in rules if "lastError" in rule]
            return {rule["name"] for rule in rules if rule["alerts"]}

        _wait(lambda: wrong() == {"DatadriverCriticalAlarm", "DatadriverDataStale", "DatadriverRunFailed"})


def test_every_metric_that_rules_and_panels_name_is_one_of_ours(served: str) -> None:
    with urllib.request.urlopen(f"http://{served}/metrics", timeout=10) as answer:
        ours = set(re.findall(r"^# TYPE (\S+)", answer.read().decode(), re.MULTILINE))
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8")
    named = re.findall(r"\bdatadriver_[a-z_]+", rules + json.dumps(PANELS))
    assert named
    assert set(named) <= ours


def test_panels_have_their_own_ids_and_places() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one, other in itertools.combinations([panel["gridPos"] for panel in PANELS], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)


def test_panels_ask_the_data_source_that_the_reader_chooses() -> None:
    sources = [panel["datasource"] for panel in PANELS]
    sources += [target["datasource"] for panel in PANELS for target in panel["targets"]]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "usecase"]
    assert all("$usecase" in target["expr"] for panel in PANELS for target in panel["targets"])


def test_grafana_is_told_where_prometheus_and_the_dashboard_are() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    [source] = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text("utf-8"))["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://localhost:9090")
    [provider] = yaml.safe_load((folder / "dashboards" / "datadriver.yml").read_text("utf-8"))["providers"]
    assert (provider["type"], "path" in provider["options"]) == ("file", True)
