"""Proposals and failures on the command line: documents, words and exit codes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from datadriver.cli.boundary import run
from datadriver.project import Project
from datadriver.tracking import releases
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.records import Key, Outcome, Version

if TYPE_CHECKING:
    from conftest import TinyCase

KEY = Key("P-1", "temperature")


@pytest.fixture
def ledger(tiny: TinyCase) -> Iterator[Ledger]:
    """The ledger of the use case, with a first version of one instance on paper."""
    with closing(Project.open(tiny.root).ledger) as opened:
        train(opened, 1)
        yield opened


def train(ledger: Ledger, number: int) -> None:
    name = f"v{number}"
    version = Version(
        *KEY, number, name, f"models:/{name}", name, "0" * 64, name, "model", "predict",
        decision={"better": True, "reason": "mae 1 beats the baseline's 2"},
    )  # fmt: skip
    batch = ledger.start_batch("train").id
    ledger.record_result(Outcome(batch, *KEY, "trained", result_key=name), version=version)


@pytest.fixture
def say(tiny: TinyCase, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    """Run a command line here; returns exit code and document, or the text without --json."""

    def say_(*arguments: str) -> tuple[int, Any]:
        code = run([*arguments, "--project", str(tiny.root)])
        said = capsys.readouterr()
        return code, json.loads(said.out) if "--json" in arguments else said.out + said.err

    return say_


def test_a_proposal_is_made_looked_at_and_refused(say: Callable[..., Any], ledger: Ledger) -> None:
    code, document = say("diff", "--propose", "monday", "--json")
    assert code == 0
    assert (document["proposal"], document["of"]) == (1, 3)
    [proposed] = document["instances"]
    assert (proposed["unit"], proposed["challenger"], proposed["approval"]) == ("P-1", 1, "auto")
    assert say("diff", "--proposal", "1", "--json")[1]["instances"][0]["promotes"] is True
    refused = say("promote", "--proposal", "monday", "--refuse", "--by", "ada", "--reason", "too hot", "--json")
    assert refused == (0, {"release": None, "proposal": 1, "refused": 1})
    assert say("diff", "--propose", "tuesday", "--json") == (0, {"proposal": None, "of": 3, "instances": []})
    assert "version 1 was refused by ada on" in say("diff")[1]


def test_what_cannot_be_released_any_more_is_said_and_no_success(
    say: Callable[..., Any], tiny: TinyCase, ledger: Ledger
) -> None:
    say("diff", "--propose", "monday")
    train(ledger, 2)
    releases.promote(ledger, None, [Project.open(tiny.root).instance(str(KEY))], by="bob")
    code, text = say("promote", "--proposal", "monday")
    assert code == 6
    assert "nothing to promote" in text
    assert "version 2 serves now, and it was no version when version 1 was proposed" in text
    code, document = say("promote", "--proposal", "monday", "--json")
    assert (code, document["release"]) == (6, None)
    assert document["error"]["message"] == "1 of 1 proposed version held back, the rest serve"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("promote", "--refuse"), "--approval, --packaged and --refuse are about a --proposal"),
        (("promote", "--proposal", "monday", "--force"), "a --proposal is what the gate let through"),
        (("promote", "--proposal", "monday"), "there is no proposal 'monday'"),
        (("diff", "--propose", "17"), "numbers stand for proposals already"),
        (("diff", "--propose", "a", "--proposal", "b"), "give one of them"),
    ],
)
def test_what_makes_no_sense_is_an_error(
    say: Callable[..., Any], ledger: Ledger, arguments: tuple[str, ...], sentence: str
) -> None:
    code, text = say(*arguments)
    assert code == 2
    assert sentence in text


def test_failures_are_recorded_listed_and_over_when_the_task_succeeds(
    say: Callable[..., Any], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = {
        "dag_id": "tiny__P-1__score", "run_id": "r", "task_id": "score", "try_number": 1, "kind": "score",
        "subject": "P-1", "assets": ["P-1"], "reason": "no rows", "exit_code": 3,
    }  # fmt: skip
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps([failure])))
    assert say("failures", "--record", "-", "--json") == (0, {"recorded": 1, "messages": 0, "unsent": []})
    [listed] = say("failures", "--json")[1]["failures"]
    assert failure.items() <= listed.items()
    assert "1 failed task:\n  P-1: scoring failed: no rows\n" in say("status")[1]
    monkeypatch.setenv("DATADRIVER_TASK", "tiny__P-1__score/score")
    assert say("promote", "--proposal", "munday")[0] == 2
    assert len(say("diff", "--json")[1]["instances"]) == 3
    monkeypatch.delenv("DATADRIVER_TASK")
    assert say("failures", "--json")[1]["failures"] == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"dag_id": "x"}]', '[{"sort": 1}]'])
def test_what_is_no_list_of_failures_is_an_error(
    say: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code, said = say("failures", "--record", "-")
    assert code == 2
    assert "no JSON list of failures" in said


def test_requests_come_with_the_asset_whose_events_start_the_training(say: Callable[..., Any], ledger: Ledger) -> None:
    assert say("requests", "--json") == (0, {"requests": []})
    assert "0 requests" in say("requests", "--announce", "run-1")[1]
