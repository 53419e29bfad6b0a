"""Relations of the project whose names stand in a text as they are, without `ref()`: a schema and a
table, as in `from {{ target.schema }}.orders`. dbt does not know that the text reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from dagster_models.dbt.project.manifest import Manifest
from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.parse import parse_sql

#: A part of a name: quoted or plain.
PART = r"""(?:"[^"\n]+"|`[^`\n]+`|\[[^\]\n]+\]|[^\W\d]\w*)"""
_NAME = re.compile(rf"""(?<![\w"`.\]])(?:{PART}\s*\.\s*){{1,2}}{PART}(?![\w"`])(?!\s*[.(])""")

_OPENS, _CLOSES = '"`[', '"`]'
#: The last part of such a name, or the quote that begins it.
_LAST = re.compile(r"""\.\s*(["`\[]|[^\W\d]\w*)""")

#: Identifier -> schema, both in lower case -> the unique_id and the database of each such relation.
Relations = Mapping[str, Mapping[str, Sequence[tuple[str, str | None]]]]


def relations_by_name(manifest: Manifest) -> Relations:
    found: dict[str, dict[str, list[tuple[str, str | None]]]] = {}
    for node in manifest.nodes.values():
        if node.has_relation:
            schema, identifier = node.relation.folded
            of = (node.unique_id, node.relation.database)
            found.setdefault(identifier, {}).setdefault(schema, []).append(of)
    return found


def written_relations(
    text: str, dialect: str, relations: Relations
) -> Iterator[tuple[int, int, str]]:
    """The start and the end of each such name where a table is read, and its unique_id, from the
    last one to the first."""
    if not any(it in _OPENS or it.lower() in relations for it in _LAST.findall(text)):
        return  # as most texts, which name columns of tables alone
    found = [
        (it.start(), it.end(), unique_id)
        for it in _NAME.finditer(text)
        if (unique_id := _meant(it[0], relations))
    ]
    if not found:
        return
    try:
        tables = {(it.start, it.end) for it in parse_sql(text, dialect, normalize=False).references}
    except (SqlSyntaxError, ValueError):
        return
    yield from (it for it in reversed(found) if it[:2] in tables)


def _meant(name: str, relations: Relations) -> str:
    plain = name[-1] not in _CLOSES  # as are nearly all that are columns of a table
    if plain and name.rpartition(".")[2].strip().lower() not in relations:
        return ""
    *database, schema, identifier = [it.strip('"`[]').lower() for it in re.findall(PART, name)]
    found = [
        unique_id
        for unique_id, of in relations.get(identifier, {}).get(schema, ())
        if not database or of is None or of.lower() == database[0]
    ]
    return found[0] if len(found) == 1 else ""
