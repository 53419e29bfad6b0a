"""A key says which row is meant: one that is NULL, or twice in the new rows, fails the step."""

from __future__ import annotations

from collections.abc import Sequence

from dagster_models.core.materializations import Incremental
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.materializations.columns import columns_named
from dagster_models.warehouses.materializations.hooks import Asking

_EXAMPLES = 3
#: The columns and characters that an example shows.
_MOST_COLUMNS, _MOST_CHARACTERS = 6, 40


def refuse_bad_keys(session: Asking, relation: Relation, how: Incremental) -> None:
    """Raise WarehouseError for rows of *relation* whose key is NULL; with the strategy merge for
    keys that occur twice, too. Nothing is asked of a model without a key."""
    if not how.unique_key:
        return
    columns = session.columns(relation)
    keys = columns_named(columns, how.unique_key, of="unique_key: the query")
    refuse_null_keys(session, relation, keys, [name for name, _ in columns])
    if how.strategy == "merge":
        why = "A merge could take any of these rows"
        fix = ", or use `strategy: delete+insert`, which takes them all"
        refuse_duplicate_keys(session, relation, keys, why, fix)


def refuse_null_keys(
    session: Asking, relation: Relation, keys: Sequence[str], columns: Sequence[str]
) -> None:
    """Raise WarehouseError for rows whose key is NULL. *keys* are some of its *columns*."""
    where = " OR ".join(f"{session.quote(key)} IS NULL" for key in keys)
    what = (
        f"NULL in unique_key ({', '.join(keys)}), so that nobody can say which row of the table is"
        " meant"
    )
    refuse_rows(session, relation, where, (*keys, *columns), what, "NullKey")


def refuse_rows(
    session: Asking,
    relation: Relation,
    where: str,
    columns: Sequence[str],
    what: str,
    name: str,
) -> None:
    """Raise WarehouseError for rows of *relation* of which *where* is true, with examples.

    *what*: what such a row has; *columns*: those to show first.
    """
    source = f"FROM {session.quoted(relation)} WHERE {where}"
    count = session.rows(f"SELECT count(*) {source}")[0][0]
    if not count:
        return
    shown = list(dict.fromkeys(columns))[:_MOST_COLUMNS]
    rows = session.rows(f"SELECT {_as_text(session, shown)} {source} LIMIT {_EXAMPLES}")
    verb = "row has" if count == 1 else "rows have"
    raise WarehouseError(
        ErrorKind.CONSTRAINT,
        f"{count:,} {verb} {what}: {_examples(shown, rows)}. Nothing was changed: leave such rows"
        " out in the query, or give them a value with coalesce()",
        name=name,
    )


def refuse_duplicate_keys(
    session: Asking, relation: Relation, keys: Sequence[str], why: str, fix: str
) -> None:
    """Raise WarehouseError for keys that occur twice. *why* is a sentence, *fix* ends the text."""
    if not (twice := _twice(session, session.quoted(relation), keys)):
        return
    raise WarehouseError(
        ErrorKind.CONSTRAINT,
        f"{_counted(*twice, 'what the query returns')}. {why}. Nothing was changed: let the query"
        f" return one row of each key, {'' if fix else 'or '}add columns to unique_key{fix}",
        name="DuplicateKey",
    )


def refuse_keys_alike(
    session: Asking, relation: Relation, source: str, keys: Sequence[str]
) -> None:
    """Raise WarehouseError for staged keys that are several by themselves, and one by the
    collation of the table's column. *source*: see ``Merging.keys_source``."""
    if not source or not (twice := _twice(session, source, keys)):
        return
    raise WarehouseError(
        ErrorKind.CONSTRAINT,
        f"{_counted(*twice, 'what the query returns')}, as {relation} compares them: its column has"
        " a collation. Nothing was changed: let the query return one row of each key, or give its"
        " column that collation",
        name="DuplicateKey",
    )


def refuse_keys_of_table(
    session: Asking, relation: Relation, keys: Sequence[str], among: Relation | None = None
) -> None:
    """Raise WarehouseError for keys that the table itself holds twice, or that are NULL in it;
    *among*: only for those that are there."""
    if twice := _twice(session, session.quoted(among or relation), keys):
        said = _counted(*twice, str(relation))
    elif among is None and (null := key_examples(session, keys, _null(session, relation, keys))):
        said = f"unique_key ({', '.join(keys)}) is NULL in rows of {relation}: {null}"
    else:
        return
    raise WarehouseError(
        ErrorKind.CONSTRAINT,
        f"{said}. It was filled by a build without this key, or by somebody else, and a merge would"
        " keep these rows. Nothing was changed: delete or mend them by hand, or build the model"
        " once in full (`full_refresh`)",
        name="KeysOfTable",
    )


def _null(session: Asking, relation: Relation, keys: Sequence[str]) -> str:
    unknown = " OR ".join(f"{session.quote(key)} IS NULL" for key in keys)
    return f"FROM {session.quoted(relation)} WHERE {unknown}"


def _twice(session: Asking, source: str, keys: Sequence[str]) -> tuple[int, str] | None:
    """How many keys *source*, what a FROM reads, holds more than once, and some of them; None for
    none."""
    # Not those that are NULL, which are no keys.
    known = " AND ".join(f"{session.quote(key)} IS NOT NULL" for key in keys)
    listed = ", ".join(map(session.quote, keys))
    twice = f"FROM {source} WHERE {known} GROUP BY {listed} HAVING count(*) > 1"
    counted = f"CAST(count(*) AS {session.text_type})"
    rows = session.rows(f"SELECT {_as_text(session, keys)}, {counted} {twice} LIMIT {_EXAMPLES}")
    if not rows:
        return None
    count = session.rows(f"SELECT count(*) FROM (SELECT 1 AS one {twice}) AS twice")[0][0]
    return count, _examples([*keys, "rows"], rows)


def _counted(count: int, examples: str, where: str) -> str:
    verb = "value of unique_key occurs" if count == 1 else "values of unique_key occur"
    return f"{count:,} {verb} more than once in {where}: {examples}"


def key_examples(session: Asking, keys: Sequence[str], source: str) -> str:
    """Some of the keys that are in *source*, a FROM clause and what follows it; "" for none."""
    rows = session.rows(f"SELECT {_as_text(session, keys)} {source} LIMIT {_EXAMPLES}")
    return _examples(keys, rows)


def _as_text(session: Asking, columns: Sequence[str]) -> str:
    return ", ".join(f"CAST({session.quote(column)} AS {session.text_type})" for column in columns)


def _examples(columns: Sequence[str], rows: Sequence[tuple[str | None, ...]]) -> str:
    return "; ".join(
        ", ".join(f"{column}={_short(value)}" for column, value in zip(columns, row, strict=True))
        for row in rows
    )


def _short(value: str | None) -> str:
    if value is None:
        return "NULL"
    return value if len(value) <= _MOST_CHARACTERS else value[:_MOST_CHARACTERS] + "..."
