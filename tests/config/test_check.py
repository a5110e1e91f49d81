"""`check` finds every mistake that can be found without data, all at once, and imports nothing heavy for it."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from datadriver.config.metric_names import METRIC_NAMES
from datadriver.config.model_rules import MEANINGLESS, problem_names
from datadriver.config.reference import render_config_reference
from datadriver.config.schema import json_schema
from datadriver.config.times import cron_problem
from datadriver.config.yaml_text import read_yaml
from datadriver.data.check import check
from datadriver.training import problems as training_problems

CODE = """\
from sklearn.linear_model import Ridge
def ridge(alpha=1.0): return Ridge(alpha=alpha)
def mean(column): ...
def features(frame): ...
def mask(): ...
def days_of_warning(y_true, y_score, frame): ...
"""
VALID: dict[str, Any] = {
    "name": "pumps",
    "fleet": {"assets": "fleet.csv"},
    "data": {
        "timezone": "Europe/Paris",
        "resolution": "10min",
        "sources": {
            "sensors": {
                "path": "data/{asset_id}.parquet",
                "index": "ts",
                "max_gap": "1h",
                "tags": {"temperature": {"range": [0, 200]}, "vibration": {}},
            },
            "failures": {"path": "failures.csv", "index": "at", "asset": "pump", "join": "none"},
        },
    },
    "contract": {"suite": "contracts/sensors.json", "parameters": {"hottest": 160}},
    "models": {
        "temperature": {
            "problem": "regression",
            "target": {"column": "temperature"},
            "features": "pumps.models:features",
            "estimator": "pumps.models:ridge",
            "params": {"alpha": 2},
            "baseline": "pumps.models:mean",
            "baseline_params": {"column": "vibration"},
            "evaluate": {"metrics": ["mae", "r2"], "primary": "mae"},
            "alarm": {"on": "residual", "above": 3, "for": "2h"},
        },
        "failure": {
            "problem": "classification",
            "fit": ["type"],
            "target": {"events": "failures", "horizon": "{horizon}"},
            "grid": {"horizon": ["1d", "3d"]},
            "estimator": "pumps.models:ridge",
            "baseline": "pumps.models:mean",
            "baseline_params": {"column": "vibration"},
            "evaluate": {"split": "group", "metrics": ["brier", "pumps.models:days_of_warning"]},
        },
    },
    "overrides": [{"where": 'country == "BR"', "set": {"contract.parameters.hottest": 170}}],
    "environments": {"prod": {"tracking": {"uri": "${MLFLOW}"}}},
}


def project(root: Path, tree: dict[str, Any]) -> Path:
    (root / "usecase.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
    (root / "fleet.csv").write_text("asset_id,country,type\nP-1,BR,ESP\nP-2,NO,ESP\nP-3,NO,\n")
    tree["models"].get("failure", {}).setdefault("where", None)
    (root / "contracts").mkdir()
    kwargs = {"column": "temperature", "max_value": {"$PARAMETER": "hottest"}}
    frozen = {"column": "vibration", "max_duration": "2h"}
    suite = {
        "name": "s",
        "expectations": [
            {"type": "expect_column_values_to_be_between", "kwargs": kwargs},
            {"type": "expect_column_values_to_not_be_frozen", "kwargs": frozen},
        ],
    }
    (root / "contracts" / "sensors.json").write_text(json.dumps(suite))
    (root / "src" / "pumps").mkdir(parents=True)
    (root / "src" / "pumps" / "__init__.py").touch()
    (root / "src" / "pumps" / "models.py").write_text(CODE)
    return root


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the valid tree with one dotted path changed; `...` takes it out."""
    tree: dict[str, Any] = copy.deepcopy(VALID)
    tree["models"]["failure"]["where"] = "type is not None"
    here: Any = tree
    *parts, last = path.split(".")
    for part in parts:
        here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
    if value is ...:
        del here[last]
    else:
        here[last] = value
    return tree


def test_a_sound_use_case_has_no_problems(tmp_path: Path) -> None:
    assert check(project(tmp_path, changed("description", "sound")), None, {}) == ()


