"""Which names in the queries of a Python file mean its temporary tables, and not the project's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dagster_models.project.python.moments import Moment
from dagster_models.sql.parsed import ParsedSql

#: The schemas of a session's temporary tables.
_SCHEMAS = ("temp", "pg_temp")


class TimedQuery(Protocol):
    """A query of a Python file, and when it runs."""

    @property
    def text(self) -> str: ...
    @property
    def parsed(self) -> ParsedSql: ...
    @property
    def path(self) -> str: ...
    @property
    def moment(self) -> Moment: ...


@dataclass(frozen=True, slots=True)
class Temporary:
    """The names in one text, in lower case, that mean temporary tables, and those that may mean
    one: nobody knows whether it is there by then."""

    certain: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()

    @property
    def every(self) -> frozenset[str]:
        return self.certain | self.doubtful


#: Of a text that reads none.
NONE = Temporary()


def temporary_names(queries: Sequence[TimedQuery]) -> dict[str, Temporary]:
    """The temporary tables that each text of a step reads.

    A table is temporary after the call that has created it, in the same function and where that
    call has certainly run. Before it, and in the query that creates it, the name has its old
    meaning. The same text may be sent at both times: then its names are doubtful.
    """
    creators: dict[str, list[TimedQuery]] = {}
    for query in queries:
        for name in query.parsed.temporary:
            creators.setdefault(name.lower(), []).append(query)
    if not creators:
        return {}
    dropped = {
        reference.name.lower()
        for query in queries
        if "drop" in query.parsed.normalized.split()
        for reference in query.parsed.references
    }
    meanings: dict[str, dict[str, set[str]]] = {}
    for query in queries:
        found = meanings.setdefault(query.text, {})
        for name in {reference.name.lower() for reference in query.parsed.references}:
            meaning = _meaning(name, query, creators)
            if meaning != "lasting" and name in dropped:
                meaning = "doubtful"
            found.setdefault(name, set()).add(meaning)
    return {
        text: Temporary(
            frozenset(name for name, found in names.items() if found == {"temporary"}),
            frozenset(name for name, found in names.items() if found - {"temporary", "lasting"})
            | frozenset(name for name, found in names.items() if len(found) > 1),
        )
        for text, names in meanings.items()
    }


def _meaning(name: str, query: TimedQuery, creators: dict[str, list[TimedQuery]]) -> str:
    schema, _, bare = name.rpartition(".")
    made = creators.get(bare if schema in _SCHEMAS else name, ())
    if not made:
        return "lasting"
    if schema in _SCHEMAS:
        return "temporary"
    others = [other for other in made if other is not query]
    if query in made and query.moment.loops:
        return "doubtful"
    before = [o for o in others if o.path == query.path and query.moment.is_after(o.moment)]
    if before:
        return "temporary"
    after = [o for o in others if o.path == query.path and query.moment.is_before(o.moment)]
    return "lasting" if len(after) == len(others) else "doubtful"
