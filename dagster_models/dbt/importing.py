"""A dbt project -> the files of a project of ours, and a report. Nothing is written here."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from dagster_models.dbt.kept import KeptTemplates
from dagster_models.dbt.model_files import disabled_files, model_file, stub
from dagster_models.dbt.project.catalog import read_catalog
from dagster_models.dbt.project.databases import schemas_apart
from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.project.names import NodeNames, renamed
from dagster_models.dbt.project.remarks import Remark, Weight
from dagster_models.dbt.properties.beside_sql import BesideSql, DbtLookup, beside_sql
from dagster_models.dbt.properties.configuration import header_of
from dagster_models.dbt.properties.header import ImportedHeader
from dagster_models.dbt.report import ImportReport, ReportedModel
from dagster_models.dbt.text.model_text import ModelText, Way, model_text
from dagster_models.dbt.text.part_texts import PartTexts
from dagster_models.dbt.text.placeholders import Placeholders
from dagster_models.dbt.text.python_text import MODULE, MODULE_TEXT, uses_session
from dagster_models.dbt.text.renderer import Renderer
from dagster_models.dbt.text.target import target_values
from dagster_models.dbt.yaml_text import with_header, yaml_text
from dagster_models.project.first_project import DEFINITIONS, definitions_text
from dagster_models.project.settings import PROJECT_FILE
from dagster_models.util.plain_names import plain_name

#: dbt's adapters whose SQL has another name here.
_DIALECTS = {
    "sqlserver": "tsql",
    "synapse": "tsql",
    "materialize": "postgres",
    "greenplum": "postgres",
    "glue": "spark",
    "fabricspark": "spark",
}
_EXPOSURES = "exposures"
#: The tag that Dagster shows of a model with partitions.
_PARTITIONS = "dagster_models/partitions"
_SOURCES = "models/sources.yaml"
_OTHER_SESSION = (
    "its session is a DuckDB in memory, which has no tables but those of dbt.ref and dbt.source"
)
_OTHER_DATABASE = "a step of another database has its name, so it is in the schema"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """``target``: the name of dbt's target; ``target_values``: what `target.` is asked for beside
    that; ``variables``: as dbt's ``--vars``; ``profiles``: the profiles.yml, if it is not in the
    project's folder; ``keep_jinja``: a selection of the models that stay templates; ``into``: the
    folder of our project, from which relative paths of the profile are to lead to dbt's files."""

    target: str = "dev"
    target_values: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    profiles: Path | None = None
    keep_jinja: str = ""
    into: Path | None = None


@dataclass
class Imported:
    """``files``: paths below the folder of our project. ``checks``: those that a test has become,
    by its unique_id: (the model or source that declares it, the name)."""

    files: dict[str, str | bytes]
    report: ImportReport
    checks: Mapping[str, tuple[tuple[str, str], ...]]

    def stubbed(self) -> dict[str, str | bytes]:
        """The files, with something to read in place of each model that is disabled."""
        return self.files | {it.path: stub(it.path) for it in self.report.models if it.disabled}


#: What keeps files from being loaded: their paths and texts -> path -> the error.
Errors: TypeAlias = Callable[[Mapping[str, str | bytes]], Mapping[str, str]]


def import_project(
    manifest: Manifest, options: ImportOptions, errors_in: Errors | None = None
) -> Imported:
    """Import all of a dbt project. What would not load by *errors_in* is disabled or left out, and
    is in the report with its error."""
    names = NodeNames(manifest)
    kept = _kept(manifest, options, names)
    if kept.texts:
        names = NodeNames(manifest, kept.texts.keys())
    texts = _texts(manifest, options, names, kept)
    imported = _Importing(manifest, options, names, texts, {}).all()
    if errors_in is None:
        return imported
    errors = errors_in(imported.stubbed())
    of_steps = {key: errors[it.path] for key, it in names.places.items() if it.path in errors}
    if of_steps:  # once more, as nothing else may rest on them
        imported = _Importing(manifest, options, names, texts, of_steps).all()
        errors = errors_in(imported.stubbed())
    disabled = {it.path for it in imported.report.models if it.disabled}
    errors = {path: why for path, why in errors.items() if path not in disabled}
    for path in errors:
        if path.startswith("checks/"):
            del imported.files[path]
    return replace(imported, report=imported.report.with_errors(errors))


