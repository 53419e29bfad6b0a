"""What stands in SQL for a value, a column or a relation that is known once the SQL is sent.

It is a module of its own because a load needs these names and none of the tasks: the tasks and what
they hold are an eighth of the start of a command.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Stands in a model's SQL for the value of `$since`, which only the session that builds can read.
SINCE = "__the_value_of_since__"
#: The same for each part of the windows that a build replaces or reads, in a literal of the type of
#: their column, or of the type of the literal that stands there in an editor.
BOUNDS = ("partition_start", "partition_end", "read_start", "read_end")
KEYS = ("partition_keys", "partition_key")
RESERVED = frozenset((*BOUNDS, *KEYS))
#: When the run began: known before the SQL is sent.
STARTED = "run_started_at"
TYPES = ("date", "timestamp", "timestamptz")


def stand_in(name: str, type_: str = "") -> str:
    """What stands in SQL for a value of BOUNDS or KEYS, until the SQL is sent."""
    return f"__the_value_of_{name}__{type_ and f'as_{type_}__'}"


#: What stands in -> its name and type.
STAND_INS: Mapping[str, tuple[str, str]] = {
    **{stand_in(name, type_): (name, type_) for name in BOUNDS for type_ in TYPES},
    **{stand_in(name): (name, "") for name in (*BOUNDS, *KEYS)},
}
STARTED_STAND_INS = {stand_in(STARTED, type_): type_ for type_ in (*TYPES, "")}

#: Stands in a check's SQL for the relation to check, until the SQL is sent. That may be a staging
#: table or a branch in which the warehouse builds what it has not published yet.
OWN_RELATION = "__the_relation_that_this_check_is_about__"
#: Stands for what has the rows that a build wrote, in a check with the scope "window" that looks
#: for these rows in all of OWN_RELATION, such as `unique`.
OWN_WINDOW = "__the_rows_that_this_check_is_about__"


def own_column(number: int) -> str:
    """What stands for a column to check, of those with which ``CheckTask.columns`` begins at 0.

    A frame or a seed keeps the case of its columns' names, which is known once the relation is
    built.
    """
    return f"__the_column_{number}_that_this_check_is_about__"


OWN_COLUMN = own_column(0)
