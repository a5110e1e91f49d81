"""What we ask the API of an Airflow on this machine."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from datadriver.errors import UnavailableError

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Run:
    """One run of a DAG.

    Attributes:
        dag_id: of which.
        run_id: which.
        url: its page.
    """

    dag_id: str
    run_id: str
    url: str


class Api:
    """The API of an Airflow that asks nobody who they are.

    Args:
        url: address of its pages.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def is_ready(self) -> bool:
        """Whether its pages are there, and the processes behind them at work."""
        health = self._ask("GET", "monitor/health")
        parts = ("metadatabase", "scheduler", "dag_processor")
        return health is not None and all(health[part]["status"] == "healthy" for part in parts)

    def has(self, dag_id: str) -> bool:
        """Whether a DAG has been read.

        Raises:
            UnavailableError: no, and a file of DAGs cannot be read.
        """
        if self._ask("GET", f"dags/{quote(dag_id)}") is not None:
            return True
        broken = (self._ask("GET", "importErrors") or {"import_errors": []})["import_errors"]
        if broken:
            last = str(broken[0]["stack_trace"]).strip().splitlines()[-1]
            raise UnavailableError(f"Airflow cannot read {broken[0]['filename']}: {last}")
        return False

    def trigger(self, dag_id: str, window: Span | None = None) -> Run:
        """Switch a DAG on and start a run of it, for a window or without one."""
        self._ask("PATCH", f"dags/{quote(dag_id)}", {"is_paused": False})
        body: dict[str, Any] = {"logical_date": None}
        if window:
            # Any date will do that no other run has; what counts is the interval.
            body = {
                "logical_date": datetime.now(UTC).isoformat(),
                "data_interval_start": window[0].isoformat(),
                "data_interval_end": window[1].isoformat(),
            }
        made = self._ask("POST", f"dags/{quote(dag_id)}/dagRuns", body)
        if made is None:
            raise UnavailableError(f"Airflow has no DAG {dag_id!r} any more")
        run_id = str(made["dag_run_id"])
        return Run(dag_id, run_id, f"{self._url}/dags/{quote(dag_id)}/runs/{quote(run_id)}")

    def state(self, run: Run) -> str:
        """Return how a run stands: `queued`, `running`, `success` or `failed`."""
        found = self._ask("GET", f"dags/{quote(run.dag_id)}/dagRuns/{quote(run.run_id)}")
        return "gone" if found is None else str(found["state"])

    def has_ended(self, run: Run) -> bool:
        """Whether a run is over, well or not."""
        return self.state(run) not in {"queued", "running"}

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer, or None where there is nothing, or nobody yet.

        Raises:
            UnavailableError: it refused.
        """
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{self._url}/api/v2/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with self._direct.open(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                detail = error.read().decode("utf-8", "replace")[:500]
            raise UnavailableError(f"Airflow answered {error.code} to {method} {path}: {detail}") from None
        except OSError:
            return None
