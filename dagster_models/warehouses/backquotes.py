"""SQL that quotes names with backquotes: names, statements, and a digest of rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.digests import digest_of

Token = tuple[str, str, int]
"""(kind, text, where it begins)"""


def quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def quoted(relation: Relation) -> str:
    return ".".join(quote(part) for part in (relation.schema, relation.name))


def relation_of(name: str, tokens: Iterable[Token]) -> Relation:
    """A relation's name in SQL, of two parts, as a value. Raises WarehouseError for another."""
    parts = []
    for kind, text, _ in tokens:
        if kind == "quoted":
            parts.append(text[1:-1].replace("``", "`"))
        elif kind == "string" and text[0] == '"':  # as standard SQL quotes a name
            parts.append(text[1:-1].replace('""', '"'))
        elif kind in ("word", "number"):
            parts.append(text)
    if len(parts) != 2:
        raise WarehouseError(
            ErrorKind.INVALID_NAME, f"{name} is no relation of a schema: write schema.name"
        )
    return Relation(parts[0], parts[1])


def line_of(sql: str, at: int) -> int:
    """The line of an offset, from 1."""
    return sql.count("\n", 0, at) + 1


def on_its_lines(sql: str, start: int, end: int) -> str:
    """A part of a text, on the lines where it stands."""
    return "\n" * sql.count("\n", 0, start) + sql[start:end]


def statements(
    sql: str, tokens: Callable[[str], Iterable[Token]], is_program: Callable[[int], object]
) -> list[str]:
    """The statements of a text, without semicolons, each on the lines where it stands; a comment
    alone is none. The body of a program, which begins at an offset, has semicolons of its own."""
    found: list[str] = []
    start, filled = 0, False
    for kind, _, at in tokens(sql):
        if kind != "semicolon":
            if not filled and is_program(at):
                return [*found, on_its_lines(sql, start, len(sql))]
            filled = True
            continue
        if filled:
            found.append(on_its_lines(sql, start, at))
        start, filled = at + 1, False
    if filled:
        found.append(on_its_lines(sql, start, len(sql)))
    return found


def only_line(sql: str, name: str, tokens: Iterable[Token]) -> int | None:
    """The line of the only place where a name stands; None where there are several."""
    places = [
        at
        for kind, text, at in tokens
        if kind in ("word", "quoted") and text.strip("`").lower() == name.lower()
    ]
    return line_of(sql, places[0]) if len(places) == 1 else None


def digest_of_rows(
    rows: Callable[[str], Sequence[tuple[Any, ...]]],
    relation: Relation,
    columns: Collection[tuple[str, str]],
    texts: Iterable[str],
) -> str:
    """A digest of columns and rows, in whatever order: of texts, each with its length before it, as
    a warehouse's own hash may change. *rows* runs a query; *texts*: each column as text, as SQL."""
    parts = ", ".join(f"coalesce(concat(length({it}), ':', {it}), 'NULL'), ','" for it in texts)
    row = f"md5(concat({parts}))"
    halves = ", ".join(
        f"sum(CAST(conv(substr({row}, {start}, 15), 16, 10) AS DECIMAL(38, 0)))"
        for start in (1, 17)
    )
    found = rows(f"SELECT count(*), {halves} FROM {quoted(relation)}")
    return digest_of(repr((tuple(columns), [*map(str, found[0])])).encode())[:32]
