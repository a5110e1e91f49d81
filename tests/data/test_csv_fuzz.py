"""Whatever bytes are in a CSV file: a frame with the right shape, or an error of ours."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datadriver.config.fleet import Asset
from datadriver.data.events import read_events
from datadriver.data.read import read_frame
from datadriver.data.window import Window
from datadriver.errors import ConfigError, DataError

fields = st.sampled_from(
    [
        "ts",
        "v",
        "2026-03-01",
        "2026-03-29 02:30",
        "2026-03-01T00:00:00Z",
        "1e400",
        "-0",
        "NaN",
        "Bad",
        '"',
        '"a\n',
        "1,5",
        "",
        "\x00",
    ]
)
lines = st.lists(st.lists(fields | st.text(max_size=3), max_size=4).map(",".join), max_size=6)
texts = st.builds(
    "\n".join, st.builds(lambda head, rest: [head, *rest], st.sampled_from(["ts,v", "ts,v,v", "v"]), lines)
)
files = st.binary(max_size=200) | texts.map(lambda text: text.encode("utf-8", "surrogatepass"))

SOURCES: list[dict[str, Any]] = [
    {},
    {"tags": {"v": {"range": [0, 9]}}},
    {"asset": "v"},
    {"known_at": "v", "times": {"duplicates": "mean"}},
    {"layout": {"long": {"tag": "v", "value": "v"}}},
]


@pytest.mark.parametrize("settings_of_source", SOURCES)
@pytest.mark.parametrize("index", ["time", "step"])
@given(content=files)
@example(content=b"")
@example(content=b"\xff\xfe")
@example(content=b"ts,v\n2026-03-01,1\n2026-03-01,x\n9999-12-31T23:59:59.999999Z,3\n0001-01-01,4\n")
@example(content=b"ts,v\n1,1\n9223372036854775807,2\n-9223372036854775808,3\n")
def test_any_bytes_give_a_frame_or_an_error_of_ours(
    usecase_of: Any, settings_of_source: dict[str, Any], index: str, content: bytes
) -> None:
    source = {"path": "x.csv", "index": "ts", **settings_of_source}
    usecase = usecase_of(
        {"s": source}, index=index, timezone="Europe/Paris", resolution="30d" if index == "time" else 3
    )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x.csv").write_bytes(content)
        frame = attempt(read_frame, usecase, Asset("1"), Window(), Path(folder))
        events = attempt(read_events, usecase, "s", Asset("1"), Path(folder))
    if frame is not None:
        assert frame.frame.index.is_monotonic_increasing
        assert frame.frame.index.is_unique
        assert all(str(dtype) == "float64" for dtype in frame.frame.dtypes)
    if events is not None:
        assert events.index.is_monotonic_increasing


def attempt(function: Any, *arguments: Any) -> Any:
    """Return what a function returns, or None if it raised a deliberate error."""
    try:
        return function(*arguments)
    except (DataError, ConfigError):
        return None
