"""target/manifest.json, as frozen values. dbt's resolution of names and configuration is taken from
here and never repeated: `generate_schema_name` and the like may be any code.

What one part alone asks for is in ``given``, the entry as it stands in the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_models.dbt.project.entry import BadDbtFile, DbtEntry, read_json
from dagster_models.dbt.project.project_files import DbtProject, read_projects

#: The manifest's schema -> the versions of dbt that write it.
SCHEMAS = {9: "1.5", 10: "1.6", 11: "1.7", 12: "1.8 to 1.12, and 2.0"}
#: The kinds that are steps here: SQL reads their relations.
STEPS = ("model", "seed", "snapshot")
#: The names by which a node's configuration may have the hooks of its build.
PRE_HOOK, POST_HOOK = ("pre-hook", "pre_hook"), ("post-hook", "post_hook")
#: A part of a relation's name with its quotes, in which any character may stand.
_QUOTED = re.compile(r'"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]')
_SCHEMA = re.compile(r"/manifest/v(\d+)\.json$")


@dataclass(frozen=True, slots=True)
class DbtRelation:
    """Where a node's rows are. ``written``: as dbt writes it in SQL, with its quotes; None for what
    has no relation (ephemeral models, most tests)."""

    database: str | None
    schema: str
    identifier: str
    written: str | None

    @property
    def folded(self) -> tuple[str, str]:
        """Schema and table, whatever the case, as ``core.model.Relation.folded``."""
        return self.schema.lower(), self.identifier.lower()

    @property
    def is_file(self) -> bool:
        """Whether it is no table: dbt-duckdb writes a path or a function for a source that has an
        `external_location`."""
        written = self.written or ""
        return written.startswith("'") or "(" in _QUOTED.sub("", written)


@dataclass(frozen=True, slots=True)
class DbtColumn:
    name: str
    description: str
    type: str | None
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GenericTest:
    """Which test a test node is, e.g. ``unique`` of no namespace, or dbt_utils' ``equality``."""

    name: str
    namespace: str | None
    arguments: Mapping[str, Any]  #: with ``model`` and ``column_name``, as in the YAML
    column: str | None
    of: str | None  #: unique_id of the model, seed, snapshot or source that has the test


#: Why a node that ``is_empty`` is left out.
EMPTY_FILE = "its file is empty, so dbt does not run it, either"


@dataclass(frozen=True, slots=True)
class DbtNode:
    """A model, seed, snapshot, test, analysis or operation (a hook of on-run-start or -end)."""

    unique_id: str
    kind: str  #: dbt's resource_type
    package: str
    name: str
    path: str  #: relative to its package's folder, e.g. ``models/marts/orders.sql``
    relation: DbtRelation
    config: Mapping[str, Any]
    columns: tuple[DbtColumn, ...]
    description: str
    meta: Mapping[str, Any]
    tags: tuple[str, ...]
    language: str  #: ``sql`` or ``python``
    raw_code: str
    compiled_code: str | None
    depends_on: tuple[str, ...]  #: unique_ids of nodes and sources
    depends_on_macros: tuple[str, ...]
    test: GenericTest | None  #: None also for a singular test
    version: str | None
    latest_version: str | None
    given: Mapping[str, Any]

    @property
    def materialized(self) -> str:
        return str(self.config.get("materialized") or "")

    @property
    def is_empty(self) -> bool:
        """Whether it has no text at all: no command of dbt selects it."""
        return not self.raw_code.strip()

    @property
    def has_relation(self) -> bool:
        """Whether it is a step with a relation in the warehouse: an ephemeral model has none."""
        return self.kind in STEPS and self.relation.written is not None


@dataclass(frozen=True, slots=True)
class DbtSource:
    unique_id: str
    package: str
    source_name: str
    name: str
    path: str
    relation: DbtRelation
    config: Mapping[str, Any]
    columns: tuple[DbtColumn, ...]
    description: str
    source_description: str
    meta: Mapping[str, Any]
    tags: tuple[str, ...]
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DbtMacro:
    """A macro, generic test or materialization. A generic test's name begins with ``test_``."""

    unique_id: str
    package: str
    name: str
    path: str
    text: str
    depends_on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """``projects``: the dbt_project.yml of each package; ``root`` is the project's folder. What
    one part alone reads is given as it stands: exposures, unit tests, docs and so on, by
    unique_id."""

    root: Path
    project_name: str
    adapter_type: str
    dbt_version: str
    nodes: Mapping[str, DbtNode]
    sources: Mapping[str, DbtSource]
    macros: Mapping[str, DbtMacro]
    exposures: Mapping[str, DbtEntry]
    unit_tests: Mapping[str, DbtEntry]
    docs: Mapping[str, DbtEntry]
    groups: Mapping[str, DbtEntry]
    metrics: Mapping[str, DbtEntry]
    semantic_models: Mapping[str, DbtEntry]
    saved_queries: Mapping[str, DbtEntry]
    functions: Mapping[str, DbtEntry]
    disabled: Mapping[str, tuple[Mapping[str, Any], ...]]
    projects: Mapping[str, DbtProject]
    given: Mapping[str, Any]

    @property
    def target(self) -> Path:
        """The folder in which dbt writes."""
        own = self.projects.get(self.project_name)
        return self.root / (own.target_path if own else "target")

    @property
    def target_database(self) -> str | None:
        """The database of dbt's target: that of most nodes, of those that name none if there are
        such."""
        nodes = [it for it in self.nodes.values() if it.relation.database is not None]
        plain = [it for it in nodes if not it.config.get("database")]
        found = Counter(it.relation.database for it in plain or nodes)
        return found.most_common(1)[0][0] if found else None

    def folder_of(self, package: str) -> Path:
        """The folder of a package's files."""
        known = self.projects.get(package)
        return known.folder if known else self.root

    def seed_path(self, node: DbtNode) -> Path:
        """The file of a seed."""
        path, root = self.folder_of(node.package) / node.path, node.given.get("root_path")
        return path if path.is_file() or not root else Path(root) / node.path


