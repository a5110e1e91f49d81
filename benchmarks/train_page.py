"""Puts the tables of training, of the pump example and of DAGs into docs/benchmarks.md, out of benchmarks/results.json.

python benchmarks/train_page.py
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parent / "docs" / "benchmarks.md"

_NAMES = {
    "bare": "bare loop",
    "stock": "MLflow and Great Expectations, used well",
    "tutorial": "MLflow and Great Expectations, as in their tutorials",
    "datadriver_sqlite": "datadriver, SQLite",
    "datadriver_postgres": "datadriver, PostgreSQL",
    "datadriver_http": "datadriver, MLflow server",
    "nothing_to_do": "datadriver, nothing is due",
    "resume": "datadriver, killed at half and run again",
    "promote": "datadriver promote",
    "score_bare": "scoring a day: bare loop",
    "score_datadriver": "scoring a day: datadriver",
}
_STEPS = ("simulate", "validate", "train", "promote", "score", "monitor", "report", "plan", "status")
_END_TO_END = {
    "assets": "assets, a DAG each",
    "slots": "slots",
    "noop_seconds_per_asset": "a task that does nothing, s an asset",
    "own_seconds": "the command by itself, s",
    "e2e_seconds_per_asset": "scored, s an asset",
    "e2e_ratio_to_noop": "ratio to doing nothing and the command's own seconds divided by the slots",
    "assets_per_hour": "assets an hour",
    "load": "load before",
}
_KINDS = {"ridge": "Ridge", "forest": "forest of 10 trees"}


def write_page(results: Path = RESULTS, page: Path = PAGE) -> None:
    """Renew what stands between the marks `<!-- name -->` and `<!-- end -->` of the page."""
    found, text = json.loads(results.read_text()), page.read_text()
    figures = found.get("train", {})
    for name, table in (
        ("costs", _costs(figures)),
        ("stages", _stages(figures)),
        ("pumps", _pumps(found)),
        ("dags", _dags(found.get("dags", {}))),
        ("airflow", _airflow(found.get("airflow", {}))),
    ):
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", rf"\1{table}\2", text, flags=re.DOTALL)
    page.write_text(text)


def _costs(figures: Mapping[str, Any]) -> str:
    lines = [
        "| models | way | number | s | ms a model | of that processor | peak MB | kB on disk a model |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for kind, sizes in sorted(figures.get("sizes", {}).items(), reverse=True):
        for size, ways in sorted(sizes.items(), key=lambda entry: int(entry[0])):
            for way, name in _NAMES.items():
                if way in ways:
                    lines.append(_row(kind, int(size), name, ways[way]))
    return "\n".join(lines) + "\n"


def _row(kind: str, size: int, name: str, found: Mapping[str, float]) -> str:
    estimator, _, per_asset = kind.partition("_")
    disk = found.get("disk_kb_per_model")
    cells = [
        f"{_KINDS[estimator]}, {per_asset} an asset",
        name,
        f"{size:,}",
        f"{found['seconds']:.1f}",
        f"{found['ms_per_model']:.1f}",
        f"{1000 * found['cpu'] / size:.1f}",
        f"{found['peak_mb']:,.0f}",
        f"{disk:.0f}" if disk else "",
    ]
    return f"| {' | '.join(cells)} |"


def _stages(figures: Mapping[str, Any]) -> str:
    kinds = sorted(figures.get("stages", {}), reverse=True)
    heads = [f"{_KINDS[kind.partition('_')[0]]}, {kind.partition('_')[2]} an asset" for kind in kinds]
    lines = [f"| ms a model | {' | '.join(heads)} |", "|---|" + "--:|" * len(kinds)]
    stages = figures.get("stages", {})
    lines += [
        f"| {stage} | {' | '.join(f'{stages[kind][stage]:.2f}' for kind in kinds)} |"
        for stage in (stages[kinds[0]] if kinds else ())
    ]
    sums = [f"{sum(stages[kind].values()):.2f}" for kind in kinds]
    return "\n".join([*lines, f"| together | {' | '.join(sums)} |"]) + "\n"


def _pumps(results: Mapping[str, Any]) -> str:
    lines = [
        "| models | step | s | processor s | ms of it a model | peak MB | load before |",
        "|--:|---|--:|--:|--:|--:|--:|",
    ]
    fleets = [figures for name, figures in results.items() if name.startswith("pumps_")]
    for figures in sorted(fleets, key=lambda one: float(one["pumps"])):
        models = 2 * figures["pumps"]
        for step in _STEPS:
            if f"{step}_s" in figures:
                seconds, cpu = figures[f"{step}_s"], figures[f"{step}_cpu_s"]
                load, peak = figures.get(f"{step}_load"), figures[f"{step}_mb"]
                cells = [f"{models:,}", step, f"{seconds:.1f}", f"{cpu:.1f}", f"{1000 * cpu / models:.2f}"]
                cells += [f"{peak:,.0f}", "" if load is None else f"{load:.1f}"]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _dags(figures: Mapping[str, Any]) -> str:
    lines = ["| what | operators | assets | datadriver | bare loop | ratio |", "|---|---|--:|--:|--:|--:|"]
    for runtime in ("process", "docker"):
        for size, one in sorted(figures.get(runtime, {}).items(), key=lambda entry: int(entry[0])):
            where = f"{runtime} | {int(size):,}"
            costs = f"{one['ms_per_dag']:.2f} | {one['bare_ms_per_dag']:.2f} | {one['ratio_to_bare']:.2f}"
            lines.append(f"| build and serialise, processor ms a DAG | {where} | {costs} |")
    for runtime in ("process", "docker"):
        for size, one in sorted(figures.get(runtime, {}).items(), key=lambda entry: int(entry[0])):
            costs = f"{one['task_parse_ms']:.2f} | {one['one_dag_parse_ms']:.2f} | {one['task_parse_ratio']:.2f}"
            lines.append(f"| parse for a task, ms; beside a file with one DAG | {runtime} | {int(size):,} | {costs} |")
    if one := figures.get("processor"):
        for which in ("first", "unchanged"):
            for name, unit in (("s", "s"), ("cpu_s", "processor s")):
                plan, loop = one[f"plan_{which}_{name}"], one[f"loop_{which}_{name}"]
                ratio = (plan / one["dags"]) / (loop / one["loop_dags"])
                cells = f"process | {one['assets']:,} | {plan:.1f} | {loop:.1f} | {ratio:.2f}"
                lines.append(f"| DAG processor, {which} pass, {unit} | {cells} |")
    return "\n".join(lines) + "\n"


def _airflow(figures: Mapping[str, Any]) -> str:
    lines = ["| from one event to the last score | |", "|---|--:|"]
    for name, words in _END_TO_END.items():
        if name in figures:
            lines.append(f"| {words} | {figures[name]:,} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_page()
