"""Judge the fleet by the contract: one job per asset, verdicts into the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datadriver.config.fleet import Asset
from datadriver.config.resolve import resolve
from datadriver.config.section import Stage
from datadriver.config.sections import UseCase
from datadriver.data.contract.verdict import Verdict
from datadriver.data.window import Window
from datadriver.errors import DatadriverError
from datadriver.fleet.batches import batch
from datadriver.fleet.members import Member, look_at
from datadriver.fleet.outcomes import Miss, failure
from datadriver.fleet.pool import Workers
from datadriver.fleet.progress import Progress
from datadriver.fleet.verdicts import verdict_record
from datadriver.fleet.worker import Call
from datadriver.tracking.ledger import Ledger


@dataclass(frozen=True)
class ValidateJob:
    """What a worker needs to judge one asset; `usecase` has the asset's overrides applied."""

    root: Path
    usecase: UseCase
    asset: Asset
    window: Window
    stage: Stage


@dataclass(frozen=True)
class ValidateReport:
    """A verdict for every asset whose data could be read, and why the others have none."""

    verdicts: tuple[Verdict, ...]
    misses: tuple[Miss, ...]
    traces: Mapping[str, str] = field(default_factory=dict)

    @property
    def failure(self) -> DatadriverError | None:
        """What the command ends with: rejected assets count as failed."""
        total = len({verdict.asset_id for verdict in self.verdicts} | {miss.name for miss in self.misses})
        return failure(self.misses, of=total, what="assets")


def judge_asset(job: ValidateJob) -> Member:
    """Read and judge one asset, inside of a worker; the frame stays there."""
    member = look_at(job.usecase, job.asset, job.window, job.stage, job.root)
    return Member(member.asset, None, member.verdict, member.error)


def validate(  # noqa: PLR0913 - the options of one command
    usecase: UseCase,
    assets: Sequence[Asset],
    window: Window,
    *,
    root: Path,
    ledger: Ledger,
    workers: Workers,
    progress: Progress,
    stage: Stage = "train",
) -> ValidateReport:
    """Judge assets in worker processes and record the verdicts, in the order of the fleet."""
    jobs = (ValidateJob(root, resolve(usecase, asset), asset, window, stage) for asset in assets)
    calls = (Call("datadriver.fleet.validate:judge_asset", job) for job in jobs)
    verdicts: dict[str, Verdict] = {}
    misses: dict[str, Miss] = {}
    traces: dict[str, str] = {}
    progress.begin("validating", len(assets))
    try:
        with batch(ledger, "validate") as made:
            for call, answer in workers.answers(calls, at_most=len(assets)):
                name = call.argument.asset.id
                member = answer.value if answer.error is None else Member(call.argument.asset)
                error = answer.error or member.error
                if error is not None:
                    misses[name] = Miss(name, error.message, error.exit_code)
                if answer.trace:
                    traces[name] = answer.trace
                if member.verdict is not None:
                    verdicts[name] = member.verdict
                    ledger.record_verdicts([verdict_record(member.verdict, made.id)])
                progress.advance(failed=error is not None)
    finally:
        progress.end()
    in_order = [asset.id for asset in assets]
    return ValidateReport(
        tuple(verdicts[name] for name in in_order if name in verdicts),
        tuple(misses[name] for name in in_order if name in misses),
        traces,
    )
