"""Who becomes champion, how it is undone, and that ledger and MLflow end up saying the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, UnavailableError
from datadriver.tracking import queries, releases
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.mlflow_runs import Tracker
from datadriver.tracking.model_files import write_model
from datadriver.tracking.records import Key, Outcome, Version
from datadriver.training.results import Decision, TrainResult

A, B = Key("P-1", "load"), Key("P-2", "load")


@dataclass
class Fleet:
    """Two pumps with a ledger, whose versions exist on paper only."""

    ledger: Ledger
    instances: dict[Key, Instance]
    batch: str = ""
    made: dict[Key, int] = field(default_factory=dict)

    def train(self, *keys: Key, better: bool | None = True) -> None:
        for key in keys:
            number = self.made[key] = self.made.get(key, 0) + 1
            name = f"{key}:{number}"
            version = Version(
                *key, number, name, f"models:/{name}", name, "0" * 64, name, "model", "predict",
                decision={"better": better, "reason": f"{name} was judged"},
            )  # fmt: skip
            self.ledger.record_result(Outcome(self.batch, *key, "trained", result_key=name), version=version)

    def promote(self, *keys: Key, **options: object) -> list[str]:
        chosen = [self.instances[key] for key in keys or (A, B)]
        release, _ = releases.promote(self.ledger, None, chosen, by="ada", **options)  # type: ignore[arg-type]
        return [f"{item.key}:{item.version}" for item in release.items] if release else []

    def rollback(self, *keys: Key, release: int | None = None) -> None:
        releases.rollback(self.ledger, None, by="ada", reason="worse", instances=keys or None, release=release)

    def reason(self, key: Key, **options: object) -> str:
        [candidate] = releases.diff(self.ledger, [self.instances[key]], **options)  # type: ignore[arg-type]
        assert not candidate.promotes
        return candidate.reason

    @property
    def champions(self) -> dict[str, int]:
        return {str(key): version.version for key, version in queries.champions(self.ledger).items()}


@pytest.fixture
def fleet(
    tmp_path: Path, make_usecase: Callable[..., UseCase], make_instance: Callable[..., Instance]
) -> Iterator[Fleet]:
    usecase = make_usecase()
    ledger = Ledger.open(usecase, tmp_path)
    instances = {key: make_instance(usecase, key.unit) for key in (A, B)}
    yield Fleet(ledger, instances, ledger.start_batch("train").id)
    ledger.close()


def test_what_passes_the_gate_becomes_champion(fleet: Fleet) -> None:
    fleet.train(A)
    fleet.train(B, better=False)
    assert fleet.promote() == ["P-1/load:1"]
    assert fleet.champions == {"P-1/load": 1}
    [release] = releases.history(fleet.ledger)
    assert (release.by, release.reason) == ("ada", "1 challenger passed the gate")


def test_nothing_to_promote_leaves_no_release(fleet: Fleet) -> None:
    fleet.train(A)
    fleet.promote()
    assert fleet.promote() == []
    assert len(releases.history(fleet.ledger)) == 1


def test_diff_says_why_an_instance_stays_as_it_is(fleet: Fleet) -> None:
    assert fleet.reason(A) == "nothing was trained yet"
    fleet.train(A, better=None)
    assert fleet.reason(A) == "P-1/load:1 was judged"
    fleet.promote(A, force=True)
    assert fleet.reason(A) == "version 1 is champion already"


def test_force_and_a_version_by_number_pass_by_the_gate(fleet: Fleet) -> None:
    fleet.train(A, better=False)
    assert fleet.promote(A, force=True) == ["P-1/load:1"]
    fleet.train(A, A)
    fleet.promote(A)
    assert fleet.champions == {"P-1/load": 3}
    assert fleet.promote(A, version=1) == ["P-1/load:1"]


def test_a_forced_release_says_so_whatever_else_is_said(fleet: Fleet) -> None:
    fleet.train(A, better=False)
    fleet.promote(A, force=True, reason="the old one fails at night")
    [release] = releases.history(fleet.ledger)
    assert release.reason == "forced: the old one fails at night"


def test_a_version_that_does_not_exist_is_an_error_for_every_instance_without_it(fleet: Fleet) -> None:
    fleet.train(A, A, B)
    with pytest.raises(ConfigError, match="P-2/load has no version 2"):
        fleet.promote(version=2)
    assert not fleet.champions


def test_manual_approval_waits_for_a_person(
    fleet: Fleet, make_usecase: Callable[..., UseCase], make_instance: Callable[..., Instance]
) -> None:
    recipe = make_usecase().models["load"].model_dump(by_alias=True) | {"promote": {"approval": "manual"}}
    fleet.instances[A] = make_instance(make_usecase(models={"load": recipe}), "P-1")
    fleet.train(A, B)
    assert fleet.promote(manual=False) == ["P-2/load:1"]
    assert fleet.reason(A, manual=False).startswith("waits for approval")
    assert fleet.promote() == ["P-1/load:1"]


def test_a_challenger_that_was_judged_against_another_champion_waits(fleet: Fleet) -> None:
    fleet.train(A, A)
    fleet.promote(A, version=1)
    assert "was judged before release 1 changed the champion" in fleet.reason(A)


def test_rollback_gives_back_the_champion_of_before_and_is_not_undone_by_the_next_promotion(fleet: Fleet) -> None:
    for _ in range(3):
        fleet.train(A, B)
        fleet.promote()
    fleet.rollback(A)
    assert fleet.champions == {"P-1/load": 2, "P-2/load": 3}
    assert fleet.promote() == []
    fleet.rollback(A)
    assert fleet.champions == {"P-1/load": 1, "P-2/load": 3}
    assert [release.action for release in releases.history(fleet.ledger, limit=3)] == [
        "rollback",
        "rollback",
        "promote",
    ]
    with pytest.raises(
        ConfigError, match="P-1/load: there is no earlier champion to go back to; version 1 is its first"
    ):
        fleet.rollback(A)


def test_a_whole_release_is_rolled_back_one_after_the_other(fleet: Fleet) -> None:
    fleet.train(A)
    fleet.promote()
    fleet.train(A, B)
    fleet.promote()
    fleet.rollback()
    assert fleet.champions == {"P-1/load": 1}
    fleet.rollback()
    assert fleet.champions == {}
    with pytest.raises(ConfigError, match="there is no release to roll back"):
        fleet.rollback()


def test_a_release_that_was_partly_replaced_is_not_rolled_back_whole(fleet: Fleet) -> None:
    fleet.train(A, B)
    fleet.promote()
    fleet.train(A)
    fleet.promote()
    with pytest.raises(ConfigError, match=r"release 1 cannot be rolled back whole: P-1/load changed since"):
        fleet.rollback(release=1)
    with pytest.raises(ConfigError, match=r"there is no promotion 7"):
        fleet.rollback(release=7)
    assert fleet.champions == {"P-1/load": 2, "P-2/load": 1}


def test_ledger_and_aliases_drift_apart_and_are_reconciled(
    fleet: Fleet, tracker: Tracker, make_result: Callable[..., TrainResult]
) -> None:
    parent = tracker.start_batch(queries.batches(fleet.ledger)[0])
    for key in (A, B):
        instance = fleet.instances[key]
        result = make_result(instance, decision=Decision(True, "better"))
        files = write_model(tracker.root / "staged", result, instance, code_digest="c")
        version = tracker.record(parent, instance, result, files, code_digest="c")
        fleet.ledger.record_result(Outcome(fleet.batch, *key, "trained"), version=version)
    releases.promote(fleet.ledger, tracker, [fleet.instances[A]], by="ada")
    assert releases.drift(fleet.ledger, tracker, [A, B]) == ()
    fleet.promote(B)  # without MLflow
    tracker.client.delete_registered_model_alias("pumps.P-1.load", "champion")
    expected = (releases.Drift(A, 1, None), releases.Drift(B, 1, None))
    assert releases.drift(fleet.ledger, tracker, [A, B]) == expected
    assert releases.reconcile(fleet.ledger, tracker, [A, B]) == expected
    assert releases.drift(fleet.ledger, tracker, [A, B]) == ()


def test_the_release_stands_when_the_tracking_store_fails_at_the_end(fleet: Fleet, tracker: Tracker) -> None:
    fleet.train(A)
    (tracker.root / ".datadriver" / "mlflow.db").write_text("overwritten" * 5000)
    with pytest.raises(UnavailableError, match=r"release 1 stands, .*promote --reconcile"):
        releases.promote(fleet.ledger, tracker, [fleet.instances[A]], by="ada")
    assert fleet.champions == {"P-1/load": 1}


def test_a_model_that_was_deleted_in_mlflow_is_no_reason_to_try_again(fleet: Fleet, tracker: Tracker) -> None:
    fleet.train(A)
    with pytest.raises(ConfigError, match=r"release 1 stands, .*pumps\.P-1\.load not found.*deleted there"):
        releases.promote(fleet.ledger, tracker, [fleet.instances[A]], by="ada")


def test_promotions_and_rollbacks_in_any_order_keep_a_stack_per_instance(fleet: Fleet) -> None:
    class Stack(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.expected = {
                key: [one.version for one in queries.promotions(fleet.ledger).get(key, [])] for key in (A, B)
            }

        @rule(key=st.sampled_from([A, B]))
        def promote(self, key: Key) -> None:
            fleet.train(key)
            assert fleet.promote(key)
            self.expected[key].append(fleet.made[key])

        @rule(key=st.sampled_from([A, B]))
        def rollback(self, key: Key) -> None:
            if len(self.expected[key]) > 1:
                fleet.rollback(key)
                self.expected[key].pop()

        @invariant()
        def the_champion_is_on_top(self) -> None:
            tops = {str(key): stack[-1] for key, stack in self.expected.items() if stack}
            assert fleet.champions == tops

    run_state_machine_as_test(Stack, settings=settings(max_examples=5, stateful_step_count=12, deadline=None))
