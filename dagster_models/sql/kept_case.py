"""Words of a query whose case is contents, though they have no quotes.

Most warehouses keep the case in which a query names a column: it is in the relation, in
`to_json(t)`, in what UNPIVOT makes of it, and `columns('T.*')` looks for it. The case of keywords,
of functions, of tables and of the columns that are read is not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.rewriting.token_rewriter import NAMES, TEXTS, WORD

#: What may stand before the colon of a path: `doc:Name`, `a[0]:Name`, `f(x):Name`.
_BEFORE_PATH = {*NAMES, TokenType.R_BRACKET, TokenType.R_PAREN, TokenType.NUMBER}
_QUOTED = {TokenType.IDENTIFIER, *TEXTS}
_PATH = {TokenType.COLON, TokenType.DOT}


def kept_case(
    statements: Sequence[exp.Expr], text: str, tokens: Sequence[Token], dialect: Dialect
) -> frozenset[int]:
    """The indexes of the tokens of *text* whose case is contents."""
    body = text[tokens[0].start :] if tokens else ""
    if body == body.lower() and not dialect.keys_in_result:  # most texts
        return frozenset()
    written = [
        index
        for index, token in enumerate(tokens)
        if token.text != token.text.lower() and token.token_type not in _QUOTED
    ]
    if not written:
        return frozenset()
    if dialect.keys_in_result and _makes_document(tokens):
        return frozenset(written)
    if all(" " in tokens[index].text for index in written):  # sqlglot says GROUP BY for `group by`
        return frozenset()
    names = [name for tree in statements for name in _names(tree, dialect)]
    starts = {name.meta["start"] for name in names if "start" in name.meta}
    placeless = {name.name for name in names if "start" not in name.meta}  # `{Key: 1}` in DuckDB
    paths = _paths(tokens) if dialect.colon_paths else frozenset[int]()
    return frozenset(
        i for i in written if tokens[i].start in starts or tokens[i].text in placeless or i in paths
    )


def _makes_document(tokens: Sequence[Token]) -> bool:
    """T-SQL's `for json auto`, whose keys are the names of columns and of tables."""
    words = [token.text.lower() for token in tokens]
    return any(pair in (("for", "json"), ("for", "xml")) for pair in pairwise(words))


def _paths(tokens: Sequence[Token]) -> frozenset[int]:
    """The names in `doc:Customer.Name`, keys of a document."""
    found = set()
    for index, token in enumerate(tokens[1:], 1):
        before = tokens[index - 1]
        inside = index - 1 in found or before.token_type == TokenType.R_BRACKET
        begins = token.token_type == TokenType.COLON and before.token_type in _BEFORE_PATH
        path = begins or (inside and token.token_type in _PATH)
        if path and index + 1 < len(tokens) and WORD.match(tokens[index + 1].text):
            found.add(index + 1)
    return frozenset(found)


# --- names in the syntax tree -----------------------------------------------------------------


def _names(tree: exp.Expr, dialect: Dialect) -> Iterator[exp.Identifier]:
    """The identifiers that name columns, or keys of structs and documents."""
    if not dialect.columns_keep_case:
        return
    nodes = list(tree.walk())
    items = (node for node in nodes if isinstance(node, (exp.Table, exp.Subquery)))
    tables = {item.alias_or_name.lower() for item in items}
    for node in nodes:
        if isinstance(node, (exp.Alias, exp.PivotAlias)):
            yield from _identifiers(node.args.get("alias"))
        elif isinstance(node, exp.Aliases):
            yield from _identifiers(*node.expressions)
        elif isinstance(node, exp.TableAlias):
            yield from _identifiers(*(node.args.get("columns") or ()))
        elif isinstance(node, (exp.PropertyEQ, exp.Kwarg, exp.ColumnDef)):
            yield from _identifiers(node.this)
        elif isinstance(node, exp.Pivot):
            yield from node.find_all(exp.Identifier)
        elif isinstance(node, exp.Struct):
            yield from _identifiers(*(it for it in node.expressions if isinstance(it, exp.Column)))
        elif isinstance(node, exp.Select):
            yield from _implied(node, tables, dialect)


def _identifiers(*nodes: object) -> Iterator[exp.Identifier]:
    for node in nodes:
        named = node.this if isinstance(node, (exp.ColumnDef, exp.Column)) else node
        if isinstance(named, exp.Identifier):
            yield named


def _implied(
    node: exp.Select, tables: Collection[str], dialect: Dialect
) -> Iterator[exp.Identifier]:
    """What names the columns of a SELECT that have no alias: `max(Total)` is called that."""
    for item in node.expressions:
        if isinstance(item, (exp.Alias, exp.Aliases, exp.Star)) or item.is_star:
            continue
        if not isinstance(item, exp.Column):
            yield from item.find_all(exp.Identifier)
        elif not dialect.spelled_by_relation or not _is_of_table(item, tables):
            yield from _identifiers(item)


def _is_of_table(column: exp.Column, tables: Collection[str]) -> bool:
    """Whether it is a column of a FROM item, which keeps its own spelling; else it is a field of a
    struct, or a whole row."""
    owner = column.parts[-2] if len(column.parts) > 1 else None
    return owner.name.lower() in tables if owner else column.name.lower() not in tables
