"""A table to which each build adds, as one commit: new rows are staged, and then the table.

    version -> $since -> new rows -> shape -> guards -> stage: the table's files, changed -> commit

The stage begins with the files of one version of the table (``cloning``). Spark takes out of it
what the new rows replace, and their files are added. The commit succeeds only on that version: so
of two builds at the same moment the second one begins anew, and none needs a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dagster_models.core.changes import Changes
from dagster_models.core.commit import Commit
from dagster_models.core.materializations import Incremental, Reading
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.materializations import incremental_steps
from dagster_models.warehouses.materializations.columns import columns_of_table
from dagster_models.warehouses.materializations.incremental import refuse_misunderstood
from dagster_models.warehouses.materializations.incremental_steps import BuildSteps
from dagster_models.warehouses.materializations.keys import refuse_bad_keys, refuse_keys_of_table
from dagster_models.warehouses.materializations.merge_conditions import conditions_of, is_left_out
from dagster_models.warehouses.spark.fitting import Fitted, fit, same_key
from dagster_models.warehouses.spark.partitions import build_windows
from dagster_models.warehouses.spark.since import WORDS
from dagster_models.warehouses.spark.windows import SparkColumn

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.session import SparkSession


def build(session: SparkSession, task: BuildTask, how: Incremental) -> Staged:
    """See materializations/incremental_steps.py."""
    is_there = session.begin_with(task.relation) == "table"
    return incremental_steps.build(session, task, how, _STEPS, is_there=is_there)


def read(session: SparkSession, relation: Relation, how: Incremental) -> Reading:
    """What a Python model must know to make the rows of its next build."""
    is_there = session.begin_with(relation) == "table"
    return incremental_steps.read(session, relation, how, _STEPS, is_there=is_there)


def _made(session: SparkSession, task: BuildTask, how: Incremental) -> tuple[Relation, int]:
    stage = session.begin_stage(task.relation)
    rows = session.fill(stage, task.content)
    refuse_bad_keys(session, stage.name, how)
    refuse_misunderstood(session, stage.name, how)
    return stage.name, rows


def _added(
    session: SparkSession,
    task: BuildTask,
    how: Incremental,
    since: str | None,
    last: Sequence[Commit],
) -> Staged:
    """The keys of the table are looked at by each merge, whatever the *last* build has seen to."""
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
    rows = _shape(relation, new.name, fitted, how, keys, missing)
    changed = bool(missing or conditions_of(how))
    shaped = session.shaped(new, rows, fitted, changed=changed)
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
    relation: Relation,
    new: Relation,
    fitted: Fitted,
    how: Incremental,
    keys: list[str],
    missing: list[str],
) -> str:
    """A query of the new rows as they will be in the table. A merge keeps the values of columns
    that they lack, and leaves out what does not meet its conditions."""
    conditions = conditions_of(how)
    if not missing and not conditions:
        return fitted.rows(quoted(new))
    # A condition may ask for a column of the new rows that the table does not have.
    listed = [f"{value} AS {quote(name)}" for name, value in fitted.values.items()]
    listed += [f"t.{quote(name)}" for name in missing]
    same = " AND ".join(f"t.{quote(key)} = {fitted.values[key]}" for key in keys)
    joined = f"{quoted(new)} AS n LEFT JOIN {quoted(relation)} AS t ON {same}"
    where = f" WHERE NOT ({is_left_out(how, quote(keys[0]))})" if conditions else ""
    return f"SELECT {', '.join(listed)} FROM {joined}{where}"


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


_STEPS = BuildSteps(WORDS, SparkColumn, _made, _added, build_windows)
