"""One sentence for each check: what was found, in figures and units, against what was expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from datadriver.data.contract.engine import Outcome
from datadriver.data.contract.wording import bounds, clock, figure, plural, share, span
from datadriver.data.frame import SensorFrame
from datadriver.errors import nearest

Kwargs = Mapping[str, Any]
Examples = Sequence[tuple[Any, str | int | None]]


def describe(item: Mapping[str, Any], outcome: Outcome, sensor: SensorFrame, examples: Examples) -> str:
    """Return the sentence on one expectation of a suite.

    >>> from datadriver.config.fleet import Asset
    >>> import pandas as pd
    >>> item = {
    ...     "type": "expect_column_values_to_be_between",
    ...     "kwargs": {"column": "vibration", "min_value": 0, "max_value": 25},
    ... }
    >>> outcome = Outcome(False, {"unexpected_count": 312, "element_count": 1440, "missing_count": 0})
    >>> frame = pd.DataFrame({"vibration": [61.2]}, index=pd.Index([7], name="step"))
    >>> describe(item, outcome, SensorFrame(Asset("P-1"), frame, units={"vibration": "mm/s"}), [(61.2, 7)])
    'vibration: 312 of 1,440 values (21.7%) outside [0, 25] mm/s, e.g. 61.2 at step 7'
    """
    kind, kwargs, result = item["type"], item["kwargs"], outcome.result
    frame = sensor.frame
    missing = [name for name in _columns(kwargs) if name not in frame.columns and name != frame.index.name]
    if missing:
        hint = nearest(missing[0], [str(frame.index.name), *map(str, frame.columns)])
        return f"{missing[0]}: there is no such column in the frame{hint}"
    subject = column_of(kwargs) or "frame"
    if outcome.exception is not None:
        return f"{subject}: {kind} cannot be judged: {outcome.exception.strip().splitlines()[0]}"
    unit = _unit(kwargs, sensor)
    if kind in _OURS:
        text = _OURS[kind](kwargs, result)
    elif kind in _OBSERVED:
        text = _observed(kind, kwargs, result, unit)
    elif result.get("element_count") is not None:
        text = _counted(kind, kwargs, result, unit)
    else:
        text = _other(kind, kwargs, outcome)
    return f"{subject}: {text}{_such_as(kind, examples)}"


def column_of(kwargs: Kwargs) -> str | None:
    """Return the column or columns that an expectation is about, None for the whole frame."""
    return ", ".join(_columns(kwargs)) or None


def _columns(kwargs: Kwargs) -> list[str]:
    single = [kwargs[name] for name in ("column", "column_A", "column_B") if kwargs.get(name) is not None]
    return [str(name) for name in (*single, *(kwargs.get("column_list") or ()))]


def _unit(kwargs: Kwargs, sensor: SensorFrame) -> str:
    unit = sensor.units.get(kwargs.get("column") or kwargs.get("column_A") or "")
    return f" {unit}" if unit else ""


def _outside(kwargs: Kwargs, unit: str) -> str:
    allowed = bounds(kwargs, unit)
    return f"outside {allowed}" if allowed[0] in "([" else f"not {allowed}"


def _set_text(kwargs: Kwargs, name: str = "value_set") -> str:
    values = kwargs.get(name) or ()
    shown = ", ".join(figure(value) for value in list(values)[:8])
    return "{" + shown + (", ..." if len(values) > 8 else "") + "}"


def _than(kwargs: Kwargs, wanted: str, opposite: str) -> str:
    return f"not {wanted}" if kwargs.get("strictly") else opposite


_COUNTED: Mapping[str, Callable[[Kwargs, str], str]] = {
    "expect_column_values_to_be_between": _outside,
    "expect_column_values_to_not_be_null": lambda _k, _u: "null",
    "expect_column_values_to_be_null": lambda _k, _u: "not null",
    "expect_column_values_to_be_in_set": lambda k, _u: f"not in {_set_text(k)}",
    "expect_column_values_to_not_be_in_set": lambda k, _u: f"in {_set_text(k)}",
    "expect_column_values_to_be_unique": lambda _k, _u: "not unique",
    "expect_column_values_to_be_increasing": lambda k, _u: f"{_than(k, 'greater', 'less')} than the value before",
    "expect_column_values_to_be_decreasing": lambda k, _u: f"{_than(k, 'less', 'greater')} than the value before",
    "expect_column_value_z_scores_to_be_less_than": lambda k, _u: f"with a z-score above {figure(k['threshold'])}",
    "expect_column_values_to_not_be_outliers": lambda _k, _u: "outliers",
    "expect_column_values_to_match_regex": lambda k, _u: f"not like {k.get('regex')!r}",
    "expect_column_values_to_not_match_regex": lambda k, _u: f"like {k.get('regex')!r}",
    "expect_column_value_lengths_to_be_between": lambda k, _u: f"with a length {_outside(k, '')}",
    "expect_column_value_lengths_to_equal": lambda k, _u: f"with a length other than {figure(k.get('value'))}",
    "expect_column_values_to_be_of_type": lambda k, _u: f"not of type {k.get('type_')}",
    "expect_column_values_to_be_in_type_list": lambda k, _u: f"not of a type in {_set_text(k, 'type_list')}",
    "expect_column_pair_values_a_to_be_greater_than_b": lambda k, _u: (
        f"where {k['column_A']} is not {'at least' if k.get('or_equal') else 'greater than'} {k['column_B']}"
    ),
    "expect_column_pair_values_to_be_equal": lambda k, _u: f"where {k['column_A']} is not {k['column_B']}",
    "expect_multicolumn_sum_to_equal": lambda k, _u: f"whose sum is not {figure(k.get('sum_total'))}",
}


def _counted(kind: str, kwargs: Kwargs, result: Mapping[str, Any], unit: str) -> str:
    """Say how many values were unexpected."""
    total = int(result["element_count"]) - int(result.get("missing_count") or 0)
    found, mostly = int(result.get("unexpected_count") or 0), kwargs.get("mostly", 1)
    phrase = _COUNTED[kind](kwargs, unit) if kind in _COUNTED else f"not as {kind} asks ({_said(kwargs)})"
    if not total:
        return "all values are null, none to judge"
    allowed = f", at most {100 * (1 - mostly):.4g}% allowed" if mostly < 1 else ""
    if not found:
        return f"none of {total:,} values {phrase}{allowed}"
    return f"{found:,} of {total:,} values ({share(found, total)}) {phrase}{allowed}"


_OBSERVED: Mapping[str, str] = {
    "expect_column_max_to_be_between": "maximum",
    "expect_column_mean_to_be_between": "mean",
    "expect_column_median_to_be_between": "median",
    "expect_column_min_to_be_between": "minimum",
    "expect_column_stdev_to_be_between": "standard deviation",
    "expect_column_sum_to_be_between": "sum",
    "expect_column_unique_value_count_to_be_between": "number of distinct values",
    "expect_column_proportion_of_unique_values_to_be_between": "share of distinct values",
    "expect_column_proportion_of_non_null_values_to_be_between": "share of values that are not null",
    "expect_table_row_count_to_be_between": "number of rows",
    "expect_table_row_count_to_equal": "number of rows",
    "expect_table_column_count_to_be_between": "number of columns (with the index)",
    "expect_table_column_count_to_equal": "number of columns (with the index)",
}
_WITHOUT_UNIT = ("number", "share")


def _observed(kind: str, kwargs: Kwargs, result: Mapping[str, Any], unit: str) -> str:
    """Say what one figure is and should be."""
    name, value = _OBSERVED[kind], result.get("observed_value")
    unit = "" if name.startswith(_WITHOUT_UNIT) else unit
    wanted = figure(kwargs.get("value")) if kind.endswith("_to_equal") else bounds(kwargs, unit)
    if value is None:
        return f"there is no {name} (no values, or infinite ones), expected {wanted}"
    return f"the {name} is {figure(value)}{unit}, expected {wanted}"


def _other(kind: str, kwargs: Kwargs, outcome: Outcome) -> str:
    """Say what is known of an expectation that has no sentence of its own."""
    if kind == "expect_column_to_exist":
        return "the column is there" if outcome.success else "the column is not where the suite expects it"
    mismatched = (outcome.result.get("details") or {}).get("mismatched")
    if kind == "expect_table_columns_to_match_set" and mismatched:
        return "columns " + "; ".join(f"{how}: {_bounded(', '.join(names))}" for how, names in mismatched.items())
    observed = outcome.result.get("observed_value")
    seen = "" if observed is None else f", observed {_bounded(observed)}"
    return f"{kind} {'holds' if outcome.success else 'does not hold'} ({_said(kwargs)}){seen}"


def _said(kwargs: Kwargs) -> str:
    named = ("column", "column_A", "column_B", "column_list")
    return _bounded(", ".join(f"{key}={value!r}" for key, value in kwargs.items() if key not in named))


def _bounded(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 160 else text[:157] + "..."


def _frozen(kwargs: Kwargs, result: Mapping[str, Any]) -> str:
    limit, total = kwargs["max_duration"], result["element_count"]
    if not result["unexpected_count"]:
        return f"none of {total:,} values held for longer than {span(limit)}"
    found = result["unexpected_count"]
    return (
        f"frozen for up to {result['observed_value']}, {span(limit)} allowed: "
        f"{found:,} of {total:,} values ({share(found, total)}) in {plural(result['runs'], 'run')}"
    )


def _gaps(kwargs: Kwargs, result: Mapping[str, Any]) -> str:
    limit, found = span(kwargs["max_gap"]), result.get("unexpected_count")
    if not result["element_count"]:
        return "there are no values at all"
    if not found:
        return f"the longest gap is {result['observed_value']}, {limit} allowed"
    return f"{plural(found, 'gap')} longer than {limit}, the longest {result['observed_value']}"


def _fresh(kwargs: Kwargs, result: Mapping[str, Any]) -> str:
    limit = span(kwargs["max_age"])
    if not result["element_count"]:
        return f"there are no values at all, the last may be {limit} old"
    return f"the last value is {result['observed_value']} old, {limit} allowed"


def _rate(kwargs: Kwargs, result: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_interval"), kwargs.get("max_interval")
    wanted = " and ".join(text for text in (low and f"at least {span(low)}", high and f"at most {span(high)}") if text)
    if not result["element_count"]:
        return f"fewer than two values, their distance should be {wanted or 'any'}"
    return f"values are {result['observed_value']} apart (median), expected {wanted or 'any distance'}"


def _read_issues(kwargs: Kwargs, result: Mapping[str, Any]) -> str:
    limits = [
        f"{kwargs['max_count']:,}" if kwargs.get("max_count") is not None else "",
        f"{100 * kwargs['max_share']:.4g}% of the rows" if kwargs.get("max_share") is not None else "",
    ]
    where = ".".join(kwargs[key] for key in ("source", "tag") if kwargs.get(key))
    found, percent = result["unexpected_count"], result["unexpected_percent"]
    met = f"reading met {found:,} {_ISSUES[kwargs['kind']]}{' in ' + where if where else ''}"
    most = f", in up to {percent:.3g}% of a source's rows" if found else ""
    return f"{met}{most}; allowed: {' and '.join(filter(None, limits))}"


_ISSUES: Mapping[str, str] = {
    "duplicate": "rows with a stamp that another row has",
    "unsorted": "rows out of order",
    "backward_jump": "jumps back in time",
    "ambiguous": "local times that occur twice",
    "nonexistent": "local times that the clocks skipped",
    "bad_stamp": "unreadable stamps",
    "unexpected_text": "unexpected texts among numbers",
    "listed_null": "values listed as null",
    "out_of_range": "values outside of the tag's range",
    "missing_tag": "missing tags",
    "gap": "gaps",
}


_OURS: Mapping[str, Callable[[Kwargs, Mapping[str, Any]], str]] = {
    "expect_column_values_to_not_be_frozen": _frozen,
    "expect_column_gaps_to_be_at_most": _gaps,
    "expect_data_to_be_fresh": _fresh,
    "expect_sampling_rate_to_be_between": _rate,
    "expect_read_issues_to_be_at_most": _read_issues,
}


def _such_as(kind: str, examples: Examples) -> str:
    """Quote the first example, or just its place if it has no value worth a quote."""
    if not examples:
        return ""
    value, at = examples[0]
    place = "" if at is None else f"step {at}" if isinstance(at, int) else clock(at)
    if kind in _OURS or value is None:
        place = place and f"{_PLACE.get(kind, ', the first at')} {place}"
        return place if kind in _PLACE or value is None else f", e.g. {figure(value)}"
    return f", e.g. {figure(value)}" + (f" at {place}" if place else "")


_PLACE = {
    "expect_column_values_to_not_be_frozen": ", the longest from",
    "expect_column_gaps_to_be_at_most": ", from",
    "expect_data_to_be_fresh": ": it is of",
}
