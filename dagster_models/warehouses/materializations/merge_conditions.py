"""Which new rows a merge writes: `merge_update_condition` and `merge_insert_condition`.

The others are taken out of the staged rows before anything is written, so that a merge knows
nothing of conditions, and checks of the new rows look at those that are written.
"""

from __future__ import annotations

from dataclasses import replace

from dagster_models.core.materializations import Incremental
from dagster_models.warehouses.base import quote, quoted
from dagster_models.warehouses.materializations.hooks import Hooks
from dagster_models.warehouses.materializations.keys import refuse_keys_of_table
from dagster_models.warehouses.materializations.write import Write

#: A column beside the keys: it must not meet a user's.
_LEFT_OUT = "dagster_models_left_out"


def conditions_of(how: Incremental) -> tuple[str, ...]:
    """The conditions that there are."""
    return tuple(filter(None, (how.merge_update_condition, how.merge_insert_condition)))


def is_left_out(how: Incremental, key: str) -> str:
    """The condition on the new row n, and on the row t of its key, of which all is NULL if it is
    not there, that a merge does not write n. *key*: one of the columns of the key, quoted."""
    is_new = f"t.{key} IS NULL"  # no key is NULL
    update = how.merge_update_condition or "1 = 1"
    insert = how.merge_insert_condition or "1 = 1"
    met = f"CASE WHEN {is_new} THEN (\n{insert}\n) ELSE (\n{update}\n) END"
    return f"NOT coalesce({met}, 1 = 0)"


def leave_out(session: Hooks, it: Write, how: Incremental) -> Write:
    """Take what a merge does not write out of the staged rows; return what is left of *it*.

    Raises WarehouseError if the table holds one of these keys twice: a merge would not see it of a
    row that is left out, or would write one of the two.
    """
    if not conditions_of(how):
        return it
    keys = list(map(quote, it.keys))
    judged = quoted(replace(it.staged, name="dagster_models_judged"))
    met = session.change(
        f"CREATE TEMPORARY TABLE {judged} AS SELECT {', '.join(f'n.{key}' for key in keys)},"
        f" {is_left_out(how, keys[0])} AS {_LEFT_OUT}"
        f" FROM {it.new} AS n LEFT JOIN {it.table} AS t ON {it.meets}"
    )
    if met != it.count:
        refuse_keys_of_table(session, it.relation, it.keys)
    same = " AND ".join(f"given.{key} = judged.{key}" for key in keys)
    left = session.change(
        f"DELETE FROM {it.new} AS given USING {judged} AS judged WHERE {same} AND {_LEFT_OUT}"
    )
    session.change(f"DROP TABLE {judged}")
    return replace(it, count=it.count - left)