@dataclass(frozen=True, slots=True)
class _Texts:
    """The text and the header of each model and snapshot, by its unique_id, and what renders the
    other texts. ``written``: the path of a model's file -> its whole header and the file, as the
    second import of a project changes few of them."""

    of: Mapping[str, ModelText]
    headers: Mapping[str, ImportedHeader]
    others: PartTexts
    kept: KeptTemplates
    remarks: tuple[Remark, ...] = ()
    written: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict)


def _kept(manifest: Manifest, options: ImportOptions, names: NodeNames) -> KeptTemplates:
    """The models that are to stay templates."""
    if not options.keep_jinja:
        return KeptTemplates()
    from dagster_models.dbt.kept_templates import kept_templates

    return kept_templates(
        manifest,
        names,
        _dialect(manifest),
        target_values(manifest, options.target, options.target_values),
        own_target=options.target_values,
        variables=options.variables,
        selection=options.keep_jinja,
    )


def _texts(
    manifest: Manifest, options: ImportOptions, names: NodeNames, kept: KeptTemplates
) -> _Texts:
    placeholders = Placeholders(manifest, names, _dialect(manifest))
    target = target_values(manifest, options.target, options.target_values)
    catalog, unread = read_catalog(manifest.target)
    renderer = Renderer(manifest, placeholders, target, options.variables, catalog)
    nodes = [it for it in manifest.nodes.values() if it.kind in ("model", "snapshot")]
    texts = {it.unique_id: kept.texts.get(it.unique_id) or model_text(it, renderer) for it in nodes}
    for name, why in kept.refused.items():
        texts[name] = replace(texts[name], why="; ".join(filter(None, (why, texts[name].why))))
    others, dialect = PartTexts(renderer), _dialect(manifest)
    headers = {it.unique_id: header_of(it, manifest, others, dialect) for it in nodes}
    remarks = (Remark("", unread),) if unread else ()
    return _Texts(texts, headers, others, kept, remarks)


def _dialect(manifest: Manifest) -> str:
    return _DIALECTS.get(manifest.adapter_type, manifest.adapter_type)


