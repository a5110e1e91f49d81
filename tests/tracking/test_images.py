"""Images in the ledger, on SQLite and PostgreSQL: a name stands for one image at a time, nothing is forgotten."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from datadriver.tracking.images import ImageRecord, Packed, images, mark_pruned, mark_tagged, record_images
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.records import Outcome, Version


@pytest.fixture
def batch(ledger: Ledger) -> str:
    """A batch that trained two versions of two instances."""
    batch = ledger.start_batch("package").id
    for unit in ("P-1", "P-2"):
        for number in (1, 2):
            key = f"{unit}-{number}"
            version = Version(unit, "load", number, key, f"models:/{key}", key, key, key, "model", "predict")
            outcome = Outcome(batch, unit, "load", "trained", result_key=key)
            ledger.record_result(outcome, version=version)
    return batch


def image(batch: str, unit: str = "P-1", version: int = 1, **changes: object) -> ImageRecord:
    made = ImageRecord(
        place="localhost:5000",
        repository=f"pumps/{unit.lower()}.load",
        tag=f"v{version}",
        image_id=f"sha256:{unit}{version}",
        digest=f"sha256:digest-{unit}{version}",
        base="localhost:5000/pumps/base:1",
        size=4096,
        models=(Packed(unit, "load", version),),
        batch=batch,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_what_is_recorded_is_found_again_and_the_same_again_adds_nothing(ledger: Ledger, batch: str) -> None:
    made = [image(batch), image(batch, "P-2"), image(batch, version=2, models=(Packed("P-1", "load", 2),))]
    record_images(ledger, made)
    record_images(ledger, made)
    found = images(ledger)
    assert [replace(one, at="", number=None) for one in found] == made
    assert images(ledger, place="elsewhere") == ()


def test_an_image_of_several_models_keeps_them_all(ledger: Ledger, batch: str) -> None:
    models = (Packed("P-1", "load", 1), Packed("P-2", "load", 2))
    record_images(ledger, [image(batch, models=models)])
    assert images(ledger)[0].models == models


def test_a_name_that_means_another_image_now_is_taken_from_the_one_that_had_it(ledger: Ledger, batch: str) -> None:
    record_images(ledger, [image(batch)])
    record_images(ledger, [image(batch, image_id="sha256:rebuilt", digest="sha256:new")])
    assert [one.image_id for one in images(ledger)] == ["sha256:rebuilt"]
    old, new = images(ledger, pruned=True)
    assert old.pruned_at
    assert new.pruned_at is None


def test_the_same_image_in_an_engine_and_in_a_registry_are_two_records(ledger: Ledger, batch: str) -> None:
    record_images(ledger, [image(batch), image(batch, place="engine", digest=None)])
    assert {one.reference for one in images(ledger)} == {
        "localhost:5000/pumps/p-1.load@sha256:digest-P-11",
        "pumps/p-1.load:v1",
    }


def test_pruned_and_tagged_are_remembered(ledger: Ledger, batch: str) -> None:
    record_images(ledger, [image(batch), image(batch, "P-2")])
    first, second = images(ledger)
    mark_tagged(ledger, [first.number or 0])
    mark_pruned(ledger, [second.number or 0])
    assert [(one.number, one.tagged) for one in images(ledger)] == [(first.number, True)]
    record_images(ledger, [image(batch, "P-2")])
    assert len(images(ledger)) == 2, "what was pruned can be made again"


def test_two_at_once_record_each_image_once(ledger: Ledger, batch: str) -> None:
    made = [image(batch, unit, version) for unit in ("P-1", "P-2") for version in (1, 2)]
    threads = [threading.Thread(target=record_images, args=(ledger, [one])) for one in made * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.name for one in images(ledger, pruned=True)) == sorted(one.name for one in made)
