"""A seed has the values and types that dbt gives it: those of DuckDB's COPY, or of agate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from dagster_models.dbt.properties.agate_types import type_of
from dagster_models.dbt.properties.seeds import SeedFile, seed_file
from dagster_models.warehouses.duckdb.session import _SEED_WORDS
from dagster_models.warehouses.seeds import read_seed
from dbt_cases import manifest_of, step


def imported(folder: Path, text: str, adapter: str = "duckdb", **config: Any) -> SeedFile:
    node = {**step("s", kind="seed", config=config), "original_file_path": "seeds/s.csv"}
    manifest = manifest_of(folder, node, adapter=adapter)
    (folder / "seeds").mkdir(exist_ok=True)
    (folder / "seeds/s.csv").write_text(text, encoding="utf-8")
    return seed_file(manifest.nodes["seed.shop.s"], manifest)


def ours(folder: Path, seed: SeedFile) -> list[tuple[Any, ...]]:
    """The rows that our own reader makes of the file."""
    (folder / "ours.csv").write_bytes(seed.data)
    read = read_seed(str(folder / "ours.csv"), seed.column_types, _SEED_WORDS)
    with duckdb.connect() as session:
        session.register("texts", read.table)
        casts = [
            f'cast("{name}" as {type_})'
            for name, type_ in zip(read.table.column_names, read.types, strict=True)
        ]
        return session.execute(f"select {', '.join(casts)} from texts").fetchall()


def theirs(folder: Path, types: str, delimiter: str = ",") -> list[tuple[Any, ...]]:
    """The rows of the statement that dbt-duckdb sends."""
    with duckdb.connect() as session:
        session.execute(f"create table s ({types})")
        options = f"format csv, header true, delimiter '{delimiter}'"
        session.execute(f"copy s from '{folder}/seeds/s.csv' ({options})")
        return session.execute("from s").fetchall()


@pytest.mark.parametrize(
    ("cells", "type_"),
    [
        (["1", "", "null", "-3"], "integer"),
        (["01", "1_000", "1e3", "1.0"], "integer"),
        (["1.5", "2"], "float8"),
        (["$1,000", "50%"], "integer"),
        ([], "integer"),
        (["", "NULL"], "integer"),
        (["2024-01-02", "2024-1-3"], "date"),
        (["2024-01-02 10:00:00", ""], "timestamp without time zone"),
        (["2024-01-02T10:00:00Z", "20240102T1000"], "timestamp without time zone"),
        (["2024-01-02", "2024-01-02 10:00:00"], "text"),
        (["true", "FALSE", "null"], "boolean"),
        (["yes", "no"], "text"),
        (["1", "a"], "text"),
    ],
)
def test_types_are_those_of_dbt(cells: list[str], type_: str) -> None:
    """As dbt-core 1.12 with agate 1.9 has inferred them."""
    assert type_of(cells) == type_


def test_a_file_that_is_read_alike_stays_byte_for_byte(tmp_path: Path) -> None:
    text = 'id,zip,born,n\n1,01234,1990-01-02,"a, ""b"""\n2,,,\n'
    seed = imported(tmp_path, text, column_types={"zip": "varchar", "gone": "int"})
    assert seed.data == text.encode()
    assert seed.column_types == {"id": "integer", "zip": "varchar"}
    assert [it.what for it in seed.remarks] == [
        "`column_types` names columns that the file lacks, which dbt ignores: gone"
    ]
    types = "id integer, zip varchar, born date, n text"
    assert ours(tmp_path, seed) == theirs(tmp_path, types)


@pytest.mark.parametrize(
    ("text", "types", "delimiter", "why"),
    [
        ('a;b\n"1";"one;two"\n', "a integer, b text", ";", "its delimiter is ';'"),
        # DuckDB takes ' for the quote here.
        ("q,r\n'it''s',1\n'',2\n", "q text, r integer", ",", "line 2, column q: dbt reads"),
        ("n,d\n1e3,2024-1-2\n01,2024-01-03\n", "n integer, d date", ",", "dbt reads '1000'"),
        ("b,c\ntrue,1.0\nfalse,2\n", "b boolean, c integer", ",", "column c: dbt reads '1'"),
    ],
)
def test_a_file_that_dbt_reads_otherwise_is_written_with_its_values(
    tmp_path: Path, text: str, types: str, delimiter: str, why: str
) -> None:
    seed = imported(tmp_path, text, delimiter=delimiter)
    (remark,) = seed.remarks
    assert why in remark.what
    assert ours(tmp_path, seed) == theirs(tmp_path, types, delimiter)


