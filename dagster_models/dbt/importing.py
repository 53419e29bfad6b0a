"""A dbt project -> the files of a project of ours, and a report. Nothing is written here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagster_models.dbt.manifest import DbtNode, Manifest
from dagster_models.dbt.marks import Marks
from dagster_models.dbt.names import STEPS, NodeNames
from dagster_models.dbt.renderer import Renderer
from dagster_models.dbt.report import ImportReport, ReportedModel
from dagster_models.dbt.target import target_values
from dagster_models.dbt.texts import ModelText, TestTexts, Way, model_text
from dagster_models.dbt.yaml_text import with_header, yaml_text
from dagster_models.project.first_project import DEFINITIONS
from dagster_models.project.settings import PROJECT_FILE

#: dbt's adapters whose SQL has another name here.
_DIALECTS = {
    "sqlserver": "tsql",
    "synapse": "tsql",
    "fabric": "fabric",
    "databricks": "databricks",
    "materialize": "postgres",
    "greenplum": "postgres",
    "glue": "spark",
    "fabricspark": "spark",
    "athena": "athena",
}
_DEFINITIONS = """\
from pathlib import Path

from dagster_models import load_project

defs = load_project(Path(__file__).parent)
"""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """``target``: the name of dbt's target; ``target_values``: what `target.` is asked for beside
    that; ``variables``: as dbt's ``--vars``."""

    target: str = "dev"
    target_values: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Imported:
    """``files``: paths below the folder of our project."""

    files: dict[str, str | bytes]
    report: ImportReport


def import_project(manifest: Manifest, options: ImportOptions) -> Imported:
    return _Importing(manifest, options).all()


class _Importing:
    def __init__(self, manifest: Manifest, options: ImportOptions) -> None:
        self.manifest, self.options = manifest, options
        self.names = NodeNames(manifest)
        self.dialect = _DIALECTS.get(manifest.adapter_type, manifest.adapter_type)
        marks = Marks(manifest, self.names, self.dialect)
        target = target_values(manifest, options.target, options.target_values)
        self.renderer = Renderer(manifest, marks, target, options.variables)
        self.texts = TestTexts(self.renderer)
        self.files: dict[str, str | bytes] = {}
        self.models: list[ReportedModel] = []
        self.remarks: list[tuple[str, str, str]] = []
        self.variables: dict[str, Any] = {}
        self.schemas = self._folder_schemas()

    def all(self) -> Imported:
        for node in self.manifest.nodes.values():
            if node.kind in ("model", "snapshot"):
                self._model(node)
            elif node.kind == "seed":
                self._seed(node)
            elif node.kind == "operation":
                self._remark(node.unique_id, f"a hook of the whole run: {node.raw_code.strip()}")
        self.files[DEFINITIONS] = _DEFINITIONS
        self.files[PROJECT_FILE] = yaml_text(self._project())
        report = ImportReport(
            self.manifest.project_name,
            self.manifest.adapter_type,
            self.manifest.dbt_version,
            tuple(self.models),
            tuple(self.remarks),
        )
        return Imported(self.files, report)

    def _model(self, node: DbtNode) -> None:
        place = self.names.places[node.unique_id]
        text = model_text(node, self.renderer)
        if text.way is Way.NONE:
            self._disabled(node, place.path, text, text.why)
            return
        self.files[place.path] = with_header("@model", self._header(node, text), text.sql)
        self.models.append(
            ReportedModel(node.unique_id, place.path, text.way, text.why, text.frozen)
        )

    def _disabled(self, node: DbtNode, path: str, text: ModelText, why: str) -> None:
        """A model that waits for a hand, with dbt's text beside it."""
        original = (
            f"{Path(path).with_suffix('')}.{'py' if node.language == 'python' else 'sql'}.dbt"
        )
        header = {
            "enabled": False,
            "description": f"Not imported from dbt: {why}. Its text is in {Path(original).name}.",
        }
        self.files[path] = with_header("@model", header, "select null as not_imported\n")
        self.files[original] = node.raw_code
        self.models.append(
            ReportedModel(node.unique_id, path, text.way, why, text.frozen, disabled=True)
        )

    def _header(self, node: DbtNode, text: ModelText) -> dict[str, Any]:
        header: dict[str, Any] = {"materialized": node.materialized or "view"}
        header |= self._relation(node)
        if text.since:
            header["since"] = text.since
        if text.reads_itself:
            header["upstream"] = str(self.names.key_of(node.unique_id))
        if own := self._own_variables(text.variables):
            header["vars"] = own
        return header

    def _relation(self, node: DbtNode) -> dict[str, Any]:
        """The names in the warehouse, where they are not those of the folder and the file."""
        if node.relation.written is None:
            return {}
        place = self.names.places[node.unique_id]
        found: dict[str, Any] = {}
        kind, folder = place.path.split("/")[0], place.key.schema
        shared = folder if folder == "seeds" else self.schemas.get((kind, folder), folder)
        if node.relation.schema != shared:
            found["schema"] = node.relation.schema
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
            if node.relation.written is not None:
                key = (place.path.split("/")[0], place.key.schema)
                found.setdefault(key, Counter())[node.relation.schema] += 1
        return {key: schemas.most_common(1)[0][0] for key, schemas in found.items()}

    def _seed(self, node: DbtNode) -> None:
        file = self.manifest.folder_of(node.package) / node.path
        place = self.names.places[node.unique_id]
        try:
            self.files[place.path] = file.read_bytes()
        except OSError as error:
            self._remark(node.unique_id, f"the seed {file} cannot be read: {error.strerror}")

    def _project(self) -> dict[str, Any]:
        name = re.sub(r"\W", "_", self.manifest.project_name)
        found: dict[str, Any] = {"name": name, "dialect": self.dialect}
        if self.names.root_schema != "main":
            found["schema"] = self.names.root_schema
        found["target"] = "dev"
        found["targets"] = {"dev": {"type": "duckdb", "path": f"target/{name}.duckdb"}}
        if self.variables:
            found["vars"] = dict(sorted(self.variables.items()))
        for kind in ("models", "seeds"):
            shared = {
                folder: {"schema": schema}
                for (of, folder), schema in sorted(self.schemas.items())
                if of == kind and folder not in (schema, self.names.root_schema, "seeds")
            }
            if shared:
                found[kind] = shared
        self._names_of_seeds(found)
        found["jobs"] = {name: {"selection": "*"}}
        return found

    def _names_of_seeds(self, found: dict[str, Any]) -> None:
        for unique_id, place in self.names.places.items():
            node = self.manifest.nodes[unique_id]
            if node.kind == "seed" and (names := self._relation(node)):
                found.setdefault("seeds", {})[place.key.name] = names

    def _remark(self, of: str, what: str, weight: str = "left out") -> None:
        self.remarks.append((of, weight, what))


__all__ = ["STEPS", "ImportOptions", "Imported", "import_project"]
