"""``*``, ``t.*``, ``* EXCLUDE ...``, DuckDB's ``columns('pattern')`` -> the columns they mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate

from sqlglot import exp

from dagster_models.sql.dialects.type_words import fields_of
from dagster_models.sql.lineage.column_sets import ColumnScope, ColumnSet, Item, Value, digest_of
from dagster_models.sql.lineage.expression_types import Types
from dagster_models.sql.lineage.expressions import Expressions


class Stars:
    def __init__(self, expressions: Expressions, types: Types) -> None:
        self.expressions, self.types, self.dialect = expressions, types, expressions.dialect
        self.name, self.output = expressions.folded, expressions.output

    def star(
        self, node: exp.Expr, scope: ColumnScope, items: Sequence[Item], merge: bool
    ) -> ColumnSet:
        changes = _Changes(node, self, scope)
        columns: list[tuple[str, Value]] = []
        for item in items:
            for name, value in item.column_set.columns:
                lower = name.lower()
                if merge and lower in item.hidden and not changes.reveals(lower):
                    continue
                if merge:
                    value = item.shown.get(lower, value)
                columns += changes.of(item, name, value)
        if merge and self.dialect.using_first and scope.merged:
            first = [column for column in columns if column[0].lower() in scope.merged]
            columns = first + [column for column in columns if column not in first]
        closed = all(item.column_set.closed for item in items)
        origins = tuple(key for item in items for key in item.column_set.origins)
        reason = next((item.column_set.reason for item in items if item.column_set.reason), "")
        if not closed and not origins and not reason:
            reason = "it selects * from something outside of the project"
        certain = all(item.column_set.certain for item in items)
        column_set = ColumnSet(tuple(columns), closed, certain, origins, reason)
        return self.matched(column_set, node.args.get("ilike"), "ilike", False)

    def filtered(self, pattern: Pattern, node: exp.Expr, scope: ColumnScope) -> ColumnSet:
        """DuckDB's `* like 'a%'`: the columns whose names match."""
        if isinstance(pattern.star, exp.Column):
            every = self.qualified_star(pattern.star, scope)
        else:
            every = self.star(pattern.star, scope, scope.items, merge=True)
        if any(prefix for prefix, _ in _Changes(pattern.star, self, scope).excluded):
            # `* exclude (o.id) like '%d'` leaves nothing out in DuckDB 1.5
            return replace(every, closed=False, reason="* with a pattern is not followed")
        found = self.matched(every, pattern.text, pattern.kind, pattern.negated, pattern.escape)
        if not isinstance(node, exp.Alias):
            return found
        name = self.output(node.args["alias"])
        return replace(found, columns=tuple((name, value) for _, value in found.columns))

    def matched(
        self,
        column_set: ColumnSet,
        text: exp.Expr | None,
        kind: str,
        negated: bool,
        escape: str = "",
    ) -> ColumnSet:
        """The columns whose names match a pattern."""
        if text is None:
            return column_set
        matches = _matcher(text.name, kind, escape) if isinstance(text, exp.Literal) else None
        if matches is None:
            return replace(column_set, closed=False, reason="* with a pattern is not followed")
        columns = tuple(c for c in column_set.columns if bool(matches(c[0])) != negated)
        return replace(column_set, columns=columns)

    def qualified_star(self, node: exp.Column, scope: ColumnScope) -> ColumnSet:
        table = node.args.get("table")
        item = scope.item(self.name(table))
        if item is not None:
            return self.star(node.this, scope, [item], merge=False)
        value = self.expressions.column(exp.Column(this=table), scope, silent=True)
        return self.fields(value, value.type if value is not None else "", node, scope)

    def of_value(self, node: exp.Dot, scope: ColumnScope) -> ColumnSet:
        """``(f(x)).*``: the fields of a value."""
        value = self.expressions.read(node.this, scope)
        return self.fields(value, self.types.of(node.this), node, scope)

    def fields(
        self, value: Value | None, type_: str, node: exp.Expr, scope: ColumnScope
    ) -> ColumnSet:
        fields = fields_of(type_)
        if value is None or fields is None:
            return ColumnSet((), False, True, (), f"the columns of {node.sql()} are not known")
        columns = tuple(
            (name, value._replace(type=of, digest=digest_of(value.digest, name)))
            for name, of in fields.items()
        )
        star = node.this if isinstance(node, exp.Column) else node.expression
        return self.star(star, scope, [Item("", ColumnSet(columns))], merge=False)

    def matching(self, node: exp.Columns, scope: ColumnScope) -> ColumnSet:
        """DuckDB's ``columns('pattern')``, which means the columns whose names match."""
        pattern = node.this
        if isinstance(pattern, exp.Star):
            return self.star(pattern, scope, scope.items, merge=True)
        if isinstance(pattern, exp.Column) and isinstance(pattern.this, exp.Star):
            return self.qualified_star(pattern, scope)
        every = self.star(exp.Star(), scope, scope.items, merge=True)
        try:
            wanted = re.compile(pattern.this if isinstance(pattern, exp.Literal) else "[")
        except re.error:
            return ColumnSet((), False, True, (), "columns(...) is not followed")
        return replace(every, columns=tuple(c for c in every.columns if wanted.search(c[0])))


