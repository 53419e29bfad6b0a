"""Which statements may run in the transaction of a build: those that are undone with it.

A list of what may, never of what may not: a statement that nobody thought of is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from dagster_models.sql.tokens import TokenizedText, second_statement

_KINDS = ("TABLE", "VIEW", "INDEX", "SEQUENCE")
_FIX = (
    "Use SELECT, INSERT, UPDATE, DELETE, MERGE, TRUNCATE, COMMENT, ANALYZE, ALTER TABLE, or CREATE"
    " or DROP of a TABLE, VIEW, INDEX or SEQUENCE, and run anything else in a script (scripts/)."
)


@lru_cache(maxsize=256)  # a hook of a whole folder is a statement of each of its models
def refuse_other_statements(text: str, dialect: str) -> None:
    """Raise SqlSyntaxError for a text that is not one statement which a rollback undoes."""
    source = TokenizedText(text, dialect)
    trees = source.statements()
    if not trees:
        raise source.error("there is no statement", 0, "Write one, or delete it.")
    start = source.tokens[0].start
    if len(trees) > 1:
        fix = "Write a list, with one statement in each item."
        raise source.error("a second statement begins here", second_statement(source), fix)
    (tree,) = trees
    word = source.tokens[0].text.upper()
    if isinstance(tree, (exp.Transaction, exp.Commit, exp.Rollback)):
        what = f"{word} would begin or end the transaction in which the model is built"
        raise source.error(what, start, "Delete it: the build commits, or is rolled back.")
    if isinstance(tree, (exp.Grant, exp.Revoke)):
        fix = "Use `grants: {select: [role]}`, which also takes back what is no longer listed."
        raise source.error(f"{word} is no statement for this place", start, fix)
    if isinstance(tree, exp.Set):
        what = "SET would outlast the build, and hold for others that use the same session"
        if not _is_local(tree):
            raise source.error(what, start, "Use `SET LOCAL`, where the warehouse has it.")
        return
    allowed = next((may for kind, may in _ALLOWED.items() if isinstance(tree, kind)), None)
    if allowed is None or not allowed(tree):
        what = f"{_words(source)} is not known to be undone if the build fails"
        raise source.error(what, start, _FIX)


def refuse_other_than_condition(text: str, dialect: str) -> None:
    """Raise SqlSyntaxError for a text that would be more than a condition between parentheses."""
    source = TokenizedText(text, dialect)
    if not source.tokens:
        raise source.error("there is nothing but comments", 0, "Write a condition.")
    depth = 0
    for token in source.tokens:
        kind = token.token_type  # the text of `')'` is a parenthesis, too
        depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
        if depth < 0:
            raise source.error(
                "a parenthesis is closed that is not open", token.start, "Delete it."
            )
        if kind == TokenType.SEMICOLON:
            raise source.error("a condition has no semicolon", token.start, "Delete it.")


def _is_local(tree: exp.Set) -> bool:
    return all(str(item.args.get("kind") or "").upper() == "LOCAL" for item in tree.expressions)


def _words(source: TokenizedText) -> str:
    """The words that say which statement it is."""
    words = [token.text.upper() for token in source.tokens[:2]]
    return " ".join(word for word in words if word.isalpha()) or "this"


def _always(tree: Any) -> bool:
    return True


def _plain(tree: Any) -> bool:
    """Not of a temporary relation, which would outlast the build, and not CONCURRENTLY."""
    properties = tree.args.get("properties")
    others = (exp.TemporaryProperty, exp.GlobalProperty)
    temporary = tree.args.get("temporary") or (
        properties is not None and any(isinstance(it, others) for it in properties.expressions)
    )
    kind = str(tree.args.get("kind") or "").upper()
    return kind in _KINDS and not temporary and not tree.args.get("concurrently")


def _of_table(tree: Any) -> bool:
    return str(tree.args.get("kind") or "").upper() in ("TABLE", "VIEW")


_ALLOWED: Mapping[Any, Callable[[Any], bool]] = {
    exp.Query: _always,
    exp.Values: _always,
    exp.Insert: _always,
    exp.Update: _always,
    exp.Delete: _always,
    exp.Merge: _always,
    exp.TruncateTable: _always,
    exp.Comment: _always,
    exp.Analyze: _always,
    exp.Create: _plain,
    exp.Drop: _plain,
    exp.Alter: _of_table,
}
