"""The header of one model of dbt, whose keys are found one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster_models.core.model import Location
from dagster_models.dbt.project.manifest import DbtNode
from dagster_models.dbt.project.remarks import Remark, Weight
from dagster_models.project.yaml.fields import BadValue, Reader
from dagster_models.project.yaml.nodes import node_of

_NOWHERE = Location("")


@dataclass(slots=True)
class ImportedHeader:
    """``values``: what the header says. ``refused``: why the model cannot be built here as dbt
    builds it, so that it is to be written as one that is disabled. ``partitions``: sets of them
    that dagster_models.yaml must have."""

    node: DbtNode
    values: dict[str, Any] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    partitions: dict[str, Any] = field(default_factory=dict)

    def remark(self, what: str, weight: Weight = Weight.LEFT_OUT) -> None:
        self.remarks.append(Remark(self.node.unique_id, what, weight))

    def setting(self, key: str) -> Any:
        """A value of dbt's configuration; None for an empty one."""
        value = self.node.config.get(key)
        return None if value in ("", [], {}) else value

    def mapping(self, key: str) -> Mapping[str, Any]:
        """The same of a mapping, which is empty for no value. Another value is refused, and empty
        as well."""
        value = self.setting(key) or {}
        if isinstance(value, Mapping):
            return value
        self.refused.append(f"`{key}: {value}` is no mapping")
        return {}


def accepted(reader: Reader, value: Any) -> bool:
    """Whether a reader of our keys takes the value."""
    try:
        reader(node_of(value, _NOWHERE))
    except BadValue:
        return False
    return True
