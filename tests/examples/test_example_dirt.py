"""The page about dirt says what the benchmark measured, and the benchmark measures what it says."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("dirt_benchmark", ROOT / "benchmarks" / "dirt.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    kept = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = kept
    return module


def test_the_page_says_what_was_measured() -> None:
    page = (ROOT / "docs" / "examples" / "dirt.md").read_text("utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.count("|") == 7]
    told = {kind.strip(): [cell.strip() for cell in rest] for kind, *rest in rows[2:]}
    measured = json.loads((ROOT / "benchmarks" / "results.json").read_text("utf-8"))["contract"]["dirt"]
    assert set(told) == set(measured) - {"all"}
    for kind, figures in measured.items():
        if kind != "all":
            missed = figures["longest_missed_h"]
            assert told[kind][1] == f"{figures['recall']:.0%}", kind
            assert told[kind][2] == f"{figures['false_alarm_rate']:.0%}", kind
            assert told[kind][3] == ("" if missed is None else f"{missed} h"), kind


def test_results_of_others_are_left_alone(benchmark: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"contract": {"seconds": 1}, "train": {"seconds": 2}}))
    benchmark.merge_results(path, {"contract.dirt": {"gap": {"recall": 1.0}}})
    assert json.loads(path.read_text()) == {
        "contract": {"dirt": {"gap": {"recall": 1.0}}, "seconds": 1},
        "train": {"seconds": 2},
    }


def test_recall_counts_only_checks_that_are_meant_for_the_kind(benchmark: ModuleType) -> None:
    found = [frozenset({"gap"}), frozenset({"other"}), frozenset({"gap", "other"}), frozenset()]
    clean = [frozenset({"other"}), frozenset(), frozenset(), frozenset({"gap"})]
    figures = benchmark._figures(("gap",), clean, found, [1.0, 2.0, 3.0, 5.0])
    assert figures == {"recall": 0.5, "false_alarm_rate": 0.25, "longest_missed_h": 5.0, "caught_by": ["gap"]}
