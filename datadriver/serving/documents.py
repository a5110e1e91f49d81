"""What is asked of models over HTTP or on stdin, and what they answer: MLflow's JSON forms and CSV, raw rows in them.

A document has raw sensor rows, as the use case's source has them, in exactly one of MLflow's forms, and what to do with
them under `params`:

    {"dataframe_split": {"columns": ["ts", "flow"], "data": [["2026-03-01T10:00Z", 5.1]]}, "params": {"asset": "P-1"}}
    {"dataframe_records": [{"ts": "2026-03-01T10:00Z", "flow": 5.1}]}
    {"instances": [{"ts": ...}]}    {"inputs": {"ts": [...], "flow": [...]}}

These are rows of the main source. Rows of several sources come as `{"sources": {"sensors": <split or records>, ...}}`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import pandas as pd

from datadriver.errors import DataError, nearest

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs", "sources")
PARAMS = ("asset", "models", "start", "end")
MAIN = ""
"""In place of its name: the main source."""

JSON = "application/json"
CSV = "text/csv"


class BadRequestError(DataError):
    """A document that cannot be understood."""


@dataclass(frozen=True)
class Table:
    """Raw rows of a source: names of columns, and a sequence of values for each row."""

    columns: tuple[str, ...]
    data: Sequence[Sequence[Any]]

    def frame(self) -> pd.DataFrame:
        """Return the rows as a frame; types are inferred per column."""
        return pd.DataFrame(list(self.data), columns=list(self.columns))


@dataclass(frozen=True)
class Request:
    """Rows by source (`MAIN` for the main one), and for whom they are: None where the document does not say."""

    tables: Mapping[str, Table]
    asset: str | None = None
    models: tuple[str, ...] | None = None
    start: str | int | None = None
    end: str | int | None = None

    @property
    def only(self) -> Table | None:
        """The rows of the main source, where there are no others."""
        return self.tables[MAIN] if len(self.tables) == 1 and MAIN in self.tables else None

    @property
    def rows(self) -> int:
        """Number of rows in all sources."""
        return sum(len(table.data) for table in self.tables.values())


def parse(body: bytes, content_type: str = JSON, query: str = "") -> Request:
    """Read a document.

    Args:
        body: UTF-8.
        content_type: `application/json`, or `text/csv` with a line of names first.
        query: the part of a URL after `?`, with the same parameters as `params`; how CSV gets them.

    Raises:
        BadRequestError: saying what is wrong, and where.
    """
    given = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    if content_type == CSV:
        return _request({MAIN: _csv(_text(body))}, given)
    document = _json(body)
    found = [name for name in FORMS if name in document]
    if len(found) != 1:
        received = ", ".join(map(repr, document)) or "nothing"
        raise BadRequestError(f"the document needs exactly one of {', '.join(FORMS)}; it has {received}")
    strange = [name for name in document if name not in (*FORMS, "params")]
    if strange:
        raise BadRequestError(f"the document has {strange[0]!r}{nearest(strange[0], (*FORMS, 'params'))}")
    params = document.get("params") or {}
    if not isinstance(params, dict):
        raise BadRequestError(f"params: an object is wanted, {_kind(params)} was received")
    return _request(_tables(found[0], document[found[0]]), {**params, **given})


def _request(tables: Mapping[str, Table], params: Mapping[str, Any]) -> Request:
    for name in params:
        if name not in PARAMS:
            raise BadRequestError(f"params: there is no {name!r}{nearest(name, PARAMS)}")
    asset, models = params.get("asset"), params.get("models")
    if isinstance(models, str):
        models = [name.strip() for name in models.split(",")]
    if asset is not None and not isinstance(asset, str):
        raise BadRequestError(f"params.asset: an asset id (text) is wanted, {_kind(asset)} was received")
    if models is not None and not (isinstance(models, list) and all(isinstance(name, str) for name in models)):
        raise BadRequestError("params.models: a list of names, or one text with commas, is wanted")
    for name in ("start", "end"):
        if isinstance(params.get(name), bool) or not isinstance(params.get(name), (str, int, type(None))):
            raise BadRequestError(f"params.{name}: a time (ISO 8601) or a step is wanted")
    chosen = tuple(models) if models else None
    return Request(tables, asset, chosen, params.get("start"), params.get("end"))


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"the body is not UTF-8 (byte {error.start})") from None


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadRequestError(
            f"the document must be a JSON object with one of {', '.join(FORMS)}, not {_kind(document)}"
        )
    return document


def _csv(text: str) -> Table:
    """Read lines under a line of names; numbers become numbers, and nothing between two commas is no value."""
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        columns = tuple(name.strip() for name in next(reader, []))
        data = [[_number(cell) for cell in line] for line in reader if line]
    except csv.Error as error:
        raise BadRequestError(f"the body is not CSV: line {reader.line_num}: {error}") from None
    return _checked(columns, data, "the CSV")


def _number(cell: str) -> Any:
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell


def _tables(form: str, value: Any) -> dict[str, Table]:
    if form != "sources":
        return {MAIN: _table(value, form)}
    if not isinstance(value, dict) or not value:
        raise BadRequestError(f"sources: an object of rows by source is wanted, {_kind(value)} was received")
    return {str(name): _table(rows, f"sources.{name}") for name, rows in value.items()}


def _table(value: Any, where: str) -> Table:
    """Read rows: `{columns, data}`, records, or (`inputs`) values by column."""
    if isinstance(value, list):
        return _records(value, where)
    if not isinstance(value, dict):
        raise BadRequestError(f"{where}: rows are wanted, {_kind(value)} was received")
    if where == "inputs":
        return _by_column(value, where)
    if not isinstance(value.get("columns"), list) or not isinstance(value.get("data"), list):
        raise BadRequestError(f'{where}: {{"columns": [...], "data": [[...], ...]}} is wanted')
    return _checked(tuple(map(str, value["columns"])), value["data"], where)


def _records(records: list[Any], where: str) -> Table:
    names: dict[str, None] = {}
    for place, record in enumerate(records):
        if not isinstance(record, dict):
            raise BadRequestError(f"{where}[{place}]: an object of values by column is wanted, not {_kind(record)}")
        names.update(dict.fromkeys(record))
    columns = tuple(names)
    return _checked(columns, [[record.get(name) for name in columns] for record in records], where)


def _by_column(columns: Mapping[str, Any], where: str) -> Table:
    lists = [values if isinstance(values, list) else [values] for values in columns.values()]
    lengths = {len(values) for values in lists}
    if len(lengths) > 1:
        raise BadRequestError(f"{where}: columns are of different lengths: {sorted(lengths)}")
    return _checked(tuple(columns), [list(row) for row in zip(*lists, strict=True)], where)


def _checked(columns: tuple[str, ...], data: list[Any], where: str) -> Table:
    if not columns or not (data or where.startswith("sources.")):  # a source may have nothing to say
        raise BadRequestError(f"{where}: there are no rows")
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise BadRequestError(f"{where}: there are two columns {twice!r}")
    for place, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            shown = f"{len(row)} values" if isinstance(row, list) else _kind(row)
            raise BadRequestError(f"{where}: row {place} has {shown} for {len(columns)} columns")
        if any(isinstance(value, (dict, list)) for value in row):
            raise BadRequestError(f"{where}: row {place} holds an object or a list; values are numbers, texts or null")
    return Table(columns, data)


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def records(scores: pd.DataFrame) -> Iterable[dict[str, Any]]:
    """Return scores as plain values, a dict for each row, for `{"predictions": [...]}` as MLflow answers a frame.

    Numbers come back from their JSON as the same floats; no value is null.
    """
    columns = {str(name): _plain(scores[name]) for name in scores.columns}
    names = tuple(columns)
    return (dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _plain(column: pd.Series) -> list[Any]:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return [stamp.isoformat() for stamp in column]
    values = column.tolist()
    if pd.api.types.is_float_dtype(column.dtype):
        return [value if value - value == 0 else None for value in values]  # neither NaN nor infinite
    return values
