"""What a DuckDB target attaches: real DuckDB files with their locks, folders of files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from addresses import duckdb_at
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.client.session import connect as connect_by_process
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import WarehouseSession
from dagster_models.warehouses.duckdb.session import connect
from tasks import sql_task


@contextmanager
def opened(tmp_path: Path, **attach: dict[str, str]) -> Iterator[WarehouseSession]:
    warehouse = connect({"path": str(tmp_path / "w.duckdb"), "attach": attach})
    session = warehouse.session()
    try:
        yield session
    finally:
        session.close()
        warehouse.close()


def make_database(path: Path, *statements: str) -> Path:
    with closing(duckdb.connect(str(path))) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def shop(path: Path, value: int = 1) -> Path:
    orders = f"create table raw.orders as select {value} as n"
    return make_database(path, "create schema raw", orders)


def write(path: Path, query: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(duckdb.connect()) as connection:
        options = "format csv, header" if path.name.endswith((".csv", ".gz")) else "format parquet"
        connection.execute(f"copy ({query}) to '{path}' ({options})")
    return path


def refused(tmp_path: Path, **attach: dict[str, str]) -> str:
    with pytest.raises(WarehouseError) as raised, opened(tmp_path, **attach):
        pass
    assert raised.value.message.startswith("`attach: it`: "), raised.value.message
    return raised.value.message.removeprefix("`attach: it`: ")


# --- DuckDB files --------------------------------------------------------------------------------


def test_a_duckdb_file_is_read_and_never_written(tmp_path: Path) -> None:
    path = shop(tmp_path / "shop.duckdb")
    before = path.read_bytes()
    with opened(tmp_path, shop={"duckdb": str(path)}) as session:
        session.prepare(["main"])
        assert session.query("from shop.raw.orders")[1] == [(1,)]
        session.build(sql_task("main.t", "select n + 1 as n from shop.raw.orders"))
        assert session.query("from t")[1] == [(2,)]
        session.discard()
        for statement in ("create table shop.raw.t (n int)", "delete from shop.raw.orders"):
            with pytest.raises(WarehouseError, match="read-only"):
                session.execute(statement)
    assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["shop.duckdb", "w.duckdb"]


HOLDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("on", flush=True)
sys.stdin.readline()
"""


def test_a_file_that_somebody_writes_is_an_error_that_names_him(tmp_path: Path) -> None:
    path = shop(tmp_path / "shop.duckdb")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "on\n"
        with (
            pytest.raises(WarehouseError) as raised,
            opened(tmp_path, it={"duckdb": str(path)}),
        ):
            pass
        holder.stdin.write("\n")
        holder.stdin.close()
    # Of this kind: a client waits for it as long as for the target's own file.
    assert raised.value.kind is ErrorKind.IN_USE
    assert f"pid {holder.pid}" in raised.value.message
    with opened(tmp_path, it={"duckdb": str(path)}) as session:
        assert session.query("from it.raw.orders")[1] == [(1,)]


def test_another_file_of_that_name_is_read_by_the_next_transaction(tmp_path: Path) -> None:
    path = shop(tmp_path / "shop.duckdb", 1)
    with opened(tmp_path, shop={"duckdb": str(path)}) as session:
        session.begin()
        assert session.query("from shop.raw.orders")[1] == [(1,)]
        os.replace(shop(tmp_path / "new.duckdb", 2), path)
        assert session.query("from shop.raw.orders")[1] == [(1,)]
        session.commit()
        session.begin()
        assert session.query("from shop.raw.orders")[1] == [(2,)]
        session.commit()
        path.unlink()
        with pytest.raises(WarehouseError, match="`attach: shop`: there is no file"):
            session.begin()


