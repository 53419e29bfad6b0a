"""A table to which each build adds: the query returns new rows, which are staged and then written.

    turn -> $since -> stage -> shape -> guards -> write

The relation's turn is taken before anything of it is read: two writers that both find it empty, or
both read the same `$since`, would double its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dagster_models.core.changes import Changes
from dagster_models.core.commit import Commit
from dagster_models.core.materializations import UNRECORDED, Incremental, Reading
from dagster_models.core.model import Relation
from dagster_models.core.stand_ins import SINCE
from dagster_models.core.tasks import Content, Query
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import Staged, quote
from dagster_models.warehouses.materializations.columns import columns_named, columns_of_table, fit
from dagster_models.warehouses.materializations.hooks import Asking, Hooks, RelationKind
from dagster_models.warehouses.materializations.keys import (
    refuse_bad_keys,
    refuse_keys_of_table,
)
from dagster_models.warehouses.materializations.merge import merge
from dagster_models.warehouses.materializations.merge_columns import (
    keep,
    kept_columns,
    named_columns,
)
from dagster_models.warehouses.materializations.merge_conditions import conditions_of, leave_out
from dagster_models.warehouses.materializations.partitioned import (
    build_windows,
    fill_in_whole,
)
from dagster_models.warehouses.materializations.since import refuse_misfit, value_of_since
from dagster_models.warehouses.materializations.window_queries import WindowQueries
from dagster_models.warehouses.materializations.write import (
    Write,
    narrowed,
    refuse_lost_rows,
    rows_of,
)


def build(session: Hooks, relation: Relation, how: Incremental, content: Content) -> Staged:
    """Build all of it where there is no table yet or a full refresh is asked for, else add to it.

    Raises WarehouseError if a key is NULL or twice in the new rows, if the columns have changed and
    ``on_schema_change`` does not say what to do, and if another run has written the relation since
    a Python model read it.
    """
    found = session.take_turn(relation)
    last = last_of_table(session, relation, how, is_there=found == "table")
    return noted(_built(session, relation, how, content, found, last), how, last)


def _built(
    session: Hooks,
    relation: Relation,
    how: Incremental,
    content: Content,
    found: RelationKind | None,
    last: Sequence[Commit],
) -> Staged:
    """``found``: what the relation is; ``last``: its last commit record, if it is added to."""
    is_new = found != "table"
    whole = is_whole(how, is_new)
    if (whole or is_new) and how.columns:  # the query reads the table
        _make_empty(session, relation, how)
        is_new = False
    if isinstance(content, Query) and (whole or found != "table") and content.full:
        content = Query(content.full)
    if how.partitions:  # whatever a Python model was given: its windows are replaced as a whole
        return build_windows(session, relation, how, content, there=not is_new)
    if how.partitioned and isinstance(content, Query):
        content = fill_in_whole(session, how.partitioned, content)
    query = content.sql if isinstance(content, Query) else ""
    since = value_of_since(session, relation, how, query, whole=whole)
    if not how.partitioned:
        refuse_another_reading(relation, how.reading, Reading(whole, since))
    if isinstance(content, Query):
        content = Query(content.sql.replace(SINCE, since or ""))
    if whole and not how.columns:
        rows = session.replace_table(relation, content)
        _refuse_misfits(session, relation, how)
        replaced = None if found == "table" else 0
        left: tuple[int | None, int | None] = None, None
        if how.partitioned:
            left = WindowQueries(session, how.partitioned).in_no_partition(relation)
        return Staged(relation, rows, Changes("whole", since, rows, 0, replaced, *left))
    staged = session.stage(content)
    refuse_bad_keys(session, session.staging, how)
    # A key that is added to the table would never meet its old rows, and would double them.
    there = session.columns(relation)
    keys = columns_of_table(there, relation, how.unique_key, "unique_key")
    if not any(it.changes and not differs(it, how) for it in last):
        _refuse_keys(session, relation, how, keys)
    columns = fit(session, relation, how, of_python=not isinstance(content, Query), there=there)
    keys = columns_named(session.columns(session.staging), how.unique_key)
    if how.strategy in ("delete+insert", "merge"):
        deletes = how.strategy == "delete+insert"
        updates = [] if deletes else [column for column in columns if column not in keys]
        session.refuse_effects(relation, deletes=deletes, updates=updates)
    given = tuple(columns), tuple(keys), how.incremental_predicates
    write = Write(relation, session.staging, staged, *given)
    write = write if whole else leave_out(session, write, how)  # a whole one takes all rows
    if kept := kept_columns(session, how, columns, keys):
        keep(session, write, kept)
    changes = _WRITE[how.strategy](session, write)
    if how.strategy != "merge":
        refuse_lost_rows(relation, changes.inserted, staged)
    changes = replace(changes, kind="whole" if whole else "delta", since=since)
    written = "" if whole else rows_of(session, relation)
    if not written:
        session.change(f"DROP TABLE {write.new}")
    return Staged(relation, session.row_count(relation), changes, written=written)


def read(session: Hooks, relation: Relation, how: Incremental) -> Reading:
    """What a Python model must know to make the rows of its next build. In a transaction."""
    there = session.take_turn(relation) == "table"
    if how.partitioned:
        shown = how.partitioned if how.partitions else replace(how.partitioned, partitions=())
        return WindowQueries(session, shown).reading(relation, there=there)
    whole = is_whole(how, is_new=not there)
    return Reading(whole, value_of_since(session, relation, how, "", whole=whole))


def is_whole(how: Incremental, is_new: bool) -> bool:
    """Whether the build replaces all of the table."""
    if how.strategy == "replace":
        return not how.partitions
    return how.full_refresh or is_new


def _make_empty(session: Hooks, relation: Relation, how: Incremental) -> None:
    """Make the table, without a row, of a query that reads it."""
    listed = ", ".join(f"CAST(NULL AS {type_}) AS {quote(name)}" for name, type_ in how.columns)
    session.replace_table(relation, Query(f"SELECT {listed} WHERE 1 = 0"))
    refuse_misfit(session, relation, how.since)
    refuse_misunderstood(session, relation, how)


def last_of_table(
    session: Asking, relation: Relation, how: Incremental, *, is_there: bool
) -> list[Commit]:
    """The last commit record of a table that the build adds to."""
    is_added_to = is_there and how.code_version != UNRECORDED and not is_whole(how, is_new=False)
    return session.last_proofs([relation]) if is_added_to else []


def noted(staged: Staged, how: Incremental, last: Sequence[Commit]) -> Staged:
    """With a note of rows that older code has made, where ``on_code_change`` asks for it."""
    changed = [it for it in last if differs(it, how)] if how.on_code_change == "warn" else []
    return replace(staged, notes=tuple(_of_older_code(it, how) for it in changed))


def _refuse_keys(session: Hooks, relation: Relation, how: Incremental, keys: Sequence[str]) -> None:
    """Raise WarehouseError for keys that a table which is merged into holds twice. With predicates
    it may hold them so."""
    if how.strategy == "merge" and not how.incremental_predicates:
        refuse_keys_of_table(session, relation, keys)


def _refuse_misfits(session: Hooks, relation: Relation, how: Incremental) -> None:
    """Raise WarehouseError for what a whole table shows of the settings of later builds: else a
    misspelled column would show in the next night."""
    refuse_bad_keys(session, relation, how)
    named_columns(session, relation, how)
    refuse_misfit(session, relation, how.since)
    refuse_misunderstood(session, relation, how)


def refuse_misunderstood(session: Asking, relation: Relation, how: Incremental) -> None:
    """Raise WarehouseError for conditions on the rows of a key that the warehouse does not
    understand. *relation* has the columns of the rows."""
    if conditions := (*how.incremental_predicates, *conditions_of(how)):
        table = session.quoted(relation)
        session.rows(f"SELECT 1 FROM {table} AS t, {table} AS n WHERE 1 = 0{narrowed(conditions)}")


def differs(last: Commit, how: Incremental) -> bool:
    """Whether the last build was of other code. One of the same code has seen to the keys of the
    table, so that all of it is read once for each change of the code."""
    return last.code_version != how.code_version


def _of_older_code(last: Commit, how: Incremental) -> str:
    rows = "other partitions" if how.partitions else "the rows that were there"
    return (
        f"the code of {last.step} has changed since its last build: {rows} are as older code has"
        " made them, until they are built again"
    )


def refuse_another_reading(relation: Relation, read: Reading | None, now: Reading) -> None:
    """Raise WarehouseError if a Python model was given something else before it made its rows."""
    if read is None or read == now:
        return
    raise WarehouseError(
        ErrorKind.CONFLICT,
        f"another run has written {relation} since this model read it, so that rows would be"
        f" missing or doubled. Nothing was changed: run it again",
        transient=True,
    )


def reads_itself(relation: Relation) -> WarehouseError:
    """The refusal where no transaction can hold a table that is made for its own query."""
    return WarehouseError(
        ErrorKind.UNSUPPORTED,
        f"the query of {relation} reads its own table, which is not there before the first"
        " build, and cannot be made before it in one commit. Put what reads it between"
        " /* @incremental */ and /* @end */",
        name="ReadsItself",
    )


# Strategies --------------------------------------------------------------------------------------


def _append(session: Hooks, it: Write) -> Changes:
    return Changes("", None, session.change(it.insert()), 0, 0)


def _delete_and_insert(session: Hooks, it: Write) -> Changes:
    """The new rows may have several of one key: they replace all old ones of it together."""
    keys = ", ".join(map(quote, it.keys))
    deleted = session.change(
        f"DELETE FROM {it.table} AS t USING (SELECT DISTINCT {keys} FROM {it.new}) AS n"
        f" WHERE {it.meets}"
    )
    return Changes("", None, session.change(it.insert()), 0, deleted)


_WRITE: Mapping[str, Callable[[Hooks, Write], Changes]] = {
    "append": _append,
    "replace": _append,  # of the whole table, which is empty by then
    "delete+insert": _delete_and_insert,
    "merge": merge,
}
