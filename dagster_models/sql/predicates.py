"""What narrows the rows that a build by a key replaces or adds, in dbt's words:
`incremental_predicates`, `merge_update_condition` and `merge_insert_condition`.

A predicate is a condition on a row of the table and the new row of the same key, or on one of both.
dbt calls the two DBT_INTERNAL_DEST and DBT_INTERNAL_SOURCE.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from dagster_models.sql.calls import calls
from dagster_models.sql.nodes import with_columns
from dagster_models.sql.predicate_rows import BOTH_ROWS, PredicateRows
from dagster_models.sql.statements import refuse_other_than_condition
from dagster_models.sql.tokens import TokenizedText

#: dbt's names -> the row of the table, and the new row. The second one is dbt-duckdb's.
_ROWS = {"dbt_internal_dest": "t", "dbt_incremental_target": "t", "dbt_internal_source": "n"}
_HEAD, _TAIL = "select 1 where (\n", "\n)"
#: Functions of DuckDB and PostgreSQL whose answer changes from row to row, or in a transaction. A
#: build asks a predicate in several statements, which must find the same rows. `now()` and
#: `current_date` are the same in all of them.
_CHANGING = frozenset(
    {
        *("random", "rand", "random_normal", "setseed", "uuid", "gen_random_uuid", "uuidv4"),
        *("uuidv7", "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4"),
        *("clock_timestamp", "statement_timestamp", "timeofday", "gen_random_bytes"),
        *("array_sample", "array_shuffle", "nextval", "currval", "lastval", "setval"),
    }
)
#: What is no value of the two rows, or has names of its own that look like columns.
_OTHERS = (exp.Query, exp.AggFunc, exp.Window, exp.Placeholder, exp.Parameter, exp.Comprehension)


def predicate_of_rows(predicate: str, dialect: str, rows: PredicateRows = BOTH_ROWS) -> str:
    """The predicate with `t` for the row of the table and `n` for the new one.

    Raises SqlSyntaxError for a text that is no condition on the rows that it may name.
    """
    refuse_other_than_condition(predicate, dialect)
    source = TokenizedText(f"{_HEAD}{predicate}{_TAIL}", dialect)
    if bound := source.bound_placeholders():
        what = f"the variable {bound[0].name} has no value here"
        raise source.error(what, bound[0].start, "Delete the comment, and write the value.")
    (tree,) = source.statements()
    where = tree.args["where"]
    for node in list(where.walk()):
        if source.dialect.methods and isinstance(node, exp.Dot) and _is_method(node.expression):
            with_columns(node)
        if isinstance(node, _OTHERS):
            what = "a predicate compares a row of the table with a new one, and nothing else"
            raise source.error(what, len(_HEAD), "Write a condition on columns.")
    if changing := sorted(calls(predicate, dialect).functions & _CHANGING):
        what = f"{changing[0]}() answers otherwise each time, and a build asks a predicate twice"
        raise source.error(what, len(_HEAD), "Compare with a value that stays, such as now().")
    text = source.text
    edits = _edits(source, where.find_all(exp.Column), rows.bare)
    for start, end, row in sorted(edits, reverse=True):
        if row[0] not in rows.named:
            asked = "the new row" if row[0] == "n" else "the row of the table"
            raise source.error(f"it asks for {asked}", start, rows.fix)
        text = f"{text[:start]}{row}{text[end:]}"
    return text[len(_HEAD) : -len(_TAIL)]


def _is_method(called: object) -> bool:
    """Whether `upper()` of `name.upper()` is a function of a column. One that nobody knows may be
    the project's, with its schema before it."""
    return isinstance(called, exp.Func) and called.name.upper() in exp.FUNCTION_BY_NAME


def _edits(
    source: TokenizedText, columns: Iterator[exp.Column], bare: str
) -> Iterator[tuple[int, int, str]]:
    """(start, end, what stands there instead) for each column."""
    for column in columns:
        first = column.parts[0]
        start = first.meta["start"]
        if len(column.parts) == 1 and bare:
            yield start, start, f"{bare}."
        elif len(column.parts) == 1:
            fix = "Write DBT_INTERNAL_DEST. before a column of the table, and DBT_INTERNAL_SOURCE."
            fix += " before one of the new row."
            raise source.error(f"`{first.name}` is a column of both rows", start, fix)
        elif row := _ROWS.get(first.name.lower()):
            yield start, first.meta["end"] + 1, row
        else:
            fix = "Write the column alone, or behind DBT_INTERNAL_DEST or DBT_INTERNAL_SOURCE."
            raise source.error(f"`{first.name}` is no row of a predicate", start, fix)