MISTAKES = [
    ("data.timezone", "Europe/Pari", "data.timezone: there is no time zone 'Europe/Pari'; did you mean 'Europe/Paris'"),
    ("data.index", "step", "data.resolution: data.index is step, so this must be a whole number"),
    ("data.resolution", 10, "data.resolution: data.index is time, so this must be a duration"),
    ("data.sources.sensors.max_gap", 5, "data.sources.sensors.max_gap: data.index is time"),
    ("data.sources.sensors.path", ..., "data.sources.sensors: says nowhere what to read"),
    ("data.sources.sensors.format", "sql", "data.sources.sensors.uri: is required for format sql"),
    ("data.sources.sensors.function", "pumps.models:features", "sensors.path: means nothing for format python"),
    ("data.sources.sensors.path", "{contry}/{asset_id}.csv", "no asset has an attribute 'contry'; did you mean"),
    ("data.sources.sensors.path", "{type}/{asset_id}.csv", "'type' is empty for P-3"),
    ("data.sources.sensors.tags.temperature.range", [5, 5], "the low end 5 is not below the high end 5"),
    ("data.sources.failures.join", "asof", "the source 'failures' is part of the sensor frame; give it `join: none`"),
    ("data.mask", "pumps.models:mask", "pumps.models:mask is called with 1 argument, and takes 0"),
    ("data.mask", "pumps.modles:mask", "there is no module 'pumps.modles'; did you mean 'pumps.models'?"),
    ("models.temperature.problem", "regresion", "there is no problem 'regresion'; did you mean 'regression'?"),
    ("models.temperature.target", ..., "models.temperature.target.column: is required for regression"),
    ("models.temperature.target.column", "temprature", "no source has a tag 'temprature'; did you mean 'temperature'?"),
    ("models.temperature.estimator", "pumps.models:rigde", "has no function 'rigde'; did you mean 'ridge'"),
    ("models.temperature.params", {"alhpa": 1}, "params.alhpa: pumps.models:ridge takes no argument"),
    ("models.temperature.baseline_params", {}, "pumps.models:mean needs the argument 'column'"),
    ("models.temperature.evaluate.metrics", ["rmes"], "there is no metric 'rmes'; did you mean 'rmse'"),
    ("models.temperature.evaluate.metrics", ["mae", "brier"], "'brier' says nothing about regression"),
    ("models.temperature.evaluate.primary", "rmse", "'rmse' is not among the metrics"),
    ("models.temperature.evaluate.pooled", ["r3"], "models.temperature.evaluate.pooled[0]: there is no metric 'r3'"),
    ("models.temperature.evaluate", {"holdout": "5d", "train": "5d"}, "give either `holdout` or `train`"),
    ("models.temperature.evaluate", {"split": "group"}, "`group` holds out whole assets, but each fit covers one"),
    ("models.temperature.evaluate", {"embargo": "horizon"}, "`horizon` is the target's, which has none"),
    ("models.temperature.where", "contry == 'NO'", "no asset has an attribute 'contry'; did you mean 'country'?"),
    ("models.temperature.where", "country == 5", "'country' is text for every asset, and 5 is a number"),
    ("models.temperature.where", "country =", "models.temperature.where: `country =`, character"),
    ("models.failure.target.events", "failure", "there is no source 'failure'; did you mean 'failures'?"),
    ("models.failure.target.horizon", ..., "models.failure.target.horizon: is required with `events`"),
    ("models.failure.target.horizon", "{horizn}", "{horizn} is not a grid variable; its grid has horizon"),
    ("models.failure.alarm", {"on": "residual", "above": 1}, "classification has no residual"),
    ("models.failure.evaluate.holdout", "30d", "`split: group` takes a share such as 20%, not 30d"),
    ("models.failure.evaluate.group", "type", "every unit has one 'type' only"),
    ("models.failure.evaluate.group", "sites", "models.failure.evaluate.group: no asset has an attribute 'sites'"),
    ("models.failure.where", "True", "asset P-3 has no value for 'type'"),
    ("models.failure.fit", ["typ"], "models.failure.fit: no asset has an attribute 'typ'"),
    ("overrides.0.set", {"models.failure.windw.train": "1d"}, "models.failure has no key 'windw'; did you mean"),
    ("overrides.0.set", {"models.failure.window.train": "1d"}, "set the model differently for P-1"),
    ("overrides.0.set", {"models.temperature.evaluate.train": "1d", "models.temperature.evaluate.holdout": "1d"},
     "give either `holdout` or `train`; the other is the rest (as overrides have it for P-1)"),
    ("overrides.0.where", "contry == 'NO'", "overrides[0].where: `contry == 'NO'`: no asset has an attribute 'contry'"),
    ("contract.suite", "contracts/sensor.json", "contracts/sensor.json"),
    ("contract.parameters", {"hotest": 1}, "hottest"),
    ("overrides.0.where", "country == 'br'", "matches no asset: none has country 'br'; did you mean 'BR'?"),
    ("models.temperature.where", "type in ['ESPP', 'PCP']", "none has type 'ESPP'; did you mean 'ESP'?"),
    ("data.sources.more", {"format": "python", "function": "pumps.models:days_of_warning", "index": "t",
     "tags": {"x": {}}, "options": {"chanel": 2}}, "days_of_warning takes no argument 'chanel'"),
    ("data.sources.sensors.path", "sensors.csv", "data.sources.sensors: every asset would read the same rows"),
    ("data.sources.sensors.tags", {"temperature": {"from": "TT"}, "vibratoin": {}},
     "contracts/sensors.json: expectations[1] expect_column_values_to_not_be_frozen: column: no source has a tag"),
    ("schedule.train", "0 25 * * *", "schedule.train: '0 25 * * *': '25' is not an hour"),
    ("schedule.monitor", "@dayly", "schedule.monitor: there is no preset '@dayly'; did you mean '@daily'"),
    ("schedule", {"trian": "@daily"}, "schedule.trian: unknown key; did you mean 'train'?"),
    ("schedule.timezone", "Europe/Osol", "there is no time zone 'Europe/Osol'; did you mean 'Europe/Oslo'"),
    ("schedule.score", {"on": "sensors/{aset_id}"}, "schedule.score.on: no asset has an attribute 'aset_id'; did you"),
    ("schedule.score", {"on": "sensors/{type}"}, "schedule.score.on: 'type' is empty for P-3"),
    ("schedule.score", {"on": "sensors/{asset id}"}, "braces hold the name of one attribute, such as {asset_id}"),
    ("schedule.train", {"onn": "x"}, "schedule.train.onn: unknown key; did you mean 'on'?"),
    ("schedule.train", {"on": " "}, "schedule.train.on: ' ' is no name that Airflow takes"),
    ("schedule.tags", ["contry"], "schedule.tags[0]: no asset has an attribute 'contry'; did you mean 'country'?"),
    ("schedule.team", "type", "schedule.team: 'type' is empty for P-3; fill it in"),
    ("schedule.group", "type", "schedule.group: 'type' is empty for P-3; fill it in"),
    ("schedule.runtime", "docker", "schedule.docker.mounts: is needed: ledger.uri, scores.path, tracking.artifacts"),
    ("schedule.runtime", "kubernetes", "package.registry: is required for schedule.runtime kubernetes"),
    ("schedule.docker", {"mounts": ["./data"]}, "mounts[0]: './data' is not `source:target[:ro]`"),
    ("schedule.docker", {"mounts": ["./data:data"]}, "must be a whole path in the container, such as /usecase/data"),
    ("schedule.docker", {"mounts": ["data/x:/data"]}, "the source must start with `/`, or with `./`"),
    ("schedule.docker", {"mounts": ["./data:/data:rw2"]}, "'./data:/data:rw2' ends in 'rw2'; write `ro` there"),
    ("schedule.docker", {"mounts": ["./a:/b", "./c:/b/"]}, "mounts[1]: './a:/b' is mounted at /b already"),
    ("schedule.docker", {"engine": "/var/run/docker.sock"}, "such as unix:///var/run/docker.sock, not"),
    ("schedule.docker", {"user": "root"}, "schedule.docker.user: must be numbers"),
    ("schedule.kubernetes", {"claims": {"data": "plant"}}, "schedule.kubernetes.claims: 'data' must be a whole path"),
    ("schedule.kubernetes", {"claims": {"/data": "Plant"}}, "'Plant' is no name of a persistent volume claim"),
    ("schedule.kubernetes", {"namespace": "Pumps"}, "schedule.kubernetes.namespace: 'Pumps' is no name in Kubernetes"),
    ("schedule.environment", {"X": {}}, "schedule.environment.X: give either `connection` or `variable`"),
    ("schedule.environment", {"X": {"connection": "a", "variable": "b"}}, "give either `connection` or `variable`"),
    ("schedule.environment", {"X": {"conection": "a"}}, "X.conection: unknown key; did you mean 'connection'?"),
    ("schedule.environment", {"X": "postgresql://me:abc@db/plant"}, "schedule.environment.X: has a password"),
    ("schedule.urls", {"mlflow": "https://me:abc@mlflow"}, "schedule.urls.mlflow: has a password"),
    ("schedule.folder", "pumps", "schedule.folder: must be a whole path, such as /opt/pumps, not 'pumps'"),
    ("schedule.urls", {"report": "files"}, "schedule.urls.report: must start with http:// or https://, not 'files'"),
    ("schedule.timeout", "0s", "schedule.timeout: must be more than zero"),
    ("schedule.retries", {"wait": "2h"}, "schedule.retries.wait: must not be longer than `longest`"),
    ("overrides.0.set", {"schedule.release": "@daily"}, "schedule.release: holds for the whole use case; cohorts may"),
    ("overrides.0.set", {"schedule.groop": "type"}, "schedule has no key 'groop'; did you mean 'group'?"),
    ("overrides.0.set", {"schedule": {"train": "@daily"}}, "name one of its keys, such as schedule.score"),
    ("overrides.0.set", {"schedule.score": "@dayly"}, "did you mean '@daily' or '@yearly'? (as overrides have it"),
    ("overrides.0.set", {"schedule.score": {"on": "s/{typ}"}}, "schedule.score.on: no asset has an attribute 'typ'"),
    ("workers.timeout", "0s", "workers.timeout: must be more than zero"),
    ("workers.memory", "2 GBit", "workers.memory: '2 GBit' is not a size; write a number and a unit, such as 2GB"),
    ("schedule.group", "site", "schedule.group: no asset has an attribute 'site'"),
    ("fleet.assets", "fleets.csv", "there is no file 'fleets.csv'; did you mean 'fleet.csv'?"),
    ("fleet.id", "asset", "fleet.csv has no column 'asset'; did you mean 'asset_id'?"),
    ("monitor.then", ["retrian"], "monitor.then[0]: must be 'retrain' or 'notify', not 'retrian'"),
    ("monitor.checks", {"drfit": {}}, "monitor.checks.drfit: unknown key; did you mean 'drift'?"),
    ("monitor.checks", {"drift": {"models": ["temprature"]}}, "there is no model 'temprature'; did you mean"),
    ("monitor.checks", {"freshness": {"max": 6}}, "monitor.checks.freshness.max: data.index is time"),
    ("monitor.checks", {"completeness": {"min": "120%"}}, "is not a part of a whole"),
    ("monitor.window", "45min", "monitor.window: must be a multiple of data.resolution, 10min"),
    ("monitor.alarm.when", "6 of 5", "does not say how many of the last windows"),
    ("monitor.silence", [{"source": "sensors"}], "monitor.silence[0].source: 'sensors' is no event table"),
    ("monitor.notify", [{"to": "json://x", "where": "country ="}], "monitor.notify[0].where"),
    ("name", "statistics", "name: 'statistics' is a Python module already"),
    ("seed", -1, "seed: must be from 0"),
    ("environments.prod.tracking", {"urii": 1}, "environments.prod.tracking.urii: unknown key; did you mean 'uri'?"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "said"), MISTAKES, ids=[f"{path}={value}" for path, value, _ in MISTAKES])
