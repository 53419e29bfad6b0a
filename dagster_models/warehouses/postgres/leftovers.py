"""What PostgreSQL shows of relations: which they are, and the OIDs by which we know our own."""

from __future__ import annotations

from collections.abc import Collection

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.warehouses.base import Staged, quoted
from dagster_models.warehouses.postgres import repeatable
from dagster_models.warehouses.postgres.connection import PostgresConnection
from dagster_models.warehouses.postgres.extras import PostgresExtras
from dagster_models.warehouses.transactional import Found


class PostgresLeftovers(PostgresConnection):
    """Adds to a connection what ``built_by`` and ``drop`` need, and what says whether a relation or
    a function is as it was."""

    @property
    def beside(self) -> PostgresExtras:
        return PostgresExtras(self)

    def mark(self, staged: Staged, commit: Commit) -> str:
        # A rebuild in place keeps the OID; whoever makes the relation anew gets another one.
        return str(self.run("SELECT %s::regclass::oid::text", [quoted(staged.relation)])[0][0])

    def relations_there(self) -> list[Found]:
        rows = self.run(
            "SELECT nspname::text, relname::text, relkind = 'v', c.oid::text FROM pg_class AS c"
            " JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname !~ '^pg_'"
        )
        return [Found(Relation(schema, name), is_view, oid) for schema, name, is_view, oid in rows]

    def fingerprint(self, relation: Relation) -> str:
        return repeatable.fingerprint(self, relation, self.columns(relation))

    def contents(self, relation: Relation) -> str:
        return repeatable.contents(self, relation, self.columns(relation))

    def unrepeatable(self, functions: Collection[str]) -> dict[str, str]:
        return repeatable.unrepeatable(self, functions) if functions else {}
