"""One run of `datadriver monitor` and all that it hands on: metrics, MLflow, a message."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pandas as pd
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from datadriver.project import Project


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook: its URL, and what it was sent."""
    received: list[dict[str, Any]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *given: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"json://127.0.0.1:{server.server_port}/hook", received
        server.shutdown()
        thread.join()


def test_a_dead_pump_is_in_the_metrics_in_mlflow_and_in_one_message(
    served: Any, hook: tuple[str, list[dict[str, Any]]]
) -> None:
    url, received = hook
    served.edit("\nscores:", f"\nmonitor: {{notify: [{{to: '{url}', severity: critical}}]}}\nscores:")
    data = served.data()
    dead = (data["pump"] == "P-2") & (data["ts"] >= pd.Timestamp("2026-03-04", tz="UTC"))
    served.write(data[~dead])

    ended = served.run("monitor", "--start", "2026-03-01")
    assert ended.returncode in (0, 6), ended.stdout + ended.stderr
    [message] = received
    assert "[critical] P-2: freshness" in message["message"]

    text = (served.root / ".datadriver" / "metrics.txt").read_text()
    found = {sample.name: sample for one in text_string_to_metric_families(text) for sample in one.samples}
    states = [one for family in text_string_to_metric_families(text) for one in family.samples]
    alarms = [one.labels for one in states if one.name == "datadriver_check_state" and one.labels["state"] == "alarm"]
    assert ("P-2", "freshness") in {(one["asset"], one["check"]) for one in alarms}
    runs = {one.labels["command"]: one.value for one in states if one.name == "datadriver_last_run_timestamp_seconds"}
    assert runs["monitor"] == max(runs.values())  # that of this very run
    assert found["datadriver_newest_window_timestamp_seconds"].value == pd.Timestamp("2026-03-09", tz="UTC").timestamp()

    tracker = Project.open(served.root).tracker
    [run] = tracker.client.search_runs([tracker.experiment_id], "tags.`datadriver.kind` = 'monitoring'")
    assert run.data.metrics["assets.alarm"] >= 1
    champions = tracker.client.search_runs([tracker.experiment_id], "tags.`datadriver.model` = 'temperature'")
    assert any("monitor.drift.psi" in one.data.metrics for one in champions)

    served.run("monitor", "--start", "2026-03-01")
    assert len(received) == 1
