"""`usecase.yaml`: overlays and variables, and every mistake named with its path and line."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.config.grid import variants
from datadriver.config.load import find_root, load_usecase
from datadriver.config.overlays import merge
from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError

SMALL = """\
name: pumps
fleet:
  assets: fleet.csv
data:
  sources:
    sensors: {path: "data/{asset_id}.parquet", index: ts}
models:
  temperature:
    problem: regression
    target: {column: temperature}
    estimator: pumps.models:ridge
    baseline: pumps.models:mean
"""


def load(root: Path, text: str | bytes, **options: Any) -> UseCase:
    (root / "usecase.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_usecase(root, **{"variables": {}, **options})


def problems(root: Path, text: str | bytes, **options: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(root, text, **options)
    return caught.value.problems


def test_the_smallest_file_is_enough(tmp_path: Path) -> None:
    usecase = load(tmp_path, SMALL)
    assert usecase.models["temperature"].fit == "asset"
    (tmp_path / "src").mkdir()
    assert find_root(tmp_path / "src") == tmp_path


def test_words_that_yaml_once_took_for_truth_values_are_text(tmp_path: Path) -> None:
    text = (
        SMALL
        + "    alarm: {on: residual, above: 3}\n    params: {a: NO, b: 010, c: 1:30, d: 2020-01-01, e: 1e5, f: true}\n"
    )
    model = load(tmp_path, text).models["temperature"]
    assert model.alarm is not None
    assert model.alarm.on == "residual"
    assert model.params == {"a": "NO", "b": 10, "c": "1:30", "d": "2020-01-01", "e": 1e5, "f": True}


def test_all_mistakes_are_named_at_once_with_paths_lines_and_nearest_names(tmp_path: Path) -> None:
    text = """\
name: Bad Name
fleet: {assets: {globb: "*.csv"}}
data:
  resolution: 10mn
  sources:
    sensors: {path: x.parquet, indx: ts, tags: {a: {range: [1, 2, 3], aggregate: men}}}
modles: {}
models:
  m: {problem: regression, estimator: nothing, baseline: pumps.models:b, fit: asst, window: {min_rows: none}}
contract: {on_breach: {train: rejct}}
"""
    found = problems(tmp_path, text)
    for said in (
        "name: 'Bad Name' is no name for a use case",
        "fleet.assets.globb: unknown key; did you mean 'glob'? (line 2)",
        "data.resolution: must be 'native'; or '10mn' is not a duration",
        "data.sources.sensors.indx: unknown key; did you mean 'index'? (line 6)",
        "data.sources.sensors.tags.a.range: takes at most 2, has 3 (line 6)",
        "data.sources.sensors.tags.a.aggregate: must be 'mean'",
        "modles: unknown key; did you mean 'models'? (line 7)",
        "models.m.estimator: 'nothing' does not name a function",
        "models.m.fit: must be 'asset' or 'fleet' or a list, not 'asst' (line 9)",
        "models.m.window.min_rows: must be a whole number, not 'none' (line 9)",
        "contract.on_breach.train: must be 'reject', 'warn' or 'ignore', not 'rejct' (line 10)",
    ):
        assert any(problem.startswith(said) for problem in found), said
    assert not any("Input should" in problem or "literal[" in problem for problem in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "usecase.yaml is empty"),
        ("- a\n", "usecase.yaml is a list"),
        ("a: [1\nb: 2\n", "usecase.yaml, line 2, column 2: not valid YAML"),
        ("name: a\nname: b\n", "usecase.yaml, line 2: name is set twice, first on line 1"),
        (b"name: \xff\n", "usecase.yaml, line 1: not UTF-8 text"),
        (b"\x00\x01\x02", "not valid YAML"),
        ("[" * 100_000, "nested more than 40 deep"),
        ("a: &a [*a]\n", "*a stands for nothing that is complete"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}' if i else '*a'] * 10)}]\n" for i in range(9)),
            "more than 200000 values",
        ),
        ("a: !!python/object:os.system {}\n", ""),
        ("name: a\n---\nname: b\n", "line 2: a second document"),
        ("? [a]\n: 1\n", "a key is text"),
    ],
)
def test_text_that_is_not_a_use_case_says_why(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert said in "\n".join(problems(tmp_path, text))


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no usecase\.yaml"):
        load_usecase(tmp_path)
    with pytest.raises(ConfigError, match="datadriver new"):
        find_root(tmp_path)


ENVIRONMENTS = """\
tracking: {uri: "${TRACKING:-sqlite:///here.db}"}
environments:
  prod: {tracking: {uri: "${PROD_URI}"}, seed: 5}
  test: {tracking: {urii: x}}
