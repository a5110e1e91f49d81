"""Where the milliseconds of a model go: `datadriver train` in one process, with a stopwatch at every stage.

The training is the real one; only its workers are replaced by this process, which does the jobs one after another and
pickles calls and answers as for a worker. A stage does not count what another stage does inside of it.

    python benchmarks/train_stages.py FOLDER
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import pickle
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from datadriver.data.looks import one_look
from datadriver.fleet.train import Training
from datadriver.fleet.train_job import TrainJob, train_unit
from datadriver.fleet.worker import Answer, Call
from datadriver.project import Project

STAGES = {
    "plan": ("datadriver.project:Project.plan",),
    "read": ("datadriver.fleet.members:history", "datadriver.fleet.members:read_frame"),
    "contract": ("datadriver.fleet.members:judge",),
    "features": ("datadriver.training.fit:prepare",),
    "fit": ("datadriver.training.fit:_fitted",),
    "evaluate": ("datadriver.training.evaluate:Court.judge",),
    "reference": ("datadriver.training.fit:training_reference",),
    "plots": ("datadriver.training.fit:draw",),
    "result key": ("datadriver.training.fit:frames_digest", "datadriver.training.fit:result_key"),
    "dump": ("datadriver.fleet.train_job:write_model",),
    "pipe": (f"{__name__}:_through_pipe",),
    "tracking": ("datadriver.tracking.mlflow_runs:Tracker.record_all",),
    "ledger": ("datadriver.tracking.ledger:Ledger.record_results",),
}
OVERHEAD = "overhead"


class Stopwatch:
    """Seconds by stage; of stages inside of each other only the inner one runs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, measured."""

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self._book()
            self._running.append(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self._book()
                self._running.pop()

        return wrapper

    def _book(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


class Here:
    """Does what `Workers` does, in this process."""

    def groups(self, calls: Iterable[Call], *, size: int, **_: object) -> Generator[list[tuple[Call, Answer]]]:
        """Yield calls with their answers, `size` at a time."""
        left = iter(calls)
        while some := list(islice(left, size)):
            yield [(call, _through_pipe(Answer(train_unit(_through_pipe(call.argument))))) for call in some]


def _through_pipe(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL))


def measure(root: Path) -> dict[str, float]:
    """Train what is due in a use case and return milliseconds a model by stage."""
    project, watch = Project.open(root), Stopwatch()
    for store in (project.ledger, project.tracker, project.instances):
        assert store is not None, "opened before the clock starts"
    _warm(project)
    for stage, places in STAGES.items():
        for place in places:
            _replace(place, functools.partial(watch.timed, stage))
    began = time.perf_counter()
    due = project.plan()
    report = Training(project.usecase, project.root, project.ledger, project.tracker, Here()).run(due)  # type: ignore[arg-type]
    seconds = time.perf_counter() - began
    assert not report.misses, report.misses[:3]
    times = {stage: watch.seconds[stage] for stage in STAGES}
    times[OVERHEAD] = seconds - sum(times.values())
    return {stage: 1000 * value / len(report.outcomes) for stage, value in times.items()}


def _warm(project: Project) -> None:
    """Do one job whose result nobody keeps, so that imports and caches are not measured."""
    scratch = project.root / ".datadriver" / "warm"
    unit = project.instances[0].unit
    instances = tuple(one for one in project.instances if one.unit == unit)
    train_unit(TrainJob(project.root, project.usecase, instances, {}, scratch, ""))
    shutil.rmtree(scratch)


def _replace(place: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, last = path.split(".")
    for name in parents:
        owner = getattr(owner, name)
    setattr(owner, last, wrap(getattr(owner, last)))


def main() -> None:
    """Print the stages of one use case as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    with one_look():
        print(json.dumps(measure(parser.parse_args().root)))


if __name__ == "__main__":
    main()
