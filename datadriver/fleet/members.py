"""Read and judge the assets of a unit, inside of a worker: each frame once, whatever the number of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datadriver.config.fleet import Asset, Instance
from datadriver.config.resolve import resolve
from datadriver.config.section import Stage
from datadriver.config.sections import UseCase
from datadriver.data.contract.verdict import Verdict, judge
from datadriver.data.fingerprint import extent
from datadriver.data.frame import SensorFrame
from datadriver.data.read import read_frame
from datadriver.data.window import Instant, Window, shift
from datadriver.errors import ContractBreach, DataError


@dataclass(frozen=True)
class Member:
    """An asset with its frame and verdict, or the reason why it cannot be used."""

    asset: Asset
    sensor: SensorFrame | None = None
    verdict: Verdict | None = None
    error: DataError | None = None


def look_at(usecase: UseCase, asset: Asset, window: Window, stage: Stage, root: Path) -> Member:
    """Read one asset and let the contract judge it; data that cannot be used are a reason, not an exception.

    Args:
        usecase: the use case with the overrides of this asset applied.
        asset: whose data.
        window: what to read.
        stage: which actions of `contract.on_breach` count.
        root: folder of the use case.
    """
    try:
        sensor = read_frame(usecase, asset, window, root)
    except DataError as error:
        return Member(asset, error=error)
    verdict = judge(sensor, usecase.contract, stage, root)
    breach = ContractBreach(f"{asset.id}, contract: {verdict.reason}") if verdict.action == "reject" else None
    return Member(asset, sensor, verdict, breach)


def members(usecase: UseCase, instances: Sequence[Instance], until: Instant | None, root: Path) -> tuple[Member, ...]:
    """Read and judge, for training, every asset of the unit that the instances share."""
    found = []
    for asset in instances[0].unit.assets:
        own = resolve(usecase, asset)
        try:
            window = history(own, asset, instances, until, root)
        except DataError as error:
            found.append(Member(asset, error=error))
            continue
        found.append(look_at(own, asset, window, "train", root))
    return tuple(found)


def history(usecase: UseCase, asset: Asset, instances: Sequence[Instance], until: Instant | None, root: Path) -> Window:
    """Return what must be read so that every one of the instances has its training window and lookback."""
    lengths = [(instance.spec.window.train, instance.spec.window.lookback) for instance in instances]
    if any(train is None for train, _ in lengths):
        return Window(None, until)
    end = until if until is not None else extent(usecase, asset, root).end
    starts = [
        shift(shift(end, -train), -lookback) for train, lookback in lengths if train is not None and end is not None
    ]
    return Window(min(starts) if len(starts) == len(lengths) else None, until)
