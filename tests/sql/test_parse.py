"""SQL text: places in any text, what is refused, any statement, placeholders and literals."""

from __future__ import annotations

import contextlib
import datetime
import re
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.fill_in import compile_sql, literal, quote
from dagster_models.sql.parse import beside_expression, parse_sql, statement_references
from dagster_models.sql.tokens import TokenizedText
from reference_cases import as_written, renamed

# --- Places in any text ----------------------------------------------------------------------

FILLER = st.sampled_from(
    [
        " ",
        "\n",
        "\r\n",
        "\t",
        "/* é from x */",
        "/* 🛫\n */",
        "-- ü 'x\n",
        "-- \r\n",
        " /* \u2028 */ ",
    ]
)
GAP = st.lists(FILLER, max_size=3).map(lambda parts: " " + "".join(parts) + " ")
NAME = st.sampled_from(["orders", "Étage", '"naïve 🛬"', '"a""b"', "staging.flights", 'é."x.y".z'])


@given(names=st.lists(NAME, min_size=1, max_size=4), gaps=st.lists(GAP, min_size=12, max_size=12))
def test_places_hold_in_any_text(names: list[str], gaps: list[str]) -> None:
    words = ["select", "'é', '🛫'", "from", ",".join(f"{n} t{i}" for i, n in enumerate(names))]
    text = "".join(gap + word for gap, word in zip(gaps, words, strict=False)) + gaps[-1]
    parsed = parse_sql(text, "duckdb")
    assert [text[r.start : r.end] for r in parsed.references] == names
    for reference in parsed.references:
        lines = text.split("\n")
        assert lines[reference.line - 1][reference.column - 1 :].startswith(
            text[reference.start : reference.end]
        )
    assert compile_sql(text, parsed, "duckdb", as_written(text), {}) == text


def test_long_chains_are_read() -> None:
    terms = " or ".join(f"a = {i}" for i in range(5000))
    unions = " union all ".join(f"select {i} from t{i}" for i in range(1500))
    assert [r.name for r in parse_sql(f"select 1 from t where {terms}", "duckdb").references] == [
        "t"
    ]
    assert len(parse_sql(unions, "duckdb").references) == 1500


# --- What is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", (1, 1), "no query"),
        ("-- nothing\n/* here */ ;", (1, 1), "no query"),
        ("/* @model\n*/\nselect 1;\n\nselect 2", (5, 1), "second statement"),
        ("\ninsert into t select 1", (2, 1), "INSERT is a statement"),
        ("create table t as select 1", (1, 1), "CREATE is a statement"),
        ("call f()", (1, 1), "CALL is a statement"),
        ("summarize t", (1, 1), "SUMMARIZE is a statement"),
        ("select * into t from x", (1, 10), "INTO inside a query"),
        ("with d as (delete from x returning *) select * from d", (1, 12), "DELETE inside a query"),
        ("/* é\n*/ select 1\r\n  frm from where", (3, 12), "Expected table name but got 'where'"),
        ("selec 1", (1, 7), "cannot be read"),
        ("select 1 from a. where b", (1, 18), "cannot be read"),
        ("select a from t; drop table t", (1, 18), "second statement"),
        ("select a from t insert into u select 1", (1, 17), "cannot be read"),
        ("select 'abc\n from x", (1, 8), "not closed"),
        ("select 'it''s', \"a\"\"b\", 'x", (1, 25), "not closed"),
        ("select 1 -- it's\n/* x", (2, 1), "not closed"),
        ("select " + "(" * 3000 + "1" + ")" * 3000, (1, 408), "too deeply"),
        ("select " + "(" * 99_999 + "1" + ")" * 99_999, (1, 408), "too deeply"),
        ("select " + "\nCase when 1 then " * 999 + "1" + " end" * 999, (402, 1), "too deeply"),
    ],
)
def test_refused(text: str, place: tuple[int, int], what: str) -> None:
    with pytest.raises(SqlSyntaxError, match=re.escape(what)) as raised:
        parse_sql(text, "postgres" if "delete" in text or "into t from" in text else "duckdb")
    assert (raised.value.line, raised.value.column) == place


