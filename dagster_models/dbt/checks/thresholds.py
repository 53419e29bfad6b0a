"""dbt's ``severity``, ``warn_if`` and ``error_if`` of a test -> those of our checks.

In dbt both thresholds always apply, with `!= 0` where none is written, and `error_if` means
something for `severity: error` only. Here a threshold that is not written never applies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster_models.core.checks import ANY_ROW, Threshold
from dagster_models.core.model import Location
from dagster_models.project.checks.thresholds import threshold, why_impossible
from dagster_models.project.yaml.fields import BadValue
from dagster_models.project.yaml.nodes import node_of

_ANY = "!= 0"


@dataclass(frozen=True, slots=True)
class Limits:
    """``warn`` and ``error``: dbt's conditions on the number of failures, "" for one that never
    applies."""

    warn: str
    error: str

    @property
    def is_plain(self) -> bool:
        """Whether any failure is too many."""
        return {self.warn, self.error} <= {"", _ANY}


def limits_of(config: Mapping[str, Any]) -> Limits:
    warn, error = (" ".join(str(config.get(k) or _ANY).split()) for k in ("warn_if", "error_if"))
    if str(config.get("severity") or "error").lower() == "warn":
        return Limits(warn, "")
    return Limits("" if error == _ANY else warn, error)


def keys_of(limits: Limits) -> dict[str, str] | None:
    """The keys of our check; None if our thresholds cannot say it."""
    if not limits.error:
        return {"severity": "warn"} if limits.warn == _ANY else _written(warn_if=limits.warn)
    if not limits.warn:
        return {} if limits.error == _ANY else _written(error_if=limits.error)
    return _written(warn_if=limits.warn, error_if=limits.error)


def _written(**given: str) -> dict[str, str] | None:
    read: dict[str, Threshold] = {}
    for name, condition in given.items():
        try:
            read[name] = threshold(node_of(condition, Location("")))
        except BadValue:
            return None
    if why_impossible(read.get("warn_if"), read.get("error_if")):
        del read["warn_if"]
    if read.get("error_if") == ANY_ROW and len(read) == 1:
        return {}
    return {name: str(it) for name, it in read.items()}
