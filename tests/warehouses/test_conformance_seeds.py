"""What every warehouse makes of seeds: asked of each. See test_conformance.py."""

from __future__ import annotations

import datetime as dt
import decimal
from pathlib import Path

import pytest

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.python_code import LoadedFile
from dagster_models.core.stand_ins import OWN_COLUMN, OWN_RELATION
from dagster_models.core.tasks import BuildTask, CsvFile
from dagster_models.errors import WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import WarehouseSession
from dagster_models.warehouses.transactional import TransactionalSession
from systems import System, T, published


def seed(session: WarehouseSession, path: Path, text: str, **types: str) -> int:
    path.write_text(text, encoding="utf-8")
    content = CsvFile(LoadedFile(str(path)), types)
    if not isinstance(session, TransactionalSession):
        return published(session, content) or 0
    session.begin()
    try:
        rows = session.replace_table(T, content)
    except BaseException:
        session.rollback()
        raise
    session.commit()
    return rows


def test_a_seed_has_inferred_types(
    system: System, session: WarehouseSession, tmp_path: Path
) -> None:
    text = 'n,day,name,x,at,yes\n1,2020-01-01,a,1.5,2020-01-01 10:00:00,true\n2,,"b, c",,,false\n'
    assert seed(session, tmp_path / "a.csv", text) == 2
    kinds = ("BIGINT", "DATE", "VARCHAR", "DOUBLE", "TIMESTAMP", "BOOLEAN")
    assert [type_ for _, type_ in session.columns(T)] == [system.type_of(kind) for kind in kinds]
    moment = dt.datetime(2020, 1, 1, 10)
    assert session.query("select * from s.t order by n")[1] == [
        (1, dt.date(2020, 1, 1), "a", 1.5, moment, True),
        (2, None, "b, c", None, None, False),
    ]


def test_a_seed_with_types(session: WarehouseSession, tmp_path: Path) -> None:
    text = "zip,n\n01234,1\n"
    assert seed(session, tmp_path / "a.csv", text, zip="VARCHAR", n="DECIMAL(9,2)") == 1
    assert session.query("select zip, n from s.t")[1] == [("01234", decimal.Decimal("1.00"))]


def test_a_type_is_that_of_all_rows(
    system: System, session: WarehouseSession, tmp_path: Path
) -> None:
    assert seed(session, tmp_path / "a.csv", "n\n" + "1\n" * 30_000 + "x\n") == 30_001
    assert session.columns(T) == (("n", system.type_of("VARCHAR")),)


def test_a_seeds_name_is_no_pattern(session: WarehouseSession, tmp_path: Path) -> None:
    (tmp_path / "a1.csv").write_text("n\n1\n2\n")
    assert seed(session, tmp_path / "a[1].csv", "n\n7\n") == 1
    assert seed(session, tmp_path / "a*.csv", "n\n8\n") == 1
    assert session.query("select n from s.t")[1] == [(8,)]


def test_a_seed_of_a_header_alone(session: WarehouseSession, tmp_path: Path) -> None:
    assert seed(session, tmp_path / "a.csv", "n,m\n") == 0
    assert [name for name, _ in session.columns(T)] == ["n", "m"]


@pytest.mark.feature("seed_error_line")
@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("a,b\n1,x\n2,y,z\n3,w\n", 3, "3 values, the header has 2"),
        ("a,b\n1,x\n2\n3,w\n", 3, "1 values, the header has 2"),
        ('a,b\n1,"x\ny"\n2\n3,w\n', 4, "1 values, the header has 2"),
        ("a,b\n" + "1,x\n" * 30_000 + "2,y,z\n", 30_002, "3 values, the header has 2"),
    ],
)
def test_a_seed_with_a_bad_row(
    session: WarehouseSession, tmp_path: Path, text: str, line: int, told: str
) -> None:
    with pytest.raises(WarehouseError) as caught:
        seed(session, tmp_path / "a.csv", text)
    assert caught.value.line == line
    assert told in caught.value.message
    assert "a.csv" in caught.value.message


@pytest.mark.feature("seed_error_line")
def test_a_seed_with_a_bad_value(session: WarehouseSession, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError) as caught:
        seed(session, tmp_path / "a.csv", "n\n1\noops\n", n="INTEGER")
    assert caught.value.line == 3
    assert "oops" in caught.value.message
    assert "a.csv" in caught.value.message


@pytest.mark.parametrize("types", [{"zz": "INTEGER"}, {"n": "NOTYPE"}])
def test_a_seed_with_wrong_types(
    session: WarehouseSession, tmp_path: Path, types: dict[str, str]
) -> None:
    with pytest.raises(WarehouseError) as caught:
        seed(session, tmp_path / "a.csv", "n\n1\n", **types)
    said = caught.value.message.lower()
    assert next(iter({*types, *types.values()} & {"zz", "NOTYPE"})).lower() in said


