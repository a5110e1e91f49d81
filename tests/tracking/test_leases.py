"""Leases, on SQLite and PostgreSQL: one holder at a time, taken over from the dead, lost when not renewed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from datadriver.tracking import leases, schema
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.records import Key

KEYS = [Key(f"P-{n}", model) for n in range(3) for model in ("load", "failure[horizon=1d]")]


def test_what_one_batch_holds_another_does_not_get(ledger: Ledger) -> None:
    one, two = ledger.start_batch("train").id, ledger.start_batch("train").id
    assert leases.take(ledger, KEYS[:4], one) == set(KEYS[:4])
    assert leases.take(ledger, KEYS, two) == set(KEYS[4:])
    assert leases.take(ledger, KEYS, one) == set(KEYS[:4]), "its own are still its own"
    assert leases.holders(ledger, KEYS) == dict.fromkeys(KEYS[:4], one) | dict.fromkeys(KEYS[4:], two)


def test_a_lease_of_another_model_of_the_same_unit_is_another_lease(ledger: Ledger) -> None:
    one, two = ledger.start_batch("train").id, ledger.start_batch("train").id
    leases.take(ledger, [Key("P", "a"), Key("Q", "b")], one)
    assert leases.take(ledger, [Key("P", "b"), Key("Q", "a")], two) == {Key("P", "b"), Key("Q", "a")}
    leases.release(ledger, one, [Key("P", "a"), Key("Q", "a")])
    assert set(leases.holders(ledger, [Key(u, m) for u in "PQ" for m in "ab"])) == {
        Key("P", "b"),
        Key("Q", "a"),
        Key("Q", "b"),
    }


def test_a_released_lease_is_free(ledger: Ledger) -> None:
    one, two = ledger.start_batch("train").id, ledger.start_batch("train").id
    leases.take(ledger, KEYS, one)
    leases.release(ledger, one, KEYS[:1])
    leases.release(ledger, two)
    assert leases.take(ledger, KEYS, two) == set(KEYS[:1])
    leases.release(ledger, one)
    assert leases.take(ledger, KEYS, two) == set(KEYS)


def test_an_expired_lease_goes_to_whoever_asks_and_its_holder_can_find_out(ledger: Ledger) -> None:
    one, two = ledger.start_batch("train").id, ledger.start_batch("train").id
    leases.take(ledger, KEYS, one, seconds=-1)
    assert leases.take(ledger, KEYS[:2], two) == set(KEYS[:2])
    assert leases.held(ledger, KEYS, one) == set(KEYS[2:])
    assert leases.renew(ledger, one) == len(KEYS) - 2
    assert leases.take(ledger, KEYS, two) == set(KEYS[:2]), "what is renewed in time is not taken"


@pytest.mark.parametrize("state", ["done", "failed", "killed"])
def test_leases_of_a_batch_that_is_over_count_for_nothing(ledger: Ledger, state: str) -> None:
    one, two = ledger.start_batch("train").id, ledger.start_batch("train").id
    leases.take(ledger, KEYS, one)
    ledger.finish_batch(one, state)  # type: ignore[arg-type]
    assert leases.take(ledger, KEYS, two) == set(KEYS)


def test_leases_of_a_process_that_was_killed_are_taken_over_at_once(ledger: Ledger) -> None:
    one, two = ledger.start_batch("train").id, ledger.start_batch("train").id
    leases.take(ledger, KEYS, one)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    change = schema.batches.update().where(schema.batches.c.id == one)
    with ledger.writing() as connection:
        connection.execute(change.values(pid=process.pid, started_at="2999-01-01T00:00:00+00:00"))
    assert leases.take(ledger, KEYS, two) == set()
    process.kill()
    process.wait()
    assert leases.take(ledger, KEYS, two) == set(KEYS)


def test_leases_are_renewed_while_a_batch_works_and_released_when_it_ends(ledger: Ledger) -> None:
    one, two = ledger.start_batch("train").id, ledger.start_batch("train").id

    def expiry() -> str | None:
        with ledger.reading() as connection:
            return connection.execute(sa.select(schema.leases.c.expires_at)).scalar()

    with leases.renewing(ledger, one, seconds=0.3):
        leases.take(ledger, KEYS[:1], one, seconds=0.3)
        first = expiry()
        until = time.monotonic() + 20
        while expiry() == first:
            assert time.monotonic() < until, "was not renewed"
            time.sleep(0.02)
        assert leases.take(ledger, KEYS[1:], two, seconds=60) == set(KEYS[1:])
    assert leases.holders(ledger, KEYS) == dict.fromkeys(KEYS[1:], two)


def test_more_instances_than_fit_into_one_statement(ledger: Ledger) -> None:
    one, two = ledger.start_batch("train").id, ledger.start_batch("train").id
    many = [Key(f"{n}", "load") for n in range(1_200)]
    assert len(leases.take(ledger, many, one)) == len(leases.held(ledger, many, one)) == 1_200
    assert leases.take(ledger, many, two) == set()
    leases.release(ledger, one, many[:1_100])
    assert leases.take(ledger, many, two) == set(many[:1_100])


def test_of_many_that_ask_at_once_each_lease_goes_to_one(ledger: Ledger, open_ledger: Callable[[], Ledger]) -> None:
    crew = [open_ledger() for _ in range(4)]
    names = [one.start_batch("train").id for one in crew]
    keys = [Key(f"P-{n}", "load") for n in range(60)]
    granted: dict[str, list[Key]] = {name: [] for name in names}
    ready = threading.Barrier(len(crew))

    def ask(one: Ledger, name: str, step: int) -> None:
        ready.wait()
        mine = keys if step % 2 else keys[::-1]
        for start in range(0, len(keys), 7):
            granted[name] += leases.take(one, mine[start : start + 7], name)

    threads = [threading.Thread(target=ask, args=(*pair, n)) for n, pair in enumerate(zip(crew, names, strict=True))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key for found in granted.values() for key in found) == sorted(keys)