@pytest.mark.parametrize("call", ["query_table(['{}'])", "query('from {}')", "pragma_show('{}')"])
def test_a_relation_in_a_text_has_its_quotes_doubled(call: str) -> None:
    text = "from " + call.format("t")
    compiled = compile_sql(text, parse_sql(text, "duckdb"), "duckdb", lambda _: '"it\'s"', {})
    assert compiled.startswith("from " + call.format("\"it''s\"").split("]")[0].rstrip("')"))


def test_characters_of_no_width_stay_in_quoted_names() -> None:
    text = 'select id from\u200b"a\u200bb"\u2060join c\ufeffon true'
    names = [reference.name for reference in parse_sql(text, "duckdb").references]
    assert names == ["a\u200bb", "c"]


def test_a_quoted_name_in_a_text_is_not_in_single_quotes_itself() -> None:
    """A dot in single quotes makes DuckDB read a file, a dot in double quotes a table."""
    (found,) = parse_sql("""select id from query('select id from "a.b"')""", "duckdb").references
    assert found.parts == ("a.b",)
    assert parse_sql("select id from 'a.b'", "duckdb").references == ()


def test_a_failure_of_the_parser_itself_is_reported_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: object) -> None:
        raise TypeError("Expr object expected; got None")

    parser = Dialect.get_or_raise("duckdb").parser_class
    monkeypatch.setattr(parser, "parse", parse)
    with pytest.raises(SqlSyntaxError, match=r"the parser failed \(TypeError: Expr") as raised:
        parse_sql("\n  from a", "duckdb")
    assert (raised.value.line, raised.value.column) == (2, 3)


def test_a_table_named_by_a_parameter_is_unseen() -> None:
    parsed = parse_sql("select * from a\njoin ${catalog}.s.t on true", "databricks")
    assert [r.name for r in parsed.references] == ["a"]
    assert parsed.unseen == ((2, 6, "${...}"),)
    assert not parse_sql("select '${x}', f(${y}) from a", "databricks").unseen


@given(
    text=st.sampled_from(["select * from db.t, db.t", 'select \'é🛫\' from "a""b".c, c']),
    moves=st.lists(st.integers(-30, 30) | st.none(), min_size=4, max_size=4),
)
def test_places_that_do_not_fit_the_text_are_refused(text: str, moves: list[int | None]) -> None:
    """Whatever sqlglot says about the place of a name, we find the name there or raise."""
    source = TokenizedText(text, "duckdb")
    [tree] = source.statements()
    for table in tree.find_all(exp.Table):
        names = [table.args["db"], table.this] if table.args.get("db") else [table.this]
        for name, move, other in zip(names, moves, moves[2:], strict=False):
            if move is None:
                name.meta.pop("start")
            else:
                name.meta.update(
                    start=name.meta["start"] + move, end=name.meta["end"] + (other or 0)
                )
        with contextlib.suppress(SqlSyntaxError):
            start, end, _ = source.span(names)
            written = Dialect.get_or_raise("duckdb").tokenize(text[start:end])
            assert [token.text for token in written[::2]] == [name.name for name in names]


def test_an_unknown_placeholder_is_reported_with_its_place() -> None:
    text = "select 1\n  where $nope = 1"
    parsed = parse_sql(text, "duckdb")
    with pytest.raises(SqlSyntaxError, match=r"\$nope has no variable") as raised:
        compile_sql(text, parsed, "duckdb", lambda _: None, {"year": 1})
    assert (raised.value.line, raised.value.column) == (2, 9)
    assert "year" in raised.value.fix


@pytest.mark.parametrize("tail", [";", " ;\n-- end", ";;", ";\n/* end */\n"])
def test_trailing_semicolons_are_dropped_and_comments_kept(tail: str) -> None:
    text = "select ';' from t" + tail
    parsed = parse_sql(text, "duckdb")
    compiled = compile_sql(text, parsed, "duckdb", lambda _: None, {})
    assert compiled == "select ';' from t" + tail.replace(";", "")


