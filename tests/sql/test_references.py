"""The cases of data/references: what each reads, how its text is replaced, and what DuckDB and
PostgreSQL say of both.

They are executed where that can be: on a database that has the tables as written, on one that only
has the replaced ones, and on some that lack one table each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import duckdb
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot.dialects.dialect import Dialect

from dagster_models.sql.fill_in import compile_sql, literal, quote
from dagster_models.sql.parse import parse_sql
from dagster_models.sql.tokens import TokenizedText
from reference_cases import BOUND, CASES, EXECUTED, Case, each, ran, renamed

VARIABLES = {"year": 2013, "end": "it's", "ids": [1, 2], "id": 1, "doc": 1}
FILL = {name: [1] if name == "ids" else 1 for name in VARIABLES}


# --- The cases -------------------------------------------------------------------------------


def test_the_cases_are_there() -> None:
    assert len(CASES) >= 300
    assert len({case.title for case in CASES}) == len(CASES)


def test_each_case_is_run_or_says_why_not() -> None:
    ran = [case.title for case in (*EXECUTED, *BOUND)]
    explained = [
        case.title for case in CASES if case.settings.get("executed", "").startswith("no, ")
    ]
    assert sorted([*ran, *explained]) == sorted(case.title for case in CASES)
    assert len(ran) >= 185


@each(CASES)
def test_references(case: Case) -> None:
    parsed = parse_sql(case.text, case.dialect)
    assert [reference.name for reference in parsed.references] == case.references


@each([case for case in CASES if case.replaced is not None])
def test_replaced_text(case: Case) -> None:
    parsed = parse_sql(case.text, case.dialect)
    compiled = compile_sql(case.text, parsed, case.dialect, renamed(case.dialect), VARIABLES)
    assert compiled == case.replaced


def test_a_name_that_stays_needs_no_alias() -> None:
    text = "select Orders.id, s.Items.x from Orders, s.Items"
    parsed = parse_sql(text, "postgres")
    compiled = compile_sql(text, parsed, "postgres", renamed("postgres", suffix=""), {})
    assert compiled == 'select Orders.id, Items.x from "dev_main"."orders", "dev_s"."items"'


def test_a_relation_that_is_not_a_name_gets_the_old_one() -> None:
    text = "select orders.id from orders"
    parsed = parse_sql(text, "duckdb")
    compiled = compile_sql(text, parsed, "duckdb", lambda _: "read_parquet('o')", {})
    assert compiled == "select orders.id from read_parquet('o') AS \"orders\""


@each(CASES)
def test_names_replaced_by_themselves_give_the_same_bytes(case: Case) -> None:
    for text in (case.text, f"/* é 🛫 */\r\n{case.text}", case.text.replace("\n", "\r\n")):
        parsed = parse_sql(text, case.dialect)
        same = {p.name: text[p.start : p.end] for p in parsed.placeholders}
        without = re.sub(r";(?= *(--[^\n]*)?\s*$)", "", text)
        compiled = compile_sql(text, parsed, case.dialect, lambda _: None, FILL)
        for place in reversed(parsed.placeholders):
            behind_in = place.after_in and case.dialect == "postgres"
            ending = "(1)" if behind_in else literal(FILL[place.name], case.dialect)
            at = compiled.rindex(ending, 0, place.start + len(ending) + 8 * len(same))
            compiled = compiled[:at] + same[place.name] + compiled[at + len(ending) :]
        assert compiled == without


def tables() -> list[tuple[str, str, str]]:
    """(schema, name, query) of the tables that the cases read."""
    orders = (
        "select * from (values (1, 1, 5.0), (2, 1, 7.5), (3, 2, 1.0)) t(id, customer_id, amount)"
    )
    return [
        ("main", "orders", orders),
        (
            "raw",
            "orders",
            f"select id, customer_id, amount * 10 as amount from ({orders}) where id > 1",
        ),
        ("staging", "orders", f"select * from ({orders}) where id < 3"),
        ("main", "customers", "select * from (values (1, 'Ann'), (2, 'Bob')) t(id, name)"),
        (
            "staging",
            "flights",
            "select 1 as flight_id, 'UA' as carrier, -4 as delay, [1, 2, 3] as arr,"
            " {'a': 1, 'city': 'Oslo'} as info",
        ),
        (
            "main",
            "cities",
            "select * from (values ('NL', 2000, 5), ('NL', 2010, 6), ('US', 2000, 9))"
            " t(country, year, population)",
        ),
        ("main", "Étage", "select 1 as id"),
        ("main", "info", "select 1 as n"),
        ("raw", "union", "select 1 as id, 2 as range"),
        ("recurring", "info", "select 1 as id"),
        ("marts", 'mixed "case"', "select 1 as id"),
    ]


def create_tables(
    connection: duckdb.DuckDBPyConnection, prefix: str, suffix: str, skipped: str = ""
) -> None:
    """All tables but *skipped*, and all schemas."""
    for schema, name, query in tables():
        home = quote(prefix + schema, "duckdb")
        connection.execute(f"create schema if not exists {home}")
        if f"{schema}.{name}" != skipped:
            connection.execute(f"create table {home}.{quote(name + suffix, 'duckdb')} as {query}")


@pytest.fixture(scope="module")
def written() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the tables by the names that the cases use."""
    with duckdb.connect(":memory:") as connection:
        create_tables(connection, "", "")
        yield connection


