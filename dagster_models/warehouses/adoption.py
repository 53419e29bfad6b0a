"""A relation that somebody else has built gets a commit record, so that the next build goes on from
it as from one of our own, or finds nothing to do. Its rows and columns stay as they are.

    turn -> is it ours? -> columns -> mark -> commit record, in one transaction
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

from dagster_models.core.adopted import Adopted
from dagster_models.core.commit import ADOPTED_TABLE, CURRENT, Commit
from dagster_models.core.materializations import (
    Incremental,
    Partitioned,
    Replace,
    Snapshot,
    View,
)
from dagster_models.core.model import Relation
from dagster_models.core.parts import built, window_texts, windows_of
from dagster_models.core.stand_ins import SINCE
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.core.windows import Partition
from dagster_models.warehouses.base import Staged, WarehouseSession, quote, quoted
from dagster_models.warehouses.materializations.columns import Columns
from dagster_models.warehouses.materializations.partitioned import fill_in_whole
from dagster_models.warehouses.materializations.window_queries import WindowQueries
from dagster_models.warehouses.transactional import TransactionalSession

_Adoptable: TypeAlias = Incremental | Snapshot | Replace | View
_NO_PARTITIONS = (
    "nobody has recorded which of its partitions dbt has built, so none counts as built:"
    " --up-to-date says that all of them are"
)
_NO_ZONE = ("timestamp", "timestamp without time zone")


def adopt(session: WarehouseSession, task: BuildTask) -> Adopted:
    """Record the relation of the task as one that is taken over, if a build can go on from it.

    The attempt of the task is ``commit.ADOPTED``. A table, view or seed is one that the user calls
    up to date; a seed's rows are compared with those of its file. The partitions of the task are
    those that the user calls built. Raises WarehouseError if the columns cannot be compared, as the
    query cannot be described, or if the one with the partitions is of another type.
    """
    how = task.materialization
    if not isinstance(session, TransactionalSession):
        return Adopted("left", "only relations of DuckDB and PostgreSQL are adopted")
    if not isinstance(how, (Incremental, Snapshot, Replace, View)):
        return Adopted("replaced")
    session.begin()
    try:
        return _adopted(session, task, how)
    finally:
        session.rollback()  # of what was not committed


def _adopted(session: TransactionalSession, task: BuildTask, how: _Adoptable) -> Adopted:
    relation = task.relation
    kind = session.take_turn(relation)
    if kind is None:
        return Adopted("missing")
    if (kind == "view") != isinstance(how, View):
        return Adopted("left", f"it is a {kind}")
    identity = comment = _identity(session, relation)
    last = next(iter(session.last_proofs([relation])), None)
    if last is not None and last.identity is not None and last.identity == identity:
        if last.builder != task.builder:
            return Adopted("left", f"{last.builder} has built it, or has adopted it before")
        if last.kind != ADOPTED_TABLE or not _partitions(how):
            return Adopted("recorded", _missing(session, relation, _partitions(how)))
        comment = session.unmarked(last.identity)
    if why := "; ".join(_misfits(session, task, how)):
        return Adopted("left", why)
    _write(session, task, how, comment)
    is_open = isinstance(how, Incremental) and how.partitioned and not how.partitions
    return Adopted("adopted", _NO_PARTITIONS if is_open else "")


def _missing(
    session: TransactionalSession, relation: Relation, wanted: tuple[Partition, ...]
) -> str:
    """How many of the partitions that the user calls built are not by the records, to which nothing
    is added; "" for none."""
    number = len(wanted) - len(built(session.find_proofs(relation), wanted)) if wanted else 0
    what = "partition is" if number == 1 else "partitions are"
    why = "its records say what is built, and --up-to-date adds nothing to them: build what is not"
    return f"{number} {what} missing: {why}" if number else ""


def _partitions(how: _Adoptable) -> tuple[Partition, ...]:
    """Those that the user calls built."""
    return how.partitions if isinstance(how, Incremental) else ()


def _write(
    session: TransactionalSession,
    task: BuildTask,
    how: _Adoptable,
    comment: str | None,
) -> None:
    is_view, is_current = isinstance(how, View), isinstance(how, (Replace, View))
    rows = None if is_view else session.count(f"SELECT 1 FROM {quoted(task.relation)}")
    whole = Commit(
        *task.id,
        str(task.relation),
        task.code_version,
        task.input_versions if is_current else {},  # {}: nobody knows what it was built from
        rows,
        kind="snapshot" if isinstance(how, Snapshot) else CURRENT if is_current else ADOPTED_TABLE,
        builder=task.builder,
    )
    windows = map(window_texts, windows_of(_partitions(how)))
    commits = [
        replace(whole, kind=CURRENT, part=part, window_start=start, window_end=end)
        for part, (start, end) in enumerate(windows)
    ] or [whole]
    staged = Staged(task.relation, rows, comment=comment or "")
    identity = session.mark(staged, commits[-1])
    for commit in commits:
        session.write_record(replace(commit, identity=identity))
    session.commit()


def _identity(session: TransactionalSession, relation: Relation) -> str | None:
    def name(of: Relation) -> str:  # a catalog is named only where it has to be
        return session.folded(f"{of.schema}.{of.name}")

    there = session.relations_there()
    return next((it.identity for it in there if name(it.relation) == name(relation)), None)


def _misfits(session: TransactionalSession, task: BuildTask, how: _Adoptable) -> Iterator[str]:
    """Why no build goes on from the relation as it stands."""
    there: Columns = session.columns(task.relation)
    if not isinstance(task.content, Query):
        yield from _misfits_of_seed(session, task, there)
        return
    returned = _returned(session, task)
    is_snapshot = isinstance(how, Snapshot)
    own = how.own_columns if isinstance(how, Snapshot) else ()
    of_query = [it for it in there if it[0] not in own]
    yield from _differences(session, of_query, returned, may_have_more=is_snapshot)
    if isinstance(how, Incremental) and how.partitioned:
        _refuse_column(session, task.relation, how.partitioned, there)
    if isinstance(how, Snapshot):
        found = list(_misfits_of_snapshot(session, task.relation, how, dict(there)))
        yield from (what for what, _ in found)
        if mends := [mend for _, mend in found if mend]:
            yield f"to make the snapshot's own columns fit, run {'; '.join(mends)}"


def _refuse_column(
    session: TransactionalSession, relation: Relation, how: Partitioned, there: Columns
) -> None:
    """Raise WarehouseError if no build could tell the partitions apart by their column."""
    column = WindowQueries(session, how).column_of_table(relation, there)
    column.within([*(it.window for it in how.partitions), *([how.reach] if how.reach else [])])


def _misfits_of_seed(
    session: TransactionalSession, task: BuildTask, there: Columns
) -> Iterator[str]:
    """How the table differs from one that is filled from the file, which is made and dropped."""
    scratch = replace(task.relation, name="dagster_models_adopted_seed")
    session.replace_table(scratch, task.content)
    different = list(_differences(session, there, session.columns(scratch), may_have_more=False))
    if not different:
        names = ", ".join(quote(name) for name, _ in there)
        one, two = (f"SELECT {names} FROM {quoted(it)}" for it in (task.relation, scratch))
        others = f"({one} EXCEPT ALL {two}) UNION ALL ({two} EXCEPT ALL {one})"
        if session.count(f"SELECT 1 FROM ({others}) AS others"):
            different.append("its rows are not those of the file")
    session.change(f"DROP TABLE {quoted(scratch)}")
    yield from different


def _returned(session: TransactionalSession, task: BuildTask) -> Columns:
    """The columns of the model's query, as a table of it has them; none of its rows is made."""
    content, how = task.content, task.materialization
    assert isinstance(content, Query)  # an import makes no other
    if isinstance(how, Incremental) and how.partitioned:
        content = fill_in_whole(session, how.partitioned, content)
    sql = (content.full or content.sql.replace(SINCE, "NULL")).rstrip().rstrip(";")
    session.stage(Query(f"SELECT * FROM (\n{sql}\n) AS returned LIMIT 0"))
    columns = session.columns(session.staging)
    session.change(f"DROP TABLE {quoted(session.staging)}")
    return columns


