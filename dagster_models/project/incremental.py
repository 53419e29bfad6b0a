"""What an incremental model must say, and what it should: checked when the project is loaded.
What a snapshot must say is in snapshot.py; here are the doors to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from dagster_models.core import materializations
from dagster_models.core.materializations import is_custom
from dagster_models.core.model import Config, Key, Location, Step
from dagster_models.core.since import begin_misfit, lookback_misfit
from dagster_models.core.stand_ins import RESERVED
from dagster_models.errors import Problem, SqlSyntaxError
from dagster_models.project import contract, copied, ephemeral, function, snapshot
from dagster_models.project.config import STRATEGIES, Values
from dagster_models.project.extras import clashing_exports, idle_extras, wrong_columns
from dagster_models.project.problems import Report, place_of, problem
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.parsed import Placeholder
from dagster_models.sql.predicate_rows import BOTH_ROWS, OF_INSERT, OF_TABLE, OF_UPDATE
from dagster_models.util.nearest import suggest

#: The keys that only incremental models have.
KEYS = (
    *("strategy", "incremental_strategy", "unique_key", "since"),
    *("merge_update_columns", "merge_exclude_columns", "incremental_predicates"),
    *("merge_update_condition", "merge_insert_condition"),
    *("on_schema_change", "on_code_change", "full_refresh", "partitions", "batch"),
)
_KEYS_OF = {
    "incremental": KEYS,
    "snapshot": (
        *snapshot.KEYS,
        *("strategy", "unique_key", "on_schema_change", "full_refresh"),
    ),
    "function": function.KEYS,
    "copy": copied.KEYS,
}
#: Of a kind that the project defines, which has a name of its own.
_OF_CUSTOM = ("settings", "full_refresh")
_EVERY = (*KEYS, *snapshot.KEYS, *function.KEYS, "settings", "from")
_ANY = frozenset(_EVERY)


def _keys_of(materialized: str) -> tuple[str, ...]:
    return _OF_CUSTOM if is_custom(materialized) else _KEYS_OF.get(materialized, ())


_KEYED = ("merge", "delete+insert")
_OF_MERGES = (
    *("merge_update_columns", "merge_exclude_columns"),
    *("merge_update_condition", "merge_insert_condition"),
)
_COMPARED = re.compile(r"(>=?)\s*(?:/\*\s*\$since\s*\*/\s*)?\Z")


def incremental(step: Step) -> bool:
    return step.config.materialized == "incremental"


def strategy_of(step: Step) -> str:
    return materializations.strategy_of(step.config)


@cache
def _idle_keys(materialized: str) -> frozenset[str]:
    allowed = _keys_of(materialized)
    idle = {*set(_EVERY).difference(allowed), *idle_extras(materialized)}
    return frozenset(idle if "from" in allowed else {*idle, "from_target"})


def without_idle_keys(values: Values, materialized: str) -> Values:
    """*values* without what says nothing about a model of this kind: the defaults of its folder may
    be for others."""
    idle = _idle_keys(materialized)
    kept = {key: value for key, value in values.items() if key not in idle}
    if kept.get("strategy") not in STRATEGIES.get(materialized, ()):
        kept.pop("strategy", None)
    if materialized == "snapshot":
        kept.pop("full_refresh", None)
        kept.setdefault("on_schema_change", "append_new_columns")
    return kept


def check_keys(step: Step, header: YamlNode | None, report: Report) -> None:
    """Report keys of the model's header that contradict each other, or have no effect."""
    written: Mapping[str, Location] = header.keys if header is not None else {}

    def place(*keys: str) -> Location:
        return next((written[key] for key in keys if key in written), step.location)

    for key in _EVERY if not _ANY.isdisjoint(written) else ():
        if key in written and key not in _keys_of(step.config.materialized):
            kinds = [f"`{kind}`" for kind, keys in _KEYS_OF.items() if key in keys]
            kinds = kinds or ["a class of the project"]
            what = f"`{key}` has no effect on `materialized: {step.config.materialized}`"
            fix = f"Set `materialized` to {' or '.join(kinds)}, or delete the key."
            report(problem(what, written[key], fix, "warning"))
    for key in idle_extras(step.config.materialized, dbt=True):
        if key in written:
            what = f"`materialized: {step.config.materialized}` cannot have `{key}`"
            report(problem(what, written[key], "Delete the key, or build a table or view."))
    if ephemeral.is_ephemeral(step):
        ephemeral.check_header(step, header, report)
    if function.is_function(step):
        function.check_header(step, header, report)
    contract.check_contract(step, header, report)
    if header is not None and step.config.materialized in STRATEGIES:
        _check_strategy(step, header, report)
    if snapshot.is_snapshot(step):
        snapshot.check_snapshot(step, header, report)
    if not incremental(step) and not copied.is_copy(step):
        return
    config, strategy = step.config, strategy_of(step)
    if strategy in _KEYED and not config.unique_key:
        fix = "Add `unique_key:` with the columns that tell the rows apart."
        at = place("strategy", "incremental_strategy")
        report(problem(f"the strategy {strategy} needs a unique_key", at, fix))
    if strategy in ("append", "replace") and config.unique_key:
        what = f"the strategy {strategy} does not use unique_key"
        fix = "Use `strategy: merge` or `delete+insert`, or check the column: `checks: [unique]`."
        if strategy == "replace":
            fix = "Delete it, or check the column: `checks: [unique]`."
        report(problem(what, place("unique_key"), fix, "warning"))
    if config.since is not None and config.since.lookback and not config.unique_key:
        what = "with `lookback` rows are read again, and without a unique_key they would be doubled"
        report(problem(what, place("since"), "Add a `unique_key:`, or delete `lookback`."))
    for what, key, fix in _contradictions(config, strategy):
        report(problem(what, place(key), fix))
    taken = {"since"} if config.since is not None else set()
    taken |= RESERVED if config.partitions is not None else set()
    for name in step.variables:
        if name in taken:
            what = f"`{name}` is both a variable and a setting of this model"
            fix = "Give the variable in `vars:` another name."
            report(problem(what, place("since" if name == "since" else "partitions"), fix))