@pytest.fixture(scope="module", params=["_v2", ""], ids=["other names", "other schemas"])
def target(request: pytest.FixtureRequest) -> Iterator[tuple[str, duckdb.DuckDBPyConnection]]:
    """A database that only has the tables under the names of a target."""
    with duckdb.connect(":memory:") as connection:
        create_tables(connection, "dev_", request.param)
        yield request.param, connection


@pytest.fixture(scope="module")
def lacking() -> Iterator[dict[str, duckdb.DuckDBPyConnection]]:
    """Databases that lack one table each, by its name in lower case."""
    with ExitStack() as stack:
        found = {}
        for schema, name, _ in tables():
            connection = stack.enter_context(duckdb.connect(":memory:"))
            create_tables(connection, "", "", skipped=f"{schema}.{name}")
            found[f"{schema}.{name}".lower()] = connection
        yield found


@each(EXECUTED)
def test_the_replaced_text_means_the_same(
    case: Case,
    written: duckdb.DuckDBPyConnection,
    target: tuple[str, duckdb.DuckDBPyConnection],
) -> None:
    suffix, there = target
    parsed = parse_sql(case.text, "duckdb")
    plain = compile_sql(case.text, parsed, "duckdb", lambda _: None, VARIABLES)
    moved = compile_sql(case.text, parsed, "duckdb", renamed("duckdb", suffix), VARIABLES)
    assert answer(there, moved) == answer(written, plain)


@each(EXECUTED)
def test_the_binder_misses_the_same_tables(
    case: Case, lacking: dict[str, duckdb.DuckDBPyConnection]
) -> None:
    parsed = parse_sql(case.text, "duckdb")
    plain = compile_sql(case.text, parsed, "duckdb", lambda _: None, VARIABLES)
    read = {".".join(("main", *reference.parts)[-2:]).lower() for reference in parsed.references}
    ran.setdefault("DuckDB", set()).add(case.title)
    assert read == {name for name, connection in lacking.items() if not binds(connection, plain)}


def binds(connection: duckdb.DuckDBPyConnection, text: str) -> bool:
    try:
        connection.execute(f"explain {text}")
    except (duckdb.CatalogException, duckdb.BinderException):
        # DuckDB 1.5.5 leaves the transaction open that a PIVOT begins.
        with suppress(duckdb.TransactionException):
            connection.rollback()
        return False
    return True


def answer(connection: duckdb.DuckDBPyConnection, text: str) -> tuple[list[str], list[str]]:
    cursor = connection.execute(text)
    return [column[0] for column in cursor.description], sorted(map(repr, cursor.fetchall()))


# --- Other dialects: what the binder of DuckDB or PostgreSQL reads -----------------------------

_NAME = re.compile(r'"((?:[^"]|"")+)"|(\w+)')


def name_of(table: str) -> tuple[str, ...]:
    """The parts of `a."b" (id integer)`."""
    parts = []
    at = 0
    while found := _NAME.match(table, at):
        parts.append((found[1] or found[2]).replace('""', '"'))
        at = found.end() + 1
        if table[found.end() : at] != ".":
            break
    return tuple(parts)


class Binder:
    """An engine that is asked in a transaction, which is rolled back."""

    def __init__(
        self, execute: Callable[[str], Any], errors: tuple[type[Exception], ...], catalogs: bool
    ) -> None:
        self.execute, self.errors, self.catalogs = execute, errors, catalogs
        self.attached: set[str] = set()

    def binds(self, text: str, tables: list[tuple[tuple[str, ...], str]]) -> bool:
        """Whether the engine finds all that *text* reads among *tables* (name, columns)."""
        for catalog in {name[-3] for name, _ in tables if len(name) == 3} - self.attached:
            assert self.catalogs
            self.execute(f"attach ':memory:' as {quote(catalog, 'duckdb')}")
            self.attached.add(catalog)
        self.execute("begin")
        try:
            for name, columns in tables:
                dotted = ".".join(quote(part, "duckdb") for part in name)
                if len(name) > 1:
                    home = ".".join(quote(part, "duckdb") for part in name[:-1])
                    self.execute(f"create schema if not exists {home}")
                self.execute(f"create table {dotted} {columns}")
            try:
                self.execute(f"explain {text}")
            except self.errors:
                return False
            return True
        finally:
            self.execute("rollback")


