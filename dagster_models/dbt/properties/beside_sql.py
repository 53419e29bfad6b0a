"""All that a dbt project says beside SQL, as what our files say: the door to the modules that read
configuration, tests, seeds, sources, unit tests, variables and targets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dagster_models.dbt.checks.constraints import add_constraints
from dagster_models.dbt.checks.files import CheckFile
from dagster_models.dbt.checks.placing import Checks, OwnChecks, place_checks
from dagster_models.dbt.project.interfaces import Lookup, Rendering
from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.project.names import NodeNames
from dagster_models.dbt.project.remarks import Remark, Weight
from dagster_models.dbt.properties.configuration import columns_of, relation_keys, remark_unread
from dagster_models.dbt.properties.exposures import exposures_module
from dagster_models.dbt.properties.header import ImportedHeader
from dagster_models.dbt.properties.profiles import target_of
from dagster_models.dbt.properties.seeds import SeedFile, seed_file
from dagster_models.dbt.properties.sources import sources_of, with_checks
from dagster_models.dbt.properties.unit_tests import unit_tests_of
from dagster_models.dbt.properties.unsupported import unsupported_parts


@dataclass(frozen=True, slots=True)
class DbtLookup:
    """``Lookup`` by the names of an import. ``left_out``: models that have no SQL."""

    manifest: Manifest
    names: NodeNames
    left_out: Collection[str]

    def meant(self, unique_id: str) -> str:
        return self.names.same.get(unique_id, unique_id)

    def name(self, unique_id: str) -> str:
        meant = self.meant(unique_id)
        if meant in self.left_out or (
            meant not in self.names.places and meant not in self.manifest.sources
        ):
            return ""
        return str(self.names.key_of(meant))


@dataclass(slots=True)
class BesideSql:
    """``headers`` are those of models and snapshots, and ``seeds`` what `seeds:` says of each, by
    unique_id and without the names of relations. ``sources`` is the content of models/sources.yaml,
    ``unit_tests`` that of each file, ``exposures`` that of exposures.py. ``targets`` and
    ``partitions`` are parts of dagster_models.yaml. ``check_names``: the checks that a test has
    become, by its unique_id: (the model or source that declares it, the name)."""

    headers: dict[str, ImportedHeader] = field(default_factory=dict)
    seeds: dict[str, dict[str, Any]] = field(default_factory=dict)
    seed_files: dict[str, bytes] = field(default_factory=dict)
    checks: list[CheckFile] = field(default_factory=list)
    check_names: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    sources: Mapping[str, Any] = field(default_factory=dict)
    unit_tests: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    exposures: str = ""
    targets: Mapping[str, Any] = field(default_factory=dict)
    partitions: dict[str, Any] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Described:
    manifest: Manifest
    lookup: Lookup
    headers: Mapping[str, ImportedHeader]
    rendering: Rendering
    dialect: str
    checks: Checks


def beside_sql(
    manifest: Manifest,
    lookup: Lookup,
    headers: Mapping[str, ImportedHeader],
    rendering: Rendering,
    dialect: str,
    variables: Callable[[str], Collection[str]],
    profiles: Path | None = None,
    into: Path | None = None,
) -> BesideSql:
    """*headers*: those of models and snapshots, by unique_id, without their checks. *variables*:
    those that the SQL of a model asks for, by its unique_id. *profiles*: the profiles.yml, by
    default that in the project's folder. *into*: see ``target_of``."""
    checks = place_checks(manifest, lookup, rendering)
    reading = _Described(manifest, lookup, headers, rendering, dialect, checks)
    found = BesideSql(checks=checks.files, check_names=checks.names)
    for node in manifest.nodes.values():
        if node.kind in ("model", "snapshot"):
            _model(node, reading, found)
        elif node.kind == "seed":
            _seed(node, reading, found)
    database = manifest.target_database
    found.sources, of_sources = sources_of(manifest, lookup, checks, database)
    found.remarks += _of_other_databases(manifest, database)
    tests = unit_tests_of(manifest, lookup, variables)
    found.unit_tests = tests.tests
    found.exposures = exposures_module(manifest, lookup)
    found.targets, of_target = target_of(manifest, profiles, into)
    found.remarks += [*checks.remarks, *of_sources, *tests.remarks, *of_target]
    found.remarks += unsupported_parts(manifest, into)
    return found


def _of_other_databases(manifest: Manifest, database: str | None) -> Iterator[Remark]:
    """A remark on each model, seed and snapshot that dbt has elsewhere (`+database`)."""
    for node in manifest.nodes.values():
        own = node.relation.database
        if node.has_relation and own != database:
            what = f"dbt has it in the database {own}, and here it is in that of the target"
            yield Remark(node.unique_id, what, Weight.DIFFERS)


def _model(node: DbtNode, reading: _Described, found: BesideSql) -> None:
    manifest, checks = reading.manifest, reading.checks.declared
    found.remarks += add_constraints(node, checks, manifest, reading.lookup)
    header = reading.headers[node.unique_id]
    values = _with_checks(header.values, checks.get(node.unique_id))
    found.headers[node.unique_id] = replace(header, values=values)
    found.partitions |= header.partitions
    found.remarks += header.remarks


def _seed(node: DbtNode, reading: _Described, found: BesideSql) -> None:
    header = ImportedHeader(node)
    relation_keys(header, reading.manifest, reading.rendering, reading.dialect)
    if columns := columns_of(header):
        header.values["columns"] = columns
    remark_unread(header, ())
    try:
        file = seed_file(node, reading.manifest)
    except OSError as error:
        what = f"the seed {reading.manifest.seed_path(node)} cannot be read: {error.strerror}"
        file = SeedFile(b"", {}, (Remark(node.unique_id, what, Weight.DIFFERS),))
    else:
        found.seed_files[node.unique_id] = file.data
    if file.column_types:
        header.values["column_types"] = dict(file.column_types)
    own = reading.checks.declared.get(node.unique_id)
    found.seeds[node.unique_id] = _with_checks(header.values, own)
    found.remarks += [*header.remarks, *file.remarks]


def _with_checks(values: Mapping[str, Any], own: OwnChecks | None) -> dict[str, Any]:
    """With the checks, and without the columns that say nothing."""
    columns = {name: dict(it) for name, it in (values.get("columns") or {}).items()}
    if own is not None:
        with_checks(columns, own)
    columns = {name: it for name, it in columns.items() if it}
    return {
        **{key: value for key, value in values.items() if key != "columns"},
        **({"columns": columns} if columns else {}),
        **({"checks": own.whole} if own is not None and own.whole else {}),
    }
