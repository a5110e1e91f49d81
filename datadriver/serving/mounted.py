"""Files in place of sources: raw rows that somebody mounted into a container."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from datadriver.config.sections import Source
from datadriver.config.source_rules import READING_OPTIONS
from datadriver.data.readers import source_format
from datadriver.data.readers.csv import SUFFIXES
from datadriver.errors import ConfigError, DataError, UnavailableError, nearest
from datadriver.serving.packaged import Package

JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Mounted:
    """A package that reads its sources from files, and the rows of files that no reader reads, by source."""

    package: Package
    given: Mapping[str, pd.DataFrame]


def mount(package: Package, files: Sequence[str]) -> Mounted:
    """Let sources be read from files: `sensors=/data/x.parquet`, or the file alone where there is one source.

    CSV and Parquet have the columns of the source, and are read with its options where it has the same format. JSON
    lines have an object of values by column in each line. In the names of CSV and Parquet files, `{asset_id}` and
    attributes are filled in per asset.

    Raises:
        ConfigError: no such source, a file twice or of an unknown kind, or a variable that is missing for a source
            without a file.
        DataError: JSON lines that cannot be read.
    """
    sources = {name: one for name, one in package.usecase.data.sources.items() if one.join != "none"}
    places = _places(files, sources)
    given = {name: read_json_lines(path) for name, path in places.items() if path.endswith(JSON_LINES)}
    changed = {name: _from_file(name, sources[name], path) for name, path in places.items() if name not in given}
    for name, source in sources.items():
        if name not in places:
            _require_variables(name, source)
    data = package.usecase.data.model_copy(update={"sources": {**package.usecase.data.sources, **changed}})
    usecase = package.usecase.model_copy(update={"data": data})
    return Mounted(replace(package, usecase=usecase), given)


def read_json_lines(path: str) -> pd.DataFrame:
    """Read a file with a JSON object in each line; numbers are those of the text to the last bit.

    Raises:
        DataError: a line is no object.
        UnavailableError: the file cannot be read.
    """
    records: list[dict[str, Any]] = []
    try:
        with Path(path).open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    records.append(_record(line, f"{path}, line {number}"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check that its folder is mounted") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}") from error
    return pd.DataFrame(records)


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: is not JSON: {error}") from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: an object of values by column is wanted")
    nested = next((name for name, value in record.items() if isinstance(value, (dict, list))), None)
    if nested is not None:
        raise DataError(f"{where}: {nested!r} is an object or a list; values are numbers, texts or null")
    return record


def _places(files: Sequence[str], sources: Mapping[str, Source]) -> dict[str, str]:
    places: dict[str, str] = {}
    for text in files:
        name, equals, path = text.partition("=")
        if not equals or "/" in name:
            if len(sources) > 1:
                raise ConfigError(f"--rows {text}: say of which source: --rows NAME={text}{nearest('', sources)}")
            name, path = next(iter(sources)), text
        if name not in sources:
            raise ConfigError(f"--rows {text}: scoring reads no source {name!r}{nearest(name, sources)}")
        if name in places:
            raise ConfigError(f"--rows {text}: there is a file for {name!r} already, {places[name]}")
        places[name] = path
    return places


def _from_file(name: str, source: Source, path: str) -> Source:
    """Return the source as it is read from a file, by the file's own kind."""
    kind = "csv" if path.endswith(SUFFIXES) else "parquet"
    options = source.options
    if source_format(source, name) != kind:
        options = {key: value for key, value in options.items() if key in READING_OPTIONS - {"storage_options"}}
    place = {"path": str(Path(path).absolute()), "format": kind, "options": options}
    return source.model_copy(update={**place, **dict.fromkeys(("uri", "table", "query", "function"))})


def _require_variables(name: str, source: Source) -> None:
    """Refuse a source whose place has a variable that is not set."""
    for key in ("path", "uri", "table", "query", "options"):
        text = json.dumps(getattr(source, key), default=str)
        if "${" in text:
            variable = text.partition("${")[2].partition("}")[0].partition(":")[0]
            raise ConfigError(
                f"data.sources.{name}.{key}: the environment variable {variable} is not set; set it (`docker run "
                f"-e {variable}=...`), or give the rows with --rows {name}=FILE"
            )
