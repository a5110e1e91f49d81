"""The boundary to the use case's feature and mask functions: what they get, and what they must give back."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datadriver.config.code import call, load_reference
from datadriver.config.fleet import Instance
from datadriver.config.sections import UseCase
from datadriver.data.frame import SensorFrame
from datadriver.data.window import Instant, format_instant
from datadriver.errors import ConfigError, UseCaseError, nearest


def build_features(instance: Instance, sensor: SensorFrame, root: Path) -> pd.DataFrame:
    """Return the features of one asset, on the index of its sensor frame.

    The function gets the frame without the target column and without labels and meta columns. A further parameter
    named like any column gets that column as a Series; one named `asset` gets the attributes. Without a function
    the features are the numeric tags that are left.

    Raises:
        UseCaseError: if the function raises, or returns something else than a DataFrame on the same index, with
            unique text names and finite (or null) values.
        ConfigError: if it wants a parameter that is no column.
    """
    reference, frame = instance.spec.features, _sensors(instance, sensor)
    if reference is None:
        features = frame.select_dtypes(["number", "bool"])
        where = f"{sensor.asset.id}, features of {instance.model}"
        if features.shape[1] == 0:
            raise ConfigError(f"{where}: no numeric tag is left beside the target; name a function in `features`")
    else:
        features = _call(reference, root, frame, sensor, "features")
        where = f"{sensor.asset.id}, features: {reference}"
        _check_shape(features, frame.index, where)
    _check_values(features, where)
    return features


def operating_mask(usecase: UseCase, sensor: SensorFrame, root: Path) -> pd.Series:
    """Return which rows count, as a boolean Series on the index of the sensor frame; all of them without a mask.

    The mask function gets the whole frame, labels included: a mask chooses rows and is no feature.

    Raises:
        UseCaseError: if the function raises or returns no boolean Series on the same index.
    """
    reference, index = usecase.data.mask, sensor.frame.index
    if reference is None:
        return pd.Series(True, index=index)
    mask = _call(reference, root, sensor.frame.copy(deep=False), sensor, "mask")
    where = f"{sensor.asset.id}, mask: {reference}"
    if not isinstance(mask, pd.Series):
        raise UseCaseError(f"{where} returned {type(mask).__name__}; return a boolean Series on the frame's index")
    if not pd.api.types.is_bool_dtype(mask.dtype) or mask.isna().any():
        raise UseCaseError(
            f"{where} returned a Series of {mask.dtype} with {int(mask.isna().sum())} nulls; "
            "return True or False for every row, such as `frame['current'].gt(5)`"
        )
    _check_index(mask.index, index, where)
    return mask.astype(bool)


def only_floats(frame: pd.DataFrame) -> bool:
    """Tell whether all columns are float64, as a rule they are: then they can be looked at all at once."""
    return all(dtype == np.float64 for dtype in frame.dtypes)


def _sensors(instance: Instance, sensor: SensorFrame) -> pd.DataFrame:
    """Return the tags that may become features without being asked for."""
    target = instance.spec.target.column if instance.spec.target else None
    hidden = {name for name, role in sensor.roles.items() if role != "sensor"} | {target}
    return sensor.frame[[name for name in sensor.frame.columns if name not in hidden]]


def _call(reference: str, root: Path, frame: pd.DataFrame, sensor: SensorFrame, step: str) -> Any:
    function = load_reference(reference, root)
    arguments: dict[str, Any] = {}
    for parameter in _further_parameters(function):
        if parameter.name in sensor.frame.columns:
            arguments[parameter.name] = sensor.frame[parameter.name]
        elif parameter.name == "asset":
            arguments["asset"] = {"asset_id": sensor.asset.id, **sensor.asset.attributes}
        elif parameter.default is parameter.empty:
            raise ConfigError(
                f"{sensor.asset.id}, {step}: {reference} wants {parameter.name!r}, which is neither a column nor "
                f"`asset`{nearest(parameter.name, [*map(str, sensor.frame.columns), 'asset'])}"
            )
    try:
        return call(reference, root, frame, asset=sensor.asset.id, step=step, arguments=arguments)
    except UseCaseError as error:
        name = _missing_column(error.__cause__)
        if name is None or name in frame.columns:
            raise
        raise UseCaseError(f"{error.message}; {_why_missing(name, frame, sensor)}") from error.__cause__


def _missing_column(error: BaseException | None) -> str | None:
    """Return the name that a KeyError is about; pandas says `['x'] not in index` where a list was asked for."""
    if not isinstance(error, KeyError) or not error.args or not isinstance(error.args[0], str):
        return None
    text = error.args[0]
    listed = re.search(r"\['([^']+)'", text) if "not in index" in text or "are in the [" in text else None
    return listed[1] if listed else text


def _why_missing(name: str, frame: pd.DataFrame, sensor: SensorFrame) -> str:
    """Say why a function does not find a column: hidden from it, misspelt, or text that no tag declares."""
    if name in sensor.frame.columns:
        return f"{name!r} is the target, a label or meta, which a function gets only as a parameter named {name!r}"
    return (
        f"the frame has no column {name!r} (one of mostly text is a tag only where `tags` declares it)"
        f"{nearest(name, map(str, frame.columns))}"
    )


def _further_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the named parameters after the first, which is the frame."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # some callables written in C have none
        return []
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [parameter for parameter in parameters[1:] if parameter.kind in by_name]


def _check_shape(features: Any, index: pd.Index, where: str) -> None:
    if not isinstance(features, pd.DataFrame):
        hint = "; write `.to_frame()`" if isinstance(features, pd.Series) else ""
        raise UseCaseError(f"{where} returned {type(features).__name__}; return a DataFrame{hint}")
    if features.shape[1] == 0:
        raise UseCaseError(f"{where} returned a DataFrame without columns; return at least one feature")
    _check_index(features.index, index, where)
    odd = [name for name in features.columns if not isinstance(name, str)]
    if odd:
        raise UseCaseError(f"{where} returned a column named {odd[0]!r}; name features with text")
    doubled = features.columns[features.columns.duplicated()]
    if len(doubled):
        raise UseCaseError(f"{where} returned the column {doubled[0]!r} twice; names must be unique")


def _check_index(index: pd.Index, expected: pd.Index, where: str) -> None:
    if index is expected or index.equals(expected):
        return
    if len(index) != len(expected):
        raise UseCaseError(
            f"{where} returned {len(index)} rows for {len(expected)}; keep every row of the frame and its index, "
            "with nulls where a feature is not known"
        )
    raise UseCaseError(f"{where} returned rows with another index; keep the index of the frame, in its order")


def _check_values(features: pd.DataFrame, where: str) -> None:
    if only_floats(features) and not np.isinf(features.to_numpy()).any():
        return
    for name, column in features.items():
        if pd.api.types.is_numeric_dtype(column.dtype):
            infinite = np.isinf(column.to_numpy("float64", na_value=np.nan))
            if infinite.any():
                first: Instant = column.index[int(infinite.argmax())]
                raise UseCaseError(
                    f"{where}: {name!r} is infinite in {int(infinite.sum())} of {len(column)} rows, first at "
                    f"{format_instant(first)}; a division by zero? Return null where the feature is not known"
                )
        elif not (pd.api.types.is_string_dtype(column.dtype) or isinstance(column.dtype, pd.CategoricalDtype)):
            raise UseCaseError(
                f"{where}: {name!r} is {column.dtype}; features are numbers, booleans, text or categories"
            )
