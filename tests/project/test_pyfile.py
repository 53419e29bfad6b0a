"""Python files and headers: what is seen without running anything, and where."""

from __future__ import annotations

import re
import textwrap

import pytest

from dagster_models.errors import SqlSyntaxError
from dagster_models.project.header import Header, python_header, sql_header
from dagster_models.project.python.reads import HOLE, PyQuery, PyTable, read_python


def read(text: str) -> list[str]:
    """The queries of a file whose model has this body."""
    return [query.text for query in read_python(textwrap.dedent(text)).queries]


# --- Kinds and imports -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("def model(warehouse): ...", "model"),
        ("def sql(vars): return 'select 1'", "sql"),
        ("print('hello')", "script"),
        ("def helper():\n    def model(warehouse): ...", "script"),
        ("class A:\n    def model(self): ...", "script"),
        ("", "script"),
    ],
)
def test_kind(source: str, kind: str) -> None:
    assert read_python(source).kind == kind


def test_two_kinds_in_one_file_are_refused() -> None:
    with pytest.raises(SqlSyntaxError, match="both model") as raised:
        read_python("def model(warehouse): ...\n\ndef sql(vars): ...")
    assert raised.value.line == 3


def test_imports() -> None:
    source = """
    import a, b.c as d
    from e.f import g, h as i
    from . import j
    from ..k import *
    def model(warehouse):
        import inside
    """
    file = read_python(textwrap.dedent(source)).imports
    assert set(file) == {"a", "b.c", "e.f", "e.f.g", "e.f.h", ".", ".j", "..k", "inside"}


# --- Queries ---------------------------------------------------------------------------------


def test_texts_that_are_written_in_the_file() -> None:
    assert read("""
    TABLE = "staging.flights"
    QUERY: str = "select * from " + TABLE
    def model(warehouse):
        local = f"select 2 from {TABLE}"
        warehouse.sql("select 1")
        warehouse.execute("insert into a " "select 1")
        warehouse.sql(QUERY + " where a = 1")
        warehouse.sql(local)
        warehouse.sql(f"select 3")
        self.warehouse.sql(query="select 4")
    """) == [
        "select 1",
        "insert into a select 1",
        "select * from staging.flights where a = 1",
        "select 2 from staging.flights",
        "select 3",
        "select 4",
    ]


@pytest.mark.parametrize(
    "body",
    [
        "warehouse.sql(f'select {x}')",
        "warehouse.sql('select {}'.format(1))",
        "warehouse.sql('select %s' % 1)",
        "warehouse.sql(unknown)",
        "warehouse.sql()",
        "warehouse.sql(*parts)",
        "warehouse.sql(b'select 1')",
        "q = 'a'; q = 'b'; warehouse.sql(q)",
        "q = 'a'; q += 'b'; warehouse.sql(q)",
        "[warehouse.sql(q) for q in queries]",
        "for Q in ['a']: warehouse.sql(Q)",
        "with open('x') as Q: warehouse.sql(Q)",
        "warehouse.sql(f'select {Q!r}')",
        "warehouse.sql(f'select {Q:>5}')",
        "warehouse.execute(Q + x)",
        "warehouse.table(x)",
        "(lambda Q: warehouse.sql(Q))('x')",
        "[warehouse.sql(Q) for Q in 'x']",
    ],
)
def test_texts_that_are_only_known_at_run_time(body: str) -> None:
    head = "" if "Q in" in body or "as Q" in body else "Q = 'a'\n"
    file = read_python(f"{head}def model(warehouse, x):\n    {body}")
    assert not file.queries
    assert not file.tables
    [(line, column, what)] = file.unseen
    assert line == head.count("\n") + 2
    assert re.fullmatch(r"warehouse\.(sql|execute|table)\(\.\.\.\)", what)
    assert 5 <= column <= 5 + len(body)


def test_texts_that_are_known_except_for_some_parts() -> None:
    file = read_python(
        textwrap.dedent("""
        T = "orders"
        def model(warehouse, n):
            q = f"select * from {T} where x = {n}"
            warehouse.sql(q)
            warehouse.sql("select 1 from a where " + n)
            warehouse.execute(f"insert into {n:>3} select 1")
            warehouse.table(f"orders_{n}")
            warehouse.sql(f"{n}")
            warehouse.sql(q + " limit 1")
        """)
    )
    assert not file.queries
    assert [query.text.replace(HOLE, "?") for _, query in file.partial] == [
        "select * from orders where x = ?",
        "select 1 from a where ?",
        "insert into ? select 1",
        "select * from orders where x = ? limit 1",
    ]
    assert [line for line, _, _ in file.unseen] == [5, 6, 7, 8, 9, 10]
    assert [place for place, _ in file.partial] == [(5, 19), (6, 19), (7, 23), (10, 19)]


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ("def model(warehouse):\n    rows(warehouse)", 2, "warehouse is passed to rows(...)"),
        ("def model(warehouse):\n    rows(1, db=warehouse)", 2, "warehouse is passed to rows(...)"),
        ("def f(db): ...\ndef model(warehouse):\n    f(warehouse)", 3, "passed to f(...)"),
        ("def model(warehouse):\n    a.b(warehouse=warehouse)", 2, "passed to a.b(...)"),
        ("def model(warehouse):\n    db = warehouse", 2, "gets another name"),
        ("def model(warehouse):\n    return [warehouse]", 2, "gets another name"),
        ("def model(warehouse):\n    run = warehouse.sql", 2, "warehouse.sql is not called here"),
        ("def model(warehouse):\n    map(warehouse.table, n)", 2, "warehouse.table is not called"),
        ("\ndef model(db):\n    db.sql('from a')", 2, "the warehouse is named db, not warehouse"),
        ("from dagster_models import warehouse as w", 1, "the warehouse is named w, not"),
    ],
)
def test_where_the_warehouse_goes_out_of_sight(source: str, line: int, what: str) -> None:
    [(at, column, found)] = read_python(source).unseen
    assert at == line
    assert column >= 1
    assert what in found


