"""Does the monitor find failing pumps, how soon, and how often is it wrong? Beside it, in the same run, a naive one.

A fleet of examples/pumps is simulated, so the onset of every fault is known. Models are trained on the first half and
again every week; in between each day is scored and monitored, as `datadriver run` does every night. The naive
monitor is the one of most tutorials: the population stability index of each feature of the newest day against the
training data, an alarm while any is over 0.2.

An *alert* is what an operator sees of one pump: from the opening of an alarm until no alarm of the pump is open. It
is right if it opens between the onset of a fault and the failure (plus the window in which the pump failed), else it
is false; how many healthy days its alerts last counts, too. A fault is found if an alert opens in that time; the
delay is counted from the onset, of which nobody could know on the first day. While a pump stands still after a
failure nothing is counted.

    python benchmarks/monitor.py --assets 28 --days 220 --seed 12
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datadriver.project import Project
from datadriver.tracking import monitoring

ROOT = Path(__file__).parents[1]
PUMPS = ROOT / "examples" / "pumps"
sys.path[:0] = [str(PUMPS / "src"), str(ROOT / "benchmarks")]

from pumps.simulate import Settings, make_fleet  # noqa: E402 - the use case is not installed
from results import merge_results  # noqa: E402 - beside this file

DAY = pd.Timedelta(days=1)
EVERY = 7 * DAY
"""Models are trained again once a week, as `schedule.train` has it by default."""

REPAIR = 10 * DAY
"""Longest time that a pump stands still after a failure."""

PSI_LIMIT = 0.2
DECILES = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class Period:
    """What is judged: whole days from `start` to `end`."""

    start: pd.Timestamp
    end: pd.Timestamp


@dataclass(frozen=True)
class Figures:
    """How one monitor did; times in days."""

    alerts: int
    right: int
    faults: int
    found: int
    delays: tuple[float, ...]
    healthy_years: float
    false_days: float

    def row(self) -> dict[str, float | int | None]:
        """Return the figures as they are written; None where nothing can be said."""
        return {
            "alerts": self.alerts,
            "faults": self.faults,
            "precision": _share(self.right, self.alerts),
            "recall": _share(self.found, self.faults),
            "delay_days": round(float(np.median(self.delays)), 2) if self.delays else None,
            "false_alarms_per_asset_year": round((self.alerts - self.right) / self.healthy_years, 3)
            if self.healthy_years
            else None,
            "false_days_per_asset_year": round(self.false_days / self.healthy_years, 1) if self.healthy_years else None,
        }


def live(project: Project, period: Period) -> float:
    """Train, promote, score and monitor as a plant would, week by week.

    Returns:
        Milliseconds of monitoring per instance, asset and window.
    """
    spent, windows, start = 0.0, 0, period.start
    while start < period.end:
        end = min(start + EVERY, period.end)
        trained = project.train(until=start)
        project.promote(reason="benchmark")
        scored = project.score(start=start, end=end)
        began = time.perf_counter()
        monitored = project.monitor(start=start, until=end)
        took = time.perf_counter() - began
        spent, windows = spent + took, windows + monitored.windows
        print(f"{start:%Y-%m-%d}: train {trained.seconds:.0f} s, score {scored.seconds:.0f} s, monitor {took:.0f} s")
        start = end
    instances = sum(len(one.unit.assets) for one in project.instances) / len(project.assets)
    return 1000 * spent / max(1.0, windows * instances)


def alerts_of(project: Project, checks: Iterable[str], period: Period) -> pd.DataFrame:
    """Return the alerts that alarms of some checks make: columns asset, opened, closed."""
    wanted = frozenset(checks)
    rows = [
        (alarm.asset, pd.Timestamp(alarm.opened), pd.Timestamp(alarm.closed) if alarm.closed else period.end)
        for alarm in monitoring.alarms(project.ledger)
        if alarm.check in wanted
    ]
    return _merged(pd.DataFrame(rows, columns=["asset", "opened", "closed"]))


def naive_alerts(project: Project, model: str, period: Period) -> pd.DataFrame:
    """Return the alerts of the naive monitor: any feature's PSI over 0.2 in the newest day."""
    rows = []
    for asset in project.assets:
        try:
            features = project.features(asset.id, model)
        except Exception as error:
            print(f"  naive monitor: {asset.id} left out: {error}")
            continue
        reference = features[features.index < period.start]
        for day, part in features[features.index >= period.start].resample("1D"):
            if any(_psi(reference[name], part[name]) > PSI_LIMIT for name in features):
                rows.append((asset.id, day + DAY, day + 2 * DAY))
    return _merged(pd.DataFrame(rows, columns=["asset", "opened", "closed"]))


