"""The keys of a header that promise something of the relation, which is compared with it."""

from __future__ import annotations

from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import Reader
from dagster_models.project.yaml.nodes import YamlNode

CONTRACT_KEYS: dict[str, Reader] = {"enforced": fields.boolean, "alias_types": fields.only(True)}


def contract(node: YamlNode) -> bool:
    """true or false, or dbt's `{enforced: true}`. Types are always compared in the warehouse's own
    words, which is what dbt's `alias_types: true` asks for."""
    if isinstance(node.value, dict):
        return bool(fields.values_of(node, CONTRACT_KEYS).get("enforced", False))
    return fields.boolean(node)


PROMISES: dict[str, Reader] = {"contract": contract}
