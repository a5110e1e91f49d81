"""The one Great Expectations context of this process, and the running of a suite on a frame.

Building a context costs as much as judging a frame, so there is one, in memory, made when first needed.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import great_expectations as gx
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from great_expectations.data_context.data_context.ephemeral_data_context import EphemeralDataContext

EXAMPLES = 5
RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES}
_LOCK = threading.RLock()


@dataclass(frozen=True)
class Outcome:
    """What one expectation found: success, Great Expectations' `result`, and the exception that prevented it."""

    success: bool
    result: Mapping[str, Any] = field(default_factory=dict)
    exception: str | None = None


def run(suite: gx.ExpectationSuite, frame: pd.DataFrame) -> tuple[Outcome, ...]:
    """Return the outcome of each expectation, in the order of the suite; ids in the suite are its positions."""
    with quiet():
        results = _batch_definition().get_batch({"dataframe": frame}).validate(suite, result_format=RESULT_FORMAT)
    # Expectations that raised come first in the results, so they are put back in order by their ids.
    found = {_id(result): _outcome(result) for result in results.results}
    return tuple(found[str(expectation.id)] for expectation in suite.expectations)


def _id(result: ExpectationValidationResult) -> str:
    return str(result.expectation_config.id) if result.expectation_config else ""


def _outcome(result: ExpectationValidationResult) -> Outcome:
    return Outcome(bool(result.success), result.result or {}, _exception(result.exception_info))


def _exception(info: Mapping[str, Any] | None) -> str | None:
    """Return the message of the exception, which is given flat or once for each metric that raised."""
    if not info:
        return None
    for entry in (info, *info.values()):
        if isinstance(entry, Mapping) and entry.get("raised_exception"):
            return str(entry.get("exception_message") or "unknown exception")
    return None


@lru_cache(maxsize=1)
def _batch_definition() -> BatchDefinition[None]:
    source = context().data_sources.add_pandas("frames")
    return source.add_dataframe_asset("frame").add_batch_definition_whole_dataframe("frame")


def context() -> EphemeralDataContext:
    """Return a new in-memory context that shows no progress bars and reports to nobody."""
    import great_expectations as gx  # noqa: PLC0415 - takes seconds, and only a judged frame needs it
    from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

    made = gx.get_context(mode="ephemeral")
    made.enable_analytics(False)
    made.variables.progress_bars = ProgressBarsConfig(globally=False)
    return made


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Great Expectations from reporting its use, warning about itself and logging what the verdict says.

    One thread at a time: warning filters and its active context are global.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with _LOCK, warnings.catch_warnings():
        before = logging.root.manager.disable
        warnings.simplefilter("ignore")
        # Not the level of its logger: Great Expectations sets that itself while it is imported in here.
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)
