"""Requests that are scored in one pass get what each would get alone, and nothing of one reaches another."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datadriver.data.clock import read_instants
from datadriver.data.readers import joined
from datadriver.data.readings import dial
from datadriver.errors import DatadriverError
from datadriver.fleet.selection import Selection
from datadriver.project import Project
from datadriver.serving.answering import Answering
from datadriver.serving.app import Asked
from datadriver.serving.documents import records
from datadriver.serving.hosted import open_champions
from datadriver.serving.rows import answer_rows
from datadriver.serving.settings import Limits
from datadriver.serving.stacking import Stack, _iso_instants
from datadriver.tracking import queries
from datadriver.tracking.records import Key

COLUMNS = ["ts", "current", "flow", "temperature"]
START = datetime(2026, 3, 1, tzinfo=UTC)


def open_package(root):
    project = Project.open(root)
    champions = queries.champions(project.ledger)
    chosen = project.select(Selection())
    pairs = [(one, champions[Key(one.unit.key, one.model)]) for one in chosen]
    return open_champions(project.usecase, project.root, project.assets, pairs)


@pytest.fixture(scope="module")
def package(by_row):
    return open_package(by_row.root)


@pytest.fixture(scope="module")
def answering(package):
    found = Answering(package, Limits())
    replies = merged(found.replies([asked([1.0 + place, 2.0, 3.0], hour=place) for place in range(4)]))
    assert {reply.status for reply in replies.values()} == {200}
    assert list(found._proved.values()) == [True]
    return found


def merged(parts):
    """Return the replies of all parts by place; each place is answered once."""
    found = [item for part in parts for item in part.items()]
    assert len(found) == len(dict(found))
    return dict(found)


def asked(values, *, hour=0, asset="P-1", stamp=None):
    row = [stamp or (START + timedelta(hours=hour)).isoformat(), *values]
    document = {"dataframe_split": {"columns": COLUMNS, "data": [row]}, "params": {"asset": asset}}
    return Asked(json.dumps(document).encode(), "application/json", "")


def alone(package, one):
    """Return what a request gets that is by itself, by the way of `answer_rows`."""
    document = json.loads(one.body)
    frame = pd.DataFrame(document["dataframe_split"]["data"], columns=COLUMNS)
    try:
        return list(records(answer_rows(package, {"sensors": frame}, asset=document["params"]["asset"]).scores))
    except DatadriverError as error:
        return error.message


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if isinstance(value, float):
                assert math.isclose(value, other[name], rel_tol=1e-12, abs_tol=1e-12), (name, value, other[name])
            else:
                assert value == other[name], name


number = st.one_of(st.none(), st.floats(-80, 80), st.integers(-80, 80))
request_ = st.builds(
    asked,
    st.one_of(st.tuples(number, number, number), st.tuples(st.just("Bad"), number, number)),
    hour=st.integers(0, 5),
    asset=st.sampled_from(["P-1", "P-2", "15/9-F-1 C"]),
    stamp=st.sampled_from([None, None, None, "2026-03-01T10:20:00Z", "2026-03-01 04:00", "no time"]),
)


def test_a_batch_gives_each_request_what_it_gets_alone(package, answering):
    @settings(max_examples=min(15, settings().max_examples))  # each request is scored twice, in milliseconds
    @given(st.lists(request_, min_size=1, max_size=8))
    def check(batch):
        replies = merged(answering.replies(batch))
        assert sorted(replies) == list(range(len(batch)))
        for place, one in enumerate(batch):
            document, expected = json.loads(replies[place].body), alone(package, one)
            if isinstance(expected, str):
                assert (replies[place].status >= 400, document["message"]) == (True, expected)
            else:
                assert replies[place].status == 200
                same(document["predictions"], expected)

    check()


def test_rows_are_scored_in_one_pass(answering):
    replies = merged(answering.replies([asked([place / 3, 1.0, 50.0], hour=place) for place in range(10)]))
    assert {reply.together for reply in replies.values()} == {10}


def test_readings_of_one_instant_that_differ_are_not_mixed(package, answering):
    batch = [asked([float(place), 1.0, 50.0], hour=3) for place in range(5)]
    replies = merged(answering.replies(batch))
    assert len({json.loads(reply.body)["predictions"][0]["score"] for reply in replies.values()}) == 5
    for place, one in enumerate(batch):
        same(json.loads(replies[place].body)["predictions"], alone(package, one))


def test_the_contract_warns_of_the_one_row_that_it_is_about(answering):
    flows = [5.0, 60.0, 5.0]
    replies = merged(answering.replies([asked([20.0, flow, 60.0], hour=place) for place, flow in enumerate(flows)]))
    verdicts = [json.loads(replies[place].body)["predictions"][0] for place in range(3)]
    assert [one["verdict"] for one in verdicts] == ["pass", "warn", "pass"]
    assert "flow" in verdicts[1]["reason"]
    assert [one["reason"] for one in (verdicts[0], verdicts[2])] == ["", ""]


@pytest.mark.parametrize("step", ["ffill()", "bfill()", "diff()", "shift(1)", "pipe(lambda all: all - all.mean())"])
def test_features_that_look_at_other_rows_although_nothing_says_so_are_not_stacked(by_row_copy, step, caplog):
    by_row_copy.edit("return point", f"return point.{step}", "src/tiny/features.py")
    package = open_package(by_row_copy.root)
    answering = Answering(package, Limits())
    batch = [asked([10.0 + place**2, 5.0, 60.0], hour=place) for place in range(6)]
    batch.append(asked([None, None, 60.0], hour=7))

    for _ in range(2):
        replies = merged(answering.replies(batch))
        for place, one in enumerate(batch):
            expected, document = alone(package, one), json.loads(replies[place].body)
            if isinstance(expected, str):
                assert document["message"] == expected
            else:
                same(document["predictions"], expected)
    assert all(reply.together == 1 for reply in replies.values())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("window: {min_rows: 20}", "window: {min_rows: 20, lookback: 2h}"),
        ("above: {quantile: 0.99}", "above: {quantile: 0.99}, for: 2h"),
        ("asset: pump}", "asset: pump}\n    notes: {path: notes.csv, index: at, join: asof}"),
    ],
)
def test_what_the_configuration_says_of_other_rows_keeps_requests_apart(by_row_copy, old, new):
    package = open_package(by_row_copy.root)
    assert Stack.of(package, package.asset("P-1"), package.models) is not None
    by_row_copy.edit(old, new)
    package = open_package(by_row_copy.root)
    assert Stack.of(package, package.asset("P-1"), package.models) is None


offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=offsets)


def test_stamps_that_are_written_out_are_read_as_all_stamps_are(package):
    clock = dial(joined(package.usecase, package.root)[0], package.asset("P-1"))

    @given(st.lists(st.tuples(moments, st.sampled_from("T "), st.booleans()), min_size=1, max_size=5))
    def check(written):
        texts = []
        for moment, separator, in_utc in written:
            text = (moment.astimezone(UTC) if in_utc else moment).isoformat(separator)
            texts.append(text.replace("+00:00", "Z") if in_utc else text)
        found = _iso_instants(texts)
        assert found is not None
        np.testing.assert_array_equal(found, read_instants(pd.Series(texts, name="ts"), clock).numbers)

    check()
