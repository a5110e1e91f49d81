"""Each line of the table in docs/bad-input.md, done for real: the mistake, the command, what comes of it."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from datadriver.project import Project

if TYPE_CHECKING:
    from conftest import TinyCase

TABLE = Path(__file__).parents[1] / "docs" / "bad-input.md"
ASSETS = {"P-1", "P-2", "15/9-F-1 C"}
MISTAKES: dict[str, Callable[[TinyCase], None]] = {}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    wrong: str
    command: str
    exit_code: int
    words: tuple[str, ...]
    rest: str


def table() -> list[Row]:
    rows = []
    for line in TABLE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 5 and cells[2].isdigit():
            wrong, command, code, words, rest = cells
            rows.append(Row(wrong, command.strip("`"), int(code), tuple(re.findall(r"`([^`]+)`", words)), rest))
    return rows


def mistake(title: str) -> Callable[[Callable[[TinyCase], None]], Callable[[TinyCase], None]]:
    def add(make: Callable[[TinyCase], None]) -> Callable[[TinyCase], None]:
        MISTAKES[title] = make
        return make

    return add


def test_the_table_and_the_mistakes_are_the_same():
    assert sorted(row.wrong for row in table()) == sorted(MISTAKES)


@pytest.mark.parametrize("row", table(), ids=lambda row: row.wrong)
def test_bad_input_is_answered_as_the_table_says(row: Row, tiny: TinyCase):
    MISTAKES[row.wrong](tiny)
    done = tiny.run(*row.command.removeprefix("datadriver ").split(), "--json")

    document = json.loads(done.stdout)
    said = done.stdout.encode().decode("unicode_escape") if "\\u" in done.stdout else done.stdout
    assert done.returncode == row.exit_code, done.stdout + done.stderr
    for words in row.words:
        assert words in said.replace('\\"', '"'), (
            f"{words!r} is not in\n{json.dumps(document, indent=1)}\n{done.stderr}"
        )
    assert "Traceback" not in done.stderr
    _the_rest_is(row.rest, tiny)


def _the_rest_is(rest: str, tiny: TinyCase) -> None:
    """Check what the last column claims: nothing was written, or the other pumps have their versions."""
    if rest == "nothing is written":
        assert not list((tiny.root / ".datadriver").rglob("*.skops"))
        return
    status = tiny.run("status", "--json")
    assert status.returncode == 0, status.stderr
    instances = json.loads(status.stdout)["instances"]
    good = {instance["unit"] for instance in instances if instance["state"] in {"champion", "challenger", "baseline"}}
    bad = {instance["unit"]: instance["reason"] for instance in instances if instance["unit"] not in good}
    if rest == "all are done":
        assert good == ASSETS
    elif rest == "the others are done":
        assert good == ASSETS - {"P-1"}
        assert bad["P-1"], "status keeps no reason"
    else:
        assert rest == "none can be done"
        assert not good


def change(tiny: TinyCase, **columns: object) -> None:
    """Change columns of P-1 only."""
    data = tiny.data()
    mine = data["pump"] == "P-1"
    for name, value in columns.items():
        data[name] = data[name].astype(object) if isinstance(value, str) else data[name]
        data.loc[mine, name] = value
    tiny.write(data)


# --- usecase.yaml, the fleet and the command line ---------------------------------------------------------------


@mistake("a key that nobody knows")
def _(tiny: TinyCase) -> None:
    tiny.edit("problem: regression", "problem: regression\n    basline: tiny.models:mean")


@mistake("three mistakes at once")
def _(tiny: TinyCase) -> None:
    tiny.edit("resolution: 1h", "resolution: soon")
    tiny.edit("min_rows: 20", "min_rows: -1")
    tiny.edit("problem: regression", "problem: regresion")


@mistake("text that is not YAML")
def _(tiny: TinyCase) -> None:
    tiny.edit("name: tiny", "name: [tiny")


@mistake("a misspelt function")
def _(tiny: TinyCase) -> None:
    tiny.edit("tiny.features:load", "tiny.features:laod")


@mistake("a variable that is not set")
def _(tiny: TinyCase) -> None:
    tiny.edit("path: sensors.parquet", 'path: "${PLANT_DIR}/sensors.parquet"')


@mistake("an environment that does not exist")
def _(tiny: TinyCase) -> None:
    tiny.edit("scores:", "environments: {prod: {seed: 1}}\nscores:")


@mistake("an attribute that no asset has")
def _(tiny: TinyCase) -> None:
    tiny.edit("problem: regression", "problem: regression\n    where: contry == 'NO'")


@mistake("an asset that stands twice in the fleet")
def _(tiny: TinyCase) -> None:
    tiny.edit("P-2,", "P-1,", "fleet.csv")


@mistake("an asset that the fleet does not have, on the command line")
def _(tiny: TinyCase) -> None:
    pass


@mistake("an expectation that Great Expectations does not know")
def _(tiny: TinyCase) -> None:
    tiny.guard()
    tiny.edit("values_to_be_between", "values_to_be_betwen", "contracts/sensors.json")


@mistake("no use case in this folder")
def _(tiny: TinyCase) -> None:
    (tiny.root / "usecase.yaml").unlink()


# --- the data ----------------------------------------------------------------------------------------------------


@mistake("a file that is not there")
def _(tiny: TinyCase) -> None:
    (tiny.root / "sensors.parquet").unlink()


@mistake("a file that was cut off")
def _(tiny: TinyCase) -> None:
    path = tiny.root / "sensors.parquet"
    path.write_bytes(path.read_bytes()[:1000])


@mistake("a tag that the source does not have")
def _(tiny: TinyCase) -> None:
    tiny.edit("asset: pump}", "asset: pump, tags: {current: {}, flow: {}, temperature: {from: temprature}}}")


@mistake("an asset without data")
def _(tiny: TinyCase) -> None:
    data = tiny.data()
    tiny.write(data[data["pump"] != "P-1"])


@mistake("an empty window")
def _(tiny: TinyCase) -> None:
    pass


@mistake("a window that ends before it starts")
def _(tiny: TinyCase) -> None:
    pass


@mistake("a target that is always missing")
def _(tiny: TinyCase) -> None:
    change(tiny, temperature=np.nan)


@mistake("a sensor that is always missing")
def _(tiny: TinyCase) -> None:
    change(tiny, current=np.nan)


@mistake("a sensor that never changes")
def _(tiny: TinyCase) -> None:
    change(tiny, current=20.0)


@mistake("text among the numbers")
def _(tiny: TinyCase) -> None:
    data = tiny.data()
    flow = data["flow"].map(str)
    flow[(data["pump"] == "P-1") & (data.index % 10 == 0)] = "Bad Input"
    tiny.write(data.assign(flow=flow))
    tiny.edit("asset: pump}", "asset: pump, tags: {current: {}, flow: {}, temperature: {}}}")


@mistake("stamps out of order and twice")
def _(tiny: TinyCase) -> None:
    data = tiny.data()
    tiny.write(pd.concat([data, data.iloc[:20]]).sample(frac=1, random_state=0))


@mistake("stamps out of order where the source says `reject`")
def _(tiny: TinyCase) -> None:
    data = tiny.data()
    mine = data["pump"] == "P-1"
    tiny.write(pd.concat([data[mine].iloc[::-1], data[~mine]]))
    tiny.edit("asset: pump}", "asset: pump, times: {order: reject}}")


@mistake("values that break the contract")
def _(tiny: TinyCase) -> None:
    tiny.guard()
    change(tiny, flow=500.0)


@mistake("too few rows")
def _(tiny: TinyCase) -> None:
    data = tiny.data()
    tiny.write(pd.concat([data[data["pump"] != "P-1"], data[data["pump"] == "P-1"].head(10)]))


CLASSIFIER = """
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