def test_a_seed_that_is_not_there(session: WarehouseSession) -> None:
    with pytest.raises(WarehouseError, match=r"nowhere\.csv"):
        session.replace_table(T, CsvFile(LoadedFile("nowhere.csv")))


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3,4\n5,6,7\n",
        "a\n1,2\n3,4\n",
        "a,b\n'x,y',2\n",
        "My title\na,b\n1,2\n",
        "a,b\n1,2\n# note\n3,4\n",
    ],
)
def test_a_seed_loses_no_line_in_silence(
    session: WarehouseSession, tmp_path: Path, text: str
) -> None:
    """DuckDB's reader would skip what does not fit above the longest table that it can find."""
    with pytest.raises(WarehouseError):
        seed(session, tmp_path / "s.csv", text)


AS_WRITTEN = {
    "two-digit years": ("01/02/24", "13/02/24"),
    "day or month": ("01/02/2024", "03/04/2024"),
    "twelve hours": ("01/02/2024 01:00:00 PM", "03/04/2024 01:00:00 PM"),
    "Norway": ("NO", "NO"),
    "flags": ("t", "f"),
    "hexadecimal": ("0x1A", "0x2B"),
    "leading zeros": ("01234", "98765"),
    "exponents": ("1e5", "2E3"),
    "signs": ("+49", "+1"),
    "thousands": ("1,000", "2,000"),
    "64 bits": ("9223372036854775808", "1"),
    "digits": ("0.12345678901234567890", "1.5"),
    "too large for a double": ("9007199254740993", "1.5"),
    "dates and times": ("2024-01-02", "2024-01-02 10:00:00"),
    "zones": ("2024-01-02 10:00:00+02:00", "2024-01-02 10:00:00Z"),
    "clocks": ("10:00", "11:30:05"),
    "no day": ("2024-02-30", "2024-02-01"),
    "nanoseconds": ("2024-02-01 10:00:00.123456789", "2024-02-01 10:00:00"),
    "words": ("nan", "1.5"),
    "spaces": (" 1", "2"),
    "digits of other scripts": ("1\u0662", "2"),
    "underscores": ("1_000", "2"),
}


@pytest.mark.parametrize("kind", AS_WRITTEN)
def test_a_seeds_cells_stay_what_is_written(
    system: System, session: WarehouseSession, tmp_path: Path, kind: str
) -> None:
    cells = AS_WRITTEN[kind]
    seed(
        session, tmp_path / "a.csv", "id,v\n" + "".join(f'{n},"{c}"\n' for n, c in enumerate(cells))
    )
    assert session.columns(T)[1] == ("v", system.type_of("VARCHAR"))
    assert [row[0] for row in session.query("select v from s.t order by id")[1]] == [*cells]


def test_plain_values_have_their_types(
    system: System, session: WarehouseSession, tmp_path: Path
) -> None:
    text = (
        "a,b,c,d,e,f\n-9223372036854775808,-0.1,0001-01-01,2024-02-29T23:59:59.999999,TRUE,\n,3,,,,"
    )
    assert seed(session, tmp_path / "a.csv", text) == 2
    kinds = ("BIGINT", "DOUBLE", "DATE", "TIMESTAMP", "BOOLEAN", "VARCHAR")
    assert [type_ for _, type_ in session.columns(T)] == [system.type_of(kind) for kind in kinds]
    moment = dt.datetime(2024, 2, 29, 23, 59, 59, 999999)
    row = (-(2**63), -0.1, dt.date(1, 1, 1), moment, True, None)
    assert session.query("select * from s.t order by a")[1][0] == row


@pytest.mark.parametrize(
    ("type_", "cell"),
    [
        ("DATE", "01/02/2024"),
        ("DATE", "2024-02-30"),
        ("DATE", "2024-02-01 10:00"),
        ("TIMESTAMP", "01/02/2024 10:00"),
        ("TIMESTAMP", "2024-02-01 10:00:00.1234567"),
        ("TIMESTAMPTZ", "2024-02-01 10:00:00"),
        ("INTEGER", "1.5"),
        ("INTEGER", "99999999999"),
        ("DECIMAL(9,2)", "1.239"),
        ("DECIMAL(9)", "1.5"),
        ("BOOLEAN", "maybe"),
        ("INTEGER", "1\u0662"),
        ("TIME", "8:15"),
        ("REAL", "16777217"),
        ("DOUBLE PRECISION", "9007199254740993"),
        ("REAL", "0.123456789012"),
        ("REAL", "1e39"),
        ("DOUBLE PRECISION", "1_0"),
    ],
)
@pytest.mark.feature("seed_error_line")
def test_a_cell_that_is_no_value_of_its_declared_type_is_refused(
    session: WarehouseSession, tmp_path: Path, type_: str, cell: str
) -> None:
    with pytest.raises(WarehouseError) as caught:
        seed(session, tmp_path / "a.csv", f'id,v\n1,\n"2\n\n",{cell}\n', v=type_)
    assert caught.value.line == 3
    assert "`v`" in caught.value.message
    assert "a.csv" in caught.value.message


