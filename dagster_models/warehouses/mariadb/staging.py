"""Publishing without transactions: a relation is built beside the one that readers see, and one
RENAME TABLE takes that away and puts it in its place, with the proof.

    CREATE DATABASE dagster_models_stage_<id>                        where no reader looks
    CREATE TABLE dagster_models_stage_<id>.flights AS <query>        checks read it
    INSERT INTO dagster_models.commits ...                           a record, which does not count
    RENAME TABLE marts.flights TO dagster_models_stage_<id>.dagster_models_old,
                 dagster_models_stage_<id>.flights TO marts.flights,
                 dagster_models.pending_<id> TO dagster_models.proof_<id>

The server carries a RENAME of several tables out as a whole or not at all, also where it is killed
meanwhile (MariaDB 10.6). A view cannot be renamed into another database, so it is built in its own.
An id begins with the mark of its session: so everybody can see whether its session still lives.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.mariadb import records
from dagster_models.warehouses.mariadb.connection import hashed
from dagster_models.warehouses.mariadb.errors import (
    DUPLICATE,
    MISSING_TABLE,
    TABLE_EXISTS,
    number_of,
)
from dagster_models.warehouses.mariadb.text import literal
from dagster_models.warehouses.records import RECORDS

if TYPE_CHECKING:
    from dagster_models.warehouses.mariadb.statements import MariaStatements

STAGES, _OLD = "dagster_models_stage_", "dagster_models_old_"
#: How the comment of a table begins that a publication has made; the id of that follows.
MARK = "dagster-models "
_KINDS = {"BASE TABLE": "table", "VIEW": "view"}


@dataclass(slots=True)
class MariaStage:
    """What a build makes, and where it is."""

    relation: Relation
    id: str
    is_view: bool = False
    #: Its rows are in the relation, in the transaction that is open.
    in_place: bool = False

    @classmethod
    def of(cls, session: MariaStatements, relation: Relation) -> MariaStage:
        return cls(relation, f"{session.mark}_{os.urandom(4).hex()}")

    @property
    def schema(self) -> str:
        return STAGES + self.id

    @property
    def name(self) -> Relation:
        """What checks read. It has the relation's name, which a condition may name a column by."""
        if self.in_place:
            return self.relation
        return Relation(self.schema, self.relation.name)

    @property
    def built(self) -> Relation:
        """What is renamed."""
        if self.is_view:
            return Relation(self.relation.schema, STAGES + self.id)
        return self.name


def kind_of(session: MariaStatements, relation: Relation) -> str | None:
    """What has the name, "table" or "view", or None. Raises WarehouseError for what no model
    builds."""
    rows = session.rows(
        "SELECT table_schema, table_name, table_type FROM information_schema.tables"
        f" WHERE table_schema = {literal(relation.schema)}"
        f" AND table_name = {literal(relation.name)}"
    )
    for schema, name, type_ in rows:  # the server compares without case here
        if (schema, name) != (relation.schema, relation.name):
            continue
        if type_ not in _KINDS:
            raise WarehouseError(
                ErrorKind.NOT_KEPT,
                f"{relation} is a {type_.lower()}, which no model builds. Nothing was changed:"
                " rename or drop it by hand, or give the model another name (alias)",
            )
        return _KINDS[type_]
    return None


def refuse_losses(session: MariaStatements, relation: Relation) -> None:
    """Raise WarehouseError for what hangs on a table and would be lost with it."""
    schema, name = literal(relation.schema), literal(relation.name)
    found = session.rows(
        f"SELECT CONCAT('the trigger ', trigger_name, ' is on it') FROM information_schema.triggers"
        f" WHERE event_object_schema = {schema} AND event_object_table = {name}"
        " UNION ALL SELECT CONCAT('the foreign key ', constraint_name, ' of ', table_schema, '.',"
        " table_name, ' refers to it') FROM information_schema.key_column_usage"
        f" WHERE referenced_table_schema = {schema} AND referenced_table_name = {name}"
        " UNION ALL SELECT CONCAT('it has the foreign key ', constraint_name)"
        " FROM information_schema.referential_constraints"
        f" WHERE constraint_schema = {schema} AND table_name = {name}"
    )
    for (why,) in found:
        raise WarehouseError(
            ErrorKind.NOT_KEPT,
            f"each build of {relation} puts a new table in its place, and {why}. Nothing was"
            " changed: drop that first, by hand",
        )


