"""What PostgreSQL shows, and needs, of what a build does besides the rows of its relation."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.nearest import suggest
from dagster_models.warehouses.base import literal, quoted
from dagster_models.warehouses.extras import FoundIndex, removed_comment
from dagster_models.warehouses.materializations.hooks import RelationKind
from dagster_models.warehouses.postgres.catalog import Runner

_INDEXES = """
SELECT x.relname::text, coalesce(obj_description(x.oid, 'pg_class'), ''), tn.nspname::text,
       t.relname::text, coalesce(t.oid = to_regclass(%(name)s), false)
FROM pg_class AS x
JOIN pg_namespace AS n ON n.oid = x.relnamespace
LEFT JOIN pg_index AS i ON i.indexrelid = x.oid
LEFT JOIN pg_class AS t ON t.oid = coalesce(i.indrelid, x.oid)
LEFT JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
WHERE i.indrelid = to_regclass(%(name)s)
   OR (n.nspname = %(schema)s AND x.relname = ANY(%(names)s))
"""

_COLUMN_COMMENTS = """
SELECT attname::text, col_description(attrelid, attnum) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
  AND col_description(attrelid, attnum) IS NOT NULL
"""

#: Who has a privilege, granted by the owner: what others have granted is theirs. A relation without
#: a list has only what its owner may do.
_GRANTED = """
SELECT lower(acl.privilege_type),
       CASE acl.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(acl.grantee)::text END
FROM pg_class, aclexplode(relacl) AS acl
WHERE pg_class.oid = to_regclass(%s) AND acl.grantor = relowner AND acl.grantee <> relowner
"""


@dataclass(frozen=True, slots=True)
class PostgresExtras:
    session: Runner

    keeps_indexes: ClassVar[bool] = True

    def make_way(self, relation: Relation, kind: RelationKind) -> None:
        """Nothing: whatever has the name is replaced at any time in a transaction."""

    def indexes(self, relation: Relation, names: Collection[str] = ()) -> Sequence[FoundIndex]:
        values = {"name": quoted(relation), "schema": relation.schema, "names": list(names)}
        return [
            FoundIndex(name, comment, str(relation) if same else f"{schema}.{table}")
            for name, comment, schema, table, same in self.session.run(_INDEXES, values)
        ]

    def put_comment(self, relation: Relation, kind: RelationKind, comment: str) -> Sequence[str]:
        (there,) = self.session.run(
            "SELECT coalesce(obj_description(to_regclass(%s), 'pg_class'), '')", [quoted(relation)]
        )[0]
        if there != comment:
            said = literal(comment) if comment else "NULL"
            self.session.run(f"COMMENT ON {kind.upper()} {quoted(relation)} IS {said}")
        return [removed_comment(str(relation), there)] if there and not comment else []

    def column_comments(self, relation: Relation) -> Mapping[str, str]:
        return dict(self.session.run(_COLUMN_COMMENTS, [quoted(relation)]))

    def put_grants(self, relation: Relation, grants: Mapping[str, Sequence[str]]) -> Sequence[str]:
        roles = dict(self.session.run("SELECT rolname::text, quote_ident(rolname) FROM pg_roles"))
        owner = self.session.run(
            "SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = to_regclass(%s)",
            [quoted(relation)],
        )[0][0]
        granted: dict[str, set[str]] = {}
        for privilege, role in self.session.run(_GRANTED, [quoted(relation)]):
            granted.setdefault(privilege, set()).add(role)
        notes = []
        for privilege, listed in grants.items():
            wanted = {_role(role, roles) for role in listed} - {owner}
            there = granted.get(privilege, set())
            for role in sorted(wanted - there):
                self._change("GRANT", privilege, relation, "TO", _named(role, roles))
            for role in sorted(there - wanted):
                self._change("REVOKE", privilege, relation, "FROM", _named(role, roles))
                notes.append(f"grants: {privilege} was revoked from {role}, which is not listed")
        return notes

    def _change(self, verb: str, privilege: str, relation: Relation, link: str, role: str) -> None:
        what = f"{verb} {privilege.upper()} ON {quoted(relation)} {link} {role}"
        self.session.run(what)


def _named(role: str, roles: Mapping[str, str]) -> str:
    return "PUBLIC" if role == "public" else roles[role]


def _role(name: str, roles: Mapping[str, str]) -> str:
    """The role as the server spells it: nobody writes quotes in YAML. Raises WarehouseError."""
    if name.lower() == "public":
        return "public"
    close = [role for role in roles if role.lower() == name.lower()]
    if name in roles or len(close) == 1:
        return name if name in roles else close[0]
    known = [role for role in roles if not role.startswith("pg_")]
    raise WarehouseError(
        ErrorKind.PERMISSION,
        f"grants: the server has no role `{name}`. Nothing was changed: create it"
        f" (CREATE ROLE), or correct the name. {suggest(name, known, 'Roles')}",
        name="UnknownRole",
    )
