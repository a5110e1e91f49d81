"""Messages about alarms, sent through Apprise to real servers on this machine."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.message import Message
from email.policy import default as modern
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.errors import MissingExtraError
from datadriver.monitoring import messages
from datadriver.monitoring.messages import News
from datadriver.monitoring.notify import send_notices
from datadriver.monitoring.receivers import notify_problems, without_secrets
from datadriver.monitoring.standing import SEVERITIES
from datadriver.tracking import schema
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.monitor_records import Alarm, CheckState
from datadriver.tracking.monitoring import MonitorResult, record_monitoring

if TYPE_CHECKING:
    from conftest import TinyCase

DAY = ["2026-03-01T00:00:00.000000+00:00", "2026-03-02T00:00:00.000000+00:00", "2026-03-03T00:00:00.000000+00:00"]
FLEET = (Asset("P-1", {"country": "NO"}), Asset("P-2", {"country": "GB"}), Asset("P-3", {"country": "NO"}))
SECRET = "hunter2-in-the-path"


@dataclass
class Hook:
    """A webhook: what it was sent, and what it answers."""

    url: str
    received: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200


@pytest.fixture
def hook() -> Iterator[Hook]:
    with _hook() as found:
        yield found


@contextmanager
def _hook(port: int = 0) -> Iterator[Hook]:
    found = Hook("")

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if found.status == 200:
                found.received.append(json.loads(body))
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *given: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
    found.url = f"json://127.0.0.1:{server.server_port}/{SECRET}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.receivers: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append(message_from_bytes(envelope.content, policy=modern))
        self.receivers += envelope.rcpt_tos
        return "250 OK"


@pytest.fixture
def post() -> Iterator[tuple[Mailbox, str]]:
    """A mail server, and the URL of a receiver behind it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, f"mailto://127.0.0.1:{port}?from=datadriver@plant.example&to=ops@plant.example"
    controller.stop()


