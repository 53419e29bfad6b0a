"""Rebuilds a relation whose columns or kind change, with all that is attached to the old one.

Three things keep this from losing anything silently:

1. If something is known not to survive, the change is refused before anything is dropped
   (losses.py).
2. DROP without CASCADE fails if something depends on the relation: foreign keys of other tables,
   functions, columns of its row type. Only views are dropped first, and created again.
3. Whatever PostgreSQL drops along with a relation is listed before and after. If anything is then
   missing or different, the change is refused, even for kinds of objects that we do not know.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.postgres.catalog import (
    KINDS,
    TURNS,
    Runner,
    StoredRelation,
    columns,
    find,
    is_ours,
    options,
)
from dagster_models.warehouses.postgres.dependent_objects import (
    DependentObject,
    dependent_objects,
    make_again,
    revoke_unasked,
)
from dagster_models.warehouses.postgres.errors import sqlstate
from dagster_models.warehouses.postgres.losses import (
    Attached,
    attached,
    not_kept,
    refuse_losses,
    refuse_what_cannot_be_kept,
)

#: SQLSTATE dependent_objects_still_exist
_DEPENDED_ON = "2BP01"
#: SQLSTATEs feature_not_supported (a trigger or policy uses the column), invalid_table_definition
#: (it is a partition's key, or inherited), datatype_mismatch (its default is no such value).
_NOT_ALTERED = ("0A000", "42P16", "42804")


@dataclass(frozen=True, slots=True)
class _View:
    """A view that reads the relation, directly or not, and what is needed to create it again."""

    oid: int
    kind: str
    name: str
    definition: str
    objects: tuple[DependentObject, ...]
    attached: Attached


def take_turns(session: Runner, names: Iterable[str]) -> None:
    """Let no other session rebuild one of these relations until the end of the transaction.

    The locks are taken in the order of the names, so that no two sessions wait for each other.
    """
    for name in sorted(names):
        session.run(
            "SELECT pg_advisory_xact_lock(%s, hashtext(array_to_string(parse_ident(%s), '.')))",
            [TURNS, name],
        )


def refuse_other_kinds(name: str, found: StoredRelation) -> None:
    """Raise WarehouseError for what is neither a table nor a view."""
    if found.kind in ("r", "p", "v"):
        return
    what = {"m": "a materialized view", "f": "a foreign table", "S": "a sequence"}
    raise WarehouseError(
        ErrorKind.UNSUPPORTED,
        f"{name} is {what.get(found.kind, 'neither a table nor a view')}, which no model can"
        f" replace: give the model another name (alias), or drop the existing {name}",
        name="WrongObjectType",
    )


def remake(session: Runner, name: str, old: StoredRelation, make: Callable[[], Any]) -> Any:
    """Drop the old relation and the views on it; create the new one and all that the old had."""
    refuse_other_kinds(name, old)
    refuse_what_cannot_be_kept(session, old.oid, name)
    views = _views_on(session, old.oid)
    session.about(old.oid, *(view.oid for view in views))
    objects = dependent_objects(session, old.oid, name, old.kind)
    before = attached(session, old.oid)
    for view in reversed(views):
        _drop(session, KINDS[view.kind], view.name)
    _drop(session, KINDS[old.kind], name)
    made = make()
    new = find(session, name)
    assert new is not None
    there = {column for column, _ in columns(session, name)}
    with _no_default_tablespace(session):
        let_go = make_again(session, objects, name, (old.kind, new.kind), there)
        if KINDS[old.kind] == KINDS[new.kind]:
            refuse_losses(name, before, attached(session, new.oid), let_go, there)
        for view in views:
            _remake_view(session, view, name)
    return made


def alter(session: Runner, name: str, found: StoredRelation, clauses: Sequence[str]) -> None:
    """Change the columns of a table by these clauses of ALTER TABLE; the views on it are created
    again. Raises WarehouseError where one of them, or what else depends on a column, stands in the
    way."""
    views = _views_on(session, found.oid)
    session.about(found.oid, *(view.oid for view in views))
    for view in reversed(views):
        _drop(session, KINDS[view.kind], view.name)
    try:
        session.run(f"ALTER TABLE {name} {', '.join(clauses)}")
    except WarehouseError as error:
        if sqlstate(error.__cause__) not in (_DEPENDED_ON, *_NOT_ALTERED):
            raise
        said = [line for line in error.message.splitlines() if not line.startswith("HINT")]
        raise not_kept(
            f"{name} cannot be changed by {', '.join(clauses)}: {'; '.join(said)}",
            "change or drop what stands in the way",
        ) from error
    with _no_default_tablespace(session):
        for view in views:
            _remake_view(session, view, name)


@contextlib.contextmanager
def _no_default_tablespace(session: Runner) -> Iterator[None]:
    """An object without a tablespace of its own must not end up in this role's default one."""
    place = session.run("SELECT current_setting('default_tablespace')")[0][0]
    session.run("SET LOCAL default_tablespace = ''")
    yield
    session.run("SELECT set_config('default_tablespace', %s, true)", [place])


def remake_function(
    session: Runner, name: str, oid: int, signature: str, make: Callable[[], Any]
) -> None:
    """Drop the old function and the views that call it; create the new one and these views."""
    views = _views_on(session, oid, "pg_proc")
    session.about(*(view.oid for view in views))
    kept = session.run(_OF_FUNCTION, [oid])
    for view in reversed(views):
        _drop(session, KINDS[view.kind], view.name)
    _drop(session, "FUNCTION", signature)
    make()
    new = session.run("SELECT %s::regproc::oid::regprocedure::text", [name])[0][0]
    for before, behind in kept:
        session.run(f"{before}{new}{behind}")
    for view in views:
        _remake_view(session, view, name)


