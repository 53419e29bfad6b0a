"""Texts whose tables are found without a syntax tree: the same is found as with one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import sqlglot

import paths
from common_texts import CommonTexts
from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.common_queries import WORDS
from dagster_models.sql.dialects.known_functions import (
    CALLS_AND_SUBSCRIPTS,
    FUNCTIONS,
    FUNCTIONS_OF,
)
from dagster_models.sql.dialects.table import DIALECTS, dialect_of
from dagster_models.sql.nodes import unlink
from dagster_models.sql.parse import parse_common, parse_source
from dagster_models.sql.parsed import ParsedSql
from dagster_models.sql.tokens import TokenizedText
from lineage_cases import CASES as LINEAGE
from reference_cases import CASES as REFERENCES

#: Ten that differ most.
TEN = (
    *("duckdb", "postgres", "snowflake", "bigquery", "spark"),
    *("redshift", "clickhouse", "tsql", "mysql", "trino"),
)


def by_tree(text: str, dialect: str) -> ParsedSql | str:
    """What the parser finds in a text, or its error."""
    source = TokenizedText(text, dialect)
    try:
        found = parse_source(source)
    except SqlSyntaxError as error:
        return str(error)
    unlink(source.statements())
    return found


def by_tokens(text: str, dialect: str) -> ParsedSql | None:
    """What is found without a tree; None also for a text that has no tokens."""
    try:
        return parse_common(TokenizedText(text, dialect))
    except SqlSyntaxError:
        return None


def differences(text: str, *dialects: str) -> Iterator[tuple[str, str, object, object]]:
    for dialect in dialects:
        found = by_tokens(text, dialect)
        if found is not None and found != (other := by_tree(text, dialect)):
            yield dialect, text, found, other


COMMON = {
    "select * from a": [("a",)],
    "SELECT a.x, COUNT(*) AS n FROM raw.a LEFT JOIN b ON a.id = b.id GROUP BY 1": [
        ("raw", "a"),
        ("b",),
    ],
    "with a as (select * from a), b as (select * from a) select * from b join c using (id)": [
        ("a",),
        ("c",),
    ],
    "select case when x in (select y from b) then 1 else (select max(z) from c) end from a -- d": [
        ("b",),
        ("c",),
        ("a",),
    ],
    "select sum(x) over (partition by y order by z desc) + 1 s from (select * from a) as t": [
        ("a",),
    ],
    'select x::int, cast(y as decimal(10, 2)), "Z" from "Db"."a" where not exists (select 1 from b)'
    " union all select 1, 2, date '2024-01-01' from c;": [("db", "a"), ("b",), ("c",)],
    "select * from information_schema.tables": [],
    "select x::date as date, replace(y, 'a', $by) from a where x > $since": [("a",)],
}


@pytest.mark.parametrize("text", COMMON)
def test_a_common_text_takes_no_tree(text: str) -> None:
    found = parse_common(TokenizedText(text, "duckdb"))
    assert found is not None
    assert [reference.parts for reference in found.references] == COMMON[text]
    assert found == by_tree(text, "duckdb")


@pytest.mark.parametrize(
    "text",
    [
        *("select", "select from a", "select * from a where", "select 1 +", "delete from a"),
        *("select 1; select 2", "select f(x) from a", "select x from f(y)", "select x from a, b"),
        *(
            "select (x from a",
            "select x) from a",
            "select case when x end",
            "select count() from a",
        ),
        *(
            "select nullif(x) from a",
            "select @x from a",
            "from a",
            "table a",
            "select a.b.c from a",
        ),
        "select * from a.t join b.t on true",  # a column may need the schema
        "select extract(year from x) from a",
        "select Total from a",  # its case is contents
        "select if x from a",
        "select trim(x or y) from a",
        "with recursive a as (select 1) select * from a",
        "select interval '1 day' hour from a",  # one unit too many, or an alias
        "select x + interval 1 `day` from a",
        "select interval '1' \"day\" from a",
        "select b.* except distinct select 1 from a",
        f"select {'case when x then 1 else ' * 60} 2 {'end ' * 60} from a",
    ],
)
def test_any_other_text_is_for_the_parser(text: str) -> None:
    assert parse_common(TokenizedText(text, "duckdb")) is None


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("clickhouse", "with a as (select * from b), b as (select 1) select * from a"),
        ("snowflake", "with a as (select * from a) select * from a"),
        ("bigquery", "select * from t join t.items using (id)"),
        ("bigquery", "select * from `a.b`"),
        ("duckdb", "select * from a.t join b as t using (id)"),
        ("duckdb", "select * from a.t join (select 1 as id) t using (id)"),
        ("postgres", "select 1_000 from t"),  # the parser gets one number
        ("tsql", "select * from [#t]"),  # a temporary table
        ("teradata", "select replace(x, 'a', 'b') from t"),
        ("postgres", "select s.replace(x, y, z) from t"),  # may be a function of the project
        ("snowflake", "select x from @stage join $t using (id)"),
        ("clickhouse", "select CURRENT_DATE from t"),  # the parser gets a column
    ],
)
def test_a_name_that_only_the_tree_explains_is_for_the_parser(dialect: str, text: str) -> None:
    assert parse_common(TokenizedText(text, dialect)) is None


def texts_of_tests() -> Iterator[str]:
    for path in sorted(paths.REPOSITORY.glob("[a-z]*/**/*.sql")):
        yield path.read_text(encoding="utf-8", errors="replace")
    yield from (case.text for case in REFERENCES)
    yield from (case.sql for case in LINEAGE.values())
    for path in sorted(paths.TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and re.search(r"\b(select|from)\b", text, re.IGNORECASE):
                yield text


def test_the_cases_of_other_tests_are_read_as_with_a_tree() -> None:
    cases = {case.text: case.dialect for case in REFERENCES[::2]}
    assert [*(it for text, dialect in cases.items() for it in differences(text, dialect))] == []


@pytest.mark.nightly
@pytest.mark.parametrize("dialect", TEN)
def test_every_text_of_the_tests_is_read_as_with_a_tree(dialect: str) -> None:
    texts = dict.fromkeys(texts_of_tests())
    assert len(texts) > 3000
    assert [*(it for text in texts for it in differences(text, dialect))] == []


#: A dialect -> the functions that its texts may call, by the letter of their names.
ITS_FUNCTIONS = {
    dialect: {
        letter: (*FUNCTIONS.get(letter, ()), *of.get(letter, ())) for letter in FUNCTIONS | of
    }
    for dialect, of in FUNCTIONS_OF.items()
}


@pytest.mark.parametrize("count", [20, pytest.param(1500, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("dialect", FUNCTIONS_OF)
def test_random_texts_with_functions_of_a_dialect_are_read_as_with_a_tree(
    dialect: str, count: int
) -> None:
    random, common = Random(4), 0
    unknown = (
        {"@": ("f", "S.f", 'a."S".f', "to_iso8601")} if dialect in CALLS_AND_SUBSCRIPTS else {}
    )
    for text in CommonTexts(random, {**ITS_FUNCTIONS[dialect], **unknown}).texts(count):
        assert [*differences(text, dialect)] == []
        common += by_tokens(text, dialect) is not None
    assert 0 < common < count


@pytest.mark.parametrize("dialect", FUNCTIONS_OF)
def test_the_functions_of_a_dialect_are_read_as_with_a_tree(dialect: str) -> None:
    """With each number of arguments that the grammar takes, and of many forms: what sqlglot makes
    of `to_date(1)` is a call of an unknown function."""
    given = {"0": (0,), "1": (1,), "2": (2,), "3": (1, 2, 3), "7": (2, 3), "9": (3,), "#": (1, 2)}
    values = ("x", "t.x", "'day'", "'2020-01-01'", "1", "x::int", "null", "date '2020-01-01'")
    for kind, names in FUNCTIONS_OF[dialect].items():
        for name in names if kind != "8" else ():
            calls = [f"{name}({', '.join([it] * n)})" for n in given[kind] for it in values]
            texts = [f"select {call} from a" for call in calls]
            found = [it for it in texts if by_tokens(it, dialect) is not None]
            assert {*texts[:2]} <= {*found}
            assert [*(it for text in found for it in differences(text, dialect))] == []
            assert by_tokens(texts[0], "sqlite") is None


#: Those that fold the names of columns, so that their case is no contents.
FOLDING = tuple(
    it for it in DIALECTS if not (dialect_of(it).columns_keep_case or dialect_of(it).keys_in_result)
)


def test_names_in_capitals_take_no_tree_where_the_warehouse_folds_them() -> None:
    text = 'SELECT O.Total, o.ID AS Id, "Key" FROM Raw.Orders AS O ORDER BY TOTAL'
    assert {"snowflake", "postgres"} <= {*FOLDING} < {*DIALECTS}
    for dialect in DIALECTS:
        assert (by_tokens(text, dialect) is not None) == (dialect in FOLDING), dialect
    assert [*differences(text, *FOLDING)] == []
    assert by_tokens("select PRIOR from a", "snowflake") is None


@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.nightly)])
def test_random_texts_in_capitals_are_read_as_with_a_tree(count: int) -> None:
    random, common = Random(3), 0
    for text in CommonTexts(random).texts(count):
        words = [random.choice((it, it.upper(), it.title())) for it in text.split(" ")]
        dialect = random.choice(FOLDING)
        assert [*differences(" ".join(words), dialect)] == []
        common += by_tokens(" ".join(words), dialect) is not None
    assert count // 5 < common < count


@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.nightly)])
def test_random_texts_are_read_as_with_a_tree(count: int) -> None:
    random, common = Random(1), 0
    for text in CommonTexts(random).texts(count):
        assert [*differences(text, *random.sample(TEN, 2))] == []
        common += by_tokens(text, "duckdb") is not None
    assert count // 5 < common < count


@pytest.mark.parametrize("dialect", ["duckdb", "snowflake"])
def test_every_dialect_has_the_functions(dialect: str) -> None:
    """A call of an unknown one is a reference, to what the project may define."""
    given = {"0": "", "2": "x, y", "7": "x, y", "8": "x as int"}
    for kind, names in FUNCTIONS.items():
        calls = (f"{name}({given.get(kind, 'x')})" for name in names)
        text = f"select {', '.join(calls)} from a"
        assert parse_common(TokenizedText(text, dialect)) is not None
        assert [*differences(text, dialect)] == []


#: A name in each place where the grammar has one.
PLACES = """
with W as (select 1 as a)
select distinct W, W.W, t.W, W.*, a as W, b W, (W), case W when W then W else W end W,
  - W, W + W - W * W / W, W || W || 'a' W, W is null, W is not true, W in (W, 1), W not like W,
  W in (select W from W), W between W and W, not W, cast(W as int), W::int W, exists (select W),
  sum(W) over (partition by W, W order by W desc, W) W, count(distinct W), coalesce(W, 1),
  W or W and W = W, W < W, row_number() over (order by W) as W, 1 W, 'a' W, null W, 1 = W,
  (select max(W) W from u W) W, interval '1' W, current_timestamp W, interval 1 W
