"""What the gate let through at one moment is what is released, whatever comes between; on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.tracking import proposals, queries, releases
from datadriver.tracking.images import ImageRecord, Packed, images, mark_pruned, record_images
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.proposals import Proposal
from datadriver.tracking.records import Key, Outcome, Version
from datadriver.tracking.releases import Candidate

A, B, MANUAL = Key("P-1", "load"), Key("15/9-F-1 C", "load"), Key("P-3", "load")


@dataclass
class Fleet:
    """Three pumps whose versions exist on paper only; the model of the third needs approval."""

    ledger: Ledger
    instances: dict[Key, Instance]
    batch: str
    made: dict[Key, int] = field(default_factory=dict)

    def train(self, *keys: Key, better: bool = True) -> None:
        for key in keys:
            number = self.made[key] = self.made.get(key, 0) + 1
            name = f"{key}:{number}"
            version = Version(
                *key, number, name, f"models:/{name}", name, "0" * 64, name, "model", "predict",
                decision={"better": better, "reason": f"{name} was judged"},
            )  # fmt: skip
            self.ledger.record_result(Outcome(self.batch, *key, "trained", result_key=name), version=version)

    def propose(self, name: str = "monday") -> Proposal | None:
        chosen = list(self.instances.values())
        return proposals.propose(self.ledger, name, releases.diff(self.ledger, chosen), chosen)

    def proposed(self, name: str = "monday") -> Proposal:
        found = self.propose(name)
        assert found is not None
        return found

    def standing(self, name: str, **options: object) -> tuple[Candidate, ...]:
        found = proposals.proposal(self.ledger, name)
        return proposals.standing(self.ledger, found, list(self.instances.values()), **options)  # type: ignore[arg-type]

    def release(self, name: str = "monday", **options: object) -> list[str]:
        release = releases.enact(self.ledger, None, self.standing(name, **options), by="ada")
        return [f"{item.key}:{item.version}" for item in release.items] if release else []

    def held(self, name: str = "monday", **options: object) -> dict[str, str]:
        return {str(one.key): one.reason for one in proposals.held_back(self.standing(name, **options))}

    def promote(self, *keys: Key, **options: object) -> None:
        chosen = [self.instances[key] for key in keys]
        releases.promote(self.ledger, None, chosen, by="bob", **options)  # type: ignore[arg-type]

    @property
    def champions(self) -> dict[str, int]:
        return {str(key): version.version for key, version in queries.champions(self.ledger).items()}


@pytest.fixture
def fleet(ledger: Ledger, make_usecase: Callable[..., UseCase], make_instance: Callable[..., Instance]) -> Fleet:
    usecase = make_usecase()
    recipe = usecase.models["load"].model_dump(by_alias=True) | {"promote": {"approval": "manual"}}
    manual = make_usecase(models={"load": recipe})
    instances = {key: make_instance(manual if key is MANUAL else usecase, key.unit) for key in (A, B, MANUAL)}
    return Fleet(ledger, instances, ledger.start_batch("train").id)


def test_a_challenger_that_comes_after_the_gate_is_not_released(fleet: Fleet) -> None:
    fleet.train(A, B)
    fleet.propose()
    fleet.train(A, MANUAL)
    assert fleet.release() == ["15/9-F-1 C/load:1", "P-1/load:1"]
    assert fleet.champions == {"P-1/load": 1, "15/9-F-1 C/load": 1}
    assert fleet.held() == {}


def test_released_again_after_a_kill_nothing_is_made_twice(fleet: Fleet) -> None:
    fleet.train(A)
    fleet.propose()
    assert fleet.release() == ["P-1/load:1"]
    assert fleet.release() == []
    assert fleet.held() == {}
    assert len(releases.history(fleet.ledger)) == 1


def test_what_changed_its_champion_since_is_held_back_and_the_rest_goes(fleet: Fleet) -> None:
    fleet.train(A, B)
    fleet.propose()
    fleet.train(A)
    fleet.promote(A)
    assert fleet.release() == ["15/9-F-1 C/load:1"]
    assert fleet.held() == {"P-1/load": "version 2 serves now, and it was no version when version 1 was proposed"}


def test_a_champion_that_changes_in_the_same_moment_stops_the_release(fleet: Fleet) -> None:
    fleet.train(A)
    fleet.propose()
    candidates = fleet.standing("monday")
    fleet.train(A)
    fleet.promote(A)
    with pytest.raises(UnavailableError, match="try again"):
        releases.enact(fleet.ledger, None, candidates, by="ada")
    assert fleet.champions == {"P-1/load": 2}


def test_models_that_need_no_approval_do_not_wait_for_those_that_do(fleet: Fleet) -> None:
    fleet.train(A, MANUAL)
    assert [one.approval for one in fleet.proposed().items] == ["auto", "manual"]
    assert fleet.release(approval="auto") == ["P-1/load:1"]
    assert fleet.champions == {"P-1/load": 1}
    assert fleet.release(approval="manual") == ["P-3/load:1"]


def test_a_refused_version_stays_challenger_until_a_newer_one_comes(fleet: Fleet) -> None:
    fleet.train(A, MANUAL)
    found = fleet.proposed()
    fleet.release(approval="auto")
    assert proposals.reject(fleet.ledger, found, approval="manual", by="ada", reason="worse at night") == 1
    assert fleet.release() == []
    assert fleet.propose() is None
    [_, _, candidate] = releases.diff(fleet.ledger, list(fleet.instances.values()))
    assert candidate.reason.startswith("version 1 was refused by ada on 20")
    assert candidate.reason.endswith(": worse at night; train on new data, or promote it with --version or --force")
    fleet.train(MANUAL)
    assert [one.version for one in fleet.proposed().items] == [2]


def test_what_serves_already_cannot_be_refused_any_more(fleet: Fleet) -> None:
    fleet.train(A)
    found = fleet.proposed()
    fleet.release()
    assert proposals.reject(fleet.ledger, found, by="ada", reason="") == 0
    assert fleet.held() == {}


def test_a_refused_version_can_be_forced(fleet: Fleet) -> None:
    fleet.train(A)
    proposals.reject(fleet.ledger, fleet.proposed(), by="ada", reason="")
    fleet.promote(A)
    assert fleet.champions == {}
    fleet.promote(A, version=1)
    assert fleet.champions == {"P-1/load": 1}


def test_where_images_are_asked_for_versions_without_one_are_held_back(fleet: Fleet) -> None:
    fleet.train(A, B)
    fleet.propose()
    image = ImageRecord("r:5000", "pumps/a", "v1", "sha256:1", None, "base", 1, (Packed(*A, 1),), fleet.batch)
    record_images(fleet.ledger, [image])
    assert fleet.held(packaged=True) == {"15/9-F-1 C/load": "version 1 has no image; `datadriver package` says why"}
    assert fleet.release(packaged=True) == ["P-1/load:1"]
    mark_pruned(fleet.ledger, [one.number for one in images(fleet.ledger) if one.number])
    assert set(fleet.held(packaged=True)) == {"15/9-F-1 C/load"}


def test_a_name_stands_for_the_newest_proposal_and_a_number_for_one(fleet: Fleet) -> None:
    fleet.train(A)
    first = fleet.proposed()
    fleet.train(A)
    second = fleet.proposed()
    assert proposals.proposal(fleet.ledger, "monday") == second
    assert proposals.proposal(fleet.ledger, str(first.number)) == first
    assert {key: one.version for key, one in proposals.proposed_versions(fleet.ledger, first).items()} == {A: 1}


@pytest.mark.parametrize(("said", "match"), [("munday", "did you mean 'monday'"), ("99", "no proposal '99'")])
def test_a_proposal_that_is_not_there_is_an_error(fleet: Fleet, said: str, match: str) -> None:
    fleet.train(A)
    fleet.propose()
    with pytest.raises(ConfigError, match=match):
        proposals.proposal(fleet.ledger, said)


def test_a_number_is_no_name(fleet: Fleet) -> None:
    with pytest.raises(ConfigError, match="'17'"):
        fleet.propose("17")


def test_nothing_to_propose_leaves_nothing_behind(fleet: Fleet) -> None:
    fleet.train(A, better=False)
    assert fleet.propose() is None
    with pytest.raises(ConfigError, match="no proposal"):
        proposals.proposal(fleet.ledger, "monday")


def test_an_asset_that_left_the_fleet_is_held_back(fleet: Fleet) -> None:
    fleet.train(A, B)
    fleet.propose()
    found, here = proposals.proposal(fleet.ledger, "monday"), [fleet.instances[B]]
    candidates: Sequence[Candidate] = proposals.standing(fleet.ledger, found, here)
    assert {one.key: one.promotes for one in candidates} == {A: False, B: True}
