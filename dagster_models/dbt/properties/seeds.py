"""A seed of dbt -> its file, and what ``seeds:`` of dagster_models.yaml says of it.

The file stays byte for byte if it is read here as dbt reads it. If not, it is written with the
values that dbt has: dbt-duckdb leaves the reading to DuckDB's COPY, whose rules are applied by
running it, and other adapters insert what agate has read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.project.remarks import Remark, Weight
from dagster_models.dbt.properties import agate_types
from dagster_models.util import csv_table
from dagster_models.util.csv_table import BadCsv
from dagster_models.util.seed_types import SeedType, guess, reader_of

#: Types of dbt that are the ones that are guessed here.
_GUESSED = {
    SeedType.WHOLE: ("bigint", "int8"),
    SeedType.DECIMAL: ("float8", "double", "double precision"),
    SeedType.DATE: ("date",),
    SeedType.TIMESTAMP: ("timestamp", "timestamp without time zone"),
    SeedType.BOOLEAN: ("boolean", "bool"),
    SeedType.TEXT: ("text", "varchar", "string", "character varying"),
}
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?")
_FOLDING = ("postgres", "redshift")  #: adapters whose names are in lower case without quotes


@dataclass(frozen=True, slots=True)
class SeedFile:
    data: bytes
    column_types: Mapping[str, str]
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class _Columns:
    """What dbt has of a file: each column with its type in SQL, and its values as texts."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    cells: Sequence[Sequence[str | None]]


def seed_file(node: DbtNode, manifest: Manifest) -> SeedFile:
    """Raises OSError if the file cannot be read."""
    path = manifest.seed_path(node)
    data = path.read_bytes()
    config, remarks = node.config, [*_lost_types(node, data)]
    delimiter = str(config.get("delimiter") or ",")
    try:
        found = _as_dbt(path, data, delimiter, config.get("column_types") or {}, manifest)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        what = f"dbt cannot load the file either: {str(error).splitlines()[0]}"
        return SeedFile(data, {}, (*remarks, Remark(node.unique_id, what, Weight.DIFFERS)))
    folds = manifest.adapter_type in _FOLDING and config.get("quote_columns") is False
    names = tuple(name.strip().lower() if folds else name.strip() for name in found.names)
    found = _Columns(names, found.types, found.cells)
    why = _why_written(data, found, delimiter, manifest.adapter_type)
    if why:
        data = _written(found)
        remarks.append(Remark(node.unique_id, f"the file is written anew: {why}", Weight.NOTE))
    return SeedFile(data, _column_types(data, found), tuple(remarks))


def _lost_types(node: DbtNode, data: bytes) -> list[Remark]:
    header = data.decode("utf-8-sig", "replace").splitlines()[:1]
    delimiter = str(node.config.get("delimiter") or ",")
    names = next(csv.reader(header, delimiter=delimiter), [])
    lost = [name for name in node.config.get("column_types") or {} if name not in names]
    what = "`column_types` names columns that the file lacks, which dbt ignores: "
    return [Remark(node.unique_id, what + ", ".join(lost), Weight.NOTE)] if lost else []


def _as_dbt(
    path: Path, data: bytes, delimiter: str, given: Mapping[str, str], manifest: Manifest
) -> _Columns:
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=delimiter))
    names, rows = tuple(rows[0] if rows else ()), [row for row in rows[1:] if row]
    if longer := next((row for row in rows if len(row) > len(names)), None):
        raise ValueError(f"a row has {len(longer)} cells, and the header {len(names)}")
    columns = [[row[at] if at < len(row) else "" for row in rows] for at in range(len(names))]
    types = tuple(
        given.get(name) or agate_types.type_of(cells)
        for name, cells in zip(names, columns, strict=True)
    )
    if manifest.adapter_type == "duckdb":
        return _Columns(names, types, _copied(path, names, types, delimiter))
    cells = [
        [_read_by_agate(cell, type_, name in given) for cell in column]
        for name, type_, column in zip(names, types, columns, strict=True)
    ]
    return _Columns(names, types, cells)


def _copied(
    path: Path, names: Sequence[str], types: Sequence[str], delimiter: str
) -> list[list[str | None]]:
    """The rows of dbt-duckdb's own statement, in a database in memory. Raises ValueError for a file
    that DuckDB does not load."""
    import duckdb  # imports for other adapters need not wait for it

    listed = [f'"{name}" {type_}' for name, type_ in zip(names, types, strict=True)]
    quoted = [text.replace("'", "''") for text in (str(path), delimiter)]
    try:
        with duckdb.connect() as session:
            session.execute("set TimeZone = 'UTC'")
            session.execute(f"create table seed ({', '.join(listed)})")
            options = f"format csv, header true, delimiter '{quoted[1]}'"
            session.execute(f"copy seed from '{quoted[0]}' ({options})")
            texts = ", ".join(f'cast("{name}" as varchar)' for name in names)
            rows = session.execute(f"select {texts} from seed").fetchall()
    except duckdb.Error as error:
        raise ValueError(str(error)) from error
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]


def _read_by_agate(cell: str, type_: str, forced: bool) -> str | None:
    if agate_types.is_null(cell):
        return None
    if forced and type_.lower() == "date" and (moment := _MOMENT.fullmatch(cell.strip())):
        return moment[1]  # as the warehouse reads it, which dbt gives the text
    if forced or type_ == "text":
        return cell
    if type_ in ("integer", "float8"):
        found = agate_types.number(cell)
        return cell if found is None else format(found, "f") if found.is_finite() else str(found)
    return cell.strip().lower() if type_ == "boolean" else cell.strip()


def _why_written(data: bytes, found: _Columns, delimiter: str, adapter: str) -> str:
    """Why the file cannot stay as it is; "" if it is read here with the same values."""
    if delimiter != ",":
        return f"its delimiter is {delimiter!r}"
    try:
        table = csv_table.read(data)
    except BadCsv as error:
        return str(error)
    if table.bad is not None or table.names != found.names:
        return str(table.bad) if table.bad else "its columns have other names"
    if len(table.lines) != len(found.cells[0] if found.cells else ()):
        return "dbt reads another number of rows"
    for name, type_, ours, theirs in zip(
        found.names, found.types, table.columns, found.cells, strict=True
    ):
        is_duckdb = adapter == "duckdb"
        read = reader_of(type_, 3 if is_duckdb else None, "real" if is_duckdb else "double")
        for line, own, their in zip(table.lines, ours, theirs, strict=True):
            unreadable = read is not None and own is not None and read(own.strip()) is None
            other = (own is None) != (their is None) or (read is None and own != their)
            if unreadable or other:
                return f"line {line}, column {name}: dbt reads {their!r}"
    return ""


def _written(found: _Columns) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(found.names)
    writer.writerows(zip(*found.cells, strict=True))
    return out.getvalue().encode()


def _column_types(data: bytes, found: _Columns) -> dict[str, str]:
    """The types that are not those which are guessed here."""
    table = csv_table.read(data)
    types = {}
    for name, type_, cells in zip(found.names, found.types, table.columns, strict=True):
        guessed = guess(cells)
        same = type_.lower() in _GUESSED[guessed.type_] and guessed.doubtful is None
        if not same:
            types[name] = type_
    return types