def _contradictions(config: Config, strategy: str) -> Iterator[tuple[str, str, str]]:
    """(what is wrong, key, fix)"""
    if config.full_refresh is False and config.on_code_change == "full_refresh":
        what = "`full_refresh: false` forbids what `on_code_change: full_refresh` asks for"
        yield what, "on_code_change", "Delete one of them."
    if strategy == "replace" and config.partitions is None:
        fix = "Add `partitions:` with the name of those that it is built by."
        yield "the strategy replace needs partitions", "strategy", fix
    if config.partitions is not None and strategy != "replace":
        what = f"the strategy {strategy} does not use partitions"
        fix = "Delete `strategy:`, so that a build replaces the rows of its partitions."
        yield what, "strategy", fix
    if config.partitions is not None and config.since is not None:
        what = "a build replaces its partitions, and `$since` is for builds that add to the table"
        fix = "Delete `since:`. `$partition_start` and `$partition_end` are what is built."
        yield what, "since", fix
    if config.batch is not None and config.partitions is None:
        yield "`batch` is about partitions, and the model has none", "batch", "Delete it."
    yield from _contradictions_of_merge(config, strategy)


def _contradictions_of_merge(config: Config, strategy: str) -> Iterator[tuple[str, str, str]]:
    for key in _OF_MERGES:
        if getattr(config, key) and strategy != "merge":
            yield f"the strategy {strategy} does not use {key}", key, "Set `strategy: merge`."
    keys = {it.lower() for it in config.unique_key}
    for name in config.merge_exclude_columns:
        if name.lower() in keys:
            fix = "Delete it there: a merge never changes a key."
            yield f"`{name}` of merge_exclude_columns is a key", "merge_exclude_columns", fix
    if config.incremental_predicates and strategy not in _KEYED:
        what = f"the strategy {strategy} does not use incremental_predicates"
        yield what, "incremental_predicates", "Set `strategy: merge` or `delete+insert`."
    if config.merge_update_columns and config.merge_exclude_columns:
        what = "merge_update_columns names what is written, and merge_exclude_columns what is not"
        yield what, "merge_exclude_columns", "Delete one of them."