def test_a_number_with_more_digits_than_a_float_is_written_as_dbt_stores_it(
    tmp_path: Path,
) -> None:
    """In dbt_utils' own tests: a seed with such a number would not load here."""
    text = "id,f\n1,62.3888186\n2,0.5\n3,16777217\n"
    seed = imported(tmp_path, text, column_types={"f": "float"})
    assert "line 2, column f: dbt reads '62.388817'" in seed.remarks[0].what
    assert ours(tmp_path, seed) == theirs(tmp_path, "id integer, f float")
    exact = imported(tmp_path, "f\n0.5\n", column_types={"f": "float"})
    assert (exact.data, exact.remarks) == (b"f\n0.5\n", ())


def test_empty_cells_and_the_word_null(tmp_path: Path) -> None:
    """COPY reads `""` as NULL, and keeps the word null in a text; agate has NULL for both."""
    text = 'id,note\n1,""\n2,null\n3,x\n'
    assert ours(tmp_path, imported(tmp_path, text)) == [(1, None), (2, "null"), (3, "x")]
    of_agate = imported(tmp_path, text, adapter="postgres")
    assert ours(tmp_path, of_agate) == [(1, None), (2, None), (3, "x")]


@pytest.mark.parametrize("value", ["1", "0.5", "2024-01-02", "true", "2024-01-02 10:00:00"])
def test_the_word_null_is_no_value_of_a_type_that_agate_guesses(tmp_path: Path, value: str) -> None:
    """A number, a date and so on beside it: here such a cell would be an error of the build."""
    seed = imported(tmp_path, f"id,x\n1,{value}\n2,null\n3, NULL\n", adapter="postgres")
    assert seed.data == f"id,x\n1,{value}\n2,\n3,\n".encode()
    assert "line 3, column x: dbt reads None" in seed.remarks[0].what


def test_numbers_as_other_adapters_insert_them(tmp_path: Path) -> None:
    seed = imported(tmp_path, 'price,share\n"$1,000",50%\n2,\n', adapter="postgres")
    assert ours(tmp_path, seed) == [(1000, 50), (2, None)]


def test_names_without_quotes_are_folded_as_postgres_folds_them(tmp_path: Path) -> None:
    seed = imported(tmp_path, "Id\n1\n", adapter="postgres", quote_columns=False)
    assert seed.data == b"id\n1\n"
    assert imported(tmp_path, "Id\n1\n", adapter="postgres").data == b"Id\n1\n"


def test_a_file_that_dbt_cannot_load_is_reported(tmp_path: Path) -> None:
    seed = imported(tmp_path, "id\nx\n", column_types={"id": "integer"})
    assert "dbt cannot load the file either" in seed.remarks[0].what


def test_a_time_in_a_column_of_dates_is_the_date_that_postgres_makes_of_it(tmp_path: Path) -> None:
    text = "at\n2008-09-12 19:08:31\n2008-09-13\n"
    seed = imported(tmp_path, text, "postgres", column_types={"at": "date"})
    assert seed.data == b"at\n2008-09-12\n2008-09-13\n"


@pytest.mark.parametrize("adapter", ["duckdb", "postgres"])
def test_a_row_with_more_cells_than_the_header_is_not_cut(tmp_path: Path, adapter: str) -> None:
    """dbt does not load such a file, and neither is it loaded here."""
    text = "a,b\n1,2,3\n"
    seed = imported(tmp_path, text, adapter)
    assert seed.data == text.encode()
    (remark,) = seed.remarks
    assert remark.what == "dbt cannot load the file either: a row has 3 cells, and the header 2"