def _drop(session: Runner, what: str, name: str) -> None:
    try:
        session.run(f"DROP {what} {name}")
    except WarehouseError as error:
        if sqlstate(error.__cause__) != _DEPENDED_ON:
            raise
        raise not_kept(
            f"{name} has to be rebuilt, and other objects depend on it: {_detail(error)}",
            "change or drop them",
        ) from error


def _detail(error: WarehouseError) -> str:
    detail: str | None = error.__cause__.diag.message_detail  # type: ignore[union-attr]
    return "; ".join((detail or error.message).splitlines())


#: What gives a new function the comment and the rights of the old one: before and behind its name.
_OF_FUNCTION = """
WITH old AS (SELECT * FROM pg_proc WHERE oid = %s)
SELECT 'COMMENT ON FUNCTION ', format(' IS %%L', obj_description(oid, 'pg_proc')) FROM old
WHERE obj_description(oid, 'pg_proc') IS NOT NULL
UNION ALL SELECT 'REVOKE ALL ON FUNCTION ', ' FROM PUBLIC' FROM old WHERE proacl IS NOT NULL
UNION ALL
SELECT 'GRANT EXECUTE ON FUNCTION ', format(' TO %%s%%s', coalesce(quote_ident(rolname), 'PUBLIC'),
                                            CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END)
FROM old, aclexplode(proacl) LEFT JOIN pg_roles ON pg_roles.oid = grantee
WHERE grantee <> proowner
"""
_VIEWS = """
WITH RECURSIVE found(oid, depth) AS (
    SELECT DISTINCT rule.ev_class, 1
    FROM pg_depend AS link
    JOIN pg_rewrite AS rule ON rule.oid = link.objid
    WHERE link.classid = 'pg_rewrite'::regclass AND link.refclassid = %s::regclass
      AND link.refobjid = %s AND rule.ev_class <> link.refobjid
    UNION
    SELECT rule.ev_class, found.depth + 1
    FROM found
    JOIN pg_depend AS link ON link.refobjid = found.oid
    JOIN pg_rewrite AS rule ON rule.oid = link.objid
    WHERE link.classid = 'pg_rewrite'::regclass AND link.refclassid = 'pg_class'::regclass
      AND rule.ev_class <> link.refobjid
)
SELECT c.oid::bigint, c.relkind::text, format('%%I.%%I', n.nspname, c.relname)
FROM (SELECT oid, max(depth) AS depth FROM found GROUP BY oid) AS views
JOIN pg_class AS c ON c.oid = views.oid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY views.depth, c.oid
"""

_DEFINITION = """
SELECT concat('CREATE ', CASE c.relkind WHEN 'm' THEN 'MATERIALIZED ' END, 'VIEW ',
              format('%%I.%%I', n.nspname, c.relname),
              CASE c.relkind WHEN 'm' THEN ' USING ' || quote_ident(method.amname) END,
              %s::text,
              CASE c.relkind WHEN 'm' THEN ' TABLESPACE ' || quote_ident(space.spcname) END,
              E' AS\\n', rtrim(pg_get_viewdef(c.oid), ';'),
              CASE WHEN NOT c.relispopulated THEN E'\\nWITH NO DATA' END)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_database AS d ON d.datname = current_database()
JOIN pg_tablespace AS space ON space.oid = coalesce(nullif(c.reltablespace, 0), d.dattablespace)
LEFT JOIN pg_am AS method ON method.oid = c.relam
WHERE c.oid = %s AND pg_get_viewdef(c.oid) IS NOT NULL
"""


def _views_on(session: Runner, oid: int, catalog: str = "pg_class") -> list[_View]:
    """The views that read the relation, or call the function, in an order in which they can be
    created. No other session of this package rebuilds them until the end of this transaction."""
    locked: set[str] = set()
    while True:
        rows = session.run(_VIEWS, [catalog, oid])
        names = {name for _, _, name in rows}
        if names <= locked:
            break
        # The session that had the locks before may have dropped and created them again. Then they
        # are other objects, so look again.
        take_turns(session, names - locked)
        locked |= names
    return [_view(session, *row) for row in rows]


def _view(session: Runner, oid: int, kind: str, name: str) -> _View:
    if kind not in ("v", "m"):
        raise not_kept(f"a rule of the table {name} reads the relation", "drop that rule")
    rows = session.run(_DEFINITION, [options(session, oid), oid])
    if not rows:
        raise WarehouseError(ErrorKind.CONFLICT, f"the view {name} was dropped", transient=True)
    objects = dependent_objects(session, oid, name, kind)
    return _View(oid, kind, name, rows[0][0], tuple(objects), attached(session, oid))


def _remake_view(session: Runner, view: _View, name: str) -> None:
    session.run("SAVEPOINT dagster_models_view")
    try:
        session.run(view.definition)
        revoke_unasked(session, view.name)
        for statement in view.objects:
            session.run(statement.sql)
    except WarehouseError as error:
        # Class 42: the definition does not fit the new columns. No other error is about the view.
        if not sqlstate(error.__cause__).startswith("42"):
            raise
        session.run("ROLLBACK TO SAVEPOINT dagster_models_view")
        if is_ours(session, view.name):
            return
        raise WarehouseError(
            ErrorKind.NOT_KEPT,
            f"the view {view.name}, which was not built by a model, reads {name} and does not"
            f" work with the new columns of {name}: {error.message.splitlines()[0]}. Change or drop"
            " that view first",
            name="DependentView",
        ) from error
    new = find(session, view.name)
    assert new is not None
    there = {column for column, _ in columns(session, view.name)}
    refuse_losses(view.name, view.attached, attached(session, new.oid), frozenset(), there)
