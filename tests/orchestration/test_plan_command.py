"""`datadriver dags build` and `list`, as somebody types them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from datadriver.project import Project

if TYPE_CHECKING:
    from conftest import TinyCase


def answer(tiny: TinyCase, *arguments: str, code: int = 0) -> Any:
    done = tiny.run(*arguments, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_plan_is_built_shown_and_followed_when_the_fleet_changes(tiny: TinyCase) -> None:
    built = answer(tiny, "dags", "build")
    assert (built["dags"], built["kinds"]) == (8, {"score": 3, "train": 3, "release": 1, "monitor": 1})
    assert "tiny.jsonl" in built["written"]
    assert answer(tiny, "dags", "build")["written"] == []

    tiny.edit("P-2,GB\n", "", "fleet.csv")
    listed = answer(tiny, "dags", "list", "--assets", "P-1")
    assert [dag["dag_id"] for dag in listed["dags"]] == ["tiny__P-1__score", "tiny__P-1__train"]
    assert listed["stale"] == {"new": [], "changed": [], "gone": ["tiny__P-2__score", "tiny__P-2__train"]}
    text = tiny.run("dags", "list").stdout
    assert "tiny__P-2__train" in text
    assert "2 gone; datadriver dags build" in text

    answer(tiny, "dags", "build")
    assert len(answer(tiny, "dags", "list")["dags"]) == 6


def test_another_folder_finds_the_use_case_from_where_it_is(tiny: TinyCase) -> None:
    answer(tiny, "dags", "build", "--out", "../airflow/dags")
    header = json.loads((tiny.root.parent / "airflow" / "dags" / "tiny.jsonl").read_text().splitlines()[0])
    assert header["folder"] == "../../tiny"
    assert not (tiny.root / "dags").exists()


def test_an_environment_is_part_of_the_plan(tiny: TinyCase) -> None:
    tiny.edit("\nscores:", "\nenvironments: {prod: {schedule: {score: '@daily'}}}\nscores:")
    answer(tiny, "dags", "build", "--env", "prod")
    header, *_ = (tiny.root / "dags" / "plan" / "tiny.jsonl").read_text().splitlines()
    assert json.loads(header)["env"] == "prod"
    runs = {dag["trigger"]["cron"] for dag in answer(tiny, "dags", "list", "--env", "prod")["dags"]}
    assert runs == {"@daily", "0 3 * * 0", "0 6 * * *"}


def test_mistakes_are_said_before_anything_is_written(tiny: TinyCase) -> None:
    tiny.edit("\nscores:", "\nschedule: {team: contry, score: '@dayly'}\nscores:")
    problems = answer(tiny, "dags", "build", code=2)["error"]["problems"]
    assert any("did you mean '@daily'" in problem for problem in problems)
    assert not (tiny.root / "dags").exists()
    tiny.edit("@dayly", "@daily")
    problems = answer(tiny, "dags", "build", code=2)["error"]["problems"]
    assert problems == ["schedule.team: no asset has an attribute 'contry'; did you mean 'country'?"]


def test_what_is_not_built_cannot_be_shown(tiny: TinyCase) -> None:
    assert "`datadriver dags build` writes it" in answer(tiny, "dags", "list", code=2)["error"]["message"]


def test_training_of_a_unit_leaves_models_that_it_shares_alone(tiny: TinyCase) -> None:
    recipe = tiny.read("usecase.yaml").partition("  temperature:\n")[2].partition("scores:")[0]
    tiny.edit("scores:", f"  together:\n    fit: fleet\n{recipe}scores:")
    plan = [f"{one['unit']}/{one['model']}" for one in answer(tiny, "train", "--plan", "--units", "P-1")["instances"]]
    assert plan == ["P-1/temperature"]
    plan = [f"{one['unit']}/{one['model']}" for one in answer(tiny, "train", "--plan", "--units", "fleet")["instances"]]
    assert plan == ["fleet/together"]
    commands = {
        dag.dag_id: dag.tasks[-1].command for dag in Project.open(tiny.root).dags().plan() if dag.kind == "train"
    }
    assert commands["tiny__P-1__train"] == ("train", "--units", "P-1")
    assert commands["tiny__fleet__train"] == ("train", "--units", "fleet")