class _Changes:
    """EXCLUDE, REPLACE and RENAME of one ``*``."""

    def __init__(self, star: exp.Expr, stars: Stars, scope: ColumnScope) -> None:
        self.stars, self.revealed = stars, set[str]()
        listed = star.args.get("except_") or ()
        self.excluded = [part for node in _listed(listed) for part in [self.named(node)]]
        self.renamed = [
            (self.named(alias.this), stars.output(alias.args["alias"]))
            for alias in star.args.get("rename") or ()
            if isinstance(alias, exp.Alias)
        ]
        self.replaced: dict[str, tuple[str, Value]] = {}
        for alias in star.args.get("replace") or ():
            value = stars.expressions.read(alias.this, scope)
            value = value.typed(stars.types.of(alias.this))
            self.replaced[alias.alias.lower()] = (stars.output(alias.args["alias"]), value)
        self.done: set[str] = set()  #: names that were replaced: DuckDB shows only the first

    def named(self, node: exp.Expr) -> tuple[str, str]:
        """(prefix, name) of a column that is listed, the prefix "" if it has none."""
        table = node.args.get("table") if isinstance(node, exp.Column) else None
        return self.stars.name(table), node.name.lower()

    def reveals(self, lower: str) -> bool:
        """Whether the column that USING hides takes the place of one that was excluded."""
        return lower in self.revealed

    def of(self, item: Item, name: str, value: Value) -> Iterator[tuple[str, Value]]:
        """What becomes of a column of *item*: itself under some name, or nothing."""
        lower = name.lower()
        meant = ((item.name, lower), ("", lower))
        if any(one in self.excluded for one in meant):
            if meant[1] not in self.excluded:
                self.revealed.add(lower)
            return
        if lower in self.replaced:
            if lower not in self.done:
                yield self.replaced[lower]
            self.done.add(lower)
            return
        yield next((new for one, new in self.renamed if one in meant), name), value


def _listed(nodes: object) -> Iterator[exp.Expr]:
    for node in nodes if isinstance(nodes, (list, tuple)) else [nodes]:
        if isinstance(node, exp.Expr):
            yield from getattr(node, "expressions", None) or [node]


# --- patterns -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pattern:
    """`* like 'a!%' escape '!'`: ``star`` is a Star, or the column `t.*`."""

    star: exp.Expr
    kind: str
    text: exp.Expr
    negated: bool = False
    escape: str = ""


def pattern_of(node: exp.Expr) -> Pattern | None:
    """The pattern of a ``*`` that is compared with one; None for any other expression."""
    negated, escape = False, ""
    while isinstance(node, (exp.Paren, exp.Not, exp.Escape)):
        negated = negated != isinstance(node, exp.Not)
        escape = node.expression.name if isinstance(node, exp.Escape) else escape
        node = node.this
    star = node.this if isinstance(node, _COMPARES) else None
    named = isinstance(star, exp.Column) and isinstance(star.this, exp.Star)
    if star is None or not (isinstance(star, exp.Star) or named):
        return None
    negated = negated != bool(node.args.get("negate"))
    return Pattern(star, type(node).__name__.lower(), node.expression, negated, escape)


_COMPARES = (exp.Like, exp.ILike, exp.Glob, exp.SimilarTo, exp.RegexpLike, exp.RegexpFullMatch)


def _matcher(text: str, kind: str, escape: str) -> Callable[[str], object] | None:
    """Whether a name matches; None for patterns that are not followed."""
    if kind == "glob":
        return None if "[" in text else re.compile(translate(text), re.DOTALL).match
    if kind not in ("like", "ilike"):
        return None  # DuckDB's SIMILAR TO finds the pattern anywhere, and its NOT does not
    regex, index = "", 0
    while index < len(text):
        char = text[index]
        if char == escape and index + 1 < len(text):
            index += 1
            regex += re.escape(text[index])
        else:
            regex += {"%": ".*", "_": "."}.get(char, re.escape(char))
        index += 1
    flags = re.DOTALL | (re.IGNORECASE if kind == "ilike" else 0)
    return re.compile(regex, flags).fullmatch
