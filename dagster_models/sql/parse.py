"""SQL text -> what it reads and its placeholders; and then -> the text with its names replaced.

    parse_sql(text, dialect) -> ParsedSql
    compile_sql(text, parsed, dialect, relation_of, variables) -> text for the warehouse

The text is never generated from the syntax tree. sqlglot knows where each token is in the text. A
name is replaced at its place, once it is certain that the tokens there are the name, and every
other byte stays. The modules behind this one: tokens.py (places), rewriting (adapts tokens for the
parser), table_walk.py, scopes.py and nodes.py (which names are tables), fill_in.py (replaces them).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from dagster_models.core.model import Reference
from dagster_models.sql.fill_in import compile_sql, literal, quote
from dagster_models.sql.kept_case import kept_case
from dagster_models.sql.parsed import ParsedSql, Placeholder, Qualifier
from dagster_models.sql.table_walk import FoundNames, find_names
from dagster_models.sql.tokens import TokenizedText

__all__ = [
    "ParsedSql",
    "Placeholder",
    "Qualifier",
    "compile_sql",
    "literal",
    "parse_sql",
    "plain_text",
    "quote",
    "statement_references",
]

_QUERIES = (exp.Query, exp.Values, exp.Pivot)


def parse_sql(text: str, dialect: str, queries_only: bool = True) -> ParsedSql:
    """Parse a text in one of sqlglot's dialects (``duckdb``, ``postgres``, ...).

    With ``queries_only`` (a model, a check) the text must be one query. Otherwise it may be any
    number of statements (what a Python file passes to ``warehouse.execute``), and the tables that
    they write are among the references, marked ``written``.

    Raises:
        SqlSyntaxError: the text is not what it must be; the place counts in the whole text.
        ValueError: sqlglot does not know the dialect.
    """
    source = TokenizedText(text, dialect)
    statements = source.statements()
    if queries_only:
        _refuse_other_than_one_query(source, statements)
    references: dict[int, Reference] = {}
    qualifiers: dict[int, Qualifier] = {}
    clashing: set[int] = set()
    temporary: list[str] = []
    opaque = False
    unseen = list(source.prepared.unseen)
    suspects: dict[tuple[int, str, tuple[str, ...]], None] = {}
    for statement in statements:
        arguments = source.prepared.tables
        found = find_names(statement, source.dialect, source.is_string, temporary, arguments)
        if queries_only and found.writes:
            word = found.writes[0]
            what = f"{word} inside a query writes, but a model must only read"
            raise source.error(what, source.word(word))
        _place_names(source, found, references, qualifiers, clashing)
        temporary += found.temporary
        opaque = opaque or found.opaque
        known = {what for _, what in unseen}
        unseen += [(source.call(name), f"{name}(...)") for name in found.queries]
        for name, parts in found.suspects:
            if f"{name.lower()}(...)" not in known:
                suspects[source.call(name), name, parts] = None
    return ParsedSql(
        references=tuple(references[start] for start in sorted(references)),
        qualifiers=tuple(qualifiers[start] for start in sorted(qualifiers)),
        placeholders=tuple(source.placeholders()),
        normalized=source.normalized(kept_case(statements, source.tokens, source.dialect)),
        clashing=frozenset(clashing),
        temporary=tuple(temporary),
        opaque=opaque,
        semicolons=source.trailing_semicolons(),
        unseen=tuple((*source.lines.place(at), what) for at, what in unseen),
        suspects=tuple((*source.lines.place(at), name, parts) for at, name, parts in suspects),
    )


def plain_text(text: str, dialect: str) -> str:
    """The text without comments and white space. Everything else is as written, even its case.

    Raises SqlSyntaxError for a text that has no tokens.
    """
    return TokenizedText(text, dialect).plain()


def statement_references(
    text: str, dialect: str
) -> tuple[tuple[Reference, ...], tuple[Reference, ...]]:
    """The tables that any SQL reads, and those that it writes. Raises as parse_sql does."""
    references = parse_sql(text, dialect, queries_only=False).references
    return (
        tuple(reference for reference in references if not reference.written),
        tuple(reference for reference in references if reference.written),
    )


def _refuse_other_than_one_query(source: TokenizedText, statements: Sequence[exp.Expr]) -> None:
    if not statements:
        raise source.error("there is no query, only comments", 0, "Write a SELECT.")
    if len(statements) > 1:
        fix = "A model is one query: move the other statement to a file of its own."
        raise source.error("a second statement begins here", source.second_statement(), fix)
    tree = statements[0]
    if isinstance(tree, exp.Select) and not tree.expressions and tree.args.get("from_") is None:
        raise source.error("the SELECT has no columns", source.tokens[0].start)
    if not isinstance(tree, _QUERIES):
        kind = source.tokens[0].text.upper()
        raise source.error(
            f"{kind} is a statement, not a query",
            source.tokens[0].start,
            "A model's SQL is one query (SELECT, WITH, FROM, VALUES, PIVOT); `materialized:` in "
            "the header says what it builds.",
        )


def _place_names(
    source: TokenizedText,
    found: FoundNames,
    references: dict[int, Reference],
    qualifiers: dict[int, Qualifier],
    clashing: set[int],
) -> None:
    for table in found.tables:
        start, end, _ = source.span(table.identifiers)
        end = source.behind_star(end) if source.dialect.star_behind_table else end
        line, column = source.lines.place(start)
        prepared = source.prepared
        fixed = table.aliased or start in prepared.fixed or source.is_table_statement(start)
        references[start] = Reference(
            table.parts,
            start,
            end,
            line,
            column,
            aliased=fixed,
            written=table.written,
            certain=table.certain,
            in_string=start in prepared.in_strings,
        )
        if table in found.clashing:
            clashing.add(start)
    for item in found.qualifiers:
        start, end, last = source.span(item.identifiers)
        belongs = source.span(item.table.identifiers)[0]
        qualifiers[start] = Qualifier(start, end, item.parts, last, belongs)
