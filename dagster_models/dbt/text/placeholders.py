"""Placeholders for relations and variables in a text, until it is known where in it they stand.

A relation is rendered as dbt writes it, with a placeholder for the last name:
``"dev"."marts"."zdbt12z"``. Macros may take it apart as they take a relation apart, and it is one
token of the SQL. At the end the place decides: as a table it gets the name that our SQL has for it;
within a literal or a longer name it is again what dbt writes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dagster_models.dbt.project.interfaces import RelationNames
from dagster_models.dbt.project.manifest import DbtRelation, Manifest
from dagster_models.dbt.text.errors import NotImportable
from dagster_models.dbt.text.own_ctes import read_in_own_cte
from dagster_models.dbt.text.written_relations import (
    PART,
    Relations,
    relations_by_name,
    written_relations,
)
from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.literals import Layout, layout, needs_quotes
from dagster_models.sql.parse import parse_sql

_RELATION = re.compile(r"zdbt(\d+)z")
_VARIABLE = re.compile(r"zvar(\d+)z")
_PLACEHOLDER = re.compile("zdbt|zvar")
#: A whole name of a table: quoted or plain parts before the placeholder.
_WHOLE = re.compile(
    rf"""(?<![\w"`.])(?:{PART}\s*\.\s*)*"""
    rf"""(?:"zdbt(\d+)z"|`(?:[^`\n]*\.)?zdbt(\d+)z`|\[zdbt(\d+)z\]|zdbt(\d+)z)(?![\w"`])"""
)
#: What stands behind the name of a CTE.
_AS = re.compile(r"\bas\s+(?:(?:not\s+)?materialized\s*)?\(", re.IGNORECASE)
#: Dialects that quote a name in backticks.
_BACKTICKS = frozenset({"bigquery", "databricks", "spark", "mysql", "hive"})
#: Variables that a build itself gives a value.
_OURS = {
    *("since", "run_started_at", "partition_start", "partition_end", "read_start", "read_end"),
    *("partition_keys", "partition_key"),
}
_FULL = re.compile(r"/\*\s*@full\b(.*)\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    value: Any

    @property
    def text(self) -> str:
        return str(self.value)


@dataclass(frozen=True, slots=True)
class NamedText:
    """A text with our names. ``variables``: those that it asks for; ``frozen``: those whose value
    stands in it."""

    text: str
    variables: Mapping[str, Any]
    frozen: Mapping[str, Any]


@dataclass
class Placeholders:
    """The placeholders of one import."""

    manifest: Manifest
    names: RelationNames
    dialect: str
    ids: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)
    variables_asked: list[Variable] = field(default_factory=list)

    def relation_of(self, unique_id: str) -> DbtRelation:
        of = self.manifest.sources.get(unique_id) or self.manifest.nodes[unique_id]
        return of.relation

    def word(self, unique_id: str) -> str:
        number = self._numbers.get(unique_id)
        if number is None:
            number = self._numbers[unique_id] = len(self.ids)
            self.ids.append(unique_id)
        return f"zdbt{number}z"

    def written(self, unique_id: str) -> str:
        """The relation as dbt writes it, with a placeholder for its last name."""
        relation = self.relation_of(unique_id)
        if relation.is_file:  # whatever stands in it, it has no name here
            return relation.written or ""
        before, found, behind = (relation.written or "").rpartition(relation.identifier)
        return before + self.word(unique_id) + behind if found else self.word(unique_id)

    def variable(self, name: str, value: Any) -> str:
        self.variables_asked.append(Variable(name, value))
        return f"zvar{len(self.variables_asked) - 1}z"

    def with_written_relations(self, text: str) -> str:
        """The text in which the project's own relations that it names as they are, are placeholders
        as well: here they are what the model reads."""
        same_length = _VARIABLE.sub(lambda it: "0".rjust(len(it[0])), text)
        for start, end, unique_id in written_relations(same_length, self.dialect, self._relations):
            text = text[:start] + self.word(unique_id) + text[end:]
        return text

    @cached_property
    def _relations(self) -> Relations:
        return relations_by_name(self.manifest)

    def without_variables(self, text: str) -> str:
        """The text with the values of its variables."""
        return _VARIABLE.sub(lambda it: self.variables_asked[int(it[1])].text, text)

    def as_dbt(self, text: str) -> str:
        """The text as dbt writes it."""
        text = self.without_variables(text)
        return _RELATION.sub(lambda it: self.identifier_of(int(it[1])), text)

    def bare(self, text: str) -> str:
        """The text in which each name of a relation is the placeholder alone."""
        return _WHOLE.sub(lambda it: f"zdbt{_number(it)}z", text)

    def relations_in(self, text: str) -> list[str]:
        """The unique_ids of the relations in it."""
        return [*dict.fromkeys(self.ids[int(it[1])] for it in _RELATION.finditer(text))]

    def named(self, text: str) -> NamedText:
        """Put our names into a text. Raises NotImportable where a macro has changed a placeholder,
        and SqlSyntaxError for what has no tokens."""
        return self.filled(self.with_written_relations(text))

    def filled(self, text: str) -> NamedText:
        """The same for a text that ``with_written_relations`` has returned."""
        return _Naming(self, text).result()

    def identifier_of(self, number: int) -> str:
        unique_id = self.ids[number]
        relation = self.relation_of(unique_id)
        if relation.written is None:
            return f"__dbt__cte__{relation.identifier}"
        return relation.identifier


class _Naming:
    """One text on its way from placeholders to names."""

    def __init__(self, placeholders: Placeholders, text: str) -> None:
        self.placeholders, self.text, self.dialect = placeholders, text, placeholders.dialect
        self.variables: dict[str, Any] = {}
        self.frozen: dict[str, Any] = {}
        self.ctes = {*map(str.lower, _named_ctes(text))}
        self.qualified: set[str] = set()

    def result(self) -> NamedText:
        if self.ctes:
            self.qualified = self._hidden()
        text = self._filled(self.text)
        if re.search(r"zdbt\d|z(?:dbt|var)\d+", text, re.IGNORECASE):
            raise NotImportable("a macro takes a relation's or a variable's name apart")
        return NamedText(text, self.variables, self.frozen)

    def _hidden(self) -> set[str]:
        """The relations whose bare name would mean a CTE somewhere in the text."""
        placeholders, names = self.placeholders, self.placeholders.names
        asked = {
            it
            for it in placeholders.relations_in(self.text)
            if names.is_unique(it) and names.key_of(it).name.lower() in self.ctes
        }
        if not asked or self._read_in_own_ctes(asked):
            return set()
        pieces: list[str] = []
        places: list[tuple[int, str]] = []
        done = length = 0
        bound = _VARIABLE.sub(lambda it: "0".rjust(len(it[0])), self.text)
        for found in _WHOLE.finditer(bound):
            unique_id = placeholders.ids[_number(found)]
            name = self._name(unique_id)
            pieces += [bound[done : found.start()], name]
            length += found.start() - done
            places.append((length, unique_id))
            length += len(name)
            done = found.end()
        text = "".join([*pieces, bound[done:]])
        try:
            read = {it.start for it in parse_sql(text, self.dialect, normalize=False).references}
            comments = layout(text, self.dialect).comments
        except (SqlSyntaxError, ValueError):
            return asked
        inside = [it for it in places if _is_within(it[0], comments)]
        return {
            it for at, it in places if it in asked and at not in read and (at, it) not in inside
        }

    def _read_in_own_ctes(self, asked: Collection[str]) -> bool:
        """Whether each of these relations is read in no place but in the CTE that has its name."""
        of = layout(self.text, self.dialect)
        index = {it.start: at for at, it in enumerate(of.words)}
        ends = {it.stop: at + 1 for at, it in enumerate(of.words)}
        places: dict[int, tuple[int, str]] = {}
        for found in _WHOLE.finditer(self.text):
            unique_id = self.placeholders.ids[_number(found)]
            if unique_id not in asked or _is_within(found.start(), of.comments):
                continue
            if found.start() not in index or found.end() not in ends:
                return False
            name = self.placeholders.names.key_of(unique_id).name
            places[index[found.start()]] = ends[found.end()], name
        words = of.said(self.text)
        return len(read_in_own_cte(words, dialect_of(self.dialect), places)) == len(places)

    def _name(self, unique_id: str) -> str:
        key = self.placeholders.names.key_of(unique_id)
        bare = self.placeholders.names.is_unique(unique_id) and unique_id not in self.qualified
        parts = (key.name,) if bare else (key.schema, key.name)
        return ".".join(self._quoted(it) for it in parts)

    def _quoted(self, name: str) -> str:
        if not needs_quotes(name, self.dialect):
            return name
        mark = "`" if self.dialect in _BACKTICKS else '"'
        return f"{mark}{name}{mark}"

    def _filled(self, text: str, full: bool = False) -> str:
        of = layout(text, self.dialect)
        pieces, done = [], 0
        for place, literal in _stretches(of, text):
            inside = text[place]
            pieces.append(text[done : place.start])
            done = place.stop
            pieces.append(self._literal(inside, full) if literal else self._plain(inside, full))
        return "".join([*pieces, text[done:]])

    def _plain(self, text: str, full: bool) -> str:
        if full_region := _FULL.fullmatch(text):
            inner = self._filled(full_region[1], full=True)
            return text[: full_region.start(1)] + inner + text[full_region.end(1) :]
        text = _WHOLE.sub(lambda it: self._name(self.placeholders.ids[_number(it)]), text)
        text = _RELATION.sub(lambda it: self.placeholders.identifier_of(int(it[1])), text)
        comment = text.startswith(("--", "/*"))
        return _VARIABLE.sub(lambda it: self._value(it, text, comment, full), text)

    def _value(self, found: re.Match[str], text: str, comment: bool, full: bool) -> str:
        """A number or a boolean is a variable; any other text in this place is a piece of SQL."""
        it = self.placeholders.variables_asked[int(found[1])]
        alone = not re.match(r"[\w.\"]", text[found.end() :][:1]) and not re.search(
            r"[\w.\"]$", text[: found.start()]
        )
        plain = isinstance(it.value, (int, float)) and alone and not comment
        if not plain or not _is_name(it.name):
            self.frozen[it.name] = it.value
            return it.text
        self.variables[it.name] = it.value
        return f"${it.name}" if full else f"/*${it.name}*/ {it.text}"

    def _literal(self, text: str, full: bool) -> str:
        whole = re.fullmatch(r"'zvar(\d+)z'", text)
        it = self.placeholders.variables_asked[int(whole[1])] if whole else None
        if it and _is_name(it.name) and isinstance(it.value, str) and "'" not in it.value:
            self.variables[it.name] = it.value
            return f"${it.name}" if full else f"/*${it.name}*/ '{it.value}'"
        for found in _VARIABLE.finditer(text):
            variable = self.placeholders.variables_asked[int(found[1])]
            self.frozen[variable.name] = variable.value
        return self.placeholders.as_dbt(text)


def _named_ctes(text: str) -> Iterator[str]:
    """The word before each `as (`, or before the list of columns that stands there. It may also be
    one that names no CTE. (A pattern that begins with a name is tried at each word of a text.)"""
    for found in _AS.finditer(text):
        end = _behind_word(text, found.start())
        if text[end - 1 : end] == ")":
            opening = text.rfind("(", 0, end)
            end = _behind_word(text, opening if opening >= 0 else end - 1)
        end -= text[end - 1 : end] == '"'
        start = end
        while start and (text[start - 1].isalnum() or text[start - 1] == "_"):
            start -= 1
        if start < end and not text[start].isdigit():
            yield text[start:end]


def _behind_word(text: str, end: int) -> int:
    """Where the text before *end* ends without its last white space."""
    while end and text[end - 1].isspace():
        end -= 1
    return end


def _stretches(of: Layout, text: str) -> Iterator[tuple[slice, bool]]:
    """What holds a placeholder, in the order of the text: literals, comments and what is between
    these; and whether it is a literal."""
    special = sorted(
        [*((it, True) for it in of.literals), *((it, False) for it in of.comments)],
        key=lambda it: it[0].start,
    )
    starts, done = [it.start for it, _ in special], 0
    for found in _PLACEHOLDER.finditer(text):
        at = found.start()
        if at < done:
            continue  # in the stretch before
        index = bisect_right(starts, at)
        before = special[index - 1][0] if index else slice(0, 0)
        if at < before.stop:
            stretch = special[index - 1]
        else:
            end = starts[index] if index < len(starts) else len(text)
            stretch = slice(before.stop, end), False
        yield stretch
        done = stretch[0].stop


def _is_within(place: int, comments: Sequence[slice]) -> bool:
    return any(it.start <= place < it.stop for it in comments)


def _number(found: re.Match[str]) -> int:
    return int(next(it for it in found.groups() if it is not None))


def _is_name(name: str) -> bool:
    return name.isidentifier() and name.isascii() and name not in _OURS
