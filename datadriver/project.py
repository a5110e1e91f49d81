"""A use case at work: the facade that notebook, script and command line share."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadriver.config.fleet import Asset, Instance
from datadriver.config.load import find_root, load_usecase
from datadriver.config.resolve import expand, resolve
from datadriver.config.section import Stage
from datadriver.config.sections import UseCase
from datadriver.errors import ConfigError, DatadriverError, UseCaseError, nearest
from datadriver.fleet.outcomes import Miss, failure
from datadriver.fleet.progress import Progress, Silent
from datadriver.fleet.selection import Selection, choose_assets, choose_instances

if TYPE_CHECKING:
    import pandas as pd

    from datadriver.data.contract.verdict import Verdict
    from datadriver.data.frame import SensorFrame
    from datadriver.data.window import Instant, Window
    from datadriver.fleet.beside import Beside
    from datadriver.fleet.monitor import MonitorReport
    from datadriver.fleet.packages import Packages
    from datadriver.fleet.plan import Due
    from datadriver.fleet.pool import Workers
    from datadriver.fleet.projection import Lag
    from datadriver.fleet.score import ScoreReport
    from datadriver.fleet.status import AssetStatus, InstanceStatus
    from datadriver.fleet.train import TrainReport
    from datadriver.fleet.validate import ValidateReport
    from datadriver.monitoring.notify import Notified
    from datadriver.orchestration.fleet_dags import FleetDags
    from datadriver.reporting.write import ReportResult
    from datadriver.tracking.backlog import Backlog
    from datadriver.tracking.behind import Behind
    from datadriver.tracking.ledger import Ledger
    from datadriver.tracking.mlflow_runs import Tracker
    from datadriver.tracking.monitor_records import RetrainRequest
    from datadriver.tracking.proposals import Approval, Proposal
    from datadriver.tracking.records import Release
    from datadriver.tracking.releases import Candidate, Drift
    from datadriver.tracking.task_failures import TaskFailure

    Time = str | int | pd.Timestamp | None

EVERYTHING = Selection()


@dataclass(frozen=True)
class RunReport:
    """What each step of a run did; `scored` is None without any champion, `reported` where nothing was monitored.

    `lag` says how far MLflow is behind where it is written behind the run.
    """

    trained: TrainReport
    released: Release | None
    candidates: tuple[Candidate, ...]
    scored: ScoreReport | None
    monitored: MonitorReport
    reported: ReportResult | None = None
    lag: Lag | None = None

    @property
    def misses(self) -> tuple[Miss, ...]:
        """What was not trained, scored or monitored, and why."""
        return self.trained.misses + (self.scored.misses if self.scored else ()) + self.monitored.misses

    @property
    def failure(self) -> DatadriverError | None:
        """What the command ends with, if not all is well."""
        if self.monitored.unsent:
            return self.monitored.failure
        total = len(self.trained.outcomes) + (self.scored.total if self.scored else 0) + self.monitored.subjects
        return failure(self.misses, of=total, what="steps")


@dataclass(frozen=True)
class Project:
    """A use case and the fleet it is about.

    Attributes:
        root: folder of the use case.
        usecase: its configuration, environment applied, before overrides.
        progress: who looks on while work is done.
        verbose: let what workers print through.
    """

    root: Path
    usecase: UseCase
    env: str | None = None
    progress: Progress = field(default_factory=Silent)
    verbose: bool = False

    @classmethod
    def open(
        cls,
        path: str | Path = ".",
        env: str | None = None,
        *,
        progress: Progress | None = None,
        verbose: bool = False,
    ) -> Project:
        """Open the use case in a folder, or in the nearest parent that has a `usecase.yaml`.

        Raises:
            ConfigError: no use case there, or one with mistakes; all of them are listed.
        """
        root = find_root(Path(path))
        return cls(root, load_usecase(root, env=env), env, progress or Silent(), verbose)

    @cached_property
    def assets(self) -> tuple[Asset, ...]:
        """Every asset of the fleet, in the order of the fleet table."""
        from datadriver.data.assets import load_assets

        return load_assets(self.usecase, self.root)

    @cached_property
    def instances(self) -> tuple[Instance, ...]:
        """Every instance: models in the order of the file, units as assets come."""
        return expand(self.usecase, self.assets)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, created where there is none."""
        from datadriver.tracking.ledger import Ledger

        return Ledger.open(self.usecase, self.root)

    @cached_property
    def tracker(self) -> Tracker:
        """The MLflow experiment, created where there is none."""
        from datadriver.tracking.mlflow_runs import Tracker

        return Tracker.open(self.usecase, self.root)

    @property
    def recorder(self) -> Tracker | Behind:
        """Who takes results: MLflow, or where that would cost the fleet its time, ledger and artefact store alone."""
        from datadriver.tracking.backlog import backlog
        from datadriver.tracking.behind import Behind, is_server

        # As long as something is pending, the ledger numbers versions: MLflow does not know the newest.
        if is_server(self.usecase) or backlog(self.ledger).total or not self.tracker.in_bulk:
            return Behind(self.usecase, self.root, self.ledger)
        return self.tracker

    def asset(self, asset_id: str) -> Asset:
        """Return one asset by its id."""
        for asset in self.assets:
            if asset.id == asset_id:
                return asset
        raise ConfigError(f"there is no asset {asset_id!r}{nearest(asset_id, (one.id for one in self.assets))}")

    def instance(self, key: str) -> Instance:
        """Return one instance by its key, such as `P-101/motor_temperature`."""
        for instance in self.instances:
            if instance.key == key:
                return instance
        raise ConfigError(f"there is no instance {key!r}{nearest(key, (one.key for one in self.instances))}")

    def select(self, selection: Selection = EVERYTHING) -> tuple[Instance, ...]:
        """Return the instances that a selection asks for."""
        return choose_instances(self.instances, choose_assets(self.assets, selection), selection)

    def check(self) -> tuple[str, ...]:
        """Return every mistake that can be found without touching data."""
        from datadriver.monitoring.check import check

        return check(self.root, self.env)

    # What a notebook looks at -----------------------------------------------------------------------------------------

    def sensor(self, asset_id: str, start: Time = None, end: Time = None) -> SensorFrame:
        """Return the sensor frame of one asset, with what was noticed while it was read."""
        from datadriver.data.read import read_frame

        asset = self.asset(asset_id)
        return read_frame(resolve(self.usecase, asset), asset, self.window(start, end), self.root)

    def frame(self, asset_id: str, start: Time = None, end: Time = None) -> pd.DataFrame:
        """Return what models of one asset see: one row per instant, one column per tag."""
        return self.sensor(asset_id, start, end).frame

    def verdict(self, asset_id: str, start: Time = None, end: Time = None, *, stage: Stage = "train") -> Verdict:
        """Return the contract's verdict on one asset."""
        from datadriver.data.contract.verdict import judge

        sensor = self.sensor(asset_id, start, end)
        return judge(sensor, resolve(self.usecase, sensor.asset).contract, stage, self.root)

    def features(self, asset_id: str, model: str, start: Time = None, end: Time = None) -> pd.DataFrame:
        """Return the features of one model on one asset, from the same function as in production."""
        from datadriver.training.features import build_features

        self.asset(asset_id)
        chosen = self.select(Selection(assets=(asset_id,), models=(model,)))
        return build_features(chosen[0], self.sensor(asset_id, start, end), self.root)

    def scores(
        self,
        selection: Selection = EVERYTHING,
        start: Time = None,
        end: Time = None,
        *,
        latest: bool = True,
    ) -> pd.DataFrame:
        """Return stored scores, the newest of each instant, or with `latest=False` every one on record."""
        from datadriver.serving.scores import read_scores, scores_path

        narrowed = selection != EVERYTHING
        return read_scores(
            scores_path(self.root, self.usecase.scores.path),
            assets=[asset.id for asset in choose_assets(self.assets, selection)] if narrowed else None,
            models={one.model for one in self.select(selection)} if narrowed else None,
            window=self.window(start, end),
            latest=latest,
        )

    def facts(self, selection: Selection = EVERYTHING, start: Time = None, end: Time = None) -> pd.DataFrame:
        """Return what monitoring found, a row per check and window."""
        from datadriver.monitoring.store import monitor_path, read_facts

        path = monitor_path(self.usecase, self.root)
        return read_facts(path, assets=self._asset_ids(selection), window=self.window(start, end))

    def series(self, selection: Selection = EVERYTHING, start: Time = None, end: Time = None) -> pd.DataFrame:
        """Return the readings that monitoring keeps for plots: mean, least and greatest value by tag and bucket."""
        from datadriver.monitoring.store import monitor_path, read_series

        path = monitor_path(self.usecase, self.root)
        return read_series(path, assets=self._asset_ids(selection), window=self.window(start, end))

    def _asset_ids(self, selection: Selection) -> list[str] | None:
        if selection == EVERYTHING:
            return None
        return [asset.id for asset in choose_assets(self.assets, selection)]

    # What is done to the fleet ----------------------------------------------------------------------------------------

    def validate(
        self,
        selection: Selection = EVERYTHING,
        *,
        start: Time = None,
        end: Time = None,
        stage: Stage = "train",
        workers: int | None = None,
    ) -> ValidateReport:
        """Judge assets by the contract and record the verdicts."""
        from datadriver.fleet.validate import validate

        with self._workers(workers) as crew:
            return validate(
                self.usecase,
                choose_assets(self.assets, selection),
                self.window(start, end),
                root=self.root,
                ledger=self.ledger,
                workers=crew,
                progress=self.progress,
                stage=stage,
            )

    def docs(self, asset_ids: Sequence[str], *, start: Time = None, end: Time = None) -> Path:
        """Build Great Expectations' Data Docs of some assets and return their `index.html`."""
        from datadriver.data.contract.docs import build_docs

        chosen = choose_assets(self.assets, Selection(assets=tuple(asset_ids)))
        frames = [self.sensor(asset.id, start, end) for asset in chosen]
        return build_docs(self.usecase, frames, self.root, self.root / ".datadriver" / "data_docs")

    def profile(self, selection: Selection = EVERYTHING, *, start: Time = None, end: Time = None) -> dict[str, Any]:
        """Draft a contract, in Great Expectations' JSON, that the history of the chosen assets meets."""
        from datadriver.data.contract.profile import profile

        return profile([self.sensor(asset.id, start, end) for asset in choose_assets(self.assets, selection)])

    def plan(
        self, selection: Selection = EVERYTHING, *, force: bool = False, verify: bool = False, until: Time = None
    ) -> tuple[Due, ...]:
        """Say what is due and why, and what is not; no data are read but files of many assets that have changed.

        With `verify` everything is due, and what was gathered from such files is thrown away.
        """
        from datadriver.data.readers.gathered import throw_away
        from datadriver.fleet.plan import plan
        from datadriver.tracking import queries
        from datadriver.tracking.monitoring import open_requests

        last, asked = queries.last_outcomes(self.ledger, fingerprinted=True), open_requests(self.ledger)
        end = None if until is None else str(self._instant(until))
        if verify:
            throw_away(self.root)
        return plan(
            self.usecase,
            self.select(selection),
            last,
            root=self.root,
            force=force,
            until=end,
            asked=asked,
            verify=verify,
            tries=queries.tries(self.ledger, UseCaseError.exit_code),
        )

    def train(  # noqa: PLR0913 - the options of one command
        self,
        selection: Selection = EVERYTHING,
        *,
        force: bool = False,
        verify: bool = False,
        until: Time = None,
        workers: int | Workers | None = None,
        wait: bool | Beside = True,
    ) -> TrainReport:
        """Train every instance that is due and register challengers; what fails is in the report, with its reason.

        Args:
            selection: which instances.
            force: train whether due or not.
            verify: read the data of what is not due, and train what changed behind an unchanged size and time.
            until: nothing from this instant on counts.
            workers: how many processes.
            wait: where MLflow is written behind the run, until it has everything; what it does not get in time, a later
                command brings there. In a chain: what writes there for all of it.

        Raises:
            ConfigError: the use case has mistakes that `check` finds; nothing is trained.
            UnavailableError: the ledger, or a tracking store that is a database, does not answer, or the disk is full;
                what is done stays done.
        """
        due = self.plan(selection, force=force, verify=verify, until=until)
        with self._beside(wait) as beside:
            report = self._train(due, beside, until=until, workers=workers, force=force)
            return report if wait is beside else replace(report, lag=beside.close(self.progress, wait=bool(wait)))

    def _train(
        self, due: tuple[Due, ...], beside: Beside, *, until: Time, workers: int | Workers | None, force: bool
    ) -> TrainReport:
        from datadriver.fleet.train import Training, TrainReport

        if not any(item.due for item in due):
            self._clear()
            return TrainReport(None, due)
        self._require_checked()
        end, recorder = None if until is None else self._instant(until), self.recorder
        if not recorder.mirrors:
            beside.start()
        with self._workers(workers) as crew:
            stores = self.ledger, recorder
            return Training(self.usecase, self.root, *stores, crew, end, self.progress, force).run(due)

    def diff(
        self, selection: Selection = EVERYTHING, *, version: int | None = None, force: bool = False
    ) -> tuple[Candidate, ...]:
        """Say what `promote` would change, and why or why not."""
        from datadriver.tracking import releases

        return releases.diff(self.ledger, self.select(selection), version=version, force=force)

    def propose(self, name: str, selection: Selection = EVERYTHING) -> tuple[Proposal | None, tuple[Candidate, ...]]:
        """Keep what `promote` would change now under a name, so that exactly that can be packaged and released later.

        Returns:
            The proposal, None if nothing would change, and a candidate for every instance.
        """
        from datadriver.tracking import proposals, releases

        chosen = self.select(selection)
        candidates = releases.diff(self.ledger, chosen)
        return proposals.propose(self.ledger, name, candidates, chosen), candidates

    def promote(  # noqa: PLR0913 - the options of one command
        self,
        selection: Selection = EVERYTHING,
        *,
        version: int | None = None,
        force: bool = False,
        manual: bool = True,
        by: str = "",
        reason: str = "",
        wait: bool | Beside = True,
    ) -> tuple[Release | None, tuple[Candidate, ...]]:
        """Make challengers champions where they pass the gate, and record it as a release.

        Where MLflow is written behind the run, its aliases follow before this returns (`wait`), or with a later one.
        """
        from datadriver.fleet.batches import batch
        from datadriver.tracking import releases

        chosen = self.select(selection)
        self._finish_releases()
        candidates = releases.diff(self.ledger, chosen, version=version, force=force, manual=manual)
        if not any(candidate.promotes for candidate in candidates):
            self._drain(wait)
            return None, candidates  # without waiting for MLflow
        recorder = self.recorder
        with batch(self.ledger, "promote") as made:
            done = releases.promote(
                self.ledger,
                recorder,
                chosen,
                by=by or _user(),
                reason=reason,
                version=version,
                force=force,
                manual=manual,
                batch=made.id,
            )
        self._drain(wait)
        return done

    def promote_proposal(  # noqa: PLR0913 - the options of one command
        self,
        proposal: str,
        selection: Selection = EVERYTHING,
        *,
        approval: Approval | None = None,
        packaged: bool = False,
        by: str = "",
        reason: str = "",
        wait: bool | Beside = True,
    ) -> tuple[Release | None, tuple[Candidate, ...]]:
        """Release what was proposed, as far as nothing has changed since; never anything else.

        Args:
            proposal: its number, or its name: then the newest of that name.
            selection: which instances.
            approval: only those whose model had this approval when it was proposed.
            packaged: only versions that have an image.
            by: who answers for it. Default: the user of this process.
            reason: why, for the record.
            wait: as in `train`.

        Returns:
            The release, None if nothing changes, and a candidate for every version that was proposed.
        """
        from datadriver.fleet.batches import batch
        from datadriver.tracking import releases

        self._finish_releases()
        candidates = self.proposed(proposal, selection, approval=approval, packaged=packaged)
        if not any(candidate.promotes for candidate in candidates):
            self._drain(wait)
            return None, candidates
        with batch(self.ledger, "promote") as made:
            release = releases.enact(
                self.ledger, self.recorder, candidates, by=by or _user(), reason=reason, batch=made.id
            )
        self._drain(wait)
        return release, candidates

    def proposed(
        self,
        proposal: str,
        selection: Selection = EVERYTHING,
        *,
        approval: Approval | None = None,
        packaged: bool = False,
    ) -> tuple[Candidate, ...]:
        """Say what of a proposal would be released now, and why the rest would not; as `promote_proposal`."""
        from datadriver.tracking import proposals

        found = proposals.proposal(self.ledger, proposal)
        return proposals.standing(self.ledger, found, self.select(selection), approval=approval, packaged=packaged)

    def refuse_proposal(
        self, proposal: str, *, approval: Approval | None = None, by: str = "", reason: str = ""
    ) -> tuple[Proposal, int]:
        """Put on record that what was proposed shall not be released; the gate does not let these versions through.

        Returns:
            The proposal, and how many versions of it are refused now: those that are not in service already.
        """
        from datadriver.tracking import proposals

        found = proposals.proposal(self.ledger, proposal)
        return found, proposals.reject(self.ledger, found, approval=approval, by=by or _user(), reason=reason)

    def rollback(
        self,
        selection: Selection | None = None,
        *,
        release: int | None = None,
        reason: str = "",
        wait: bool | Beside = True,
    ) -> Release:
        """Give instances back the champion that they had before; default: all of the newest release."""
        from datadriver.fleet.batches import batch
        from datadriver.tracking import releases
        from datadriver.tracking.records import Key

        chosen = None if selection is None else [Key(one.unit.key, one.model) for one in self.select(selection)]
        self._finish_releases()
        recorder = self.recorder
        with batch(self.ledger, "rollback") as made:
            undone = releases.rollback(
                self.ledger, recorder, by=_user(), reason=reason, instances=chosen, release=release, batch=made.id
            )
        self._drain(wait)
        return undone

    def releases(self, *, limit: int | None = None) -> tuple[Release, ...]:
        """Return the releases, newest first."""
        from datadriver.tracking import queries

        return queries.releases(self.ledger, limit=limit)

    def drift(self, *, repair: bool = False) -> tuple[Drift, ...]:
        """Return the instances whose alias in MLflow is not what the ledger says; `repair` sets the aliases.

        Versions and aliases that are still to be written behind the run are no differences.
        """
        from datadriver.tracking import releases
        from datadriver.tracking.records import Key

        if repair:
            self._drain(wait=True)
        keys = [Key(one.unit.key, one.model) for one in self.instances]
        return (releases.reconcile if repair else releases.drift)(self.ledger, self.tracker, keys)

    def packages(self, *, push: bool = False, challengers: bool = False, proposal: str | None = None) -> Packages:
        """Return the use case's images: `plan`, `base`, `make`.

        Args:
            push: straight to the registry rather than into a Docker engine.
            challengers: of what `promote` would make champions, not of the champions.
            proposal: of what was proposed under this name or number.
        """
        from datadriver.fleet.packages import Packages

        return Packages(
            self.usecase,
            self.root,
            self.ledger,
            lambda: self.tracker,
            self.env,
            push=push,
            challengers=challengers,
            proposal=proposal,
            progress=self.progress,
        )

    def dags(self, out: Path | None = None) -> FleetDags:
        """Return the use case's Airflow DAGs: `plan`, `files`, `build`.

        Args:
            out: folder of the plan. Default: `dags/plan`.

        Raises:
            ConfigError: the use case has mistakes that `check` finds.
        """
        from datadriver.orchestration.fleet_dags import FleetDags

        self._require_checked()
        folder = self.root / "dags" / "plan" if out is None else out
        return FleetDags(self.usecase, self.root, self.assets, self.instances, folder, self.env)

    def score(
        self,
        selection: Selection = EVERYTHING,
        *,
        start: Time = None,
        end: Time = None,
        workers: int | Workers | None = None,
        out: str | None = None,
    ) -> ScoreReport:
        """Score a window with the champions; default: from the last score to the end of the data.

        With `out`, the scores only go to that folder, and `publish` takes them from there.
        """
        from datadriver.fleet.score import Scoring
        from datadriver.fleet.staged import Staged

        instances, assets = self.select(selection), choose_assets(self.assets, selection)
        staged = None if out is None else Staged(out, self.usecase.name)
        with self._workers(workers) as crew:
            window = self.window(start, end)
            scoring = Scoring(self.usecase, self.root, self.ledger, crew, window, self.progress, staged=staged)
            return scoring.run(instances, assets)

    def publish(self, path: str) -> ScoreReport:
        """Take scores that `score(out=...)` or an image has put into a folder into scores table and ledger."""
        from datadriver.fleet.staged import publish

        return publish(self.usecase, self.root, self.ledger, path)

    def monitor(
        self,
        selection: Selection = EVERYTHING,
        *,
        start: Time = None,
        until: Time = None,
        workers: int | Workers | None = None,
        wait: bool | Beside = True,
    ) -> MonitorReport:
        """Judge windows of data and models by the checks of `monitor`, and act on what is found.

        Args:
            selection: assets, and which of their models; the data of the assets are always judged.
            start: first instant; windows that were judged before are judged again. Default: what is new.
            until: nothing from this instant on counts. Default: the newest reading of the fleet.
            workers: how many processes, or those of a chain.
            wait: as in `train`.

        Raises:
            ConfigError: no whole window lies between `start` and the end.
            UnavailableError: the ledger does not answer, or the disk is full; what is done stays done.
        """
        from datadriver.fleet.monitor import Monitoring

        assets, span = choose_assets(self.assets, selection), self.window(start, until)
        ids = {asset.id for asset in assets}
        chosen = tuple(one for one in self.instances if any(asset.id in ids for asset in one.unit.assets))
        with self._workers(workers) as crew:
            report = Monitoring(
                self.usecase,
                self.root,
                self.ledger,
                crew,
                self.assets,
                self.instances,
                tracker=lambda: self.recorder,
                start=span.start,
                until=span.end,
                progress=self.progress,
            ).run(self.select(selection) if selection.models else chosen, assets)
        lag = self._drain(wait)
        if lag is None or lag.error is None:
            return report
        return replace(report, unsent=(*report.unsent, Miss("MLflow", lag.error.message, lag.error.exit_code)))

    def report(
        self,
        *,
        out: Path | None = None,
        until: Time = None,
        days: int | None = None,
        workers: int | Workers | None = None,
        wait: bool | Beside = True,
    ) -> ReportResult:
        """Write the report of what monitoring found about the fleet, and keep its first page in MLflow.

        Args:
            out: its folder, replaced whole. Default: `.datadriver/report`.
            until: how checks stood after the last window that ended by then. Default: the newest.
            days: how far back pages look: days, or windows where the index is a step. Default: `monitor.history`.
            workers: how many processes, or those of a chain.
            wait: as in `train`.

        Raises:
            ConfigError: nothing was monitored yet, or the folder holds something else than a report.
            UnavailableError: the folder cannot be written; the old report stays.
        """
        from datadriver.reporting.gather import Fleet, gather
        from datadriver.reporting.keep import kept
        from datadriver.reporting.write import write_report

        fleet = Fleet(self.usecase, self.root, self.assets, self.instances)
        end = None if until is None else self._instant(until)
        facts = gather(fleet, self.ledger, until=end, days=days)
        folder = self.root / ".datadriver" / "report" if out is None else out
        with self._workers(workers) as crew:
            result = kept(lambda: self.recorder, write_report(facts, fleet, folder, crew, self.progress), facts)
        lag = self._drain(wait)
        late = (f"The page is not in MLflow yet: {lag.error.message}",) if lag is not None and lag.error else ()
        return replace(result, notes=(*result.notes, *late))

    def run(
        self,
        selection: Selection = EVERYTHING,
        *,
        until: Time = None,
        workers: int | None = None,
        wait: bool = True,
    ) -> RunReport:
        """Do the whole chain up to `until`: train what is due, promote what won, score and monitor what is new, report.

        Training judges each asset by the contract before it fits; so does scoring. Models with `approval: manual` wait
        for `promote`. Where MLflow is written behind the run, waiting for it comes last.
        """
        with self._beside(wait) as beside:
            report = self._run(selection, beside, until=until, workers=workers)
            return replace(report, lag=beside.close(self.progress, wait=wait))

    def _run(self, selection: Selection, beside: Beside, *, until: Time, workers: int | None) -> RunReport:
        with self._workers(workers) as crew:
            trained = self.train(selection, until=until, workers=crew, wait=beside)
            released, candidates = self.promote(selection, manual=False, reason="run", wait=beside)
            served = any(line.champion_version is not None for line in self.status(selection))
            scored = self.score(selection, end=until, workers=crew) if served else None
            monitored = self.monitor(selection, until=until, workers=crew, wait=beside)
            reported = self.report(workers=crew, wait=beside) if monitored.states else None
        return RunReport(trained, released, candidates, scored, monitored, reported)

    def track(self) -> Lag:
        """Write to MLflow what it does not know yet; what is left, and why, is in the answer."""
        from datadriver.fleet.projection import drain
        from datadriver.tracking.behind import Behind

        return drain(Behind(self.usecase, self.root, self.ledger), self.progress)

    def backlog(self) -> Backlog:
        """Return how far MLflow is behind the ledger."""
        from datadriver.tracking.backlog import backlog

        return backlog(self.ledger)

    def status(self, selection: Selection = EVERYTHING) -> tuple[InstanceStatus, ...]:
        """Return where each instance stands; `pandas.DataFrame(project.status())` is the fleet table."""
        from datadriver.fleet.status import status

        if selection == EVERYTHING:
            return status(self.ledger, self.instances)
        chosen = self.select(selection)
        keys = {one.key for one in chosen}
        return tuple(line for line in status(self.ledger, chosen) if f"{line.unit}/{line.model}" in keys)

    def data_status(self, selection: Selection = EVERYTHING) -> tuple[AssetStatus, ...]:
        """Return what monitoring says of the data of each asset."""
        from datadriver.fleet.status import data_status

        return data_status(self.ledger, choose_assets(self.assets, selection))

    def requests(self, selection: Selection = EVERYTHING, *, announce: str | None = None) -> tuple[RetrainRequest, ...]:
        """Return the open requests of monitoring to train again.

        Args:
            selection: which instances.
            announce: name of a scheduler's run: only those that it is to start now, which count as announced.
        """
        from datadriver.tracking.announcements import announce as announced
        from datadriver.tracking.monitoring import open_requests
        from datadriver.tracking.records import Key

        keys = {Key(one.unit.key, one.model) for one in self.select(selection)}
        if announce is not None:
            return announced(self.ledger, announce, keys)
        return tuple(one for key, asked in open_requests(self.ledger).items() for one in asked if key in keys)

    def failures(self) -> tuple[TaskFailure, ...]:
        """Return the tasks of the scheduler that failed and have not succeeded since, the newest failure of each."""
        from datadriver.tracking.task_failures import newest_by_task, open_failures

        fleet = {asset.id for asset in self.assets}
        newest = newest_by_task(open_failures(self.ledger)).values()
        return tuple(one for one in newest if not one.assets or fleet & {*one.assets})

    def record_failures(self, failures: Sequence[TaskFailure]) -> Notified:
        """Put failures of the scheduler's tasks on record, and tell those of them whom `monitor.notify` names."""
        from datadriver.monitoring.failure_notices import send_failures
        from datadriver.tracking.task_failures import record_failures

        record_failures(self.ledger, failures)
        try:
            assets = self.assets
        except DatadriverError:  # it may be why the task failed
            assets = ()
        return send_failures(self.ledger, self.usecase, assets)

    def window(self, start: Time = None, end: Time = None) -> Window:
        """Return the window between two times as people write them; naive times are in the use case's zone."""
        from datadriver.data.window import Window

        first, last = (None if time is None else self._instant(time) for time in (start, end))
        if first is not None and last is not None and first >= last:  # type: ignore[operator]
            raise ConfigError(f"the window [{start}, {end}) is empty: its start must be before its end")
        return Window(first, last)

    def _instant(self, text: str | int | pd.Timestamp) -> Instant:
        from datadriver.data.window import parse_instant

        return parse_instant(text, self.usecase)

    @contextmanager
    def _workers(self, asked: int | Workers | None) -> Iterator[Workers]:
        """Give workers for one command, or those of the chain that it is part of."""
        from datadriver.fleet.limits import limits_of
        from datadriver.fleet.pool import Workers, default_workers
        from datadriver.training.pinning import PINNED

        if isinstance(asked, Workers):
            yield asked
            return
        count = asked or default_workers()
        limits = limits_of(self.usecase.workers, count)
        with Workers(count, environment=PINNED, limits=limits, verbose=self.verbose) as crew:
            yield crew

    @contextmanager
    def _beside(self, asked: bool | Beside) -> Iterator[Beside]:
        """Give what writes to MLflow beside one command, or beside the chain that it is part of."""
        from datadriver.fleet.beside import Beside
        from datadriver.tracking.behind import Behind

        if isinstance(asked, Beside):
            yield asked
            return
        with Beside(Behind(self.usecase, self.root, self.ledger), verbose=self.verbose) as beside:
            yield beside

    def _drain(self, wait: bool | Beside) -> Lag | None:
        """Write what is pending to MLflow, unless something else does so or nobody waits for it."""
        from datadriver.tracking.backlog import backlog

        if wait is not True or not backlog(self.ledger).total:
            return None
        from datadriver.fleet.projection import Lag, drain, leaving
        from datadriver.tracking.behind import Behind

        with leaving() as left:
            return drain(Behind(self.usecase, self.root, self.ledger), self.progress)
        return Lag(backlog(self.ledger), left.error)

    def _clear(self) -> None:
        """Clear up after a killed training even if there is nothing left to train; else without waiting for MLflow."""
        from datadriver.tracking import queries

        if queries.abandoned(self.ledger, "train"):
            from datadriver.fleet.leftovers import clear

            clear(self.ledger, self.recorder, self.root)

    def _finish_releases(self) -> None:
        """Set the aliases of releases whose command was killed before it came to that."""
        from datadriver.tracking import queries, releases

        if killed := queries.abandoned(self.ledger, "promote", "rollback"):
            if self.recorder.mirrors:  # else they were noted with the release
                releases.reconcile(self.ledger, self.tracker, queries.standings(self.ledger))
            self.ledger.bury(killed)

    def _require_checked(self) -> None:
        problems: Sequence[str] = self.check()
        if problems:
            raise ConfigError(problems)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
