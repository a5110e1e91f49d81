"""`datadriver serve` as clients see it: a real process, real sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from datadriver import __version__
from datadriver.project import Project

COLUMNS = ["ts", "current", "flow", "temperature"]
ROW = ["2026-03-06T05:00:00Z", 20.5, 4.25, 60.0]
RECORD = dict(zip(COLUMNS, ROW, strict=True))
SPLIT = {"columns": COLUMNS, "data": [ROW]}
P1 = {"asset": "P-1"}


@dataclass
class Served:
    """A server process and where it is."""

    process: subprocess.Popen[str]
    host: str
    port: int

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=60)

    def ask(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json"):
        """Return status, headers and body of an answer."""
        connection = self.connect()
        try:
            connection.request(method, path, body or None, {"Content-Type": content_type})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def post(self, document, path: str = "/invocations"):
        status, _, body = self.ask("POST", path, json.dumps(document).encode())
        return status, json.loads(body)

    def metrics(self):
        families = text_string_to_metric_families(self.ask("GET", "/metrics")[2].decode())
        return {(one.name, *sorted(one.labels.items())): one.value for family in families for one in family.samples}

    def count(self, name: str, **labels: str) -> float:
        return self.metrics().get((name, *sorted(labels.items())), 0.0)


@contextlib.contextmanager
def serving(root, *options: str):
    process = subprocess.Popen(
        [sys.executable, "-m", "datadriver", "serve", "--port", "0", *options],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("serving http://"), line + process.stderr.read()
        place = urlsplit(line.split()[1])
        yield Served(process, place.hostname, place.port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def server(by_row):
    with serving(by_row.root, "--max-rows", "300", "--max-body", "1") as found:
        yield found


@pytest.fixture(scope="module")
def expected(server):
    """What the row gets."""
    status, document = server.post({"dataframe_split": SPLIT, "params": P1})
    assert status == 200, document
    return document


# What is answered -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_records": [RECORD], "params": P1},
        {"instances": [RECORD], "params": P1},
        {"inputs": [RECORD], "params": P1},
        {"inputs": {name: [value] for name, value in RECORD.items()}, "params": P1},
        {"sources": {"sensors": SPLIT}, "params": P1},
        {"dataframe_split": SPLIT, "params": {**P1, "models": ["temperature"]}},
        {"dataframe_split": SPLIT, "params": {**P1, "start": "2026-03-06T05:00Z", "end": "2026-03-06T06:00Z"}},
    ],
    ids=["records", "instances", "inputs-records", "inputs-columns", "sources", "models", "window"],
)
def test_all_forms_of_a_document_give_the_same_scores(server, expected, document):
    for path in ("/invocations", "/predict"):
        assert server.post(document, path) == (200, expected)


def test_csv_gives_the_same_scores_with_parameters_in_the_address(server, expected):
    lines = [",".join(COLUMNS), ",".join(map(str, ROW)), ""]
    status, _, body = server.ask("POST", "/invocations?asset=P-1", "\r\n".join(lines).encode(), "text/csv")
    assert (status, json.loads(body)) == (200, expected)


def test_scores_are_those_of_the_batch_command(server, by_row):
    data = by_row.data()
    stored = Project.open(by_row.root).scores()
    for asset in by_row.assets:
        rows = data[(data["pump"] == asset) & (data["ts"] >= "2026-03-05")]
        given = [[stamp.isoformat(), *values] for stamp, *values in rows[COLUMNS].itertuples(index=False)]
        status, document = server.post(
            {"dataframe_split": {"columns": COLUMNS, "data": given}, "params": {"asset": asset}}
        )
        assert status == 200
        own = stored[stored["asset_id"] == asset]
        assert len(own) == len(document["predictions"]) == len(rows)
        for one, (_, other) in zip(document["predictions"], own.iterrows(), strict=True):
            for name in ("unit", "model", "score", "actual", "residual", "alarm", "version", "role", "result_key"):
                assert one[name] == other[name], name
            assert one["time"] == other["time"].isoformat()


def test_requests_at_the_same_time_get_what_each_gets_alone(server):
    documents = [
        {
            "dataframe_split": {
                "columns": COLUMNS,
                "data": [[f"2026-03-06T{hour:02}:00:00Z", 15 + hour / 3, flow, 60]],
            },
            "params": {"asset": asset},
        }
        for hour in range(0, 24, 3)
        for flow, asset in ((4, "P-1"), (5.5, "P-2"), (70, "P-1"))
    ]
    alone = [server.post(document) for document in documents]
    found = [None] * len(documents)

    def ask(place):
        found[place] = server.post(documents[place])

    for _ in range(3):
        threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(documents))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for (status, one), (_, other) in zip(found, alone, strict=True):
            assert status == 200
            (left,), (right,) = one["predictions"], other["predictions"]
            assert left.keys() == right.keys()
            for name, value in left.items():
                same = (
                    math.isclose(value, right[name], rel_tol=1e-12)
                    if isinstance(value, float)
                    else value == right[name]
                )
                assert same, name


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, "nonsense", "not JSON"),
        (400, "[1]", "must be a JSON object"),
        (400, "{}", "exactly one of"),
        (400, {"dataframe_split": SPLIT, "instances": [RECORD]}, "exactly one of"),
        (400, {"dataframe_split": SPLIT, "parms": {}}, "did you mean 'params'"),
        (400, {"dataframe_split": SPLIT, "params": {"aset": "P-1"}}, "did you mean 'asset'"),
        (400, {"dataframe_split": SPLIT, "params": {"asset": "P-11"}}, "did you mean 'P-1'"),
        (400, {"dataframe_split": SPLIT}, "say which"),
        (400, {"dataframe_split": SPLIT, "params": {**P1, "models": "temprature"}}, "did you mean 'temperature'"),
        (400, {"dataframe_split": SPLIT, "params": {**P1, "end": "soon"}}, "ISO 8601"),
        (400, {"dataframe_split": {"columns": COLUMNS, "data": [ROW[:2]]}, "params": P1}, "row 0 has 2 values for 4"),
        (400, {"dataframe_split": {"columns": COLUMNS, "data": [[ROW, 1, 2, 3]]}, "params": P1}, "an object or a list"),
        (400, {"dataframe_split": {"columns": COLUMNS, "data": []}, "params": P1}, "no rows"),
        (400, {"instances": [{**RECORD, "ts": "yesterday"}], "params": P1}, "'yesterday'"),
        (400, {"instances": [{"current": 1.0}], "params": P1}, "'ts'"),
        (413, {"instances": [RECORD] * 301, "params": P1}, "300"),
        (413, " " * 2**20 + "{}", "1,048,576 bytes"),
    ],
)
def test_bad_documents_are_refused_with_a_sentence(server, status, body, words):
    text = body if isinstance(body, str) else json.dumps(body)
    found, headers, answer = server.ask("POST", "/invocations", text.encode())
    assert (found, headers["Content-Type"]) == (status, "application/json")
    document = json.loads(answer)
    assert words in document["message"]
    assert document["error_code"] in {"BAD_REQUEST", "REQUEST_LIMIT_EXCEEDED"}


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("GET", "/invocations", "application/json", 405),
        ("POST", "/ping", "application/json", 405),
        ("GET", "/", "application/json", 404),
        ("POST", "/invocations", "application/octet-stream", 415),
        ("POST", "/invocations", "application/json; charset=latin-1", 415),
    ],
)
def test_what_is_not_served_has_the_usual_status(server, method, path, content_type, status):
    found, _, body = server.ask(method, path, b"{}" if method == "POST" else b"", content_type)
    assert found == status
    assert json.loads(body)["message"]


def test_more_requests_at_a_time_than_allowed_are_asked_to_wait(by_row):
    with (
        serving(by_row.root, "--limit-concurrency", "1") as server,
        socket.create_connection((server.host, server.port)) as slow,
    ):
        slow.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{"
        )
        until = time.monotonic() + 30
        while True:
            status, headers, body = server.ask("POST", "/invocations", b"{}")
            if status == 503 or time.monotonic() > until:
                break
        assert (status, headers["Retry-After"]) == (503, "1")
        assert "1 requests are being answered already" in json.loads(body)["message"]
        assert server.ask("GET", "/ping")[0] == 200
        slow.sendall(b"}")
        assert slow.recv(4096).startswith(b"HTTP/1.1 400")


# What is told ---------------------------------------------------------------------------------------------------------


def test_health_and_version_are_told_as_mlflow_tells_them(server):
    assert [server.ask("GET", path)[::2] for path in ("/ping", "/health")] == [(200, b"\n")] * 2
    assert server.ask("GET", "/version")[::2] == (200, __version__.encode())
    assert server.ask("HEAD", "/ping")[::2] == (200, b"")


def test_metrics_count_requests_rows_and_models(server, by_row):
    before, refused = server.metrics(), 3
    for _ in range(refused):
        server.post({})
    server.post({"dataframe_split": {"columns": COLUMNS, "data": [ROW]}, "params": P1})
    after = server.metrics()

    def grew(name, **labels):
        key = (name, *sorted(labels.items()))
        return after[key] - before.get(key, 0)

    assert grew("datadriver_serve_requests_total", code="400", path="/invocations") == refused
    assert grew("datadriver_serve_requests_total", code="200", path="/invocations") == 1
    assert grew("datadriver_serve_rows_total") == 1
    assert grew("datadriver_serve_request_seconds_count") == refused + 1
    assert grew("datadriver_serve_batch_requests_count") == 1
    models = [dict(key[1:]) for key in after if key[0] == "datadriver_serve_model_info"]
    assert {one["unit"] for one in models} == set(by_row.assets)
    assert all(one["model"] == "temperature" and int(one["version"]) and len(one["sha256"]) == 64 for one in models)


def test_openapi_describes_what_is_asked_and_answered(server, expected):
    status, _, body = server.ask("GET", "/openapi.json")
    document = json.loads(body)
    assert (status, document["openapi"]) == (200, "3.1.0")
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    request, scores = (jsonschema.Draft202012Validator(schemas[name]) for name in ("Request", "Scores"))
    request.validate({"dataframe_split": SPLIT, "params": P1})
    request.validate({"sources": {"sensors": [RECORD]}})
    scores.validate(expected)
    assert not request.is_valid({"dataframe_split": SPLIT, "instances": [RECORD]})
    assert not request.is_valid({"instances": [{"flow": 1}]})
    for path, methods in document["paths"].items():
        for method in methods:
            assert server.ask(method.upper(), path, b"{}" if method == "post" else b"")[0] in {200, 400}


# How it starts and stops ----------------------------------------------------------------------------------------------


def test_a_server_that_is_told_to_stop_answers_everything_that_was_sent(by_row):
    body = json.dumps({"dataframe_split": SPLIT, "params": P1}).encode()
    sent, answered, lost = [], [], []

    def client(server):
        connection = server.connect()
        try:
            connection.connect()
            while True:
                sent.append(1)
                connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                document = json.loads(answer.read())
                assert answer.status == 200, document
                answered.append(len(document["predictions"]))
                if answer.headers.get("Connection") == "close":
                    return
        except (OSError, http.client.HTTPException, AssertionError) as error:
            lost.append(error)

    with serving(by_row.root) as server:
        threads = [threading.Thread(target=client, args=(server,)) for _ in range(12)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 30
        while len(answered) < 50 and time.monotonic() < until and not lost:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        server.process.wait(60)

    assert not lost
    assert len(answered) == len(sent) >= 50
    assert server.process.returncode == 0


def test_a_worker_that_is_killed_is_replaced_and_what_it_counted_stays(by_row):
    document = {"dataframe_split": SPLIT, "params": P1}
    with serving(by_row.root, "--workers", "2") as server:
        for _ in range(10):
            assert server.post(document)[0] == 200
        assert server.count("datadriver_serve_requests_total", code="200", path="/invocations") == 10

        victim = workers_of(server.process.pid)[0]
        os.kill(victim, signal.SIGKILL)
        until = time.monotonic() + 60
        while (
            len(workers_of(server.process.pid)) < 2 or victim in workers_of(server.process.pid)
        ) and time.monotonic() < until:
            time.sleep(0.05)
        for _ in range(10):
            assert server.post(document)[0] == 200

        assert victim not in workers_of(server.process.pid)
        assert server.count("datadriver_serve_requests_total", code="200", path="/invocations") == 20


def workers_of(pid: int) -> list[int]:
    """Return the worker processes of a server: children that multiprocessing spawned to serve."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
                found.append(int(child))
    return found


