"""The versions of a snapshot, where a session is not ``Hooks``: which rows are new, have changed or
are gone. What it answers is said in materializations/snapshot.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import Reading, Snapshot
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.materializations import snapshot as everywhere
from dagster_models.warehouses.materializations.columns import columns_named
from dagster_models.warehouses.materializations.hooks import Asking
from dagster_models.warehouses.materializations.keys import (
    key_examples,
    refuse_duplicate_keys,
    refuse_null_keys,
    refuse_rows,
)
from dagster_models.warehouses.materializations.snapshot_columns import hash_of

#: The columns of the table of changes, besides the key: they must not meet a user's.
WHAT, AT = "dagster_models_what", "dagster_models_at"


@dataclass(frozen=True, slots=True)
class MomentWords:
    """How a warehouse writes a moment without a zone.

    ``cast`` is its type in a CAST, and ``column`` as ``session.columns`` has it. ``known_as`` are
    the words with which types begin that hold moments or dates. ``microsecond`` is the interval
    that is as long.
    """

    cast: str
    column: str
    known_as: tuple[str, ...]
    microsecond: str

    def at(self, moment: str) -> str:
        return f"CAST('{moment}' AS {self.cast})"

    @property
    def far(self) -> str:
        """See ``snapshot_columns.FAR``."""
        return self.at("2200-01-01 00:00:00")

    def now(self, how: Snapshot) -> str:
        return self.at(how.now or format(everywhere.utc_now(), "%Y-%m-%d %H:%M:%S.%f"))

    def open_end(self, how: Snapshot) -> str:
        return self.at(how.open_end) if how.open_end else f"CAST(NULL AS {self.cast})"


@dataclass(frozen=True, slots=True)
class RowsGiven:
    """The columns of the query; ``now`` is SQL, ``born`` the moment at which the row n begins."""

    session: Asking
    names: tuple[str, ...]
    keys: tuple[str, ...]
    now: str
    born: str
    updated_at: str = ""  #: "" where the strategy is check

    def version_id(self, moment: str) -> str:
        """What dbt's `snapshot_hash_arguments` makes of a version of the row n that begins then."""
        quote, text_type = self.session.quote, self.session.text_type
        text = f"CAST({moment} AS {text_type})"
        if self.updated_at:  # dbt takes its text as it is
            given = f"CAST(n.{quote(self.updated_at)} AS {text_type})"
            text = f"CASE WHEN {moment} = {self.born} THEN {given} ELSE {text} END"
        return hash_of([*(f"n.{quote(key)}" for key in self.keys), text], text_type)


def checked(session: Asking, new: Relation, how: Snapshot, words: MomentWords) -> RowsGiven:
    """What was returned, in *new*. Raises WarehouseError if no versions can be made of it."""
    columns = session.columns(new)
    names = [name for name, _ in columns]
    keys = columns_named(columns, how.unique_key, of="unique_key: the query")
    own = {name.lower() for name in how.own_columns}
    for name in names:
        if name.lower() in own:
            raise WarehouseError(
                ErrorKind.BAD_COLUMN,
                f"the query returns a column `{name}`, and this is the name of a column that the"
                " snapshot adds. Nothing was changed: rename it in the query, or the snapshot's"
                f" with `snapshot_meta_column_names: {{{_role(how, name)}: ...}}`",
                name="OwnColumn",
            )
    refuse_null_keys(session, new, keys, names)
    refuse_duplicate_keys(session, new, keys, "A snapshot could keep any of these rows", "")
    now = words.now(how)
    if not how.updated_at:
        return RowsGiven(session, tuple(names), tuple(keys), now, now)
    (updated_at,) = columns_named(columns, [how.updated_at], of="updated_at: the query")
    type_ = dict(columns)[updated_at]
    if not type_.startswith(words.known_as):
        raise WarehouseError(
            ErrorKind.BAD_COLUMN,
            f"updated_at: `{updated_at}` is of the type {type_}, which is no moment. Nothing was"
            " changed: cast it to a timestamp in the query, or use `strategy: check`",
            name="NoMoment",
        )
    # The session's time zone is UTC.
    known = f"CAST({session.quote(updated_at)} AS {words.cast}) < {words.far}"
    what = f"NULL in updated_at ({updated_at}), or no moment before the year 2200"
    shown = (*keys, updated_at, *names)
    refuse_rows(session, new, f"NOT coalesce({known}, false)", shown, what, "NoMoment")
    born = f"CAST(n.{session.quote(updated_at)} AS {words.cast})"
    return RowsGiven(session, tuple(names), tuple(keys), now, born, updated_at)


