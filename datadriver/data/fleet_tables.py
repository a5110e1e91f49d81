"""Tables that list a fleet, read with ids as text exactly as the plant writes them: csv, parquet, sql, Python."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from datadriver.config.code import call
from datadriver.config.locations import is_url, rooted_path, rooted_uri
from datadriver.config.sections import SqlTable
from datadriver.errors import ConfigError, UnavailableError, UseCaseError, nearest


@dataclass(frozen=True)
class FleetTable:
    """Rows that describe assets.

    `name` is the table in messages; `text` is the text of a CSV file, from which line numbers are counted when an
    error needs them.
    """

    name: str
    columns: Mapping[str, Sequence[Any]]
    text: str | None = field(default=None, repr=False)

    def places(self, rows: Sequence[int]) -> str:
        """Name rows for people: `lines 2, 7`, or `rows 1, 6` where there are no lines."""
        numbers, word = [row + 1 for row in rows], "row"
        if self.text is not None:
            lines = _line_numbers(self.text)
            if all(row < len(lines) for row in rows):
                numbers, word = [lines[row] for row in rows], "line"
        shown = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
        return f"{word}{'s' if len(numbers) > 1 else ''} {shown}"


def read_table(path: str, id_column: str, root: Path) -> FleetTable:
    """Read a CSV or Parquet file; the id column of a CSV stays text, the others get the type that they look like.

    Raises:
        ConfigError: if there is no such file, or it is not what its suffix says.
        UnavailableError: if the file system does not answer.
    """
    if Path(path).suffix.lower() in (".csv", ".txt"):
        return _csv(_bytes(path, root), path, id_column)
    if Path(path).suffix.lower() in (".parquet", ".pq"):
        return _parquet(path, root)
    raise ConfigError(
        f"fleet.assets: {path!r} is neither a .csv nor a .parquet file; other ways are {{glob: ...}}, {{source: ...}}, "
        "{sql: ...} and python:module:function"
    )


def read_sql(table: SqlTable, root: Path) -> FleetTable:
    """Read a table or query of a database."""
    import sqlalchemy as sa  # noqa: PLC0415 - a quarter of a second that most use cases do not need

    if (table.query is None) == (table.table is None):
        raise ConfigError("fleet.assets.sql: give either `table` or `query`")
    try:
        engine = sa.create_engine(rooted_uri(table.uri, root))
    except (sa.exc.ArgumentError, ImportError) as error:
        raise ConfigError(f"fleet.assets.sql.uri: no database can be opened with it: {error}") from error
    try:
        with engine.connect() as connection:
            if table.table is not None:
                schema, _, name = table.table.rpartition(".")
                known = sa.inspect(connection).get_table_names(schema=schema or None)
                known += sa.inspect(connection).get_view_names(schema=schema or None)
                if name not in known:
                    raise ConfigError(f"fleet.assets.sql.table: there is no {table.table!r}{nearest(name, known)}")
                statement: Any = sa.select(sa.text("*")).select_from(sa.table(name, schema=schema or None))
            else:
                statement = sa.text(str(table.query))
            result = connection.execute(statement)
            names, rows = list(result.keys()), result.fetchall()
    except sa.exc.ProgrammingError as error:
        raise ConfigError(f"fleet.assets.sql: the database refused the query: {error.orig}") from error
    except sa.exc.SQLAlchemyError as error:
        raise UnavailableError(f"fleet.assets.sql: the database did not answer: {error}") from error
    finally:
        engine.dispose()
    return FleetTable("fleet.assets.sql", {name: [row[place] for row in rows] for place, name in enumerate(names)})


def read_function(reference: str, root: Path) -> FleetTable:
    """Call a function of the use case that returns a DataFrame with one row per asset."""
    frame = call(reference, root, asset="fleet", step="assets")
    if not (hasattr(frame, "to_dict") and hasattr(frame, "columns")):
        raise UseCaseError(f"fleet, assets: {reference} returned {type(frame).__name__}, not a DataFrame")
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    return FleetTable(reference, {str(name): frame[name].astype(object).tolist() for name in frame.columns})


def _bytes(path: str, root: Path) -> bytes:
    try:
        if is_url(path):
            import fsspec  # noqa: PLC0415 - only for URLs

            with fsspec.open(path, "rb") as file:
                return bytes(file.read())
        return (root / path).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ConfigError(f"fleet.assets: there is no file {path!r}{_nearest_file(path, root)}") from None
    except (OSError, ImportError) as error:
        raise UnavailableError(f"fleet.assets: {path} cannot be read: {error}") from error
    except ValueError as error:  # a URL with an unknown protocol, a path with a null byte
        raise ConfigError(f"fleet.assets: {path!r} cannot be opened: {error}") from error


def _nearest_file(path: str, root: Path) -> str:
    folder = (root / path).parent
    names = [item.name for item in folder.iterdir()] if not is_url(path) and folder.is_dir() else []
    hint = nearest(Path(path).name, [name for name in names if Path(name).suffix in (".csv", ".parquet", ".txt")])
    return hint if "did you mean" in hint else f" in {folder.name}" if folder.is_dir() else ""


def _csv(data: bytes, name: str, id_column: str) -> FleetTable:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(f"{name}, line {line}: not UTF-8 text; save it as UTF-8 (in Excel: CSV UTF-8)") from None
    _check_header(text, name)
    columns = {id_column: pa.string()}
    table = _arrow_csv(text, name, columns)
    plain = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_string, pa.types.is_null)
    texts = {
        column.name: pa.string() for column in table.schema if not any(is_plain(column.type) for is_plain in plain)
    }
    if texts:  # dates, times: an attribute is what the file says
        table = _arrow_csv(text, name, columns | texts)
    return FleetTable(name, {column: table[column].to_pylist() for column in table.column_names}, text)


def _check_header(text: str, name: str) -> None:
    try:
        header = next(_records(text), [])
    except csv.Error as error:
        raise ConfigError(f"{name}: not a CSV file: {error}") from None
    if not header:
        raise ConfigError(f"{name} is empty; its first line names the columns")
    if len(header) == 1 and (sign := next((sign for sign in ";\t|" if sign in header[0]), None)):
        raise ConfigError(f"{name}, line 1: the columns are separated by {sign!r}; save it with commas")
    for column in header:
        if not column or column != column.strip():
            raise ConfigError(f"{name}, line 1: the column name {column!r} is empty or has spaces around it")
        if header.count(column) > 1:
            raise ConfigError(f"{name}, line 1: two columns are named {column!r}")


def _arrow_csv(text: str, name: str, columns: Mapping[str, pa.DataType]) -> pa.Table:
    convert = pacsv.ConvertOptions(column_types=columns, null_values=[""], strings_can_be_null=True)
    try:
        return pacsv.read_csv(
            io.BytesIO(text.encode()),
            read_options=pacsv.ReadOptions(use_threads=False),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=convert,
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowNotImplementedError) as error:
        reason = str(error).removeprefix("CSV parse error: ").replace("\n", " ")
        raise ConfigError(f"{name}: not a table of commas and lines: {reason[:200]}") from None


def _records(text: str) -> Iterator[list[str]]:
    return (record for record in csv.reader(io.StringIO(text, newline="")) if record)


def _line_numbers(text: str) -> list[int]:
    """Return the line on which each record after the header starts."""
    reader = csv.reader(io.StringIO(text, newline=""))
    lines, before = [], 0
    try:
        for record in reader:
            if record:
                lines.append(before + 1)
            before = reader.line_num
    except csv.Error:
        return []
    return lines[1:]


def _parquet(path: str, root: Path) -> FleetTable:
    import pyarrow.parquet as pq  # noqa: PLC0415 - only for fleets in Parquet

    source: Any = rooted_path(path, root)
    if not Path(source).is_dir():
        source = io.BytesIO(_bytes(path, root))
    try:
        table = pq.read_table(source)
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"fleet.assets: {path} is not Parquet that can be read: {error}") from error
    return FleetTable(path, {column: table[column].to_pylist() for column in table.column_names})
