"""What an import did with each part of a dbt project, as values and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dagster_models.dbt.text.model_text import Way

#: The version of the JSON.
VERSION = 1


@dataclass(frozen=True, slots=True)
class ReportedModel:
    """``why``: what kept a better way from being taken, or for a disabled model the reason.
    ``remarks``: (weight, what)."""

    unique_id: str
    path: str
    way: Way
    why: str = ""
    frozen: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[tuple[str, str], ...] = ()
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class ImportReport:
    """``remarks``: (unique_id or "", weight, what) of all but the models. ``files``: what became of
    the files -> their paths. ``errors``: the files that do not load -> why; checks are left out."""

    project: str
    adapter: str
    dbt_version: str
    models: tuple[ReportedModel, ...]
    remarks: tuple[tuple[str, str, str], ...]
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    def with_errors(self, errors: Mapping[str, str]) -> ImportReport:
        return replace(self, errors=errors)

    def with_files(self, files: Mapping[str, tuple[str, ...]]) -> ImportReport:
        return replace(self, files=files)

    def ways(self) -> Mapping[Way, int]:
        return Counter(Way.NONE if it.disabled else it.way for it in self.models)

    def as_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "project": self.project,
            "adapter": self.adapter,
            "dbt_version": self.dbt_version,
            "ways": {way.name.lower(): count for way, count in self.ways().items()},
            "models": [
                {
                    "unique_id": it.unique_id,
                    "path": it.path,
                    "way": it.way.name.lower(),
                    "disabled": it.disabled,
                    "why": it.why,
                    "frozen": dict(it.frozen),
                    "remarks": [{"weight": weight, "what": what} for weight, what in it.remarks],
                }
                for it in self.models
            ],
            "remarks": [
                {"of": of, "weight": weight, "what": what} for of, weight, what in self.remarks
            ],
            "errors": dict(self.errors),
            "files": {name: list(paths) for name, paths in self.files.items()},
        }
