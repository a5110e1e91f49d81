"""Stamps as plants write them, and the policies for clocks that jump, repeat and stand still."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from datadriver.config.sections import Times
from datadriver.data.clock import Dial, put_in_order, read_instants
from datadriver.errors import ConfigError, DataError


def dial(kind: Any = "time", zone: str = "UTC", formats: tuple[Any, ...] = (), **times: Any) -> Dial:
    return Dial("sensors", "P-1, source sensors", kind, zone, Times(**times), *formats)


def stamps(values: list[Any], clock: Dial, dtype: Any = None) -> list[str]:
    """Read stamps and write them as UTC texts, empty for those that count for nothing."""
    read = read_instants(pd.Series(values, name="ts", dtype=dtype), clock)
    shown = (
        pd.DatetimeIndex(read.numbers.astype("datetime64[us]"))
        .strftime("%Y-%m-%d %H:%M:%S.%f")
        .str.replace(".000000", "")
    )
    return [text if valid else "" for text, valid in zip(shown, read.valid, strict=True)]


def kinds(issues: Any) -> dict[str, int]:
    return {issue.kind: issue.count for issue in issues}


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-01T06:00:00Z", "2026-03-01 06:00:00"),
        ("2026-03-01 06:00:00+0100", "2026-03-01 05:00:00"),
        (" 2026-03-01T06:00:00.123456789+01:00 ", "2026-03-01 05:00:00.123456"),
        ("2026-03-01 06:00", "2026-03-01 05:00:00"),  # naive: in the zone, Paris
        ("2026-03-01", "2026-02-28 23:00:00"),
        ("20260301T060000", "2026-03-01 05:00:00"),
        ("1600-01-01T00:00:00Z", "1600-01-01 00:00:00"),
        ("01/03/2026 06:00", ""),
        ("now", ""),
        ("2026-02-30", ""),
        (None, ""),
    ],
)
def test_text_stamps_are_iso_with_offset_or_in_the_declared_zone(text: str | None, utc: str) -> None:
    assert stamps([text, "2026-06-01T00:00:00.123456789Z"], dial(zone="Europe/Paris"))[0] == utc


def test_unreadable_stamps_are_counted_with_examples() -> None:
    read = read_instants(pd.Series(["2026-03-01", "bad", None], name="ts"), dial())
    assert [(i.kind, i.count, i.examples) for i in read.issues] == [("bad_stamp", 2, ("bad", "empty"))]


def test_not_one_readable_stamp_is_an_error_that_names_the_way_out() -> None:
    with pytest.raises(
        DataError, match=r"P-1, source sensors: none of 1 values of 'ts' is a time, e.g. '31/12/2026'; .*date_format"
    ):
        read_instants(pd.Series(["31/12/2026"], name="ts"), dial())


def test_other_formats_are_read_by_their_date_format() -> None:
    assert stamps(["31/12/2025 23:30"], dial(formats=("%d/%m/%Y %H:%M", None))) == ["2025-12-31 23:30:00"]


def test_numbers_as_time_need_their_epoch_unit() -> None:
    with pytest.raises(DataError, match=r"holds numbers, e.g. 1767225600.*options.epoch"):
        stamps([1767225600], dial())
    assert stamps([1767225600, "1767225600"], dial(formats=(None, "s"))) == ["2026-01-01 00:00:00"] * 2
    assert stamps([1767225600123], dial(formats=(None, "ms"))) == ["2026-01-01 00:00:00.123000"]
    with pytest.raises(ConfigError, match="write s, ms, us or ns"):
        stamps([1], dial(formats=(None, "d")))


def test_stamps_of_any_unit_and_kind_become_the_same_instants() -> None:
    moment = pd.Timestamp("2026-03-01 06:00", tz="Europe/Paris")
    for unit in ("s", "ms", "us", "ns"):
        assert stamps([moment], dial(), f"datetime64[{unit}, Europe/Paris]") == ["2026-03-01 05:00:00"]
    mixed = [moment.to_pydatetime(), moment.tz_convert("UTC"), moment.date(), "2026-03-01T05:00:00Z"]
    assert stamps(mixed, dial(), object) == ["2026-03-01 05:00:00"] * 2 + ["2026-03-01 00:00:00", "2026-03-01 05:00:00"]


AUTUMN = [
    "2026-10-25 01:50",
    "2026-10-25 02:10",
    "2026-10-25 02:40",
    "2026-10-25 02:10",
    "2026-10-25 02:40",
    "2026-10-25 03:10",
]


@pytest.mark.parametrize(
    ("policy", "hours"),
    [
        ("infer", ["23:50", "00:10", "00:40", "01:10", "01:40", "02:10"]),
        ("earlier", ["23:50", "00:10", "00:40", "00:10", "00:40", "02:10"]),
        ("later", ["23:50", "01:10", "01:40", "01:10", "01:40", "02:10"]),
        ("drop", ["23:50", "", "", "", "", "02:10"]),
    ],
)
@pytest.mark.parametrize("dtype", ["str", "datetime64[us]"])
def test_a_repeated_hour_follows_the_policy(policy: str, hours: list[str], dtype: str) -> None:
    clock = dial(zone="Europe/Paris", ambiguous=policy)
    assert [text[11:16] for text in stamps(AUTUMN, clock, dtype)] == hours
    assert kinds(read_instants(pd.Series(AUTUMN, name="ts"), clock).issues) == {"ambiguous": 4}


def test_infer_takes_the_first_pass_where_no_time_repeats_and_judges_each_tag_by_itself() -> None:
    clock = dial(zone="Europe/Paris")
    assert [text[11:16] for text in stamps(AUTUMN[1:3], clock)] == ["00:10", "00:40"]
    tags = np.array([0, 0, 1, 1])
    read = read_instants(pd.Series(AUTUMN[1:5], name="ts"), clock, tags)
    assert read.numbers[:2].tolist() == read.numbers[2:].tolist()


def test_offsets_that_are_wrong_can_be_ignored() -> None:
    ignoring = dial(formats=(None, None, "ignore"), zone="Europe/Paris")
    assert stamps(["2026-06-01T12:00:00+02:00", "2026-06-01 12:00Z"], ignoring) == ["2026-06-01 10:00:00"] * 2
    with pytest.raises(ConfigError, match="the only choice is `ignore`"):
        stamps(["2026-06-01"], dial(formats=(None, None, "believe")))


def test_a_skipped_hour_is_read_by_the_old_offset_or_dropped() -> None:
    spring = ["2026-03-29 01:50", "2026-03-29 02:20", "2026-03-29 03:10"]
    assert [t[11:16] for t in stamps(spring, dial(zone="Europe/Paris"))] == ["00:50", "01:20", "01:10"]
    assert [t[11:16] for t in stamps(spring, dial(zone="Europe/Paris", nonexistent="drop"))] == ["00:50", "", "01:10"]
    assert kinds(read_instants(pd.Series(spring, name="ts"), dial(zone="Europe/Paris")).issues) == {"nonexistent": 1}
    assert [t[11:16] for t in stamps(["2026-10-04 02:10"], dial(zone="Australia/Lord_Howe"))] == [
        "15:40"
    ]  # skips half an hour


def test_steps_are_whole_numbers() -> None:
    read = read_instants(pd.Series(["1", "2.0", "2.5", "x", None], name="cycle"), dial("step"))
    assert read.numbers[read.valid].tolist() == [1, 2]
    assert kinds(read.issues) == {"bad_stamp": 3}


def order(values: list[int], known: list[int] | None = None, **times: Any) -> tuple[list[int], dict[str, int]]:
    everything = np.ones(len(values), dtype=bool)
    later = None if known is None else np.array(known)
    result = put_in_order(np.array(values), dial("step", **times), everything, known=later)
    return result.positions.tolist(), kinds(result.issues)


def test_late_rows_are_sorted_in_dropped_or_rejected_and_counted() -> None:
    clock = [10, 40, 20, 30, 50]
    assert order(clock) == ([0, 2, 3, 1, 4], {"unsorted": 2, "backward_jump": 1})
    assert order(clock, order="drop") == ([0, 1, 4], {"unsorted": 2, "backward_jump": 1})
    with pytest.raises(
        DataError, match=r"P-1, source sensors: 2 unsorted \(e.g. 20\), 1 backward_jump .*times.order is reject"
    ):
        order(clock, order="reject")


def test_of_duplicates_the_chosen_one_counts() -> None:
    clock = [10, 20, 20, 20, 30]
    assert order(clock) == ([0, 3, 4], {"duplicate": 2})
    assert order(clock, duplicates="first") == ([0, 1, 4], {"duplicate": 2})
    with pytest.raises(DataError, match="2 duplicate"):
        order(clock, duplicates="reject")


def test_a_correction_that_came_later_is_no_duplicate() -> None:
    assert order([10, 10, 10], known=[10, 15, 15]) == ([0, 2], {"duplicate": 1})