class _Importing:
    """``unloadable``: the steps that would not load -> why."""

    def __init__(
        self,
        manifest: Manifest,
        options: ImportOptions,
        names: NodeNames,
        texts: _Texts,
        unloadable: Mapping[str, str],
    ) -> None:
        self.manifest, self.names, self.texts = manifest, names, texts.of
        self.written = texts.written
        self.dialect = _dialect(manifest)
        rendering, self.kept, self.own_target = texts.others, texts.kept, options.target_values
        self.files: dict[str, str | bytes] = dict(texts.kept.files)
        self.models: list[ReportedModel] = []
        self.variables: dict[str, Any] = {}
        self.schemas = self._folder_schemas()
        self.apart = schemas_apart(manifest)
        self.nodes = [it for it in manifest.nodes.values() if it.kind in ("model", "snapshot")]
        self.refused = {
            name: "; ".join(it.refused) for name, it in texts.headers.items() if it.refused
        } | dict(unloadable)
        lost = {name for name, text in self.texts.items() if text.way is Way.NONE}
        lost |= {name for name, it in manifest.sources.items() if it.relation.is_file}
        self.beside: BesideSql = beside_sql(
            manifest,
            DbtLookup(manifest, self.names, lost | self.refused.keys()),
            texts.headers,
            rendering,
            self.dialect,
            lambda name: self.texts[name].variables.keys() if name in self.texts else (),
            options.profiles,
            options.into,
        )
        self.remarks: dict[str, list[Remark]] = defaultdict(list)
        left_out = unloadable.keys() & self.beside.seed_files.keys()
        of_seeds = [Remark(it, f"the seed is not written: {unloadable[it]}") for it in left_out]
        of_databases = [
            Remark(it, f"{_OTHER_DATABASE} `{schema}`", Weight.DIFFERS)
            for it, schema in self.apart.items()
        ]
        of_python = [
            Remark(it.unique_id, _OTHER_SESSION, Weight.DIFFERS)
            for it in self.nodes
            if it.language == "python" and it.unique_id not in lost and uses_session(it)
        ]
        named = (*renamed(manifest, self.names), *of_databases, *of_python)
        for remark in (*texts.remarks, *self.beside.remarks, *of_seeds, *named):
            self.remarks[remark.of].append(remark)
        for seed in left_out:
            del self.beside.seed_files[seed]

    def all(self) -> Imported:
        for node in self.nodes:
            self._model(node)
        for unique_id, data in self.beside.seed_files.items():
            self.files[self.names.places[unique_id].path] = data
        for check in self.beside.checks:
            self.files[check.path] = with_header("@check", check.header, f"{check.sql}\n")
        for path, tests in self.beside.unit_tests.items():
            self.files[path] = yaml_text(tests)
        if self.beside.sources:
            self.files[_SOURCES] = yaml_text(self.beside.sources)
        if not any(path.startswith("models/") for path in self.files):  # a project has that folder
            self.files[_SOURCES] = yaml_text({"sources": []})
        self._definitions()
        self.files[PROJECT_FILE] = yaml_text(self._project())
        return Imported(self.files, self._report(), self.beside.check_names)

    def _report(self) -> ImportReport:
        of_models = self.texts.keys()
        return ImportReport(
            self.manifest.project_name,
            self.manifest.adapter_type,
            self.manifest.dbt_version,
            tuple(self.models),
            tuple(
                (it.of, it.weight.value, it.what)
                for of, remarks in self.remarks.items()
                if of not in of_models
                for it in remarks
            ),
        )

    def _model(self, node: DbtNode) -> None:
        path, text = self.names.places[node.unique_id].path, self.texts[node.unique_id]
        why = "; ".join(filter(None, (text.why, self.refused.get(node.unique_id))))
        disabled = text.way is Way.NONE or node.unique_id in self.refused
        if disabled:
            self.files |= disabled_files(node, path, why)
        else:
            self.files[path] = self._file(path, self._header(node, text), text.sql)
            if path.endswith(".py"):
                self.files[MODULE] = MODULE_TEXT
        remarks = tuple((it.weight.value, it.what) for it in self.remarks[node.unique_id])
        self.models.append(
            ReportedModel(node.unique_id, path, text.way, why, text.frozen, remarks, disabled)
        )

    def _file(self, path: str, header: dict[str, Any], sql: str) -> str:
        if (known := self.written.get(path)) is not None and known[0] == header:
            return known[1]
        file = model_file(path, header, sql)
        self.written[path] = header, file
        return file

    def _header(self, node: DbtNode, text: ModelText) -> dict[str, Any]:
        values = dict(self.beside.headers[node.unique_id].values)
        header = {"materialized": values.pop("materialized"), **self._relation(node)}
        if text.since:
            header["since"] = text.since
        if text.reads_itself:
            header["upstream"] = str(self.names.key_of(node.unique_id))
        if own := self._own_variables(text.variables):
            header["vars"] = own
        return {**header, **values}

    def _relation(self, node: DbtNode) -> dict[str, Any]:
        """The names in the warehouse, where they are not those of the folder and the file."""
        if node.relation.written is None:
            return {}
        place = self.names.places[node.unique_id]
        found: dict[str, Any] = {}
        kind, folder = _kind(place.path), place.key.schema
        shared = folder if folder == "seeds" else self.schemas.get((kind, folder), folder)
        schema = self.apart.get(node.unique_id, node.relation.schema)
        if schema != shared:
            found["schema"] = schema
        if node.relation.identifier != place.key.name:
            found["alias"] = node.relation.identifier
        return found

    def _own_variables(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The variables whose value is another one in the project. The first value that a model has
        is the project's."""
        own = {}
        for name, value in asked.items():
            if self.variables.setdefault(name, value) != value:
                own[name] = value
        return own

    def _folder_schemas(self) -> dict[tuple[str, str], str]:
        """(models or seeds, first folder) -> the schema of most of its relations."""
        found: dict[tuple[str, str], Counter[str]] = {}
        for unique_id, place in self.names.places.items():
            node = self.manifest.nodes[unique_id]
            if node.has_relation:
                key = (_kind(place.path), place.key.schema)
                found.setdefault(key, Counter())[node.relation.schema] += 1
        most = {key: schemas.most_common(1)[0][0] for key, schemas in found.items()}
        root = self.names.root_schema  # the project's `schema:` says it, also if others are as many
        return {**most, ("models", root): root}

    def _definitions(self) -> None:
        """definitions.py, with the exposures of the project as assets."""
        if self.beside.exposures:
            self.files[f"{_EXPOSURES}.py"] = self.beside.exposures
        self.files[DEFINITIONS] = definitions_text(_EXPOSURES if self.beside.exposures else "")

    def _project(self) -> dict[str, Any]:
        name = plain_name(self.manifest.project_name)
        found: dict[str, Any] = {"name": name, "dialect": self.dialect}
        if self.names.root_schema != "main":
            found["schema"] = self.names.root_schema
        targets = dict(self.beside.targets)
        found |= {"target": next(iter(targets)), "targets": targets}
        if self.variables:
            found["vars"] = dict(sorted(self.variables.items()))
        if self.beside.partitions:
            found["partitions"] = self.beside.partitions
        for kind in ("models", "seeds"):
            if shared := self._shared(kind):
                found[kind] = shared
        if self.kept.texts:
            found["jinja"] = self._jinja()
        self._settings_of_seeds(found)
        found["jobs"] = self._jobs(name)
        return found

    def _jinja(self) -> Any:
        dispatch = [
            {"macro_namespace": name, "search_order": [*order]}
            for name, order in self.kept.dispatch.items()
        ]
        said = {"target": dict(self.own_target), "dispatch": dispatch}
        return {key: value for key, value in said.items() if value} or True

    def _jobs(self, name: str) -> dict[str, Any]:
        """A job of all, or one for each set of partitions, as a run has those of one set."""
        disabled = {it.unique_id for it in self.models if it.disabled}
        sets: dict[str, str] = {}  # of what is built -> its set of partitions, or ""
        for unique_id in self.names.places:
            header = self.beside.headers.get(unique_id)
            if header is None or (
                unique_id not in disabled and header.values["materialized"] != "ephemeral"
            ):
                partitions = header.values.get("partitions") if header else None
                sets[unique_id] = partitions["of"] if partitions else ""
        tags = {of: f'tag:"{_PARTITIONS}"="{of}"' for of in sorted(set(sets.values())) if of}
        if len(tags) < 2:
            return {name: {"selection": "*"}}
        jobs = {f"{name}_{of}": {"selection": tag} for of, tag in tags.items()}
        others = {name: {"selection": f"not ({' or '.join(tags.values())})"}}
        return {**others, **jobs} if "" in sets.values() else jobs

    def _shared(self, kind: str) -> dict[str, Any]:
        """The schemas of folders whose name is another one."""
        return {
            folder: {"schema": schema}
            for (of, folder), schema in sorted(self.schemas.items())
            if of == kind and folder not in (schema, self.names.root_schema, "seeds")
        }

    def _settings_of_seeds(self, found: dict[str, Any]) -> None:
        for unique_id, settings in self.beside.seeds.items():
            node, place = self.manifest.nodes[unique_id], self.names.places[unique_id]
            values = {**self._relation(node), **settings}
            if not values or unique_id not in self.beside.seed_files:
                continue
            of: dict[str, Any] = found.setdefault("seeds", {})
            for folder in place.path.split("/")[1:-1]:
                of = of.setdefault(folder, {})
            of[place.key.name] = values


def _kind(path: str) -> str:
    """The folder by whose defaults a file is configured."""
    return "seeds" if path.startswith("seeds/") else "models"