# --- Any statement ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reads", "writes"),
    [
        ("insert into s.a (x) with c as (select 1) select * from c, d", ["d"], ["s.a"]),
        ("create table a.b as from c", ["c"], ["a.b"]),
        ("create or replace view v as select * from w", ["w"], ["v"]),
        ("create table a as pivot b on x using sum(y) order by all", ["b"], ["a"]),
        ("create table a as select 1 as pivot, x as unpivot from b", ["b"], ["a"]),
        ("create view a as pivot b on x in (1) using sum(y)", ["b"], ["a"]),
        ("with c as (select range < 5 from b) insert into a from c", ["b"], ["a"]),
        ("show tables from s; select * from s.grant", ["s.grant"], []),
        ("create table a (x int references b (y))", ["b"], ["a"]),
        ("create schema s; create macro f(x) as (select max(i) from t)", ["t"], []),
        ("update a set x = b.x from b", ["b"], ["a"]),
        ("delete from a using b where a.x = b.x", ["b"], ["a"]),
        ("merge into a using b on a.x = b.x when matched then delete", ["b"], ["a"]),
        ("drop table if exists a; drop schema s", [], ["a"]),
        ("alter table a add column c int", [], ["a"]),
        ("truncate a", [], ["a"]),
        ("copy a from 'x.csv'; copy b to 'y.csv'; copy (from c) to 'z'", ["b", "c"], ["a"]),
        ("create temp table q as from z; insert into q from y; select * from q", ["z", "y"], []),
        ("begin; insert into a select 1; commit", [], ["a"]),
        ("set threads = 1; select * from t", ["t"], []),
    ],
)
def test_statements(text: str, reads: list[str], writes: list[str]) -> None:
    read, written_ = statement_references(text, "duckdb")
    assert ([r.name for r in read], [r.name for r in written_]) == (reads, writes)


def test_a_procedure_is_not_a_table() -> None:
    read, written = statement_references("exec dbo.refresh 17", "tsql")
    assert (read, written) == ((), ())


def test_statements_run_under_their_new_names() -> None:
    text = (
        "create table s.a as select 1 as x;\n"
        "insert into s.a select 2;\n"
        "update s.a set x = s.a.x + 1;\n"
        "delete from s.a where s.a.x = 2;\n"
        "create index i on s.a (x); alter table s.a add column y int; select x from s.a"
    )
    parsed = parse_sql(text, "duckdb", queries_only=False)
    with duckdb.connect() as connection:
        connection.execute("create schema dev_s")
        moved = compile_sql(text, parsed, "duckdb", renamed("duckdb"), {})
        assert connection.execute(moved).fetchall() == [(3,)]


def test_a_statement_the_parser_does_not_know_is_marked(caplog: pytest.LogCaptureFixture) -> None:
    assert parse_sql("call f()", "duckdb", queries_only=False).opaque
    assert not parse_sql("select 1", "duckdb", queries_only=False).opaque
    assert not caplog.records


# --- Normalized text -------------------------------------------------------------------------


def test_normalized_forgets_what_does_not_matter() -> None:
    one = parse_sql("SELECT  A, 'X'\nFROM T -- c\nGROUP   BY A;", "duckdb").normalized
    two = parse_sql("/* @model */ select a,'X' from t group by a", "duckdb").normalized
    assert one == two


@pytest.mark.parametrize(
    ("one", "two", "dialect"),
    [
        ("select 'X'", "select 'x'", "duckdb"),
        ("select 'a  b'", "select 'a b'", "duckdb"),
        ("select 'it''s  A'", "select 'it''s a'", "duckdb"),
        ('select "A"', 'select "a"', "postgres"),
        ("select E'A'", "select E'a'", "postgres"),
        ("select $$A$$", "select $$a$$", "postgres"),
        ("select * from T", "select * from t", "bigquery"),
        ("select 1, 2", "select 12", "duckdb"),
    ],
)
def test_normalized_keeps_what_matters(one: str, two: str, dialect: str) -> None:
    assert parse_sql(one, dialect).normalized != parse_sql(two, dialect).normalized


