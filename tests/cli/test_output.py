"""What people see: aligned tables, calm progress lines, plain JSON values."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from datadriver.cli.output import Output, layout, plain
from datadriver.cli.progress import Lines
from datadriver.cli.promote import say_promotion
from datadriver.cli.reports import say_misses
from datadriver.fleet.outcomes import Miss
from datadriver.tracking.records import Key
from datadriver.tracking.releases import Candidate


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_speaks_every_few_seconds_and_at_the_end():
    stream, clock = io.StringIO(), Clock()
    lines = Lines(stream, clock)
    lines.begin("training", 80)
    for step in range(80):
        clock.now += 0.125
        lines.advance(failed=step == 10)
    lines.end()
    assert stream.getvalue().splitlines() == [
        "training: 40 of 80, 8/s, 5 s left, 1 failed",
        "training: 80 of 80, 8/s, 1 failed",
    ]


def test_hours_of_work_make_a_log_that_can_be_read():
    stream, clock = io.StringIO(), Clock()
    lines = Lines(stream, clock)
    lines.begin("training", 100_000)
    for _ in range(100_000):
        clock.now += 0.1
        lines.advance()
    lines.end()
    said = stream.getvalue().splitlines()
    assert len(said) < 80
    assert said[-1] == "training: 100,000 of 100,000, 10/s"


def test_a_fleet_without_members_makes_no_progress_line():
    stream = io.StringIO()
    lines = Lines(stream, Clock())
    lines.begin("scoring", 0)
    lines.end()
    assert stream.getvalue() == ""


@given(st.lists(st.tuples(st.text(max_size=8), st.none() | st.floats() | st.integers() | st.text(max_size=8))))
def test_tables_keep_their_rows_and_columns_whatever_is_in_them(rows):
    lines = layout(["name", "value"], rows, right=["value"])
    assert len(lines) == len(rows) + 1
    assert all("\n" not in line and line == line.rstrip() for line in lines)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.floats().map(np.float64),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_everything_becomes_json(value):
    json.dumps(plain(value), allow_nan=False)


def test_times_are_written_as_iso_8601():
    assert plain({"at": pd.Timestamp("2026-03-01T00:00Z"), "no": pd.NaT}) == {
        "at": "2026-03-01T00:00:00+00:00",
        "no": None,
    }


def test_misses_that_share_a_reason_are_told_once():
    stream = io.StringIO()
    misses = [Miss(f"P-{n}", f"P-{n}, contract: flow is above 50", 3) for n in range(6)]
    misses.append(Miss("P-9", "KeyError: 'flow'", 4))
    say_misses(Output(stdout=stream), misses, {})
    assert stream.getvalue().splitlines() == [
        "  6 times: P-0, P-1, P-2, P-3, … 2 more  [data]",
        "    …, contract: flow is above 50",
        "  P-9  [use case]",
        "    KeyError: 'flow'",
    ]


def test_what_serves_already_is_no_challenger_that_is_held_back(capsys):
    serving = Candidate(Key("P-1", "wear"), 1, 1, False, "version 1 is champion already")
    say_promotion(Output(), None, None, [serving])
    assert capsys.readouterr().out == "nothing to promote\n"
