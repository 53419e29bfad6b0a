"""The keys that hold checks, and the keys that every check may have."""

from __future__ import annotations

from collections.abc import Mapping

from dagster_models.project.checks import arguments as read
from dagster_models.project.checks.thresholds import threshold
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import Reader
from dagster_models.project.yaml.nodes import YamlNode

#: The keys that hold a list of checks. The last two are dbt's.
WORDS = ("checks", "tests", "data_tests")


def severity(node: YamlNode) -> str:
    """error or warn, in any case, as dbt has it."""
    lower = node.value.lower() if isinstance(node.value, str) else node.value
    return fields.OneOf("error", "warn")(YamlNode(lower, node.place))


#: The keys that every check may have.
KEYS: Mapping[str, Reader] = {
    "name": fields.name,
    "severity": severity,
    "description": fields.text,
    "where": read.sql,
    "warn_if": threshold,
    "error_if": threshold,
    "scope": fields.OneOf("window", "table"),
    "limit": fields.Integer(1),
    "store_failures": fields.boolean,
}