def test_a_float_has_all_digits_of_its_cell(session: WarehouseSession, tmp_path: Path) -> None:
    types = {"r": "real", "d": "double precision"}
    text = "r,d\n0.1,0.30000000000000004\n16777216,-1e300\n3.40282347e38,9007199254740992\n,NaN\n"
    seed(session, tmp_path / "a.csv", text, **types)
    rows = session.query("select cast(r as varchar), d from s.t order by d")[1]
    assert [row[1] for row in rows[:3]] == [-1e300, 0.30000000000000004, 9007199254740992]
    assert [float(row[0]) for row in rows[:3]] == [16777216, 0.1, pytest.approx(3.4028235e38)]


def test_declared_types_find_their_columns_in_any_case(
    system: System, session: WarehouseSession, tmp_path: Path
) -> None:
    types = {
        "code": "INTEGER",
        "AMOUNT": "DECIMAL(9,2)",
        "day": "date",
        "at": "timestamptz",
        "ok": "bool",
    }
    text = "Code,Amount,Day,At,Ok\n007,1.50,2024-02-01,2024-02-01 12:00:00+02:00,Y\n"
    seed(session, tmp_path / "a.csv", text, **types)
    assert session.columns(T)[1] == ("Amount", system.type_of("DECIMAL(9,2)"))
    (row,) = session.query('select "Code", "Amount", "Day", "Ok" from s.t')[1]
    assert row == (7, decimal.Decimal("1.50"), dt.date(2024, 2, 1), True)
    (row,) = session.query("select \"At\" = '2024-02-01 10:00:00+00' from s.t")[1]
    assert row == (True,)


@pytest.mark.parametrize(
    "data",
    [
        b"id,t\r1,a\r2,b\r",
        b"id,t\n1,a\r\n2,b\n",
        b"id,t\r\r\n1,a\r\r\n2,b\r\r\n",
        b"\xef\xbb\xbfid,t\r\n1,a\r\n2,b",
    ],
)
def test_lines_end_as_on_any_system(session: WarehouseSession, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    assert session.replace_table(T, CsvFile(LoadedFile(str(tmp_path / "a.csv")))) == 2
    assert session.query("select id, t from s.t order by id")[1] == [(1, "a"), (2, "b")]


def test_a_seeds_texts_are_kept_to_the_character(session: WarehouseSession, tmp_path: Path) -> None:
    texts = ["x" * 3_000_000, "a\r\nb", ' "q" ', "é, 😀"]
    lines = ['"' + text.replace('"', '""') + '"' for text in texts]
    (tmp_path / "a.csv").write_bytes(("t\n" + "\n".join(lines)).encode())
    session.replace_table(T, CsvFile(LoadedFile(str(tmp_path / "a.csv"))))
    assert sorted(row[0] for row in session.query("select t from s.t")[1]) == sorted(texts)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"\xef\xbb\xbf", 1),
        (b"id,t\n1,a\n2,\xff\n", 3),
        (b'id,t\n1,"a\n2,b\n', 2),
        (b'id,t\n1,"a"b\n', 2),
    ],
)
def test_what_is_no_csv_is_refused_with_its_line(
    session: WarehouseSession, tmp_path: Path, data: bytes, line: int
) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(WarehouseError, match=rf"a\.csv: line {line}: ") as caught:
        session.replace_table(T, CsvFile(LoadedFile(str(tmp_path / "a.csv"))))
    assert caught.value.line == line


@pytest.mark.parametrize(("cell", "verdict"), [("Ann", "COMMITTED"), ("", "ROLLED_BACK")])
def test_a_check_finds_its_column_in_any_case(
    session: WarehouseSession, tmp_path: Path, cell: str, verdict: str
) -> None:
    """YAML's FullName is folded as SQL's is, and a seed keeps it."""
    session.prepare(["s"])
    (tmp_path / "a.csv").write_text(f"Id,FullName\n1,{cell}\n")
    check = CheckTask(
        "c", f"select * from {OWN_RELATION} where {OWN_COLUMN} is null", "error", ("fullname",)
    )
    content = CsvFile(LoadedFile(str(tmp_path / "a.csv")))
    task = BuildTask("run", "s.t", 1, T, content, checks=(check,))
    outcome = run(session, task, Stop())
    assert (outcome.verdict.name, outcome.checks[0].error) == (verdict, None)
