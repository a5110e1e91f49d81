"""Great Expectations' Data Docs of chosen assets: a static site with one page per asset's suite and verdict."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datadriver.config.resolve import resolve
from datadriver.config.sections import UseCase
from datadriver.config.slugs import slug
from datadriver.data.contract.batch import to_batch
from datadriver.data.contract.engine import RESULT_FORMAT, context, quiet
from datadriver.data.contract.suite import Suite, load_suite
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Instant
from datadriver.errors import ConfigError, DataError, UnavailableError

if TYPE_CHECKING:
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext

_SITE = "datadriver"


def build_docs(
    usecase: UseCase,
    sensor_frames: Sequence[SensorFrame],
    root: Path,
    directory: Path,
    *,
    now: Instant | None = None,
) -> Path:
    """Judge the frames and write Data Docs of them into a directory; returns its `index.html`.

    The pages work offline, but take their style sheets from the network.

    Args:
        usecase: The use case; its overrides are applied for each asset.
        sensor_frames: A frame per asset; one without rows gets no page.
        root: Folder of the use case.
        directory: Where the site goes; pages of an earlier build there are replaced.
        now: The instant up to which freshness is counted, for a window without an end.

    Raises:
        ConfigError: if the contract names no suite, or the suite is wrong.
        DataError: if no frame has rows.
        UnavailableError: if the directory cannot be written.
    """
    frames = [sensor for sensor in sensor_frames if len(sensor.frame)]
    if not frames:
        raise DataError("Data Docs: none of the chosen assets has rows in the window, so there is nothing to show")
    suites = [_suite(usecase, sensor, root) for sensor in frames]
    try:
        for part in ("expectations", "validations"):
            shutil.rmtree(directory / part, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
        with quiet():
            made = _site(directory)
            for sensor, suite in zip(frames, suites, strict=True):
                _add(made, sensor, suite, now)
            made.build_data_docs()
    except OSError as error:
        raise UnavailableError(f"Data Docs cannot be written to {directory}: {error}") from error
    return directory / "index.html"


def _suite(usecase: UseCase, sensor: SensorFrame, root: Path) -> Suite:
    suite = load_suite(resolve(usecase, sensor.asset).contract, root)
    if suite is None:
        raise ConfigError("Data Docs show a contract, and usecase.yaml names none: set `contract.suite`")
    suite.gx()  # so that a wrong suite is found before pages of an earlier build go
    return suite


def _site(directory: Path) -> EphemeralDataContext:
    """Return a context whose only Data Docs site is the directory."""
    made = context()
    for name in list(made.list_data_docs_sites()):
        made.delete_data_docs_site(name)
    store: dict[str, Any] = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(directory.resolve())}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    site: Any = {"class_name": "SiteBuilder", "store_backend": store, "site_index_builder": index}
    made.add_data_docs_site(_SITE, site)
    return made


def _add(made: EphemeralDataContext, sensor: SensorFrame, suite: Suite, now: Instant | None) -> None:
    """Judge one asset, and keep its suite and result in the context, under the asset's name."""
    import great_expectations as gx  # noqa: PLC0415 - takes seconds, and only docs and verdicts need it
    from great_expectations.core.run_identifier import RunIdentifier  # noqa: PLC0415
    from great_expectations.data_context.types.resource_identifiers import (  # noqa: PLC0415
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    name = slug(sensor.asset.id)
    about = {"asset_id": sensor.asset.id}
    kept = made.suites.add(gx.ExpectationSuite(name=name, expectations=suite.build(), meta=about))
    asset = made.data_sources.add_pandas(name).add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("frame").get_batch({"dataframe": to_batch(sensor, now=now)})
    results = batch.validate(kept, result_format=RESULT_FORMAT)
    for result in results.results:
        result.success = bool(result.success)  # some are numpy's, which its own store cannot write
    run_id = RunIdentifier(run_name="verdict", run_time=datetime.now(UTC))
    results.meta |= {"run_id": run_id, "validation_time": run_id.run_time}
    key = ValidationResultIdentifier(ExpectationSuiteIdentifier(name), run_id, results.batch_id)
    made.validation_results_store.store_validation_results(results, key)
