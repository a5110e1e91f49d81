"""What a server counts, for Prometheus: requests, how long they took, rows, alarms, batches, and which models serve.

With several worker processes the counts are kept in files that all of them share (Prometheus' multiprocess mode), so
that whichever worker is asked answers for all of them, those that were killed included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from datadriver import __version__

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
TOGETHER = (1, 2, 4, 8, 16, 32, 64, 128, 256)

Labels = Mapping[str, str]


class Observed:
    """The metrics of a server, and their text."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, models: Iterable[Labels], *, folder: str | None = None) -> None:
        """Count for models, each described by labels; `folder` is where several processes keep their counts."""
        counts = CollectorRegistry()
        self._requests = Counter(
            "datadriver_serve_requests", "Scoring requests by path and status.", ("path", "code"), registry=counts
        )
        self._seconds = Histogram(
            "datadriver_serve_request_seconds",
            "From the head of a scoring request to its answer.",
            buckets=SECONDS,
            registry=counts,
        )
        self._rows = Counter("datadriver_serve_rows", "Scores that were given.", registry=counts)
        self._alarms = Counter("datadriver_serve_alarms", "Scores that were alarms.", registry=counts)
        self._together = Histogram(
            "datadriver_serve_batch_requests",
            "Requests that were scored in the same pass, as each request saw it.",
            buckets=TOGETHER,
            registry=counts,
        )
        self._shown = counts
        if folder is not None:
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown, path=folder)  # type: ignore[no-untyped-call]
        self._shown.register(_Models(tuple(models)))

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a scoring request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.observe(seconds)

    def scored(self, rows: int, alarms: int, together: int) -> None:
        """Count what a good request got."""
        self._rows.inc(rows)
        self._alarms.inc(alarms)
        self._together.observe(together)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        found: bytes = generate_latest(self._shown)
        return found


class _Models(Collector):
    """What does not change while a server runs."""

    def __init__(self, models: tuple[Labels, ...]) -> None:
        self._models = models

    def collect(self) -> Iterator[GaugeMetricFamily]:
        build = GaugeMetricFamily("datadriver_build_info", "Version of datadriver.", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build
        names = ("usecase", "unit", "model", "version", "role", "sha256")
        found = GaugeMetricFamily("datadriver_serve_model_info", "Models that serve.", labels=names)
        for model in self._models:
            found.add_metric(tuple(model[name] for name in names), 1)
        yield found
