"""What `datadriver score` does, inside of an image: with its own models, into the scores table and the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datadriver.config.fleet import Asset
from datadriver.config.sections import UseCase
from datadriver.data.window import Window
from datadriver.errors import UnavailableError
from datadriver.fleet.pool import Inline
from datadriver.fleet.score import ScoreReport, Scoring
from datadriver.serving.packaged import Loaded, Package, read_usecase
from datadriver.tracking import queries
from datadriver.tracking.ledger import Ledger
from datadriver.tracking.records import Key, Version
from datadriver.tracking.task_failures import close_own_failures


@dataclass(frozen=True)
class _Models:
    """The models of an image in the place of the artefact store."""

    package: Package
    loaded: Mapping[Key, Loaded]

    def load(self, version: Version, usecase: UseCase, root: Path) -> Any:  # noqa: ARG002 - as `Champions.load`
        return self.package.estimator(self.loaded[version.key])


def score_packaged(package: Package, assets: Sequence[Asset], models: Sequence[str], window: Window) -> ScoreReport:
    """Score assets with the models of an image, and publish: the same rows and files as from `datadriver score`.

    Args:
        package: The opened image.
        assets: Of the image.
        models: Names of models; none for all.
        window: As asked for; without a start each model goes on where it ended.

    Raises:
        UnavailableError: a model of the image is not the champion, or a store does not answer.
        ConfigError: a name that no model of the image has, or a store is configured wrongly.
    """
    chosen = {_key(one): one for asset in assets for one in package.models_of(asset, models)}
    usecase = read_usecase(package.root, package.manifest.env, also=("ledger",))
    ledger = Ledger.open(usecase, package.root)
    try:
        _require_champions(ledger, chosen)
        source = _Models(package, chosen)
        scoring = Scoring(usecase, package.root, ledger, Inline(), window, models=source)
        report = scoring.run([one.instance for one in chosen.values()], assets)
        if report.failure is None:
            close_own_failures(ledger)
        return report
    finally:
        ledger.close()


def _require_champions(ledger: Ledger, chosen: Mapping[Key, Loaded]) -> None:
    """Refuse models that are not in service: their scores would supersede those of the champions."""
    served = queries.champions(ledger, units={key.unit for key in chosen})
    for key, one in chosen.items():
        champion = served.get(key)
        if champion is None or (champion.version, champion.sha256) != (one.packaged.version, one.packaged.sha256):
            now = "there is no champion" if champion is None else f"the champion is v{champion.version}"
            raise UnavailableError(
                f"the image has {one.packaged.name}, and {now} now: nothing was published. Start the image of the "
                "champion (`datadriver package` makes it); a task of a DAG looks for it at each try"
            )


def _key(one: Loaded) -> Key:
    return Key(one.packaged.unit, one.packaged.model)