def usecase(*notify: dict[str, Any], **monitor: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "pumps",
            "fleet": {"assets": "fleet.csv"},
            "data": {"sources": {"sensors": {"path": "sensors.parquet", "index": "ts"}}, "timezone": "Europe/Oslo"},
            "models": {
                "wear": {"problem": "regression", "estimator": "pumps.models:ridge", "baseline": "pumps.models:mean"}
            },
            "monitor": {"notify": list(notify), **monitor},
        }
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(usecase(), tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def record(ledger: Ledger) -> Callable[..., None]:
    """Record alarms, and states that are silenced, as one run of `monitor` does."""

    def record_(*alarms: Alarm, silenced: Sequence[Alarm] = ()) -> None:
        batch = ledger.start_batch("monitor").id
        states = [
            CheckState(*_key(one), "silenced", "breach", one.severity, DAY[0], DAY[1], batch=batch) for one in silenced
        ]
        given = [replace(one, batch=batch) for one in alarms]
        record_monitoring(ledger, MonitorResult(batch, [one.id for one in FLEET], states, given))
        ledger.finish_batch(batch)

    return record_


def _key(one: Alarm) -> tuple[str, str, str, str]:
    return one.asset, one.unit, one.model, one.check


def alarm(asset: str = "P-1", check: str = "freshness", severity: str = "critical", **changes: Any) -> Alarm:
    given = {"id": 0, "unit": "", "model": "", "opened": DAY[0], "reason": "its newest reading is 9 h old, limit 6 h"}
    return Alarm(**{**given, "asset": asset, "check": check, "severity": severity, **changes})


def ended(one: Alarm) -> Alarm:
    return replace(one, closed=DAY[1], close_reason="the limit held for 2 windows in a row")


def test_a_webhook_gets_one_message_with_the_worst_first_and_all_that_one_needs(
    ledger: Ledger, hook: Hook, record: Callable[..., None]
) -> None:
    record(
        alarm("P-2", "drift", "warning", unit="P-2", model="wear", reason="PSI of flow is 0.31, limit 0.2"),
        alarm("P-1", owner="Ada Nilsen", runbook="https://wiki.example/freshness"),
    )
    told = send_notices(ledger, usecase({"to": hook.url}), FLEET, report="/srv/pumps/.datadriver/report/index.html")
    assert (told.messages, told.opened, told.closed, told.unsent) == (1, 2, 0, ())
    [message] = hook.received
    assert message["title"] == "pumps: 2 new alarms (1 critical, 1 warning)"
    assert message["type"] == "failure"
    assert message["message"].split("\n\n") == [
        (
            "[critical] P-1: freshness\nits newest reading is 9 h old, limit 6 h\n"
            "Since 2026-03-01 01:00 CET. Owner: Ada Nilsen. What to do: https://wiki.example/freshness"
        ),
        "[warning] P-2/wear: drift\nPSI of flow is 0.31, limit 0.2\nSince 2026-03-01 01:00 CET.",
        "Report: /srv/pumps/.datadriver/report/index.html",
    ]


def test_a_mail_says_the_same(ledger: Ledger, post: tuple[Mailbox, str], record: Callable[..., None]) -> None:
    box, url = post
    record(alarm("P-1", reason="pressure < 3 bar & falling"))
    assert send_notices(ledger, usecase({"to": url}), FLEET).unsent == ()
    [mail] = box.mails
    assert mail["Subject"] == "pumps: 1 new alarm (1 critical)"
    assert box.receivers == ["ops@plant.example"]
    parts = [part for part in mail.walk() if part.get_content_maintype() == "text"]
    for part in parts:  # what the plant says must not become tags
        escaped = part.get_content_subtype() == "html"
        assert ("pressure &lt; 3 bar &amp; falling" if escaped else "pressure < 3 bar & falling") in part.get_content()
    assert "P-1: freshness" in parts[0].get_content()


def test_an_alarm_is_told_once_when_it_opens_and_once_when_it_closes(
    ledger: Ledger, hook: Hook, record: Callable[..., None]
) -> None:
    case = usecase({"to": hook.url})
    record(alarm())
    send_notices(ledger, case, FLEET)
    assert send_notices(ledger, case, FLEET).messages == 0
    record(alarm())
    assert send_notices(ledger, case, FLEET).messages == 0
    record(ended(alarm()))
    assert send_notices(ledger, case, FLEET).closed == 1
    assert send_notices(ledger, case, FLEET).messages == 0
    assert [one["title"] for one in hook.received] == ["pumps: 1 new alarm (1 critical)", "pumps: 1 closed alarm"]
    assert hook.received[1]["type"] == "success"
    assert "[closed, was critical] P-1: freshness\nthe limit held for 2 windows in a row" in hook.received[1]["message"]
    assert "From 2026-03-01 01:00 CET to 2026-03-02 01:00 CET." in hook.received[1]["message"]


def test_an_alarm_that_is_open_again_after_its_end_was_told_is_told_again(
    ledger: Ledger, hook: Hook, record: Callable[..., None]
) -> None:
    case = usecase({"to": hook.url})
    for found in (alarm(), ended(alarm()), alarm(), ended(alarm())):
        record(found)
        send_notices(ledger, case, FLEET)
    assert ["closed" in one["title"] for one in hook.received] == [False, True, False, True]


def test_what_had_ended_before_anyone_looked_is_history(
    ledger: Ledger, hook: Hook, record: Callable[..., None]
) -> None:
    record(ended(alarm()))
    assert send_notices(ledger, usecase({"to": hook.url}), FLEET).messages == 0


def test_a_receiver_that_is_down_is_named_without_its_secrets_and_told_with_the_next_run(
    ledger: Ledger, record: Callable[..., None]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    case = usecase({"to": f"json://ops:s3cr3t-word@127.0.0.1:{port}/{SECRET}"})
    record(alarm("P-1"), alarm("P-2"))
    told = send_notices(ledger, case, FLEET)
    assert told.messages == 0
    [unsent] = told.unsent
    assert (unsent.name, unsent.alarms, unsent.exit_code) == ("monitor.notify[0] (json)", 2, 5)
    assert "sent again with the next run" in unsent.reason
    assert "s3cr3t" not in str(told)
    assert SECRET not in str(told)

    record(ended(alarm("P-1")), alarm("P-3"))  # what came and went while it was down is not lost either
    with _hook(port) as hook:
        assert send_notices(ledger, case, FLEET).unsent == ()
        [message] = hook.received
    assert message["title"] == "pumps: 2 new alarms (2 critical), 1 closed"
    assert [asset for asset in ("P-1", "P-2", "P-3") if asset in message["message"]] == ["P-1", "P-2", "P-3"]


def test_an_answer_that_is_an_error_is_a_message_not_taken(
    ledger: Ledger, hook: Hook, record: Callable[..., None]
) -> None:
    hook.status = 503
    record(alarm())
    told = send_notices(ledger, usecase({"to": hook.url}), FLEET)
    assert "503" in told.unsent[0].reason
    hook.status = 200
    assert send_notices(ledger, usecase({"to": hook.url}), FLEET).messages == 1


def test_one_receiver_that_is_down_does_not_hold_up_the_others(
    ledger: Ledger, hook: Hook, record: Callable[..., None]
) -> None:
    record(alarm())
    told = send_notices(ledger, usecase({"to": "nosuch://x"}, {"to": "json://127.0.0.1:1"}, {"to": hook.url}), FLEET)
    assert told.messages == 1
    assert [(one.name, one.exit_code) for one in told.unsent] == [
        ("monitor.notify[0] (nosuch)", 2),
        ("monitor.notify[1] (json)", 5),
    ]


def test_severity_and_where_choose_and_entries_with_one_url_are_one_receiver(
    ledger: Ledger, hook: Hook, record: Callable[..., None]
) -> None:
    case = usecase(
        {"to": hook.url, "severity": "critical"},
        {"to": hook.url, "severity": "info", "where": 'country == "GB"'},
    )
    record(
        *(
            alarm(asset, check, severity)
            for asset in ("P-1", "P-2")
            for check, severity in (("freshness", "critical"), ("gaps", "warning"), ("frozen", "info"))
        )
    )
    assert send_notices(ledger, case, FLEET).opened == 4
    [message] = hook.received
    assert message["title"] == "pumps: 4 new alarms (2 critical, 1 warning, 1 info)"
    assert "P-1: gaps" not in message["message"]


def test_checks_and_cohorts_that_want_no_messages_get_none(
    ledger: Ledger, hook: Hook, record: Callable[..., None]
) -> None:
    case = usecase({"to": hook.url}, checks={"freshness": {"then": []}})
    overridden = case.model_copy(
        update={
            "overrides": UseCase.model_validate(
                {
                    **case.model_dump(by_alias=True),
                    "overrides": [{"where": 'country == "GB"', "set": {"monitor.then": []}}],
                }
            ).overrides
        }
    )
    record(alarm("P-1"), alarm("P-1", "gaps"), alarm("P-2", "gaps"), alarm("gone", "gaps"))
    assert send_notices(ledger, overridden, FLEET).opened == 1
    assert "P-1: gaps" in hook.received[0]["message"]


def test_a_receiver_of_a_cohort_hears_of_that_cohort_alone(
    ledger: Ledger, hook: Hook, record: Callable[..., None]
) -> None:
    document = usecase().model_dump(by_alias=True)
    change = {"where": 'country == "NO"', "set": {"monitor.notify": [{"to": hook.url}]}}
    case = UseCase.model_validate({**document, "overrides": [change]})
    record(alarm("P-1"), alarm("P-2"), alarm("P-3"))
    assert send_notices(ledger, case, FLEET).opened == 2


def test_silenced_alarms_send_nothing_until_the_silence_is_over(
    ledger: Ledger, hook: Hook, record: Callable[..., None]
) -> None:
    case = usecase({"to": hook.url})
    record(alarm("P-1"), alarm("P-2"), silenced=[alarm("P-1")])
    assert send_notices(ledger, case, FLEET).opened == 1
    assert "P-2" in hook.received[0]["message"]
    with ledger.writing() as connection:
        connection.execute(schema.check_states.update().values(state="alarm"))
    assert send_notices(ledger, case, FLEET).opened == 1


def test_a_thousand_alarms_are_one_message_that_can_be_read(
    ledger: Ledger, hook: Hook, record: Callable[..., None]
) -> None:
    fleet = tuple(Asset(f"P-{number}") for number in range(1000))
    record(*(alarm(asset.id, "gaps", "warning") for asset in fleet), alarm("P-7", reason="x" * 5000))
    assert send_notices(ledger, usecase({"to": hook.url}), fleet, report="report/index.html").opened == 1001
    [message] = hook.received
    assert len(message["message"]) <= 4000
    blocks = message["message"].split("\n\n")
    assert blocks[0].startswith("[critical] P-7: freshness\nxxx")
    assert blocks[-2] == f"and {1001 - len(blocks) + 2:,} more: {1001 - len(blocks) + 2:,} gaps"
    assert blocks[-1] == "Report: report/index.html"
    assert send_notices(ledger, usecase({"to": hook.url}), fleet).messages == 0


def test_the_ledger_keeps_no_url(ledger: Ledger, hook: Hook, record: Callable[..., None]) -> None:
    record(alarm())
    send_notices(ledger, usecase({"to": hook.url}), FLEET)
    with ledger.reading() as connection:
        [row] = connection.execute(sa.select(schema.notices)).mappings()
    assert row["event"] == "opened"
    assert SECRET not in str(dict(row))
    assert "127.0.0.1" not in str(dict(row))


def test_nobody_to_tell_needs_no_apprise(ledger: Ledger, record: Callable[..., None]) -> None:
    record(alarm())
    assert send_notices(ledger, usecase(), FLEET).messages == 0


def test_without_the_extra_the_error_names_it(
    ledger: Ledger, hook: Hook, record: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)  # importing it fails, as where it is not installed
    case = usecase({"to": hook.url})
    assert send_notices(ledger, case, FLEET).messages == 0  # nothing to tell: nothing is missing
    assert notify_problems(case) == (
        "`monitor.notify` needs the extra `notify`: install it with pip install 'datadriver[notify]'",
    )
    record(alarm())
    with pytest.raises(MissingExtraError, match=r"datadriver\[notify\]"):
        send_notices(ledger, case, FLEET)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "slak://TokenA12345/TokenB12345",
            "monitor.notify[0].to: Apprise knows no service slak://; did you mean 'slack'",
        ),
        ("slack://TokenA12345/TokenB12345", "monitor.notify[0].to: Apprise does not understand this URL of slack://"),
        ("ops@plant.example", "monitor.notify[0].to: that is no URL as Apprise reads it"),
        (
            "mailto://me:Token12345@127.0.0.1?to=ops@plant.example",
            "monitor.notify[0].to: Apprise does not understand this URL of mailto://: Invalid ~From~ email specified",
        ),
        ("json://", "monitor.notify[0].to: Apprise does not understand this URL of json://"),
    ],
)
def test_a_url_that_leads_nowhere_is_found_without_a_network_and_not_shown(url: str, said: str) -> None:
    [problem] = notify_problems(usecase({"to": url}))
    assert problem.startswith(said)
    assert "12345" not in problem


