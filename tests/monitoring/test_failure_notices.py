"""Messages about failed tasks, sent through Apprise to a real server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.monitoring.failure_notices import PAUSE, FailureNews, body, send_failures
from datadriver.monitoring.notify import Notified
from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.liveness import now
from datadriver.tracking.task_failures import TaskFailure, close_failures, record_failures

FLEET = (Asset("P-1", {"country": "NO"}), Asset("P-2", {"country": "GB"}))


@dataclass
class Hook:
    """A webhook: what it was sent, and what it answers."""

    url: str = ""
    received: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200

    @property
    def titles(self) -> list[str]:
        return [one["title"] for one in self.received]


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            if found.status == 200:
                found.received.append(json.loads(text))
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *given: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    found.url = f"json://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def usecase(*notify: dict[str, Any]) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "pumps",
            "fleet": {"assets": "fleet.csv"},
            "data": {"sources": {"sensors": {"path": "sensors.parquet", "index": "ts"}}},
            "models": {
                "wear": {"problem": "regression", "estimator": "pumps.models:ridge", "baseline": "pumps.models:mean"}
            },
            "monitor": {"notify": list(notify)},
        }
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(usecase(), tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def send(ledger: Ledger, hook: Hook) -> Callable[..., Notified]:
    """Record failures, and tell the hook, a while after it was told the last time."""

    def send_(*failures: TaskFailure, at_once: bool = False, **notice: Any) -> Notified:
        record_failures(ledger, failures)
        if not at_once:
            with ledger.writing() as connection:
                connection.execute(sa.update(schema.message_turns).values(at=now(-PAUSE)))
        return send_failures(ledger, usecase({"to": hook.url, **notice}), FLEET)

    return send_


def failure(asset: str = "P-1", run: int = 1, **changes: Any) -> TaskFailure:
    made = TaskFailure(
        f"pumps__{asset}__score", f"run-{run}", "score", 1, "score", asset, "no rows in [a, b)", (asset,), 3,
        url="http://airflow/dags/x", owner="Ada",
    )  # fmt: skip
    return replace(made, **changes)


def test_a_message_says_what_failed_why_and_where_to_look(send: Callable[..., Notified], hook: Hook) -> None:
    assert send(failure()).messages == 1
    [message] = hook.received
    assert message["title"] == "pumps: 1 task failed"
    text = message["message"]
    assert text.startswith("[failed] scoring of P-1\nno rows in [a, b)\nAt 20")
    assert "Exit code 3. Owner: Ada.\nLog: http://airflow/dags/x" in text
    assert text.endswith("More: datadriver failures")


def test_a_task_that_goes_on_failing_is_told_once_and_once_that_it_works_again(
    send: Callable[..., Notified], ledger: Ledger, hook: Hook
) -> None:
    send(failure())
    send(failure(run=2))
    send(failure(run=3))
    assert hook.titles == ["pumps: 1 task failed"]
    close_failures(ledger, failure().dag_id, ["score"])
    assert send().closed == 1
    assert hook.received[-1]["message"].startswith("scoring of P-1 works again.")
    assert send().messages == 0
    send(failure(run=9))
    assert hook.titles == ["pumps: 1 task failed", "pumps: 1 task works again", "pumps: 1 task failed"]


def test_what_a_receiver_did_not_take_goes_out_later(send: Callable[..., Notified], hook: Hook) -> None:
    hook.status = 500
    [unsent] = send(failure()).unsent
    assert unsent.exit_code == 5
    hook.status = 200
    assert send().opened == 1
    assert hook.titles == ["pumps: 1 task failed"]


def test_a_fleet_that_fails_at_once_makes_one_message_and_a_second_with_the_rest(
    send: Callable[..., Notified], hook: Hook
) -> None:
    failures = [failure(f"P-{number}", assets=()) for number in range(12)]
    with ThreadPoolExecutor(4) as crew:
        list(crew.map(lambda one: send(one, at_once=True), failures))
    assert len(hook.received) == 1
    told = int(hook.titles[0].split()[1])
    assert send().opened == 12 - told
    assert len(hook.received) == 2


def test_a_task_that_recovers_before_anybody_could_be_told_is_no_news(
    send: Callable[..., Notified], ledger: Ledger, hook: Hook
) -> None:
    record_failures(ledger, [failure()])
    close_failures(ledger, failure().dag_id, ["score"])
    assert send().messages == 0
    assert hook.received == []


@pytest.mark.parametrize(
    ("failed", "told"),
    [
        (failure("P-1"), True),
        (failure("P-2"), False),
        (failure("P-2", assets=("P-2", "P-1")), True),
        (failure("pumps", assets=()), True),
        (failure("P-9"), True),
    ],
    ids=["its asset", "another asset", "a group with its asset", "the use case", "an asset nobody knows"],
)
def test_a_receiver_of_some_assets_hears_of_those_and_of_the_whole_use_case(
    send: Callable[..., Notified], failed: TaskFailure, told: bool
) -> None:
    assert send(failed, where='country == "NO"').messages == int(told)


def test_without_a_receiver_nothing_happens(ledger: Ledger) -> None:
    record_failures(ledger, [failure()])
    assert send_failures(ledger, usecase(), FLEET) == Notified()


@given(st.integers(0, 40), st.integers(0, 40), st.integers(40, 4000))
def test_a_message_is_never_longer_than_it_may_be_and_counts_what_it_leaves_out(
    failed: int, works: int, longest: int
) -> None:
    news = FailureNews(
        tuple(failure(f"P-{one}") for one in range(failed)), tuple(failure(f"W-{one}") for one in range(works))
    )
    text = body(news, longest=longest)
    assert len(text) <= longest
    shown = text.count("[failed]") + text.count("works again.")
    assert shown == failed + works or f"and {failed + works - shown:,} more: " in text or longest < 90