def _role(how: Snapshot, name: str) -> str:
    named = how.meta_columns.items()
    return next(role for role, own in named if own.lower() == name.lower())


def reading(session: Asking, relation: Relation, how: Snapshot, words: MomentWords) -> Reading:
    """How far the history goes before a Python model reads its sources: any change adds a version
    or, if it does not, closes one. The relation is a table."""
    refuse_another_table(session, relation, how, words)
    valid_to = session.quote(how.valid_to)
    is_open = f"{valid_to} IS NULL OR {valid_to} >= {words.far}"
    counted = f"count(*), count(CASE WHEN {is_open} THEN 1 END)"
    count, still_open = session.rows(f"SELECT {counted} FROM {session.quoted(relation)}")[0]
    return Reading(whole=True, seen=f"{count} versions, {still_open} open")


def refuse_another_table(
    session: Asking, relation: Relation, how: Snapshot, words: MomentWords
) -> None:
    types = dict(session.columns(relation))
    for name in (how.valid_from, how.valid_to):
        if types.get(name) != words.column:
            has = ""
            if name in types:
                has = f"a column `{name}` of the type {types[name]}, and not {words.column}"
            raise WarehouseError(
                ErrorKind.UNSUPPORTED,
                f"{relation} is a table, but no snapshot with these columns: it has"
                f" {has or f'no column `{name}`'}. It may hold a history, so it is never replaced:"
                " rename or drop it by hand, or name its columns in `snapshot_meta_column_names`",
                name="NoSnapshot",
            )


def marked_column(
    session: Asking,
    relation: Relation,
    how: Snapshot,
    returned: Sequence[str],
    has_mark: Callable[[str], bool],
    to_mark: str = "",
) -> bool:
    """Whether the table has our mark of deletions. *has_mark*: whether a column of it is one.
    *to_mark*: what the user can do to make it one.

    Raises WarehouseError for another column of this name where deletions are to be marked.
    """
    known = {name.lower(): name for name, _ in session.columns(relation)}
    name = known.get(how.is_deleted.lower())
    if name is None or name in returned:
        return False
    if has_mark(name):
        return True
    if how.hard_deletes != "new_record":
        return False
    raise WarehouseError(
        ErrorKind.BAD_COLUMN,
        f"{relation} has a column `{name}`, which is not the mark that this snapshot adds. Its"
        " values would be taken for deletions. Nothing was changed: give the mark another name with"
        f" `snapshot_meta_column_names: {{is_deleted: ...}}`{to_mark}",
        name="OwnColumn",
    )


@dataclass(frozen=True, slots=True)
class ChangesFound:
    """How many rows are new, are back after their deletion was marked, have changed, are gone."""

    new: int = 0
    back: int = 0
    changed: int = 0
    gone: int = 0

    @property
    def changes(self) -> Changes:
        return Changes("snapshot", None, self.new + self.back, self.changed, self.gone)


