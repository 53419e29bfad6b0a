"""SQL text -> what it reads and its placeholders; and then -> the text with its names replaced.

    parse_sql(text, dialect) -> ParsedSql
    compile_sql(text, parsed, dialect, relation_of, variables) -> text for the warehouse

The text is never generated from the syntax tree. sqlglot knows where each token is in the text. A
name is replaced at its place, once it is certain that the tokens there are the name, and every
other byte stays. The modules behind this one: tokens.py (places), rewriting (adapts tokens for the
parser), table_walk.py, scopes.py and nodes.py (which names are tables), fill_in.py (replaces them).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from dagster_models.core.model import Reference
from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.common_queries import names_of
from dagster_models.sql.kept_case import kept_case
from dagster_models.sql.nodes import unlink
from dagster_models.sql.parsed import ParsedSql, Placeholder, Qualifier
from dagster_models.sql.table_walk import FoundNames, find_names
from dagster_models.sql.tokens import TokenizedText, second_statement

__all__ = [
    "ParsedSql",
    "Placeholder",
    "Qualifier",
    "beside_expression",
    "is_function_name",
    "parse_sql",
    "plain_text",
    "statement_references",
]

_QUERIES = (exp.Query, exp.Values, exp.Pivot)


def parse_sql(
    text: str, dialect: str, queries_only: bool = True, *, normalize: bool = True
) -> ParsedSql:
    """Parse a text in one of sqlglot's dialects (``duckdb``, ``postgres``, ...).

    With ``queries_only`` (a model, a check) the text must be one query. Otherwise it may be any
    number of statements (what a Python file passes to ``warehouse.execute``), and the tables that
    they write are among the references, marked ``written``. Without *normalize*, ``normalized`` is
    "", for those who do not compare texts: it is a fifth of the work.

    Raises:
        SqlSyntaxError: the text is not what it must be; the place counts in the whole text.
        ValueError: sqlglot does not know the dialect.
    """
    source = TokenizedText(text, dialect)
    parsed = parse_common(source, normalize=normalize)
    if parsed is None:
        parsed = parse_source(source, queries_only, normalize=normalize)
        unlink(source.statements())
    return parsed


def parse_common(source: TokenizedText, *, normalize: bool = True) -> ParsedSql | None:
    """What ``parse_source`` would return, without a syntax tree; None if that takes one."""
    found = names_of(source)
    if found is None:
        return None
    tables, calls = found
    return ParsedSql(
        references=tables,
        qualifiers=(),
        placeholders=tuple(source.placeholders()),
        normalized=source.normalized() if normalize else "",
        semicolons=source.trailing_semicolons(),
        calls=tuple(call for _, call in _calls(source, calls)),
    )


def parse_source(
    source: TokenizedText, queries_only: bool = True, *, normalize: bool = True
) -> ParsedSql:
    """Like ``parse_sql``, for a text whose syntax trees have other readers, too."""
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
    calls: dict[int, Reference] = {}
    for statement in statements:
        arguments = source.prepared.tables
        found = find_names(statement, source.dialect, source.is_string, temporary, arguments)
        if queries_only and found.writes:
            word = found.writes[0]
            what = f"{word} inside a query writes, but a model must only read"
            raise source.error(what, source.word(word))
        _place_names(source, found, references, qualifiers, clashing)
        calls.update(_calls(source, found.calls))
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
        normalized=_normalized(source, statements) if normalize else "",
        clashing=frozenset(clashing),
        temporary=tuple(temporary),
        opaque=opaque,
        semicolons=source.trailing_semicolons(),
        unseen=tuple((*source.lines.place(at), what) for at, what in unseen),
        suspects=tuple((*source.lines.place(at), name, parts) for at, name, parts in suspects),
        calls=tuple(calls[start] for start in sorted(calls)),
    )


def _normalized(source: TokenizedText, statements: Sequence[exp.Expr]) -> str:
    return source.normalized(kept_case(statements, source.text, source.tokens, source.dialect))


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
        raise source.error("a second statement begins here", second_statement(source), fix)
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


def is_function_name(name: str, dialect: str) -> bool:
    """Whether a function may have the name: the dialect has no function and no word of it."""
    try:
        return bool(parse_sql(f"select {name}()", dialect).calls)
    except SqlSyntaxError:
        return False


def beside_expression(text: str, dialect: str) -> tuple[slice, ...]:
    """What stands beside the expression of a query without FROM: the word SELECT, and an alias.

    () for any other query, and for an expression that may be more than one value of one row: put
    into another query, an aggregate would be one of its rows.
    """
    source = TokenizedText(text, dialect)
    (tree,) = source.statements()
    clauses = {key for key, value in tree.args.items() if value}
    if not isinstance(tree, exp.Select) or clauses != {"expressions"} or len(tree.selects) != 1:
        return ()
    (chosen,) = tree.selects
    if any(isinstance(node, _NOT_ONE_VALUE) for node in chosen.walk()):
        return ()
    first, *rest = (it for it in source.tokens if it.token_type != TokenType.SEMICOLON)
    cut = [slice(first.start, first.end + 1)]
    if isinstance(chosen, exp.Alias):
        last = rest[-1]
        if chosen.args["alias"].meta.get("start") != last.start:  # `y: x`
            return ()
        alias = rest[-2] if rest[-2].token_type == TokenType.ALIAS else last
        cut.append(slice(alias.start, last.end + 1))
    return tuple(cut) if first.token_type == TokenType.SELECT else ()


#: A value of several rows, several values of one row, or what only the warehouse knows.
_NOT_ONE_VALUE = (
    *(exp.AggFunc, exp.Window, exp.Anonymous, exp.Query, exp.Star, exp.UDTF, exp.Column),
    *(exp.GenerateSeries, exp.Explode, exp.Posexplode, exp.Columns, exp.Tuple),
)


def _calls(source: TokenizedText, starts: Sequence[int]) -> Iterator[tuple[int, Reference]]:
    """The calls of functions whose names stand at *starts*, each with its schema before it."""
    tokens = source.tokens
    for start in starts:
        last = first = source.at(start)
        if first is None or last is None:
            continue
        while first > 1 and tokens[first - 1].token_type == TokenType.DOT:
            first -= 2
        parts = tuple(
            source.dialect.fold(token.text, token.token_type == TokenType.IDENTIFIER)
            for token in tokens[first : last + 1 : 2]
        )
        start, end = tokens[first].start, tokens[last].end + 1
        place = source.lines.place(start)
        yield start, Reference(parts, start, end, *place, aliased=True, certain=False, call=True)


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
