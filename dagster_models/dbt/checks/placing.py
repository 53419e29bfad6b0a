"""The tests of a dbt project -> checks: where each of them stands, and what it says.

A check runs in the build of its model, and what it reads must be there by then. Two models whose
tests read each other would wait for each other: then a test is one of the later model.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import PurePosixPath
from typing import Any

from dagster_models.dbt.checks.entries import (
    Entry,
    TestPackages,
    column_of,
    entry_of,
    test_packages,
)
from dagster_models.dbt.checks.files import CheckFile, check_files, name_of_test
from dagster_models.dbt.project.interfaces import Lookup, NotRendered, Rendering
from dagster_models.dbt.project.manifest import (
    EMPTY_FILE,
    STEPS,
    DbtNode,
    DbtSource,
    GenericTest,
    Manifest,
)
from dagster_models.dbt.project.remarks import Remark, Weight
from dagster_models.project.checks.aliases import ALIASES

#: The kinds that look at the new rows of an incremental model alone, unless the check has a scope.
_OF_ROWS = (
    *("not_null", "accepted_values", "rejected_values", "range", "length", "regex"),
    *("relationships", "expression"),
)


@dataclass(slots=True)
class OwnChecks:
    """The checks of one model, seed or source: those of each column, and those of the whole."""

    columns: dict[str, list[Any]] = field(default_factory=dict)
    whole: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Checks:
    """``declared``: by unique_id. ``names``: the checks that a test has become, by its
    unique_id: (the model or source that declares it, the name)."""

    declared: dict[str, OwnChecks] = field(default_factory=dict)
    names: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    files: list[CheckFile] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Reads:
    """What each node reads, with what the checks placed so far read. ``inside``: what no relation
    has the rows of, an ephemeral model or a source that is a file -> what it reads, sources too."""

    edges: dict[str, set[str]]
    built: Set[str]
    inside: Mapping[str, frozenset[str]]
    _above: dict[str, set[str]] = field(default_factory=dict)

    def add(self, node: str, read: set[str]) -> None:
        """A check of *node* reads these, too."""
        if fresh := (read & self.edges.keys()) - self.edges[node] - {node}:
            self.edges[node] |= fresh
            self._above.clear()

    def above(self, node: str) -> Set[str]:
        """All that is built before it."""
        if (known := self._above.get(node)) is not None:
            return known
        found = self._above[node] = set[str]()
        pending = [node]
        while pending:
            fresh = self.edges.get(pending.pop(), set()) - found
            found |= fresh
            pending += fresh
        return found

    def of_tables(self, read: Collection[str]) -> set[str]:
        """The relations that are read, with what an ephemeral model reads in its place."""
        found: set[str] = set()
        for it in read:
            found |= self.of_tables(self.inside[it]) if it in self.inside else {it}
        return found

    def closes_circle(self, node: str, read: set[str]) -> bool:
        return any(node in self.above(it) for it in read - {node})


def place_checks(manifest: Manifest, names: Lookup, rendering: Rendering) -> Checks:
    """All tests of a manifest but its unit tests. What has no place is remarked."""
    reads, packages = _reads(manifest, names), test_packages(manifest)
    placing = _Placing(manifest, names, rendering, reads, packages)
    tests = [node for node in manifest.nodes.values() if node.kind == "test"]
    for node in sorted(tests, key=lambda it: (len(set(it.depends_on)), it.unique_id)):
        placing.place(node)
    _name_apart(placing.checks, placing.nodes)
    return placing.checks


def _reads(manifest: Manifest, names: Lookup) -> _Reads:
    built = {k: n for k, n in manifest.nodes.items() if n.kind in STEPS and names.name(k)}
    files = {k for k, it in manifest.sources.items() if it.relation.is_file}
    known = built.keys() | files
    edges = {k: {names.meant(it) for it in n.depends_on} & known for k, n in built.items()}
    ephemeral = {k: n for k, n in built.items() if n.materialized == "ephemeral"}
    inside = {k: frozenset(map(names.meant, n.depends_on)) for k, n in ephemeral.items()}
    inside |= dict.fromkeys(files, frozenset())
    return _Reads(edges, built.keys() - inside.keys(), inside)


@dataclass(slots=True)
class _Placing:
    manifest: Manifest
    names: Lookup
    rendering: Rendering
    reads: _Reads
    packages: TestPackages
    checks: Checks = field(default_factory=Checks)
    nodes: dict[int, DbtNode] = field(default_factory=dict)  #: the test of each entry, by id()
    taken: set[str] = field(default_factory=set)  #: names of queries, in lower case

    def place(self, node: DbtNode) -> None:
        read = {it for it in map(self.names.meant, node.depends_on) if self._is_imported(it)}
        lost = [it for it in node.depends_on if not self._is_imported(self.names.meant(it))]
        if lost or not read:
            why = EMPTY_FILE if node.is_empty else "it reads no table"
            self._leave_out(node, f"it reads {lost[0]}, which is not imported" if lost else why)
            return
        read = self.reads.of_tables(read)
        owner = self._owner(node, read)
        at = self._runs_with(owner, read)
        if at is None:
            why = "no model is built after all that it reads"
            is_file = owner in self.manifest.sources and self._is_inside(owner)
            self._leave_out(node, "no model reads the file that it reads" if is_file else why)
            return
        may_declare = (at == owner or self._moves(owner, read, at)) and not self._is_inside(owner)
        found = entry_of(node, owner, self.names.name, self.packages) if may_declare else None
        if found is None and (sql := self._sql(node)) is not None:
            files = [self._apart(it) for it in check_files(node, self.names.name(at), sql)]
            self.checks.files += files
            self.checks.names[node.unique_id] = tuple((at, it.name) for it in files)
        elif found is None and may_declare:
            found = self._nearly(node, owner)
        if found is not None:
            self._declare(node, owner, *found)
        if at in self.reads.edges:
            self.reads.add(at, read)

    def _apart(self, check: CheckFile) -> CheckFile:
        """With a path of its own: tests of dbt may have one name but for their hashes."""
        name = _free(check.name, self.taken)
        self.taken.add(name.lower())
        path = PurePosixPath(check.path).with_stem(name).as_posix()
        return replace(check, path=path)

    def _is_imported(self, unique_id: str) -> bool:
        return bool(self.names.name(unique_id)) or unique_id in self.reads.inside

    def _owner(self, node: DbtNode, read: set[str]) -> str:
        of = self.names.meant(node.test.of) if node.test and node.test.of else ""
        if of in read or self._is_inside(of):
            return of
        if node.test is not None:  # of a source, which dbt attaches to nothing
            return self._source_of(node, node.test)
        return self._latest(read) or self.names.meant(node.depends_on[0])

    def _source_of(self, node: DbtNode, test: GenericTest) -> str:
        """The source that has the test, by dbt's `model` argument: another source that the test
        reads stands before it in what the test depends on."""
        written = str(test.arguments.get("model"))
        given = ((it, self.manifest.sources.get(it)) for it in node.depends_on)
        named = (k for k, it in given if it and _source_call(it) in written)
        return self.names.meant(next(named, node.depends_on[-1]))

    def _latest(self, read: set[str]) -> str | None:
        """The one of these that is built after the most of the others."""
        models = sorted(read & self.reads.edges.keys())
        if len(models) == 1:  # of most tests
            return models[0]
        return max(models, key=lambda it: len(self.reads.above(it) & read), default=None)

    def _is_inside(self, owner: str) -> bool:
        """Whether it is ephemeral or a file, so that no relation has the check."""
        return owner in self.reads.inside

    def _runs_with(self, owner: str, read: set[str]) -> str | None:
        """The model or source whose check it is to be; None if there is none."""
        for choice in self._choices(owner, read):
            if self._is_inside(choice) or self.reads.closes_circle(choice, read):
                continue
            if choice in self.reads.edges or not read & self.reads.built:
                return choice
        return None

    def _choices(self, owner: str, read: set[str]) -> Iterator[str]:
        yield owner
        yield from filter(None, [self._latest(read)])
        yield from sorted(read)
        if self._is_inside(owner):
            readers = (it for it in self.reads.built if owner in self.reads.above(it))
            yield from sorted(readers, key=lambda it: (len(self.reads.above(it)), it))

    def _moves(self, owner: str, read: set[str], at: str) -> bool:
        """Whether a check in the header of *owner* runs with *at* by our own rule."""
        return owner in self.reads.above(at) and at == self._latest(read | {owner})

    def _declare(self, node: DbtNode, owner: str, word: str, entry: Entry) -> None:
        of = self.manifest.nodes.get(owner)
        kind = ALIASES[word].kind if word in ALIASES else word
        if of is not None and of.materialized == "incremental" and kind in _OF_ROWS:
            entry = {**entry, "scope": "table"}  # dbt looks at all rows
        if node.description.strip():
            entry["description"] = node.description.strip()
        if not _is_generated(node) or node.config.get("store_failures"):
            entry = {"name": name_of_test(node), **entry}
        item = {word: entry}
        self.nodes[id(entry)] = node
        declared = self.checks.declared.setdefault(owner, OwnChecks())
        column = column_of(node.test) if node.test else ""
        place = declared.columns.setdefault(column, []) if column else declared.whole
        place.append(item)

    def _sql(self, node: DbtNode) -> str | None:
        sql = self.rendering.of_test(node.unique_id)
        if isinstance(sql, NotRendered):
            self._leave_out(node, sql.reason)
            return None
        return sql

    def _nearly(self, node: DbtNode, owner: str) -> tuple[str, Entry] | None:
        """A check that differs from dbt's in a rare case, where its query cannot be had."""
        found = entry_of(node, owner, self.names.name, self.packages, nearly=True)
        if found is not None:
            what = f"the test {node.name} is `{found[0]}`, which differs: {ALIASES[found[0]].note}"
            self.checks.remarks[-1] = Remark(node.unique_id, what, Weight.DIFFERS)
        return found

    def _leave_out(self, node: DbtNode, why: str) -> None:
        self.checks.remarks.append(Remark(node.unique_id, f"the test {node.name}: {why}"))