def test_one_transaction_goes_on_reading_while_another_begins_with_a_new_file(
    tmp_path: Path,
) -> None:
    path = shop(tmp_path / "shop.duckdb", 1)
    warehouse = connect(
        {"path": str(tmp_path / "w.duckdb"), "attach": {"shop": {"duckdb": str(path)}}}
    )
    one, other = warehouse.session(), warehouse.session()
    one.begin()
    os.replace(shop(tmp_path / "new.duckdb", 2), path)
    other.begin()
    assert other.query("from shop.raw.orders")[1] == [(2,)]
    assert one.query("from shop.raw.orders")[1] == [(1,)]
    for session in (one, other):
        session.close()
    warehouse.close()


def test_what_is_no_file_of_duckdb(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "x.duckdb").write_text("a text of some length that is no database\n" * 400)
    assert "there is no file" in refused(tmp_path, it={"duckdb": str(tmp_path / "no.duckdb")})
    assert "write `{files: ...}`" in refused(tmp_path, it={"duckdb": str(tmp_path / "folder")})
    assert "not a valid DuckDB database" in refused(
        tmp_path, it={"duckdb": str(tmp_path / "x.duckdb")}
    )


# --- folders -------------------------------------------------------------------------------------


def test_files_and_folders_of_files_are_tables(tmp_path: Path) -> None:
    lake = tmp_path / "la[k]e"
    write(lake / "orders.parquet", "select 1 as n, 'a' as t")
    write(lake / "rates.csv", "select 2 as n")
    write(lake / "days" / "day=2026-01-01" / "x.parquet", "select 3 as n")
    write(lake / "days" / "day=2026-01-02" / "x.parquet", "select 4 as n")
    write(lake / "_temporary" / "x.parquet", "select 5 as n")
    (lake / "README.md").write_text("nothing")
    (lake / "empty").mkdir()
    with opened(tmp_path, lake={"files": str(lake)}) as session:
        assert session.query("from lake.main.orders")[1] == [(1, "a")]
        assert session.query("select n from lake.rates")[1] == [(2,)]
        days = "select n, day::text from lake.main.days order by n"
        assert session.query(days)[1] == [(3, "2026-01-01"), (4, "2026-01-02")]
        tables = "select view_name from duckdb_views() where database_name = 'lake'"
        tables += " and not internal"
        assert sorted(session.query(tables)[1]) == [("days",), ("orders",), ("rates",)]
        with pytest.raises(WarehouseError, match="read-only"):
            session.execute("create table lake.main.t (n int)")
    with opened(tmp_path, lake={"files": f"{tmp_path}/la[[]k[]]e/*.parquet"}) as session:
        assert session.query(tables)[1] == [("orders",)]


def test_columns_of_several_files_meet_by_name(tmp_path: Path) -> None:
    for ending in ("csv", "parquet"):
        write(tmp_path / "lake" / ending / f"1.{ending}", "select 1 as a, 10 as b")
        write(tmp_path / "lake" / ending / f"2.{ending}", "select 20 as b, 2 as a, 3 as c")
    with opened(tmp_path, lake={"files": str(tmp_path / "lake")}) as session:
        for table in ("csv", "parquet"):
            rows = session.query(f"select a, b, c from lake.{table} order by a")[1]
            assert rows == [(1, 10, None), (2, 20, 3)]


def test_text_keeps_what_a_csv_file_says(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "codes.csv").write_text("code\n1.10\n1e3\n")
    for how, value in (("detect", 1.1), ("text", "1.10")):
        with opened(tmp_path, lake={"files": str(tmp_path / "lake"), "csv": how}) as session:
            assert session.query("select code from lake.codes limit 1")[1] == [(value,)]


