"""What a contract's verdict costs in Great Expectations and in datadriver: same suite, same frames, one run.

Great Expectations is used as well as it can be: one context, one batch definition and one suite, made before anything
is timed, and validated in one pass at the result format that datadriver asks for. Both turn each sensor frame into
what they judge within the timed part. Every fifth frame has rows that breach. Before timing, both must find the same
successes and counts. Figures are medians over rounds, which alternate between the two, of the mean of a round.

    python benchmarks/contract.py --frames 40 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from results import merge_results

from datadriver.config.fleet import Asset
from datadriver.config.sections import Contract
from datadriver.data.contract.batch import to_batch
from datadriver.data.contract.engine import Outcome, run
from datadriver.data.contract.suite import Suite, load_suite
from datadriver.data.contract.verdict import evaluate, judge
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Window

ROWS = 1440
TAGS = ("temperature", "pressure", "flow", "vibration")


def expectations() -> list[dict[str, Any]]:
    """Return 18 expectations as a sensor contract has them: 2 of the table, 4 of each tag."""
    items: list[tuple[str, dict[str, Any]]] = [
        ("expect_table_row_count_to_be_between", {"min_value": 48}),
        ("expect_column_values_to_be_increasing", {"column": "time", "strictly": True}),
    ]
    for tag in TAGS:
        items += [
            ("expect_column_values_to_not_be_null", {"column": tag, "mostly": 0.9}),
            ("expect_column_values_to_be_between", {"column": tag, "min_value": 0, "max_value": 100, "mostly": 0.99}),
            ("expect_column_mean_to_be_between", {"column": tag, "min_value": 10, "max_value": 90}),
            ("expect_column_values_to_not_be_frozen", {"column": tag, "max_duration": "4h"}),
        ]
    return [{"type": kind, "kwargs": kwargs} for kind, kwargs in items]


def make_frame(number: int) -> SensorFrame:
    """Make a day of an asset, minute by minute; each fifth has values out of range, nulls and a frozen tag."""
    generator = np.random.default_rng(number)
    index = pd.date_range("2024-03-01", periods=ROWS, freq="min", tz="UTC", unit="us", name="time")
    frame = pd.DataFrame({tag: generator.normal(50, 10, ROWS) for tag in TAGS}, index=index)
    if number % 5 == 0:
        frame.iloc[100:150, 0] = 400.0
        frame.iloc[200:400, 1] = np.nan
        frame.iloc[500:900, 2] = 50.0
    return SensorFrame(Asset(f"A-{number}"), frame, window=Window(index[0], index[-1]))


def round_ms(judged: Callable[[SensorFrame], object], frames: Sequence[SensorFrame]) -> float:
    """Return the mean time of a frame, in milliseconds."""
    began = time.perf_counter()
    for frame in frames:
        judged(frame)
    return 1000 * (time.perf_counter() - began) / len(frames)


def counts(outcomes: Sequence[Outcome]) -> list[tuple[bool, Any]]:
    """Return what both must agree on."""
    return [(outcome.success, outcome.result.get("unexpected_count")) for outcome in outcomes]


def measure(suite: Suite, root: Path, frames: Sequence[SensorFrame], rounds: int) -> dict[str, float]:
    """Return milliseconds a frame: Great Expectations, our outcomes alone, and the whole verdict with its messages."""
    contract, made = Contract(suite=suite.label), suite.gx()
    ways: dict[str, Callable[[SensorFrame], object]] = {
        "gx": lambda frame: run(made, to_batch(frame)),
        "datadriver": lambda frame: evaluate(suite, frame),
        "verdict": lambda frame: judge(frame, contract, "train", root),
    }
    for frame in frames[:5]:
        assert counts(run(made, to_batch(frame))) == counts(evaluate(suite, frame)), "the two find the same"
    times = [{way: round_ms(judged, frames) for way, judged in ways.items()} for _ in range(rounds)]
    median = {way: round(statistics.median(each[way] for each in times), 3) for way in ways}
    return {
        "validate.gx.ms_per_asset": median["gx"],
        "validate.datadriver.ms_per_asset": median["datadriver"],
        "validate.datadriver.ms_per_verdict": median["verdict"],
    }


def main() -> None:
    """Measure, print and merge the figures into the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results.json"))
    chosen = parser.parse_args()
    frames = [make_frame(number) for number in range(chosen.frames)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "suite.json").write_text(json.dumps({"name": "bench", "expectations": expectations()}))
        suite = load_suite(Contract(suite="suite.json"), root)
        assert suite is not None
        figures = measure(suite, root, frames, chosen.rounds)
    gx, ours, verdict = figures.values()
    print(f"{len(suite.expectations)} expectations on {ROWS:,} rows, ms a frame:")
    print(f"Great Expectations {gx:.1f}, datadriver {ours:.2f}: {gx / ours:.0f} times faster")
    print(f"with messages and examples {verdict:.2f}")
    merge_results(chosen.results, figures)


if __name__ == "__main__":
    main()