def _differences(
    session: TransactionalSession, there: Columns, returned: Columns, *, may_have_more: bool
) -> Iterator[str]:
    """*may_have_more*: what a query does not return any more stays in a snapshot, and dbt adds
    columns of its own."""
    old = {session.folded(name): (name, type_) for name, type_ in there}
    new = {session.folded(name): (name, type_) for name, type_ in returned}
    if lacking := [f"`{name}` ({type_})" for key, (name, type_) in new.items() if key not in old]:
        yield f"the table does not have {', '.join(lacking)}"
    more = [f"`{name}`" for key, (name, _) in old.items() if key not in new]
    if more and not may_have_more:
        yield f"the query does not return {', '.join(more)}"
    for key in [key for key in old if key in new]:
        (name, before), (_, now) = old[key], new[key]
        if before != now and not session.fits(now, before):
            yield f"`{name}` is {before} in the table, and the query returns {now}"


def _misfits_of_snapshot(
    session: TransactionalSession, relation: Relation, how: Snapshot, types: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """What of the snapshot's own columns is not as ours, and the statement that makes it so: dbt
    gives its moments the type of `updated_at`, and its mark of deletions is a text."""
    for name in (how.valid_from, how.valid_to):
        type_ = types.get(name)
        if type_ is None:
            yield f"the table does not have `{name}`", ""
        elif type_.lower() not in _NO_ZONE:
            has_zone = "with time zone" in type_.lower()
            moment = f"{quote(name)} AT TIME ZONE 'UTC'" if has_zone else quote(name)
            mend = _retyped(relation, name, "TIMESTAMP", moment)
            yield f"`{name}` is {type_} in the table, and a timestamp here", mend
    name, type_ = how.is_deleted, types.get(how.is_deleted)
    if how.hard_deletes != "new_record" or type_ is None:
        return
    default = f"ALTER TABLE {quoted(relation)} ALTER COLUMN {quote(name)} SET DEFAULT false"
    if type_.lower() != "boolean":
        mend = f"{_retyped(relation, name, 'BOOLEAN', quote(name))}; {default}"
        yield f"`{name}` is {type_} in the table, and a boolean here", mend
    elif not session.has_default(relation, name):
        yield f"`{name}` has no default, so that it is no mark here", default


def _retyped(relation: Relation, name: str, type_: str, value: str) -> str:
    alter = f"ALTER TABLE {quoted(relation)} ALTER COLUMN {quote(name)}"
    return f"{alter} TYPE {type_} USING CAST({value} AS {type_})"