def test_what_changes_in_a_folder_is_seen_by_the_next_transaction(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write(lake / "orders" / "1.parquet", "select 1 as n")
    with opened(tmp_path, lake={"files": str(lake)}) as session:
        assert session.query("from lake.orders")[1] == [(1,)]
        write(lake / "orders" / "2.parquet", "select 2 as n, 'x' as t")
        write(lake / "rates.parquet", "select 7 as n")
        session.begin()
        assert session.query("from lake.orders order by n")[1] == [(1, None), (2, "x")]
        assert session.query("from lake.rates")[1] == [(7,)]
        session.rollback()


def _same_name(lake: Path) -> None:
    write(lake / "orders.parquet", "select 1 as n")
    write(lake / "Orders.csv", "select 1 as n")


def _two_formats(lake: Path) -> None:
    write(lake / "orders" / "x.parquet", "select 1 as n")
    write(lake / "orders" / "x.csv", "select 1 as n")


def _no_parquet(lake: Path) -> None:
    (lake / "orders.parquet").write_text("nothing of the sort")


WRONG: list[tuple[Callable[[Path], Any], str]] = [
    (Path.rmdir, "there is no folder"),
    (_same_name, "are both the table"),
    (_two_formats, "files of csv and parquet"),
    (_no_parquet, "orders.parquet cannot be read"),
    (lambda it: write(it / "a*b.parquet", "select 1 as n"), "takes for a pattern: rename it"),
]


@pytest.mark.parametrize(("make", "message"), WRONG, ids=[message for _, message in WRONG])
def test_folders_that_cannot_be_read(
    tmp_path: Path, make: Callable[[Path], Any], message: str
) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    make(lake)
    assert message in refused(tmp_path, it={"files": str(lake)})
    assert sorted(os.listdir(tmp_path)) in (["lake", "w.duckdb"], ["w.duckdb"])


def test_what_is_attached_has_fingerprints_and_is_none_of_the_targets_own_relations(
    tmp_path: Path,
) -> None:
    """For `only_changed`, `clean` and `diff`, also where a schema has the name of a database."""
    path = shop(tmp_path / "shop.duckdb", 1)
    orders = Relation("raw", "orders", "shop")
    with opened(tmp_path, shop={"duckdb": str(path)}) as session:
        session.prepare(["shop"])
        task = replace(sql_task("shop.t", "select 1 as n"), builder="p")
        task = replace(task, relation=Relation("shop", "t", "w"))
        assert run(session, task, Stop()).error is None
        assert [it.relation for it in session.built_by("p")] == [task.relation]
        assert session.there([orders, task.relation]) == [task.relation]
        before = session.fingerprint(orders)
        os.replace(shop(tmp_path / "new.duckdb", 2), path)
        session.begin()
        assert session.fingerprint(orders) != before
        session.rollback()
        session.drop(task.relation, "p")
        assert session.there([task.relation]) == []


# --- PostgreSQL ----------------------------------------------------------------------------------


def test_an_extension_is_never_installed_and_no_secret_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERP_DSN", "postgresql://me:pass-word@127.0.0.1:1/erp")
    # DuckDB looks for extensions below the home folder.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    message = refused(tmp_path, it={"postgres": "${ERP_DSN}"})
    assert "run `INSTALL postgres` once" in message
    assert "pass-word" not in message


def test_a_variable_that_is_not_set_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(WarehouseError, match="environment variable ERP_DSN is not set"),
        opened(tmp_path, it={"postgres": "${ERP_DSN}"}),
    ):
        pass


# --- across processes ----------------------------------------------------------------------------


def test_clients_share_what_a_process_has_attached(tmp_path: Path) -> None:
    """Another client may not ask for another place by the same name, and no secret is sent."""
    path = shop(tmp_path / "shop.duckdb")
    attach = {"shop": {"duckdb": str(path)}}
    address = duckdb_at(tmp_path / "w.duckdb", idle_seconds=0.5, attach=attach)
    with connect_by_process(address) as session:
        assert session.query("from shop.raw.orders") == [(1,)]
        with pytest.raises(WarehouseError, match="open with other settings"):
            connect_by_process(duckdb_at(tmp_path / "w.duckdb", idle_seconds=0.5))
    secret = duckdb_at(tmp_path / "w.duckdb", attach={"erp": {"postgres": "${ERP_DSN}"}})
    asked = secret.session_request({"ERP_DSN": "secret"}).settings["attach"]
    assert asked == {"erp": {"postgres": "${ERP_DSN}"}}