@given(
    parts=st.lists(st.text("abcdefXYZ0123456789-_", min_size=6, max_size=12), min_size=1, max_size=4),
    around=st.text(max_size=10),
)
def test_no_part_of_a_url_stays_in_a_text(parts: list[str], around: str) -> None:
    url = f"slack://{parts[0]}:{'/'.join(parts)}?key={parts[-1]}"
    said = without_secrets(f"{around}{url}{around} failed ({parts[0]}), tried {' '.join(parts)}", url)
    assert not [part for part in parts if part in said]


def test_urls_that_apprise_understands_are_no_problem() -> None:
    assert notify_problems(usecase({"to": "json://localhost/hook"}, {"to": "mailto://me:word@plant.example"})) == ()


@given(
    alarms=st.lists(
        st.builds(
            Alarm,
            id=st.integers(1, 99),
            asset=st.text(min_size=1, max_size=30),
            unit=st.just(""),
            model=st.just(""),
            check=st.sampled_from(["freshness", "gaps", "drift"]),
            severity=st.sampled_from(SEVERITIES),
            opened=st.sampled_from([*DAY, "17"]),
            reason=st.text(max_size=400),
            closed=st.none() | st.sampled_from(DAY),
        ),
        min_size=1,
        max_size=40,
    ),
    longest=st.integers(0, 3000),
)
def test_a_message_is_never_longer_than_asked_and_counts_what_it_leaves_out(alarms: list[Alarm], longest: int) -> None:
    news = News(tuple(one for one in alarms if not one.closed), tuple(one for one in alarms if one.closed))
    text = messages.body(news, report="index.html", zone="UTC", longest=longest)
    assert len(text) <= longest
    if longest >= 200:
        shown = sum(block.startswith("[") for block in text.split("\n\n"))
        more = [int(block.split()[1]) for block in text.split("\n\n") if block.startswith("and ")]
        assert shown + sum(more) == len(alarms)
        assert text.endswith("Report: index.html")


def test_check_finds_a_receiver_that_nobody_understands_and_keeps_its_secret(tiny: TinyCase) -> None:
    tiny.edit("\nmodels:", '\nmonitor: {notify: [{to: "slak://hunter2/T/B/C"}]}\nmodels:')
    found = tiny.run("check")
    assert found.returncode == 2
    assert "monitor.notify[0]" in found.stderr
    assert "hunter2" not in found.stdout + found.stderr