def wrong_predicates(step: Step, dialect: str) -> Iterator[Problem]:
    """What is no condition on a row of the table and the new one, or none that the build can ask.

    Of a new row, delete+insert knows the key alone, and a merge of some columns has put the table's
    values into the others.
    """
    config = step.config
    if not incremental(step):
        return
    whole = strategy_of(step) == "merge"
    whole = whole and not (config.merge_update_columns or config.merge_exclude_columns)
    rows = BOTH_ROWS if whole else OF_TABLE
    asked = [("incremental_predicates", it, rows) for it in config.incremental_predicates]
    asked.append(("merge_update_condition", config.merge_update_condition, OF_UPDATE))
    asked.append(("merge_insert_condition", config.merge_insert_condition, OF_INSERT))
    for key, text, rows in asked:
        if not text:
            continue
        from dagster_models.sql.predicates import predicate_of_rows

        try:
            predicate_of_rows(text, dialect, rows)
        except SqlSyntaxError as error:
            what = f"`{key}`: `{text}`: {error.what}"
            yield problem(what, place_of(key, step), error.fix)


def _check_strategy(step: Step, header: YamlNode, report: Report) -> None:
    """Report a strategy that models of another kind have."""
    words = STRATEGIES[step.config.materialized]
    others = {word for found in STRATEGIES.values() for word in found}.difference(words)
    for key in ("strategy", "incremental_strategy"):
        node = header.value.get(key)
        if node is not None and node.value in others:
            what = f"`{node.value}` is no strategy of `materialized: {step.config.materialized}`"
            report(problem(what, node.place, f"Use one of: {', '.join(words)}."))


def check_use_of_since(
    step: Step,
    placeholders: Iterable[tuple[str, Placeholder, Location]],
    dialect: str,
    report: Report,
) -> None:
    """Report how the model's queries use `$since`. *placeholders*: each with its text and place."""
    if not incremental(step) or step.config.since is None:
        return
    used = [(text, holder, at) for text, holder, at in placeholders if holder.name == "since"]
    since = dialect_of(dialect).placeholder("since")
    if not used and step.kind == "sql":
        what = f"`since:` is set, but the query does not use `{since}`"
        fix = f"Compare with it: `where {step.config.since.column} > {since}`."
        report(problem(what, step.location, fix, "warning"))
    literals = {text[it.start : it.end]: at for text, it, at in used if it.is_bound(text)}
    if len(literals) > 1:
        what = f"`{since}` is bound to several literals, of which a first build takes the first one"
        report(problem(what, [*literals.values()][1], "Write the same literal.", "warning"))
    for text, holder, at in used:
        compared = _COMPARED.search(text, 0, holder.start)
        operator = compared[1] if compared else ""
        if operator == ">=" and strategy_of(step) == "append":
            what = f"append with `>= {since}` adds the rows of the last moment once more each time"
            fix = f"Write `> {since}`, or set a `unique_key:`."
            report(problem(what, at, fix, "warning"))
        if operator == ">" and strategy_of(step) in _KEYED and not step.config.since.lookback:
            what = f"with `> {since}` rows are lost that come later with the same value"
            fix = f"Write `>= {since}`: a row with the same key is not doubled."
            report(problem(what, at, fix, "warning"))
        if step.kind == "python" and step.config.since.begin is None and not holder.is_bound(text):
            what = f"the first build of a Python model has no value for `{since}`"
            fix = "Set it: `since: {column: ..., begin: ...}`, or ask `warehouse.is_incremental`."
            report(problem(what, at, fix, "warning"))