@pytest.fixture(scope="module")
def duck() -> Iterator[Binder]:
    with duckdb.connect(":memory:") as connection:
        connection.execute("set python_enable_replacements = false")
        errors = (duckdb.CatalogException, duckdb.BinderException)
        yield Binder(connection.execute, errors, catalogs=True)


@pytest.fixture(scope="module")
def elephant(postgres_of_module: str) -> Iterator[Binder]:
    with psycopg.connect(postgres_of_module, autocommit=True) as connection:
        errors = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
        yield Binder(lambda text: connection.execute(text.encode()), errors, catalogs=False)


def check_bound(case: Case, binder: Binder) -> None:
    folded: Callable[[str], str] = str.lower if binder.catalogs else str
    tables = [
        (name_of(t), t[t.index(" (") :] if " (" in t else "(id integer)") for t in case.tables or ()
    ]
    parsed = parse_sql(case.text, case.dialect)
    plain = compile_sql(case.text, parsed, case.dialect, lambda _: None, FILL)
    assert binder.binds(plain, tables)
    ran.setdefault("DuckDB" if binder.catalogs else "PostgreSQL", set()).add(case.title)
    missed = {
        name for name, _ in tables if not binder.binds(plain, [t for t in tables if t[0] != name])
    }
    found = {tuple(map(folded, reference.parts)) for reference in parsed.references}
    assert found == {tuple(map(folded, name)) for name in missed}
    if quote("a", case.dialect) == '"a"':
        compiled = compile_sql(case.text, parsed, case.dialect, renamed(case.dialect), FILL)
        there = [((f"dev_{('main', *n)[-2]}", f"{n[-1]}_v2"), columns) for n, columns in tables]
        assert binder.binds(compiled, there), compiled


@each([case for case in BOUND if case.dialect != "postgres"])
def test_duckdb_binds_the_same_tables(case: Case, duck: Binder) -> None:
    check_bound(case, duck)


@pytest.mark.slow
@each([case for case in BOUND if case.dialect == "postgres"])
def test_postgres_binds_the_same_tables(case: Case, elephant: Binder) -> None:
    check_bound(case, elephant)


# --- Every other byte ------------------------------------------------------------------------

#: Each of these means nothing between two tokens, and no case holds one.
FILLERS = [
    "\t\t",
    "\r\n\r\n",
    "/* é 🛫 'it''s \" from x; $$ */",
    "-- ü 🛬 'from \"x; $$ {{ /*\r\n",
    "/* \u2028 \ufeff \u0301 */",
    "\f",
]
NESTED = "/* a /* from b */ 🛫 ' */"


def fillers(dialect: str) -> list[str]:
    nests = Dialect.get_or_raise(dialect).tokenizer_class.NESTED_COMMENTS
    return [*FILLERS, NESTED] if nests else FILLERS


def gaps(case: Case) -> list[int]:
    """Where white space begins between two tokens."""
    source = TokenizedText(case.text, case.dialect)
    ends = [token.end + 1 for token in source.tokens[:-1]]
    return [
        end
        for end, following in zip(ends, source.tokens[1:], strict=True)
        if end < following.start and case.text[end : following.start].isspace()
    ]


def filled(text: str, pieces: dict[int, str]) -> str:
    for at in sorted(pieces, reverse=True):
        text = text[:at] + pieces[at] + text[at:]
    return text


def moved(text: str, dialect: str) -> str:
    parsed = parse_sql(text, dialect)
    return compile_sql(text, parsed, dialect, renamed(dialect), VARIABLES)


def test_every_other_byte_stays_with_one_filler_in_every_gap() -> None:
    for case in CASES:
        for filler in fillers(case.dialect):
            assert filler not in case.text
            text = filled(case.text, dict.fromkeys(gaps(case), filler))
            parsed = parse_sql(text, case.dialect)
            assert [reference.name for reference in parsed.references] == case.references
            compiled = moved(text, case.dialect).replace(filler, "")
            assert compiled == moved(case.text, case.dialect), (case.title, text)


@given(data=st.data())
def test_every_other_byte_stays_with_any_fillers(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(CASES))
    some = st.lists(st.sampled_from(fillers(case.dialect)), max_size=2).map("".join)
    pieces = {at: data.draw(some) for at in gaps(case)}
    compiled = moved(filled(case.text, pieces), case.dialect)
    for filler in fillers(case.dialect):
        compiled = compiled.replace(filler, "")
    assert compiled == moved(case.text, case.dialect)


def test_an_alias_is_quoted_as_the_target_quotes_names() -> None:
    text = "select orders.id from raw.orders where orders.n > 1"
    sent = compile_sql(
        text, parse_sql(text, "duckdb"), "duckdb", lambda _: "`s`.`t`", {}, literals="spark"
    )
    assert sent == "select orders.id from `s`.`t` AS `orders` where orders.n > 1"