def test_a_port_that_is_taken_is_said_at_once(by_row, server):
    done = by_row.run("serve", "--port", str(server.port))
    assert done.returncode == 5
    assert f"{server.port}" in done.stderr
    assert "--port" in done.stderr


def test_without_a_champion_there_is_nothing_to_serve(tiny):
    done = tiny.run("serve", "--port", "0")
    assert done.returncode == 2
    assert "none of the 3 chosen instances has a champion" in done.stderr


def test_an_image_serves_without_what_only_training_needs(image, rows):
    code = """
import json, sys
from datadriver.cli.inside import _Opened
from datadriver.serving.app import App, Asked
from datadriver.serving.observed import Observed
from datadriver.serving.server import _config
from datadriver.serving.settings import Limits, Settings
models = _Opened(Limits())()
_config(App(models, Observed(models.labels), Limits()), Settings()).load()
((reply,),) = [part.values() for part in models.replies([Asked(sys.stdin.buffer.read(), "application/json", "")])]
unwanted = {"mlflow", "great_expectations", "airflow", "docker", "matplotlib", "fastapi", "alembic"}
print(reply.status, sorted(unwanted & set(sys.modules)))
"""
    part = rows.head(10).assign(ts=rows["ts"].astype(str))
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps({"dataframe_records": part.to_dict("records")}),
        env={**os.environ, **image.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "200 []\n", done.stdout + done.stderr