def _psi(reference: pd.Series, part: pd.Series) -> float:
    """Population stability index over the deciles of the reference, with the usual floor of 0.0001 a bin."""
    known, now = reference.dropna().to_numpy(), part.dropna().to_numpy()
    if not len(known) or not len(now):
        return 0.0
    edges = np.unique(np.quantile(known, DECILES))[1:-1]
    shares = [np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) for values in (known, now)]
    was, is_ = (np.maximum(counts / counts.sum(), 1e-4) for counts in shares)
    return float(((is_ - was) * np.log(is_ / was)).sum())


def _merged(alarms: pd.DataFrame) -> pd.DataFrame:
    """Put alarms of one pump that touch or overlap into one alert."""
    if alarms.empty:
        return alarms
    alarms = alarms.sort_values(["asset", "opened"], ignore_index=True)
    reach = alarms.groupby("asset")["closed"].cummax().groupby(alarms["asset"]).shift()
    alarms["alert"] = (reach.isna() | (alarms["opened"] > reach)).cumsum()
    whole = alarms.groupby("alert").agg(asset=("asset", "first"), opened=("opened", "min"), closed=("closed", "max"))
    return whole.reset_index(drop=True)


def judge(alerts: pd.DataFrame, faults: pd.DataFrame, assets: Sequence[str], period: Period) -> Mapping[str, Figures]:
    """Hold alerts against the truth; `all`, and each kind of fault."""
    alerts = alerts[(alerts["opened"] > period.start) & (alerts["opened"] <= period.end)]
    right = np.zeros(len(alerts), dtype=bool)
    down = np.zeros(len(alerts), dtype=bool)
    delays: dict[int, float] = {}
    for number, fault in faults.iterrows():
        own = (alerts["asset"] == fault["asset_id"]).to_numpy()
        opened = alerts["opened"]
        hits = own & (opened > fault["onset"]).to_numpy() & (opened <= fault["failure"] + DAY).to_numpy()
        right |= hits
        down |= own & (opened > fault["failure"] + DAY).to_numpy() & (opened <= fault["failure"] + REPAIR).to_numpy()
        if hits.any():
            delays[int(number)] = (opened[hits].min() - fault["onset"]) / DAY  # type: ignore[arg-type]
    counted = int((right | ~down).sum())
    false_days = sum(_healthy_days(alert, faults, period) for alert in alerts.itertuples())
    years = _healthy_years(faults, len(assets), period)
    found: dict[str, Figures] = {}
    # A fault that begins before the period could not be found at its onset, one that has hardly begun need not be.
    due = faults[(faults["onset"] >= period.start) & (faults["failure"] <= period.end)]
    for kind in ("all", *sorted(due["kind"].unique())):
        chosen = due if kind == "all" else due[due["kind"] == kind]
        hit = [delays[int(number)] for number in chosen.index if int(number) in delays]  # type: ignore[call-overload]
        found[kind] = Figures(counted, int(right.sum()), len(chosen), len(hit), tuple(hit), years, false_days)
    return found


def _healthy_years(faults: pd.DataFrame, assets: int, period: Period) -> float:
    total = assets * (period.end - period.start)
    for _, fault in faults.iterrows():
        start, end = max(fault["onset"], period.start), min(fault["failure"] + REPAIR, period.end)
        total -= max(end - start, pd.Timedelta(0))
    return float(total / pd.Timedelta(days=365.25))


