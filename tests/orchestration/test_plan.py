"""The plan: which DAGs a fleet has, what their tasks run, and that nothing but use case and fleet decides it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.config.resolve import expand
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError
from datadriver.orchestration.build import header, plan_dags
from datadriver.orchestration.ids import dag_id, retrain_event, subject_slug
from datadriver.orchestration.plan import DagPlan, TaskPlan

RECIPE = {"problem": "regression", "estimator": "m:f", "baseline": "m:g"}
BASE: dict[str, Any] = {
    "name": "pumps",
    "fleet": {"assets": "fleet.csv"},
    "data": {"sources": {"s": {"path": "data/{asset_id}.csv", "index": "t"}}},
    "models": {"load": RECIPE},
}
POOLED = {
    "load": {**RECIPE, "where": 'kind == "ESP"'},
    "failure": {**RECIPE, "fit": ["country"], "grid": {"days": [1, 3]}, "where": 'kind != "old"'},
}
FLEET = (
    Asset("P-1", {"country": "NO", "kind": "ESP"}),
    Asset("P-2", {"country": "NO", "kind": "PCP"}),
    Asset("15/9-F-1 C", {"country": "GB", "kind": "ESP"}),
    Asset("P-9", {"country": "GB", "kind": "old"}),
)

IDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12) | st.sampled_from(
    ["fleet", "country=NO", "a__b", "a_b", "_a", "release", "x" * 300, "a,b", "--json", "P-1", "p-1"]
)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Asset, ...]:
    names = draw(st.lists(IDS, unique=True, min_size=1, max_size=8))
    kinds, countries = st.sampled_from(["ESP", "PCP", "old"]), st.sampled_from(["NO", "GB", "Ø 1"])
    return tuple(Asset(name, {"country": draw(countries), "kind": draw(kinds)}) for name in names)


def use_case(models: Any = None, **sections: Any) -> UseCase:
    return UseCase.model_validate({**BASE, **({"models": models} if models else {}), **sections})


def plan(usecase: UseCase, assets: Sequence[Asset] = FLEET) -> dict[str, DagPlan]:
    return {dag.dag_id: dag for dag in plan_dags(usecase, assets, expand(usecase, assets))}


def commands(dag: DagPlan) -> dict[str, str]:
    return {task.id: " ".join(task.command) for task in dag.tasks}


def values(task: TaskPlan, option: str) -> list[str]:
    return [value for name, value in zip(task.command, task.command[1:], strict=False) if name == option]


# --- names ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(IDS, st.booleans()), unique=True, min_size=2, max_size=12))
def test_different_subjects_have_different_legal_slugs(subjects: list[tuple[str, bool]]) -> None:
    slugs = [subject_slug(text, pooled=pooled and (text == "fleet" or "=" in text)) for text, pooled in subjects]
    kinds = {(text, pooled and (text == "fleet" or "=" in text)) for text, pooled in subjects}
    assert len(set(slugs)) == len(kinds)
    for slug in slugs:
        name = dag_id("a_use_case", "train", slug)
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,250}", name)
        assert "__" not in slug
        assert name.rsplit("__", 2) == ["a_use_case", slug, "train"]


def test_an_asset_that_is_called_like_a_unit_has_dags_of_its_own() -> None:
    models = {"load": RECIPE, "failure": {**RECIPE, "fit": "fleet"}, "wear": {**RECIPE, "fit": ["country"]}}
    found = plan(use_case(models), [Asset("fleet", {"country": "NO"}), Asset("country=NO", {"country": "NO"})])
    assert Counter(dag.kind for dag in found.values()) == {"train": 4, "score": 2, "release": 1, "monitor": 1}
    assert commands(found["pumps__fleet__train"]) == {"train": "train --units fleet"}


# --- which DAGs there are -------------------------------------------------------------------------------------------


@given(fleets(), st.sampled_from(["asset", "country"]))
def test_every_unit_is_trained_once_and_every_asset_with_models_scored_once(
    assets: tuple[Asset, ...], group: str
) -> None:
    usecase = use_case(POOLED, schedule={"group": group})
    instances = expand(usecase, assets)
    found = plan_dags(usecase, assets, instances)
    trained = Counter(unit for dag in found for task in dag.tasks for unit in values(task, "--units"))
    assert trained == Counter(key for key, _ in {(one.unit.key, one.unit.pooled) for one in instances})
    scored = Counter(name for dag in found if dag.kind == "score" for name in dag.assets)
    assert scored == dict.fromkeys((asset.id for one in instances for asset in one.unit.assets), 1)
    for dag in found:
        if dag.kind == "score":
            assert [values(task, "--assets") for task in dag.tasks] == [list(dag.assets)]
    assert sum(dag.kind in ("release", "monitor") for dag in found) == 2


@given(fleets(), st.randoms(use_true_random=False), st.sampled_from(["asset", "country"]))
def test_the_order_of_the_fleet_table_changes_nothing(assets: tuple[Asset, ...], random: Any, group: str) -> None:
    shuffled = [Asset(one.id, dict(reversed(one.attributes.items()))) for one in assets]
    random.shuffle(shuffled)
    usecase = use_case(POOLED, schedule={"group": group, "spread": "1h", "tags": ["kind"], "team": "country"})
    if group == "asset":
        assert list(plan(usecase, assets).values()) == list(plan(usecase, shuffled).values())
    assert [dag.to_line() for dag in plan(usecase, assets).values()] == [
        dag.to_line() for dag in plan(usecase, shuffled).values()
    ]


@given(fleets(), st.sampled_from(["process", "docker"]), st.sampled_from(["joined", "split"]))
def test_a_line_says_all_of_a_dag(assets: tuple[Asset, ...], runtime: str, steps: str) -> None:
    schedule = {"runtime": runtime, "steps": steps, "resources": {"memory": "2GB"}, "tags": ["country"]}
    for dag in plan(use_case(POOLED, schedule=schedule), assets).values():
        line = dag.to_line()
        assert line.startswith('{"dag_id":"')
        assert "\n" not in line
        assert DagPlan.of(line).to_line() == line


def test_an_asset_without_models_has_no_dags_and_one_with_shared_models_only_is_scored() -> None:
    found = plan(use_case(POOLED))
    assert sorted(found) == [
        "pumps__15-9-F-1-C-525d4a6b__score",
        "pumps__15-9-F-1-C-525d4a6b__train",
        "pumps__P-1__score",
        "pumps__P-1__train",
        "pumps__P-2__score",
        f"pumps__{subject_slug('country=GB', pooled=True)}__train",
        f"pumps__{subject_slug('country=NO', pooled=True)}__train",
        "pumps__monitor",
        "pumps__release",
    ]
    shared = found[f"pumps__{subject_slug('country=NO', pooled=True)}__train"]
    assert (shared.subject, shared.assets) == ("country=NO", ["P-1", "P-2"])
    assert commands(shared) == {"train": "train --units country=NO"}


def test_a_group_is_one_dag_in_which_a_rejected_asset_does_not_stop_the_others() -> None:
    found = plan(use_case(POOLED, schedule={"group": "country"}))
    assert [name for name, dag in found.items() if dag.kind == "score"] == ["pumps__GB__score", "pumps__NO__score"]
    assert commands(found["pumps__NO__score"]) == {"score": "score --assets P-1 --assets P-2"}
    validate, train = found["pumps__NO__train"].tasks
    assert (validate.command, train.command) == (
        ("validate", "--assets", "P-1", "--assets", "P-2"),
        ("train", "--units", "P-1"),
    )
    assert (train.after, train.always) == (("validate",), True)
    assert not plan(use_case())["pumps__P-1__train"].tasks[1].always


def test_groups_that_cannot_share_a_dag_are_refused() -> None:
    usecase = use_case(
        schedule={"group": "country"},
        overrides=[{"where": 'kind == "PCP"', "set": {"schedule.score": "@daily"}}],
    )
    with pytest.raises(ConfigError, match=r"P-1 and P-2 share the DAG of country 'NO'.* different schedule\.score"):
        plan(usecase)
    with pytest.raises(ConfigError, match="no asset has an attribute 'contry'; did you mean 'country'"):
        plan(use_case(schedule={"team": "contry"}))


# --- tasks ----------------------------------------------------------------------------------------------------------


def test_an_asset_is_validated_then_trained_up_to_the_end_of_the_interval_and_scored_over_it() -> None:
    found = plan(use_case())
    validate, train = found["pumps__P-1__train"].tasks
    assert (validate.id, validate.command, validate.span) == ("validate", ("validate", "--assets", "P-1"), "until")
    assert (train.command, train.span, train.after) == (("train", "--units", "P-1"), "until", ("validate",))
    (score,) = found["pumps__P-1__score"].tasks
    assert (score.command, score.span, score.image) == (("score", "--assets", "P-1"), "interval", "base")


def test_steps_that_are_split_judge_score_aside_and_publish() -> None:
    contract, score, publish = plan(use_case(schedule={"steps": "split"}))["pumps__P-1__score"].tasks
    assert contract.command == ("validate", "--stage", "score", "--assets", "P-1")
    assert score.command == ("score", "--assets", "P-1", "--out", ".datadriver/staged/P-1/{run}")
    assert publish.command == ("publish", ".datadriver/staged/P-1/{run}")
    assert [contract.span, score.span, publish.span] == ["interval", "interval", "none"]
    assert [score.after, publish.after] == [("contract",), ("score",)]


CONTAINERS = {"runtime": "docker", "docker": {"mounts": ["./.datadriver:/usecase/.datadriver"]}}


def test_containers_score_in_the_image_of_each_model_or_of_the_asset() -> None:
    by_model = plan(use_case(POOLED, schedule=CONTAINERS))["pumps__P-1__score"].tasks
    assert [task.model for task in by_model] == ["load", "failure[days=1]", "failure[days=3]"]
    assert all(re.fullmatch(r"score\.[\w.-]+", task.id) for task in by_model)
    assert len({task.id for task in by_model}) == 3
    (whole,) = plan(use_case(POOLED, schedule=CONTAINERS, package={"per": "asset"}))["pumps__P-1__score"].tasks
    for task in (*by_model, whole):
        assert (task.command, task.image) == (("score", "--publish", "--assets", "P-1"), "model")
    (group,) = plan(use_case(POOLED, schedule={**CONTAINERS, "group": "country"}))["pumps__NO__score"].tasks
    assert (group.command[0:2], group.image) == (("score", "--assets"), "base")


def test_scores_of_several_images_are_staged_apart() -> None:
    *_, first, second, _, publish = plan(use_case(POOLED, schedule={**CONTAINERS, "steps": "split"}))[
        "pumps__P-1__score"
    ].tasks
    folders = [task.command[-1] for task in (first, second)]
    assert len(set(folders)) == 2
    assert all(folder.startswith(f"{publish.command[1]}/") for folder in folders)
    assert len(publish.after) == 3


@pytest.mark.parametrize(
    ("sections", "network"),
    [
        ({}, [False, False, False]),
        ({"ledger": {"uri": "postgresql://db/ledger"}}, [True, False, True]),
        ({"data": {"sources": {"s": {"path": "s3://plant/{asset_id}.csv", "index": "t"}}}}, [True, True, False]),
        ({"data": {"sources": {"s": {"function": "m:read", "index": "t", "format": "python"}}}}, [True, True, False]),
    ],
)
def test_a_network_is_there_for_what_needs_one(sections: dict[str, Any], network: list[bool]) -> None:
    tasks = plan(use_case(schedule={**CONTAINERS, "steps": "split"}, **sections))["pumps__P-1__score"].tasks
    assert [task.network for task in tasks] == network


def test_steps_have_no_times_to_hand_on() -> None:
    data = {**BASE["data"], "index": "step"}
    found = plan(use_case(data=data, schedule={"steps": "split"}))
    assert {task.span for dag in found.values() for task in dag.tasks} == {"none"}


def test_a_release_waits_for_people_only_where_they_are_asked() -> None:
    def ids(models: Any = None, **schedule: Any) -> dict[str, str]:
        return commands(plan(use_case(models, schedule=schedule))["pumps__release"])

    manual = {**RECIPE, "promote": {"approval": "manual"}}
    assert list(ids()) == ["gate", "promote"]
    assert list(ids(approval=True)) == ["gate", "approve", "promote_approved"]
    assert list(ids({"load": manual})) == ["gate", "approve", "promote_approved"]
    mixed = ids({"load": RECIPE, "wear": manual}, **CONTAINERS)
    assert list(mixed) == ["gate", "images", "promote", "approve", "promote_approved"]
    assert mixed["promote"].endswith("--packaged --approval auto")
    assert mixed["promote_approved"].endswith("--packaged --approval manual")


def test_images_are_made_where_an_engine_is_and_pushed_where_a_registry_is() -> None:
    found = plan(use_case(schedule=CONTAINERS, package={"registry": "localhost:5000"}))
    (base,) = found["pumps__base"].tasks
    assert (base.command, base.on_worker) == (("package", "--push", "--base"), True)
    assert found["pumps__base"].trigger.cron is None
    local = plan(use_case(schedule=CONTAINERS))
    assert local["pumps__base"].tasks[0].command == ("package", "--base")
    assert "pumps__base" not in plan(use_case())


# --- when, for whom, within which limits ------------------------------------------------------------------------------


def test_texts_of_times_are_kept_and_monitoring_starts_after_the_last_asset() -> None:
    found = plan(use_case(schedule={"timezone": "Europe/Oslo", "spread": "30min", "train": "0 3 * * mon"}))
    train, score = found["pumps__P-1__train"].trigger, found["pumps__P-1__score"].trigger
    assert (train.cron, score.cron, score.timezone) == ("0 3 * * mon", "@hourly", "Europe/Oslo")
    assert train.offset == score.offset
    assert found["pumps__monitor"].trigger.offset == 1800
    assert found["pumps__release"].trigger.offset == 0


@given(st.integers(1, 100_000))
def test_starts_are_spread_over_the_whole_time(seconds: int) -> None:
    assets = [Asset(f"P-{number}") for number in range(100)]
    found = plan(use_case(schedule={"spread": f"{seconds}s"}), assets).values()
    offsets = [dag.trigger.offset for dag in found if dag.kind == "score"]
    assert all(0 <= offset < seconds for offset in offsets)
    if seconds > 1000:
        assert Counter(offset * 4 // seconds for offset in offsets).keys() == {0, 1, 2, 3}


def test_data_that_arrive_start_what_waits_for_them_and_requests_start_training() -> None:
    schedule = {"score": {"on": "sensors/{country}/{asset_id}"}, "train": None}
    found = plan(use_case(POOLED, schedule=schedule))
    assert found["pumps__15-9-F-1-C-525d4a6b__score"].trigger.assets == ["sensors/GB/15-9-F-1-C-525d4a6b"]
    train = found["pumps__P-1__train"].trigger
    assert (train.cron, train.assets) == (None, ["pumps/retrain/P-1"])
    shared = found[f"pumps__{subject_slug('country=NO', pooled=True)}__train"].trigger
    assert shared.assets == [retrain_event("pumps", "country=NO")]
    assert [task.id for task in found["pumps__monitor"].tasks] == ["monitor", "report", "requests"]


def test_nothing_waits_for_requests_that_monitoring_never_makes() -> None:
    found = plan(use_case(monitor={"then": ["notify"]}))
    assert not any(dag.trigger.assets for dag in found.values())
    assert [task.id for task in found["pumps__monitor"].tasks] == ["monitor", "report"]
    one = plan(use_case(monitor={"then": ["notify"], "checks": {"drift": {"then": ["retrain"]}}}))
    assert one["pumps__P-1__train"].trigger.assets == ["pumps/retrain/P-1"]


def test_a_cohort_has_its_own_limits_and_shared_models_those_of_all_their_assets() -> None:
    overrides = [
        {"where": 'kind == "PCP"', "set": {"schedule.retries.times": 9, "schedule.resources.memory": "2GB"}},
        {"where": 'country == "GB"', "set": {"schedule.pool": "gb"}},
    ]
    models = {"load": RECIPE, "failure": {**RECIPE, "fit": ["country"]}}
    found = plan(use_case(models, schedule={"pool": "all"}, overrides=overrides))
    assert found["pumps__P-2__score"].limits.retries == 9
    assert found["pumps__P-2__score"].limits.memory == 2_000_000_000
    assert found["pumps__P-1__score"].limits.retries == 3
    norway, britain = (found[dag_id("pumps", "train", subject_slug(f"country={c}", pooled=True))] for c in ("NO", "GB"))
    assert norway.limits.retries == 3  # its assets differ
    assert britain.limits.pool == "gb"
    assert found["pumps__monitor"].limits.pool == "all"


def test_tags_are_what_all_assets_of_a_dag_share_and_a_team_sees_its_own() -> None:
    found = plan(use_case(POOLED, schedule={"tags": ["country", "kind"], "team": "country"}))
    assert found["pumps__P-1__score"].tags == ["country=NO", "kind=ESP", "process", "pumps", "score"]
    shared = found[dag_id("pumps", "train", subject_slug("country=NO", pooled=True))]
    assert (shared.tags, shared.team) == (["country=NO", "process", "pumps", "train"], "NO")
    assert found["pumps__P-1__score"].team == "NO"
    assert found["pumps__monitor"].team is None
    whole = plan(use_case({"load": {**RECIPE, "fit": "fleet"}}, schedule={"team": "country"}))
    assert whole["pumps__fleet__train"].team is None


def test_tags_are_as_short_as_airflow_wants_them() -> None:
    found = plan(use_case(schedule={"tags": ["site"]}), [Asset("P-1", {"site": "y" * 200})])
    assert all(len(tag) <= 100 for dag in found.values() for tag in dag.tags)


def test_people_find_report_models_and_the_command_to_type() -> None:
    urls = {"report": "https://reports/pumps/", "mlflow": "https://mlflow"}
    found = plan(use_case(schedule={"urls": urls}))["pumps__15-9-F-1-C-525d4a6b__train"].doc
    assert "Trains `load` of `15/9-F-1 C`." in found
    assert "(https://reports/pumps/assets/15-9-F-1-C-525d4a6b.html)" in found
    assert "(https://mlflow/#/models/pumps.15-9-F-1-C-525d4a6b.load)" in found
    assert "`datadriver train --units '15/9-F-1 C'`" in found


def test_a_header_names_secrets_and_never_holds_them() -> None:
    environment = {"PLANT": {"connection": "plant"}, "KEY": {"variable": "key"}, "THREADS": "1"}
    tracking = {"uri": "https://me:secret@mlflow"}
    found = header(use_case(schedule={**CONTAINERS, "environment": environment}, tracking=tracking), "../..", "prod")
    assert found.environment == {"KEY": {"variable": "key"}, "PLANT": {"connection": "plant"}, "THREADS": "1"}
    assert (found.runtime, found.settings["mounts"], found.env) == (
        "docker",
        ["./.datadriver:/usecase/.datadriver"],
        "prod",
    )
    assert found.urls == {"mlflow": "https://mlflow"}
    assert type(found).of(found.to_line()) == found


def test_the_plan_is_read_without_anything_but_the_standard_library() -> None:
    text = (Path(__file__).parents[2] / "datadriver" / "orchestration" / "plan.py").read_text("utf-8")
    assert not re.findall(r"^\s*(?:from|import) (?:datadriver|airflow|pydantic|pandas)", text, re.MULTILINE)
