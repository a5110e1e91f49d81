"""From data to champions and scores: what a fleet looks like when all goes well."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from datadriver.config.sections import UseCase
from datadriver.fleet.selection import Selection
from datadriver.project import Project
from datadriver.tracking import queries


def test_a_run_ends_with_a_champion_and_scores_for_every_instance(served):
    lines = Project.open(served.root).status()
    assert [(line.unit, line.model, line.champion_version, line.state) for line in lines] == [
        (asset, "temperature", 1, "champion") for asset in served.assets
    ]
    assert all(line.metrics["mae"] < line.baseline_metrics["mae"] for line in lines)
    assert all(line.scored_until == "2026-03-09T07:00:00+00:00" for line in lines)
    assert all("beats baseline" in line.reason for line in lines)


def test_scores_are_keyed_by_instance_asset_and_instant_and_say_what_made_them(served):
    scores = Project.open(served.root).scores()
    assert not scores.duplicated(["unit", "model", "asset_id", "time"]).any()
    assert set(scores["asset_id"]) == set(served.assets)
    assert set(scores["version"]) == {1}
    assert set(scores["verdict"]) == {"pass"}
    assert scores["result_key"].str.len().gt(0).all()
    np.testing.assert_allclose(scores["residual"], scores["actual"] - scores["score"])
    assert scores["residual"].abs().mean() < 1
    # `scores.window` is 2d and the data are hourly.
    assert len(scores) == 48 * len(served.assets)


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")
def test_plain_mlflow_predicts_what_was_scored(served, monkeypatch: pytest.MonkeyPatch):
    import mlflow  # noqa: PLC0415 - takes seconds

    project = Project.open(served.root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.tracker.uri)
    mlflow.set_tracking_uri(project.tracker.uri)
    model = mlflow.pyfunc.load_model("models:/tiny.P-1.temperature@champion")
    features = project.features("P-1", "temperature")
    scores = project.scores(Selection(assets=("P-1",))).set_index("time")["score"]
    predicted = pd.Series(np.asarray(model.predict(features)).ravel(), features.index).loc[scores.index]
    np.testing.assert_allclose(predicted, scores, rtol=1e-9)


def test_nothing_is_due_when_nothing_has_changed(served):
    project = Project.open(served.root)
    report = project.train()
    assert report.batch is None
    assert {item.reason for item in report.plan} == {"nothing has changed"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda case: case.edit("alpha=1.0", "alpha=2.0", "src/tiny/models.py"), "code changed"),
        (lambda case: case.edit("holdout: 20%", "holdout: 30%"), "config changed"),
        (lambda case: case.write(case.data().assign(flow=lambda rows: rows.flow + 1)), "data changed"),
        (lambda case: case.guard(), "config and contract changed"),
    ],
    ids=["code", "config", "data", "contract"],
)
def test_what_changed_makes_instances_due_and_is_named(served, change, reason):
    change(served)
    plan = Project.open(served.root).plan()
    assert {(item.due, item.reason) for item in plan} == {(True, reason)}


def test_in_a_table_of_the_fleet_only_the_assets_whose_rows_changed_are_due(served):
    served.write(served.data().head(599))
    plan = {item.instance.unit.key: item.reason for item in Project.open(served.root).plan() if item.due}
    assert plan == {"15/9-F-1 C": "data changed"}


def test_a_file_that_was_only_touched_or_written_again_retrains_nothing(served):
    served.write(served.data())
    assert not any(item.due for item in Project.open(served.root).plan())


def test_settings_that_do_not_decide_a_fit_make_nothing_due(served):
    served.edit("scores: {window: 2d}", "scores: {window: 5d}\nschedule: {score: '@daily'}")
    assert not any(item.due for item in Project.open(served.root).plan())


def test_an_override_makes_only_its_cohort_due(served):
    served.edit(
        "scores:", "overrides: [{where: 'country == \"GB\"', set: {models.temperature.params: {alpha: 9}}}]\nscores:"
    )
    assert [item.instance.unit.key for item in Project.open(served.root).plan() if item.due] == ["P-2"]


def test_training_the_same_again_makes_no_second_version(served):
    project = Project.open(served.root)
    report = project.train(Selection(assets=("P-1",)), force=True, workers=1)
    assert [outcome.state for outcome in report.outcomes] == ["unchanged"]
    assert [version.version for version in queries.versions(project.ledger, report.outcomes[0].key)] == [1]


def test_scoring_goes_on_where_it_ended_and_a_window_scored_twice_is_the_same(served):
    project = Project.open(served.root)
    files = {path: path.read_bytes() for path in served.root.rglob("scores-*.parquet")}
    for _ in range(2):
        assert project.score(workers=1, start="2026-03-08T00:00Z", end="2026-03-08T06:00Z").rows == 18
    again = {path for path in served.root.rglob("scores-*.parquet") if path not in files}
    assert len(again) == 1
    assert all(path.read_bytes() == content for path, content in files.items())
    assert len(project.scores()) == 48 * 3

    served.write(pd.concat([served.rows(asset, rows=203) for asset in served.assets]))
    report = project.score(Selection(assets=("P-1", "P-2")), workers=1)
    assert {(record.rows, record.last) for record in report.written} == {(3, "2026-03-09T10:00:00+00:00")}
    report = project.score(workers=1)
    assert (len(report.written), report.current) == (1, 2)


def test_lookback_is_read_before_the_window_so_scores_do_not_depend_on_where_it_starts(served):
    project = Project.open(served.root)
    before = project.scores().set_index(["asset_id", "time"])["score"]
    project.score(start="2026-03-09T03:00Z", workers=1)
    after = project.scores().set_index(["asset_id", "time"])["score"]
    pd.testing.assert_series_equal(before, after, rtol=1e-12)


def test_a_rollback_gives_the_champion_before_and_an_audit_row(served):
    served.edit("alpha=1.0", "alpha=0.1", "src/tiny/models.py")
    project = Project.open(served.root)
    assert project.train(Selection(assets=("P-1",)), workers=1).failure is None
    assert project.promote(Selection(assets=("P-1",)), force=True, reason="try it")[0] is not None
    assert project.status()[0].champion_version == 2
    project.rollback(Selection(assets=("P-1",)), reason="alarms at night")
    assert project.status()[0].champion_version == 1
    newest = project.releases()[0]
    assert (newest.action, newest.reason, len(newest.items)) == ("rollback", "alarms at night", 1)
    assert not project.drift()


def test_an_asset_that_left_the_fleet_is_listed_as_retired(served):
    served.edit("P-2,GB\n", "", "fleet.csv")
    states = {line.unit: line.state for line in Project.open(served.root).status()}
    assert states == {"P-1": "champion", "15/9-F-1 C": "champion", "P-2": "retired"}


def test_a_model_with_another_name_leaves_its_assets_in_the_fleet(served):
    served.edit("  temperature:\n", "  warmth:\n")
    project = Project.open(served.root)
    retired = [(line.unit, line.reason) for line in project.status() if line.state == "retired"]
    assert ("P-1", "the model temperature does not serve it any more; its champion is kept") in retired


def test_a_pooled_model_serves_every_asset_of_its_unit(tiny):
    tiny.edit("problem: regression", "problem: regression\n    fit: [country]")
    project = Project.open(tiny.root)
    report = project.run(workers=1)
    assert report.failure is None
    assert {line.unit: line.state for line in project.status()} == {"country=NO": "champion", "country=GB": "champion"}
    scores = project.scores()
    assert {unit: set(part["asset_id"]) for unit, part in scores.groupby("unit")} == {
        "country=NO": {"P-1", "15/9-F-1 C"},
        "country=GB": {"P-2"},
    }


def test_a_model_that_loses_to_its_baseline_leaves_the_baseline_serving(tiny):
    tiny.edit(
        "make_pipeline(StandardScaler(), Ridge(alpha=alpha))",
        "DummyRegressor(strategy='constant', constant=9e9)",
        "src/tiny/models.py",
    )
    project = Project.open(tiny.root)
    project.run(Selection(assets=("P-1",)), workers=1)
    assert [(line.unit, line.state) for line in project.status()] == [
        ("P-1", "baseline"),
        ("P-2", "new"),
        ("15/9-F-1 C", "new"),
    ]


def test_manual_approval_keeps_a_run_from_promoting(tiny):
    tiny.edit("alarm:", "promote: {approval: manual}\n    alarm:")
    project = Project.open(tiny.root)
    report = project.run(Selection(assets=("P-1",)), workers=1)
    assert (report.released, report.scored) == (None, None)
    assert project.status()[0].state == "challenger"
    assert project.promote(Selection(assets=("P-1",)))[0] is not None


def test_until_hides_what_came_later(served):
    project = Project.open(served.root)
    plan = project.plan(Selection(assets=("P-1",)), until="2026-03-07")
    assert [(item.due, item.reason) for item in plan] == [(True, "until changed")]
    report = project.train(Selection(assets=("P-1",)), until="2026-03-07", workers=1)
    newest = queries.latest_versions(project.ledger)[report.outcomes[0].key]
    assert newest.version == 2
    assert pd.Timestamp(newest.seen["until"]) < pd.Timestamp("2026-03-07", tz="UTC")


def test_the_facade_explores_what_production_sees(served):
    project = Project.open(served.root)
    assert isinstance(project.usecase, UseCase)
    assert [asset.id for asset in project.assets] == list(served.assets)
    frame = project.frame("P-1", start="2026-03-02", end="2026-03-03")
    assert len(frame) == 24
    assert list(project.features("P-1", "temperature").columns) == ["current", "flow", "flow_before"]
    assert project.verdict("P-1").action == "pass"


def test_a_fleet_counted_in_steps_runs_whole_and_its_first_scores_are_of_all_steps(tiny):
    data = tiny.data()
    tiny.write(data.assign(ts=data.groupby("pump").cumcount()))
    tiny.edit("resolution: 1h", "index: step")
    tiny.edit("lookback: 2h", "lookback: 2")
    tiny.edit("scores: {window: 2d}\n", "")
    project = Project.open(tiny.root)
    assert project.check() == ()
    assert project.run(workers=2).failure is None
    scores = project.scores()
    # The lookback of the first two steps is not there, so they have no score.
    assert scores.groupby("asset_id")["step"].agg(["min", "max"]).drop_duplicates().to_numpy().tolist() == [[2, 199]]
    more = pd.concat([data.assign(ts=data.groupby("pump").cumcount() + by) for by in (0, 200)])
    tiny.write(more)
    assert project.score(workers=2).rows == 200 * len(tiny.assets)


def test_another_folder_and_more_workers_give_the_same_model_bytes(served, tmp_path):
    elsewhere = tmp_path / "deep" / "elsewhere"
    shutil.copytree(served.root, elsewhere, ignore=shutil.ignore_patterns(".datadriver"))
    here, there = Project.open(served.root), Project.open(elsewhere)
    assert there.train(workers=2).failure is None
    digests = [
        {key: (one.result_key, one.sha256) for key, one in queries.latest_versions(project.ledger).items()}
        for project in (here, there)
    ]
    assert digests[0] == digests[1]
    assert len(digests[0]) == len(served.assets)


def test_status_shows_the_metric_that_decides(served):
    served.edit("primary: mae", "primary: r2")
    line, *_ = Project.open(served.root).status()
    assert line.primary == "r2"
    assert f"r2 {line.metrics['r2']:.4g}" in served.run("status").stdout