@dataclass(frozen=True, slots=True)
class VersionQueries:
    """What finds the changes, and the conditions on versions. In SQL, t is a version of the
    relation, n a row of *new*, c a change.

    ``differs`` is the condition that a column of n and t is
    not the same. ``marked``: the table has the mark of deletions.
    """

    session: Asking
    relation: Relation
    how: Snapshot
    new: Relation
    query: RowsGiven
    marked: bool
    words: MomentWords
    differs: Callable[[str], str]

    @property
    def keys(self) -> tuple[str, ...]:
        return self.query.keys

    def of(self, row: str, name: str) -> str:
        return f"{row}.{self.session.quote(name)}"

    @property
    def starts(self) -> str:
        return self.of("t", self.how.valid_from)

    @property
    def ends(self) -> str:
        return self.of("t", self.how.valid_to)

    @property
    def is_open(self) -> str:
        return f"({self.ends} IS NULL OR {self.ends} >= {self.words.far})"

    @property
    def is_mark(self) -> str:
        return f"coalesce({self.of('t', self.how.is_deleted)}, false)" if self.marked else "false"

    def same(self, one: str, other: str) -> str:
        return " AND ".join(f"{self.of(one, it)} = {self.of(other, it)}" for it in self.keys)

    def _key_of(self, row: str) -> str:
        return ", ".join(self.of(row, key) for key in self.keys)

    def _after_start(self, moment: str) -> str:
        """That moment as the end of version t, which is not empty even if a clock was wrong."""
        return f"greatest({moment}, {self.starts} + {self.words.microsecond})"

    def found(self, theirs: Sequence[str]) -> str:
        """The key of each row that is new, has changed or is gone, and the moment of that. A row
        that is back ends the mark of its deletion. *theirs*: the columns of the table that are not
        the snapshot's.

        Raises WarehouseError for open versions of which nobody can say which row they are of.
        """
        self._refuse_missing_keys(theirs)
        unknown = " OR ".join(f"{self.of('t', key)} IS NULL" for key in self.keys)
        table, new = f"{self.session.quoted(self.relation)} AS t", self.session.quoted(self.new)
        self._refuse_unclear(f"FROM {table} WHERE {self.is_open} AND ({unknown})")
        now, born = self.query.now, self.query.born
        differs, moment = self._differs(theirs), now
        if self.query.updated_at:  # one that was gone may come back with its old time
            moment = f"CASE WHEN {born} > {self.starts} THEN {born} ELSE {now} END"
        found = [
            f"SELECT {self._key_of('n')},"
            f" CASE WHEN {self.is_mark} THEN 'back' ELSE 'changed' END AS {WHAT},"
            f" {self._after_start(moment)} AS {AT}"
            f" FROM {new} AS n JOIN {table} ON {self.same('n', 't')}"
            f" WHERE {self.is_open} AND ({differs} OR {self.is_mark})",
            f"SELECT {self._key_of('n')}, 'new', CASE WHEN e.{AT} IS NULL OR n.{AT} > e.{AT}"
            f" THEN n.{AT} ELSE greatest({now}, e.{AT}) END"
            f" FROM unknown AS n LEFT JOIN earlier AS e ON {self.same('n', 'e')}",
        ]
        one = self.keys[0]  # which is NULL nowhere
        if self.how.hard_deletes != "ignore":
            found.append(
                f"SELECT {self._key_of('t')}, 'gone', {self._after_start(now)}"
                f" FROM {table} LEFT JOIN {new} AS n ON {self.same('n', 't')}"
                f" WHERE {self.of('n', one)} IS NULL AND {self.is_open} AND NOT {self.is_mark}"
            )
        open_keys = f"(SELECT {self._key_of('t')} FROM {table} WHERE {self.is_open})"
        return (
            f"WITH unknown AS (SELECT {self._key_of('n')}, {born} AS {AT} FROM {new} AS n"
            f" LEFT JOIN {open_keys} AS t ON {self.same('n', 't')}"
            f" WHERE {self.of('t', one)} IS NULL),"
            f" earlier AS (SELECT {self._key_of('t')}, max({self.ends}) AS {AT}"
            f" FROM {table} JOIN unknown AS n ON {self.same('n', 't')}"
            f" GROUP BY {self._key_of('t')}) " + " UNION ALL ".join(found)
        )

    def _differs(self, theirs: Sequence[str]) -> str:
        if self.query.updated_at:
            column = self.query.updated_at
            if column.lower() not in map(str.lower, theirs):
                if self.how.on_schema_change == "ignore":
                    columns_named([(it, "") for it in theirs], [column], f"{self.relation}")
                return "true"  # the column is new, and NULL in each version
            one, other = self.of("n", column), self.of("t", column)
            return f"({one} > {other} OR {other} IS NULL)"
        columns = [(it, "") for it in self.query.names]
        compared = columns_named(columns, self.how.check_cols, of="check_cols: the query")
        wanted = [name.lower() for name in compared or self.query.names]
        known = {name.lower() for name in theirs}
        parts = [self.differs(name) for name in theirs if name.lower() in wanted]
        parts += [
            f"{self.of('n', name)} IS NOT NULL"
            for name in self.query.names
            if name.lower() in wanted
            and name.lower() not in known
            and self.how.on_schema_change != "ignore"
        ]
        return f"({' OR '.join(parts) or 'false'})"

    def _refuse_missing_keys(self, theirs: Sequence[str]) -> None:
        """Raise WarehouseError for a key that is no column of the table yet: it would be NULL in
        each version."""
        known = {name.lower() for name in theirs}
        if missing := [key for key in self.query.keys if key.lower() not in known]:
            nulls = ", ".join(f"NULL AS {self.session.quote(key)}" for key in missing)
            table = f"(SELECT t.*, {nulls} FROM {self.session.quoted(self.relation)} AS t) AS t"
            self._refuse_unclear(f"FROM {table} WHERE {self.is_open}", self.query.keys)

    def refuse_double(self, found: Relation) -> None:
        """Raise WarehouseError if several open versions are of one row that has changed."""
        listed = ", ".join(map(self.session.quote, self.keys))
        source = f"FROM {self.session.quoted(found)} GROUP BY {listed} HAVING count(*) > 1"
        self._refuse_unclear(source)

    def counts(self, found: Relation) -> ChangesFound:
        source = f"FROM {self.session.quoted(found)} GROUP BY {WHAT}"
        rows = self.session.rows(f"SELECT {WHAT}, count(*) {source}")
        return ChangesFound(**{str(what): int(count) for what, count in rows})

    def begun(self) -> dict[str, str]:
        """Of a new version, the columns that a snapshot has only if they are named."""
        its_time = self.query.born if self.query.updated_at else f"c.{AT}"
        values = {
            self.how.scd_id: self.query.version_id(f"c.{AT}"),
            self.how.scd_updated_at: its_time,
        }
        return {name: value for name, value in values.items() if name}

    def begun_mark(self, *, has_ids: bool) -> dict[str, str]:
        """The same of the version that says that t is gone. *has_ids*: the table has the column of
        dbt's hashes: dbt hashes the last one, which older versions may not have."""
        text_type = self.session.text_type
        values = {self.how.scd_updated_at: f"c.{AT}"}
        if self.how.scd_id:
            last = hash_of([self.of("t", key) for key in self.keys], text_type)
            if has_ids:
                last = f"coalesce({self.of('t', self.how.scd_id)}, {last})"
            values[self.how.scd_id] = hash_of([last, f"c.{AT}"], text_type)
        return {name: value for name, value in values.items() if name}

    def _refuse_unclear(self, source: str, keys: Sequence[str] = ()) -> None:
        keys = keys or self.keys
        if examples := key_examples(self.session, keys, source):
            raise WarehouseError(
                ErrorKind.CONSTRAINT,
                f"unique_key ({', '.join(keys)}) does not tell apart the open versions that"
                f" {self.relation} holds: {examples}. It was another one before, or somebody else"
                " has written them. Nothing was changed: mend these versions by hand, or rename the"
                " table, so that a new history begins",
                name="UnclearVersions",
            )
