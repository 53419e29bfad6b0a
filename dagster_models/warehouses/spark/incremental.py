"""A table to which each build adds, as one commit: new rows are staged, and then the table.

    version -> $since -> new rows -> shape -> guards -> stage: the table's files, changed -> commit

The stage begins with the files of one version of the table (``cloning``). Spark takes out of it
what the new rows replace, and their files are added. The commit succeeds only on that version: so
of two builds at the same moment the second one begins anew, and none needs a turn.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import UNRECORDED, Incremental, Reading
from dagster_models.core.model import Relation
from dagster_models.core.tasks import SINCE, BuildTask, Query
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.materializations.columns import columns_of_table
from dagster_models.warehouses.materializations.incremental import (
    differs,
    is_whole,
    of_older_code,
    reads_itself,
    refuse_another_reading,
)
from dagster_models.warehouses.materializations.keys import refuse_bad_keys, refuse_keys_of_table
from dagster_models.warehouses.materializations.since_literals import value_of_since
from dagster_models.warehouses.materializations.window_queries import WindowQueries
from dagster_models.warehouses.spark.fitting import Fitted, fit, same_key
from dagster_models.warehouses.spark.partitions import build_windows
from dagster_models.warehouses.spark.since import WORDS
from dagster_models.warehouses.spark.windows import SparkColumn

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.session import SparkSession


def build(session: SparkSession, task: BuildTask, how: Incremental) -> Staged:
    """Build all of it where there is no table yet or a full refresh is asked for, else add to it.

    Raises WarehouseError as in every warehouse: see materializations/incremental.py.
    """
    relation = task.relation
    is_there = session.begin_with(relation) == "table"
    is_added_to = is_there and how.code_version != UNRECORDED and not is_whole(how, is_new=False)
    last = session.last_proofs([relation]) if is_added_to else []
    staged = _built(session, task, how, is_there)
    if how.on_code_change == "warn":
        changed = [it for it in last if differs(it, how)]
        staged = replace(staged, notes=tuple(of_older_code(it, how) for it in changed))
    return staged


def _built(session: SparkSession, task: BuildTask, how: Incremental, is_there: bool) -> Staged:
    relation, content = task.relation, task.content
    whole = is_whole(how, is_new=not is_there)
    if (whole or not is_there) and how.columns:
        raise reads_itself(relation)
    if isinstance(content, Query) and (whole or not is_there) and content.full:
        content = Query(content.full)
    if how.partitions:
        return build_windows(session, replace(task, content=content), how, there=is_there)
    if how.partitioned and isinstance(content, Query):
        content = WindowQueries(session, how.partitioned, SparkColumn).filled_whole(content)
    query = content.sql if isinstance(content, Query) else ""
    since = value_of_since(session, relation, how, query, WORDS, whole=whole)
    if not how.partitioned:
        refuse_another_reading(relation, how.reading, Reading(whole, since))
    if isinstance(content, Query):
        content = Query(content.sql.replace(SINCE, since or ""))
    if whole:
        stage = session.begin_stage(relation)
        rows = session.fill(stage, content)
        refuse_bad_keys(session, stage.name, how)
        replaced = None if is_there else 0
        left: tuple[int | None, int | None] = None, None
        if how.partitioned:
            left = WindowQueries(session, how.partitioned, SparkColumn).in_no_partition(stage.name)
        return Staged(relation, rows, Changes("whole", since, rows, 0, replaced, *left))
    return _added(session, replace(task, content=content), how, since)


def _added(session: SparkSession, task: BuildTask, how: Incremental, since: str | None) -> Staged:
    relation = task.relation
    new = session.begin_scratch(relation)
    session.fill(new, task.content)
    refuse_bad_keys(session, new.name, how)
    there = session.columns(relation)
    keys = columns_of_table(there, relation, how.unique_key, "unique_key")
    if how.strategy == "merge":
        refuse_keys_of_table(session, relation, keys)
    of_python = not isinstance(task.content, Query)
    fitted = fit(session, relation, how, there, new.name, of_python=of_python)
    missing = list[str]()
    if how.strategy == "merge":  # else they are NULL, as the files of the new rows lack them
        missing = [name for name, _ in fitted.columns if name not in fitted.values]
    rows = _shape(relation, new.name, fitted, keys, missing)
    shaped = session.shaped(new, rows, fitted, changed=bool(missing))
    count = session.rows_in(shaped)
    changes = Changes("delta", since, count, 0, 0)
    if how.strategy == "delete+insert":
        deleted = session.count(f"SELECT 1 FROM {_met(relation, shaped.name, keys)}")
        changes = replace(changes, deleted=deleted)
    elif how.strategy == "merge":
        met, updated = _matched(session, relation, shaped.name, fitted, keys)
        changes = replace(changes, inserted=count - met, updated=updated)
    session.begin_copy(relation, fitted, shaped)
    if how.strategy != "append":
        session.take_out(shaped, keys)
    session.put_in(shaped)
    return Staged(
        relation,
        session.rows_in(session.stage),
        changes,
        written=f"SELECT * FROM {quoted(shaped.name)}",
    )


def _shape(
    relation: Relation, new: Relation, fitted: Fitted, keys: list[str], missing: list[str]
) -> str:
    """A query of the new rows as they will be in the table. A merge keeps the values of columns
    that they lack."""
    inner = fitted.rows(quoted(new))
    if not missing:
        return inner
    listed = [f"n.{quote(name)}" for name in fitted.values]
    listed += [f"t.{quote(name)}" for name in missing]
    joined = f"({inner}) AS n LEFT JOIN {quoted(relation)} AS t ON {same_key(keys)}"
    return f"SELECT {', '.join(listed)} FROM {joined}"


def _met(relation: Relation, new: Relation, keys: list[str]) -> str:
    """The rows of the table whose key is one of the new rows, as what a FROM reads."""
    listed = ", ".join(map(quote, keys))
    keys_of_new = f"(SELECT DISTINCT {listed} FROM {quoted(new)})"
    return f"{quoted(relation)} AS t JOIN {keys_of_new} AS n ON {same_key(keys)}"


def _matched(
    session: SparkSession, relation: Relation, new: Relation, fitted: Fitted, keys: list[str]
) -> tuple[int, int]:
    """How many of the new rows are in the table by their key, and how many of these differ."""
    there = {name.lower() for name, _ in session.columns(relation)}
    differ = [
        f"NOT (t.{quote(name)} <=> n.{quote(name)})"
        if name.lower() in there
        else f"n.{quote(name)} IS NOT NULL"
        for name, _ in fitted.columns
    ]
    found = session.rows(
        f"SELECT count(*), count(*) FILTER (WHERE {' OR '.join(differ)})"
        f" FROM {quoted(new)} AS n JOIN {quoted(relation)} AS t ON {same_key(keys)}"
    )[0]
    return int(found[0]), int(found[1])


def read(session: SparkSession, relation: Relation, how: Incremental) -> Reading:
    """What a Python model must know to make the rows of its next build."""
    is_there = session.begin_with(relation) == "table"
    if how.partitioned:
        shown = how.partitioned if how.partitions else replace(how.partitioned, partitions=())
        return WindowQueries(session, shown, SparkColumn).reading(relation, there=is_there)
    whole = is_whole(how, is_new=not is_there)
    return Reading(whole, value_of_since(session, relation, how, "", WORDS, whole=whole))