"""


def test_only_the_chosen_environment_needs_its_variables(tmp_path: Path) -> None:
    assert load(tmp_path, SMALL + ENVIRONMENTS).tracking.uri == "sqlite:///here.db"
    prod = load(tmp_path, SMALL + ENVIRONMENTS, env="prod", variables={"PROD_URI": "http://mlflow"})
    assert (prod.tracking.uri, prod.seed) == ("http://mlflow", 5)
    assert problems(tmp_path, SMALL + ENVIRONMENTS, env="prod") == (
        "tracking.uri: the environment variable PROD_URI is not set; set it, or write ${PROD_URI:-default} (line 13)",
    )
    assert "did you mean 'uri'" in problems(tmp_path, SMALL + ENVIRONMENTS, env="test")[0]
    assert problems(tmp_path, SMALL + ENVIRONMENTS, env="prd") == (
        "usecase.yaml: --env prd: there is no such environment; did you mean 'prod'?",
    )


def test_an_escaped_variable_is_plain_text_and_a_broken_one_an_error(tmp_path: Path) -> None:
    assert load(tmp_path, SMALL + "description: a $${B}\n").description == "a ${B}"
    assert "starts no variable" in problems(tmp_path, SMALL + "description: a ${1}\n")[0]


def test_command_line_settings_win_over_overrides(tmp_path: Path) -> None:
    text = SMALL + "overrides: [{where: 'True', set: {models.temperature.window.train: 10d}}]\n"
    usecase = load(tmp_path, text, settings={"models.temperature.window.train": "20d", "ledger.uri": "sqlite://"})
    assert resolve(usecase, Asset("a")).models["temperature"].window.train == timedelta(days=20)
    assert usecase.ledger.uri == "sqlite://"
    with pytest.raises(ConfigError, match="did you mean 'train'"):
        load(tmp_path, text, settings={"models.temperature.window.trian": "20d"})


KEYS = (
    "name fleet assets data sources sensors index models m problem target horizon window train fit evaluate holdout "
    "alarm above grid h overrides where set environments tags layout long on_breach"
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**20),
    st.floats(),
    st.sampled_from(["1d", "a.b:c", "${X}", "{h}", "fleet"]),
    st.text(max_size=5),
)
keys = st.one_of(st.sampled_from(KEYS.split(" ")), st.text(max_size=3), st.integers(0, 2))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=15,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees)
def test_any_tree_over_a_valid_one_gives_a_use_case_or_a_config_error(tmp_path: Path, tree: Any) -> None:
    base = yaml.safe_load(SMALL)
    text = yaml.safe_dump(merge(base, tree) if isinstance(tree, dict) else tree, allow_unicode=True)
    with contextlib.suppress(ConfigError):
        assert isinstance(load(tmp_path, text), UseCase)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(), st.text().map(str.encode), st.text(alphabet="a:-{}[],&*!|>'\"%@`#?\n <01.eE+").map(str.encode)
    )
)
@example(b"? ")
@example(b"<<: 1")
@example(b"a: &b\n")
def test_any_bytes_give_a_use_case_or_a_config_error(tmp_path: Path, data: bytes) -> None:
    assert all(problems(tmp_path, data))


GRID = (
    SMALL.replace("    target: {column: temperature}\n", "")
    + """\
    target: {column: "t{horizon}"}
    grid: {horizon: [1d, 3d], alpha: [0.5]}
    params: {alpha: "{alpha}", name: "a{alpha}"}
    window: {train: "{horizon}"}
"""
)


def test_grid_variables_may_stand_anywhere_and_keep_their_type(tmp_path: Path) -> None:
    model = load(tmp_path, GRID).models["temperature"]
    found = dict(variants("temperature", model.model_dump(by_alias=True, warnings=False)))
    assert list(found) == ["temperature[horizon=1d,alpha=0.5]", "temperature[horizon=3d,alpha=0.5]"]
    first = found["temperature[horizon=1d,alpha=0.5]"]
    assert first["params"] == {"alpha": 0.5, "name": "a0.5"}
    assert (first["window"]["train"], first["target"]["column"]) == ("1d", "t1d")


def test_mistakes_of_a_grid_are_found(tmp_path: Path) -> None:
    assert (
        "{horizn} is not a grid variable; its grid has horizon, alpha"
        in problems(tmp_path, GRID.replace('train: "{horizon}"', 'train: "{horizn}"'))[0]
    )
    assert "is not a duration" in problems(tmp_path, GRID.replace("[1d, 3d]", "[1d, 3dd]"))[0]
    assert "make no difference" in problems(tmp_path, GRID.replace('{alpha: "{alpha}", name: "a{alpha}"}', "{}"))[0]
    assert "lists a value twice" in problems(tmp_path, GRID.replace("[1d, 3d]", "[1d, 1d]"))[0]


@pytest.mark.parametrize(
    ("data", "window"),
    [
        ({"resolution": "10min"}, timedelta(days=1)),
        ({"resolution": "7h"}, timedelta(hours=28)),
        ({"resolution": "7d"}, timedelta(days=7)),
        ({"resolution": "native"}, timedelta(days=1)),
        ({"index": "step", "resolution": 30}, 120),
        ({"index": "step"}, 100),
    ],
)
def test_without_a_length_a_monitoring_window_is_a_day_or_100_steps_in_whole_bins(
    data: dict[str, object], window: timedelta | int
) -> None:
    tree = {"name": "tiny", "fleet": {"assets": "fleet.csv"}, "models": {"m": {
        "problem": "regression", "estimator": "tiny.models:a", "baseline": "tiny.models:b"}}}  # fmt: skip
    usecase = UseCase.model_validate({**tree, "data": {**data, "sources": {"s": {"path": "x.csv", "index": "t"}}}})
    assert usecase.monitor_window == window