@pytest.mark.parametrize(
    "source",
    [
        "def f(warehouse): ...\ndef model(warehouse):\n    return f(warehouse)",
        "def f(n, *, warehouse): ...\ndef model(warehouse):\n    f(1, warehouse=warehouse)",
        "class A:\n    def __init__(self, warehouse):\n        self.warehouse = warehouse",
        "def model(warehouse):\n    if warehouse is None: return\n    warehouse.load(x, 'a')",
        "from dagster_models import warehouse\nwarehouse.table('a')",
        "from dagster_models import warehouse as warehouse",
        "def helper(db): db.sql(x)",
    ],
)
def test_where_the_warehouse_stays_in_sight(source: str) -> None:
    assert read_python(source).unseen == ()


def test_a_local_name_hides_the_modules() -> None:
    source = """
    Q = "select 1"
    def hidden(warehouse, Q):
        warehouse.sql(Q)
    def seen(warehouse):
        warehouse.sql(Q)
    def model(warehouse):
        Q = "select 2"
        def inner():
            warehouse.sql(Q)
    """
    file = read_python(textwrap.dedent(source))
    assert [query.text for query in file.queries] == ["select 1", "select 2"]
    assert [line for line, _, _ in file.unseen] == [4]


def test_a_name_that_a_function_may_change_is_not_trusted() -> None:
    source = """
    Q = "select 1"
    def change():
        global Q
        Q = "select 2"
    def model(warehouse):
        warehouse.sql(Q)
    """
    assert read(source) == []


def test_only_what_is_named_warehouse_counts() -> None:
    file = read_python("con.sql('select 1'); warehouse.other('x'); sql('y'); warehouse.x.sql('z')")
    assert not file.queries
    assert not file.unseen


def test_places_count_characters_not_bytes() -> None:
    source = "def model(warehouse):\n    é = '🛫'; warehouse.table('staging.flights')\n"
    assert read_python(source).tables == (PyTable("staging.flights", 2, 30),)
    assert source.split("\n")[1][29:].startswith("'staging.flights'")


def test_a_query_is_placed_where_its_text_begins() -> None:
    source = 'Q = """\nselect 1\n"""\n\ndef model(warehouse):\n    warehouse.sql(\n        Q)\n'
    assert read_python(source).queries == (PyQuery("\nselect 1\n", 1),)


def test_what_is_not_python_is_reported_with_its_place() -> None:
    with pytest.raises(SqlSyntaxError, match="not Python") as raised:
        read_python("x = 1\ndef model(:\n    pass")
    assert (raised.value.line, raised.value.column) == (2, 11)
    with pytest.raises(SqlSyntaxError, match="not Python"):
        read_python("x = '\0'")


def test_an_odd_escape_does_not_matter() -> None:
    assert read_python("x = '\\d'").kind == "script"
    assert python_header("'''\\d\n@model\na: 1\n'''") == Header("a: 1\n", 3)


# --- Headers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("/* @model\na: 1\nb: 2\n*/\nselect 1", Header("a: 1\nb: 2\n", 2)),
        ("/* @model a: 1 */ select 1", Header("a: 1", 1)),
        ("\n\n-- hello\n/* licence */\n/*  @model\n\na: 1*/ select 1", Header("\na: 1", 6)),
        ("\ufeff/* @model\na: 1\n*/select 1", Header("a: 1\n", 2)),
        ("/* @model\r\na: é\r\n*/ select 1", Header("a: é\r\n", 2)),
        ("/*@model*/ select 1", Header("", 1)),
        ("/** @model\na: 1 */ select 1", Header("a: 1 ", 2)),
        ("/* @models\na: 1 */ select 1", None),
        ("/* about @model\na: 1 */ select 1", None),
        ("select 1 /* @model\na: 1 */", None),
        ("-- /* @model\nselect 1", None),
        ("/* @model\na: 1", None),
        ("select 1", None),
        ("", None),
    ],
)
def test_sql_header(text: str, header: Header | None) -> None:
    assert sql_header(text) == header


@pytest.mark.parametrize(
    ("source", "header"),
    [
        ('"""What it does.\n\n@model\na: 1\n"""\nimport x', Header("a: 1\n", 4)),
        ('# first\n"""@model\na: 1\n"""', Header("a: 1\n", 3)),
        ('"""@model a: 1"""', Header("a: 1", 1)),
        ('"""Uses @model in a sentence.\n\n  @model\na: 1\n"""', Header("a: 1\n", 4)),
        ('"""Nothing here."""\n"""@model\na: 1"""', None),
        ('def f():\n    """@model\n    a: 1"""', None),
        ("x = 1", None),
        ("def (", None),
        ("b'''@model\na: 1'''", None),
    ],
)
def test_python_header(source: str, header: Header | None) -> None:
    assert python_header(source) == header
