"""``retries:`` of a model, seed or script."""

from __future__ import annotations

from dagster_models.core.retries import Retries
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader
from dagster_models.project.yaml.nodes import YamlNode

RETRIES_KEYS: dict[str, Reader] = {
    "max_retries": fields.Integer(0),
    "delay": fields.seconds,
    "backoff": fields.OneOf("linear", "exponential"),
    "jitter": fields.OneOf("full", "plus_minus"),
}


def retries(node: YamlNode) -> Retries:
    """A number of retries, or the settings of Dagster's RetryPolicy under their own names."""
    if not isinstance(node.value, dict):
        return Retries(fields.Integer(0)(node))
    values = fields.values_of(node, RETRIES_KEYS)
    for key in ("backoff", "jitter"):
        if key in values and not values.get("delay"):
            raise BadValue(f"`{key}` needs a `delay`", node.keys[key], "Add e.g. `delay: 10s`.")
    return Retries(
        values.get("max_retries", 1),  # Dagster's default
        values.get("delay", 0.0),
        values.get("backoff"),
        values.get("jitter"),
    )