def _source_call(it: DbtSource) -> str:
    """As dbt writes it into `{{ get_where_subquery(source('raw', 'orders')) }}`."""
    return f"source('{it.source_name}', '{it.name}')"


def _is_generated(node: DbtNode) -> bool:
    """Whether dbt has made up the name of a test."""
    test = node.test
    assert test is not None
    prefix = f"{test.namespace}_" if test.namespace else ""
    return node.name.startswith((f"{prefix}{test.name}_", f"{prefix}source_{test.name}_"))


def _name_apart(checks: Checks, nodes: Mapping[int, DbtNode]) -> None:
    """Give those of the same default name, also as a query of the owner, dbt's own, and write
    `unique` for `{unique: {}}`."""
    of_queries: dict[str, set[str]] = defaultdict(set)
    for at, of_query in chain.from_iterable(checks.names.values()):
        of_queries[at].add(of_query.lower())
    for owner, declared in checks.declared.items():
        entries = list(_entries(declared))
        default = Counter(_default_name(*it) for it in entries if "name" not in it[2])
        default.update(of_queries[owner])
        for column, word, entry in entries:
            if "name" not in entry and default[_default_name(column, word, entry)] > 1:
                entry["name"] = name_of_test(nodes[id(entry)])
        taken = of_queries[owner]
        for _, _, entry in entries:
            if name := entry.get("name"):  # two of dbt's may be one with fewer letters
                entry["name"] = _free(name, taken)
                taken.add(entry["name"].lower())
        for column, word, entry in entries:
            name = entry.get("name") or _default_name(column, word, entry)
            checks.names[nodes[id(entry)].unique_id] = ((owner, name),)
        for items in (*declared.columns.values(), declared.whole):
            items[:] = [next(iter(it)) if not next(iter(it.values())) else it for it in items]


def _free(name: str, taken: Set[str]) -> str:
    """The name, or with the first number that makes it another one than all of these."""
    names = chain([name], (f"{name}_{at}" for at in count(2)))
    return next(it for it in names if it.lower() not in taken)


def _entries(declared: OwnChecks) -> Iterator[tuple[str, str, Entry]]:
    for column, items in (*declared.columns.items(), ("", declared.whole)):
        for item in items:
            ((word, entry),) = item.items()
            yield column, word, entry


def _default_name(column: str, word: str, entry: Entry) -> str:
    named = entry.get("columns") or entry.get("combination_of_columns") or entry.get("column_list")
    parts = named if named and not column else filter(None, [column])
    kind = ALIASES[word].kind if word in ALIASES else word
    return re.sub(r"\W", "_", "_".join((kind, *map(str, parts)))).lower()