def test_each_mistake_is_found(tmp_path: Path, path: str, value: Any, said: str) -> None:
    found = check(project(tmp_path, changed(path, value)), None, {})
    assert any(said in problem for problem in found), found


def test_a_wrong_override_of_the_schedule_is_said_once(tmp_path: Path) -> None:
    assert len(check(project(tmp_path, changed("overrides.0.set", {"schedule.shards": 4})), None, {})) == 1


def test_assets_that_share_a_dag_agree_on_when_it_runs_and_who_sees_it(tmp_path: Path) -> None:
    tree = changed("schedule", {"group": "country", "team": "type"})
    tree["overrides"] = [{"where": 'asset_id == "P-3"', "set": {"schedule.score": "@daily"}}]
    root = project(tmp_path, tree)
    (root / "fleet.csv").write_text("asset_id,country,type\nP-1,BR,ESP\nP-2,NO,ESP\nP-3,NO,PCP\n")
    times, teams = check(root, None, {})
    assert times.startswith("schedule.group: P-2 and P-3 share the DAG of country 'NO', and overrides give them a")
    assert "different schedule.score" in times
    assert teams.startswith("schedule.group: P-2 and P-3 share the DAG of country 'NO', and belong to the teams")


def test_a_cohort_that_is_still_to_come_is_no_mistake(tmp_path: Path) -> None:
    root = project(tmp_path, changed("overrides.0.where", "country == 'Angola' or asset_id != 'P-9'"))
    assert check(root, None, {}) == ()