def read_manifest(root: Path, file: Path | None = None) -> Manifest:
    """Read the manifest of the dbt project in *root*, or another *file*.

    Raises:
        BadDbtFile: it is not there, is of a version that is not known, or not as expected.
    """
    projects = read_projects(root)
    own = projects[next(iter(projects))]
    path = file or root / own.target_path / "manifest.json"
    if not path.is_file():
        raise BadDbtFile(
            f"{path} is missing. Run `dbt parse` in {root}, which needs no database, or name the"
            " file with --manifest"
        )
    entry = read_json(path)
    metadata = entry.entry("metadata")
    _check_schema(metadata)
    return Manifest(
        root=root,
        project_name=metadata.text("project_name", own.name),
        adapter_type=metadata.text("adapter_type"),
        dbt_version=metadata.text("dbt_version", ""),
        nodes={name: _node(it) for name, it in entry.entries("nodes")},
        sources={name: _source(it) for name, it in entry.entries("sources")},
        macros={name: _macro(it) for name, it in entry.entries("macros")},
        exposures=dict(entry.entries("exposures")),
        unit_tests=dict(entry.entries("unit_tests")),
        docs=dict(entry.entries("docs")),
        groups=dict(entry.entries("groups")),
        metrics=dict(entry.entries("metrics")),
        semantic_models=dict(entry.entries("semantic_models")),
        saved_queries=dict(entry.entries("saved_queries")),
        functions=dict(entry.entries("functions")),
        disabled={
            name: entry.entry("disabled").list(name) for name in entry.entry("disabled").values
        },
        projects=projects,
        given=entry.values,
    )


def _check_schema(metadata: DbtEntry) -> None:
    found = _SCHEMA.search(metadata.text("dbt_schema_version"))
    version = int(found[1]) if found else 0
    if version not in SCHEMAS:
        known = "; ".join(f"v{number} of dbt {it}" for number, it in SCHEMAS.items())
        raise BadDbtFile(
            f"{metadata.file}: metadata.dbt_schema_version is"
            f" {metadata.text('dbt_schema_version')!r}; these are known: {known}. Run `dbt parse`"
            " with one of these versions"
        )


def _node(it: DbtEntry) -> DbtNode:
    depends = it.entry("depends_on")
    return DbtNode(
        unique_id=it.text("unique_id"),
        kind=it.text("resource_type"),
        package=it.text("package_name"),
        name=it.text("name"),
        path=it.text("original_file_path"),
        relation=_relation(it, it.text("alias", it.text("name"))),
        config=it.mapping("config"),
        columns=_columns(it),
        description=it.text("description", ""),
        meta=it.mapping("meta"),
        tags=it.texts("tags"),
        language=it.text("language", "sql"),
        raw_code=it.text("raw_code", ""),
        compiled_code=it.text_or_none("compiled_code"),
        depends_on=depends.texts("nodes"),
        depends_on_macros=depends.texts("macros"),
        test=_test(it),
        version=_plain(it.values.get("version")),
        latest_version=_plain(it.values.get("latest_version")),
        given=it.values,
    )


def _source(it: DbtEntry) -> DbtSource:
    return DbtSource(
        unique_id=it.text("unique_id"),
        package=it.text("package_name"),
        source_name=it.text("source_name"),
        name=it.text("name"),
        path=it.text("original_file_path"),
        relation=_relation(it, it.text("identifier", it.text("name"))),
        config=it.mapping("config"),
        columns=_columns(it),
        description=it.text("description", ""),
        source_description=it.text("source_description", ""),
        meta=it.mapping("meta"),
        tags=it.texts("tags"),
        given=it.values,
    )


def _macro(it: DbtEntry) -> DbtMacro:
    return DbtMacro(
        unique_id=it.text("unique_id"),
        package=it.text("package_name"),
        name=it.text("name"),
        path=it.text("original_file_path"),
        text=it.text("macro_sql"),
        depends_on=it.entry("depends_on").texts("macros"),
    )


def _relation(it: DbtEntry, identifier: str) -> DbtRelation:
    return DbtRelation(
        database=it.text_or_none("database"),
        schema=it.text("schema", ""),
        identifier=identifier,
        written=it.text_or_none("relation_name"),
    )


def _columns(it: DbtEntry) -> tuple[DbtColumn, ...]:
    return tuple(
        DbtColumn(
            name=column.text("name", name),
            description=column.text("description", ""),
            type=column.text_or_none("data_type"),
            given=column.values,
        )
        for name, column in it.entries("columns")
    )


def _test(it: DbtEntry) -> GenericTest | None:
    about = it.entry("test_metadata")
    if not about.values:
        return None
    return GenericTest(
        name=about.text("name"),
        namespace=about.text_or_none("namespace"),
        arguments=about.mapping("kwargs"),
        column=it.text_or_none("column_name"),
        of=it.text_or_none("attached_node"),
    )


def _plain(value: Any) -> str | None:
    """A version, which YAML may read as a number."""
    return None if value is None else str(value)