# With the columns ---------------------------------------------------------------------------------


def reads_itself(step: Step) -> bool:
    """Whether a query reads the table that it adds to, when it is built in full, too."""
    if step.kind != "sql" or not incremental(step):
        return False
    text = step.full_sql or step.sql  # blanks stand in it for a name that is left out
    own = (it for it in step.references if step.resolved.get(it.name) == step.key)
    return any(text[reference.start : reference.end].strip() for reference in own)


def own_columns(step: Step) -> tuple[tuple[str, str], ...]:
    """(name, type) of each column, as far as the header or the query says so; "" for no type."""
    declared = {column.name.lower(): (column.name, column.type) for column in step.config.columns}
    traced = {name.lower(): (name, type_) for name, type_ in step.trace.schema.columns}
    names = traced if step.trace.schema.closed else {**traced, **declared}
    return tuple(
        (name, declared.get(key, ("", ""))[1] or type_) for key, (name, type_) in names.items()
    )


def check_columns(steps: Mapping[Key, Step], report: Report) -> None:
    """Report what can be known only when the columns of all steps are."""
    for found in clashing_exports(steps.values()):
        report(found)
    for step in steps.values():
        for found in wrong_columns(step):
            report(found)
        if incremental(step):
            for key, what, fix, severity in _wrong_columns(step):
                report(problem(what, place_of(key, step), fix, severity))
        elif snapshot.is_snapshot(step):
            for key, what, fix in snapshot.wrong_columns(step):
                report(problem(what, place_of(key, step), fix))


def _appends_all(step: Step) -> bool:
    """Whether nothing in a query visibly restricts it to what is new."""
    restricted = step.config.since is not None or bool(step.full_sql)
    return step.kind == "sql" and strategy_of(step) == "append" and not restricted


def _wrong_since(step: Step) -> Iterator[tuple[str, str, str, str]]:
    since = step.config.since
    if since is None:
        return
    types = {name.lower(): type_ for name, type_ in own_columns(step)}
    type_ = types.get(since.column.lower(), "")
    misfits = {
        "lookback": lookback_misfit(since.lookback, type_),
        "begin": begin_misfit(since.begin, type_),
    }
    for key, why in misfits.items():
        if why:
            what = f"`{key}` does not fit the column `{since.column}`, whose type is {type_}"
            yield "since", what, f"{why[0].upper()}{why[1:]}.", "error"


def _wrong_columns(step: Step) -> Iterator[tuple[str, str, str, str]]:
    """(key of the header, what is wrong, fix, severity)"""
    config, schema = step.config, step.trace.schema
    names = [name for name, _ in schema.columns]
    wanted = {
        "unique_key": config.unique_key,
        "merge_update_columns": config.merge_update_columns,
        "merge_exclude_columns": config.merge_exclude_columns,
    }
    if config.since is not None:
        wanted["since"] = (config.since.column,)
    for key, columns in wanted.items() if schema.closed else ():
        for column in columns:
            if column.lower() not in map(str.lower, names):
                what = f"`{key}` names `{column}`, a column that {step.key} does not have"
                yield key, what, suggest(column, names, "Columns"), "error"
    yield from _wrong_since(step)
    if reads_itself(step):
        columns_of = own_columns(step)
        unknown = [f"`{name}`" for name, type_ in columns_of if not type_]
        if unknown or not columns_of or not (schema.closed or config.columns):
            what = (
                f"{step.key} reads itself, so an empty table must be there before its first build,"
                f" and the type of {', '.join(unknown) or 'its columns'} is not known"
            )
            fix = "Declare it: `columns: {name: {type: ...}}`, with all columns of the query."
            yield "columns", what, fix, "error"
    elif _appends_all(step):
        what = "each run appends all rows of the query once more"
        fix = "Set `since: column` and compare with `$since`, or set a `unique_key:`."
        yield "materialized", what, fix, "warning"