def test_spans_of_a_suite_are_of_the_kind_of_the_index(tmp_path: Path) -> None:
    root = project(tmp_path, changed("description", "sound"))
    suite = json.loads((root / "contracts" / "sensors.json").read_text())
    suite["expectations"][1]["kwargs"]["max_duration"] = 2
    (root / "contracts" / "sensors.json").write_text(json.dumps(suite))
    assert "max_duration: data.index is time, so this must be a duration such as 2h, not 2" in check(root, None, {})[0]


def test_one_mistake_does_not_hide_another(tmp_path: Path) -> None:
    tree = changed("models.temperature.estimator", "pumps.models:rigde")
    tree["models"]["failure"]["windw"] = {}
    tree["models"]["temperature"]["evaluate"]["metrics"] = ["mae", "rmes"]
    tree["data"]["sources"]["sensors"]["max_gap"] = "1x"
    tree["fleet"]["id"] = "asset"
    del tree["data"]["sources"]["failures"]["index"]
    found = check(project(tmp_path, tree), None, {})
    for said in (
        "'ridge'",
        "did you mean 'window'",
        "did you mean 'rmse'",
        "'1x' is not",
        "failures.index: is required",
        "'asset_id'",
    ):
        assert any(said in problem for problem in found), (said, found)
    assert len(found) == 6, found