def _healthy_days(alert: Any, faults: pd.DataFrame, period: Period) -> float:
    """Return for how many days of an alert nothing was wrong with the pump."""
    start, end = alert.opened, min(alert.closed, period.end)
    days = pd.date_range(start, end, freq="D", inclusive="left")
    wrong = np.zeros(len(days), dtype=bool)
    for fault in faults[faults["asset_id"] == alert.asset].itertuples():
        wrong |= np.asarray((days > fault.onset) & (days <= fault.failure + REPAIR))
    return float((~wrong).sum())


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


MONITORS: Mapping[str, tuple[str, ...]] = {
    "alarms": ("alarms",),
    "drift": ("drift", "score_drift"),
    "performance": ("performance",),
    "models": ("alarms", "drift", "score_drift", "performance"),
    "data": ("freshness", "completeness", "gaps", "frozen", "out_of_range", "contract"),
}
"""Which checks an operator could look at; what is said of a pump is `alarms`."""


def measure(assets: int, days: float, seed: int, workers: int) -> dict[str, Any]:
    """Simulate, live and judge."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "pumps"
        shutil.copytree(PUMPS, root, ignore=shutil.ignore_patterns("data", ".datadriver"))
        settings = Settings(days=days, seed=seed)
        make_fleet(assets, settings, root / "data", workers=workers)
        begin = pd.Timestamp(settings.start, tz="UTC")
        period = Period((begin + days / 2 * DAY).floor("D"), (begin + days * DAY).floor("D"))
        project = Project.open(root)
        ms = live(project, period)
        return report(judge_all(project, period), ms=ms, pumps=assets, days=days)


def judge_all(project: Project, period: Period) -> Mapping[str, Mapping[str, Figures]]:
    """Hold the alerts of every choice of checks, and of the naive monitor, against the truth."""
    truth = pd.read_csv(project.root / "data" / "truth" / "faults.csv")
    for name in ("onset", "failure"):
        truth[name] = pd.to_datetime(truth[name], utc=True, format="ISO8601")
    ids = [asset.id for asset in project.assets]
    seen = {name: alerts_of(project, checks, period) for name, checks in MONITORS.items()}
    seen["naive"] = naive_alerts(project, "behaviour", period)
    return {name: judge(alerts, truth, ids, period) for name, alerts in seen.items()}


def report(found: Mapping[str, Mapping[str, Figures]], *, ms: float, **size: float) -> dict[str, Any]:
    """Print a table and return what goes into the results."""
    print(
        f"{'monitor':12}{'fault':18}{'alerts':>7}{'faults':>7}{'prec':>7}{'recall':>7}{'delay':>7}{'false/yr':>9}{'days/yr':>9}"
    )
    for monitor, kinds in found.items():
        for kind, figures in kinds.items():
            row = figures.row()
            shown = [f"{row[name]!s:>7}" for name in ("precision", "recall", "delay_days")]
            print(
                f"{monitor:12}{kind:18}{row['alerts']:>7}{row['faults']:>7}{''.join(shown)}"
                f"{row['false_alarms_per_asset_year']!s:>9}{row['false_days_per_asset_year']!s:>9}"
            )
    ours, naive = found["alarms"]["all"].row(), found["naive"]["all"].row()
    print(f"{ms:.1f} ms per instance and window, {size}")
    return {
        **{name: ours[name] for name in ("precision", "recall", "delay_days", "false_alarms_per_asset_year")},
        **{
            f"naive_{name}": naive[name]
            for name in ("precision", "recall", "delay_days", "false_alarms_per_asset_year")
        },
        "ms_per_instance": round(ms, 2),
        "by_monitor": {name: {kind: one.row() for kind, one in kinds.items()} for name, kinds in found.items()},
        "size": dict(size),
    }


def main() -> None:
    """Measure, print a table and merge the figures into the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=int, default=28)
    parser.add_argument("--days", type=float, default=220)
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results.json")
    chosen = parser.parse_args()
    figures = measure(chosen.assets, chosen.days, chosen.seed, chosen.workers)
    merge_results(chosen.results, {f"monitor.{name}": value for name, value in figures.items()})


if __name__ == "__main__":
    main()