from t W join u as W on W = W.a left join x.y W on W.a = W left outer join W on W
  inner join (select W from (select W) W) as W using (W) cross join W cross join x.y
where W and W.a > W group by W, W.a having W > W
union all select W from W where W
union distinct select W W from (select W W from a.W order by W) W order by W desc, W.a, W limit 1
"""


def words_of_the_parser() -> list[str]:
    """All words in the constants of sqlglot's sources."""
    folder, found = Path(sqlglot.__file__).parent, set[str]()
    paths = [folder / "parser.py", folder / "tokens.py"]
    for path in [*paths, *(folder / "parsers").glob("*.py"), *(folder / "dialects").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(re.findall(r"[a-z_]\w*", node.value.lower()[:60]))
    return sorted(found)


def test_a_name_is_a_name_in_every_place() -> None:
    text = re.sub(r"\bW\b", "foo", PLACES)
    assert parse_common(TokenizedText(text, "duckdb")) is not None
    assert [*differences(text, *TEN[:4])] == []


@pytest.mark.parametrize("word", sorted(WORDS))
def test_words_that_the_parser_knows_are_for_the_parser(word: str) -> None:
    assert parse_common(TokenizedText(f"select {word} from a", "duckdb")) is None


@pytest.mark.nightly
@pytest.mark.parametrize("dialect", DIALECTS)
def test_all_other_words_are_names_to_the_parser(dialect: str) -> None:
    words = words_of_the_parser()
    texts = [re.sub(r"\bW\b", word, PLACES) for word in words]
    common = [text for text in texts if by_tokens(text, dialect) is not None]
    assert len(common) > 1000
    assert [*(it for text in common for it in differences(text, dialect))] == []


@pytest.mark.parametrize("dialect", sorted(CALLS_AND_SUBSCRIPTS))
def test_unknown_functions_and_subscripts_take_no_tree(dialect: str) -> None:
    text = (
        "select f(x), s.f(), a.s.f(x, 1) over (order by y) n, t.x[0], y['k'][1]::int, f(f(x))[0]"
        " from s.t where g('a b', 'c') in (select s.h(z) from u)"
    )
    found = by_tokens(text, dialect)
    assert found is not None
    assert [*differences(text, dialect)] == []
    assert [".".join(it.parts).lower() for it in found.calls] == [
        *("f", "s.f", "a.s.f", "f", "f", "g", "s.h")
    ]


@pytest.mark.parametrize("dialect", sorted(CALLS_AND_SUBSCRIPTS))
@pytest.mark.parametrize(
    "text",
    [
        *("select f('raw.orders') from a", "select f('select x from b') from a"),
        *("select to_regclass('orders') from a", "select pg_table_size(x) from a"),
        *("select f(x => 1) from a", "select f(*) from a", "select f(x)(y) from a"),
        *("select x[y] from a", "select [1] from a", "select x[1:2] from a", "select x[] from a"),
        *("select s.lower(x) from a", "select * from f(x)", "select if(x, 1, 2) from a"),
        *("select f(x y) from a", "select f(distinct x) from a", "select a.b.c.f(x) from a"),
        *("select identifier('a') from b", 'select "f"(x) from a'),
    ],
)
def test_what_such_a_call_may_read_is_for_the_parser(dialect: str, text: str) -> None:
    assert by_tokens(text, dialect) is None


#: A call in each place where a text may have one.
_CALLS = """
select W(x), W() as y, W(W(x, 'b'), null) + 1, case when W(x) then s.W(x, 1) end, W(x)[0],
  a.s.W(x) over (partition by W(x) order by y) from a where W(t.x) > 1 group by W(x)
"""
_ONE_CALL = (
    "select W(x) from a",
    "select W() y from a",
    "select s.W(x, 1) from a",
    "select W(x)[0]",
)


@pytest.mark.nightly
@pytest.mark.parametrize("dialect", sorted(CALLS_AND_SUBSCRIPTS))
def test_all_other_words_are_functions_that_the_parser_does_not_know(dialect: str) -> None:
    words = words_of_the_parser()
    texts = [re.sub(r"\bW\b", word, it) for word in words for it in (_CALLS, *_ONE_CALL)]
    common = [text for text in texts if by_tokens(text, dialect) is not None]
    assert len(common) > 5000
    assert [*(it for text in common for it in differences(text, dialect))] == []
