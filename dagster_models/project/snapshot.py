"""What a snapshot must say, and the columns that it adds: checked when the project is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from dagster_models.core.materializations import Snapshot
from dagster_models.core.model import Location, Step
from dagster_models.core.traced import Schema, Trace, TracedColumn
from dagster_models.project.config import STRATEGIES
from dagster_models.project.problems import Report, problem
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.nearest import suggest

#: The keys that only snapshots have.
KEYS = (
    "updated_at",
    "check_cols",
    "hard_deletes",
    "valid_to_current",
    "snapshot_meta_column_names",
)
#: Why a full refresh leaves snapshots alone, after the model's name.
NO_REFRESH = "is a snapshot: what rows were before cannot be read again"
_BY_HAND = "To begin a new history, drop or rename the table by hand."


def is_snapshot(step: Step) -> bool:
    return step.config.materialized == "snapshot"


def check_snapshot(step: Step, header: YamlNode | None, report: Report) -> None:
    """Report keys of a snapshot that are missing, or contradict each other."""
    written = header.keys if header is not None else {}

    def place(*keys: str) -> Location:
        found = (written[key] for key in (*keys, "materialized") if key in written)
        return next(found, step.location)

    config = step.config
    if not config.unique_key:
        fix = "Add `unique_key:` with the columns that tell the rows apart."
        report(problem("a snapshot needs a unique_key", place(), fix))
    if config.strategy not in STRATEGIES["snapshot"] and "strategy" not in written:
        fix = "Add `strategy: check`, or `strategy: timestamp` with `updated_at: column`."
        report(problem("a snapshot needs a strategy", place(), fix))
    for what, at, fix in _contradictions(step, header, place):
        report(problem(what, at, fix))


def _contradictions(
    step: Step, header: YamlNode | None, place: Callable[..., Location]
) -> Iterator[tuple[str, Location, str]]:
    config, written = step.config, header.value if header is not None else {}
    if config.strategy == "timestamp" and not config.updated_at:
        fix = "Name the column that says when a row was changed: `updated_at: column`."
        yield "the strategy timestamp needs `updated_at`", place("strategy"), fix
    if config.strategy == "timestamp" and "check_cols" in written:
        fix = "Delete it, or use `strategy: check`."
        yield "the strategy timestamp does not compare `check_cols`", place("check_cols"), fix
    if config.strategy == "check" and "updated_at" in written:
        fix = "Delete it, or use `strategy: timestamp`."
        yield "the strategy check does not use `updated_at`", place("updated_at"), fix
    if config.on_schema_change == "sync_all_columns":
        fix = "Write `on_schema_change: append_new_columns`, which keeps old columns."
        what = "`sync_all_columns` would drop columns of the history"
        yield what, place("on_schema_change"), fix
    if "full_refresh" in written and written["full_refresh"].value is True:
        what = f"`full_refresh: true` is refused: {step.key} {NO_REFRESH}"
        yield what, place("full_refresh"), f"Delete the key. {_BY_HAND}"


def refused_refresh(name: str) -> str:
    """What to say to a run that asks by name for a full refresh."""
    return f"full_refresh: {name} {NO_REFRESH}. {_BY_HAND}"


#: The types of the columns that are no moments.
_TYPES = {"scd_id": "text", "is_deleted": "boolean"}


# With the columns ---------------------------------------------------------------------------------


def with_own_columns(step: Step, trace: Trace, word: Callable[[str], str]) -> Trace:
    """The trace of the step's relation: that of its query, and for a snapshot the columns that it
    adds. *word* turns a type into the warehouse's word."""
    if not is_snapshot(step):
        return trace
    how = Snapshot.of(step.config)
    columns = {column.name.lower(): column for column in trace.columns}
    moment = columns.get(how.updated_at.lower(), TracedColumn("")) if how.updated_at else None
    added = []
    for role, name in how.meta_columns.items():
        type_ = word(_TYPES.get(role, "timestamp"))
        if moment is not None and role not in _TYPES:
            added.append(TracedColumn(name, type_, moment.sources, moment.reason, moment.digest))
        else:
            added.append(TracedColumn(name, type_, reason="the snapshot compares all rows"))
    return replace(trace, columns=(*trace.columns, *added))


def with_own_types(step: Step, schema: Schema, word: Callable[[str], str]) -> Schema:
    """The same for a schema that was declared."""
    if not is_snapshot(step):
        return schema
    said = {name.lower() for name, _ in schema.columns}
    added = with_own_columns(step, Trace(), word).schema.columns
    fresh = tuple(column for column in added if column[0].lower() not in said)
    return replace(schema, columns=(*schema.columns, *fresh))


def wrong_columns(step: Step) -> Iterator[tuple[str, str, str]]:
    """(key of the header, what is wrong, fix), as far as the columns of the query are known."""
    how, schema = Snapshot.of(step.config), step.trace.schema
    own = {name.lower() for name in how.own_columns}
    names = [name for name, _ in schema.columns]
    for role, name in how.meta_columns.items():
        if [it.lower() for it in names].count(name.lower()) > 1:
            what = f"the query returns `{name}`, which is the name of a column that a snapshot adds"
            fix = f"Rename it in the query, or set `snapshot_meta_column_names: {{{role}: ...}}`."
            yield "snapshot_meta_column_names", what, fix
    known = [name for name in names if name.lower() not in own]
    wanted = {
        "unique_key": how.unique_key,
        "updated_at": (how.updated_at,) if how.updated_at else (),
        "check_cols": how.check_cols,
    }
    for key, columns in wanted.items() if schema.closed else ():
        for column in columns:
            if column.lower() not in map(str.lower, known):
                what = f"`{key}` names `{column}`, a column that the query does not return"
                yield key, what, suggest(column, known, "Columns")
