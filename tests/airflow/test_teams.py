"""With `schedule.team` and Airflow's multi-team mode, two users each see and run the DAGs of their own team alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from stack_settings import PASSWORD, RESILIENT

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.postgres,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("airflow"),
]

BY_COUNTRY = """
schedule: {team: country, train: null, score: null, release: null, monitor: null}
scores:"""
TEAMS = {"NO": "norway", "GB": "britain"}
"""Team in Airflow, where names have three characters or more, of the value of the attribute."""
USERS = {"nora": "norway", "gail": "britain"}
OF = {
    "norway": {f"tiny__{asset}__{kind}" for asset in ("P-1", "15-9-F-1-C-525d4a6b") for kind in ("train", "score")},
    "britain": {f"tiny__P-2__{kind}" for kind in ("train", "score")},
}
SHARED = {"tiny__release", "tiny__monitor"}


def bundles(plan: Path) -> str:
    """Return the bundles as Airflow's configuration has them: a folder for each team, and what is no team's."""
    local = {"classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}
    found = [
        {"name": team, **local, "kwargs": {"path": str(plan / value)}, "team_name": team}
        for value, team in TEAMS.items()
    ]
    return json.dumps([*found, {"name": "shared", **local, "kwargs": {"path": str(plan / "_shared")}}])


@pytest.fixture(scope="module")
def stack(
    airflow: ModuleType,
    airflow_database: Callable[[], str],
    _served: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    """Airflow with a team for each country and a user for each team."""
    home = tmp_path_factory.mktemp("teams")
    case = type(_served)(home / "tiny")
    shutil.copytree(_served.root, case.root)
    case.edit("\nscores:", BY_COUNTRY)
    assert case.run("dags", "build").returncode == 0
    passwords = home / "team-passwords.json"
    passwords.write_text(json.dumps(dict.fromkeys(["ada", *USERS], PASSWORD)), "utf-8")
    settings = {
        **RESILIENT,
        "CORE__MULTI_TEAM": "True",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            ["ada:admin", *(f"{user}:op:{team}" for user, team in USERS.items())]
        ),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": bundles(case.root / "dags" / "plan"),
    }
    made = airflow.Stack(home / "airflow", airflow_database(), {}, settings=settings)
    for team in TEAMS.values():
        made.cli("teams", "create", team)
    with made as running:
        running.wait_for_dags([*OF["norway"], *OF["britain"], *SHARED])
        yield running


def listed(stack: Any, path: str, user: str) -> set[str]:
    """Return the DAGs that something in a list of the API is of."""
    answer = stack.call("GET", path, user=user)
    [found] = [value for value in answer.values() if isinstance(value, list)]
    return {one["dag_id"] for one in found}


def test_each_user_lists_the_dags_of_their_own_team_and_those_of_nobody(stack: Any) -> None:
    for user, team in USERS.items():
        assert listed(stack, "dags?limit=100", user) == OF[team] | SHARED
    assert listed(stack, "dags?limit=100", "ada") == OF["norway"] | OF["britain"] | SHARED


CALLS = (
    ("GET", "dags/{dag}", None),
    ("GET", "dags/{dag}/details", None),
    ("GET", "dags/{dag}/tasks", None),
    ("GET", "dags/{dag}/dagRuns", None),
    ("GET", "dags/{dag}/dagVersions", None),
    ("GET", "dags/{dag}/dagRuns/~/taskInstances", None),
    ("GET", "dagSources/{dag}", None),
    ("PATCH", "dags/{dag}", {"is_paused": True}),
    ("DELETE", "dags/{dag}", None),
    ("POST", "dags/{dag}/dagRuns", {"logical_date": None}),
    ("POST", "dags/{dag}/clearTaskInstances", {"dry_run": False}),
    ("POST", "backfills", {"dag_id": "{dag}", "from_date": "2026-03-01", "to_date": "2026-03-02"}),
)


@pytest.mark.parametrize(("user", "dag_id"), [("nora", "tiny__P-2__score"), ("gail", "tiny__P-1__score")])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call[0]} {call[1]}")
def test_what_is_of_another_team_is_forbidden(stack: Any, user: str, dag_id: str, call: tuple[str, str, Any]) -> None:
    method, path, body = json.loads(json.dumps(call).replace("{dag}", dag_id))
    stack.call(method, path, body, user=user, code=403)


def test_a_team_runs_its_own_and_the_other_sees_no_run_of_it(stack: Any) -> None:
    dag_id = "tiny__P-1__score"
    body = {
        "logical_date": "2026-03-04T00:00:00Z",
        "data_interval_start": "2026-03-04T00:00:00Z",
        "data_interval_end": "2026-03-05T00:00:00Z",
    }
    run_id = stack.call("POST", f"dags/{dag_id}/dagRuns", body, user="nora")["dag_run_id"]
    assert stack.wait([(dag_id, run_id)]) == {(dag_id, run_id): "success"}
    assert listed(stack, "dags/~/dagRuns", "nora") == {dag_id}
    assert listed(stack, "dags/~/dagRuns", "gail") == set()
    assert listed(stack, "dags/~/dagRuns/~/taskInstances", "gail") == set()
    assert listed(stack, "eventLogs", "gail") <= OF["britain"] | SHARED | {None}