def take_turn(session: MariaStatements, relation: Relation) -> None:
    """Be the only session that builds or publishes a relation, until ``give_turn`` is called as
    often. Raises WarehouseError."""
    seconds = session.server.lock_timeout
    answer = session.rows(f"SELECT GET_LOCK({_turn_lock(relation)}, {seconds})")[0][0]
    if answer is None:  # a KILL QUERY is no error of it
        what = f"stopped while another session was publishing {relation}"
        raise WarehouseError(ErrorKind.INTERRUPTED, what)
    if answer != 1:
        what = f"another session is publishing {relation}, and did not end within lock_timeout"
        raise WarehouseError(ErrorKind.LOCK_TIMEOUT, what, transient=True)


def give_turn(session: MariaStatements, relation: Relation) -> None:
    with contextlib.suppress(WarehouseError):
        session.rows(f"SELECT RELEASE_LOCK({_turn_lock(relation)})")


@contextlib.contextmanager
def turn(session: MariaStatements, relation: Relation) -> Iterator[None]:
    take_turn(session, relation)
    try:
        yield
    finally:
        give_turn(session, relation)


def _turn_lock(relation: Relation) -> str:
    return literal(f"dagster_models:{hashed(str(relation))}:turn")


def make_stage(session: MariaStatements, stage: MariaStage) -> None:
    session.change(f"CREATE DATABASE {quote(stage.schema)} CHARACTER SET utf8mb4")


def make_schema(session: MariaStatements, schema: str) -> None:
    """Where it is there, this takes no right to make one."""
    there = session.rows(
        f"SELECT schema_name FROM information_schema.schemata WHERE schema_name = {literal(schema)}"
    )
    if (schema,) not in there:
        session.change(f"CREATE DATABASE IF NOT EXISTS {quote(schema)} CHARACTER SET utf8mb4")


def publish(session: MariaStatements, stage: MariaStage, commits: Sequence[Commit]) -> None:
    """The record, and then the one act. An error leaves neither, unless the session is lost."""
    with turn(session, stage.relation):
        kind = kind_of(session, stage.relation)
        if kind == "table":
            refuse_losses(session, stage.relation)
        session.change(f"CREATE TABLE {quoted(records.pending_of(stage.id))} (i INT)")
        try:
            _write_records(session, stage, commits)
            swap(session, stage, kind, (records.pending_of(stage.id), records.proof_of(stage.id)))
        except WarehouseLost:
            raise
        except WarehouseError:
            # The server has answered: the proof says whether it was an error of the act itself.
            if not is_there(session, records.proof_of(stage.id)):
                records.forget(session, stage.id)
                session.change(f"DROP TABLE IF EXISTS {quoted(records.pending_of(stage.id))}")
                raise
        with contextlib.suppress(WarehouseError):  # it is published, whatever comes now
            records.settle(session, stage.id)


def publish_in_place(
    session: MariaStatements, stage: MariaStage, commits: Sequence[Commit]
) -> None:
    """The record in the transaction that has written the rows: it counts with its COMMIT."""
    if not session.in_transaction:
        raise session.gone()
    _commit_records(session, commits, stage.id, is_published=True)


def end_others(session: MariaStatements, attempt: AttemptId) -> None:
    """Make sure that no other session publishes an attempt. Raises WarehouseError if it may."""
    for id_ in records.unpublished(session, attempt):
        if not end(session, id_):
            what = "another session is about to publish the same attempt"
            raise WarehouseError(ErrorKind.CONFLICT, what, transient=True)


def _write_records(session: MariaStatements, stage: MariaStage, commits: Sequence[Commit]) -> None:
    end_others(session, commits[0].id)
    session.begin()
    _commit_records(session, commits, stage.id, is_published=False)


