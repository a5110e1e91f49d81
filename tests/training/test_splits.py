"""Splits hold whatever the data: parts never overlap, nothing leaks through a label, and more data changes no side."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datadriver.config.sections import Evaluate
from datadriver.errors import ConfigError, DataError
from datadriver.training.results import Seen
from datadriver.training.splits import Split, Table, split_rows, unseen
from datadriver.training.stable_hash import place, row_places

HOUR = timedelta(hours=1)


def table(steps: dict[str, list[int]], *, clock: bool = False) -> Table:
    """Rows of several assets; with `clock` at hours since 2025, else at steps."""
    assets = np.array([asset for asset, own in steps.items() for _ in own], dtype=object)
    numbers = [step for own in steps.values() for step in own]
    hours = pd.to_datetime(np.array(numbers) * 3600, unit="s", origin="2025-01-01", utc=True).as_unit("us")
    return Table(assets, assets, hours if clock else pd.Index(numbers, dtype="int64"))


def split(rows: Table, horizon: Any = 0, seed: int = 0, **evaluate: Any) -> Split:
    return split_rows(rows, Evaluate.model_validate(evaluate), horizon=horizon, seed=seed, where="unit/m, split")


fleets = st.dictionaries(
    st.text("ABCxyz/ 0", min_size=1, max_size=4),
    st.lists(st.integers(0, 400), min_size=1, max_size=60, unique=True),
    min_size=1,
    max_size=8,
)
amounts = st.one_of(st.integers(1, 95).map(lambda p: f"{p}%"), st.integers(1, 50).map(lambda n: f"{n} rows"))


@given(steps=fleets, kind=st.sampled_from(["time", "group", "random"]), amount=amounts, horizon=st.integers(0, 60))
def test_parts_are_disjoint_complete_and_free_of_leaks(
    steps: dict[str, list[int]], kind: str, amount: str, horizon: int
) -> None:
    rows = table(steps)
    try:
        parts = split(rows, horizon, split=kind, holdout=amount)
    except (DataError, ConfigError):
        assume(False)
    assert parts.fit.any()
    assert parts.holdout.any()
    assert not (parts.fit & parts.holdout).any()
    at = rows.instants.to_numpy()
    if kind == "time":
        assert at[parts.fit].max() + horizon <= at[parts.holdout].min()
        left_out = ~parts.fit & ~parts.holdout
        assert (at[left_out] + horizon > at[parts.holdout].min()).all()
    else:
        assert parts.embargoed == 0
    if kind == "group":
        assert not set(rows.groups[parts.fit]) & set(rows.groups[parts.holdout])
    assert unseen(rows, parts.seen)[parts.holdout].all()
    assert not unseen(rows, parts.seen)[parts.fit].any()


@given(steps=fleets, more=fleets, share=st.integers(5, 60), seed=st.integers(0, 5))
def test_more_data_never_moves_a_row_between_the_parts_of_a_random_split(
    steps: dict[str, list[int]], more: dict[str, list[int]], share: int, seed: int
) -> None:
    grown = {asset: sorted({*steps.get(asset, []), *more.get(asset, [])}) for asset in {**steps, **more}}
    try:
        before = split(table(steps), seed=seed, split="random", holdout=f"{share}%")
        after = split(table(grown), seed=seed, split="random", holdout=f"{share}%")
    except DataError:
        assume(False)
    sides = {
        (asset, step): side
        for asset, step, side in zip(table(grown).assets, table(grown).instants, after.holdout, strict=True)
    }
    old = table(steps)
    assert [sides[pair] for pair in zip(old.assets, old.instants, strict=True)] == list(before.holdout)


@given(steps=fleets, more=fleets, share=st.integers(5, 60), seed=st.integers(0, 5))
def test_more_assets_never_move_an_asset_into_the_holdout(
    steps: dict[str, list[int]], more: dict[str, list[int]], share: int, seed: int
) -> None:
    try:
        before = split(table(steps), seed=seed, split="group", holdout=f"{share}%")
        after = split(table({**more, **steps}), seed=seed, split="group", holdout=f"{share}%")
    except DataError:
        assume(False)
    grown = table({**more, **steps})
    held = set(grown.groups[after.holdout]) & set(steps)
    below = {asset for asset in steps if place(asset, seed) < share / 100}
    assert held <= set(table(steps).groups[before.holdout]) | below


@given(steps=fleets, share=st.integers(1, 99))
def test_a_group_split_takes_the_share_as_a_probability_and_never_leaves_a_part_empty(
    steps: dict[str, list[int]], share: int
) -> None:
    assume(len(steps) > 1)
    parts = split(table(steps), split="group", holdout=f"{share}%")
    assert 0 < len(set(table(steps).groups[parts.holdout])) < len(steps)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ({"holdout": "24h"}, 24),
        ({"holdout": "20%"}, 20),
        ({"holdout": "7 rows"}, 7),
        ({"train": "60%"}, 40),
        ({"train": "90 rows"}, 10),
        ({"train": "10h"}, 90),
        ({}, 20),
    ],
)
def test_a_time_split_holds_out_the_last_part(amount: dict[str, str], expected: int) -> None:
    parts = split(table({"A": list(range(100))}, clock=True), timedelta(0), **amount)
    assert parts.holdout.sum() == expected
    assert parts.holdout[-expected:].all()


def test_the_cut_is_common_to_the_unit() -> None:
    rows = table({"A": list(range(100)), "B": list(range(60, 100))}, clock=True)
    parts = split(rows, timedelta(0), holdout="24h")
    assert list(rows.assets[parts.holdout]) == ["A"] * 24 + ["B"] * 24


@pytest.mark.parametrize(("embargo", "kept"), [({}, 75), ({"embargo": "horizon"}, 75), ({"embargo": "10h"}, 71)])
def test_labels_that_look_into_the_holdout_are_left_out_unless_said_otherwise(
    embargo: dict[str, str], kept: int
) -> None:
    parts = split(table({"A": list(range(100))}, clock=True), 6 * HOUR, holdout="20%", **embargo)
    assert parts.fit.sum() == kept
    assert parts.embargoed == 80 - kept


def test_a_version_counts_as_having_seen_what_its_labels_looked_at() -> None:
    rows = table({"A": list(range(100))}, clock=True)
    seen = split(rows, 6 * HOUR, holdout="20%").seen
    fair = unseen(rows, seen)
    assert list(fair[78:82]) == [False, False, True, True]


def test_a_champion_of_a_random_split_is_judged_on_rows_it_held_out_too() -> None:
    rows = table({"A": list(range(1000))})
    small = split(rows, split="random", holdout="10%")
    large = split(rows, split="random", holdout="30%")
    fair = unseen(rows, small.seen) & large.holdout
    assert (fair == small.holdout).all()


def test_a_champion_without_a_record_of_what_it_saw_is_judged_on_everything() -> None:
    rows = table({"A": [1, 2, 3]})
    assert unseen(rows, Seen()).all()


def test_seen_survives_json() -> None:
    seen = split(table({"A": list(range(9)), "B": [3]}, clock=True), HOUR, split="group", holdout="50%").seen
    assert Seen.from_json(seen.to_json()) == seen


@pytest.mark.parametrize(
    ("clock", "evaluate", "message"),
    [
        (False, {"holdout": "2d"}, "the index is a step"),
        (True, {"split": "group", "holdout": "2d"}, "takes a share of the groups"),
        (True, {"split": "random", "holdout": "2d"}, "takes a share of the rows"),
        (True, {"split": "random", "embargo": "2d"}, "does not go with `split: random`"),
    ],
)
def test_amounts_that_do_not_go_with_the_split_are_refused(clock: bool, evaluate: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        split(table({"A": list(range(9)), "B": [3]}, clock=clock), timedelta(0) if clock else 0, **evaluate)


@pytest.mark.parametrize(
    ("rows", "evaluate", "message"),
    [
        ({"A": []}, {}, "there are no rows to split"),
        ({"A": [1]}, {}, "leave nothing for the other part"),
        ({"A": list(range(9))}, {"holdout": "20 rows"}, "20 rows of 9 rows leave nothing"),
        ({"A": list(range(9))}, {"holdout": "2d"}, "2025-01-01T00:00:00.* leaves no other part"),
        ({"A": list(range(9))}, {"holdout": "2h", "embargo": "1d"}, "0 rows are left to fit and 2 to judge"),
        ({"A": list(range(9))}, {"split": "group"}, "needs two groups"),
    ],
)
def test_a_part_without_rows_is_an_error_with_figures(
    rows: dict[str, list[int]], evaluate: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        split(table(rows, clock=True), timedelta(0), **evaluate)


def test_places_are_even_and_the_same_in_every_time_unit() -> None:
    instants = pd.date_range("2025-01-01", periods=20_000, freq="1min", tz="UTC", unit="us")
    assets = np.array(["P-1"] * len(instants), dtype=object)
    places = row_places(assets, instants, seed=0)
    assert (places == row_places(assets, instants.as_unit("ns"), seed=0)).all()
    assert np.abs(np.quantile(places, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.02
    assert abs(np.corrcoef(places[1:], places[:-1])[0, 1]) < 0.03