def logistic():
    return LogisticRegression()

def prior():
    return DummyClassifier(strategy="prior")
"""


def make_classification(tiny: TinyCase) -> None:
    """Turn the use case into one that predicts whether the pump runs hot."""
    tiny.edit("problem: regression", "problem: classification")
    tiny.edit("target: {column: temperature}", "target: {column: hot, min_events: 5}")
    tiny.edit("metrics: [mae, r2], primary: mae, holdout: 20%, pooled: [mae]", "metrics: [roc_auc], holdout: 20%")
    tiny.edit("    alarm: {on: residual, above: {quantile: 0.99}}\n", "")
    tiny.edit("models:ridge", "models:logistic")
    tiny.edit("models:mean", "models:prior")
    (tiny.root / "src/tiny/models.py").write_text(CLASSIFIER)
    data = tiny.data()
    tiny.write(data.assign(hot=(data["temperature"] > data["temperature"].median()).astype(float)))


@mistake("one class only in the target")
def _(tiny: TinyCase) -> None:
    make_classification(tiny)
    change(tiny, hot=0.0)


@mistake("too few events")
def _(tiny: TinyCase) -> None:
    make_classification(tiny)
    data = tiny.data()
    mine = data["pump"] == "P-1"
    data.loc[mine, "hot"] = 0.0
    data.loc[data[mine].index[[5, 60, 190]], "hot"] = 1.0
    tiny.write(data[~data.duplicated(["pump", "ts"])])


# --- the use case's own code -------------------------------------------------------------------------------------


def on_p1(tiny: TinyCase, body: str) -> None:
    """Let the feature function misbehave for P-1 alone, which it knows by a reading that only P-1 has."""
    data = tiny.data()
    data.loc[(data["pump"] == "P-1") & (data["flow"] == data.loc[data["pump"] == "P-1", "flow"].iloc[0]), "flow"] = (
        17.25
    )
    tiny.write(data)
    code = f"    if (frame['flow'] == 17.25).any():\n        {body}\n    return frame[["
    tiny.edit("    return frame[[", code, "src/tiny/features.py")


@mistake("a feature function that raises")
def _(tiny: TinyCase) -> None:
    on_p1(tiny, "frame['vibration']")


@mistake("a feature function that loses rows")
def _(tiny: TinyCase) -> None:
    on_p1(tiny, "return frame.iloc[10:]")


@mistake("a feature function that returns no frame")
def _(tiny: TinyCase) -> None:
    on_p1(tiny, "return None")


@mistake("a feature function that ends the process")
def _(tiny: TinyCase) -> None:
    on_p1(tiny, "import os; os._exit(3)")


@mistake("a worker that is killed")
def _(tiny: TinyCase) -> None:
    on_p1(tiny, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")


@mistake("a file of code with a syntax error")
def _(tiny: TinyCase) -> None:
    tiny.edit("def load(", "def load((", "src/tiny/features.py")


@mistake("an estimator that cannot be fitted")
def _(tiny: TinyCase) -> None:
    tiny.edit("Ridge(alpha=alpha)", "Ridge(alpha=-1.0)", "src/tiny/models.py")


@mistake("an argument that the estimator function does not take")
def _(tiny: TinyCase) -> None:
    tiny.edit("baseline: tiny.models:mean", "baseline: tiny.models:mean\n    params: {alhpa: 2.0}")


# --- what is outside ---------------------------------------------------------------------------------------------


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@mistake("a tracking server that is down")
def _(tiny: TinyCase) -> None:
    tiny.edit("tracking: {", f'tracking: {{uri: "http://127.0.0.1:{closed_port()}", ')


@mistake("a tracking server that is still down")
def _(tiny: TinyCase) -> None:
    tiny.edit("tracking: {", "tracking: {uri: 'http://127.0.0.1:9', ")
    assert tiny.run("train", "--no-wait", "--workers", "1").returncode == 0


@mistake("files that waited for MLflow and are gone")
def _(tiny: TinyCase) -> None:
    tiny.edit("tracking: {", "tracking: {uri: 'http://127.0.0.1:9', ")
    assert tiny.run("train", "--no-wait", "--workers", "1").returncode == 0
    tiny.edit("uri: 'http://127.0.0.1:9', ", "")  # a database takes what is left
    [lost] = (tiny.root / ".datadriver" / "artifacts" / "pending").glob("*/P-1*")
    shutil.rmtree(lost)


@mistake("a ledger database that is down")
def _(tiny: TinyCase) -> None:
    uri = f"postgresql+psycopg://me:secret@127.0.0.1:{closed_port()}/ledger"
    tiny.edit("scores:", f'ledger: {{uri: "{uri}"}}\nscores:')


@mistake("a ledger file that is something else")
def _(tiny: TinyCase) -> None:
    (tiny.root / ".datadriver").mkdir(exist_ok=True)
    (tiny.root / ".datadriver" / "ledger.db").write_text("not a database, and long enough to be read as one " * 20)


@mistake("a ledger that another program has locked")
def _(tiny: TinyCase) -> None:
    assert tiny.run("status").returncode == 0
    lock = sqlite3.connect(tiny.root / ".datadriver" / "ledger.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    LOCKS.append(lock)


LOCKS: list[sqlite3.Connection] = []


@pytest.fixture(autouse=True)
def _unlock():
    yield
    while LOCKS:
        LOCKS.pop().close()


@mistake("a source database that is down")
def _(tiny: TinyCase) -> None:
    tiny.edit(
        "format: parquet, path: sensors.parquet",
        f'format: sql, uri: "postgresql+psycopg://me:secret@127.0.0.1:{closed_port()}/plant", table: sensors',
    )


# --- monitoring -------------------------------------------------------------------------------------------------------


def monitor(tiny: TinyCase, text: str) -> None:
    tiny.edit("tracking: {plots: false}", f"tracking: {{plots: false}}\nmonitor: {text}")


def serve(tiny: TinyCase, *, scored: bool = True) -> None:
    """Bring champions into service; nothing is monitored."""
    project = Project.open(tiny.root)
    assert project.train(workers=2).failure is None
    assert project.promote()[0] is not None
    if scored:
        assert project.score(workers=2).failure is None


def cut(tiny: TinyCase, after: str) -> None:
    """Take away the readings of P-1 after a time."""
    data = tiny.data()
    tiny.write(data[(data["pump"] != "P-1") | (data["ts"] < after)])


@mistake("a monitoring window that is no multiple of the resolution")
def _(tiny: TinyCase) -> None:
    monitor(tiny, "{window: 90min}")


@mistake("a model that a check names and nobody knows")
def _(tiny: TinyCase) -> None:
    monitor(tiny, "{checks: {drift: {models: [temprature]}}}")


@mistake("a monitoring window that ends before it starts")
@mistake("no whole window in what is asked for")
@mistake("no asset left to monitor")
@mistake("monitoring before training")
def _(tiny: TinyCase) -> None:
    pass


@mistake("monitoring before scoring")
def _(tiny: TinyCase) -> None:
    serve(tiny, scored=False)


@mistake("a champion without a reference")
def _(tiny: TinyCase) -> None:
    serve(tiny)
    for manifest in tiny.root.rglob("datadriver.json"):
        manifest.write_text(json.dumps({**json.loads(manifest.read_text("utf-8")), "reference": {}}), "utf-8")


@mistake("labels that contradict those of scoring")
def _(tiny: TinyCase) -> None:
    serve(tiny)
    data = tiny.data()
    data.loc[(data["pump"] == "P-1") & (data["ts"] >= "2026-03-08"), "temperature"] += 200
    tiny.write(data)


@mistake("the same windows monitored twice")
def _(tiny: TinyCase) -> None:
    assert Project.open(tiny.root).monitor(workers=2).failure is None


@mistake("an asset with an alarm that left the fleet")
def _(tiny: TinyCase) -> None:
    cut(tiny, "2026-03-05")
    assert Project.open(tiny.root).monitor(workers=2).failure is None
    tiny.edit("P-1,NO\n", "", "fleet.csv")


@mistake("an asset without data among those monitored")
def _(tiny: TinyCase) -> None:
    monitor(tiny, "{history: 2}")
    tiny.write(tiny.data().query("pump != 'P-1'"))


@mistake("an asset that fell silent")
def _(tiny: TinyCase) -> None:
    cut(tiny, "2026-03-04")


@mistake("a clock in the future")
def _(tiny: TinyCase) -> None:
    data = tiny.data()
    newest = data.index[(data["pump"] == "P-1") & (data["ts"] == data["ts"].max())]
    data.loc[newest, "ts"] = pd.Timestamp("2099-01-01", tz="UTC")
    tiny.write(data)


@mistake("half of the sensors missing")
def _(tiny: TinyCase) -> None:
    data = tiny.data()
    data.loc[(data["pump"] == "P-1") & (data["ts"] >= "2026-03-04"), ["current", "flow"]] = np.nan
    tiny.write(data)


@mistake("a feature function that raises when monitored")
def _(tiny: TinyCase) -> None:
    serve(tiny)
    tiny.edit(
        "frame: pd.DataFrame) -> pd.DataFrame:\n",
        "frame: pd.DataFrame, asset: dict) -> pd.DataFrame:\n"
        '    frame = frame if asset["asset_id"] != "P-1" else frame[[]]\n',
        "src/tiny/features.py",
    )


@mistake("a mask that raises when monitored")
def _(tiny: TinyCase) -> None:
    tiny.edit("data:\n", "data:\n  mask: tiny.features:running\n")
    code = tiny.read("src/tiny/features.py") + '\n\ndef running(frame):\n    return frame["speed"] > 0\n'
    (tiny.root / "src/tiny/features.py").write_text(code, "utf-8")


@mistake("a tracking server that is down when monitored")
def _(tiny: TinyCase) -> None:
    tiny.edit("tracking: {plots: false}", "tracking: {uri: 'http://127.0.0.1:9'}")


@mistake("a silence that names no column")
def _(tiny: TinyCase) -> None:
    (tiny.root / "works.csv").write_text("pump,done,ended\nP-1,2026-03-06,2026-03-07\n", "utf-8")
    works = "    works: {format: csv, path: works.csv, index: done, asset: pump, join: none}"
    tiny.edit("\nmodels:\n", f"\n{works}\nmodels:\n")
    monitor(tiny, "{silence: [{source: works, until: endet}]}")


@mistake("a misspelt key of `package`")
def _(tiny: TinyCase) -> None:
    tiny.edit("\nmodels:", "\npackage: {registery: localhost:5000}\nmodels:")


@mistake("a prefix that Docker does not allow")
def _(tiny: TinyCase) -> None:
    tiny.edit("\nmodels:", "\npackage: {prefix: Pumps of ours}\nmodels:")


@mistake("images before a promotion")
def _(tiny: TinyCase) -> None:
    pass


@mistake("a push to nowhere")
def _(tiny: TinyCase) -> None:
    serve(tiny, scored=False)


@mistake("a use case without a Dockerfile")
def _(tiny: TinyCase) -> None:
    tiny.edit("\nmodels:", "\npackage: {registry: 'localhost:9'}\nmodels:")
    serve(tiny, scored=False)


@mistake("a misspelt attribute of `schedule`")
def _(tiny: TinyCase) -> None:
    tiny.edit("\nscores:", "\nschedule: {team: contry}\nscores:")


@mistake("a time that no cron knows")
def _(tiny: TinyCase) -> None:
    tiny.edit("\nscores:", "\nschedule: {score: '0 25 * * *'}\nscores:")


@mistake("a mount without a target")
def _(tiny: TinyCase) -> None:
    tiny.edit("\nscores:", "\nschedule: {runtime: docker, docker: {mounts: [./data]}}\nscores:")


@mistake("assets of one DAG that are scheduled differently")
def _(tiny: TinyCase) -> None:
    override = """{where: 'asset_id == "P-1"', set: {schedule.score: "@daily"}}"""
    tiny.edit("\nscores:", f"\nschedule: {{group: country}}\noverrides: [{override}]\nscores:")


@mistake("a DAG of somebody's own where the plan is loaded")
def _(tiny: TinyCase) -> None:
    (tiny.root / "dags").mkdir()
    (tiny.root / "dags" / "tiny.py").write_text("from airflow.sdk import DAG\n")


@mistake("the plan of another use case in the folder")
def _(tiny: TinyCase) -> None:
    (tiny.root / "dags" / "plan").mkdir(parents=True)
    (tiny.root / "dags" / "plan" / "tiny.jsonl").write_text('{"usecase":"large","format":1}\n')


@mistake("a plan that is not built")
def _(tiny: TinyCase) -> None:
    """Nothing but the command is wrong."""


@mistake("a unit that does not exist")
def _(tiny: TinyCase) -> None:
    """Nothing but the command is wrong."""