def test_a_check_loads_nothing_heavy(tmp_path: Path) -> None:
    root = project(tmp_path, changed("description", "sound"))
    heavy = "pandas sklearn great_expectations mlflow airflow sqlalchemy scipy"
    script = (
        "import sys; from pathlib import Path; from datadriver.data.check import check; "
        f"print(check(Path({str(root)!r}), None, {{}}), [name for name in {heavy.split()!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "() []"


@pytest.mark.parametrize("name", training_problems.problem_names())
def test_the_metrics_that_make_sense_are_those_of_the_problem(name: str) -> None:
    assert METRIC_NAMES - MEANINGLESS[name] == training_problems.find_problem(name).understands
    assert problem_names() == training_problems.problem_names()


@pytest.mark.parametrize("text", ["0 3 * * 0", "@hourly", "*/15 0-6,22 1 JAN-mar mon", "0 0 * * 7"])
def test_cron_texts_that_are_right_pass(text: str) -> None:
    assert cron_problem(text) is None


@pytest.mark.parametrize("text", ["", "0 3 * *", "@hourli", "60 * * * *", "5-1 * * * *", "* * * * */0", "a * * * *"])
def test_cron_texts_that_are_wrong_do_not(text: str) -> None:
    assert cron_problem(text)


def test_every_key_is_in_the_reference_and_in_the_schema() -> None:
    page, schema = render_config_reference(), json_schema()
    sections = [schema, *schema["$defs"].values()]
    keys = {key for section in sections for key in section.get("properties", {})}
    assert all(f"| `{key}` |" in page for key in keys)
    assert {"for", "from", "horizon", "nulls"} <= keys
    assert all("description" in section for section in schema["$defs"].values())


@pytest.mark.parametrize("name", ["pumps", "wells", "wind"])
def test_the_schema_accepts_the_examples(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    text = (Path(__file__).parents[2] / "examples" / name / "usecase.yaml").read_text("utf-8")
    jsonschema.Draft202012Validator(json_schema()).validate(read_yaml(text, "usecase.yaml").tree)
