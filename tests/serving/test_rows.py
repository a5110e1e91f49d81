"""Rows that are handed over get the scores that `datadriver score` gives on the host, to the last bit."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datadriver.config.resolve import resolve
from datadriver.data.window import Window
from datadriver.errors import ConfigError, ContractBreach, DataError
from datadriver.fleet.score_job import ScoreJob, ScoreTask
from datadriver.fleet.score_job import score_asset as score_on_host
from datadriver.project import Project
from datadriver.serving.rows import WHOLE, answer_rows, score_asset, score_rows, table
from datadriver.tracking import queries
from datadriver.tracking.records import Key

SCORES = ["unit", "model", "asset_id", "time", "score", "actual", "residual", "alarm", "version", "role"]
SCORES += ["result_key", "verdict", "reason"]


def on_host(root, asset_id: str = "P-1", window: Window = WHOLE) -> pd.DataFrame:
    """Score with what a worker of `datadriver score` does, in this process: other processes may have other kernels."""
    project = Project.open(root)
    champions = queries.champions(project.ledger)
    instances = [one for one in project.instances if asset_id in {asset.id for asset in one.unit.assets}]
    tasks = tuple(ScoreTask(one, champions[Key(one.unit.key, one.model)]) for one in instances)
    asset = project.asset(asset_id)
    done = score_on_host(ScoreJob(project.root, resolve(project.usecase, asset), asset, tasks, window))
    return table([one.stretch for one in done.scored])


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Compare names and bits; text columns may be of different dtypes."""
    assert list(one.columns) == list(other.columns)
    for name in one.columns:
        left, right = one[name], other[name]
        if pd.api.types.is_float_dtype(left.dtype):
            assert left.to_numpy().tobytes() == right.to_numpy().tobytes(), name
        else:
            assert left.tolist() == right.tolist(), name


def test_the_sources_give_the_same_scores_inside_as_on_the_host(served, image):
    package = image.open()
    host = on_host(served.root)
    (served.root / "sensors.parquet").rename(image.usecase / "sensors.parquet")

    found = table(score_asset(package, package.asset(), package.models).stretches)
    assert list(found.columns) == SCORES
    assert len(found) == 48
    same(found, host)


def test_rows_that_are_handed_over_get_the_scores_of_the_host(served, image, rows):
    window = Window(pd.Timestamp("2026-03-02", tz="UTC"), pd.Timestamp("2026-03-04", tz="UTC"))
    found = score_rows(image.open(), {"sensors": rows}, window=window)
    assert len(found) == 48
    same(found, on_host(served.root, window=window))


def test_without_a_window_every_instant_with_enough_history_is_scored(served, rows, shared_package):
    answer = answer_rows(shared_package, {"sensors": rows.head(30)})

    assert len(answer.scores) == 28
    assert answer.scores["time"].iloc[0] == rows["ts"].iloc[2]
    (early,) = answer.unscored
    assert (early.first, early.last, early.instants) == (
        rows["ts"].iloc[0].isoformat(),
        rows["ts"].iloc[1].isoformat(),
        2,
    )
    assert "do not reach back 2h" in early.reason


def test_too_little_history_is_refused_with_how_much_is_needed(served, image, rows):
    with pytest.raises(DataError) as refused:
        score_rows(image.open(), {"sensors": rows.head(2)})
    assert "looks back 2h" in refused.value.message
    assert "its first instant would be 2026-03-01T02:00:00+00:00" in refused.value.message


def test_a_gap_before_the_window_is_not_taken_for_the_beginning_of_the_rows(served, image, rows):
    window = Window(rows["ts"].iloc[50], rows["ts"].iloc[60])
    gap = rows.drop(index=[48])
    answer = answer_rows(image.open(), {"sensors": gap}, window=window)
    assert len(answer.scores) == 10
    assert not answer.unscored
    (image.usecase / "data").mkdir()
    served.write(gap)
    same(answer.scores, on_host(served.root, window=window))


@given(order=st.randoms(use_true_random=False), parts=st.integers(1, 5), text=st.booleans())
def test_the_order_of_rows_and_their_way_through_json_change_no_score(shared_package, order, parts, text, rows):
    some = rows.head(40)
    expected = score_rows(shared_package, {"sensors": some})
    pieces = [some.iloc[start::parts] for start in range(parts)]
    order.shuffle(pieces)
    shuffled = pd.concat(pieces).sample(frac=1, random_state=order.randrange(2**32))
    if text:
        document = json.loads(json.dumps(shuffled.assign(ts=shuffled["ts"].map(str)).to_dict("records")))
        shuffled = pd.DataFrame(document)
    same(score_rows(shared_package, {"sensors": shuffled}), expected)


def test_names_that_nobody_knows_are_named(shared_package, rows):
    given = {"sensors": rows.head(10)}
    with pytest.raises(ConfigError, match="rows of 'sensor': scoring reads no such source; did you mean 'sensors'"):
        score_rows(shared_package, {"sensor": given["sensors"]})
    with pytest.raises(ConfigError, match="there are no rows of 'sensors'"):
        score_rows(shared_package, {})
    with pytest.raises(ConfigError, match="the image has no asset 'P-11'; did you mean 'P-1'"):
        score_rows(shared_package, given, asset="P-11")
    with pytest.raises(ConfigError, match="the image has no model 'temperatur'; did you mean 'temperature'"):
        score_rows(shared_package, given, models=["temperatur"])


def test_rows_of_another_asset_are_refused(shared_package, rows):
    mixed = pd.concat([rows.head(10), rows.head(5).assign(pump="P-2")])
    with pytest.raises(DataError, match="5 of 15 rows are of another asset, such as 'P-2'"):
        score_rows(shared_package, {"sensors": mixed})


def test_the_column_of_ids_may_be_left_out(shared_package, rows):
    same(
        score_rows(shared_package, {"sensors": rows.drop(columns="pump")}),
        score_rows(shared_package, {"sensors": rows}),
    )


def test_columns_that_no_tag_declares_are_named(served, tmp_path, make_image, rows):
    served.edit("asset: pump}", "asset: pump, tags: {current: {from: I}, flow: {}, temperature: {}}}")
    served.write(served.data().rename(columns={"current": "I"}))
    package = make_image(served.root, tmp_path / "image", "P-1/temperature").open()
    some = rows.rename(columns={"current": "I"}).head(10)

    assert len(score_rows(package, {"sensors": some})) == 8
    with pytest.raises(DataError, match="unknown column 'flwo'; did you mean 'flow'"):
        score_rows(package, {"sensors": some.rename(columns={"flow": "flwo"})})
    with pytest.raises(DataError, match="missing 'I' \\(tag current\\)"):
        score_rows(package, {"sensors": some.drop(columns="I")})


def test_rows_that_the_contract_rejects_get_no_scores(served, tmp_path, make_image, rows):
    served.guard()
    served.edit("contract: {suite", "contract: {on_breach: {score: reject}, suite")
    package = make_image(served.root, tmp_path / "image", "P-1/temperature").open()

    assert answer_rows(package, {"sensors": rows}).verdict == "pass"
    with pytest.raises(ContractBreach, match=r"P-1, contract: .*flow"):
        score_rows(package, {"sensors": rows.assign(flow=500.0)})