def _commit_records(
    session: MariaStatements, commits: Sequence[Commit], id_: str, *, is_published: bool
) -> None:
    try:
        records.write(session, commits, id_, is_published)
        session.commit()
    except WarehouseLost:
        raise
    except WarehouseError as error:
        session.rollback()
        if number_of(error.__cause__) != DUPLICATE:
            raise
        what = f"{commits[0].id} was published before: an attempt is published once"
        raise WarehouseError(ErrorKind.CONSTRAINT, what, name="PublishedBefore") from error


def end(session: MariaStatements, id_: str) -> bool:
    """Make sure that a publication of another session never takes place; False if it may."""
    mark = id_.partition("_")[0]
    if mark != session.mark and session.holder_of(mark) is not None:
        return False
    session.change(f"DROP TABLE IF EXISTS {quoted(records.pending_of(id_))}")
    if is_there(session, records.proof_of(id_)):
        records.settle(session, id_)
    else:
        records.forget(session, id_)
    return True


def swap(
    session: MariaStatements, stage: MariaStage, kind: str | None, proof: tuple[Relation, ...] = ()
) -> None:
    """The one act. ``kind``: what has the name now. ``proof``: what it is called before and
    after."""
    relation, moves = stage.relation, list[tuple[Relation, ...]]()
    if kind == "table":
        moves.append((relation, Relation(stage.schema, "dagster_models_old")))
    elif kind == "view":
        moves.append((relation, Relation(relation.schema, _OLD + stage.id)))
    moves.append((stage.built, relation))
    moves += [proof] if proof else []
    listed = ", ".join(f"{quoted(old)} TO {quoted(new)}" for old, new in moves)
    try:
        session.change(f"RENAME TABLE {listed}")
    except WarehouseError as error:
        if number_of(error.__cause__) not in (TABLE_EXISTS, MISSING_TABLE):
            raise
        what = f"{relation} was made or dropped by somebody else at the same moment"
        raise WarehouseError(ErrorKind.CONFLICT, what, transient=True) from error


def remove(session: MariaStatements, stage: MariaStage) -> None:
    """Drop what a build has left, and what it has replaced."""
    session.change(f"DROP DATABASE IF EXISTS {quote(stage.schema)}")
    for prefix in (STAGES, _OLD) if stage.is_view else (_OLD,):
        name = Relation(stage.relation.schema, prefix + stage.id)
        session.change(f"DROP VIEW IF EXISTS {quoted(name)}")


def mark_of(session: MariaStatements, relation: Relation) -> str | None:
    """The mark of the publication that has made a table; None for a table of somebody else's."""
    rows = session.rows(
        "SELECT table_comment FROM information_schema.tables WHERE"
        f" table_schema = {literal(relation.schema)} AND table_name = {literal(relation.name)}"
    )
    comment = str(rows[0][0]) if rows else ""
    return comment if comment.startswith(MARK) else None


def is_there(session: MariaStatements, relation: Relation) -> bool:
    return kind_of(session, relation) is not None


def clean(session: MariaStatements) -> None:
    """Settle and remove what sessions have left that were killed, with their process or server."""
    names = session.rows(
        "SELECT schema_name, '', 'database' FROM information_schema.schemata"
        f" WHERE schema_name LIKE {literal(like(STAGES))}"
        " UNION ALL SELECT table_schema, table_name, 'view' FROM information_schema.views"
        f" WHERE table_name LIKE {literal(like(STAGES))} OR table_name LIKE {literal(like(_OLD))}"
        " UNION ALL SELECT table_schema, table_name, 'proof' FROM information_schema.tables"
        f" WHERE table_schema = {literal(RECORDS.schema)}"
        r" AND (table_name LIKE 'pending\\_%' OR table_name LIKE 'proof\\_%')"
    )
    for schema, name, what in names:
        id_ = "_".join((name or schema).rsplit("_", 2)[1:])
        if session.holder_of(id_.partition("_")[0]) is not None:
            continue
        if what == "proof":
            end(session, id_)
        elif what == "database":
            session.change(f"DROP DATABASE IF EXISTS {quote(schema)}")
        elif not schema.startswith(STAGES):
            session.change(f"DROP VIEW IF EXISTS {quoted(Relation(schema, name))}")


def like(prefix: str) -> str:
    """The pattern of LIKE for names that begin so."""
    return prefix.replace("_", "\\_") + "%"
