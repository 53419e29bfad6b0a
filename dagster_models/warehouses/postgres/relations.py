"""Putting a relation in the place of another one. The mechanism of each case:

- Nothing has the name: the relation is created.
- A table whose columns stay the same is filled anew in place (in_place.py): the new rows are built
  in a temporary table, then written. So views of others, grants, comments, indexes, triggers and
  policies survive because nothing happens to them; no reader waits, and none makes us wait; a long
  transaction goes on to see what it saw. TRUNCATE would be faster, but locks out every reader until
  COMMIT, and shows an empty table to older snapshots. Measured on 1M x 10 rows: see
  docs/warehouses.md.
- A relation whose columns or kind change is dropped and rebuilt (remake.py), with all that hung on
  it, in the same transaction; or the change is refused.
- What no model builds (a materialized view, a foreign table, a sequence) is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.materializations.hooks import RelationKind
from dagster_models.warehouses.postgres.catalog import Runner, StoredRelation, find, options
from dagster_models.warehouses.postgres.errors import sqlstate
from dagster_models.warehouses.postgres.in_place import STAGING, StoredColumn, refill
from dagster_models.warehouses.postgres.remake import refuse_other_kinds, remake, take_turns

#: Makes the table of that name and fills it; the number of rows. The bool: it is a temporary one.
Fill = Callable[[str, bool], int]


def create_table(name: str, temporary: bool, definitions: str = "") -> str:
    """The head of a CREATE TABLE, up to its columns or AS."""
    columns = f" ({definitions})" if definitions else ""
    if temporary:
        return f"CREATE TEMPORARY TABLE {name}{columns} ON COMMIT DROP"
    return f"CREATE TABLE {name}{columns}"


def put_table(session: Runner, name: str, fill: Fill) -> int:
    """A table with what ``fill`` makes, in place of what has the name; its rows."""
    found = _find_and_refuse(session, name)
    if found is not None and found.kind in ("r", "p"):
        rows = _replace_table(session, found, name, fill)
    else:
        create = partial(fill, name, False)
        rows = int(create() if found is None else remake(session, name, found, create))
    session.run(f"ANALYZE {name}")
    return rows


def _replace_table(session: Runner, found: StoredRelation, name: str, fill: Fill) -> int:
    session.run(f"DROP TABLE IF EXISTS {STAGING}")
    rows = fill(STAGING, True)
    session.about(found.oid)
    # Shuts out other writers and no reader. Without it a second writer would wait for our rows,
    # see that they are gone, and leave those that we put in their place beside its own.
    only = "" if found.kind == "p" else "ONLY "
    session.run(f"LOCK TABLE {only}{name} IN SHARE ROW EXCLUSIVE MODE")
    now = find(session, name)
    if now is None or now.kind != found.kind:
        raise WarehouseError(
            ErrorKind.CONFLICT, f"{name} was replaced while this step waited for it", transient=True
        )
    columns = _same_columns(session, now.oid)
    if columns:
        refill(session, now, name, columns, rows)
    else:
        remake(session, name, now, partial(session.run, _copy_of_staging(session, now, name)))
    session.run(f"DROP TABLE {STAGING}")
    return rows


def take_turn(session: Runner, name: str) -> RelationKind | None:
    """Be the only writer of what has the name until the end of the transaction; what it is.

    Readers go on. Raises WarehouseError for what cannot safely be written.
    """
    take_turns(session, [name])  # before there is a table that could be locked
    found = _find_and_refuse(session, name)
    if found is None:
        return None
    if found.kind == "v":
        return "view"
    refuse_other_kinds(name, found)
    session.about(found.oid)
    only = "" if found.kind == "p" else "ONLY "
    session.run(f"LOCK TABLE {only}{name} IN SHARE ROW EXCLUSIVE MODE")
    return "table"


def put_view(session: Runner, name: str, sql: str) -> None:
    """A view of a query, in place of what has the name."""
    found = find(session, name)
    if found is not None:
        take_turns(session, [name])
        found = find(session, name)
    # OR REPLACE keeps what hangs on the view, but for its options (security_invoker ...).
    kept = options(session, found.oid) if found is not None and found.kind == "v" else ""
    head = f"CREATE OR REPLACE VIEW {name}{kept} AS\n"

    def make() -> None:
        session.run(f"{head}{sql}\n", lines_before=head.count("\n"), single=True)

    if found is None:
        make()
        return
    session.about(found.oid)
    if found.kind == "v":
        session.run("SAVEPOINT dagster_models")
        try:
            make()
            return
        except WarehouseError as error:
            # Its columns change otherwise than by new ones at the end.
            if sqlstate(error.__cause__) != "42P16":
                raise
            session.run("ROLLBACK TO SAVEPOINT dagster_models")
    remake(session, name, found, make)


def _find_and_refuse(session: Runner, name: str) -> StoredRelation | None:
    """What has the name. Raises WarehouseError where no table can safely be put there."""
    found = find(session, name)
    may_stage, grant, hidden, isolation = session.run(
        "SELECT has_database_privilege(current_database(), 'TEMPORARY'),"
        " format('GRANT TEMPORARY ON DATABASE %%I TO %%I', current_database(), current_user),"
        " row_security_active(%s::oid), current_setting('transaction_isolation')",
        [found and found.oid],
    )[0]
    if not may_stage:
        raise WarehouseError(
            ErrorKind.PERMISSION,
            "this role may make no temporary tables in this database, in which the new rows of a"
            f" table wait: {grant}",
            name="InsufficientPrivilege",
        )
    if hidden:  # DELETE would spare, in silence, the rows that a policy hides from us
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"row-level security holds for this user on {name}, so that it cannot replace all rows:"
            " build as its owner (without FORCE ROW LEVEL SECURITY), or as a role with BYPASSRLS",
            name="RowLevelSecurity",
        )
    if found is not None and found.kind in ("r", "p"):
        _refuse_snapshot(name, isolation)
        if found.kind == "p":
            _refuse_foreign_partition(session, found, name)
    return found


def _refuse_snapshot(name: str, isolation: str) -> None:
    if isolation not in ("read committed", "read uncommitted"):
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"the open transaction is {isolation}, in which rows of {name} that somebody else has"
            " committed since it began would survive: replace the table in a transaction that is"
            " READ COMMITTED",
            name="WrongIsolation",
        )


def _refuse_foreign_partition(session: Runner, found: StoredRelation, name: str) -> None:
    for (foreign,) in session.run(
        "SELECT relid::regclass::text FROM pg_partition_tree(%s::oid)"
        " JOIN pg_class ON pg_class.oid = relid AND relkind = 'f' LIMIT 1",
        [found.oid],
    ):
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"{foreign}, a partition of {name}, is a foreign table, and what happens in another"
            " server is no part of this transaction: detach it, or give the model another name",
            name="WrongObjectType",
        )


def _same_columns(session: Runner, oid: int) -> list[StoredColumn]:
    """The columns of the table, where STAGING has the same ones; else none."""
    rows = session.run(
        "SELECT attrelid = %s, array_agg(attname::text || ' ' || atttypid || ' ' || atttypmod"
        " || ' ' || attcollation || ' ' || attgenerated::text ORDER BY attnum),"
        " array_agg(quote_ident(attname) ORDER BY attnum),"
        " array_agg(attidentity <> 'a' ORDER BY attnum) FROM pg_attribute"
        " WHERE attrelid IN (%s, %s::regclass) AND attnum > 0 AND NOT attisdropped"
        " GROUP BY attrelid",
        [oid, oid, STAGING],
    )
    by_age = {is_old: (described, names, writable) for is_old, described, names, writable in rows}
    if len(by_age) < 2 or by_age[True][0] != by_age[False][0]:
        return []
    return [StoredColumn(*column) for column in zip(*by_age[True][1:], strict=True)]


def _copy_of_staging(session: Runner, old: StoredRelation, name: str) -> str:
    """What makes a table of STAGING, to be stored as its predecessor is."""
    unlogged, method, place = session.run(
        "SELECT c.relpersistence = 'u', coalesce(quote_ident(m.amname), 'heap'),"
        " quote_ident(place.spcname)"
        " FROM pg_class AS c LEFT JOIN pg_am AS m ON m.oid = c.relam"
        " JOIN pg_database AS d ON d.datname = current_database()"
        " JOIN pg_tablespace AS place ON place.oid = coalesce(nullif(c.reltablespace, 0),"
        " d.dattablespace) WHERE c.oid = %s",
        [old.oid],
    )[0]
    return (
        f"CREATE {'UNLOGGED ' if unlogged else ''}TABLE {name} USING {method}"
        f" TABLESPACE {place} AS SELECT * FROM {STAGING}"
    )