# --- Values and names ------------------------------------------------------------------------

DAYS = st.dates(min_value=datetime.date(1, 1, 1))
MOMENTS = st.datetimes() | st.datetimes(timezones=st.just(datetime.timezone.utc)).filter(
    lambda moment: moment.year > 1
)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


DUCKDB = duckdb.connect(":memory:")
DUCKDB.execute("set timezone = 'UTC'")


def on_duckdb(value: object) -> object:
    return DUCKDB.execute(f"select {literal(value, 'duckdb')}").fetchall()[0][0]


@given(st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS | DAYS | st.datetimes())
def test_a_literal_is_its_value(value: object) -> None:
    returned = on_duckdb(value)
    assert returned == value
    assert type(returned) is type(value)


def test_literals_that_come_back_in_another_shape() -> None:
    utc = datetime.timezone.utc
    assert float(str(on_duckdb(0.1))) == 0.1
    assert on_duckdb(1e300) == 1e300
    assert on_duckdb(float("-inf")) == float("-inf")
    assert on_duckdb(Decimal("-12.50")) == Decimal("-12.50")
    assert on_duckdb(["a'b", None]) == ["a'b", None]
    assert on_duckdb([]) == []
    text = literal(datetime.datetime(2013, 1, 2, 3, 4, 5, 6, tzinfo=utc), "duckdb")
    with duckdb.connect() as connection:
        assert connection.execute(f"select epoch_us({text})").fetchall() == [(1357095845000006,)]
        assert connection.execute(f"select typeof({text})").fetchall() == [
            ("TIMESTAMP WITH TIME ZONE",)
        ]


@pytest.mark.parametrize(
    ("value", "dialect", "expected"),
    [
        ([1, 2], "postgres", "ARRAY[1, 2]"),
        ([], "postgres", "'{}'"),
        ("a\\'b", "postgres", "'a\\''b'"),
        ("a\\'b", "bigquery", "'a\\\\\\'b'"),
        (datetime.date(2013, 1, 2), "postgres", "CAST('2013-01-02' AS DATE)"),
        (None, "postgres", "NULL"),
        (True, "bigquery", "TRUE"),
    ],
)
def test_literals_of_other_dialects(value: object, dialect: str, expected: str) -> None:
    assert literal(value, dialect) == expected


@pytest.mark.parametrize(
    "value", [object(), b"x", {"a": 1}, datetime.time(1), "a\0b", Decimal("NaN"), [{}]]
)
def test_no_literal(value: object) -> None:
    with pytest.raises(TypeError, match="has no SQL literal"):
        literal(value, "duckdb")


def test_a_negative_number_makes_no_comment() -> None:
    text = "select 3-$n as a, 3 -$f as b, 3-$d as c"
    parsed = parse_sql(text, "duckdb")
    variables = {"n": -1, "f": -0.5, "d": Decimal(-2)}
    compiled = compile_sql(text, parsed, "duckdb", lambda _: None, variables)
    with duckdb.connect() as connection:
        assert connection.execute(compiled).fetchall() == [(4, 3.5, 5)]


@given(TEXTS.filter(bool))
def test_a_quoted_name_is_the_name(name: str) -> None:
    cursor = DUCKDB.execute(f"select 1 as {quote(name, 'duckdb')}")
    assert cursor.description[0][0] == name


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        quote(name, "duckdb")


@pytest.mark.parametrize("text", ["select ';' \";\";", "select ';' as x", "select ';'"])
def test_what_stands_beside_an_expression_that_is_a_semicolon(text: str) -> None:
    for place in reversed(beside_expression(text, "duckdb")):
        text = text[: place.start] + text[place.stop :]
    assert text.strip(" ;") == "';'"
